//! What is built: Lua, and a program that uses it.

use std::fs;
use std::path::Path;

use e2e::corpus::{self, LUA};
use e2e::run::run;
use e2e::workspace::Workspace;

/// The program's translation unit; the compiler has a remark about it.
const CHECK: &str = r#"
#include <stdio.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
#warning remarkable
int main(void) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, "local s = 0 for i = 1, 100 do s = s + i end return s .. ('rac'):rep(2):reverse()"))
        return 1;
    puts(lua_tostring(L, -1));
    lua_close(L);
    return 0;
}
"#;

/// What the compiler says about it.
pub(super) const REMARK: &str = "warning: #warning remarkable";

/// What the program prints.
pub(super) const PRINTS: &str = "5050carcar\n";

/// Writes Lua and the program into `src/lua`; the names of all units, without `.c`, in order.
pub(super) fn write(workspace: &Workspace) -> Vec<String> {
    corpus::copy(LUA, &workspace.src("lua")).unwrap();
    workspace.write("lua/check.c", CHECK);
    let mut units: Vec<String> = fs::read_dir(workspace.src("lua"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".c").map(str::to_owned)
        })
        .collect();
    units.sort();
    assert!(units.len() > 30, "{units:?}");
    units
}

/// The objects in two directories of `src` are the same, byte by byte.
#[track_caller]
pub(super) fn assert_same_objects(workspace: &Workspace, units: &[String], a: &str, b: &str) {
    for unit in units {
        let object = |dir: &str| workspace.read(&format!("{dir}/{unit}.o"));
        assert!(object(a) == object(b), "{unit}.o differs");
    }
}

/// The program does what it should.
#[track_caller]
pub(super) fn assert_runs(workspace: &Workspace, program: &Path) {
    let outcome = run(&mut workspace.command(program)).success();
    assert_eq!(outcome.stdout, PRINTS);
}
