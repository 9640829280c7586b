//! `GetTree`: all directories below one, in pages.
//!
//! The order is that in which they are met, level by level, each once; so a page's number of
//! directories before it is all that a token has to say, and nothing is kept between calls.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use futures_core::Stream;
use store::{Digest, Store};
use tonic::{Request, Status};

use super::call::blocking;
use super::{digests, failure};
use crate::limits::{
    DIRECTORY_BYTES_MAX, TREE_DIRECTORIES_MAX, TREE_PAGE_BYTES_MAX, TREE_PAGE_MAX,
};
use crate::message::directory::Directory;
use crate::proto::re;
use crate::rpc::Raw;
use crate::steps::steps;
use crate::wire::{put_bytes, put_element};

/// A walk through a tree.
struct Walk {
    store: Store,
    waiting: VecDeque<Digest>,
    seen: HashSet<Digest>,
    /// Directories handed out or skipped.
    count: usize,
    /// Directories that the client has already.
    skip: usize,
    page_max: usize,
}

/// Answers `GetTree`.
pub(super) async fn get_tree(
    store: Store,
    request: Request<re::GetTreeRequest>,
) -> Result<impl Stream<Item = Result<Raw, Status>>, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let root = digests::required(function, "root_digest", request.root_digest.as_ref())?;
    let token = request.page_token.as_str();
    let skip = if token.is_empty() {
        Ok(0)
    } else {
        token.parse()
    };
    let skip = skip.map_err(|_| Status::invalid_argument("page_token is none of ours"))?;
    let page_max = match usize::try_from(request.page_size) {
        Ok(0) => TREE_PAGE_MAX,
        Ok(size) => size.min(TREE_PAGE_MAX),
        Err(_) => return Err(Status::invalid_argument("page_size is negative")),
    };
    if !store.contains(&root) {
        return Err(failure::not_found(&root));
    }
    let walk = Walk {
        store,
        waiting: VecDeque::from([root]),
        seen: HashSet::from([root]),
        count: 0,
        skip,
        page_max,
    };
    Ok(steps(Some(walk), |walk| async move {
        let mut walk = walk?;
        let page = blocking(move || {
            let page = walk.page();
            (page, walk)
        });
        Some(match page.await {
            Ok((Ok(page), walk)) => {
                let next = (!walk.waiting.is_empty()).then_some(walk);
                (Ok(page), next)
            }
            Ok((Err(status), _)) | Err(status) => (Err(status), None),
        })
    }))
}

impl Walk {
    /// The next page, as an encoded `GetTreeResponse`.
    fn page(&mut self) -> Result<Raw, Status> {
        let mut page = Vec::new();
        let mut in_page = 0;
        while in_page < self.page_max && page.len() < TREE_PAGE_BYTES_MAX {
            let Some(digest) = self.waiting.pop_front() else {
                break;
            };
            let bytes = self.store.read(&digest, DIRECTORY_BYTES_MAX);
            // What is missing is left out: so says the specification.
            let Some(bytes) = bytes.map_err(failure::store)? else {
                continue;
            };
            let directory = Directory::decode(digest.function, &bytes).map_err(failure::invalid)?;
            for node in directory.directories {
                if self.seen.insert(node.digest) {
                    self.waiting.push_back(node.digest);
                }
            }
            if self.seen.len() > TREE_DIRECTORIES_MAX {
                return Err(Status::resource_exhausted(format!(
                    "the tree has more than {TREE_DIRECTORIES_MAX} directories"
                )));
            }
            self.count += 1;
            if self.count > self.skip {
                put_element(&mut page, 1, &bytes);
                in_page += 1;
            }
        }
        if !self.waiting.is_empty() {
            put_bytes(&mut page, 2, self.count.to_string().as_bytes());
        }
        Ok(Raw(Bytes::from(page)))
    }
}
