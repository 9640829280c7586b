//! The compiler's own list of the files that it has read on a worker, compared with what the scan found.
//!
//! A compile can only read what is in its input root, and in that is what the scan found. But also files that are there
//! for another reason: because something asked whether they exist, because an option names them. If the compiler reads
//! one of these, the scan has not understood the source, and what else it has missed nobody knows.
//!
//! The list costs next to nothing. Where the build asked for a dependency file, that is the list (with `-MMD` without
//! headers of the system). Else the compiler is asked by a variable, which neither its command line nor its output
//! shows. Compilers name files in the order in which they read them and as the scan spells them, so nearly always one
//! walk along both lists is enough; names that differ are compared by what they mean.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use cmdline::Family;
use reapi::{Command, OutputKind, OutputPath};
use scan::FileName;

use super::prepare::{Order, Prepared};
use super::result::Output;
use super::whole::WhyNot;
use crate::scanning::Found;

/// What is appended to the main output's name for the list.
const SUFFIX: &str = ".farcc-reads";

/// What is no file in Clang's list: it is there where the compiler reads preprocessed text, which names them.
const NO_FILES: &[&[u8]] = &[b"<built-in>", b"<command line>", b"<command-line>"];

/// Where the list is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum List {
    /// The dependency file that the build asked for.
    Asked(OsString),
    /// A file for us alone, which this family of compilers writes.
    Ours(Family),
}

/// What a compile is meant to read.
#[derive(Debug)]
pub(crate) struct Reads {
    list: List,
    /// How the action names the list, if it is for us alone.
    path: Option<String>,
    cwd: PathBuf,
    /// What the scan found. Not all that it says of each file: many compiles wait at a time.
    files: Box<[FileName]>,
}

impl Reads {
    /// `None` where Clang reads preprocessed text: its list has what that says to have been made of.
    pub(super) fn new(order: &Order, found: &Found) -> Option<Self> {
        let (it, family) = (&order.invocation, order.invocation.driver().family);
        if it.source_is_preprocessed() && family == Family::Clang {
            return None;
        }
        let list = match it.dependency() {
            Some(dependency) => List::Asked(dependency.file.clone()),
            None => List::Ours(family),
        };
        Some(Self {
            list,
            path: None,
            cwd: order.cwd.clone(),
            files: found.scan.files.iter().map(|it| it.name.clone()).collect(),
        })
    }

    /// Has a command write a list for us beside its first output, unless it writes one for the build.
    ///
    /// # Errors
    /// The list's name is no path.
    pub(super) fn ask(&mut self, command: &mut Command) -> Result<(), WhyNot> {
        let (List::Ours(family), Some(output)) = (&self.list, command.outputs.first()) else {
            return Ok(());
        };
        // GCC takes what is behind a space for something else.
        if output.path.contains([' ', '\t']) {
            return Ok(());
        }
        let path = format!("{}{SUFFIX}", output.path);
        let resolved = command.working_directory.join(&path);
        let variables: &[(&str, &str)] = match family {
            Family::Gcc => &[("SUNPRO_DEPENDENCIES", &path)],
            Family::Clang => &[("CC_PRINT_HEADERS", "1"), ("CC_PRINT_HEADERS_FILE", &path)],
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        command.environment.extend(variables.iter().map(owned));
        command.outputs.push(OutputPath {
            resolved: resolved.map_err(|_| WhyNot::Output(path.clone().into()))?,
            path: path.clone(),
            kind: OutputKind::File,
        });
        self.path = Some(path);
        Ok(())
    }

    /// How the action names the list, if it is for us alone.
    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }
}

impl Prepared {
    /// The first file that the compiler has read, by its own word, and the scan did not find. `listed` is the list that
    /// is for us alone, `outputs` are what came back.
    pub(crate) fn unexpected(&self, listed: Option<&Bytes>, outputs: &[Output]) -> Option<PathBuf> {
        // With a precompiled header the list names what that was made of.
        let reads = self.reads.as_ref().filter(|_| !self.uses_precompiled)?;
        let names = match &reads.list {
            List::Ours(Family::Clang) => lines(listed?),
            List::Ours(Family::Gcc) => cmdline::prerequisites(listed?),
            List::Asked(name) => {
                let asked = outputs.iter().find(|output| output.is_file(name));
                cmdline::prerequisites(&asked?.bytes)
            }
        };
        let is_meant_otherwise = |path: &Path| {
            let is_output = |(path_there, name): &(String, OsString)| {
                path == Path::new(path_there) || path == Path::new(name)
            };
            // Intermediate files of this compile; parts of the toolchain, which the action names.
            self.outputs.iter().any(is_output) || self.has_at(&reads.cwd.join(path))
        };
        let found: Vec<_> = reads.files.iter().map(FileName::spelled).collect();
        unexpected(&names, &found, &reads.cwd, is_meant_otherwise)
    }

