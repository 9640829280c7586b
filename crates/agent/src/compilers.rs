//! What only this machine can tell about a compiler: its names, its target, what `native` means to it.
//!
//! Questions to a compiler cost a process, so answers are kept for as long as the compiler's file and the variables
//! that lead it elsewhere stay the same; hundreds of jobs that start at once share one question.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use cmdline::{Driver, NameLookup};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use wire::JobRequest;

mod native_options;

pub(crate) use native_options::Expanded;

/// How long a compiler may think about a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a look through `PATH` is believed. Compilers come and go between builds, not within a second.
const PATH_KEPT: Duration = Duration::from_secs(2);

/// Most entries of each memory; beyond that all are forgotten.
const ENTRIES_MAX: usize = 1024;

/// Most links that are followed from a compiler's name.
const LINKS_MAX: usize = 16;

/// Variables that change which programs a compiler runs or what it says.
const QUESTION_VARIABLES: &[&str] = &["PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX"];

/// The programs that stand in `PATH` under the names of compilers.
const OUR_PROGRAMS: &[&str] = &["distcc", "farcc"];

/// A question to a compiler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    compiler: OsString,
    identity: [i64; 5],
    variables: Vec<Option<OsString>>,
    args: Vec<OsString>,
}

#[derive(Debug)]
struct Answer {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Found {
    /// The file in `PATH`, if there is one.
    path: Option<PathBuf>,
    /// The base names it goes through when links are followed, nearest first.
    links: Vec<OsString>,
}

type Answers = HashMap<Question, Rc<OnceCell<Rc<Answer>>>>;

/// All compilers seen.
#[derive(Debug, Default)]
pub(crate) struct Compilers {
    /// Where files for compilers are written.
    dir: PathBuf,
    answers: RefCell<Answers>,
    found: RefCell<HashMap<(OsString, OsString), (Instant, Found)>>,
}

impl Compilers {
    /// None yet. Files for compilers are written to `dir`, which is made when it is needed.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            ..Self::default()
        }
    }

    /// Whose command line it is, by name and by what the name links to.
    pub(crate) fn driver(&self, job: &JobRequest) -> Driver {
        let links = self.links_of(&job.compiler_path);
        let mut names = vec![job.compiler.as_os_str()];
        names.extend(links.iter().map(OsString::as_os_str));
        Driver::guess(&names)
    }

    /// The compiler's name for other machines, and words to add to its command line.
    pub(crate) async fn name_for_hosts(
        &self,
        job: &JobRequest,
        args: &[OsString],
    ) -> (OsString, Vec<OsString>) {
        let plain = (job.compiler.clone(), Vec::new());
        if job.compiler.as_bytes().contains(&b'/') {
            return plain;
        }
        let Some(answer) = self.ask(job, vec!["-dumpmachine".into()]).await else {
            return plain;
        };
        let triple = OsStr::from_bytes(answer.stdout.trim_ascii());
        if triple.is_empty() {
            return plain;
        }
        let path = job.var("PATH").cloned().unwrap_or_default();
        let lookup = Lookup {
            compilers: self,
            path,
        };
        cmdline::rewrite_name(&job.compiler, args, triple, &lookup)
    }

    async fn ask(&self, job: &JobRequest, args: Vec<OsString>) -> Option<Rc<Answer>> {
        let meta = fs::metadata(Path::new(&job.cwd).join(&job.compiler_path)).ok()?;
        let question = Question {
            compiler: job.compiler_path.clone(),
            identity: [
                meta.dev().cast_signed(),
                meta.ino().cast_signed(),
                meta.size().cast_signed(),
                meta.mtime(),
                meta.mtime_nsec(),
            ],
            variables: QUESTION_VARIABLES
                .iter()
                .map(|name| job.var(name).cloned())
                .collect(),
            args: args.clone(),
        };
        let cell = {
            let mut answers = self.answers.borrow_mut();
            if answers.len() >= ENTRIES_MAX {
                answers.clear();
            }
            Rc::clone(answers.entry(question).or_default())
        };
        // A failure is not kept: the next job asks again.
        let answer = cell.get_or_try_init(|| run(job, &args)).await;
        answer.ok().cloned()
    }

    fn links_of(&self, path: &OsStr) -> Vec<OsString> {
        // A lookup "in PATH" of a name with a slash finds that file.
        self.find(OsStr::new(""), path).links
    }

    fn find(&self, search: &OsStr, name: &OsStr) -> Found {
        let key = (search.to_owned(), name.to_owned());
        if let Some((when, found)) = self.found.borrow().get(&key)
            && when.elapsed() < PATH_KEPT
        {
            return found.clone();
        }
        let found = look_up(search, name);
        let mut memory = self.found.borrow_mut();
        if memory.len() >= ENTRIES_MAX {
            memory.clear();
        }
        memory.insert(key, (Instant::now(), found.clone()));
        found
    }
}

