//! Which programs clients may run, and where they are.
//!
//! Stock's rule since 3.3: the name that a client gives must be in a directory of links
//! (`/usr/lib/distcc`, the masquerade directory), or, with `DISTCC_CMDLIST`, match a line of that
//! file; without either, stock refuses to start. This server differs in one point: where the
//! directories of links are missing or empty, names of GCC and Clang (with triple and version) that
//! are found in `PATH` are allowed. That is what the directory holds after
//! `update-distcc-symlinks`, so it gives away nothing more, and a server works without that step,
//! which people have lost days over. Nothing else is ever run, unless `--enable-tcp-insecure`.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Directories whose entries name the allowed compilers.
const LINK_DIRS: &[&str] = &[
    "/usr/lib/distcc",
    "/usr/lib64/distcc",
    "/usr/libexec/distcc",
    "/usr/local/lib/distcc",
];

/// Directories that a client may write before a compiler's name.
const NAME_PREFIXES: &[&str] = &["/bin/", "/usr/bin/"];

/// Base names of compilers that are allowed where there is no directory of links. `TRIPLE-` may
/// stand before them and `-VERSION` behind.
const BASE_NAMES: &[&str] = &[
    "c++", "c89", "c89-gcc", "c99", "c99-gcc", "cc", "clang", "clang++", "g++", "gcc",
];

/// Programs that hand a compile on to somebody else: never a compiler, whatever they are called.
const CLIENTS: &[&str] = &["distcc", "farcc"];

/// What this needs of the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `DISTCCD_PATH`, or `PATH`.
    pub(crate) path: OsString,
    /// `DISTCC_CMDLIST`: a file of allowed programs, one full path a line.
    pub(crate) cmdlist: Option<PathBuf>,
    /// `DISTCC_CMDLIST_NUMWORDS`: how many last words of the path must match; 1 if not given.
    pub(crate) cmdlist_words: Option<usize>,
}

/// Which names are allowed.
#[derive(Debug)]
enum Rule {
    /// Any.
    Any,
    /// Those of the directories of links.
    Names(BTreeSet<OsString>),
    /// Those that look like GCC and Clang.
    BuiltIn,
    /// Those that end like one of these.
    List {
        programs: Vec<PathBuf>,
        words: usize,
    },
}

/// The compilers of this server.
#[derive(Debug)]
pub(crate) struct Compilers {
    rule: Rule,
    dirs: Vec<PathBuf>,
}

/// Why there is nothing to serve with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCompilers {
    #[error("cannot read the list of programs {path} (DISTCC_CMDLIST): {source}")]
    List {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "no compiler found: nothing in /usr/lib/distcc, and no gcc or clang in PATH ({path}); install one, or set DISTCCD_PATH or DISTCC_CMDLIST"
    )]
    None { path: String },
}

/// Why a client's compiler is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCompiler {
    #[error(
        "\"{name}\" is not on this server's list of compilers ({list}): add it there, or name another compiler"
    )]
    NotAllowed { name: String, list: &'static str },
    #[error(
        "\"{name}\" is not in this server's PATH: install that compiler here, or name one by its exact version and triple"
    )]
    Missing { name: String },
}

impl Compilers {
    /// Finds out what is allowed and that there is something. With `any`, everything is.
    pub(crate) fn load(environment: &Environment, any: bool) -> Result<Compilers, NoCompilers> {
        let dirs = std::env::split_paths(&environment.path)
            .filter(|dir| dir.is_absolute() && !is_link_dir(dir))
            .collect();
        let rule = if let Some(path) = &environment.cmdlist {
            let text = fs::read(path).map_err(|source| NoCompilers::List {
                path: path.clone(),
                source,
            })?;
            let words = environment.cmdlist_words.unwrap_or(1).max(1);
            Rule::List {
                programs: parse_list(&text),
                words,
            }
        } else if any {
            Rule::Any
        } else {
            let names = names_in(LINK_DIRS);
            if names.is_empty() {
                Rule::BuiltIn
            } else {
                Rule::Names(names)
            }
        };
        let compilers = Compilers { rule, dirs };
        if compilers.has_some() {
            Ok(compilers)
        } else {
            let path = environment.path.to_string_lossy().into_owned();
            Err(NoCompilers::None { path })
        }
    }