    /// Whether the scan or the toolchain has the file that is at a path here.
    fn has_at(&self, path: &Path) -> bool {
        let Ok(real) = std::fs::canonicalize(path) else {
            return false;
        };
        let mut toolchain = self.installed.toolchain.entries().iter();
        let files = self.reads.iter().flat_map(|reads| &reads.files);
        let mut files = files.map(|file| std::fs::canonicalize(file.path()));
        toolchain.any(|entry| entry.path == real)
            || files.any(|found| found.is_ok_and(|it| it == real))
    }
}

/// The first of `names` that is not in `found`, and that is not meant otherwise.
fn unexpected(
    names: &[Cow<'_, [u8]>],
    found: &[&Path],
    cwd: &Path,
    is_meant_otherwise: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let all = OnceCell::new();
    let mut at = 0;
    for name in names {
        let name = bare(name);
        let is_it = |file: &&Path| bare(file.as_os_str().as_bytes()) == name;
        let (behind, ahead) = found.split_at(at);
        if let Some(steps) = ahead.iter().position(is_it) {
            at += steps + 1;
            continue;
        }
        // GCC lists a header again that it has found in two ways.
        if behind.iter().any(is_it) {
            continue;
        }
        let path = Path::new(OsStr::from_bytes(name));
        let meant = plain(cwd, path);
        let all = all.get_or_init(|| -> HashSet<PathBuf> {
            found.iter().map(|file| plain(cwd, file)).collect()
        });
        if !all.contains(&meant) && !is_meant_otherwise(path) {
            return Some(path.to_owned());
        }
    }
    None
}

/// A name without `./` before it, which compilers leave out of their lists.
fn bare(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name
}

/// What a name means where no directory on its way is a link. GCC shortens names of the system's headers.
fn plain(cwd: &Path, name: &Path) -> PathBuf {
    let mut plain = PathBuf::with_capacity(cwd.as_os_str().len() + 1 + name.as_os_str().len());
    for component in cwd.join(name).components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn lines(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty() && !NO_FILES.contains(line))
        .map(Cow::Borrowed)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is unexpected of a list, in GCC's form and in Clang's, when a scan in `/w` has found these files.
    fn check(found: &[&str], listed: &str, expect: Option<&str>) {
        let found: Vec<&Path> = found.iter().map(Path::new).collect();
        let rule = format!("a.o: {}\n", listed.replace('\n', " \\\n "));
        for names in [
            cmdline::prerequisites(rule.as_bytes()),
            lines(listed.as_bytes()),
        ] {
            let seen = unexpected(&names, &found, Path::new("/w"), |path| {
                path == Path::new("a.i")
            });
            assert_eq!(seen.as_deref(), expect.map(Path::new), "{names:?}");
        }
    }

    #[test]
    fn a_file_that_the_scan_has_not_found_is_told() {
        let found = ["a.c", "/usr/include/stdc-predef.h", "x.h", "sub/y.h"];
        check(
            &found,
            "a.c\n/usr/include/stdc-predef.h\nx.h\nsub/y.h",
            None,
        );
        check(&found, "x.h\nsub/z.h\nsub/y.h", Some("sub/z.h"));
        check(&found, "a.c\ny.h", Some("y.h"));
        check(&[], "a.c", Some("a.c"));
    }

    #[test]
    fn the_scan_may_have_found_more_and_in_another_order() {
        let found = ["a.c", "x.h", "y.h", "z.h"];
        check(&found, "z.h\na.c\ny.h", None);
        check(&found, "a.c\nx.h\na.c\ny.h\nx.h", None);
        check(&found, "", None);
    }

    #[test]
    fn names_may_be_shortened() {
        let found = [
            "./a.c",
            "/usr/lib/gcc/12/../../../include/c++/12/vector",
            "../w/b.h",
        ];
        check(&found, "a.c\n/usr/include/c++/12/vector\nb.h", None);
        check(
            &found,
            "/usr/lib/include/c++/12/vector",
            Some("/usr/lib/include/c++/12/vector"),
        );
    }

    #[test]
    fn files_of_the_compile_itself_are_no_surprise() {
        check(&["a.c"], "a.c\na.i", None);
    }

    #[test]
    fn what_is_no_file_is_not_missed() {
        let listed = lines(b"<built-in>\n<command line>\na.c\n");
        assert_eq!(listed, [b"a.c".as_slice()]);
    }

    #[test]
    fn the_list_is_read_as_make_reads_it() {
        let names = |text: &str| -> Vec<String> {
            let names = cmdline::prerequisites(text.as_bytes());
            names
                .iter()
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect()
        };
        assert_eq!(
            names("a.o: x\\ y.h a$$b.h \\\n  c\\#.h\n\nx.h:\n"),
            ["x y.h", "a$b.h", "c#.h"]
        );
        assert_eq!(names("t:u: \\\n b.h\n"), ["b.h"]);
        assert!(names("").is_empty() && names("no rule\n").is_empty());
        assert!(names("a.o:\n").is_empty());
    }
}
