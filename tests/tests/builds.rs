//! Build tools as people use them, each building a project that nobody here wrote: the result
//! works, and the compiles were done by the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::corpus::{self, LIBFFI, LUA, Project, ZLIB_NG};
use e2e::programs::{self, Kind, have};
use e2e::run::run;
use e2e::server::Server;
use e2e::workspace::Workspace;

/// More jobs at once than slots: some always wait.
const JOBS: &str = "-j16";

struct Build {
    server: Server,
    workspace: Workspace,
}

impl Build {
    /// A project's sources in `src/project`, and a server. `None` if a tool may be missing and is.
    fn new(project: Project, tools: &[&str]) -> Option<Self> {
        // All are asked for, so that all that is missing is told.
        if tools.iter().filter(|tool| !have(tool)).count() > 0 {
            return None;
        }
        let mut workspace = Workspace::new();
        corpus::copy(project, &workspace.src("project")).unwrap();
        let server = Server::start(&workspace, Kind::Ours);
        workspace.set_hosts(server.host());
        Some(Self { server, workspace })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.workspace.line(line);
        command.current_dir(self.workspace.src("project"));
        command
    }

    /// Runs a step with our client in front of each compiler call.
    fn step(&self, line: &str) {
        run(&mut self.command(line)).success();
    }

    /// Runs a step with our client under the compilers' names in `PATH`.
    fn masqueraded(&self, line: &str) {
        let dir = self.workspace.root().join("masquerade");
        if !dir.exists() {
            let names = ["cc", "c++", "gcc", "g++"];
            assert_eq!(self.workspace.masquerade(&programs::distcc(), &names), dir);
        }
        let mut path = dir.into_os_string();
        path.push(":");
        path.push(self.workspace.path_var());
        run(self.command(line).env("PATH", path)).success();
    }

    /// Links a program with what was built and runs it.
    fn check_program(&self, text: &str, gcc_args: &str) {
        self.workspace.write("project/check.c", text);
        let line = format!("gcc check.c -o check {gcc_args}");
        run(&mut self.command(&line)).success();
        let program = self.workspace.src("project/check");
        run(&mut self.workspace.command(program)).success();
    }
}

const LUA_CHECK: &str = r#"
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
int main(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, "local s = 0 for i = 1, 100 do s = s + i end return s")) return 1;
    return lua_tointeger(L, -1) == 5050 ? 0 : 2;
}
"#;

/// The objects of a project whose sources all lie in one directory.
fn objects(workspace: &Workspace) -> Vec<String> {
    let entries = std::fs::read_dir(workspace.src("project")).unwrap();
    let mut objects: Vec<String> = entries
        .map(|entry| PathBuf::from(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|end| end == "c"))
        .filter(|path| path != Path::new("check.c"))
        .map(|path| path.with_extension("o").display().to_string())
        .collect();
    objects.sort();
    objects
}

/// Lua's package has no makefile of its own.
fn write_lua_makefile(workspace: &Workspace) -> usize {
    let objects = objects(workspace);
    let text = format!(
        "CFLAGS = -O1 -DLUA_USE_POSIX -MMD\n\
         liblua.a: {0}\n\tar rcs $@ {0}\n\
         -include *.d\n",
        objects.join(" ")
    );
    workspace.write("project/Makefile", &text);
    objects.len()
}

#[test]
fn gnu_make_with_many_jobs() {
    let Some(build) = Build::new(LUA, &["make"]) else {
        return;
    };
    let units = write_lua_makefile(&build.workspace);
    let distcc = programs::distcc();
    let mut make = build.command(&format!("make {JOBS}"));
    run(make.arg(format!("CC={} gcc", distcc.display()))).success();
    build.server.wait_for_jobs(units);
    build.check_program(LUA_CHECK, "liblua.a -lm");
}

#[test]
fn make_through_masquerade() {
    let Some(build) = Build::new(LUA, &["make"]) else {
        return;
    };
    let units = write_lua_makefile(&build.workspace);
    build.masqueraded(&format!("make {JOBS}"));
    assert_eq!(build.server.wait_for_jobs(units), units);
    build.check_program(LUA_CHECK, "liblua.a -lm");
}

#[test]
fn ccache_with_distcc_as_prefix() {
    let Some(build) = Build::new(LUA, &["make", "ccache"]) else {
        return;
    };
    let units = write_lua_makefile(&build.workspace);
    let make = |target: &str| {
        let mut command = build.command(&format!("make {JOBS} {target}"));
        command
            .arg("CC=ccache gcc")
            .env("CCACHE_PREFIX", programs::distcc())
            .env("CCACHE_DIR", build.workspace.root().join("ccache"));
        run(&mut command).success();
    };
    make("");
    assert_eq!(build.server.wait_for_jobs(units), units);
    build.check_program(LUA_CHECK, "liblua.a -lm");
    // Everything is in the cache now: nothing is compiled again, anywhere.
    std::fs::remove_file(build.workspace.src("project/liblua.a")).unwrap();
    for object in objects(&build.workspace) {
        std::fs::remove_file(build.workspace.src("project").join(object)).unwrap();
    }
    make("");
    assert_eq!(build.server.jobs_so_far(), units);
    build.check_program(LUA_CHECK, "liblua.a -lm");
}

