//! The life of this process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use wire::{
    Destination, JobRequest, LogLevel, OutputFile, Preprocessed, Terminal, ToAgent, ToShim,
};

use crate::compiler::{self, Found, NotFound};
use crate::conversation::{Agent, is_gone};
use crate::invocation::{self, Invocation};
use crate::local::{self, SAFEGUARD};
use crate::log::Log;
use crate::messages;
use crate::own_options;
use crate::parts;

/// distcc's exit codes that this program uses itself.
const EXIT_COMPILER_MISSING: u8 = 110;
const EXIT_RECURSION: u8 = 111;

/// Agents that one job asks again after they have died: the one that it began with, and one that
/// was already dying when it was reached.
const AGENTS_LOST_MAX: u32 = 2;

/// Longer messages of preprocessor or host are passed on as they are, in bytes.
const COMPARED_BYTES_MAX: u64 = 1 << 20;

/// Runs the program. `words` is the whole command line.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    match invocation::parse(words) {
        Invocation::Nothing => own_options::nothing_asked(),
        Invocation::Own(option) => own_options::answer(option),
        Invocation::Compile {
            compiler,
            args,
            masquerade,
        } => compile(&compiler, args, masquerade),
    }
}

fn compile(compiler: &OsStr, args: Vec<OsString>, masquerade: bool) -> ExitCode {
    let log = Log::from_environment();
    // Cannot fail for a signal that exists.
    drop(sys::signals::keep_children_waitable());
    let path_var = std::env::var_os("PATH").unwrap_or_default();
    let found = match compiler::find(compiler, masquerade, &path_var, compiler::own_file()) {
        Ok(found) => found,
        Err(why) => return not_found(&why, &log),
    };
    // Called by a compiler that we started: no second round of distribution.
    if std::env::var_os(SAFEGUARD).is_some() {
        if found.path_var.is_none() {
            log.line(
                LogLevel::Critical,
                "distcc seems to have invoked itself recursively!",
            );
            return ExitCode::from(EXIT_RECURSION);
        }
        return local::run(&found, &args, &log);
    }
    let request = match job_request(&found, &args) {
        Ok(request) => request,
        Err(error) => {
            log.line(
                LogLevel::Warning,
                &format!("no working directory ({error}), running locally"),
            );
            return local::run(&found, &args, &log);
        }
    };
    match Agent::reach(&request) {
        Ok(agent) => converse(agent, &request, &found, &log),
        Err(error) => without_agent(&error, &found, &args, &log),
    }
}

fn without_agent(error: &std::io::Error, found: &Found, args: &[OsString], log: &Log) -> ExitCode {
    let text = format!("no agent ({error}), running locally instead");
    log.line(LogLevel::Warning, &text);
    local::run(found, args, log)
}

fn not_found(why: &NotFound, log: &Log) -> ExitCode {
    match why {
        NotFound::Missing(name) => {
            let text = format!(
                "failed to exec {}: no such compiler in PATH",
                name.display()
            );
            log.line(LogLevel::Error, &text);
            ExitCode::from(EXIT_COMPILER_MISSING)
        }
        NotFound::Recursion(name) => {
            let text = format!("{} is distcc itself, not a compiler", name.display());
            log.line(LogLevel::Critical, &text);
            ExitCode::from(EXIT_RECURSION)
        }
    }
}

fn job_request(found: &Found, args: &[OsString]) -> std::io::Result<JobRequest> {
    let cwd = std::env::current_dir()?;
    let meta = std::fs::metadata(".")?;
    let mut env: Vec<_> = std::env::vars_os()
        .filter(|(name, _)| wire::environment::is_forwarded(name.as_encoded_bytes()))
        .collect();
    if let Some(path_var) = &found.path_var {
        env.retain(|(name, _)| name != "PATH");
        env.push(("PATH".into(), path_var.clone()));
    }
    Ok(JobRequest {
        pid: std::process::id(),
        compiler: found.name.clone(),
        compiler_path: absolute(&found.path, &cwd).into(),
        args: args.to_vec(),
        cwd: cwd.into(),
        cwd_dev: meta.dev(),
        cwd_ino: meta.ino(),
        terminal: sys::terminal::shows_messages().then(|| Terminal {
            input_columns: sys::terminal::input_columns(),
        }),
        env,
    })
}

fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    if path.is_absolute() {
        path.to_owned()
    } else {
        cwd.join(path)
    }
}

