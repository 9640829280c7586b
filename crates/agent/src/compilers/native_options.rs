//! What a command line with `-march=native` is for other machines.
//!
//! Who gets preprocessed text gets the options that `native` stands for. Workers can have more where the compiler is
//! GCC on x86: the command line as it is, and a specs file that answers in the place of the processor
//! (`cmdline::native_specs` says why). The file lies here as well, under the same path: the compiler is asked with it
//! whether it would run the same commands.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cmdline::{Family, Invocation, native, native_specs};
use store::{Digest, DigestFunction};
use wire::JobRequest;

use super::{Answer, Compilers};

/// A command line without native options.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// With the options that they stand for.
    pub(crate) invocation: Arc<Invocation>,
    /// With it GCC runs the command line as it was given, and does on any machine what it does on this.
    pub(crate) specs: Option<PathBuf>,
}

impl Compilers {
    /// The invocation with `-march=native` and its relatives spelled out. `None` if the compiler does not say.
    pub(crate) async fn expand_native(
        &self,
        job: &JobRequest,
        invocation: &Invocation,
    ) -> Option<Expanded> {
        // What they stand for would come before the other one, which would count then.
        if invocation.native_overrides() {
            return None;
        }
        let family = invocation.driver().family;
        if family == Family::Gcc {
            let machine = invocation.machine_options();
            let question = native_specs::question(&machine, None);
            let answer = self.ask(job, question).await?;
            if native_specs::is_x86(&answer.stderr) {
                let added = native_specs::parse(&answer.stderr)?;
                return Some(Expanded {
                    invocation: Arc::new(invocation.expand_native(&added)),
                    specs: self.specs(job, &machine, &answer, &added).await,
                });
            }
        }
        // The other one would not take back all that `native` stands for.
        if invocation.native_is_overridden() {
            return None;
        }
        let asked = invocation.native_options();
        let answer = self.ask(job, native::question(&asked)).await?;
        let expansion = match family {
            Family::Gcc => native::parse_gcc(&answer.stderr, &asked),
            Family::Clang => native::parse_clang(&answer.stderr, &asked),
        };
        Some(Expanded {
            invocation: Arc::new(invocation.expand_native(&expansion?)),
            specs: None,
        })
    }

    /// A specs file that adds these words, if GCC does the same with it as it does without.
    async fn specs(
        &self,
        job: &JobRequest,
        machine: &[OsString],
        answer: &Answer,
        added: &[OsString],
    ) -> Option<PathBuf> {
        let strings = self.ask(job, vec!["-dumpspecs".into()]).await?;
        // GCC would look for a relative one elsewhere.
        if !native_specs::can_be_replaced(&strings.stdout) || !self.dir.is_absolute() {
            return None;
        }
        let path = put(&self.dir, &native_specs::file(added)).ok()?;
        let question = native_specs::question(machine, Some(path.as_os_str()));
        let with_file = self.ask(job, question).await?;
        native_specs::is_same(&answer.stderr, &with_file.stderr).then_some(path)
    }
}

/// Makes sure that there is a file with these bytes, under a name that is theirs alone.
fn put(dir: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let digest = Digest::of(DigestFunction::Sha256, bytes);
    let path = dir.join(format!("{}.specs", digest.hex()));
    // Somebody may have tidied up since.
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(path);
    }
    fs::create_dir_all(dir)?;
    // Agents of other namespaces may do the same at the same time, and have the same process id.
    let own = format!("{}-{}", sys::realm::current().pid_ns, std::process::id());
    let draft = dir.join(format!("draft-{own}.specs"));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_or_taken_away_is_written_again() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("new");
        let path = put(&dir, b"text").unwrap();
        assert_ne!(put(&dir, b"other").unwrap(), path);
        fs::write(&path, "tex").unwrap();
        assert_eq!(put(&dir, b"text").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"text");
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(put(&dir, b"text").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"text");
    }
}
