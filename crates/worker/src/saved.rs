//! Copies of the preprocessed text that jobs got, for whoever looks for a mistake
//! (`DISTCC_SAVE_TEMPS=1`).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::log::Log;

/// Where the copies go.
#[derive(Debug)]
pub(crate) struct Saved {
    dir: PathBuf,
    jobs: Cell<u64>,
}

impl Saved {
    pub(crate) fn new(dir: PathBuf) -> Saved {
        Saved {
            dir,
            jobs: Cell::new(0),
        }
    }

    /// A number for the next job's files.
    pub(crate) fn next(&self) -> u64 {
        self.jobs.replace(self.jobs.get() + 1)
    }

    /// Keeps one file of a job; that it cannot be kept is no reason to fail the job.
    pub(crate) fn keep(&self, log: &Log, job: u64, kind: &str, content: &[u8]) {
        let name = format!("distccd_{}_{job}.{kind}", std::process::id());
        let path = self.dir.join(name);
        let mut options = File::options();
        // A name that somebody else has put there is not followed.
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        match opened.and_then(|mut file| file.write_all(content)) {
            Ok(()) => log.info(format_args!("kept {}", path.display())),
            Err(error) => log_failure(log, &path, &error),
        }
    }
}

fn log_failure(log: &Log, path: &std::path::Path, error: &io::Error) {
    log.warning(format_args!("cannot keep {}: {error}", path.display()));
}