/// Does what the agent says until it says how this ends.
fn converse(mut agent: Agent, request: &JobRequest, found: &Found, log: &Log) -> ExitCode {
    let args = &request.args;
    let mut preprocessor_messages = None;
    let mut agents_lost = 0;
    loop {
        let (answer, files) = match agent.next() {
            Ok(answer) => answer,
            // One that leaves in the moment of connecting, or was killed, is replaced: a build
            // with hundreds of compiles under way would have them all run here at once. Not for
            // ever: this job may be what kills it.
            Err(error) if is_gone(&error) && agents_lost < AGENTS_LOST_MAX => {
                log.line(LogLevel::Info, &format!("lost the agent ({error})"));
                agents_lost += 1;
                agent.wait_for_death();
                match Agent::reach(request) {
                    Ok(second) => agent = second,
                    Err(error) => return without_agent(&error, found, args, log),
                }
                continue;
            }
            Err(error) => {
                let text = format!("lost the agent ({error}), running locally instead");
                log.line(LogLevel::Warning, &text);
                if error.kind() == std::io::ErrorKind::TimedOut {
                    agent.give_up();
                }
                return local::run(found, args, log);
            }
        };
        match answer {
            // Explanations are for others.
            ToShim::Alive | ToShim::Explanation(_) => {}
            ToShim::Log(lines) => log.lines(&lines),
            ToShim::Preprocess { args } => match preprocess(&mut agent, found, &args) {
                Ok(messages) => preprocessor_messages = Some(messages),
                Err(error) => {
                    let text = format!("failed to preprocess ({error}), running locally instead");
                    log.line(LogLevel::Warning, &text);
                    break;
                }
            },
            ToShim::Split { parts } => match parts::run(request, parts, log) {
                Some(wait_status) => return exit_code(wait_status),
                None => drop(agent.say(&ToAgent::Whole, &[])),
            },
            ToShim::RunLocal { log: lines } => {
                log.lines(&lines);
                // Without it the slot is free too early, which costs speed only.
                drop(agent.keep_across_exec());
                return local::run(found, args, log);
            }
            ToShim::Abort {
                exit_code,
                log: lines,
            } => {
                log.lines(&lines);
                return ExitCode::from(exit_code);
            }
            ToShim::Finish {
                wait_status,
                log: lines,
                outputs,
            } => {
                log.lines(&lines);
                match install(&outputs, &files, preprocessor_messages.as_ref()) {
                    Ok(()) => return exit_code(wait_status),
                    Err(why) => {
                        not_installed(&mut agent, why, log);
                        break;
                    }
                }
            }
        }
    }
    local::run(found, args, log)
}

fn not_installed(agent: &mut Agent, why: String, log: &Log) {
    let text = format!("{why}, running locally instead");
    log.line(LogLevel::Warning, &text);
    // One that is gone need not know.
    drop(agent.say(&ToAgent::InstallFailed(why), &[]));
}

/// Runs the preprocessor here and hands what it wrote to the agent. Returns its messages, which
/// are shown only if the result is used: a local compile would write them again.
fn preprocess(agent: &mut Agent, found: &Found, args: &[OsString]) -> std::io::Result<File> {
    let done = sys::preprocessor::run(&found.path, &found.name, args, &local::environment(found))?;
    let message = ToAgent::Preprocessed(Preprocessed {
        wait_status: done.wait_status,
        cpu_us: u64::try_from(done.cpu.as_micros()).unwrap_or(u64::MAX),
        has_stderr: done.stderr.metadata()?.len() > 0,
    });
    match agent.say(&message, &[&done.stdout]) {
        // Whoever waits for the next answer finds out.
        Err(error) if is_gone(&error) => {}
        outcome => outcome?,
    }
    Ok(done.stderr)
}

/// Puts all outputs in place: files first, so that messages appear once and only if all is well.
fn install(
    outputs: &[OutputFile],
    files: &[File],
    preprocessor_messages: Option<&File>,
) -> Result<(), String> {
    put_files(outputs, files)?;
    print_messages(outputs, files, preprocessor_messages);
    Ok(())
}

/// Puts the files among the outputs in place.
pub(crate) fn put_files(outputs: &[OutputFile], files: &[File]) -> Result<(), String> {
    for (output, file) in outputs.iter().zip(files) {
        if let Destination::File(path) = &output.destination {
            sys::output_file::put(file, output.len, Path::new(path))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Prints the messages among the outputs, after those of the preprocessor that ran here.
pub(crate) fn print_messages(
    outputs: &[OutputFile],
    files: &[File],
    preprocessor_messages: Option<&File>,
) {
    let said = preprocessor_messages.map(|file| {
        let len = file.metadata().map_or(0, |meta| meta.len());
        pass_on(file, len, &mut std::io::stderr());
        (file, len)
    });
    for (output, file) in outputs.iter().zip(files) {
        match output.destination {
            Destination::Stdout => pass_on(file, output.len, &mut std::io::stdout()),
            Destination::Stderr => hosts_messages(file, output.len, said),
            Destination::File(_) => {}
        }
    }
}

/// Prints what the host's compiler said as one here would have said it.
fn hosts_messages(file: &File, len: u64, said: Option<(&File, u64)>) {
    let stderr = &mut std::io::stderr();
    if len > COMPARED_BYTES_MAX {
        return pass_on(file, len, stderr);
    }
    let read = |file, len| {
        let mut bytes = Vec::new();
        pass_on(file, len, &mut bytes);
        bytes
    };
    let mut text = read(file, len);
    if let Some((here, here_len @ 1..=COMPARED_BYTES_MAX)) = said {
        text = messages::without_repetitions(&text, &read(here, here_len));
    }
    if messages::quotes_are_plain(|name| std::env::var_os(name)) {
        text = messages::with_plain_quotes(&text);
    }
    // A reader that went away must not fail the compile.
    drop(stderr.write_all(&text));
}

/// Copies a compiler's messages. A reader that went away must not fail the compile.
pub(crate) fn pass_on(mut file: &File, len: u64, to: &mut dyn Write) {
    use std::io::{Read, Seek};
    if len > 0 && file.rewind().is_ok() {
        drop(std::io::copy(&mut file.take(len), to).and_then(|_| to.flush()));
    }
}

fn exit_code(wait_status: i32) -> ExitCode {
    let status = ExitStatus::from_raw(wait_status);
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1))
}
