//! Words and names that do not belong into a committed file.

use super::{TextFile, Tracked};

/// Modules that say nothing about what is in them.
const EMPTY_NAMES: &[&str] = &["common", "helpers", "imp", "util", "utils"];

/// Written in halves, so that this file may be committed itself.
const NOT_DONE: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// Where only one machine has its work.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/tmp/tar", "get")];

/// The attribute by which a crate gets unsafe code.
const UNSAFE_ALLOWED: &str = concat!("allow(", "unsafe_code");

/// The one crate that may.
const UNSAFE_CRATE: &str = "crates/sys/";

/// Everything that should not be there.
pub(super) fn check(files: &Tracked) -> Vec<String> {
    files.0.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<String> {
    let path = &file.path;
    let mut wrong = Vec::new();
    if is_empty_name(path) {
        wrong.push(format!("{path}: name it after what is in it"));
    }
    for (number, line) in file.text.lines().enumerate() {
        let mut report = |what: &str| wrong.push(format!("{path}:{}: {what}", number + 1));
        if let Some(word) = NOT_DONE.iter().find(|word| line.contains(**word)) {
            report(&format!("{word}: do it, or file an issue"));
        }
        if let Some(part) = MACHINE_PATHS.iter().find(|part| line.contains(**part)) {
            report(&format!("{part} is a path of one machine"));
        }
        if line.contains(UNSAFE_ALLOWED) && !path.starts_with(UNSAFE_CRATE) {
            report("unsafe code belongs into crates/sys");
        }
    }
    wrong
}

fn is_empty_name(path: &str) -> bool {
    path.strip_suffix(".rs")
        .is_some_and(|module| module.split('/').any(|part| EMPTY_NAMES.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_something() {
        let check_one = |path: &str, text: String| {
            let path = path.into();
            check_file(&TextFile { path, text }).len()
        };
        assert_eq!(check_one("a/util.rs", String::new()), 1);
        assert_eq!(check_one("a/utility.rs", String::new()), 0);
        for word in NOT_DONE.iter().chain(MACHINE_PATHS) {
            assert_eq!(check_one("a.md", format!("see {word}b")), 1);
        }
        assert_eq!(check_one("a.rs", format!("#![{UNSAFE_ALLOWED})]")), 1);
        assert_eq!(
            check_one("crates/sys/a.rs", format!("#![{UNSAFE_ALLOWED})]")),
            0
        );
    }
}
