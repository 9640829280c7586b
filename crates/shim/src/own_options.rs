//! `distcc --help`, `--version` and the options that `farcc` answers.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::compiler::farcc_program;
use crate::invocation::OwnOption;

/// distcc's exit code for bad arguments.
pub(crate) const EXIT_BAD_ARGUMENTS: u8 = 101;
/// distcc's exit code for general failure.
const EXIT_FAILED: u8 = 100;

const HELP: &str = "\
Usage:
   distcc [COMPILER] [compile options] -o OBJECT -c SOURCE
   distcc [--help | --version | --show-hosts | -j]
   distcc --scan-includes COMPILER [compile options]

Compiles C and C++ on other machines. COMPILER defaults to cc. A link to this
program that is named like a compiler acts as that compiler.

Options:
   --help             explain usage and exit
   --version          show version and exit
   --show-hosts       show the hosts that take compiles, and exit
   -j                 show how many compiles they take at once, and exit
   --scan-includes    show the files that a compile reads, and exit

Environment:
   DISTCC_HOSTS       hosts in order of preference: \"pc1/8 pc2 localhost/2\"
   DISTCC_VERBOSE     1: tell everything on standard error
   DISTCC_LOG         a file for messages
   DISTCC_FALLBACK    0: fail where a compile cannot be sent to a host
   DISTCC_DIR         settings, locks and state (default ~/.distcc)

Examples:
   make -j16 CC=\"distcc gcc\"
   cmake -DCMAKE_C_COMPILER_LAUNCHER=distcc -DCMAKE_CXX_COMPILER_LAUNCHER=distcc ..
   farcc run -- make -j16            the same for any build, with a summary
   distccmon-text 1                  what runs where, every second

See distcc(1), farcc(1) and distccd(1).
";

/// Prints or has printed what the option asks for.
pub(crate) fn answer(option: OwnOption) -> ExitCode {
    match option {
        OwnOption::Help => print(HELP),
        OwnOption::Version => print(&version()),
        OwnOption::ShowHosts => ask_farcc("show-hosts", &[]),
        OwnOption::Slots => ask_farcc("slots", &[]),
        OwnOption::ScanIncludes(args) if args.is_empty() => {
            complain("distcc: missing operand\nTry `distcc --help' for more information.\n")
        }
        OwnOption::ScanIncludes(args) => ask_farcc("scan-includes", &args),
        OwnOption::ShowPrincipal => {
            complain("distcc: --show-principal needs GSSAPI, which farcc does not use\n")
        }
    }
}

/// What `distcc` without any argument says.
pub(crate) fn nothing_asked() -> ExitCode {
    complain("distcc: missing option/operand\nTry `distcc --help' for more information.\n")
}

/// The form that scripts look for: name, version and machine; then the protocols.
fn version() -> String {
    format!(
        "distcc 3.4-farcc-{} {}-linux-gnu\n  (protocols 1, 2 and 3) (default port 3632)\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
    )
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(EXIT_FAILED),
    }
}

fn complain(text: &str) -> ExitCode {
    // Without standard error there is nobody to tell.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(EXIT_BAD_ARGUMENTS)
}

fn ask_farcc(command: &str, args: &[OsString]) -> ExitCode {
    let program = farcc_program();
    let mut words = vec![OsString::from(command)];
    if !args.is_empty() {
        words.push("--".into());
        words.extend_from_slice(args);
    }
    let error = sys::exec::become_program(Path::new(&program), OsStr::new("farcc"), &words, &[]);
    let text = format!(
        "distcc: cannot run {}: {error}\n",
        Path::new(&program).display()
    );
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(EXIT_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_has_the_documented_form() {
        let version = version();
        let (first, second) = version.split_once('\n').unwrap();
        let words: Vec<_> = first.split(' ').collect();
        assert_eq!(words.len(), 3, "{first}");
        assert_eq!(words[0], "distcc");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(
            words[1..].iter().all(|word| word.chars().all(allowed)),
            "{first}"
        );
        assert_eq!(second, "  (protocols 1, 2 and 3) (default port 3632)\n");
    }
}
