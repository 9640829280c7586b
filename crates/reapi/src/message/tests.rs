//! Encodings against those of another implementation, and what is refused.

use std::time::{Duration, UNIX_EPOCH};

use prost::Message as _;
use store::{Digest, DigestFunction};

use super::action::Action;
use super::command::{Command, OutputDirectoryFormat, OutputKind, OutputPath};
use super::directory::{Directory, DirectoryNode, FileNode, NodeProperties, SymlinkNode};
use super::metadata::{ExecutionMetadata, ResourceUsage};
use super::platform::Platform;
use super::result::{ActionResult, OutputDirectory, OutputFile, OutputSymlink, OutputText};
use super::tree::Tree;
use crate::invalid::{Invalid, Problem};
use crate::message::digest::to_message;
use crate::path::{Name, PathProblem, RelativePath};
use crate::proto::re;

const FUNCTION: DigestFunction = DigestFunction::Sha256;

fn digest(bytes: &[u8]) -> Digest {
    Digest::of(FUNCTION, bytes)
}

/// Sizes and hashes of the encodings that Python's protobuf 5.29 makes of the same messages.
fn check_golden(encoded: &[u8], size: u64, hash: &str) {
    assert_eq!(
        (digest(encoded).hex().as_str(), encoded.len() as u64),
        (hash, size)
    );
}

pub(crate) fn action() -> Action {
    Action {
        command: digest(b"command"),
        input_root: digest(b""),
        timeout: Some(Duration::new(90, 500)),
        do_not_cache: true,
        salt: b"\0pepper".to_vec(),
        platform: Platform {
            properties: vec![
                // Not sorted: encoding does that.
                ("OSFamily".into(), "linux".into()),
                ("ISA".into(), "x86-64".into()),
            ],
        },
    }
}

pub(crate) fn command() -> Command {
    let working_directory = RelativePath::new("home/u").unwrap();
    let output = |path: &str, kind| OutputPath {
        path: path.into(),
        resolved: working_directory.join(path).unwrap(),
        kind,
    };
    Command {
        arguments: ["/usr/bin/gcc", "-c", "", "ä.c"].map(Into::into).into(),
        environment: vec![("PATH".into(), String::new()), ("LANG".into(), "C".into())],
        outputs: vec![
            output("dir", OutputKind::Directory),
            output("b/c.d", OutputKind::Any),
            output("a.o", OutputKind::File),
        ],
        working_directory,
        platform: Platform {
            properties: vec![("ISA".into(), "x86-64".into())],
        },
        output_properties: vec!["mtime".into()],
        directory_format: OutputDirectoryFormat::TreeAndDirectory,
    }
}

pub(crate) fn directory() -> Directory {
    let none = NodeProperties::default;
    Directory {
        files: vec![
            FileNode {
                name: Name::new("a").unwrap(),
                digest: digest(b"a"),
                is_executable: false,
                properties: none(),
            },
            FileNode {
                name: Name::new("b.sh").unwrap(),
                digest: digest(&[b'x'; 300]),
                is_executable: true,
                properties: NodeProperties {
                    mtime: Some(UNIX_EPOCH - Duration::from_secs(5) + Duration::from_nanos(7)),
                    unix_mode: Some(0o755),
                },
            },
        ],
        directories: vec![DirectoryNode {
            name: Name::new("sub").unwrap(),
            digest: digest(b""),
        }],
        symlinks: vec![SymlinkNode {
            name: Name::new("link").unwrap(),
            target: "../x".into(),
            properties: none(),
        }],
        properties: NodeProperties {
            mtime: None,
            unix_mode: Some(0),
        },
    }
}

pub(crate) fn result() -> ActionResult {
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    ActionResult {
        files: vec![OutputFile {
            path: "a.o".into(),
            digest: digest(b"o"),
            is_executable: true,
            contents: b"o".to_vec().into(),
            properties: NodeProperties::default(),
        }],
        directories: vec![OutputDirectory {
            path: "dir".into(),
            tree: Some(digest(b"tree")),
            is_topologically_sorted: true,
            root: Some(digest(&directory().encode())),
        }],
        symlinks: vec![
            OutputSymlink {
                path: "f".into(),
                target: "t".into(),
                kind: OutputKind::File,
            },
            OutputSymlink {
                path: "l".into(),
                target: "/t".into(),
                kind: OutputKind::Any,
            },
        ],
        exit_code: -3,
        stdout: OutputText {
            raw: b"out".to_vec().into(),
            digest: None,
        },
        stderr: OutputText {
            raw: bytes::Bytes::new(),
            digest: Some(digest(b"err")),
        },
        metadata: ExecutionMetadata {
            worker: "w".into(),
            queued: at(1),
            worker_start: at(2),
            worker_completed: at(3),
            input_fetch_start: at(4),
            input_fetch_completed: at(5),
            execution_start: at(6),
            execution_completed: Some(UNIX_EPOCH + Duration::from_nanos(7)),
            output_upload_start: at(8),
            output_upload_completed: at(9),
            virtual_execution: None,
            usage: None,
            auxiliary: vec![b"\x0a\x17type.googleapis.com/x.Y\x12\x01z".to_vec().into()],
        },
    }
}

