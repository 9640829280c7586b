//! Protocol 3: the client sends source and headers, the server preprocesses. Stock's client does
//! so when pump's include server tells it the files; a test hook of its replaces that server.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::programs::{Kind, STOCK_CLIENT, have};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

/// Stock's client takes the names of compressed files, and strips three components in front and
/// `.lzo` at the end to get the path that the server shall give them.
const PREFIX_COMPONENTS: usize = 3;

struct Pump {
    server: Server,
    workspace: Workspace,
    files: Vec<PathBuf>,
    prefix: tempfile::TempDir,
}

impl Pump {
    fn new(server: Kind) -> Option<Self> {
        if !have(STOCK_CLIENT) {
            return None;
        }
        let mut workspace = Workspace::new();
        workspace.write(
            "main.c",
            "#include \"inc/part.h\"\nint f(void) { return PART; }\n",
        );
        workspace.write("inc/part.h", "#define PART 42\n");
        workspace.write(
            "broken.c",
            "#include \"inc/part.h\"\nint f(void) { return PART }\n",
        );
        let server = Server::start(&workspace, server);
        workspace.set_hosts(server.plain_host() + ",lzo,cpp");
        let mut pump = Self {
            server,
            workspace,
            files: Vec::new(),
            prefix: tempfile::tempdir_in("/tmp").unwrap(),
        };
        for name in ["main.c", "inc/part.h", "broken.c"] {
            pump.compress(name);
        }
        Some(pump)
    }

    /// Does what the include server does for one file.
    fn compress(&mut self, name: &str) {
        let source = self.workspace.src(name);
        let packed = stock::Packed::compress(&fs::read(&source).unwrap());
        let prefix = self.prefix.path().join("pump");
        // The root is a component, too.
        assert_eq!(prefix.components().count(), 1 + PREFIX_COMPONENTS);
        let mut target = prefix
            .join(source.strip_prefix("/").unwrap())
            .into_os_string();
        target.push(".lzo");
        let target = PathBuf::from(target);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, packed.as_bytes()).unwrap();
        self.files.push(target);
    }

    /// Afterwards only the server has the header: no preprocessor can run here.
    fn compile_locally(&self, args: &str) -> Vec<u8> {
        let (header, away) = (
            self.workspace.src("inc/part.h"),
            self.workspace.src("away.h"),
        );
        if !header.exists() {
            fs::rename(&away, &header).unwrap();
        }
        self.workspace.run(&format!("gcc {args}")).success();
        fs::rename(&header, &away).unwrap();
        let object = self.workspace.read("main.o");
        fs::remove_file(self.workspace.src("main.o")).unwrap();
        object
    }

    fn compile(&self, line: &str) -> Outcome {
        let files: Vec<_> = self
            .files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let mut command = self.workspace.command(STOCK_CLIENT);
        command
            .args(line.split_whitespace())
            .env("INCLUDE_SERVER_STUB", files.join(" "))
            .env("INCLUDE_SERVER_PORT", Path::new("/nowhere/socket"))
            .env("DISTCC_FALLBACK", "0");
        run(&mut command)
    }
}

#[test]
fn stocks_client_sends_files_and_gets_the_same_object() {
    let Some(pump) = Pump::new(Kind::Ours) else {
        return;
    };
    for args in ["-O2 -c main.c -o main.o", "-g -O1 -MD -c main.c -o main.o"] {
        let expected = pump.compile_locally(args);
        let jobs = pump.server.jobs_so_far();
        pump.compile(&format!("gcc {args}")).success();
        assert!(pump.workspace.read("main.o") == expected, "{args}");
        pump.server.wait_for_jobs(jobs + 1);
    }
    let depends = String::from_utf8(pump.workspace.read("main.d")).unwrap();
    assert!(depends.contains("inc/part.h"), "{depends}");
    assert!(!depends.contains("distccd_"), "{depends}");
}

#[test]
fn control_stocks_server_makes_the_same_object_without_debug_information() {
    let Some(pump) = Pump::new(Kind::Stock) else {
        return;
    };
    let args = "-O2 -c main.c -o main.o";
    let expected = pump.compile_locally(args);
    pump.compile(&format!("gcc {args}")).success();
    assert!(pump.workspace.read("main.o") == expected);
    pump.server.wait_for_jobs(1);
}

#[test]
fn a_broken_source_gives_the_compilers_words() {
    let Some(pump) = Pump::new(Kind::Ours) else {
        return;
    };
    let outcome = pump.compile("gcc -c broken.c -o broken.o");
    assert_ne!(outcome.code(), 0);
    assert!(outcome.stderr.contains("broken.c:2:"), "{outcome:#?}");
    // It saw the source itself.
    assert!(outcome.stderr.contains("return PART }"), "{outcome:#?}");
    assert!(!pump.workspace.src("broken.o").exists());
}
