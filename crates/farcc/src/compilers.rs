//! Which program names are compilers that distcc takes over.
//!
//! A directory is looked at once: the names that GCC's and Clang's packages use are a table, the
//! target triples come from GCC's own library directories beside it (`../lib/gcc/TRIPLE/VERSION`),
//! because a name such as `x86_64-linux-gnu-gcc-ar` or `colorgcc` cannot be told from a compiler
//! by its shape alone. Wrappers that only call another compiler (`c89`, `c99`, `musl-gcc`) are
//! left out: what they call is taken over.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// One family of names.
struct Family {
    /// The name without prefix and version.
    base: &'static str,
    /// Prefixes besides a target triple.
    prefixes: &'static [&'static str],
    /// Whether a version may follow: `gcc-12`.
    has_version: bool,
}

/// Sorted by base name.
const FAMILIES: &[Family] = &[
    Family {
        base: "c++",
        prefixes: &[],
        has_version: true,
    },
    Family {
        base: "cc",
        prefixes: &[],
        has_version: true,
    },
    Family {
        base: "clang",
        prefixes: &["llvm-"],
        has_version: true,
    },
    Family {
        base: "clang++",
        prefixes: &["llvm-"],
        has_version: true,
    },
    Family {
        base: "g++",
        prefixes: &["c89-", "c99-"],
        has_version: true,
    },
    Family {
        base: "gcc",
        prefixes: &["c89-", "c99-"],
        has_version: true,
    },
];

/// A compiler's name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// The target triple in front, without its dash.
    pub(crate) triple: Option<&'a str>,
}

/// Takes a file name apart, if it is a compiler's.
pub(crate) fn parse<'a>(file_name: &'a str, triples: &BTreeSet<String>) -> Option<Name<'a>> {
    FAMILIES
        .iter()
        .find_map(|family| family.parse(file_name, triples))
}

impl Family {
    fn parse<'a>(&self, file_name: &'a str, triples: &BTreeSet<String>) -> Option<Name<'a>> {
        let (prefix, rest) = self.split(file_name)?;
        let version = rest.strip_prefix('-');
        let version_fits = rest.is_empty() || (self.has_version && version.is_some_and(is_version));
        if !version_fits {
            return None;
        }
        if prefix.is_empty() || self.prefixes.contains(&prefix) {
            return Some(Name { triple: None });
        }
        let triple = prefix.strip_suffix('-')?;
        triples.contains(triple).then_some(Name {
            triple: Some(triple),
        })
    }

    /// The parts before and after the last occurrence of the base name.
    fn split<'a>(&self, file_name: &'a str) -> Option<(&'a str, &'a str)> {
        let at = file_name.rfind(self.base)?;
        Some((&file_name[..at], &file_name[at + self.base.len()..]))
    }
}

/// `12`, `12.2.0`, `12-posix`.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
}

/// The compilers among the executable files of a directory. A directory that cannot be read
/// holds none.
pub(crate) fn names_in(bin: &Path) -> BTreeSet<String> {
    let triples = triples_beside(bin);
    let Ok(entries) = fs::read_dir(bin) else {
        return BTreeSet::new();
    };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| parse(name, &triples).is_some() && is_executable(&bin.join(name)))
        .collect()
}

/// The targets of the GCCs installed beside a directory of programs.
pub(crate) fn triples_beside(bin: &Path) -> BTreeSet<String> {
    let Some(prefix) = bin.parent() else {
        return BTreeSet::new();
    };
    let mut library_dirs = vec![prefix.join("lib64/gcc")];
    let lib = prefix.join("lib");
    library_dirs.extend([lib.join("gcc"), lib.join("gcc-cross")]);
    library_dirs.extend(subdirectories(&lib).map(|multiarch| lib.join(multiarch).join("gcc")));
    library_dirs
        .iter()
        .flat_map(|dir| subdirectories(dir))
        .collect()
}

fn subdirectories(dir: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
}

pub(crate) fn is_executable(path: &Path) -> bool {
    const ANY_EXECUTE_BIT: u32 = 0o111;
    fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & ANY_EXECUTE_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<Option<&str>>) {
        let triples = BTreeSet::from(["x86_64-linux-gnu".to_owned(), "avr".to_owned()]);
        let found = parse(name, &triples).map(|name| name.triple);
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn families_are_sorted_and_unique() {
        assert!(FAMILIES.windows(2).all(|pair| pair[0].base < pair[1].base));
    }

    #[test]
    fn plain_versioned_and_prefixed_names_are_compilers() {
        for name in [
            "cc",
            "c++",
            "gcc",
            "g++",
            "gcc-12",
            "g++-4.9.3",
            "gcc-12-posix",
            "c89-gcc",
            "c99-gcc",
            "clang",
            "clang++",
            "clang-14",
            "clang++-14",
            "llvm-clang",
        ] {
            check(name, Some(None));
        }
        let triple = Some(Some("x86_64-linux-gnu"));
        check("x86_64-linux-gnu-gcc", triple);
        check("x86_64-linux-gnu-g++-12", triple);
        check("x86_64-linux-gnu-cc", triple);
        check("x86_64-linux-gnu-clang++", triple);
        check("avr-gcc", Some(Some("avr")));
    }

    #[test]
    fn other_programs_are_not() {
        for name in [
            "c89",
            "c99",
            "gcc-ar",
            "gcc-ar-12",
            "x86_64-linux-gnu-gcc-ar",
            "musl-gcc",
            "colorgcc",
            "clang-format",
            "clang-format-14",
            "clangd",
            "ccache",
            "distcc",
            "arm-none-eabi-gcc",
            "yacc",
            "",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn finds_what_the_stock_installer_finds() {
        let stock_links = Path::new("/usr/lib/distcc");
        let Ok(entries) = fs::read_dir(stock_links) else {
            return; // nothing to compare with
        };
        let stock: BTreeSet<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name != "bin" && is_executable(&Path::new("/usr/bin").join(name)))
            .collect();
        assert_eq!(names_in(Path::new("/usr/bin")), stock);
    }
}
