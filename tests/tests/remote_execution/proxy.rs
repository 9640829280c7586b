//! buildbox-casd between client and server: a cache on the client's machine that passes on what
//! it does not know.

use std::path::Path;

use e2e::casd::Casd;
use e2e::foreign;
use e2e::programs::have;
use e2e::workspace::Workspace;

use super::recc::{Recc, executed, from_cache, write_lua};
use super::{Remote, WRONG, Whose, can_run, lua};

fn check(whose: Whose, proxy: &Path) {
    let can_run = can_run(foreign::newest("recc"), whose);
    if !have(&proxy.to_string_lossy()) || !can_run || !have("make") {
        return;
    }
    let mut recc = Recc {
        workspace: Workspace::new(),
        address: String::new(),
    };
    let remote = Remote::start(&recc.workspace, whose);
    let first_proxy = Casd::in_front_of(&recc.workspace, proxy, &remote.address());
    recc.address = first_proxy.address();
    let units = write_lua(&recc.workspace);
    let first = recc.make_remotely("lua");
    assert_eq!(
        (executed(&first), from_cache(&first)),
        (units.len(), 0),
        "{first:#?}"
    );
    recc.make("local", "/usr/bin/gcc");
    lua::assert_same_objects(&recc.workspace, &units, "lua", "local");
    recc.workspace.write("wrong.c", WRONG.0);
    let wrong = recc.compile("/usr/bin/gcc -c wrong.c -o wrong.o");
    assert_eq!(wrong.code(), 1, "{wrong:#?}");
    assert!(wrong.stderr.contains(WRONG.1), "{wrong:#?}");
    // Another machine's proxy, which knows nothing: all that it gives is the server's.
    drop(first_proxy);
    let second_proxy = Casd::in_front_of(&recc.workspace, proxy, &remote.address());
    recc.address = second_proxy.address();
    for unit in &units {
        std::fs::remove_file(recc.workspace.src(&format!("lua/{unit}.o"))).unwrap();
    }
    let second = recc.make_remotely("lua");
    assert_eq!(
        (executed(&second), from_cache(&second)),
        (0, units.len()),
        "{second:#?}"
    );
    lua::assert_same_objects(&recc.workspace, &units, "lua", "local");
}

#[test]
fn a_proxy_in_front() {
    check(Whose::Ours, &foreign::newest("buildbox-casd"));
}

#[test]
fn an_older_proxy_in_front() {
    check(Whose::Ours, &foreign::casd_1_3());
}

#[test]
fn a_proxy_in_front_of_casd() {
    check(Whose::Casd, &foreign::newest("buildbox-casd"));
}
