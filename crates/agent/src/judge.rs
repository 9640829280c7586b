//! What a host that preprocessed made of source and headers: is it what a compile here makes?
//!
//! Stock servers compile below a directory of their own, `…/distccd_XXXXXX`, and that name can get into an object
//! (`__FILE__`, debug information), or as a run of slashes that they write over it. Where it can be taken out, it is
//! (`debug_names`). And they use the system's headers of their own machine, of which some may be missing. Neither
//! shall reach the user: such a compile is preprocessed here and sent again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use cmdline::Invocation;
use place::HostId;
use stock::Reply;
use tokio::time::Instant;

use crate::debug_names;

/// How the name of a stock server's directory for one job begins.
const SERVER_ROOT: &[u8] = b"/distccd_";

/// What a stock server writes over that name in debug information: at least `/tmp/distccd_XXXXXX` of it.
const OVERWRITTEN: &[u8] = b"///////////////////";

/// How compilers begin and end the line about a missing header, in the C locale. Assemblers have the same words about
/// the files of `.incbin`, but begin otherwise.
const MISSING_HEADER: (&str, [&str; 2]) = (
    "fatal error: ",
    ["No such file or directory", "file not found"],
);

/// How long a host without some header gets preprocessed text only. Somebody may install it.
const TEXT_ONLY_FOR: Duration = Duration::from_secs(600);

/// Why a host's answer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAsHere {
    #[error("debug information made there names the server's directory")]
    Debug,
    #[error("the object made there names the server's directory")]
    Object,
    #[error("the server's directory hides what its options for debug information rename")]
    Renamed,
    #[error("a header is missing there")]
    MissingHeader,
    #[error("no usable dependency file came back")]
    Dependency,
}

/// Looks at an answer, and brings its dependency file into the form that it has here.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn judge(mut reply: Reply, invocation: &Invocation) -> Result<Reply, NotAsHere> {
    if reply.wait_status != 0 {
        let stderr = String::from_utf8_lossy(&reply.stderr);
        return if says_header_is_missing(&stderr) {
            Err(NotAsHere::MissingHeader)
        } else {
            Ok(reply)
        };
    }
    let names = |object: &[u8], text: &[u8]| memchr::memmem::find(object, text).is_some();
    // A name that begins with the server's directory has not been renamed, and does not become so without it.
    if renames(invocation)
        && [SERVER_ROOT, OVERWRITTEN]
            .iter()
            .any(|text| names(&reply.object, text))
    {
        return Err(NotAsHere::Renamed);
    }
    if invocation.debug_info() && debug_names::localise(&mut reply.object).is_err() {
        return Err(NotAsHere::Debug);
    }
    let names = |text| names(&reply.object, text);
    if names(SERVER_ROOT) || (invocation.debug_info() && names(OVERWRITTEN)) {
        return Err(if invocation.debug_info() {
            NotAsHere::Debug
        } else {
            NotAsHere::Object
        });
    }
    let deps = reply.deps.take();
    if let Some(dependency) = invocation.dependency() {
        let text = deps.and_then(|text| dependency.rewrite(&text, invocation.driver().family));
        let text = text.filter(|text| memchr::memmem::find(text, SERVER_ROOT).is_none());
        reply.deps = Some(text.ok_or(NotAsHere::Dependency)?);
    }
    Ok(reply)
}

/// Whether directories get other names in debug information.
pub(crate) fn renames(invocation: &Invocation) -> bool {
    let is_map = |word: &OsString| {
        let word = word.as_bytes();
        word.starts_with(b"-fdebug-prefix-map=") || word.starts_with(b"-ffile-prefix-map=")
    };
    invocation.debug_info() && invocation.args().iter().any(is_map)
}

fn says_header_is_missing(stderr: &str) -> bool {
    let (begin, ends) = MISSING_HEADER;
    stderr
        .lines()
        .any(|line| line.contains(begin) && ends.iter().any(|end| line.ends_with(end)))
}

/// What was learned about hosts that take files.
#[derive(Debug, Default)]
pub(crate) struct FileHosts {
    learned: RefCell<HashMap<HostId, Learned>>,
}

#[derive(Debug, Default)]
struct Learned {
    spoils_debug: bool,
    spoils_renamed: bool,
    text_until: Option<Instant>,
}

impl FileHosts {
    /// Whether a host may get files.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn may_get_files(
        &self,
        host: HostId,
        invocation: &Invocation,
    ) -> Result<(), NotAsHere> {
        let all = self.learned.borrow();
        let Some(learned) = all.get(&host) else {
            return Ok(());
        };
        if learned.spoils_debug && invocation.debug_info() {
            return Err(NotAsHere::Debug);
        }
        if learned.spoils_renamed && renames(invocation) {
            return Err(NotAsHere::Renamed);
        }
        if learned
            .text_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Err(NotAsHere::MissingHeader);
        }
        Ok(())
    }

    /// Takes note of an answer that could not be used.
    pub(crate) fn learn(&self, host: HostId, why: NotAsHere) {
        let mut all = self.learned.borrow_mut();
        let learned = all.entry(host).or_default();
        match why {
            NotAsHere::Debug => learned.spoils_debug = true,
            NotAsHere::Renamed => learned.spoils_renamed = true,
            NotAsHere::MissingHeader => learned.text_until = Some(Instant::now() + TEXT_ONLY_FOR),
            NotAsHere::Object | NotAsHere::Dependency => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_headers_are_told_from_other_missing_files() {
        for line in [
            "a.c:1:10: fatal error: no.h: No such file or directory",
            "a.c:1:10: fatal error: 'no.h' file not found",
            "\u{1b}[01;31m\u{1b}[Kfatal error: \u{1b}[m\u{1b}[Kno.h: No such file or directory",
        ] {
            let text = format!("In file included from a.h:1:\n{line}\n    1 | #include\n");
            assert!(says_header_is_missing(&text), "{line}");
        }
        for line in [
            "/tmp/cc1.s:5: Error: file not found: b.bin",
            "<inline asm>:2:9: error: Could not find incbin file 'b.bin'",
            "a.c:1:1: error: \"No such file or directory\"",
            "Fatal error: can't create a.o: No such file or directory",
        ] {
            assert!(!says_header_is_missing(line), "{line}");
        }
    }
}