const ZLIB_CHECK: &str = r#"
#include <stdio.h>
#include <string.h>
#include "zlib-ng.h"
int main(void) {
    static unsigned char text[100000], packed[110000], back[100000];
    size_t packed_len = sizeof packed, back_len = sizeof back;
    for (size_t i = 0; i < sizeof text; i++) text[i] = (unsigned char)(i % 251);
    if (zng_compress(packed, &packed_len, text, sizeof text) != Z_OK) return 1;
    if (zng_uncompress(back, &back_len, packed, packed_len) != Z_OK) return 2;
    return back_len == sizeof text && !memcmp(text, back, back_len) ? 0 : 3;
}
"#;

const CMAKE: &str =
    "cmake -S . -B build -DCMAKE_BUILD_TYPE=Debug -DBUILD_TESTING=OFF -DBUILD_SHARED_LIBS=OFF";

/// How many compiles CMake has planned.
fn planned_units(workspace: &Workspace) -> usize {
    let text = workspace.read("project/build/compile_commands.json");
    String::from_utf8(text)
        .unwrap()
        .matches("\"command\":")
        .count()
}

#[test]
fn cmake_with_distcc_as_launcher() {
    let Some(build) = Build::new(ZLIB_NG, &["cmake", "make"]) else {
        return;
    };
    let launcher = programs::distcc();
    build.step(&format!(
        "{CMAKE} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_C_COMPILER_LAUNCHER={}",
        launcher.display()
    ));
    let before = build.server.jobs_so_far();
    build.step(&format!("make -C build {JOBS}"));
    let units = planned_units(&build.workspace);
    assert!(units > 30, "{units}");
    build.server.wait_for_jobs(before + units);
    build.check_program(ZLIB_CHECK, "-Ibuild build/libz-ng.a");
}

#[test]
fn ninja_through_masquerade() {
    let Some(build) = Build::new(ZLIB_NG, &["cmake", "ninja"]) else {
        return;
    };
    // CMake writes down the compiler's absolute path: that of the masquerade directory.
    build.masqueraded(&format!(
        "{CMAKE} -GNinja -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_C_COMPILER=gcc"
    ));
    let before = build.server.jobs_so_far();
    build.masqueraded(&format!("ninja -C build {JOBS}"));
    let units = planned_units(&build.workspace);
    assert!(units > 30, "{units}");
    build.server.wait_for_jobs(before + units);
    build.check_program(ZLIB_CHECK, "-Ibuild build/libz-ng.a");
    // The dependency files that ninja read are right: nothing is to be done again, and a
    // touched header leads to work.
    let again = run(&mut build.command("ninja -C build"));
    assert!(again.stdout.contains("no work to do"), "{again:#?}");
    build.step("touch deflate.h");
    let after_touch = run(&mut build.command("ninja -C build -n"));
    assert!(
        after_touch.stdout.contains("deflate.c.o"),
        "{after_touch:#?}"
    );
}

const FFI_CHECK: &str = r#"
#include <ffi.h>
static int twice(int x) { return 2 * x; }
int main(void) {
    ffi_cif cif;
    ffi_type *types[] = { &ffi_type_sint };
    if (ffi_prep_cif(&cif, FFI_DEFAULT_ABI, 1, &ffi_type_sint, types) != FFI_OK) return 1;
    int x = 21;
    void *args[] = { &x };
    ffi_arg result;
    ffi_call(&cif, FFI_FN(twice), &result, args);
    return (int)result == 42 ? 0 : 2;
}
"#;

#[test]
fn autoconf_automake_and_libtool() {
    let Some(build) = Build::new(LIBFFI, &["make"]) else {
        return;
    };
    build.masqueraded("./configure --disable-docs --disable-dependency-tracking CC=gcc CXX=g++");
    // What configure compiles to find out about the compiler is no work for servers.
    let by_configure = build.server.jobs_so_far();
    build.masqueraded(&format!("make {JOBS}"));
    // Each of its C files is compiled with and without -fPIC by libtool.
    build.server.wait_for_jobs(by_configure + 8);
    let system = "x86_64-pc-linux-gnu";
    build.check_program(
        FFI_CHECK,
        &format!("-I{system}/include {system}/.libs/libffi.a"),
    );
}
