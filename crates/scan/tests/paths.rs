//! Headers done again in other search paths than they were first seen with: as if they were seen for the first time.

use std::ffi::OsString;
use std::path::Path;

use scan::check::Memory;
use scan::{Options, Request, Scan, Scanner, Toolchain, ToolchainId};

fn new_scanner() -> (Scanner, ToolchainId) {
    let search = b"#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
    let toolchain = Toolchain::new(b"#define __STDC_VERSION__ 201710L\n", b"", search);
    let mut scanner = Scanner::new();
    scanner.remember_every_visit();
    let id = scanner.learn(toolchain.expect("the output of a compiler"));
    (scanner, id)
}

/// A scanner that remembers, and the files it sees.
struct Project {
    memory: Memory,
    old: (Scanner, ToolchainId),
}

fn scan(
    (scanner, toolchain): &mut (Scanner, ToolchainId),
    memory: &mut Memory,
    line: &str,
) -> Scan {
    let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    let request = Request {
        toolchain: *toolchain,
        options: &Options::parse(&args),
        cwd: Path::new("/w"),
        cpath: &[],
        language_path: &[],
    };
    scanner.scan(memory, &request)
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut it = Self {
            memory: Memory::default(),
            old: new_scanner(),
        };
        files.iter().for_each(|(path, text)| it.write(path, text));
        it
    }

    fn write(&mut self, path: &str, text: &str) {
        let path = Path::new("/w").join(path);
        self.memory.write(&path, text.as_bytes());
    }

    /// The headers of a compile, and how many were done again; a scanner that knows nothing
    /// has to find the same.
    fn scan(&mut self, line: &str) -> (String, u32) {
        let again = scan(&mut self.old, &mut self.memory, line);
        let fresh = scan(&mut new_scanner(), &mut self.memory, line);
        assert_eq!(
            (&again.files, &again.doubts),
            (&fresh.files, &fresh.doubts),
            "{line}"
        );
        let names = again.files[1..]
            .iter()
            .map(|it| it.spelled().to_string_lossy());
        let names: Vec<_> = names.collect();
        (names.join(" "), again.work.visits_replayed)
    }
}

const MAIN: (&str, &str) = ("main.c", "#include <o.h>\n");

#[test]
fn a_header_is_done_again_behind_another_directory_until_that_has_one_too() {
    let mut it = Project::new(&[
        MAIN,
        ("d/o.h", "#include <i.h>\n"),
        ("d/i.h", ""),
        ("p/x", ""),
    ]);
    assert_eq!(it.scan("-Id -c main.c"), ("d/o.h d/i.h".into(), 0));
    assert_eq!(it.scan("-Ip -Id -c main.c"), ("d/o.h d/i.h".into(), 1));
    assert_eq!(it.scan("-Id -Ip -c main.c"), ("d/o.h d/i.h".into(), 1));
    it.write("p/i.h", "");
    assert_eq!(it.scan("-Ip -Id -c main.c"), ("d/o.h p/i.h".into(), 0));
    assert_eq!(it.scan("-Id -Ip -c main.c").0, "d/o.h d/i.h");
}

#[test]
fn what_was_found_since_is_not_what_was_found_then() {
    let mut it = Project::new(&[
        MAIN,
        ("other.c", "#include <i.h>\n"),
        ("d/o.h", "#include <i.h>\n"),
        ("d/i.h", ""),
        ("n/x", ""),
        ("p/x", ""),
    ]);
    assert_eq!(it.scan("-In -Id -c main.c").0, "d/o.h d/i.h");
    it.write("n/i.h", "");
    assert_eq!(it.scan("-In -Id -c other.c").0, "n/i.h");
    assert_eq!(it.scan("-Ip -In -Id -c main.c").0, "d/o.h n/i.h");
}

#[test]
fn a_directory_for_quoted_names_is_not_one_for_all() {
    let mut it = Project::new(&[
        ("main.c", "#include \"o.h\"\n"),
        ("q/o.h", "#include <i.h>\n"),
        ("x/i.h", ""),
        ("y/i.h", ""),
    ]);
    assert_eq!(it.scan("-iquote q -Ix -Iy -c main.c").0, "q/o.h x/i.h");
    assert_eq!(
        it.scan("-iquote q -iquote x -Iy -c main.c").0,
        "q/o.h y/i.h"
    );
}

#[test]
fn the_next_header_is_looked_for_behind_the_same_directory() {
    let mut it = Project::new(&[
        MAIN,
        ("d/o.h", "#include <i.h>\n"),
        ("d/i.h", "#include_next <i.h>\n"),
        ("e/i.h", ""),
        ("p/x", ""),
        ("n/i.h", ""),
    ]);
    assert_eq!(it.scan("-Id -Ie -c main.c").0, "d/o.h d/i.h e/i.h");
    assert_eq!(
        it.scan("-Ip -Id -Ie -c main.c"),
        ("d/o.h d/i.h e/i.h".into(), 1)
    );
    assert_eq!(it.scan("-Ip -Id -In -Ie -c main.c").0, "d/o.h d/i.h n/i.h");
    assert_eq!(
        it.scan("-iquote p -Id -Ie -c main.c").0,
        "d/o.h d/i.h e/i.h"
    );
}
