//! Where a client's files go in the job's own file system, so that the compiler says and writes
//! what it would at the client's.
//!
//! The root of a job is its own (see `sys::sandbox`), so the client's paths are used as they are:
//!
//! - Preprocessed text (protocols 1 and 2) carries no directory. The compile runs in `/tmp`, as on
//!   a stock server. Line markers in the text make the compiler show the client's names; the file
//!   itself must not be found under one of these, or GCC would quote the wrong lines from it, so
//!   it lies in a directory beside, with the client's file name.
//! - Clang does not look for that file, but puts the name that it was called with into the debug
//!   information; so does GCC with text that has no line markers. There the text lies where the
//!   client says, if possible.
//! - Protocol 3 gives absolute paths and the client's directory. Nothing is rewritten.
//!
//! Paths of the server's own directories need care: the client of protocol 3 also sends links that
//! lead out of a stock server's directory to the system's headers (they mean "use yours" and are
//! left out), and files that are in such a directory at the client's but perhaps not here. If they
//! are the same here, nothing is to be done; if not, the job sees that directory with the client's
//! files laid over it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use cmdline::{Driver, Family, ServerCommand};
use stock::{Body, Input, Request, SentFile};
use sys::sandbox::{JobLimits, JobRoot, JobSpec, Place, server_directory};

/// Directory of compiles whose client did not say its own; stock's default.
const PLAIN_DIR: &str = "/tmp";

/// Directory of preprocessed text, below [`PLAIN_DIR`].
const TEXT_DIR: &str = ".distccd";

/// Name of the dependency file; out of the way of the client's files.
const DEPENDENCY_FILE: &str = "/.distccd.d";

/// File name that stock's clients send to have its directory made.
const PLACEHOLDER: &[u8] = b"forcing_technique_271828";

/// A job with everything it needs, apart from the input's bytes, which are in `request`.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) program: PathBuf,
    argv: Vec<OsString>,
    cwd: PathBuf,
    outputs: Vec<PathBuf>,
    overlays: Vec<PathBuf>,
    files: Vec<Entry>,
}

/// Something to create.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Dir(PathBuf),
    File(PathBuf, Vec<u8>),
    Link(PathBuf, PathBuf),
}

/// Why no job can be made of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFiles {
    #[error("the client's directory \"{0}\" is not an absolute path")]
    Cwd(String),
    #[error("the file name \"{0}\" is not an absolute path")]
    Name(String),
}

impl Job {
    /// Lays out the files of a checked request. `has_root`: absolute paths are the job's own.
    pub(crate) fn new(
        command: &ServerCommand,
        program: PathBuf,
        request: Request,
        has_root: bool,
    ) -> Result<Job, BadFiles> {
        match request.input {
            Input::Preprocessed(text) => Ok(Job::preprocessed(command, program, text, has_root)),
            Input::Files(files) => {
                let cwd = PathBuf::from(OsString::from_vec(request.cwd.unwrap_or_default()));
                Job::with_files(command, program, cwd, files)
            }
        }
    }

    fn preprocessed(
        command: &ServerCommand,
        program: PathBuf,
        text: Vec<u8>,
        has_root: bool,
    ) -> Job {
        let given = &command.argv[command.source.word];
        let is_clang = Driver::guess(&[&command.argv[0]]).family == Family::Clang;
        let output = plain_name(&command.argv[command.output.word]);
        let as_given = (is_clang || !has_line_markers(&text))
            .then(|| dir_where_it_can_lie(given, has_root))
            .flatten()
            .map(|dir| (dir, given.clone()))
            .filter(|(dir, source)| resolve(dir, Path::new(source)) != dir.join(&output));
        let (dir, source) = as_given.unwrap_or_else(|| {
            let beside = Path::new(TEXT_DIR).join(last_name(given));
            (PathBuf::from(PLAIN_DIR), beside.into_os_string())
        });
        Job {
            program,
            argv: command.argv_for(&source, &output),
            outputs: vec![dir.join(output)],
            overlays: Vec::new(),
            files: vec![Entry::File(resolve(&dir, Path::new(&source)), text)],
            cwd: dir,
        }
    }

    fn with_files(
        command: &ServerCommand,
        program: PathBuf,
        cwd: PathBuf,
        files: Vec<SentFile>,
    ) -> Result<Job, BadFiles> {
        if !cwd.is_absolute() {
            return Err(BadFiles::Cwd(cwd.to_string_lossy().into_owned()));
        }
        let mut argv = command.argv.clone();
        argv.extend(command.dependency_argv(OsStr::new(DEPENDENCY_FILE)));
        let output = cwd.join(&command.argv[command.output.word]);
        let mut job = Job {
            program,
            argv,
            outputs: vec![output, PathBuf::from(DEPENDENCY_FILE)],
            overlays: Vec::new(),
            files: Vec::with_capacity(files.len()),
            cwd,
        };
        for file in files {
            job.add(file)?;
        }
        if !job.cwd.is_dir() {
            let cwd = job.cwd.clone();
            job.lay_over(&cwd);
        }
        if let Some(dir) = job.outputs[0].parent().map(Path::to_path_buf) {
            job.lay_over(&dir);
        }
        Ok(job)
    }

