//! Where comments matter to GCC: `/* fall through */` turns a warning off, and the preprocessor drops it.
//!
//! To keep all comments (`-C`) costs a third of the preprocessor's time and doubles the text, which most projects would
//! pay for nothing. So they are dropped until a host's compiler complains in a way that a comment might have turned off.
//! That compile is repeated here, and the next ones of its directory keep their comments.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};

use cmdline::{Family, Invocation};
use stock::Reply;

/// How GCC marks the warning, also as an error.
const FALLTHROUGH: &[u8] = b"implicit-fallthrough=]\n";

/// Keeps comments.
const KEEP: &str = "-C";

/// What a host is told then: the preprocessor has warned of odd comments already.
const NOT_AGAIN: &str = "-Wno-comment";

/// Directories remembered; beyond that all are forgotten.
const KEPT_MAX: usize = 4096;

/// The directories in which comments matter.
#[derive(Debug, Default)]
pub(crate) struct Comments(RefCell<HashSet<OsString>>);

impl Comments {
    /// Whether a job of this directory is to keep them, and if so, changes its two commands.
    pub(crate) fn keep(
        &self,
        cwd: &OsStr,
        invocation: &Invocation,
        preprocess: &mut Vec<OsString>,
        argv: &mut Vec<Vec<u8>>,
    ) -> bool {
        let keep = invocation.driver().family == Family::Gcc && self.0.borrow().contains(cwd);
        if keep {
            preprocess.push(KEEP.into());
            argv.push(NOT_AGAIN.into());
        }
        keep
    }

    /// Whether a host's messages would have been others with comments, which it did not get: takes note.
    pub(crate) fn were_missed(&self, cwd: &OsStr, invocation: &Invocation, reply: &Reply) -> bool {
        let missed = invocation.driver().family == Family::Gcc
            && !invocation.source_is_preprocessed()
            && !reply.version.sends_files()
            && memchr::memmem::find(&reply.stderr, FALLTHROUGH).is_some();
        if missed {
            let mut all = self.0.borrow_mut();
            if all.len() >= KEPT_MAX {
                all.clear();
            }
            all.insert(cwd.to_owned());
        }
        missed
    }
}