    /// No compilers, for a server whose clients send their own.
    pub(crate) fn none() -> Compilers {
        Compilers {
            rule: Rule::Names(BTreeSet::new()),
            dirs: Vec::new(),
        }
    }

    /// Is anything allowed that exists?
    fn has_some(&self) -> bool {
        match &self.rule {
            Rule::BuiltIn => BASE_NAMES
                .iter()
                .any(|name| self.search(OsStr::new(name)).is_some()),
            Rule::Any | Rule::Names(_) | Rule::List { .. } => true,
        }
    }

    /// The program to run for the name that a client gave.
    pub(crate) fn find(&self, name: &OsStr) -> Result<PathBuf, NoCompiler> {
        let shown = || name.to_string_lossy().into_owned();
        let plain = strip_prefix(name);
        let refuse = |list| {
            Err(NoCompiler::NotAllowed {
                name: shown(),
                list,
            })
        };
        match &self.rule {
            Rule::List { programs, words } => {
                let found = programs
                    .iter()
                    .find(|program| ends_alike(program, name, *words));
                return found.cloned().map_or_else(|| refuse("DISTCC_CMDLIST"), Ok);
            }
            Rule::Names(names) if !names.contains(plain) => return refuse("/usr/lib/distcc"),
            Rule::BuiltIn if !is_compiler_name(plain) => {
                return refuse("gcc, clang and their like");
            }
            Rule::Any | Rule::Names(_) | Rule::BuiltIn => {}
        }
        let missing = NoCompiler::Missing { name: shown() };
        if name.as_bytes().contains(&b'/') {
            let path = PathBuf::from(name);
            let is_there = path.is_absolute() && is_program(&path);
            return if is_there { Ok(path) } else { Err(missing) };
        }
        self.search(name).ok_or(missing)
    }

    /// The first program of this name that is no client of ours.
    fn search(&self, name: &OsStr) -> Option<PathBuf> {
        if name.is_empty() || name == "." || name == ".." {
            return None;
        }
        self.dirs
            .iter()
            .map(|dir| dir.join(name))
            .find(|path| is_program(path))
    }

    /// `PATH` for compilers.
    pub(crate) fn path(&self) -> OsString {
        std::env::join_paths(&self.dirs).unwrap_or_default()
    }

    /// Paths outside of the system's directories that jobs must see for the compilers to run:
    /// the programs themselves, and the whole tree of a toolchain that has one to itself. Links
    /// lead there from the system's directories too.
    pub(crate) fn outside_system(&self) -> Vec<PathBuf> {
        let mut programs = match &self.rule {
            Rule::List { programs, .. } => programs.clone(),
            Rule::Any | Rule::Names(_) | Rule::BuiltIn => Vec::new(),
        };
        let entries = self.dirs.iter().filter_map(|dir| fs::read_dir(dir).ok());
        programs.extend(
            entries
                .flatten()
                .flatten()
                .filter(|entry| is_compiler_name(&entry.file_name()))
                .map(|entry| entry.path()),
        );
        let mut paths = BTreeSet::new();
        for program in programs {
            // Both the name and what it leads to: the name is what gets executed.
            let real = fs::canonicalize(&program).ok();
            for path in [Some(program), real].into_iter().flatten() {
                paths.insert(toolchain_root(&path).unwrap_or(path));
            }
        }
        paths
            .into_iter()
            .filter(|path| sys::sandbox::server_directory(path).is_none())
            .collect()
    }
}