#[test]
fn encodings_are_those_of_another_implementation() {
    let encoded = action().encode();
    let hash = "bbbc116416ecfa45b2d610df0f41b35f030e7d8172fa8d67d3caa9b1a609704c";
    check_golden(&encoded, 192, hash);
    let encoded = command().encode();
    let hash = "4f17aa9c60b0570dd2bc9104ffdb315fb91ab0a97d4540e451efc9810e0095dd";
    check_golden(&encoded, 113, hash);
    let encoded = directory().encode();
    let hash = "db14d80559e8e887f063158948c94ab61bd59cd584dca73655fcaeaa819e704a";
    check_golden(&encoded, 271, hash);
    let encoded = result().encode();
    let hash = "8dbbc408a9ca77ea2bab71f1d76bc16e0f2887129e29ca27701e2cfd942b1582";
    check_golden(&encoded, 407, hash);
}

#[test]
fn what_is_encoded_decodes_to_the_same() {
    let mut action = action();
    action.platform.properties.sort();
    assert_eq!(Action::decode(FUNCTION, &action.encode()), Ok(action));
    assert_eq!(
        Directory::decode(FUNCTION, &directory().encode()),
        Ok(directory())
    );
    let mut result = result();
    result.metadata.usage = Some(ResourceUsage {
        user: Duration::from_millis(344),
        system: Duration::from_millis(12),
        wall: Duration::from_millis(400),
        peak_memory_bytes: 80 << 20,
    });
    result.metadata.virtual_execution = Some(Duration::from_secs(1));
    assert_eq!(ActionResult::decode(FUNCTION, &result.encode()), Ok(result));

    let decoded = Command::decode(&command().encode()).unwrap();
    let mut expected = command();
    expected.environment.sort();
    // Where there are paths, that is all that is said of outputs.
    expected.outputs.sort_by(|a, b| a.path.cmp(&b.path));
    for output in &mut expected.outputs {
        output.kind = OutputKind::Any;
    }
    assert_eq!(decoded, expected);
}

#[test]
fn older_clients_say_what_outputs_are() {
    let message = re::Command {
        arguments: vec!["a".into()],
        working_directory: "w".into(),
        #[expect(deprecated, reason = "older clients use it")]
        output_files: vec!["x/f".into(), "../g".into()],
        #[expect(deprecated, reason = "older clients use it")]
        output_directories: vec![String::new()],
        ..re::Command::default()
    };
    let outputs = Command::decode(&message.encode_to_vec()).unwrap().outputs;
    let outputs: Vec<_> = outputs
        .iter()
        .map(|output| (output.path.as_str(), output.resolved.as_str(), output.kind))
        .collect();
    let expected = [
        ("x/f", "w/x/f", OutputKind::File),
        ("../g", "g", OutputKind::File),
        ("", "w", OutputKind::Directory),
    ];
    assert_eq!(outputs, expected);
}

fn command_problem(change: impl FnOnce(&mut re::Command)) -> Invalid {
    let mut message = re::Command {
        arguments: vec!["a".into()],
        ..re::Command::default()
    };
    change(&mut message);
    Command::decode(&message.encode_to_vec()).unwrap_err()
}

#[test]
fn wrong_commands_are_refused_with_the_field() {
    let variable = |name: &str, value: &str| re::command::EnvironmentVariable {
        name: name.into(),
        value: value.into(),
    };
    let problem = command_problem(|command| command.arguments.clear());
    assert_eq!(problem.to_string(), "Command.arguments is missing");
    let problem = command_problem(|command| command.arguments.push("a\0b".into()));
    assert_eq!(
        problem.to_string(),
        "Command.arguments contains a zero byte"
    );
    let problem = command_problem(|command| command.working_directory = "../x".into());
    assert_eq!(
        problem.to_string(),
        "Command.working_directory `../x` leads out of the input root"
    );
    for path in ["/abs", "../x", "a/../../b"] {
        let problem = command_problem(|command| command.output_paths.push(path.into()));
        assert_eq!(problem.field, "output_paths", "{path}");
    }
    let problem = command_problem(|command| {
        command.environment_variables = vec![variable("A", "1"), variable("A", "2")];
    });
    assert_eq!(problem.problem, Problem::Duplicate("A".into()));
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0")] {
        let problem = command_problem(|command| {
            command.environment_variables = vec![variable(name, value)];
        });
        assert_eq!(problem.message, "Command.EnvironmentVariable");
    }
}

