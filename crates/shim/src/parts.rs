//! A command with several sources, as the parts that the agent has made of it.
//!
//! Each part is a compile with a conversation of its own, all at the same time. Nothing is put in place before all have
//! come to an end elsewhere; then outputs are written and messages printed in the order of the sources, as the compiler
//! does it. If one part has to be compiled here, or the driver has said something, which it would say once about the
//! whole command, then nothing has happened yet, and the command is run as it was given.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use wire::{Destination, JobRequest, LogLine, OutputFile, ToShim};

use crate::conversation::Agent;
use crate::log::Log;
use crate::shim::{pass_on, print_messages, put_files};

/// Longer messages are not looked at, in bytes: the whole command is run here.
const MESSAGES_BYTES_MAX: u64 = 16 << 20;

/// What came of a part that was compiled elsewhere.
struct Finished {
    /// Its end tells the agent that all is in place.
    _agent: Agent,
    wait_status: i32,
    log: Vec<LogLine>,
    outputs: Vec<OutputFile>,
    files: Vec<File>,
}

/// Has all parts compiled and puts everything in place. Returns how the worst of them ended, as `wait` tells it; `None` if
/// the whole command has to be run here.
pub(crate) fn run(request: &JobRequest, parts: Vec<Vec<OsString>>, log: &Log) -> Option<i32> {
    let finished = all(request, parts, log)?;
    if finished
        .iter()
        .any(|part| is_from_driver(part, &request.compiler))
    {
        return None;
    }
    for part in &finished {
        put_files(&part.outputs, &part.files).ok()?;
    }
    for part in &finished {
        log.lines(&part.log);
        print_messages(&part.outputs, &part.files, None);
    }
    finished.iter().map(|part| part.wait_status).max()
}

/// The ends of all parts, unless one has none elsewhere.
fn all(request: &JobRequest, parts: Vec<Vec<OsString>>, log: &Log) -> Option<Vec<Finished>> {
    let (sender, receiver) = mpsc::channel();
    let mut finished: Vec<Option<Finished>> = parts.iter().map(|_| None).collect();
    for (nth, args) in parts.into_iter().enumerate() {
        let (sender, mut request) = (sender.clone(), request.clone());
        request.args = args;
        // Becoming the compiler ends those that are not waited for, and the agent sees it.
        let started = thread::Builder::new().spawn(move || {
            // Nobody listens once the whole is to be run.
            drop(sender.send((nth, see_through(&request))));
        });
        started.ok()?;
    }
    drop(sender);
    for (nth, end) in receiver {
        match end {
            Ok(part) => finished[nth] = Some(part),
            Err(lines) => {
                log.lines(&lines);
                return None;
            }
        }
    }
    finished.into_iter().collect()
}

/// One part's conversation. What has to be done here is not done: what the agent said about it.
fn see_through(request: &JobRequest) -> Result<Finished, Vec<LogLine>> {
    let mut agent = Agent::reach(request).map_err(|_| Vec::new())?;
    let mut said = Vec::new();
    loop {
        match agent.next() {
            Ok((ToShim::Alive | ToShim::Explanation(_), _)) => {}
            Ok((ToShim::Log(lines), _)) => said.extend(lines),
            Ok((
                ToShim::Finish {
                    wait_status,
                    log,
                    outputs,
                },
                files,
            )) => {
                said.extend(log);
                return Ok(Finished {
                    _agent: agent,
                    wait_status,
                    log: said,
                    outputs,
                    files,
                });
            }
            Ok((ToShim::RunLocal { log } | ToShim::Abort { log, .. }, _)) => {
                said.extend(log);
                return Err(said);
            }
            Ok((ToShim::Preprocess { .. } | ToShim::Split { .. }, _)) | Err(_) => return Err(said),
        }
    }
}

/// Whether the compiler's driver has said something: such lines begin with its name, perhaps in colour.
fn is_from_driver(part: &Finished, compiler: &std::ffi::OsStr) -> bool {
    let name = Path::new(compiler).file_name().unwrap_or(compiler);
    let start = [name.as_bytes(), b":"].concat();
    part.outputs.iter().zip(&part.files).any(|(output, file)| {
        if output.destination != Destination::Stderr {
            return false;
        }
        let mut text = Vec::new();
        pass_on(file, output.len.min(MESSAGES_BYTES_MAX), &mut text);
        let mut lines = text.split(|&byte| byte == b'\n');
        output.len > MESSAGES_BYTES_MAX || lines.any(|line| plain(line).starts_with(&start))
    })
}

/// A line without the sequences that colour it.
fn plain(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'\x1b' {
            // `ESC [ numbers letter`.
            bytes.find(u8::is_ascii_alphabetic);
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out() {
        let check = |line: &str, expect: &str| {
            assert_eq!(plain(line.as_bytes()), expect.as_bytes(), "{line:?}");
        };
        check("gcc: warning", "gcc: warning");
        check(
            "\x1b[01m\x1b[Kgcc:\x1b[m\x1b[K \x1b[01;31m\x1b[Kfatal",
            "gcc: fatal",
        );
        check("\x1b[", "");
    }
}
