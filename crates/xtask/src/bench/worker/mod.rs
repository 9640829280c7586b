//! What an action costs a worker besides its command: `bench worker` for one client and for 64, for
//! input trees that change little or much; `bench worker-load` for very many small ones.

mod actions;
mod cost;
mod load;

pub(crate) use cost::run as run_cost;
pub(crate) use load::run as run_load;

use std::fs;
use std::future::Future;
use std::process::Command;

use e2e::server::Server;
use reapi::client::{Caller, Client};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use actions::FUNCTION;

/// Runs what waits for many things at once.
fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    LocalSet::new().block_on(&runtime, work)
}

/// A connection to a worker.
async fn connect(server: &Server, build: &str) -> Result<Client, String> {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).await;
    let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
    let _slower = stream.set_nodelay(true);
    let caller = Caller {
        tool_name: "xtask".into(),
        tool_version: String::new(),
        invocation_id: build.into(),
    };
    let client = Client::connect(stream, "worker", &caller, FUNCTION).await;
    client.map_err(|error| error.to_string())
}

/// The program that stands in for a compiler: needs nothing, reads nothing, writes the file that
/// its first argument names.
fn stand_in() -> Result<Vec<u8>, String> {
    const SOURCE: &str = "#include <fcntl.h>\n#include <string.h>\n#include <unistd.h>\n\
        int main(int n, char **v) {\n\
        int f = open(v[1], O_CREAT | O_EXCL | O_WRONLY, 0666);\n\
        return write(f, v[2], strlen(v[2])) < 0;\n}\n";
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (source, program) = (dir.path().join("a.c"), dir.path().join("a"));
    fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-static", "-s", "-o"])
        .arg(&program)
        .arg(&source);
    match gcc.status() {
        Ok(status) if status.success() => {}
        _ => return Err("gcc cannot make a static program: apt-get install gcc libc6-dev".into()),
    }
    fs::read(&program).map_err(|error| error.to_string())
}
