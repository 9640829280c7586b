//! `GetTree`.

use std::collections::HashSet;

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use prost::Message as _;
use store::{Digest, DigestFunction};
use tonic::Code;

use crate::harness::{Server, guarded, message};

/// All pages, and how many directories each has.
async fn get_tree(
    server: &Server,
    root: &Digest,
    page_size: i32,
    page_token: String,
) -> Result<Vec<re::GetTreeResponse>, tonic::Status> {
    let request = re::GetTreeRequest {
        root_digest: Some(message(root)),
        page_size,
        page_token,
        ..re::GetTreeRequest::default()
    };
    let mut stream = server.cas().await.get_tree(request).await?.into_inner();
    let mut pages = Vec::new();
    while let Some(page) = guarded("a page", stream.message()).await? {
        pages.push(page);
    }
    Ok(pages)
}

fn parent(children: &[(String, Digest)]) -> re::Directory {
    re::Directory {
        directories: children
            .iter()
            .map(|(name, digest)| re::DirectoryNode {
                name: name.clone(),
                digest: Some(message(digest)),
            })
            .collect(),
        ..re::Directory::default()
    }
}

/// A root with `count` different directories, one of them there twice.
fn tree(server: &Server, count: usize) -> Digest {
    let mut children = Vec::new();
    for n in 0..count {
        let leaf = re::Directory {
            symlinks: vec![re::SymlinkNode {
                name: "link".into(),
                target: format!("{n}"),
                node_properties: None,
            }],
            ..re::Directory::default()
        };
        children.push((format!("{n:05}"), server.put(&leaf.encode_to_vec())));
    }
    children.push(("twice".into(), children[0].1));
    server.put(&parent(&children).encode_to_vec())
}

#[tokio::test]
async fn all_directories_come_each_once() {
    let server = Server::start();
    let root = tree(&server, 2500);
    let pages = get_tree(&server, &root, 0, String::new()).await.unwrap();
    assert!(pages.len() > 1);
    let all: Vec<_> = pages.iter().flat_map(|page| &page.directories).collect();
    assert_eq!(all.len(), 2501);
    assert_eq!(
        Digest::of(DigestFunction::Sha256, &all[0].encode_to_vec()),
        root
    );
    let different: HashSet<_> = all
        .iter()
        .map(|directory| directory.encode_to_vec())
        .collect();
    assert_eq!(different.len(), 2501);
    assert_eq!(pages.last().unwrap().next_page_token, "");
}

#[tokio::test]
async fn pages_have_the_size_asked_for_and_can_be_skipped() {
    let server = Server::start();
    let root = tree(&server, 10);
    let pages = get_tree(&server, &root, 4, String::new()).await.unwrap();
    let sizes: Vec<_> = pages.iter().map(|page| page.directories.len()).collect();
    assert_eq!(sizes, [4, 4, 3]);
    let token = pages[0].next_page_token.clone();
    let rest = get_tree(&server, &root, 4, token).await.unwrap();
    assert_eq!(rest, pages[1..]);
    for (size, token) in [(-1, ""), (0, "no token")] {
        let status = get_tree(&server, &root, size, token.into())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_missing_root_is_not_found_and_other_holes_are_left_out() {
    let server = Server::start();
    let absent = Digest::of(DigestFunction::Sha256, b"absent");
    let status = get_tree(&server, &absent, 0, String::new())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let below = parent(&[("hole".into(), absent)]);
    let below = server.put(&below.encode_to_vec());
    let root = server.put(&parent(&[("below".into(), below)]).encode_to_vec());
    let pages = get_tree(&server, &root, 0, String::new()).await.unwrap();
    let count: usize = pages.iter().map(|page| page.directories.len()).sum();
    assert_eq!(count, 2);
}

#[tokio::test]
async fn what_is_no_directory_is_an_invalid_argument() {
    let server = Server::start();
    let root = server.put(b"\xff\xff\xff");
    let error = get_tree(&server, &root, 0, String::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
}
