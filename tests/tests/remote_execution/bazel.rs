//! Bazel, two versions: of 2020, which asks for `output_files` only, and the last that Debian has.
//!
//! Bazel starts a server of its own in half a minute, so each version does everything in one go
//! and the tests look at what came of it. The project is `bazel/project`, with Lua's sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use e2e::foreign;
use e2e::run::{Outcome, run};
use e2e::workspace::Workspace;

use super::{Remote, WRONG, Whose, can_run, lua};

/// Everything but what is wrong on purpose.
const ALL: &str = "//:all";

/// What Bazel calls something that ran elsewhere, and something that did not run.
const REMOTE: &str = "remote";
const CACHED: &str = "remote cache hit";
/// Bazel's own bookkeeping, which some versions count.
const INTERNAL: &str = "internal";

/// Exit codes of Bazel.
const BUILD_FAILED: i32 = 1;
const TESTS_FAILED: i32 = 3;
const REMOTE_FAILED: i32 = 34;

/// What was seen of one version.
struct Facts {
    first: Outcome,
    outputs: BTreeMap<&'static str, String>,
    second: Outcome,
    outputs_of_second: BTreeMap<&'static str, String>,
    wrong: Outcome,
    failing: Outcome,
    nothing: Outcome,
    unreachable: Outcome,
}

/// What a version has to be observed for; its failure, should even the first build fail.
type Observed = Option<Result<Facts, String>>;

/// The version from npm.
fn bazel_2() -> Option<&'static Facts> {
    static OBSERVED: OnceLock<Observed> = OnceLock::new();
    facts(OBSERVED.get_or_init(|| observe(foreign::bazel_2())))
}

/// Debian's.
fn bazel_4() -> Option<&'static Facts> {
    static OBSERVED: OnceLock<Observed> = OnceLock::new();
    facts(OBSERVED.get_or_init(|| observe(foreign::BAZEL_4.into())))
}

#[track_caller]
fn facts(observed: &Observed) -> Option<&Facts> {
    match observed.as_ref()? {
        Ok(facts) => Some(facts),
        Err(error) => panic!("{error}"),
    }
}

/// A workspace with a Bazel, which leaves before it ends.
struct Bazel {
    program: PathBuf,
    workspace: Workspace,
}

impl Bazel {
    fn command(&self, verb: &str) -> Command {
        let mut command = self.workspace.command(&self.program);
        command
            .current_dir(self.workspace.src("project"))
            .arg(format!(
                "--output_user_root={}",
                self.workspace.root().join("bazel").display()
            ))
            // Should this test be killed.
            .arg("--max_idle_secs=60")
            .args(["--nohome_rc", verb]);
        command
    }

    /// `build` or `test` with all actions executed by a server.
    fn remotely(&self, verb: &str, targets: &[&str], address: &str) -> Outcome {
        let mut command = self.command(verb);
        command
            .arg(format!("--remote_executor=grpc://{address}"))
            .args("--color=no --curses=no --noshow_progress --jobs=8".split(' '))
            .args("--remote_retries=1 --test_output=errors --keep_going".split(' '));
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("bazel");
        let rules = Path::new(foreign::BAZEL_RULES);
        for (name, dir) in [
            ("rules_cc", ours.join("rules_cc")),
            ("remote_coverage_tools", ours.join("remote_coverage_tools")),
            ("rules_java", rules.join("java")),
            ("rules_proto", rules.join("proto")),
        ] {
            command.arg(format!("--override_repository={name}={}", dir.display()));
        }
        run(command.args(targets))
    }

    fn outputs(&self) -> BTreeMap<&'static str, String> {
        let read = |name| {
            let bytes = self.workspace.read(&format!("project/bazel-bin/{name}"));
            (name, String::from_utf8(bytes).unwrap())
        };
        let names = [
            "said.txt",
            "deep/er/shouted.txt",
            "listing.txt",
            "tree/a/b/2",
        ];
        let mut outputs: BTreeMap<_, _> = names.into_iter().map(read).collect();
        let program = self.workspace.src("project/bazel-bin/program");
        let ran = run(&mut self.workspace.command(program)).success();
        outputs.insert("what the program prints", ran.stdout);
        outputs
    }

    fn clean(&self) {
        run(&mut self.command("clean")).success();
    }
}

impl Drop for Bazel {
    fn drop(&mut self) {
        let _told_by_the_workspace = self.command("shutdown").output();
    }
}

