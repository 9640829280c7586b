//! `ActionCache`: results are told only if all of them is there.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use prost::Message as _;
use store::{Digest, DigestFunction};
use tonic::Code;

use crate::harness::{Server, message};

fn get_request(action: &Digest) -> re::GetActionResultRequest {
    re::GetActionResultRequest {
        action_digest: Some(message(action)),
        ..re::GetActionResultRequest::default()
    }
}

async fn get(
    server: &Server,
    request: re::GetActionResultRequest,
) -> Result<re::ActionResult, tonic::Status> {
    let answer = server.cache().await.get_action_result(request).await?;
    Ok(answer.into_inner())
}

async fn update(server: &Server, action: &Digest, result: &re::ActionResult) {
    let request = re::UpdateActionResultRequest {
        action_digest: Some(message(action)),
        action_result: Some(result.clone()),
        ..re::UpdateActionResultRequest::default()
    };
    let kept = server.cache().await.update_action_result(request).await;
    assert_eq!(kept.unwrap().into_inner(), *result);
}

fn output(path: &str, digest: &Digest) -> re::OutputFile {
    re::OutputFile {
        path: path.into(),
        digest: Some(message(digest)),
        ..re::OutputFile::default()
    }
}

#[tokio::test]
async fn results_are_kept_with_what_others_say_in_them() {
    let server = Server::start();
    let action = Digest::of(DigestFunction::Sha256, b"action");
    let status = get(&server, get_request(&action)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let result = re::ActionResult {
        output_files: vec![output("a.o", &server.put(b"object"))],
        stdout_digest: Some(message(&server.put(b"some text"))),
        execution_metadata: Some(re::ExecutedActionMetadata {
            worker: "another".into(),
            auxiliary_metadata: vec![bazel_remote_apis::google::protobuf::Any {
                type_url: "type.googleapis.com/another.Thing".into(),
                value: vec![1, 2, 3],
            }],
            ..re::ExecutedActionMetadata::default()
        }),
        ..re::ActionResult::default()
    };
    update(&server, &action, &result).await;
    assert_eq!(get(&server, get_request(&action)).await.unwrap(), result);
    // The same action by another function's digest is another.
    let mut other = get_request(&action);
    other.digest_function = re::digest_function::Value::Blake3.into();
    assert_eq!(
        get(&server, other).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn output_is_inside_on_request() {
    let server = Server::start();
    let action = Digest::of(DigestFunction::Sha256, b"action");
    let big = vec![b'x'; 2 << 20];
    let result = re::ActionResult {
        output_files: vec![
            output("a", &server.put(b"aa")),
            output("b", &server.put(&big)),
        ],
        stdout_digest: Some(message(&server.put(b"out"))),
        stderr_digest: Some(message(&server.put(b"err"))),
        ..re::ActionResult::default()
    };
    update(&server, &action, &result).await;
    let mut request = get_request(&action);
    request.inline_stderr = true;
    let found = get(&server, request.clone()).await.unwrap();
    assert_eq!(
        (&found.stdout_raw[..], &found.stderr_raw[..]),
        (&b""[..], &b"err"[..])
    );
    request.inline_stdout = true;
    request.inline_output_files = vec!["a".into(), "b".into(), "c".into()];
    let found = get(&server, request).await.unwrap();
    assert_eq!(found.stdout_raw, b"out");
    assert_eq!(found.output_files[0].contents, b"aa");
    // Too big: to be fetched.
    assert_eq!(found.output_files[1].contents, b"");
    assert_eq!(found.stdout_digest, result.stdout_digest);
}

/// A directory with one file.
fn directory(file: &Digest) -> re::Directory {
    re::Directory {
        files: vec![re::FileNode {
            name: "f".into(),
            digest: Some(message(file)),
            ..re::FileNode::default()
        }],
        ..re::Directory::default()
    }
}

fn with_file(digest: &Digest) -> re::ActionResult {
    re::ActionResult {
        output_files: vec![output("a", digest)],
        ..re::ActionResult::default()
    }
}

fn with_directory(tree: Option<&Digest>, root: Option<&Digest>) -> re::ActionResult {
    re::ActionResult {
        output_directories: vec![re::OutputDirectory {
            path: "d".into(),
            tree_digest: tree.map(message),
            root_directory_digest: root.map(message),
            ..re::OutputDirectory::default()
        }],
        ..re::ActionResult::default()
    }
}

#[tokio::test]
async fn a_result_of_which_something_is_gone_is_not_found() {
    let server = Server::start();
    let absent = Digest::of(DigestFunction::Sha256, b"absent");
    let there = server.put(b"there");
    let tree = |file: &Digest| {
        let tree = re::Tree {
            root: Some(directory(file)),
            children: Vec::new(),
        };
        server.put(&tree.encode_to_vec())
    };
    let root = |file: &Digest| server.put(&directory(file).encode_to_vec());
    let no_tree = server.put(b"\xff no tree");
    let no_error = re::ActionResult {
        stderr_digest: Some(message(&absent)),
        ..re::ActionResult::default()
    };
    for (number, (result, is_complete)) in (0_u8..).zip([
        (with_file(&there), true),
        (with_file(&absent), false),
        (no_error, false),
        (with_directory(Some(&absent), None), false),
        (with_directory(Some(&no_tree), None), false),
        (with_directory(Some(&tree(&absent)), None), false),
        (with_directory(Some(&tree(&there)), None), true),
        (with_directory(None, Some(&absent)), false),
        (with_directory(None, Some(&root(&absent))), false),
        (with_directory(None, Some(&root(&there))), true),
    ]) {
        let action = Digest::of(DigestFunction::Sha256, &[number]);
        update(&server, &action, &result).await;
        let found = get(&server, get_request(&action)).await;
        assert_eq!(found.is_ok(), is_complete, "{number}: {found:?}");
        if let Err(status) = found {
            assert_eq!(status.code(), Code::NotFound);
        }
    }
}

#[tokio::test]
async fn wrong_results_are_refused() {
    let server = Server::start();
    let action = Digest::of(DigestFunction::Sha256, b"action");
    let request = re::UpdateActionResultRequest {
        action_digest: Some(message(&action)),
        ..re::UpdateActionResultRequest::default()
    };
    let wrong = re::ActionResult {
        output_files: vec![re::OutputFile {
            path: "/absolute".into(),
            digest: Some(message(&action)),
            ..re::OutputFile::default()
        }],
        ..re::ActionResult::default()
    };
    for action_result in [None, Some(wrong)] {
        let request = re::UpdateActionResultRequest {
            action_result,
            ..request.clone()
        };
        let status = server
            .cache()
            .await
            .update_action_result(request)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}
