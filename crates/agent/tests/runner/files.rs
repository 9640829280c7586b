//! Hosts that preprocess (`,lzo,cpp`): source and headers go to Debian's own distccd.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use wire::LogLevel;

use crate::shim::{Done, How};
use crate::stock_server::StockServer;
use crate::world::{World, read};

/// A world with a small project in it, and a server.
struct Pump {
    server: StockServer,
    world: World,
}

const SOURCE: &str = "\
#include <stdio.h>
#include \"inc/part.h\"
#include \"../src/up.h\"
#include CONFIG
#include \"link.h\"
#include <from_dir.h>
#include \"build/generated.h\"
int f(void) { return printf(\"%s %d\", __FILE__, PART + UP + CONFIGURED + LINKED + DIR + GENERATED + FORCED); }
";

impl Pump {
    fn new() -> Self {
        let world = World::new();
        world.write("a.c", SOURCE);
        world.write("inc/part.h", "#pragma once\n#include \"deep/er.h\"\n");
        world.write(
            "inc/deep/er.h",
            "#ifndef ER\n#define ER\n#define PART 42\n#endif\n",
        );
        world.write("up.h", "#define UP 1\n");
        world.write("config.h", "#define CONFIGURED 2\n");
        world.write("real/linked.h", "#define LINKED 3\n");
        world.write("dir/from_dir.h", "#define DIR 4\n");
        world.write(
            "forced.h",
            "#define FORCED 5\n#define CONFIG \"config.h\"\n",
        );
        world.write("build/generated.h", "#define GENERATED 6\n");
        symlink("real/linked.h", world.src().join("link.h")).unwrap();
        Self {
            server: StockServer::new(),
            world,
        }
    }

    fn hosts(&self) -> String {
        format!("127.0.0.1:{}/2,lzo,cpp,stock", self.server.port)
    }

    fn compile(&self, args: &str) -> Done {
        self.world.compile(&self.hosts(), args).run()
    }

    fn locally(&self, args: &str) -> Output {
        Command::new("/usr/bin/gcc")
            .args(args.split_whitespace())
            .current_dir(self.world.src())
            .output()
            .unwrap()
    }

    /// The outputs of a local compile and of one on the host are the same.
    #[track_caller]
    fn compile_both_ways(&self, args: &str) -> Done {
        let outputs = ["o/a.o", "o/a.d", "a.d"].map(|name| self.world.src().join(name));
        fs::create_dir_all(self.world.src().join("o")).unwrap();
        let remove = || {
            for output in &outputs {
                fs::remove_file(output).unwrap_or_default();
            }
        };
        let read_all = || outputs.clone().map(|output| fs::read(output).ok());
        remove();
        let local = self.locally(args);
        assert!(local.status.success(), "{local:?}");
        let expect = read_all();
        remove();
        let done = self.compile(args);
        done.is_remote();
        assert_eq!(done.stderr, local.stderr, "{args}");
        for ((ours, expect), name) in read_all().iter().zip(&expect).zip(&outputs) {
            let text = |bytes: &Option<Vec<u8>>| {
                bytes
                    .as_ref()
                    .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            };
            if name.extension().is_some_and(|end| end == "d") {
                assert_eq!(text(ours), text(expect), "{args}");
            }
            assert!(ours == expect, "{} differs: {args}", name.display());
        }
        done
    }
}

fn lines(done: &Done) -> String {
    let lines = done.log.iter().map(|line| format!("{}\n", line.text));
    lines.collect()
}

#[track_caller]
fn sent_files(done: &Done) {
    assert_eq!(done.preprocessed, 0, "{}", lines(done));
}

#[track_caller]
fn sent_text(done: &Done, why: &str) {
    assert_eq!(done.preprocessed, 1, "{}", lines(done));
    assert!(lines(done).contains(why), "{}", lines(done));
    let loud = done.log.iter().any(|line| line.level < LogLevel::Info);
    assert!(!loud, "{:?}", done.log);
}

#[test]
fn outputs_equal_those_of_a_local_compile() {
    let pump = Pump::new();
    let src = pump.world.src().display().to_string();
    for args in [
        "-O2 -include forced.h -Idir -c a.c -o o/a.o",
        "-include forced.h -I dir -MD -c a.c -o o/a.o",
        "-include forced.h -Idir -MMD -MP -MF o/a.d -c a.c -o o/a.o",
        "-include forced.h -Idir -Wp,-MMD,o/a.d -c a.c -o o/a.o",
        "-include forced.h -idirafter dir -MD -MT all -MT more -c a.c -o o/a.o",
        "-include forced.h -Idir -march=native -O2 -S a.c -o o/a.o",
        &format!("-include {src}/forced.h -I{src}/dir -MD -c {src}/a.c -o {src}/o/a.o"),
        "-include forced.h -Inowhere -Idir/../dir -Wmissing-include-dirs -Wall -c a.c -o o/a.o",
    ] {
        sent_files(&pump.compile_both_ways(args));
    }
}

#[test]
fn headers_that_change_or_appear_are_seen() {
    let pump = Pump::new();
    let args = "-include forced.h -Iearly -Idir -MD -c a.c -o o/a.o";
    sent_files(&pump.compile_both_ways(args));
    pump.world.write("inc/deep/er.h", "#define PART 43\n");
    sent_files(&pump.compile_both_ways(args));
    pump.world.write("early/from_dir.h", "#define DIR 44\n");
    sent_files(&pump.compile_both_ways(args));
    assert!(String::from_utf8_lossy(&read(pump.world.src().join("o/a.d"))).contains("early/"));
    fs::remove_file(pump.world.src().join("build/generated.h")).unwrap();
    let done = pump.compile(args);
    assert!(matches!(done.how, How::Local(status) if status != 0));
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(
        stderr.matches("fatal error: build/generated.h").count(),
        1,
        "{stderr}"
    );
    pump.world
        .write("build/generated.h", "#define GENERATED 7\n");
    sent_files(&pump.compile_both_ways(args));
}

#[test]
fn what_a_host_would_see_otherwise_is_preprocessed_here() {
    let pump = Pump::new();
    let world = &pump.world;
    world.write("date.c", "const char *date = __DATE__;\n");
    let done = pump.compile("-c date.c -o o.o");
    done.is_remote();
    sent_text(&done, "__DATE__");
    let done = world
        .compile(&pump.hosts(), "-include forced.h -c a.c -o o.o")
        .env("CPATH", world.src().join("dir"));
    sent_text(&done.run(), "CPATH");
    world.write("plain.c", "int x;\n");
    sent_text(
        &pump.compile("--sysroot=/ -c plain.c -o o.o"),
        "--sysroot=/",
    );
    sent_text(&pump.compile("-g -gz -c plain.c -o o.o"), "compressed");
    sent_files(&pump.compile("-c plain.c -o o.o"));
    let name = world.src().join("up.h").display().to_string();
    world.write("absolute.c", &format!("#include \"{name}\"\nint x = UP;\n"));
    sent_text(&pump.compile("-c absolute.c -o o.o"), "by an absolute name");
}

#[test]
fn debug_information_is_that_of_a_local_compile() {
    let pump = Pump::new();
    let world = &pump.world;
    world.write(
        "main.c",
        "#include \"inc/part.h\"\nint f(int x) { return x + PART; }\n",
    );
    let src = world.src().display().to_string();
    // What a debugger sees. Only where strings lie differs: other lengths, another order.
    let seen = || {
        let dump = Command::new("readelf")
            .args(["--wide", "--debug-dump=info,decodedline", "a.o"])
            .current_dir(world.src())
            .output()
            .unwrap();
        let text = String::from_utf8(dump.stdout).unwrap();
        let mut parts = text.split("(offset: ");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |all, part| {
            all + part.split_once(')').map_or("", |(_, rest)| rest)
        })
    };
    for args in [
        "-g -MD -c main.c -o a.o",
        "-gdwarf-4 -O2 -c main.c -o a.o",
        "-g3 -Iinc -c main.c -o a.o",
        &format!("-g -I{src}/dir -MD -c {src}/main.c -o a.o"),
        &format!("-g3 -I{src}/dir -c {src}/main.c -o a.o"),
    ] {
        assert!(pump.locally(args).status.success());
        let expect = seen();
        let done = pump.compile(args);
        done.is_remote();
        sent_files(&done);
        assert_eq!(seen(), expect, "{args}");
        let ours = read(world.src().join("a.o"));
        let leaks = |part: &[u8]| ours.windows(part.len()).any(|window| window == part);
        assert!(!leaks(b"distccd_") && !leaks(b"//////////"), "{args}");
    }
}

#[test]
fn an_object_that_may_name_the_servers_directory_is_not_taken() {
    let pump = Pump::new();
    let text = "const char *name = \"/tmp/distccd_abcdef/x\";\n";
    pump.world.write("name.c", text);
    sent_text(
        &pump.compile("-c name.c -o o.o"),
        "the object made there names",
    );
    // With debug information the host is not trusted with the next one either.
    let why = "debug information made there names";
    sent_text(&pump.compile("-g -c name.c -o o.o"), why);
    pump.world.write("plain.c", "int x;\n");
    sent_text(&pump.compile("-g -c plain.c -o o.o"), why);
    sent_files(&pump.compile("-c plain.c -o o.o"));
}

#[test]
fn hosts_that_preprocess_and_others_in_one_list() {
    let pump = Pump::new();
    let other = StockServer::new();
    let world = &pump.world;
    world.write("plain.c", "#include \"up.h\"\nint x = UP;\n");
    let hosts = format!(
        "127.0.0.1:{},lzo,stock 127.0.0.1:1,lzo,cpp,stock",
        other.port
    );
    let done = world.compile(&hosts, "-c plain.c -o o.o").run();
    done.is_remote();
    assert_eq!(done.preprocessed, 1);
    // One that is not there, and then one that needs text.
    let hosts = format!(
        "127.0.0.1:1,lzo,cpp,stock 127.0.0.1:{},lzo,stock",
        other.port
    );
    let done = world.compile(&hosts, "-c plain.c -o o.o").run();
    done.is_remote();
    assert_eq!(done.preprocessed, 1);
    let hosts = format!("127.0.0.1:1,lzo {}", pump.hosts());
    let done = world.compile(&hosts, "-c plain.c -o o.o").run();
    done.is_remote();
}

#[test]
fn an_error_in_the_source_is_told_once() {
    let pump = Pump::new();
    pump.world.write("bad.c", "int f(void) { return x; }\n");
    let done = pump.compile("-c bad.c");
    assert_eq!(done.how, How::Local(256));
    let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(
        stderr.matches("undeclared (first use").count(),
        1,
        "{stderr}"
    );
    assert_eq!(done.preprocessed, 0);
}