    fn add(&mut self, file: SentFile) -> Result<(), BadFiles> {
        let path = PathBuf::from(OsString::from_vec(file.name));
        if !path.is_absolute() {
            return Err(BadFiles::Name(path.to_string_lossy().into_owned()));
        }
        let entry = match file.body {
            Body::File(_) if path.file_name() == Some(OsStr::from_bytes(PLACEHOLDER)) => {
                let dir = path.parent().unwrap_or(Path::new("/")).to_path_buf();
                if is_servers(&dir) && dir.is_dir() {
                    return Ok(());
                }
                Entry::Dir(dir)
            }
            Body::File(content) => {
                let content = without_own_name(&path, content);
                if is_servers(&path) && is_file_with(&path, &content) {
                    return Ok(());
                }
                Entry::File(path, content)
            }
            Body::Link(target) => {
                let target = PathBuf::from(OsString::from_vec(target));
                let to_itself = resolve(path.parent().unwrap_or(Path::new("/")), &target) == path;
                let same = || fs::read_link(&path).is_ok_and(|here| here == target);
                if to_itself || (is_servers(&path) && same()) {
                    return Ok(());
                }
                Entry::Link(path, target)
            }
        };
        match &entry {
            Entry::Dir(dir) => self.lay_over(dir),
            Entry::File(path, _) | Entry::Link(path, _) => {
                self.lay_over(path.parent().unwrap_or(Path::new("/")));
            }
        }
        self.files.push(entry);
        Ok(())
    }

    /// Something of the job's own will be in this directory.
    fn lay_over(&mut self, dir: &Path) {
        let Some(dir) = without_links(dir) else {
            return;
        };
        if is_servers(&dir) && !self.overlays.contains(&dir) {
            self.overlays.push(dir);
        }
    }

    /// The preprocessed text, if that is all the input.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match &self.files[..] {
            [Entry::File(_, text)] => Some(text),
            _ => None,
        }
    }

    /// Hands the job's description to `run`.
    pub(crate) fn with_spec<T>(
        &self,
        env: &[(OsString, OsString)],
        limits: JobLimits,
        run: impl FnOnce(&JobSpec<'_>) -> T,
    ) -> T {
        let places: Vec<Place<'_>> = self
            .files
            .iter()
            .map(|entry| match entry {
                Entry::Dir(path) => Place::Dir(path),
                Entry::File(path, content) => Place::File { path, content },
                Entry::Link(path, target) => Place::Link { path, target },
            })
            .collect();
        let outputs: Vec<&Path> = self.outputs.iter().map(PathBuf::as_path).collect();
        let overlays: Vec<&Path> = self.overlays.iter().map(PathBuf::as_path).collect();
        run(&JobSpec {
            root: &JobRoot::Machine,
            program: &self.program,
            argv: &self.argv,
            env,
            adds_tmpdir: true,
            cwd: &self.cwd,
            places: &places,
            outputs: &outputs,
            overlays: &overlays,
            limits,
        })
    }
}

fn is_servers(path: &Path) -> bool {
    server_directory(path).is_some()
}

/// The path that a directory has on this server once links are followed, as far as it exists;
/// `None` if it leads through `..`.
fn without_links(dir: &Path) -> Option<PathBuf> {
    if !is_servers(dir) {
        return None;
    }
    let existing = dir.ancestors().find(|dir| dir.is_dir())?;
    let rest = dir.strip_prefix(existing).ok()?;
    let is_plain = rest
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    is_plain.then(|| Some(fs::canonicalize(existing).ok()?.join(rest)))?
}

/// The content without a `#line` in front that only says the file's own name. Clients of stock's servers put it there,
/// which compile the file at another path; here it would make the compiler show the wrong lines.
fn without_own_name(path: &Path, mut content: Vec<u8>) -> Vec<u8> {
    let name_in = |content: &[u8]| -> Option<(PathBuf, usize)> {
        let rest = content.strip_prefix(b"#line 1 \"")?;
        let quote = rest.iter().position(|&byte| byte == b'"')?;
        let is_whole_line = rest.get(quote + 1) == Some(&b'\n');
        let name = Path::new(OsStr::from_bytes(&rest[..quote]));
        let end = content.len() - rest.len() + quote + 2;
        (is_whole_line && name.is_absolute()).then(|| (resolve(Path::new("/"), name), end))
    };
    if let Some((name, end)) = name_in(&content)
        && name == path
    {
        content.drain(..end);
    }
    content
}

