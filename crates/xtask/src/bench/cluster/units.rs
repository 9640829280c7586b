//! The units that are built: commands in one form, which every peer can be given.
//!
//! Changed are only: the compiler's path (its name, as servers of distcc look for it by name), an output and a
//! dependency file by name, as CMake and Meson ask for them, `-march=native` (no peer but farcc distributes it), and an
//! option that marks the unit for the stand-in.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cmdline::{Driver, Mode};
use scan_check::units::Unit as Raw;
use store::{Digest, DigestFunction};

/// What the stand-in knows a unit by, with its key. GCC and Clang name internal symbols after it where they have to be
/// unique; every launcher passes it on.
pub(super) const MARK: &str = "-frandom-seed=farcc-unit-";

/// Ends the key of a recording whose dependency file names no file by an absolute path: siso accepts no others.
pub(super) const RELATIVE: &str = ".relative";

/// Options with a value that are about dependency files or the output.
const OUTPUT_OPTIONS: &[&str] = &["-o", "-MF", "-MT", "-MQ", "-MJ"];

/// Options that ask for dependency files.
const DEPENDENCY_OPTIONS: &[&str] = &["-MD", "-MMD", "-MP", "-MG"];

/// Directories of the system, which are not the project's.
const SYSTEM: &[&str] = &["/usr", "/lib", "/lib64", "/opt", "/etc"];

/// A unit.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Names its recording: changes with the command and with the source.
    pub(super) key: String,
    /// The compiler's name.
    pub(super) compiler: OsString,
    /// All words after it.
    pub(super) args: Vec<OsString>,
    pub(super) cwd: PathBuf,
    pub(super) source: PathBuf,
    pub(super) output: PathBuf,
    pub(super) dependencies: PathBuf,
}

/// Brings units into form; what is no compile of one source, or writes what another one writes, is left out.
pub(super) fn prepare(raw: &[Raw], more: &[String]) -> Vec<Unit> {
    let mut outputs = HashSet::new();
    let units = raw.iter().filter_map(|raw| Unit::new(raw, more));
    units
        .filter(|unit| outputs.insert(unit.output.clone()))
        .collect()
}

impl Unit {
    fn new(raw: &Raw, more: &[String]) -> Option<Self> {
        let name = Path::new(&raw.compiler).file_name()?;
        let mut read = |name: &OsStr| fs::read(raw.cwd.join(name)).ok();
        let it = cmdline::parse(&raw.args, Driver::guess(&[name]), &mut read);
        let is_compile = it.mode() == Mode::Compile && !it.source_is_preprocessed();
        let source = it.source().filter(|_| is_compile)?.to_owned();
        let path = raw.cwd.join(&source);
        let meta = fs::metadata(&path).ok()?;
        let output: PathBuf = match it.output() {
            Some(output) => output.into(),
            None => Path::new(path.file_name()?).with_extension("o"),
        };
        if output.starts_with("/dev") {
            return None;
        }
        let mut args = plain_words(&raw.args, &output);
        args.extend(more.iter().map(OsString::from));
        let key = key(name, &args, &raw.cwd, &output, &meta);
        let mut dependencies = output.clone().into_os_string();
        dependencies.push(".d");
        args.push((MARK.to_owned() + &key).into());
        args.extend(["-MD", "-MQ"].map(OsString::from));
        args.extend([output.clone().into(), "-MF".into(), dependencies.clone()]);
        args.extend(["-o".into(), output.clone().into()]);
        Some(Self {
            key,
            compiler: name.to_owned(),
            args,
            source: path,
            output: raw.cwd.join(output),
            dependencies: raw.cwd.join(dependencies),
            cwd: raw.cwd.clone(),
        })
    }

    /// Changes a source, and what its preprocessor makes of it, but not what is compiled. `name` is part of a C name.
    pub(super) fn edit(source: &Path, name: &str) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().append(true).open(source)?;
        let is_assembly = source
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("s"));
        match is_assembly {
            true => writeln!(file, "\n/* edited_{name} */"),
            false => writeln!(file, "\nextern int farcc_bench_edited_{name};"),
        }
    }
}

/// The words without outputs and dependency files.
fn plain_words(words: &[OsString], output: &Path) -> Vec<OsString> {
    let joined_output = format!("-o{}", output.display());
    let mut kept = Vec::with_capacity(words.len() + 8);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if OUTPUT_OPTIONS.contains(&&*text) {
            words.next();
            continue;
        }
        let is_joined = ["-MF", "-MT", "-MQ"].iter().any(|it| text.starts_with(it));
        let is_about_outputs = DEPENDENCY_OPTIONS.contains(&&*text)
            || is_joined
            || text == joined_output
            || text.starts_with("-Wp,-M");
        let is_native = ["-march=native", "-mtune=native", "-mcpu=native"].contains(&&*text);
        if !is_about_outputs && !is_native {
            kept.push(word.clone());
        }
    }
    kept
}

fn key(
    compiler: &OsStr,
    args: &[OsString],
    cwd: &Path,
    output: &Path,
    source: &fs::Metadata,
) -> String {
    let mut text = Vec::new();
    let places = [compiler, cwd.as_os_str(), output.as_os_str()];
    for word in args.iter().map(OsString::as_os_str).chain(places) {
        text.extend_from_slice(word.as_bytes());
        text.push(0);
    }
    let _infallible = write!(text, "{} {}", source.mtime(), source.size());
    const HEX_DIGITS: usize = 24;
    Digest::of(DigestFunction::Sha256, &text).hex()[..HEX_DIGITS].to_owned()
}

/// The directory that has everything of the project: sources, headers, what is built.
pub(super) fn project(units: &[Unit]) -> Result<PathBuf, String> {
    let mut root: Option<PathBuf> = None;
    let mut take = |path: &Path| {
        let is_systems = SYSTEM.iter().any(|dir| path.starts_with(dir));
        if !path.is_absolute() || is_systems {
            return;
        }
        root = Some(match root.take() {
            Some(root) => common(&root, path),
            None => path.to_owned(),
        });
    };
    for unit in units {
        take(&unit.cwd);
        take(&normal(unit.source.parent().unwrap_or(&unit.cwd)));
        for word in &unit.args {
            let text = word.to_string_lossy();
            let path = ["-I", "-isystem", "-iquote"]
                .iter()
                .find_map(|option| text.strip_prefix(option))
                .unwrap_or(&text);
            if !path.is_empty() && unit.cwd.join(path).is_dir() {
                take(&normal(&unit.cwd.join(path)));
            }
        }
    }
    root.filter(|root| root.components().count() > 1)
        .ok_or_else(|| "the units have no directory in common".to_owned())
}

/// Without `..`, as far as the file system tells.
fn normal(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn common(a: &Path, b: &Path) -> PathBuf {
    let pairs = a.components().zip(b.components());
    pairs.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}
