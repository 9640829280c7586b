//! Which files a compile reads, on this machine: the scanner with real files and real compilers.
//!
//! The scanner itself (crate `scan`) touches nothing. Here it gets the file system ([`Disk`]) and what compilers say
//! of themselves: asked once per compiler file, options that matter, and variables that lead it elsewhere. What it was
//! asked with some options it is asked with the next ones at once (`scan::AtOnce`), so that each costs one start of it.

mod ask;
mod disk;
mod layout;
pub(crate) mod links;
mod parcel;
mod service;
mod watched;
mod why_text;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cmdline::{Driver, Invocation};
use scan::{
    Language, Moment, Options, Question, Request, Scan, Scanner, Stamp, Toolchain, ToolchainId,
};

pub use ask::AskError;
use ask::Asker;
pub(crate) use ask::NOT_IN_QUESTIONS;
pub use disk::Disk;
pub(crate) use disk::stamp;
pub(crate) use parcel::Parcel;
pub(crate) use service::{Order, ScanService};
use watched::{Watched, WatchedDisk};
pub(crate) use why_text::WhyText;
pub use why_text::describe;

/// Rounds of questions and answers: an answer can lead to headers with other questions.
const ROUNDS_MAX: usize = 4;

/// Most toolchains (compiler, options and language) that are remembered; beyond that everything is forgotten. A build
/// has a handful, each of some 20 KiB.
const TOOLCHAINS_MAX: usize = 512;

/// Most questions that are asked before the scanner has them. A build has some dozens, each of 20 lines to the compiler.
const QUESTIONS_AHEAD_MAX: usize = 256;

/// Variables that change which programs a compiler runs or what it says.
const QUESTION_VARIABLES: &[&str] = &["COMPILER_PATH", "GCC_EXEC_PREFIX", "PATH"];

/// One compile.
#[derive(Debug, Clone)]
pub struct Compile<'a> {
    /// The compiler as it was called.
    pub compiler: &'a OsStr,
    /// Where it is; relative to the working directory unless absolute.
    pub compiler_path: &'a Path,
    /// Its command line, understood.
    pub invocation: &'a Invocation,
    /// Its working directory; absolute.
    pub cwd: &'a Path,
    /// Its environment, as far as it matters.
    pub env: &'a [(OsString, OsString)],
}

/// What a scan found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The files.
    pub scan: Scan,
    /// Where the compiler looks for headers by itself: normal absolute paths that exist, none inside another.
    pub system_dirs: Vec<PathBuf>,
    /// `CPATH` or a relative of it adds to the search.
    pub has_search_variables: bool,
}

/// What kind of thing [`Found::places`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// A file, by its real path.
    File,
    /// A symbolic link on the way to one.
    Link,
    /// A directory that must be there although it holds none of the others.
    Dir,
    /// A directory of the compiler's own, whose files are not listed.
    SystemDir,
}

impl Found {
    /// Everything that has to be at its place for the compile, apart from the system's headers. `named` are the
    /// directories and files that options name.
    ///
    /// # Errors
    /// A path that leads nowhere, in words.
    pub fn places(
        &self,
        cwd: &Path,
        named: &[OsString],
    ) -> Result<Vec<(PlaceKind, PathBuf)>, String> {
        let laid = layout::lay_out(self, cwd, named).map_err(|error| error.to_string())?;
        let files = laid
            .files
            .into_iter()
            .map(|(path, _)| (PlaceKind::File, path));
        let links = laid
            .links
            .into_iter()
            .map(|(path, _)| (PlaceKind::Link, path));
        let system = laid
            .system
            .into_iter()
            .map(|(path, _)| (PlaceKind::SystemDir, path));
        let dirs = laid.dirs.into_iter().map(|path| (PlaceKind::Dir, path));
        Ok(files.chain(links).chain(system).chain(dirs).collect())
    }

    /// Whether a file is one of the system's: in a directory where the compiler looks by itself.
    #[must_use]
    pub fn is_system(&self, file: &Path) -> bool {
        let real = fs::canonicalize(file);
        let real = real.as_deref().unwrap_or(file);
        self.system_dirs.iter().any(|dir| real.starts_with(dir))
    }