/// Asks the compiler in the job's environment, but in English.
async fn run(job: &JobRequest, args: &[OsString]) -> Result<Rc<Answer>, ()> {
    let mut command = Command::new(&job.compiler_path);
    command
        .arg0(&job.compiler)
        .args(args)
        .current_dir(&job.cwd)
        .env_clear()
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    match timeout(ANSWER_TIMEOUT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(Rc::new(Answer {
            stdout: output.stdout,
            stderr: output.stderr,
        })),
        _ => Err(()),
    }
}

/// The first program of a name that is none of ours, and the base names of the links behind it, nearest first.
pub(crate) fn find_real(search: &OsStr, name: &OsStr) -> Option<(PathBuf, Vec<OsString>)> {
    let found = look_up(search, name);
    Some((found.path?, found.links))
}

fn look_up(search: &OsStr, name: &OsStr) -> Found {
    let is_ours = |links: &[OsString]| {
        links
            .iter()
            .any(|link| OUR_PROGRAMS.iter().any(|ours| link == ours))
    };
    let candidates: Vec<PathBuf> = if name.as_bytes().contains(&b'/') {
        vec![name.into()]
    } else {
        std::env::split_paths(search)
            .map(|dir| dir.join(name))
            .collect()
    };
    for path in candidates {
        let executable = fs::metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if !executable {
            continue;
        }
        let links = follow(&path);
        if !is_ours(&links) {
            return Found {
                path: Some(path),
                links,
            };
        }
    }
    Found {
        path: None,
        links: Vec::new(),
    }
}

fn follow(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    let mut at = path.to_owned();
    while names.len() < LINKS_MAX
        && let Ok(target) = fs::read_link(&at)
    {
        names.extend(target.file_name().map(OsStr::to_owned));
        at = at.parent().unwrap_or(Path::new("/")).join(target);
    }
    names
}

struct Lookup<'a> {
    compilers: &'a Compilers,
    path: OsString,
}

impl NameLookup for Lookup<'_> {
    fn links(&self, name: &OsStr) -> Vec<OsString> {
        self.compilers.find(&self.path, name).links
    }

    fn exists(&self, name: &OsStr) -> bool {
        self.compilers.find(&self.path, name).path.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cmdline::Family;
    use std::os::unix::fs::symlink;

    fn make_executable(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn job(dir: &Path, compiler: &str) -> JobRequest {
        JobRequest {
            compiler: compiler.into(),
            compiler_path: dir.join(compiler).into(),
            cwd: dir.into(),
            env: vec![(
                "PATH".into(),
                format!("{}:/usr/bin:/bin", dir.display()).into(),
            )],
            ..JobRequest::default()
        }
    }

    #[tokio::test]
    async fn names_become_unmistakable() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        make_executable(
            &dir.join("gcc"),
            "#!/bin/sh\necho 1 >> asked\necho my-triple\n",
        );
        make_executable(&dir.join("my-triple-gcc"), "");
        symlink("gcc", dir.join("cc")).unwrap();
        let compilers = Compilers::default();
        let name = async |name| compilers.name_for_hosts(&job(dir, name), &[]).await.0;
        assert_eq!(name("gcc").await, "my-triple-gcc");
        assert_eq!(name("cc").await, "my-triple-gcc");
        assert_eq!(name("gcc").await, "my-triple-gcc");
        let absolute = dir.join("gcc");
        assert_eq!(name(absolute.to_str().unwrap()).await, absolute);
        // Once for `gcc`, once for `cc`.
        assert_eq!(fs::read_to_string(dir.join("asked")).unwrap(), "1\n1\n");
    }

    #[test]
    fn links_tell_the_family_and_our_own_links_are_skipped() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        make_executable(&dir.join("clang-14"), "");
        symlink("clang-14", dir.join("cc")).unwrap();
        let compilers = Compilers::default();
        assert_eq!(compilers.driver(&job(dir, "cc")).family, Family::Clang);

        let masquerade = dir.join("masquerade");
        fs::create_dir(&masquerade).unwrap();
        make_executable(&dir.join("distcc"), "");
        symlink("../distcc", masquerade.join("cc")).unwrap();
        let path = format!("{}:{}", masquerade.display(), dir.display());
        let found = compilers.find(OsStr::new(&path), OsStr::new("cc"));
        assert_eq!(found.path, Some(dir.join("cc")));
        assert_eq!(found.links, ["clang-14"]);
    }
}
