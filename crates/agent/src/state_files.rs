//! `$DISTCC_DIR/state/binstate_PID…`: what each job is doing, for monitors.
//!
//! Stock's monitor shows every file of that name whose process lives, and deletes files that nobody touched for a
//! minute; so [`StateFiles::refresh`] touches them in time. Jobs of several pid namespaces may share the directory
//! (Portage's sandboxes), so the pid alone is no unique name: the agent's own tag and the job's number follow it, which stock accepts. A
//! file is also locked for as long as its job lives, by which a monitor in another pid namespace can tell.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::SystemTime;

use stock::Phase;
use stock::state::{Layout, State};

/// All state files of this agent.
#[derive(Debug)]
pub(crate) struct StateFiles {
    tag: String,
    next: Cell<u64>,
    live: RefCell<BTreeMap<u64, Weak<Shown>>>,
}

/// One job's file; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct StateFile {
    shown: Rc<Shown>,
}

#[derive(Debug)]
struct Shown {
    path: PathBuf,
    content: RefCell<State>,
    /// Absent where nothing can be written.
    file: RefCell<Option<File>>,
}

impl StateFiles {
    /// `tag` tells this agent's files from those of others in the same directory.
    pub(crate) fn new(tag: String) -> Self {
        Self {
            tag,
            next: Cell::new(0),
            live: RefCell::default(),
        }
    }

    /// A file for a job that is about to do something. Failures are of no importance: it is for watchers only.
    pub(crate) fn open(&self, distcc_dir: &Path, pid: u32, file: &str) -> StateFile {
        let number = self.next.get();
        self.next.set(number + 1);
        let name = format!("{}_{}_{number}", stock::state::file_name(pid), self.tag);
        let shown = Rc::new(Shown {
            path: distcc_dir.join(stock::state::STATE_DIR).join(name),
            content: RefCell::new(State {
                pid: pid.into(),
                file: file.as_bytes().to_vec(),
                host: Vec::new(),
                slot: 0,
                phase: Phase::Startup,
            }),
            file: RefCell::new(None),
        });
        self.live.borrow_mut().insert(number, Rc::downgrade(&shown));
        StateFile { shown }
    }

    /// Keeps files of long jobs young, and writes those again that somebody deleted.
    pub(crate) fn refresh(&self) {
        self.live.borrow_mut().retain(|_, shown| {
            let Some(shown) = shown.upgrade() else {
                return false;
            };
            shown.refresh();
            true
        });
    }
}

impl StateFile {
    /// Shows what the job does now.
    pub(crate) fn show(&self, phase: Phase, host: &str, slot: u32) {
        let mut state = self.shown.content.borrow_mut();
        state.phase = phase;
        state.host = host.as_bytes().to_vec();
        state.slot = i32::try_from(slot).unwrap_or(i32::MAX);
        drop(state);
        self.shown.write();
    }
}

impl Shown {
    fn write(&self) {
        let bytes = self.content.borrow().encode(Layout::NATIVE);
        let mut file = self.file.borrow_mut();
        let written = match &*file {
            // Same length in place: a reader never sees half a file.
            Some(file) => file.write_all_at(&bytes, 0),
            None => self.create(&bytes).map(|made| *file = Some(made)),
        };
        if written.is_err() {
            *file = None;
        }
    }

    /// Creates the file under another name first: monitors warn about files of the wrong length.
    fn create(&self, bytes: &[u8]) -> io::Result<File> {
        let (Some(dir), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let new = dir.join(format!("new_{}", name.to_string_lossy()));
        let open = || {
            File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(&new)
        };
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(dir)?;
                open()?
            }
            other => other?,
        };
        file.write_all(bytes)?;
        // Nobody else knows the file yet, so the lock cannot fail for a reason that matters.
        sys::lock::try_lock_file(&file)?;
        fs::rename(&new, &self.path)?;
        Ok(file)
    }

    fn refresh(&self) {
        let mut file = self.file.borrow_mut();
        let Some(open) = &*file else { return };
        if open.metadata().is_ok_and(|meta| meta.nlink() > 0) {
            open.set_modified(SystemTime::now()).unwrap_or_default();
        } else {
            *file = None;
            drop(file);
            self.write();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if self.file.borrow().is_some() {
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_dir(dir: &Path) -> Vec<PathBuf> {
        let state = dir.join("state");
        let entries = fs::read_dir(state).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_file_lives_as_long_as_its_job() {
        let temp = tempfile::tempdir().unwrap();
        let files = StateFiles::new("t".into());
        let job = files.open(temp.path(), 42, "a.c");
        assert_eq!(read_dir(temp.path()).len(), 0);
        job.show(Phase::Send, "pc", 3);
        let [path] = &read_dir(temp.path())[..] else {
            panic!("one file expected");
        };
        assert!(path.ends_with("state/binstate_42_t_0"));
        let state = State::decode(&fs::read(path).unwrap()).unwrap();
        assert_eq!(
            (state.pid, &state.file[..], &state.host[..], state.slot),
            (42, &b"a.c"[..], &b"pc"[..], 3)
        );
        let reader = File::open(path).unwrap();
        assert!(sys::lock::is_locked(&reader).unwrap());
        drop(job);
        assert_eq!(read_dir(temp.path()).len(), 0);
    }

    #[test]
    fn refreshing_touches_and_restores() {
        let temp = tempfile::tempdir().unwrap();
        let files = StateFiles::new("t".into());
        let job = files.open(temp.path(), 42, "a.c");
        job.show(Phase::Compile, "pc", 0);
        let path = read_dir(temp.path()).remove(0);
        File::open(&path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        files.refresh();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(modified > SystemTime::UNIX_EPOCH);
        fs::remove_file(&path).unwrap();
        files.refresh();
        assert!(path.exists());
        drop(job);
        assert!(!path.exists());
    }
}
