//! Running a program to ask it something: fed, read to the end, and stopped when it takes too long.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a program may think about a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer that is read. Compilers say a few hundred kilobytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Runs a program with `input` on its standard input, and collects what it prints.
///
/// # Errors
/// It cannot be started, or did not come to an end in time.
pub(crate) fn ask(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    finish(child, input)
}

/// Feeds a child and collects what it prints, for as long as it may take.
fn finish(mut child: Child, input: &[u8]) -> io::Result<Output> {
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let input = input.to_vec();
    // A program that stops reading has said what it had to say.
    std::thread::spawn(move || stdin.write_all(&input).unwrap_or_default());
    let stdout = collect(child.stdout.take().expect("it is a pipe"));
    let stderr = collect(child.stderr.take().expect("it is a pipe"));
    let texts = [stdout, stderr].map(|pipe| pipe.recv_timeout(ANSWER_TIMEOUT));
    if texts.iter().any(Result::is_err) {
        child.kill()?;
    }
    let status = child.wait()?;
    let [Ok(stdout), Ok(stderr)] = texts else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn collect(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // What came until then is all there is.
        pipe.take(ANSWER_BYTES_MAX)
            .read_to_end(&mut text)
            .unwrap_or_default();
        sender.send(text).unwrap_or_default();
    });
    receiver
}
