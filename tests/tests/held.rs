//! A compile that stays in the middle, on the server, as long as the test wants.

use std::fs::{File, OpenOptions};

use e2e::programs::{Kind, STOCK_SERVER, client, have};
use e2e::run::{Running, guarded, run};
use e2e::server::Server;
use e2e::workspace::{Workspace, open_to_all};

/// Its source is `held.c`, its object `held.o`.
pub(crate) struct Held {
    pub(crate) running: Running,
    /// Closing it lets the compile go on.
    pub(crate) go: File,
    /// Before the workspace: dropped first.
    _server: Server,
    pub(crate) workspace: Workspace,
}

impl Held {
    /// Starts a compile and waits until its compiler runs on the server. `None` without stock's
    /// server, which unlike ours lets a compiler see the test's files.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        if !have(STOCK_SERVER) {
            return None;
        }
        let mut workspace = Workspace::new();
        let fifo = workspace.root().join("go");
        run(workspace.line("mkfifo").arg(&fifo)).success();
        open_to_all(&fifo, 0o666);
        // Under the name of a compiler that the server knows.
        let script = format!(
            "#!/bin/sh\ncat {}\nexec /usr/bin/gcc \"$@\"\n",
            fifo.display()
        );
        let compiler = workspace.script("x86_64-linux-gnu-gcc", &script);
        let path = format!("{}:/usr/bin:/bin", compiler.parent()?.display());
        workspace.write("held.c", "int held;\n");
        let env = [("DISTCCD_PATH", path.as_str())];
        let server = Server::start_with(&workspace, Kind::Stock, &["--jobs", "4"], &env);
        workspace.set_hosts(server.host());
        let mut command = workspace.command(client(kind));
        command.args(["gcc", "-c", "held.c", "-o", "held.o"]);
        let running = Running::start(command.env("PATH", "/usr/bin:/bin"));
        // Waits for the compiler to open it for reading.
        let go = guarded(|| OpenOptions::new().write(true).open(fifo).unwrap());
        Some(Self {
            running,
            go,
            _server: server,
            workspace,
        })
    }
}
