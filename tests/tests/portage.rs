//! Gentoo's own package manager builds packages through us.
//!
//! Real Portage runs under its default FEATURES: the build has no network (only Portage's SOCKS
//! proxy, a socket in the file system), PIDs of its own, another user, and a library that refuses
//! writes. `portage/gentoo.py` makes a machine for that in namespaces and `portage/scenarios.py`
//! builds in it; here is what must come out. The server's log says what was compiled remotely.
//! Stock distcc is the control: under default FEATURES it compiles nothing remotely, which also
//! shows that the sandbox is real.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use e2e::programs::{STOCK_CLIENT, bin_dir, have};
use e2e::run::run;

/// Every translation unit of `app-test/units`, the one of its configure phase too.
const UNITS: &str = "check.c main.c unit_a.c unit_b.c unit_c.c unit_d.c unit_e.c unit_f.c \
    unit_g.c unit_h.c unit_i.c unit_j.c unit_k.c unit_l.c unit_m.cc unit_n.cc";
const PAIR_UNITS: &str = "left_1.c left_2.c left_3.c right_1.c right_2.c right_3.c";
/// The host's slots while two packages are built, for six units.
const PAIR_SLOTS: usize = 4;
/// What the built program prints: each of its 14 units adds one.
const PROGRAM_PRINTS: &str = "14";
/// User `portage`, as in Gentoo.
const PORTAGE_UID: &str = "250";
/// PIDs in a new namespace count from 1; a phase does not start more processes than that.
const SANDBOX_PID_MAX: u32 = 1000;

/// What the scenarios saw, by name.
struct Facts(BTreeMap<String, String>);

impl Facts {
    #[track_caller]
    fn get(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(value) => value,
            None => panic!("no fact `{name}` among {:?}", self.0.keys()),
        }
    }

    /// The build succeeded, its program runs, and exactly these units were compiled remotely.
    #[track_caller]
    fn assert_remote(&self, scenario: &str, units: &str) {
        let remote = self.get(&format!("{scenario}/remote")).replace('\n', " ");
        let units = units.split_whitespace().collect::<Vec<_>>().join(" ");
        let ended = self.get(&format!("{scenario}/status"));
        assert!(
            ended == "0" && remote == units,
            "{scenario}: status {ended}, remote: {remote}\n{}",
            self.story(scenario)
        );
    }

    /// As [`Self::assert_remote`] for all units, with nothing to complain about.
    #[track_caller]
    fn assert_all_remote(&self, scenario: &str) {
        self.assert_remote(scenario, UNITS);
        let said = self.get(&format!("{scenario}/output"));
        assert!(!said.contains("(farcc)"), "{scenario}: {said}");
        self.assert_program_runs(scenario);
    }

    #[track_caller]
    fn assert_program_runs(&self, scenario: &str) {
        let printed = self.get(&format!("{scenario}/phases/program"));
        assert_eq!(printed, PROGRAM_PRINTS, "{scenario}");
    }

    /// What a phase of the ebuild wrote down.
    #[track_caller]
    fn phase(&self, scenario: &str, fact: &str) -> &str {
        self.get(&format!("{scenario}/phases/compile/{fact}"))
    }

    fn story(&self, scenario: &str) -> String {
        let mut story = String::new();
        let facts = self.0.iter();
        for (name, value) in facts.filter(|(name, _)| name.starts_with(scenario)) {
            let _infallible = writeln!(story, "{name}:\n{value}\n");
        }
        story
    }
}

/// Runs all scenarios once for all tests. `None` where that is impossible.
fn facts() -> Option<&'static Facts> {
    static FACTS: OnceLock<Option<Facts>> = OnceLock::new();
    FACTS.get_or_init(observe).as_ref()
}

fn observe() -> Option<Facts> {
    if let Err(reason) = may_make_namespaces() {
        // Not by a macro: those are caught, and this must be seen.
        let text = format!("skipped: real Portage in its sandboxes: {reason}\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
        return None;
    }
    let work = tempfile::Builder::new()
        .prefix("farcc-portage-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("portage/gentoo.py");
    let mut gentoo = Command::new("/usr/bin/python3");
    gentoo.args(["-B".as_ref(), script.as_os_str()]);
    let outcome = run(gentoo.arg(work.path()).arg(bin_dir())).success();
    let facts = outcome.stdout.lines().filter_map(|line| {
        let (name, value) = line.split_once('\t')?;
        Some((name.to_owned(), unescape(value)))
    });
    Some(Facts(facts.collect()))
}

/// Root in a container may lack what it takes.
fn may_make_namespaces() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("needs root".to_owned());
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"]);
    let tried = run(unshare.arg("true"));
    if tried.status.success() {
        Ok(())
    } else {
        Err(format!("no namespaces here: {}", tried.stderr.trim()))
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            _ => c,
        });
    }
    plain
}

#[test]
fn stock_distcc_compiles_nothing_remotely_in_the_network_sandbox() {
    let Some(facts) = facts() else { return };
    if !have(STOCK_CLIENT) {
        return;
    }
    facts.assert_remote("stock/networked", UNITS);
    facts.assert_remote("stock/default", "");
    assert_eq!(facts.phase("stock/default", "direct"), "no");
}

