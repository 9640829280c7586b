//! Asking a compiler about itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use scan::{Question, Toolchain};

use crate::inquiry;

/// Variables that add directories to the search or write files, and so have no place in a question.
pub(crate) const NOT_IN_QUESTIONS: &[&str] = &[
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "OBJCPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "SUNPRO_DEPENDENCIES",
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The compiler cannot be run.
    #[error("cannot run {}: {source}", .compiler.display())]
    Run {
        /// The compiler.
        compiler: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It says nothing that can be used.
    #[error("{} does not say {what}", .compiler.display())]
    NoAnswer {
        /// The compiler.
        compiler: PathBuf,
        /// What it was asked.
        what: &'static str,
    },
}

/// A compiler and the options that its answers depend on.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) compiler: OsString,
    pub(super) path: PathBuf,
    pub(super) words: Vec<OsString>,
    pub(super) cwd: PathBuf,
    pub(super) env: Vec<(OsString, OsString)>,
}

impl Asker {
    /// Macros and search path.
    pub(super) fn toolchain(&self) -> Result<Toolchain, AskError> {
        let macros = self.run(scan::MACROS, b"")?;
        let search = self.run(scan::SEARCH, &scan::search_input())?;
        Toolchain::new(&macros.stdout, &search.stdout, &search.stderr).map_err(|error| {
            AskError::NoAnswer {
                compiler: self.path.clone(),
                what: match error {
                    scan::BadAnswer::NoMacros => "which macros it defines",
                    scan::BadAnswer::NoSearchPath => "where it looks for headers",
                },
            }
        })
    }

    /// Answers to questions; those that it does not understand have none.
    pub(super) fn answers(&self, questions: &[Question]) -> Vec<(Question, u64)> {
        let ask = |questions: &[Question]| {
            let input = scan::questions_input(questions);
            let output = self.run(&["-w", "-E", "-P", "-"], &input).ok()?;
            output
                .status
                .success()
                .then(|| scan::answers(questions.len(), &output.stdout))
        };
        if let Some(values) = ask(questions) {
            return questions.iter().cloned().zip(values).collect();
        }
        // One of them is an error: each alone.
        let alone = |question: &Question| {
            let values = ask(std::slice::from_ref(question))?;
            Some((question.clone(), *values.first()?))
        };
        questions.iter().filter_map(alone).collect()
    }

    fn run(&self, more: &[&str], input: &[u8]) -> Result<Output, AskError> {
        inquiry::ask(&mut self.command(more), input).map_err(|source| AskError::Run {
            compiler: self.path.clone(),
            source,
        })
    }

    fn command(&self, more: &[&str]) -> Command {
        let wanted = |name: &OsStr| !NOT_IN_QUESTIONS.iter().any(|known| name == *known);
        let env = self.env.iter().filter(|(name, _)| wanted(name));
        let mut command = Command::new(self.cwd.join(&self.path));
        command
            .arg0(&self.compiler)
            .args(&self.words)
            .args(more)
            .current_dir(&self.cwd)
            .env_clear()
            .envs(env.map(|(name, value)| (name, value)))
            .env("LC_ALL", "C");
        command
    }
}

/// Whether a word of a question can name a file relative to the working directory.
pub(super) fn names_file(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    let value = word.split_once('=').map_or(&*word, |(_, value)| value);
    let is_relative = !value.starts_with('/');
    is_relative && (value.contains('/') || word.contains("sysroot") || word.starts_with("-B"))
}