fn directory_problem(change: impl FnOnce(&mut re::Directory)) -> Problem {
    let mut message = re::Directory::decode(&directory().encode()[..]).unwrap();
    change(&mut message);
    let decoded = Directory::decode(FUNCTION, &message.encode_to_vec());
    decoded.unwrap_err().problem
}

#[test]
fn directories_that_are_not_canonical_are_refused() {
    let problem = directory_problem(|directory| directory.files.reverse());
    assert_eq!(problem, Problem::NotSorted("a".into()));
    let problem = directory_problem(|directory| directory.files[1].name = "a".into());
    assert_eq!(problem, Problem::Duplicate("a".into()));
    let problem = directory_problem(|directory| directory.directories[0].name = "a".into());
    assert_eq!(problem, Problem::Duplicate("a".into()));
    let problem = directory_problem(|directory| directory.symlinks[0].name = "sub".into());
    assert_eq!(problem, Problem::Duplicate("sub".into()));
    for name in ["", ".", "..", "a/b", "a\0"] {
        let problem = directory_problem(|directory| directory.files[0].name = name.into());
        assert!(matches!(problem, Problem::Path(_)), "{name:?}: {problem}");
    }
    let problem = directory_problem(|directory| directory.symlinks[0].target.clear());
    assert_eq!(problem, Problem::Path(PathProblem::Empty));
    let problem = directory_problem(|directory| directory.files[0].digest = None);
    assert_eq!(problem, Problem::Missing);
    let problem = directory_problem(|directory| {
        directory.files[0].digest.as_mut().unwrap().size_bytes = -1;
    });
    assert_eq!(problem, Problem::NegativeSize(-1));
    for hash in ["", "A", &"A".repeat(64), &"a".repeat(63)] {
        let problem = directory_problem(|directory| {
            directory.files[0].digest.as_mut().unwrap().hash = hash.into();
        });
        assert!(matches!(problem, Problem::Digest(_)), "{hash:?}: {problem}");
    }
}

#[test]
fn a_field_that_occurs_twice_is_refused_where_the_digest_matters() {
    let mut twice = action().encode();
    twice.extend(action().encode());
    let problem = Action::decode(FUNCTION, &twice).unwrap_err().problem;
    assert_eq!(problem, Problem::Repeated);
}

#[test]
fn fields_of_newer_versions_are_skipped() {
    let mut encoded = directory().encode();
    // Field 100 with text, 101 with a number, 102 with eight bytes.
    encoded.extend(b"\xa2\x06\x02hi\xa8\x06\x05\xb1\x06\0\0\0\0\0\0\0\0");
    assert_eq!(Directory::decode(FUNCTION, &encoded), Ok(directory()));
}

#[test]
fn a_tree_has_all_its_directories() {
    let leaf = Directory {
        directories: Vec::new(),
        ..directory()
    };
    let mut root = directory();
    root.directories[0].digest = digest(&leaf.encode());
    let encode = |children: &[&Directory]| {
        let message = re::Tree {
            root: re::Directory::decode(&root.encode()[..]).ok(),
            children: children
                .iter()
                .filter_map(|child| re::Directory::decode(&child.encode()[..]).ok())
                .collect(),
        };
        message.encode_to_vec()
    };
    let tree = Tree::decode(FUNCTION, &encode(&[&leaf])).unwrap();
    assert_eq!(tree.root, root);
    assert_eq!(tree.root_digest, digest(&root.encode()));
    assert_eq!(tree.directories().count(), 2);
    let problem = Tree::decode(FUNCTION, &encode(&[])).unwrap_err().problem;
    assert_eq!(
        problem,
        Problem::NoSuchDirectory(root.directories[0].digest)
    );
    let problem = Tree::decode(FUNCTION, b"").unwrap_err().problem;
    assert_eq!(problem, Problem::Missing);
}

#[test]
fn links_that_are_told_twice_are_one() {
    let link = |target: &str| re::OutputSymlink {
        path: "l".into(),
        target: target.into(),
        node_properties: None,
    };
    let message = re::ActionResult {
        #[expect(deprecated, reason = "servers fill it for older clients")]
        output_file_symlinks: vec![link("t")],
        output_symlinks: vec![link("t")],
        ..re::ActionResult::default()
    };
    let result = ActionResult::decode(FUNCTION, &message.encode_to_vec()).unwrap();
    assert_eq!(result.symlinks.len(), 1);
    assert_eq!(result.symlinks[0].kind, OutputKind::Any);
}

#[test]
fn results_with_absolute_paths_are_refused() {
    let message = re::ActionResult {
        output_files: vec![re::OutputFile {
            path: "/etc/passwd".into(),
            digest: Some(to_message(&digest(b""))),
            ..re::OutputFile::default()
        }],
        ..re::ActionResult::default()
    };
    let error = ActionResult::decode(FUNCTION, &message.encode_to_vec()).unwrap_err();
    assert_eq!(error.field, "path");
}