    /// Why a host that takes source and headers gets preprocessed text after all; `named` as for
    /// [`Found::places`].
    #[must_use]
    pub fn why_text(&self, named: &[OsString]) -> Option<String> {
        why_text::check(self, named)
            .err()
            .map(|why| why.to_string())
    }
}

/// The compiler behind a name: the first program of that name in `search` (the value of `PATH`) that is none of ours,
/// and whose command line it has.
#[must_use]
pub fn find_compiler(name: &OsStr, search: &OsStr) -> Option<(PathBuf, Driver)> {
    let (path, links) = crate::compilers::find_real(search, name)?;
    let mut names = vec![name];
    names.extend(links.iter().map(OsString::as_os_str));
    Some((path, Driver::guess(&names)))
}

/// Everything that the answers of a compiler depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    compiler: OsString,
    path: PathBuf,
    identity: Stamp,
    variables: Vec<Option<OsString>>,
    words: Vec<OsString>,
    /// Part of the words.
    language: Option<Language>,
    /// Only where a word names a file relative to it.
    cwd: Option<PathBuf>,
}

#[derive(Debug)]
struct Known {
    id: ToolchainId,
    asker: Asker,
    system_dirs: Vec<PathBuf>,
    /// What it has answered besides: likely to be asked again with other options.
    answered: Vec<Question>,
}

/// A scanner with the compilers that it has met.
#[derive(Debug, Default)]
pub struct Scanning {
    scanner: Scanner,
    known: HashMap<Key, Known>,
    moment: Moment,
    watched: Watched,
}

impl Scanning {
    /// A scanner that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, compiles that have been asked for before this call share looks at files.
    pub fn begin_moment(&mut self) {
        self.moment = self.moment.next();
        self.watched.ask();
    }

    /// Finds the files that a compile reads. Runs the compiler to ask it about itself where that is not known yet.
    ///
    /// # Errors
    /// The compiler does not answer.
    pub fn scan(&mut self, compile: &Compile<'_>) -> Result<Found, AskError> {
        let options = options(compile.invocation);
        let key = key(compile, &options)?;
        if !self.known.contains_key(&key) {
            self.meet(key.clone(), compile)?;
        }
        let known = self.known.get_mut(&key).expect("it was met just now");
        let variables = SearchVariables::of(compile, &options);
        let request = variables.request(known.id, compile, &options);
        if self.moment == Moment::OWN {
            self.watched.ask();
        }
        let mut disk = WatchedDisk {
            disk: Disk::at(self.moment),
            watched: &mut self.watched,
        };
        let mut scan = self.scanner.scan(&mut disk, &request);
        for _ in 0..ROUNDS_MAX {
            if scan.questions.is_empty() {
                break;
            }
            let answers = known.asker.answers(&scan.questions);
            if answers.is_empty() {
                break;
            }
            self.scanner.answer(known.id, &answers);
            known
                .answered
                .extend(answers.into_iter().map(|(question, _)| question));
            scan = self.scanner.scan(&mut disk, &request);
        }
        Ok(Found {
            scan,
            system_dirs: known.system_dirs.clone(),
            has_search_variables: variables.is_any(),
        })
    }

    /// The same for a source that includes nothing and is compiled with `-nostdinc`: whatever a compiler says of itself
    /// makes no difference, so none is asked.
    pub(crate) fn scan_alone(&mut self, compile: &Compile<'_>) -> Found {
        let options = options(compile.invocation);
        let variables = SearchVariables::of(compile, &options);
        let mut scanner = Scanner::new();
        let id = scanner.learn(Toolchain::without_answers());
        let request = variables.request(id, compile, &options);
        Found {
            scan: scanner.scan(&mut Disk::at(self.moment), &request),
            system_dirs: Vec::new(),
            has_search_variables: variables.is_any(),
        }
    }

    fn meet(&mut self, key: Key, compile: &Compile<'_>) -> Result<(), AskError> {
        let asker = Asker {
            compiler: key.compiler.clone(),
            path: key.path.clone(),
            words: key.words.clone(),
            cwd: compile.cwd.to_owned(),
            env: compile.env.to_vec(),
        };
        let questions = self.answered_with_other_options(&key);
        let (toolchain, answers) = asker.toolchain(&questions)?;
        if self.known.len() >= TOOLCHAINS_MAX {
            self.scanner = Scanner::new();
            self.known.clear();
        }
        let system_dirs = outermost(toolchain.dirs());
        let id = self.scanner.learn(toolchain);
        if !answers.is_empty() {
            self.scanner.answer(id, &answers);
        }
        let answered = answers.into_iter().map(|(question, _)| question);
        self.known.insert(
            key,
            Known {
                id,
                asker,
                system_dirs,
                answered: answered.collect(),
            },
        );
        Ok(())
    }

