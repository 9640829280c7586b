//! Lengths of files and functions. The table of exemptions only ever gets shorter.

use super::{TextFile, Tracked};

/// Lines of a file before its tests.
const FILE_LINES_MAX: usize = 500;

/// Lines of a function, its braces included.
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, up to so many lines, each with its reason. Sorted.
const LONG_FILES: &[(&str, usize, &str)] = &[(
    "crates/cmdline/src/table/rows.rs",
    700,
    "a table: one row per option",
)];

/// Functions that may be longer, each with its reason. Sorted.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[
    (
        "crates/scan-check/src/random.rs",
        "compare",
        "a test's story: make, ask both, compare, shrink",
    ),
    (
        "crates/scan/src/expand/substitute.rs",
        "substitute",
        "the standard's rules in the standard's order",
    ),
    (
        "crates/shim/src/shim.rs",
        "converse",
        "one arm for each of the agent's answers",
    ),
];

/// Everything that is too long.
pub(super) fn check(files: &Tracked) -> Vec<String> {
    let mut wrong = Vec::new();
    // A test is read from top to bottom once, and its table of cases may be long.
    let is_test = |file: &&TextFile| file.path.contains("/tests/");
    for file in files.rust().filter(|file| !is_test(file)) {
        let production = production(&file.text);
        let lines = production.lines().count();
        let allowed = LONG_FILES.iter().find(|(path, ..)| *path == file.path);
        let max = allowed.map_or(FILE_LINES_MAX, |(_, max, _)| *max);
        if lines > max {
            wrong.push(format!("{}: {lines} lines, {max} allowed", file.path));
        }
        wrong.extend(long_functions(file, production));
    }
    wrong
}

/// The part of a file before its tests; a file of tests counts in full.
fn production(text: &str) -> &str {
    let tests = text.find("#[cfg(test)]\nmod ");
    &text[..tests.unwrap_or(text.len())]
}

fn long_functions(file: &TextFile, production: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open: Option<(usize, &str, &str)> = None;
    for (number, line) in production.lines().enumerate() {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        match open {
            None => {
                open = function_name(body)
                    .filter(|_| !line.ends_with(['}', ';']))
                    .map(|name| (number, name, indent));
            }
            Some((start, name, start_indent)) if indent == start_indent && body == "}" => {
                let lines = number - start + 1;
                let is_exempt = LONG_FUNCTIONS
                    .iter()
                    .any(|(path, function, _)| *path == file.path && *function == name);
                if lines > FUNCTION_LINES_MAX && !is_exempt {
                    let place = format!("{}:{}", file.path, start + 1);
                    wrong.push(format!("{place}: fn {name} has {lines} lines"));
                }
                open = None;
            }
            Some((_, _, start_indent)) if indent == start_indent && body.ends_with(';') => {
                // A declaration over several lines.
                open = None;
            }
            Some(_) => {}
        }
    }
    wrong
}

/// `pub(crate) async fn name<T>(…` is a function called `name`.
fn function_name(line: &str) -> Option<&str> {
    const BEFORE: &[&str] = &["pub", "const", "async", "unsafe", "extern", "\"C\""];
    let (before, after) = line.split_once("fn ")?;
    let is_declaration = before
        .split_whitespace()
        .all(|word| BEFORE.contains(&word) || (word.starts_with("pub(") && word.ends_with(')')));
    is_declaration.then(|| after.split(['(', '<']).next().unwrap_or(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Vec<String> {
        let file = TextFile {
            path: "a.rs".into(),
            text: text.into(),
        };
        check(&Tracked(vec![file]))
    }

    #[test]
    fn long_functions_and_files_are_found() {
        let body = "    x();\n".repeat(FUNCTION_LINES_MAX);
        let long = format!("pub(crate) fn long(\n    a: u8,\n) {{\n{body}}}\n");
        assert_eq!(check_text(&long), ["a.rs:1: fn long has 74 lines"]);
        assert_eq!(check_text(&"// x\n".repeat(501)).len(), 1);
        assert_eq!(check_text("fn short() {\n}\n"), [] as [String; 0]);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}", "// x\n".repeat(501));
        assert_eq!(check_text(&tests), [] as [String; 0]);
    }

    #[test]
    fn what_only_looks_like_a_function_is_none() {
        assert_eq!(function_name("pub async fn a<T>(x: T) {"), Some("a"));
        assert_eq!(function_name("// the fn of it"), None);
        assert_eq!(function_name("let f = |g: fn (u8)| {"), None);
    }
}
