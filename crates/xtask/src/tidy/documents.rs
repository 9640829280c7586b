//! Documents name paths: they must exist.

use std::path::Path;

const DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "README.md", "STYLE.md"];

/// What a path in backquotes begins with, if it is one of this repository's.
const TOP: &[&str] = &[".ci/", "crates/", "docs/", "fuzz/", "packaging/", "tests/"];

/// Every path that leads nowhere.
pub(super) fn check(root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    for document in DOCUMENTS {
        let Ok(text) = std::fs::read_to_string(root.join(document)) else {
            wrong.push(format!("{document} is missing"));
            continue;
        };
        let missing = named_paths(&text).filter(|path| !root.join(path).exists());
        wrong.extend(missing.map(|path| format!("{document} names {path}, which does not exist")));
    }
    wrong
}

fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let quoted = quoted.filter(|part| {
        TOP.iter().any(|top| part.starts_with(top)) && !part.contains([' ', '*', '<'])
    });
    // `crates/x/src/y.rs::function`
    let quoted = quoted.map(|path| path.split("::").next().unwrap_or(path));
    let linked = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://"));
    quoted.chain(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_quotes_and_links_are_found() {
        let text = "`crates/a` and `make -j` in [this](docs/b.md#c), not [that](https://d/).";
        let paths: Vec<_> = named_paths(text).collect();
        assert_eq!(paths, ["crates/a", "docs/b.md"]);
    }
}
