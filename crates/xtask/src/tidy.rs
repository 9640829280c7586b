//! `cargo xtask tidy`: rules of this repository that no compiler checks.

mod documents;
mod edges;
mod lengths;
mod texts;

use std::path::Path;
use std::process::Command;

use crate::cargo::root;

/// Checks every rule and reports all that is wrong.
pub(crate) fn run() -> Result<(), String> {
    let files = Tracked::read(root())?;
    let mut wrong = edges::check(root());
    wrong.extend(documents::check(root()));
    wrong.extend(lengths::check(&files));
    wrong.extend(texts::check(&files));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("\n  {}", wrong.join("\n  ")))
    }
}

/// The files that Git tracks, with their texts.
#[derive(Debug, Default)]
struct Tracked(Vec<TextFile>);

#[derive(Debug)]
struct TextFile {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Tracked {
    fn read(root: &Path) -> Result<Self, String> {
        let output = Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("cannot run git: {error}"))?;
        let paths = String::from_utf8_lossy(&output.stdout).into_owned();
        let files = paths.split('\0').filter_map(|path| {
            // Not text, or deleted but not yet committed.
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            let path = path.to_owned();
            Some(TextFile { path, text })
        });
        Ok(Self(files.collect()))
    }

    /// Rust files.
    fn rust(&self) -> impl Iterator<Item = &TextFile> {
        self.0.iter().filter(|file| file.path.ends_with(".rs"))
    }
}
