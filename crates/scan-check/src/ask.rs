//! Asking compilers about themselves, once for every set of options that matters.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scan::{Options, Question, Request, Scan, Scanner, Toolchain, ToolchainId};

use crate::machine::Machine;
use crate::oracle::fnv;

/// A scanner with the compilers that it has been told about.
#[derive(Debug, Default)]
pub struct Asker {
    /// The scanner.
    pub scanner: Scanner,
    /// Folder for the compilers' answers, which are then not asked for again.
    keep: Option<PathBuf>,
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
    /// One that keeps the compilers' answers in a folder, if there is one.
    #[must_use]
    pub fn keeping(keep: Option<PathBuf>) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

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
        let macros = self.run(&key, cwd, scan::MACROS, b"")?;
        let search = self.run(&key, cwd, scan::SEARCH, &scan::search_input())?;
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
            let output = self
                .run(
                    key,
                    request.cwd,
                    &["-w", "-E", "-P", "-"],
                    &scan::questions_input(questions),
                )
                .ok()?;
            output
                .succeeded
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

/// What a compiler printed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    succeeded: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// As text: whether it succeeded, how much there is, and that.
    fn kept(&self) -> Vec<u8> {
        let head = format!("{} {}\n", u8::from(self.succeeded), self.stdout.len());
        [head.as_bytes(), &self.stdout, &self.stderr].concat()
    }

    fn read_kept(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|&b| b == b'\n')?;
        let head = std::str::from_utf8(&text[..end]).ok()?;
        let (succeeded, len) = head.split_once(' ')?;
        let (stdout, stderr) = text[end + 1..].split_at_checked(len.parse().ok()?)?;
        Some(Self {
            succeeded: succeeded == "1",
            stdout: stdout.to_vec(),
            stderr: stderr.to_vec(),
        })
    }
}

impl Asker {
    fn run(&self, key: &Key, cwd: &Path, more: &[&str], input: &[u8]) -> io::Result<Output> {
        let Some(keep) = &self.keep else {
            return run(key, cwd, more, input);
        };
        let mut question = key.compiler.as_encoded_bytes().to_vec();
        let words = key.words.iter().map(|word| word.as_encoded_bytes());
        for word in words
            .chain(more.iter().map(|word| word.as_bytes()))
            .chain([key.cwd.as_encoded_bytes(), input])
        {
            question.push(0);
            question.extend_from_slice(word);
        }
        let path = keep.join(format!("asked-{:016x}", fnv(&question)));
        if let Some(output) = fs::read(&path)
            .ok()
            .and_then(|text| Output::read_kept(&text))
        {
            return Ok(output);
        }
        let output = run(key, cwd, more, input)?;
        fs::write(&path, output.kept())?;
        Ok(output)
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
    Ok(Output {
        succeeded: output.status.success(),
        stdout: output.stdout,
        stderr: output.stderr,
    })
}