/// `PREFIX` of `PREFIX/bin/NAME`, if it looks like the home of a toolchain rather than of a person.
fn toolchain_root(program: &Path) -> Option<PathBuf> {
    let bin = program.parent()?;
    let prefix = bin
        .parent()
        .filter(|prefix| bin.ends_with("bin") && prefix.parent().is_some())?;
    let is_toolchain = [
        "lib/gcc",
        "lib64/gcc",
        "libexec/gcc",
        "lib/clang",
        "lib64/clang",
    ]
    .iter()
    .any(|dir| prefix.join(dir).is_dir());
    is_toolchain.then(|| prefix.to_path_buf())
}

fn is_link_dir(dir: &Path) -> bool {
    dir.components().any(|part| part.as_os_str() == "distcc")
}

fn names_in(dirs: &[&str]) -> BTreeSet<OsString> {
    let entries = dirs
        .iter()
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .flatten();
    entries
        .filter(|entry| is_executable(&entry.path()))
        .map(|entry| entry.file_name())
        .collect()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Is this an executable file, and no client that would send the compile away again?
fn is_program(path: &Path) -> bool {
    let is_client = |path: &Path| {
        path.file_name()
            .is_some_and(|name| CLIENTS.iter().any(|client| name == *client))
    };
    is_executable(path) && !fs::canonicalize(path).is_ok_and(|path| is_client(&path))
}

/// The name without the directories that are allowed before it.
fn strip_prefix(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    let plain = NAME_PREFIXES
        .iter()
        .find_map(|prefix| bytes.strip_prefix(prefix.as_bytes()));
    OsStr::from_bytes(plain.unwrap_or(bytes))
}

fn parse_list(text: &[u8]) -> Vec<PathBuf> {
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    lines
        .filter(|line| line.starts_with(b"/"))
        .map(|line| PathBuf::from(OsStr::from_bytes(line)))
        .collect()
}

/// Are the last `words` parts of both paths the same? A shorter name never matches.
fn ends_alike(program: &Path, name: &OsStr, words: usize) -> bool {
    let last = |path: &Path| -> Option<Vec<OsString>> {
        let parts: Vec<OsString> = path
            .components()
            .filter_map(|part| match part {
                Component::Normal(part) => Some(part.to_os_string()),
                _ => None,
            })
            .collect();
        parts
            .len()
            .checked_sub(words)
            .map(|start| parts[start..].to_vec())
    };
    let wanted = last(Path::new(name));
    wanted.is_some() && wanted == last(program)
}

/// `[TRIPLE-]BASE[-VERSION]` of the compilers known here.
fn is_compiler_name(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let base = match name.rsplit_once('-') {
        Some((base, version)) if is_version(version) => base,
        _ => name,
    };
    BASE_NAMES.iter().any(|known| {
        base.strip_suffix(known).is_some_and(|before| {
            before.is_empty() || before.strip_suffix('-').is_some_and(is_triple)
        })
    })
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// Two to four words, such as `aarch64-linux-gnu` and `x86_64-pc-linux-gnu`.
fn is_triple(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
    };
    (2..=4).contains(&text.split('-').count()) && text.split('-').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(LINK_DIRS.is_sorted() && BASE_NAMES.is_sorted() && CLIENTS.is_sorted());
    }

    #[test]
    fn compilers_are_known_by_name() {
        for name in "gcc g++ cc c++ clang clang++ gcc-12 clang++-14 gcc-4.9.3 c99-gcc \
             x86_64-linux-gnu-gcc x86_64-pc-linux-gnu-g++-13 arm-none-eabi-gcc \
             x86_64-w64-mingw32-gcc-12.2 aarch64-linux-gnu-clang"
            .split_whitespace()
        {
            assert!(is_compiler_name(OsStr::new(name)), "{name}");
        }
        for name in "gcc-ar gcc-ranlib-12 sh distcc gcc- -gcc evil-gcc gcc-12x a-b-c-d-e-gcc \
             ../gcc x/../gcc gccx clang-format clang-tidy-14 python3 ld"
            .split_whitespace()
        {
            assert!(!is_compiler_name(OsStr::new(name)), "{name}");
        }
    }

    fn program(dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn a_list_matches_by_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let gcc = program(dir.path(), "cross/bin/gcc");
        let list = dir.path().join("list");
        fs::write(&list, format!("# comment\n{}\nrelative\n", gcc.display())).unwrap();
        let mut environment = Environment {
            cmdlist: Some(list),
            ..Environment::default()
        };
        let compilers = Compilers::load(&environment, false).unwrap();
        for name in ["gcc", "/usr/bin/gcc", "x/gcc"] {
            assert_eq!(compilers.find(OsStr::new(name)), Ok(gcc.clone()), "{name}");
        }
        assert!(compilers.find(OsStr::new("g++")).is_err());
        assert_eq!(compilers.outside_system(), std::slice::from_ref(&gcc));

        environment.cmdlist_words = Some(2);
        let compilers = Compilers::load(&environment, false).unwrap();
        assert_eq!(compilers.find(OsStr::new("bin/gcc")), Ok(gcc));
        assert!(compilers.find(OsStr::new("gcc")).is_err());
        assert!(compilers.find(OsStr::new("sbin/gcc")).is_err());
    }

    #[test]
    fn compilers_outside_the_system_are_found_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let wrapper = program(&root, "wrappers/gcc");
        let real = program(&root, "opt/gcc-13/bin/g++");
        fs::create_dir_all(root.join("opt/gcc-13/lib/gcc")).unwrap();
        let link = root.join("wrappers/g++");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        program(&root, "wrappers/other");
        let environment = Environment {
            path: root.join("wrappers").into(),
            ..Environment::default()
        };
        let compilers = Compilers::load(&environment, true).unwrap();
        assert_eq!(
            compilers.outside_system(),
            [root.join("opt/gcc-13"), link, wrapper]
        );
    }

    #[test]
    fn clients_and_other_places_are_never_compilers() {
        let dir = tempfile::tempdir().unwrap();
        let client = program(dir.path(), "client/distcc");
        fs::create_dir(dir.path().join("first")).unwrap();
        std::os::unix::fs::symlink(client, dir.path().join("first/gcc")).unwrap();
        let gcc = program(dir.path(), "second/gcc");
        let dirs = [dir.path().join("first"), dir.path().join("second")];
        let compilers = Compilers {
            rule: Rule::BuiltIn,
            dirs: dirs.to_vec(),
        };
        assert_eq!(compilers.find(OsStr::new("gcc")), Ok(gcc.clone()));
        for name in [
            "sh",
            "/usr/bin/sh",
            "./gcc",
            "",
            "..",
            "/usr/bin/../bin/gcc",
            "a/gcc",
        ] {
            let error = compilers.find(OsStr::new(name)).unwrap_err();
            assert!(
                matches!(error, NoCompiler::NotAllowed { .. }),
                "{name}: {error}"
            );
        }
        // An absolute path means that very file.
        let absolute = compilers.find(gcc.as_os_str()).unwrap_err();
        assert!(
            matches!(absolute, NoCompiler::NotAllowed { .. }),
            "{absolute}"
        );
        let missing = compilers.find(OsStr::new("gcc-99")).unwrap_err();
        assert!(matches!(missing, NoCompiler::Missing { .. }), "{missing}");
    }

    #[test]
    fn without_any_compiler_there_is_nothing_to_serve() {
        let dir = tempfile::tempdir().unwrap();
        let compilers = Compilers {
            rule: Rule::BuiltIn,
            dirs: vec![dir.path().to_path_buf()],
        };
        assert!(!compilers.has_some());
        program(dir.path(), "g++");
        assert!(compilers.has_some());
    }
}