fn observe(program: PathBuf) -> Observed {
    // Both need its rules.
    if ![program.clone(), foreign::BAZEL_4.into()]
        .iter()
        .all(|program| can_run(program.clone(), Whose::Ours))
    {
        return None;
    }
    let workspace = Workspace::new();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("bazel/project");
    let copy = format!("cp -r {} project", project.display());
    workspace.run(&copy).silent_success();
    lua::write(&workspace);
    workspace.run("mv lua project").silent_success();
    let bazel = Bazel { program, workspace };
    let mut remote = Remote::start(&bazel.workspace, Whose::Ours);
    let address = remote.address();
    let first = bazel.remotely("test", &[ALL], &address);
    if !first.status.success() {
        return Some(Err(format!("{first:#?}")));
    }
    let outputs = bazel.outputs();
    bazel.clean();
    let second = bazel.remotely("test", &[ALL], &address);
    let outputs_of_second = bazel.outputs();
    let wrong = bazel.remotely("build", &["//broken:wrong"], &address);
    let failing = bazel.remotely("test", &["//broken:failing"], &address);
    let nothing = bazel.remotely("build", &["//broken:nothing"], &address);
    bazel.clean();
    remote.kill();
    let unreachable = bazel.remotely("build", &[ALL], &address);
    Some(Ok(Facts {
        first,
        outputs,
        second,
        outputs_of_second,
        wrong,
        failing,
        nothing,
        unreachable,
    }))
}

/// `INFO: 8 processes: 4 remote cache hit, 4 internal.`, without what is Bazel's own.
#[track_caller]
fn processes(outcome: &Outcome) -> BTreeMap<String, usize> {
    let line = outcome.stderr.lines().find_map(|line| {
        let (_, kinds) = line.strip_prefix("INFO: ")?.split_once(" processes: ")?;
        kinds.strip_suffix('.')
    });
    let Some(kinds) = line else {
        panic!("no processes in {outcome:#?}")
    };
    let kinds = kinds.split(", ").map(|kind| {
        let (number, name) = kind.split_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    });
    kinds.filter(|(name, _)| name != INTERNAL).collect()
}

#[track_caller]
fn check_outputs(facts: &Facts) {
    let shouted = lua::PRINTS.to_uppercase();
    let expected = [
        ("what the program prints", lua::PRINTS),
        ("said.txt", lua::PRINTS),
        ("deep/er/shouted.txt", &*shouted),
        ("listing.txt", "one\ntwo\n"),
        ("tree/a/b/2", "two\n"),
    ];
    let expected = expected.map(|(name, text)| (name, text.to_owned()));
    assert_eq!(facts.outputs, BTreeMap::from(expected));
    assert!(
        facts.first.stdout.contains("1 test passes"),
        "{:#?}",
        facts.first
    );
    assert!(
        facts.first.stderr.contains(lua::REMARK),
        "{:#?}",
        facts.first
    );
}

#[test]
fn bazel_2_builds_and_tests() {
    let Some(facts) = bazel_2() else { return };
    check_outputs(facts);
}

#[test]
fn bazel_4_builds_and_tests() {
    let Some(facts) = bazel_4() else { return };
    check_outputs(facts);
}

/// Nothing ran here in the first build, and nothing ran anywhere in the second.
#[track_caller]
fn check_repetition(facts: &Facts) {
    let first = processes(&facts.first);
    // Two actions may be the same.
    let elsewhere = |kind: &String| [REMOTE, CACHED].contains(&kind.as_str());
    assert!(first.keys().all(elsewhere), "{first:?}");
    assert!(first[REMOTE] > 30, "{first:?}");
    let all: usize = first.values().sum();
    let cached = BTreeMap::from([(CACHED.to_owned(), all)]);
    assert_eq!(processes(&facts.second), cached, "{:#?}", facts.second);
    assert_eq!(facts.outputs_of_second, facts.outputs);
}

#[test]
fn bazel_2_gets_a_repetition_from_the_cache() {
    let Some(facts) = bazel_2() else { return };
    check_repetition(facts);
}

#[test]
fn bazel_4_gets_a_repetition_from_the_cache() {
    let Some(facts) = bazel_4() else { return };
    check_repetition(facts);
}

#[track_caller]
fn check_errors(facts: &Facts) {
    let wrong = &facts.wrong;
    assert_eq!(wrong.code(), BUILD_FAILED, "{wrong:#?}");
    assert!(wrong.stderr.contains(WRONG.1), "{wrong:#?}");
    assert!(wrong.stderr.contains("(Exit 1)"), "{wrong:#?}");
    let failing = &facts.failing;
    assert_eq!(failing.code(), TESTS_FAILED, "{failing:#?}");
    let said = format!("{}{}", failing.stdout, failing.stderr);
    assert!(said.contains("the test says why"), "{failing:#?}");
    let nothing = &facts.nothing;
    assert_eq!(nothing.code(), BUILD_FAILED, "{nothing:#?}");
    assert!(nothing.stderr.contains("says something"), "{nothing:#?}");
    assert!(nothing.stderr.contains("nothing.txt"), "{nothing:#?}");
    let unreachable = &facts.unreachable;
    assert_eq!(unreachable.code(), REMOTE_FAILED, "{unreachable:#?}");
    let told = "Failed to query remote execution capabilities";
    assert!(unreachable.stderr.contains(told), "{unreachable:#?}");
}

#[test]
fn bazel_2_tells_what_went_wrong() {
    let Some(facts) = bazel_2() else { return };
    check_errors(facts);
}

#[test]
fn bazel_4_tells_what_went_wrong() {
    let Some(facts) = bazel_4() else { return };
    check_errors(facts);
}