#[test]
fn default_features_compile_every_unit_remotely() {
    let Some(facts) = facts() else { return };
    facts.assert_all_remote("ours/default");
    let seen = |fact| facts.phase("ours/default", fact);
    assert_eq!(seen("uid"), PORTAGE_UID);
    assert_eq!(seen("interfaces"), "1", "only its own loopback");
    assert_eq!(
        seen("direct"),
        "no",
        "the server cannot be reached directly"
    );
    assert!(seen("proxy").ends_with(".net.sock"), "{}", seen("proxy"));
    assert!(seen("pid").parse::<u32>().unwrap() < SANDBOX_PID_MAX);
    assert_eq!(seen("preload"), "/usr/lib/libsandbox.so");
    assert!(seen("path").starts_with("/usr/lib/distcc/bin:"));
    assert!(!seen("home").starts_with("/root"));
}

#[test]
fn the_mount_sandbox_changes_nothing() {
    let Some(facts) = facts() else { return };
    facts.assert_all_remote("ours/mount_sandbox");
}

#[test]
fn the_documented_settings_work() {
    let Some(facts) = facts() else { return };
    facts.assert_all_remote("ours/as_documented");
    let said = facts.get("ours/as_documented/output");
    assert!(said.contains(" -march=native "), "{said}");
    let log = facts.get("ours/as_documented/log");
    for unit in UNITS.split_whitespace() {
        let line = format!("compile {unit} on 127.0.0.1/8 completed ok");
        assert!(log.contains(&line), "no `{line}` in {log}");
    }
}

#[test]
fn without_any_sandbox_every_unit_is_remote_too() {
    let Some(facts) = facts() else { return };
    facts.assert_all_remote("ours/no_sandboxes");
    assert_eq!(facts.phase("ours/no_sandboxes", "direct"), "yes");
    facts.assert_all_remote("ours/default_after_all");
}

#[test]
fn root_and_portage_take_turns_in_one_directory() {
    let Some(facts) = facts() else { return };
    for (scenario, uid) in [
        ("ours/as_root", "0"),
        ("ours/as_portage_again", PORTAGE_UID),
        ("ours/as_root_again", "0"),
    ] {
        facts.assert_all_remote(scenario);
        assert_eq!(facts.phase(scenario, "uid"), uid);
        // Root could write there: it is the preloaded library that refuses.
        assert_eq!(facts.phase(scenario, "outside"), "refused");
    }
}

#[test]
fn two_packages_at_once_are_seen_by_a_monitor_outside() {
    let Some(facts) = facts() else { return };
    facts.assert_remote("ours/pair", PAIR_UNITS);
    let seen = facts.get("ours/pair/seen");
    for package in ["left_", "right_"] {
        let is_shown = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            words.next() == Some("Compile")
                && words.next().is_some_and(|file| file.starts_with(package))
                && words
                    .next()
                    .is_some_and(|host| host.starts_with("127.0.0.1["))
        };
        assert!(seen.lines().any(is_shown), "{package}: {seen}");
    }
    let looks: Vec<&str> = facts.get("ours/pair/looks").lines().collect();
    let both = |look: &&str| look.contains("left_") && look.contains("right_");
    assert!(looks.iter().any(both), "never both: {looks:#?}");
    let variables = facts.get("ours/pair/agent_variables");
    assert!(!variables.is_empty(), "no agent seen");
    let of_the_build = |name: &str| name == "LD_PRELOAD" || name.starts_with("SANDBOX");
    assert!(!variables.lines().any(of_the_build), "{variables}");
    for look in looks {
        let used = look.matches("127.0.0.1[").count();
        assert!(used <= PAIR_SLOTS, "more jobs than slots: {look}");
    }
}

#[test]
fn ccache_comes_first_and_hands_misses_to_us() {
    let Some(facts) = facts() else { return };
    if !have("ccache") {
        return;
    }
    facts.assert_all_remote("ours/ccache_first");
    facts.assert_remote("ours/ccache_second", "");
    let path = facts.phase("ours/ccache_first", "path");
    assert!(
        path.starts_with("/usr/lib/ccache:/usr/lib/distcc/bin:"),
        "{path}"
    );
}

#[test]
fn emerge_info_shows_our_version() {
    let Some(facts) = facts() else { return };
    let said = facts.get("ours/info/output");
    let ours = |line: &&str| line.starts_with("distcc 3.4-farcc-") && line.ends_with(" [enabled]");
    assert!(said.lines().any(|line| ours(&line)), "{said}");
}

#[test]
fn a_stock_server_is_reached_through_the_proxy() {
    let Some(facts) = facts() else { return };
    if !have(STOCK_CLIENT) {
        return;
    }
    facts.assert_all_remote("ours/stock_server");
}

#[test]
fn without_a_server_the_package_is_built_here() {
    let Some(facts) = facts() else { return };
    facts.assert_remote("ours/no_server", "");
    facts.assert_program_runs("ours/no_server");
}

#[test]
fn nothing_but_an_idle_agent_is_left() {
    let Some(facts) = facts() else { return };
    let left = facts.get("ours/left_running");
    // Without pid-sandbox an agent outlives the phase, as it should.
    let idle_agent = |line: &str| line.starts_with("/usr/bin/farcc agent ");
    assert!(left.lines().all(idle_agent), "{left}");
}
