//! Translation units from `compile_commands.json`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The compiler.
    pub compiler: OsString,
    /// Words after it.
    pub args: Vec<OsString>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// Reads all units. Names of launchers before the compiler are dropped.
///
/// # Errors
///
/// When the file cannot be read or is not what it should be.
pub fn read(path: &Path) -> io::Result<Vec<Unit>> {
    let bad = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is no compilation database", path.display()),
        )
    };
    let json: Value = serde_json::from_slice(&fs::read(path)?)?;
    json.as_array()
        .ok_or_else(bad)?
        .iter()
        .map(|entry| unit(entry).ok_or_else(bad))
        .collect()
}

fn unit(entry: &Value) -> Option<Unit> {
    let cwd = PathBuf::from(entry.get("directory")?.as_str()?);
    let mut words: Vec<OsString> = match (entry.get("arguments"), entry.get("command")) {
        (Some(list), _) => list
            .as_array()?
            .iter()
            .map(|it| it.as_str().map(OsString::from))
            .collect::<Option<_>>()?,
        (None, command) => shell_words(command?.as_str()?),
    };
    let launcher = |word: &OsString| {
        let name = Path::new(word)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        matches!(
            name.as_str(),
            "ccache" | "distcc" | "sccache" | "icecc" | "env"
        )
    };
    while words.first().is_some_and(launcher) {
        words.remove(0);
    }
    if words.is_empty() {
        return None;
    }
    let compiler = words.remove(0);
    Some(Unit {
        compiler,
        args: words,
        cwd,
    })
}

/// Words of a command as a shell separates them, without expansions.
fn shell_words(command: &str) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = command.chars().peekable();
    while let Some(next) = chars.next() {
        match (quote, next) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('"'), '\\') if matches!(chars.peek(), Some('"' | '\\' | '$' | '`')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            (None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None, space) if space.is_whitespace() => words.extend(word.take().map(OsString::from)),
            _ => word.get_or_insert_default().push(next),
        }
    }
    words.extend(word.map(OsString::from));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_like_a_shell_does() {
        assert_eq!(
            shell_words(r#"gcc -DX="\"a b\"" '-DY=c d' e\ f"#),
            ["gcc", r#"-DX="a b""#, "-DY=c d", "e f"]
        );
    }
}
