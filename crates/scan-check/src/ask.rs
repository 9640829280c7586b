//! Asking compilers about themselves, once for every set of options that matters.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use scan::{Options, Question, Request, Scan, Scanner, Toolchain, ToolchainId};

use crate::machine::Machine;

/// A scanner with the compilers that it has been told about.
#[derive(Debug, Default)]
pub struct Asker {
    /// The scanner.
    pub scanner: Scanner,
    known: HashMap<Key, ToolchainId>,
    words: HashMap<ToolchainId, Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    compiler: OsString,
    cwd: OsString,
    words: Vec<OsString>,
}

/// Rounds of questions and answers: an answer can lead to headers with other questions.
const ROUNDS_MAX: usize = 4;

impl Asker {
    /// The toolchain for a compile.
    ///
    /// # Errors
    ///
    /// When the compiler cannot be run or does not answer.
    pub fn toolchain(
        &mut self,
        compiler: &OsString,
        options: &Options,
        cwd: &Path,
    ) -> io::Result<ToolchainId> {
        let mut words = options.told().to_vec();
        if let Some(language) = options.language() {
            words.extend(["-x".into(), language.option().into()]);
        }
        // Only options that name files by relative paths make the working directory matter.
        let relative = words.iter().any(|word| {
            let word = word.to_string_lossy();
            word.contains('/') || word.contains('=') && word.contains("root")
        });
        let cwd_key = if relative {
            cwd.as_os_str().to_owned()
        } else {
            OsString::new()
        };
        let key = Key {
            compiler: compiler.clone(),
            cwd: cwd_key,
            words,
        };
        if let Some(&id) = self.known.get(&key) {
            return Ok(id);
        }
        let macros = run(&key, cwd, scan::MACROS, b"")?;
        let search = run(&key, cwd, scan::SEARCH, &scan::search_input())?;
        let toolchain =
            Toolchain::new(&macros.stdout, &search.stdout, &search.stderr).map_err(|error| {
                io::Error::other(format!("{error:?} from {}", key.compiler.to_string_lossy()))
            })?;
        let id = self.scanner.learn(toolchain);
        self.known.insert(key.clone(), id);
        self.words.insert(id, key);
        Ok(id)
    }

    /// Scans, asking the compiler what the scanner wants to know.
    pub fn scan(&mut self, files: &mut dyn scan::Files, request: &Request<'_>) -> Scan {
        let mut scan = self.scanner.scan(files, request);
        for _ in 0..ROUNDS_MAX {
            if scan.questions.is_empty() {
                break;
            }
            let answers = self.answers(request, &scan.questions);
            if answers.is_empty() {
                break;
            }
            self.scanner.answer(request.toolchain, &answers);
            scan = self.scanner.scan(files, request);
        }
        scan
    }

    fn answers(&self, request: &Request<'_>, questions: &[Question]) -> Vec<(Question, u64)> {
        let Some(key) = self.words.get(&request.toolchain) else {
            return Vec::new();
        };
        let ask = |questions: &[Question]| {
            let output = run(
                key,
                request.cwd,
                &["-w", "-E", "-P", "-"],
                &scan::questions_input(questions),
            )
            .ok()?;
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
            Some((
                question.clone(),
                *ask(std::slice::from_ref(question))?.first()?,
            ))
        };
        questions.iter().filter_map(alone).collect()
    }

    /// Files for a scan that starts now.
    #[must_use]
    pub fn files() -> Machine {
        Machine::now()
    }
}

fn run(key: &Key, cwd: &Path, more: &[&str], input: &[u8]) -> io::Result<Output> {
    let mut command = Command::new(&key.compiler);
    command
        .args(&key.words)
        .args(more)
        .current_dir(cwd)
        .env("LC_ALL", "C");
    for name in [
        "CPATH",
        "C_INCLUDE_PATH",
        "CPLUS_INCLUDE_PATH",
        "OBJC_INCLUDE_PATH",
        "DEPENDENCIES_OUTPUT",
        "SUNPRO_DEPENDENCIES",
    ] {
        command.env_remove(name);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    // A compiler that stops reading has said what it had to say.
    drop(writer.join());
    Ok(output)
}