/// Is the same file here? Not read at all if the length differs.
fn is_file_with(path: &Path, content: &[u8]) -> bool {
    let len_is_same = fs::symlink_metadata(path)
        .is_ok_and(|data| data.is_file() && data.len() == content.len() as u64);
    len_is_same && fs::read(path).is_ok_and(|here| here == content)
}

/// The directory from which a client's path leads to a place of the job's own, if there is one.
fn dir_where_it_can_lie(path: &OsStr, has_root: bool) -> Option<PathBuf> {
    /// Levels up that are worth providing for.
    const UP_MAX: usize = 16;
    let is_option = path.as_bytes().starts_with(b"-");
    let path = Path::new(path);
    let is_taken = is_servers(path) || path.starts_with("/proc") || path.starts_with("/dev");
    let (mut up, mut names) = (0, 0);
    for part in path.components() {
        match part {
            Component::RootDir if has_root && !is_taken => {}
            Component::CurDir => {}
            Component::ParentDir if names == 0 && path.is_relative() => up += 1,
            Component::Normal(_) => names += 1,
            _ => return None,
        }
    }
    (names > 0 && up <= UP_MAX && !is_option).then(|| {
        let down: PathBuf = std::iter::repeat_n(TEXT_DIR, up).collect();
        Path::new(PLAIN_DIR).join(down)
    })
}

/// A path relative to a directory of our choice: the client's if it is nothing but names.
fn plain_name(path: &OsStr) -> OsString {
    let relative = Path::new(path);
    let is_plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        && !path.as_bytes().starts_with(b"-");
    if is_plain && !path.is_empty() {
        return path.to_os_string();
    }
    last_name(path)
}

/// The last part of a client's path, if it is fit for a name.
fn last_name(path: &OsStr) -> OsString {
    let last = Path::new(path).file_name();
    let fit = last.filter(|name| !name.as_bytes().starts_with(b"-"));
    fit.unwrap_or(OsStr::new("source")).to_os_string()
}

