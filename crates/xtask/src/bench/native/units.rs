//! Units of a compilation database, laid out so that their sources can be edited: a copy of each source in a directory
//! of its own, which reads headers from where the original is.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cmdline::Driver;
use scan_check::units::Unit;

/// Options with a value that is a file for dependencies or the output.
const OUTPUT_OPTIONS: &[&str] = &["-o", "-MF", "-MT", "-MQ"];

/// Options that ask for dependency files.
const DEPENDENCY_OPTIONS: &[&str] = &["-MD", "-MMD", "-MP"];

/// A unit that can be edited.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Copy {
    pub(in crate::bench) compiler: OsString,
    /// All words but the output.
    pub(in crate::bench) args: Vec<OsString>,
    pub(in crate::bench) cwd: PathBuf,
    /// The copied source.
    source: PathBuf,
}

impl Copy {
    /// Copies a unit's source into `dir`. `None` for what is no compile of one source.
    pub(in crate::bench) fn make(unit: &Unit, dir: &Path, more: &[String]) -> Option<Self> {
        let mut read = |name: &OsStr| fs::read(unit.cwd.join(name)).ok();
        let it = cmdline::parse(&unit.args, Driver::guess(&[&unit.compiler]), &mut read);
        let original = it.source()?.to_owned();
        let path = unit.cwd.join(&original);
        let name = path.file_name()?;
        if !path.is_file() {
            return None;
        }
        fs::create_dir_all(dir).ok()?;
        let source = dir.join(name);
        fs::copy(&path, &source).ok()?;
        let mut args = vec!["-iquote".into(), path.parent()?.into()];
        let mut words = unit.args.iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy();
            if OUTPUT_OPTIONS.contains(&&*text) {
                words.next();
            } else if *word == original {
                args.push(source.clone().into());
            } else if !DEPENDENCY_OPTIONS.contains(&&*text) && !text.starts_with("-Wp,-M") {
                args.push(word.clone());
            }
        }
        args.extend(more.iter().map(OsString::from));
        Some(Self {
            compiler: unit.compiler.clone(),
            args,
            cwd: unit.cwd.clone(),
            source,
        })
    }

    /// Changes the source without changing what it means.
    pub(in crate::bench) fn edit(&self, round: usize) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().append(true).open(&self.source)?;
        writeln!(file, "/* edited {round} */")
    }
}