    /// What the same compiler has answered for the same language, each question once.
    fn answered_with_other_options(&self, key: &Key) -> Vec<Question> {
        let is_alike = |other: &Key| {
            other.path == key.path
                && other.identity == key.identity
                && other.language == key.language
        };
        let alike = self.known.iter().filter(|(other, _)| is_alike(other));
        let questions: BTreeSet<_> = alike.flat_map(|(_, known)| &known.answered).collect();
        questions
            .into_iter()
            .take(QUESTIONS_AHEAD_MAX)
            .cloned()
            .collect()
    }
}

/// Directories that variables add to the search.
struct SearchVariables {
    cpath: Vec<PathBuf>,
    language_path: Vec<PathBuf>,
}

impl SearchVariables {
    fn of(compile: &Compile<'_>, options: &Options) -> Self {
        let of = |name| directories(compile.env, name);
        Self {
            cpath: of("CPATH"),
            language_path: language_variable(options).map(of).unwrap_or_default(),
        }
    }

    fn is_any(&self) -> bool {
        !self.cpath.is_empty() || !self.language_path.is_empty()
    }

    fn request<'a>(
        &'a self,
        toolchain: ToolchainId,
        compile: &Compile<'a>,
        options: &'a Options,
    ) -> Request<'a> {
        Request {
            toolchain,
            options,
            cwd: compile.cwd,
            cpath: &self.cpath,
            language_path: &self.language_path,
        }
    }
}

/// The scanner's view of the command line. It judges the language by the file's name, the C++ drivers do not.
fn options(invocation: &Invocation) -> Options {
    let options = by_name(invocation);
    if invocation.makes_header() {
        return options.making_precompiled();
    }
    options
}

fn by_name(invocation: &Invocation) -> Options {
    let options = Options::parse(invocation.args());
    let is_cxx = invocation.driver().cxx && invocation.language() == Some(cmdline::Language::Cxx);
    if is_cxx && options.language() == Some(Language::Source("c")) {
        let mut args: Vec<OsString> = vec!["-x".into(), "c++".into()];
        args.extend_from_slice(invocation.args());
        return Options::parse(&args);
    }
    options
}

fn key(compile: &Compile<'_>, options: &Options) -> Result<Key, AskError> {
    let path = compile.cwd.join(compile.compiler_path);
    let metadata = fs::metadata(&path).map_err(|source| AskError::Run {
        compiler: path.clone(),
        source,
    })?;
    let mut words = options.told().to_vec();
    if let Some(language) = options.language() {
        words.extend(["-x".into(), language.option().into()]);
    }
    let cwd = words
        .iter()
        .any(|word| ask::names_file(word))
        .then(|| compile.cwd.to_owned());
    Ok(Key {
        compiler: compile.compiler.to_owned(),
        path,
        identity: stamp(&metadata),
        variables: QUESTION_VARIABLES
            .iter()
            .map(|name| var(compile.env, name).cloned())
            .collect(),
        words,
        language: options.language(),
        cwd,
    })
}

fn var<'a>(env: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsString> {
    env.iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The variable that adds directories for a language.
fn language_variable(options: &Options) -> Option<&'static str> {
    Some(match options.language()? {
        Language::Source("c") => "C_INCLUDE_PATH",
        Language::Source("c++") => "CPLUS_INCLUDE_PATH",
        Language::Source("objective-c") => "OBJC_INCLUDE_PATH",
        Language::Source("objective-c++") => "OBJCPLUS_INCLUDE_PATH",
        _ => return None,
    })
}

/// The directories of a variable; an empty one is the working directory, an empty variable is none.
fn directories(env: &[(OsString, OsString)], name: &str) -> Vec<PathBuf> {
    let Some(value) = var(env, name).filter(|value| !value.is_empty()) else {
        return Vec::new();
    };
    let dirs = value.as_bytes().split(|&byte| byte == b':');
    dirs.map(|dir| match dir {
        b"" => PathBuf::from("."),
        dir => PathBuf::from(OsString::from_vec(dir.to_vec())),
    })
    .collect()
}