/// Does the text say where its lines come from? Preprocessors say so first.
fn has_line_markers(text: &[u8]) -> bool {
    let rest = text
        .strip_prefix(b"#line ")
        .or_else(|| text.strip_prefix(b"# "));
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// Where a link in `dir` leads, by its words alone; `..` at the root stays there.
fn resolve(dir: &Path, target: &Path) -> PathBuf {
    let mut path = PathBuf::from("/");
    for part in dir.join(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_jobs_directory() {
        for (name, expected) in [
            ("a.c", "a.c"),
            ("src/a.c", "src/a.c"),
            ("/home/user/a.c", "a.c"),
            ("../a.c", "a.c"),
            ("src/../../a.c", "a.c"),
            ("./a.c", "a.c"),
            ("..", "source"),
            ("/", "source"),
            ("", "source"),
            ("/x/-wrapper.c", "source"),
        ] {
            assert_eq!(plain_name(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn line_markers_are_seen() {
        for text in ["# 1 \"a.c\"\n", "# 0 \"a.c\"\n", "#line 1 \"a.c\"\n"] {
            assert!(has_line_markers(text.as_bytes()), "{text}");
        }
        for text in ["", "int x;", "#pragma once\n", "# define X"] {
            assert!(!has_line_markers(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_file_that_begins_with_its_own_name_loses_it() {
        let path = Path::new("/home/u/x.h");
        let without = |text: &str| {
            let content = without_own_name(path, text.as_bytes().to_vec());
            String::from_utf8(content).unwrap()
        };
        assert_eq!(without("#line 1 \"/home/u/x.h\"\nint x;\n"), "int x;\n");
        assert_eq!(without("#line 1 \"/home/u/d/../x.h\"\n"), "");
        for other in [
            "",
            "int x;\n",
            "#line 1 \"x.h\"\n",
            "#line 1 \"/home/u/y.h\"\n",
            "#line 1 \"/home/u/x.h",
            "#line 1 \"/home/u/x.h\" \n",
        ] {
            assert_eq!(without(other), other);
        }
    }

    #[test]
    fn links_out_of_stocks_root_lead_to_themselves() {
        let leads = |name: &str, target: &str| {
            resolve(Path::new(name).parent().unwrap(), Path::new(target)).into_os_string()
        };
        assert_eq!(
            leads("/usr/include", "../../../../../../usr/include"),
            "/usr/include"
        );
        assert_eq!(leads("/home/u/link.h", "h.h"), "/home/u/h.h");
        assert_eq!(leads("/home/u/link.h", "/x/./h.h"), "/x/h.h");
    }

    #[test]
    fn text_lies_where_the_client_says_if_nothing_is_there() {
        for (path, dir) in [
            ("a.c", Some("/tmp")),
            ("./src/a.c", Some("/tmp")),
            ("../../src/a.c", Some("/tmp/.distccd/.distccd")),
            ("/home/u/a.c", Some("/tmp")),
            ("src/../a.c", None),
            ("/home/../a.c", None),
            ("/usr/src/a.c", None),
            ("/proc/a.c", None),
            ("-a.c", None),
            ("..", None),
            ("/", None),
            ("", None),
        ] {
            let found = dir_where_it_can_lie(OsStr::new(path), true);
            assert_eq!(found.as_deref(), dir.map(Path::new), "{path}");
        }
        assert_eq!(dir_where_it_can_lie(OsStr::new("/home/a.c"), false), None);
    }

    #[test]
    fn only_clang_is_given_marked_text_under_the_clients_name() {
        let file = |compiler: &str, source: &str, text: &str| {
            let argv = [compiler, "-c", source, "-o", "o/a.o"].map(OsString::from);
            let command = cmdline::server_check(&argv, cmdline::Input::Preprocessed).unwrap();
            let job = Job::preprocessed(&command, "x".into(), text.into(), true);
            let [Entry::File(path, _)] = &job.files[..] else {
                panic!("{job:?}");
            };
            assert!(job.outputs[0].starts_with(&job.cwd));
            let word = &job.argv[command.source.word];
            (
                path.clone().into_os_string().into_string().unwrap(),
                word.to_string_lossy().into_owned(),
            )
        };
        let expect = |path: &str, word: &str| (path.to_owned(), word.to_owned());
        let marked = "# 1 \"a.c\"\n";
        assert_eq!(
            file("gcc", "../s/a.c", marked),
            expect("/tmp/.distccd/a.c", ".distccd/a.c")
        );
        assert_eq!(
            file("clang", "../s/a.c", marked),
            expect("/tmp/s/a.c", "../s/a.c")
        );
        assert_eq!(
            file("clang-14", "/s/a.c", marked),
            expect("/s/a.c", "/s/a.c")
        );
        assert_eq!(file("gcc", "s/a.c", ""), expect("/tmp/s/a.c", "s/a.c"));
    }

    fn sent(name: &str, body: Body) -> SentFile {
        SentFile {
            name: name.into(),
            body,
        }
    }

    fn job_with(files: Vec<SentFile>) -> Result<Job, BadFiles> {
        let argv = ["gcc", "-c", "a.c", "-o", "o/a.o"].map(OsString::from);
        let command = cmdline::server_check(&argv, cmdline::Input::Files).unwrap();
        Job::with_files(&command, "/usr/bin/gcc".into(), "/home/u".into(), files)
    }

    #[test]
    fn files_go_where_they_are_at_the_clients() {
        let job = job_with(vec![
            sent("/home/u/a.c", Body::File(b"int x;".to_vec())),
            sent("/home/u/link.h", Body::Link(b"a.h".to_vec())),
            sent("/home/u/d/forcing_technique_271828", Body::File(Vec::new())),
            sent(
                "/usr/include",
                Body::Link(b"../../../../usr/include".to_vec()),
            ),
        ])
        .unwrap();
        let expected = [
            Entry::File("/home/u/a.c".into(), b"int x;".to_vec()),
            Entry::Link("/home/u/link.h".into(), "a.h".into()),
            Entry::Dir("/home/u/d".into()),
        ];
        assert_eq!(job.files, expected);
        assert_eq!(job.outputs[0], Path::new("/home/u/o/a.o"));
        assert!(job.overlays.is_empty());
    }

    #[test]
    fn the_servers_directories_are_only_covered_where_they_differ() {
        let same = fs::read("/usr/include/stdio.h").unwrap();
        let job = job_with(vec![sent("/usr/include/stdio.h", Body::File(same))]).unwrap();
        assert_eq!((job.files.len(), job.overlays.len()), (0, 0));
        let other = Body::File(b"int other;".to_vec());
        let job = job_with(vec![sent("/usr/include/stdio.h", other)]).unwrap();
        assert_eq!(
            (job.files.len(), &job.overlays[..]),
            (1, &["/usr/include".into()][..])
        );
    }

    #[test]
    fn relative_names_are_refused() {
        let error = job_with(vec![sent("../a.h", Body::Link(b"x".to_vec()))]).unwrap_err();
        assert_eq!(error, BadFiles::Name("../a.h".to_owned()));
    }
}
