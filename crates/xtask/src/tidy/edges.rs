//! Which crate may use which. Arrows point down only.

use std::path::Path;

/// Each crate of the product with the ones that it may use. Sorted.
///
/// `e2e`, `ratchet`, `scan-check` and `xtask` are tools around the product and may use what they like; nothing uses them.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "agent",
        &[
            "cmdline", "place", "reapi", "scan", "stock", "store", "sys", "wire",
        ],
    ),
    ("cmdline", &[]),
    (
        "farcc",
        &[
            "agent", "cmdline", "monitor", "place", "reapi", "scan", "stock", "store", "sys",
            "wire", "worker",
        ],
    ),
    ("monitor", &["stock", "sys", "wire"]),
    ("place", &[]),
    ("reapi", &["store"]),
    ("scan", &["cmdline"]),
    ("shim", &["sys", "wire"]),
    ("stock", &[]),
    ("store", &[]),
    ("sys", &[]),
    ("wire", &[]),
    ("worker", &["cmdline", "reapi", "stock", "store", "sys"]),
];

const TOOLS: &[&str] = &["e2e", "ratchet", "scan-check", "xtask"];

/// Every arrow that may not be.
pub(super) fn check(root: &Path) -> Vec<String> {
    let Ok(crates) = std::fs::read_dir(root.join("crates")) else {
        return vec!["crates/ cannot be read".into()];
    };
    let mut wrong = Vec::new();
    for entry in crates.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(manifest) = std::fs::read_to_string(entry.path().join("Cargo.toml")) else {
            continue;
        };
        if !TOOLS.contains(&name.as_str()) {
            wrong.extend(check_crate(&name, &manifest));
        }
    }
    wrong.sort();
    wrong
}

fn check_crate(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "crates/{name} is not in the table of allowed edges"
        )];
    };
    dependencies(manifest)
        .filter(|used| is_ours(used) && !allowed.contains(used))
        .map(|used| format!("crates/{name} may not use `{used}`"))
        .collect()
}

fn is_ours(name: &str) -> bool {
    TOOLS.contains(&name) || ALLOWED.iter().any(|(known, _)| *known == name)
}

/// Names in `[dependencies]`, also those for one target only. Tests may use what they need.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    manifest.lines().filter_map(move |line| {
        if let Some(section) = line.strip_prefix('[') {
            is_inside = section.ends_with("dependencies]") && !section.contains("dev-");
            return None;
        }
        let end = line.find([' ', '=', '.'])?;
        is_inside.then_some(&line[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_crate_of_this_repository_uses_what_it_may_not() {
        assert_eq!(check(crate::cargo::root()), [] as [String; 0]);
    }

    #[test]
    fn forbidden_and_unknown_are_found() {
        let manifest = "[dependencies]\nsys.workspace = true\nagent = { path = \"x\" }\n\
                        [dev-dependencies]\nworker.workspace = true\n";
        assert_eq!(
            check_crate("shim", manifest),
            ["crates/shim may not use `agent`"]
        );
        assert_eq!(check_crate("novel", "").len(), 1);
    }

    #[test]
    fn nothing_uses_itself_through_others() {
        for (name, allowed) in ALLOWED {
            for used in *allowed {
                let (_, further) = ALLOWED.iter().find(|(known, _)| known == used).unwrap();
                assert!(!further.contains(name), "{name} and {used} use each other");
            }
        }
    }
}
