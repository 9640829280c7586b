//! Asking a compiler about itself.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use scan::{AtOnce, Question, Toolchain};
use tempfile::TempDir;

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

/// What a compiler says of itself, and its answers to questions.
type Answers = (Toolchain, Vec<(Question, u64)>);

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
    /// Macros and search path, and answers to those of the questions that there are any to: all at once if possible.
    pub(super) fn toolchain(&self, questions: &[Question]) -> Result<Answers, AskError> {
        // One of the questions may be an error with these options.
        let rounds = [questions, &[]];
        for questions in &rounds[usize::from(questions.is_empty())..] {
            if let Some(all) = self.at_once(questions)? {
                return Ok(all);
            }
        }
        Ok((self.apart()?, Vec::new()))
    }

    fn at_once(&self, questions: &[Question]) -> Result<Option<Answers>, AskError> {
        let Ok(dir) = empty_header() else {
            return Ok(None);
        };
        let at_once = AtOnce {
            dir: dir.path(),
            questions,
        };
        let output = self.run(&at_once.words(), &at_once.input())?;
        if !output.status.success() {
            return Ok(None);
        }
        // What has no macros here may have some when it is asked apart.
        let read = at_once.read(&output.stdout, &output.stderr);
        Ok(read.unwrap_or(None).map(|(toolchain, values)| {
            let answers = questions.iter().cloned().zip(values).collect();
            (toolchain, answers)
        }))
    }

    /// One question after the other.
    fn apart(&self) -> Result<Toolchain, AskError> {
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

    fn run(&self, more: &[impl AsRef<OsStr>], input: &[u8]) -> Result<Output, AskError> {
        inquiry::ask(&mut self.command(more), input).map_err(|source| AskError::Run {
            compiler: self.path.clone(),
            source,
        })
    }

    fn command(&self, more: &[impl AsRef<OsStr>]) -> Command {
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

/// A directory that is [`AtOnce::dir`]. One for each question: it is made in less time than it takes to find out whether
/// somebody has tidied up.
fn empty_header() -> io::Result<TempDir> {
    // The compiler is called in another directory.
    let place = std::path::absolute(std::env::temp_dir())?;
    let dir = TempDir::with_prefix_in("farcc-", place)?;
    fs::write(dir.path().join(AtOnce::EMPTY_FILE), "")?;
    Ok(dir)
}

/// Whether a word of a question can name a file relative to the working directory.
pub(super) fn names_file(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    let value = word.split_once('=').map_or(&*word, |(_, value)| value);
    let is_relative = !value.starts_with('/');
    is_relative && (value.contains('/') || word.contains("sysroot") || word.starts_with("-B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANGUAGES: &[&str] = &["assembler-with-cpp", "c", "c++"];

    /// Options that change macros, search path, or both.
    const OPTIONS: &[&str] = &[
        "",
        "--sysroot=/none",
        "-O2 -fPIC -pthread",
        "-Ofast -march=x86-64-v3 -fopenmp",
        "-ansi",
        "-fdirectives-only",
        "-ffreestanding",
        "-fsanitize=address -fvisibility=hidden",
        "-m32",
        "-nostdinc++",
        "-pedantic-errors -std=c11",
        "-std=gnu++20",
        "-stdlib=libc++",
        "-trigraphs -funsigned-char",
        "-undef",
    ];

    fn asker(compiler: &str, words: &str) -> Option<Asker> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (found, _) = crate::compilers::find_real(&path, OsStr::new(compiler))?;
        Some(Asker {
            compiler: compiler.into(),
            path: found,
            words: words.split_whitespace().map(OsString::from).collect(),
            cwd: "/".into(),
            env: vec![("PATH".into(), path)],
        })
    }

    fn questions(operators: &[(&str, &str)]) -> Vec<Question> {
        let question = |&(operator, operand): &(&str, &str)| Question {
            operator: operator.to_owned(),
            operand: operand.to_owned(),
        };
        operators.iter().map(question).collect()
    }

    /// Whether all at once, this compiler says what it says apart. `None` if it fails with these words.
    fn check(compiler: &str, words: &str, questions: &[Question]) -> Option<()> {
        let asker = asker(compiler, words)?;
        let apart = asker.apart().ok()?;
        let told = format!("{compiler} {words}");
        // GCC knows no attributes in assembler.
        let questions = match asker.answers(questions) {
            answers if answers.len() == questions.len() => questions,
            _ => &[],
        };
        let Some((at_once, answers)) = asker.at_once(questions).unwrap() else {
            panic!("{told}: no answer at once");
        };
        assert_eq!(at_once.dirs(), apart.dirs(), "{told}");
        assert!(at_once.is_same(&apart), "{told}");
        assert_eq!(answers, asker.answers(questions), "{told}");
        Some(())
    }

    #[test]
    fn at_once_compilers_say_what_they_say_apart() {
        let questions = questions(&[
            ("__has_attribute", "__noreturn__"),
            ("__has_attribute", "none"),
            ("__has_builtin", "__builtin_expect"),
            ("__has_builtin", "none"),
        ]);
        for compiler in ["gcc", "clang-14"] {
            let mut checked = 0;
            for language in LANGUAGES {
                for options in OPTIONS {
                    let words = format!("{options} -x {language}");
                    checked += usize::from(check(compiler, &words, &questions).is_some());
                }
            }
            let is_there = asker(compiler, "").is_some();
            assert!(checked > 30 || !is_there, "{compiler}: {checked}");
        }
    }

    #[test]
    fn questions_that_are_errors_are_left_out() {
        let (words, known) = ("-x c", ("__has_builtin", "__builtin_expect"));
        let asker = asker("gcc", words).unwrap();
        let bad = questions(&[known, ("__has_no_such_thing", "x")]);
        assert!(asker.at_once(&bad).unwrap().is_none());
        let (toolchain, answers) = asker.toolchain(&bad).unwrap();
        assert!(toolchain.is_same(&asker.apart().unwrap()));
        assert_eq!(answers, []);
        let (_, answers) = asker.toolchain(&questions(&[known])).unwrap();
        assert_eq!(answers, [(questions(&[known]).remove(0), 1)]);
    }

    /// A specs file may include headers, and may put a directory before all others.
    #[test]
    fn what_a_specs_file_adds() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("x.h"), "#define X\n").unwrap();
        let at = temp.path().display();
        for added in [format!("-include {at}/x.h"), format!("-I {at}")] {
            let specs = temp.path().join("added.specs");
            let text =
                format!("%rename cpp_unique_options old\n\n*cpp_unique_options:\n{added} %(old)\n");
            fs::write(&specs, text).unwrap();
            let words = format!("-x c -specs={}", specs.display());
            let asker = asker("gcc", &words).unwrap();
            assert!(asker.at_once(&[]).unwrap().is_none(), "{added}");
            let (toolchain, _) = asker.toolchain(&[]).unwrap();
            assert!(toolchain.is_same(&asker.apart().unwrap()));
        }
    }
}
