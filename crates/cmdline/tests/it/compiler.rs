//! Runs real compilers in a directory of their own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cmdline::{Driver, Invocation, parse};
use tempfile::TempDir;

/// The compilers that the tests need. A machine without one of them fails, so that nothing goes untested unseen.
pub(crate) const COMPILERS: &[&str] = &["gcc", "clang"];

/// A directory with sources, and a compiler that runs there.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) compiler: String,
}

/// A program with a user header, a system header, macros and something to vectorise. Macros stand at the ends of
/// lines: text after one has another column once preprocessed, and debug information tells columns.
const SOURCE: &str = r#"#include <stdarg.h>
#include "h h.h"
#ifdef __AVX2__
int avx2 = 1;
#endif
#ifdef __cplusplus
extern "C"
#endif
unsigned long sum(const float *x, unsigned long n, float *out) {
  float s = 0;
  unsigned long i;
  for (i = 0; i < n; i++) {
    s += x[i]
      * SCALE;
    out[i] = x[i] * 3 + s;
  }
  return (unsigned long)s;
}
"#;

impl Bench {
    pub(crate) fn new(compiler: &str) -> Self {
        let bench = Self {
            dir: TempDir::new().unwrap(),
            compiler: compiler.to_string(),
        };
        fs::create_dir_all(bench.path("sub")).unwrap();
        bench.write("h h.h", "#define SCALE 2\n");
        for name in ["a.c", "sub/b$c.c", "p.cc", "p.CPP", "noext"] {
            bench.write(name, SOURCE);
        }
        bench
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn parse(&self, line: &str) -> Invocation {
        parse(&words(line), self.driver(), &mut |_| None)
    }

    pub(crate) fn driver(&self) -> Driver {
        Driver::guess(&[OsStr::new(&self.compiler)])
    }

    /// Runs the compiler, in the C locale.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Output {
        Command::new(&self.compiler)
            .args(args)
            .current_dir(self.dir.path())
            .env("LC_ALL", "C")
            .env_remove("PWD")
            .output()
            .unwrap_or_else(|error| panic!("the tests need {}: {error}", self.compiler))
    }

    /// Runs the compiler and expects it to succeed.
    pub(crate) fn succeed<S: AsRef<OsStr> + std::fmt::Debug>(&self, args: &[S]) -> Output {
        let output = self.run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {args:?}\n{stderr}",
            self.compiler
        );
        output
    }

    /// Compiles as a distributed compile would: preprocesses here, then compiles the text in a directory of its own
    /// under a name that a server would choose. Returns what both wrote to standard error, and the output.
    pub(crate) fn distributed(&self, it: &Invocation, remote: &Invocation) -> (String, Vec<u8>) {
        let preprocessed = self.succeed(&it.preprocess_argv());
        let mut command = vec![OsString::from(&self.compiler)];
        let cwd = self.dir.path().canonicalize().unwrap();
        command.extend(remote.server_argv(cwd.as_os_str()));
        let command = cmdline::server_check(&command, cmdline::Input::Preprocessed).unwrap();
        let elsewhere = TempDir::new().unwrap();
        let source = format!("job.{}", command.language.preprocessed_extension());
        fs::write(elsewhere.path().join(&source), &preprocessed.stdout).unwrap();
        let argv = command.argv_for(OsStr::new(&source), OsStr::new("job.out"));
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(elsewhere.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let stderr = [preprocessed.stderr, output.stderr].concat();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(output.status.success(), "{argv:?}\n{stderr}");
        (stderr, fs::read(elsewhere.path().join("job.out")).unwrap())
    }
}

pub(crate) fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}
