//! Compiler names: which family a name belongs to, and how a name is made unmistakable for another machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::lang::base;

/// The two families of compilers whose command lines are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// GCC, and everything that is not known to be Clang.
    Gcc,
    /// Clang and compilers made from it.
    Clang,
}

/// The compiler driver that a command line is for: what its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Driver {
    /// Whose rules it follows.
    pub family: Family,
    /// `g++`, `clang++`: takes C sources for C++.
    pub cxx: bool,
}

impl Driver {
    /// Guesses from names of one compiler, for instance as called and as found after following links (`cc`,
    /// `/usr/bin/clang-14`). The first name that tells the family decides it (GCC if none does); any name with `++`
    /// makes it a C++ driver, but links away from `c++` do not unmake it.
    #[must_use]
    pub fn guess(names: &[&OsStr]) -> Self {
        let family = names
            .iter()
            .find_map(|name| Family::of_name(name))
            .unwrap_or(Family::Gcc);
        let cxx = names.first().is_some_and(|name| {
            let name = String::from_utf8_lossy(base(name));
            name.contains("++") || name == "icpx" || name == "dpcpp"
        });
        Self { family, cxx }
    }
}

/// Parts of compiler names that tell the family, in the order in which they are looked for.
const FAMILIES: &[(&str, Family)] = &[
    ("clang", Family::Clang),
    ("icpx", Family::Clang),
    ("icx", Family::Clang),
    ("dpcpp", Family::Clang),
    ("emcc", Family::Clang),
    ("em++", Family::Clang),
    ("gcc", Family::Gcc),
    ("g++", Family::Gcc),
];

impl Family {
    /// The family that a compiler's file name suggests: `None` for `cc`, `c++` and anything unknown, where the
    /// caller follows links or asks the compiler.
    #[must_use]
    pub fn of_name(name: &OsStr) -> Option<Self> {
        let name = String::from_utf8_lossy(base(name)).into_owned();
        FAMILIES
            .iter()
            .find(|(part, _)| name.contains(part))
            .map(|(_, family)| *family)
    }
}

/// What [`rewrite_name`] must ask its caller about this machine.
pub trait NameLookup {
    /// The base names that the compiler found in `PATH` as `name` goes through when its symbolic links are followed,
    /// nearest first; empty if it is no link. `cc` on Debian: `cc` (in /etc/alternatives), `gcc`, `gcc-12`,
    /// `x86_64-linux-gnu-gcc-12`.
    fn links(&self, name: &OsStr) -> Vec<OsString>;
    /// Whether an executable of this name exists in `PATH`, farcc's own directories left out.
    fn exists(&self, name: &OsStr) -> bool;
}

/// Makes a compiler name unmistakable on another machine, as stock distcc does: `cc` becomes what it links to
/// (`gcc`, `clang`), `gcc` becomes `TRIPLE-gcc` if that exists, and Clang is told `-target TRIPLE` unless the
/// command line names a target. Names with a `/` are never changed.
///
/// `triple` is the machine the compiler makes code for, as its own `-dumpmachine` prints it. Returns the name and
/// the words to append to the server's command line.
#[must_use]
pub fn rewrite_name(
    name: &OsStr,
    args: &[OsString],
    triple: &OsStr,
    lookup: &dyn NameLookup,
) -> (OsString, Vec<OsString>) {
    let mut name = name.to_os_string();
    if name.as_bytes().contains(&b'/') {
        return (name, Vec::new());
    }
    if name == "cc" || name == "c++" {
        let real = |link: &OsString| {
            ["gcc", "g++", "clang", "clang++"]
                .iter()
                .any(|known| link == known)
        };
        if let Some(link) = lookup.links(&name).into_iter().find(real) {
            name = link;
        }
    }
    if is_plain(&name, "clang") || is_plain(&name, "clang++") {
        let targeted = args.iter().any(|word| {
            let word = word.as_bytes();
            word == b"-target"
                || word == b"--target"
                || word.starts_with(b"--target=")
                || word.starts_with(b"-target=")
        });
        let words = if targeted {
            Vec::new()
        } else {
            vec!["-target".into(), triple.to_os_string()]
        };
        return (name, words);
    }
    if is_plain(&name, "gcc") || is_plain(&name, "g++") {
        let full = OsString::from_vec([triple.as_bytes(), b"-", name.as_bytes()].concat());
        if lookup.exists(&full) {
            name = full;
        }
    }
    (name, Vec::new())
}

/// Whether `name` is `tool`, or `tool-` and a version: `gcc`, `gcc-12`.
fn is_plain(name: &OsStr, tool: &str) -> bool {
    name.as_bytes()
        .strip_prefix(tool.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        let check =
            |name: &str, expect| assert_eq!(Family::of_name(OsStr::new(name)), expect, "{name}");
        check("gcc", Some(Family::Gcc));
        check("/usr/bin/x86_64-linux-gnu-g++-12", Some(Family::Gcc));
        check("clang++-14", Some(Family::Clang));
        check("/opt/clang/bin/cc", None);
        check("cc", None);
    }

    #[test]
    fn drivers() {
        let check = |names: &[&str], family, cxx| {
            let names: Vec<_> = names.iter().map(OsStr::new).collect();
            assert_eq!(Driver::guess(&names), Driver { family, cxx }, "{names:?}");
        };
        check(&["cc", "clang-14"], Family::Clang, false);
        check(&["c++", "g++-12"], Family::Gcc, true);
        check(&["clang++-14"], Family::Clang, true);
        check(&["tcc"], Family::Gcc, false);
    }

    struct Debian;

    impl NameLookup for Debian {
        fn links(&self, name: &OsStr) -> Vec<OsString> {
            let links: &[&str] = match name.to_str() {
                Some("cc") => &["cc", "gcc", "gcc-12"],
                Some("c++") => &["c++", "clang++"],
                _ => &[],
            };
            links.iter().map(OsString::from).collect()
        }

        fn exists(&self, name: &OsStr) -> bool {
            name.to_str().is_some_and(|name| {
                name.starts_with("x86_64-linux-gnu-g") && !name.ends_with("-13")
            })
        }
    }

    fn check(line: &str, expect: &str) {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let (name, append) = rewrite_name(
            &words[0],
            &words[1..],
            OsStr::new("x86_64-linux-gnu"),
            &Debian,
        );
        let mut all = vec![name.into_string().unwrap()];
        all.extend(append.into_iter().map(|word| word.into_string().unwrap()));
        assert_eq!(all.join(" "), expect, "{line}");
    }

    #[test]
    fn rewriting() {
        check("gcc -c a.c", "x86_64-linux-gnu-gcc");
        check("gcc-12 -c a.c", "x86_64-linux-gnu-gcc-12");
        check("gcc-13 -c a.c", "gcc-13");
        check("cc -c a.c", "x86_64-linux-gnu-gcc");
        check("c++ -c a.c", "clang++ -target x86_64-linux-gnu");
        check("clang -c a.c", "clang -target x86_64-linux-gnu");
        check("clang-14 --target=arm-linux -c a.c", "clang-14");
        check("clang -target arm-linux -c a.c", "clang");
        check("/usr/bin/gcc -c a.c", "/usr/bin/gcc");
        check("arm-linux-gnueabihf-gcc -c a.c", "arm-linux-gnueabihf-gcc");
        check("gccgo -c a.c", "gccgo");
    }
}
