//! Questions to the agent about compiles: what became of one, and what one would be for a worker.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use wire::{Explain, JobRequest, ToAgent, ToShim, frame};

use crate::agent_socket::{AgentError, AgentSocket};
use crate::error::Error;
use crate::one_compile::OneCompile;
use crate::world::World;

/// How long the agent may think: it may have to find and hash a compiler first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks the agent; `None` if none runs and `may_start` does not hold.
pub(crate) fn ask(
    world: &World,
    question: Explain,
    may_start: bool,
) -> Result<Option<String>, Error> {
    let socket = AgentSocket::new(world)?;
    let stream = if may_start {
        let farcc = std::env::current_exe().map_err(Error::file("find", "farcc"))?;
        Some(socket.connect_or_start(world, &farcc)?)
    } else {
        socket.connect_if_alive()?
    };
    let Some(stream) = stream else {
        return Ok(None);
    };
    let answer = converse(stream, question).map_err(|source| AgentError::Unreachable {
        dir: socket.dir,
        source,
    })?;
    Ok(Some(answer))
}

fn converse(mut stream: UnixStream, question: Explain) -> std::io::Result<String> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let payload = ToAgent::Explain(question).to_payload();
    stream.write_all(&frame::encode(&payload))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    loop {
        if let Some((payload, _)) = frame::split(&bytes).map_err(invalid)?
            && let ToShim::Explanation(text) = ToShim::from_payload(payload).map_err(invalid)?
        {
            return Ok(text);
        }
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The file that a question about one word means.
pub(crate) fn about_output(path: &Path) -> Result<Explain, Error> {
    let path = std::path::absolute(path).map_err(Error::file("find", path))?;
    Ok(Explain::Output(path.into()))
}

/// A compile as the shim would tell of it.
pub(crate) fn about_command(world: &World, compile: &OneCompile) -> Result<Explain, Error> {
    let cwd = std::fs::metadata(&compile.cwd).map_err(Error::file("look at", &compile.cwd))?;
    let forwarded = world
        .vars
        .iter()
        .filter(|(name, _)| wire::environment::is_forwarded(name.as_encoded_bytes()));
    Ok(Explain::Command(JobRequest {
        pid: std::process::id(),
        compiler: compile.name.clone(),
        compiler_path: compile.path.clone().into(),
        args: compile.words.clone(),
        cwd: compile.cwd.clone().into(),
        cwd_dev: cwd.dev(),
        cwd_ino: cwd.ino(),
        env: forwarded.cloned().collect(),
        terminal: None,
    }))
}