/// The real paths of directories, without those inside others.
fn outermost(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| fs::canonicalize(dir).ok())
        .collect();
    real.sort();
    real.dedup_by(|inner, outer| inner.starts_with(outer));
    real
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct World {
        temp: tempfile::TempDir,
        scanning: Scanning,
    }

    impl World {
        /// With `cc`, which counts how often it is started and is the compiler of that name.
        fn new(compiler: &str) -> Self {
            let temp = tempfile::tempdir().unwrap();
            let script = format!("#!/bin/sh\necho >> asked\nexec {compiler} \"$@\"\n");
            fs::write(temp.path().join("cc"), script).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(temp.path().join("cc"), mode).unwrap();
            fs::create_dir(temp.path().join("inc")).unwrap();
            Self {
                temp,
                scanning: Scanning::new(),
            }
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.temp.path().join(name), text).unwrap();
        }

        fn asked(&self) -> usize {
            let asked = fs::read(self.temp.path().join("asked"));
            asked.unwrap_or_default().len()
        }

        fn files(&self, found: &Found) -> Vec<PathBuf> {
            assert!(found.scan.is_certain(), "{:?}", found.scan.doubts);
            let files = found
                .scan
                .files
                .iter()
                .map(|file| file.spelled().to_owned());
            files.collect()
        }

        fn with<T>(&mut self, line: &str, scan: impl Fn(&mut Scanning, &Compile<'_>) -> T) -> T {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let driver = Driver::guess(&[OsStr::new("cc")]);
            let compile = Compile {
                compiler: OsStr::new("cc"),
                compiler_path: &self.temp.path().join("cc"),
                invocation: &cmdline::parse(&words, driver, &mut |_| None),
                cwd: self.temp.path(),
                env: &[("PATH".into(), std::env::var_os("PATH").unwrap_or_default())],
            };
            scan(&mut self.scanning, &compile)
        }

        fn scan(&mut self, line: &str) -> Vec<PathBuf> {
            let found = self.with(line, |scanning, compile| scanning.scan(compile).unwrap());
            self.files(&found)
        }
    }

    #[test]
    fn another_set_of_options_costs_one_start_of_the_compiler() {
        let mut world = World::new("gcc");
        world.write("inc/a.h", "");
        let condition = "__has_builtin(__builtin_expect) && __has_attribute(__noreturn__)";
        world.write(
            "a.c",
            &format!("#if {condition}\n#include \"a.h\"\n#endif\n"),
        );
        let first = world.scan("-Iinc -O2 -c a.c");
        assert!(first.contains(&"inc/a.h".into()), "{first:?}");
        // What it says of itself, and what the source wants to know.
        assert_eq!(world.asked(), 2);
        assert_eq!(world.scan("-Iinc -O2 -fPIC -c a.c"), first);
        assert_eq!(world.asked(), 3);
        assert_eq!(world.scan("-Iinc -DX -O2 -g -c a.c"), first);
        assert_eq!(world.asked(), 3);
    }

    #[test]
    fn a_source_that_includes_nothing_takes_no_answer() {
        let mut world = World::new("gcc");
        world.write("a.c", "int x;\n");
        let line = "-nostdinc -O2 -c a.c";
        let alone = world.with(line, Scanning::scan_alone);
        assert_eq!(
            (world.files(&alone), world.asked()),
            (vec!["a.c".into()], 0)
        );
        assert_eq!(world.scan(line), ["a.c"].map(PathBuf::from));
    }

    /// Clang prints no list of directories if there is none.
    #[test]
    fn no_directory_at_all() {
        if find_compiler(OsStr::new("clang-14"), OsStr::new("/usr/bin")).is_none() {
            eprintln!("skipped: no clang-14");
            return;
        }
        let mut world = World::new("clang-14");
        world.write("inc/a.h", "");
        world.write(
            "a.c",
            "#include <a.h>\n#if __has_include(<stdio.h>)\n#error\n#endif\n",
        );
        let found = world.scan("-nostdinc -Iinc -c a.c");
        assert_eq!(found, ["a.c", "inc/a.h"].map(PathBuf::from));
    }
}
