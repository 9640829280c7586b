//! The scanner on a made-up project in memory: 40 sources over 120 headers with guards, conditions and macros. The first
//! round scans all of it with nothing known, each further one after the text of every source has changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use scan::check::Memory;
use scan::{Options, Request, Scanner, Toolchain};

const SOURCES: usize = 40;
const HEADERS: usize = 120;

/// Conditions in each header.
const CONDITIONS: usize = 25;

/// Scans all sources so many times.
pub(crate) fn run(rounds: usize) {
    let mut files = Memory::default();
    for number in 0..HEADERS {
        let path = PathBuf::from(format!("/src/include/part{}/h{number}.h", number % 7));
        files.write(&path, header(number).as_bytes());
    }
    write_sources(&mut files, 0);
    let search = b"#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
    let macros = b"#define __GNUC__ 12\n#define __STDC_VERSION__ 201710L\n#define __x86_64__ 1\n";
    let Ok(toolchain) = Toolchain::new(macros, b"", search) else {
        return;
    };
    let mut scanner = Scanner::new();
    let toolchain = scanner.learn(toolchain);
    for round in 0..rounds {
        if round > 0 {
            write_sources(&mut files, round);
        }
        for number in 0..SOURCES {
            let words = (0..7).map(|part| format!("-Iinclude/part{part}"));
            let words = words.chain(["-DMODE=3".into(), "-c".into(), format!("s{number}.c")]);
            let words: Vec<_> = words.map(Into::into).collect();
            let options = Options::parse(&words);
            let request = Request {
                toolchain,
                options: &options,
                cwd: Path::new("/src"),
                cpath: &[],
                language_path: &[],
            };
            let found = scanner.scan(&mut files, &request);
            assert!(
                found.is_certain() && found.files.len() > HEADERS / 2,
                "{found:?}"
            );
        }
    }
}

fn write_sources(files: &mut Memory, round: usize) {
    for number in 0..SOURCES {
        let mut text = String::new();
        for header in (0..HEADERS).rev().step_by(3) {
            let _infallible = writeln!(text, "#include \"h{}.h\"", (header + number) % HEADERS);
        }
        let _infallible = writeln!(text, "int f{number}(void) {{ return {round}; }}");
        files.write(&PathBuf::from(format!("/src/s{number}.c")), text.as_bytes());
    }
}

fn header(number: usize) -> String {
    let mut text = format!("#ifndef H{number}_H\n#define H{number}_H 1\n");
    for other in [number / 2, number / 3] {
        if other != number {
            let _infallible = writeln!(text, "#include \"h{other}.h\"");
        }
    }
    for condition in 0..CONDITIONS {
        let _infallible = write!(
            text,
            "#if defined(H{condition}_H) && MODE > {} || __GNUC__ >= {condition}\n\
             #define V{number}_{condition}(x) ((x) + {condition})\n\
             #else\n#undef V{number}_{condition}\n#endif\n\
             extern int f{number}_{condition}(const char *text, int number);\n\
             /* {condition} of {number} */ struct s{number}_{condition} {{ int a, b; }};\n",
            condition % 5
        );
    }
    text.push_str("#endif\n");
    text
}
