//! justbuild, in the mode that follows the specification (`--compatible`).

use std::fmt::Write as _;
use std::fs;

use e2e::foreign;
use e2e::run::{Outcome, run};
use e2e::workspace::Workspace;

use super::{Remote, WRONG, Whose, can_run, lua, number_before};

struct Just {
    workspace: Workspace,
    address: String,
}

impl Just {
    fn start(whose: Whose) -> Option<(Self, Remote)> {
        if !can_run(foreign::newest("justbuild"), whose) {
            return None;
        }
        let workspace = Workspace::new();
        let remote = Remote::start(&workspace, whose);
        workspace.write("lua/ROOT", "");
        let address = remote.address();
        Some((Self { workspace, address }, remote))
    }

    /// Builds a target of `src/lua` and puts it into `src/out`; `state` is all that it remembers.
    fn install(&self, target: &str, state: &str) -> Outcome {
        let mut just = self.workspace.command(foreign::newest("justbuild"));
        just.current_dir(self.workspace.src("lua"))
            .args(["install", "--plain-log", "--compatible", "-J4", "-r"])
            .args([&self.address, "-o", "../out", "--local-build-root"])
            .arg(self.workspace.src(state))
            .arg(target);
        run(&mut just)
    }
}

/// A target that runs one command.
fn target(name: &str, command: &str, outputs: &str, deps: &[String]) -> String {
    let deps = deps.join(", ");
    format!(
        "\"{name}\": {{\"type\": \"generic\", \"cmds\": [\"{command}\"], {outputs}, \
         \"deps\": [{deps}], \"env\": \
         {{\"type\": \"singleton_map\", \"key\": \"PATH\", \"value\": \"/usr/bin:/bin\"}}}}"
    )
}

fn write_lua_targets(workspace: &Workspace, units: &[String]) {
    let mut text = String::from("{");
    let quoted = |name: String| format!("\"{name}\"");
    for unit in units {
        let command = format!("gcc -DLUA_USE_POSIX -c {unit}.c -o {unit}.o");
        let outputs = format!("\"outs\": [\"{unit}.o\"]");
        let deps = [
            quoted(format!("{unit}.c")),
            "[\"GLOB\", null, \"*.h\"]".into(),
        ];
        let row = target(&format!("{unit}.o"), &command, &outputs, &deps);
        let _infallible = writeln!(text, "{row},");
    }
    let objects: Vec<String> = units
        .iter()
        .map(|unit| quoted(format!("{unit}.o")))
        .collect();
    text += &target(
        "program",
        "gcc *.o -o program -lm",
        "\"outs\": [\"program\"]",
        &objects,
    );
    text += "}\n";
    workspace.write("lua/TARGETS", &text);
}

fn check_lua(whose: Whose) {
    let Some((just, _remote)) = Just::start(whose) else {
        return;
    };
    let units = lua::write(&just.workspace);
    write_lua_targets(&just.workspace, &units);
    let actions = units.len() + 1;
    let first = just.install("program", "first").success();
    assert_eq!(
        number_before(&first.stderr, " actions, 0 cache hits."),
        actions
    );
    assert!(first.stderr.contains(lua::REMARK), "{first:#?}");
    let program = just.workspace.src("out/program");
    lua::assert_runs(&just.workspace, &program);
    let bytes = fs::read(&program).unwrap();
    fs::remove_dir_all(just.workspace.src("out")).unwrap();
    // Another user, who has built nothing.
    let second = just.install("program", "second").success();
    let said = format!("Processed {actions} actions, {actions} cache hits.");
    assert!(second.stderr.contains(&said), "{second:#?}");
    assert!(fs::read(&program).unwrap() == bytes);
    lua::assert_runs(&just.workspace, &program);
}

#[test]
fn a_project_and_its_repetition() {
    check_lua(Whose::Ours);
}

#[test]
fn a_project_and_its_repetition_on_casd() {
    check_lua(Whose::Casd);
}

fn check_tree(whose: Whose) {
    let Some((just, _remote)) = Just::start(whose) else {
        return;
    };
    let make = "mkdir -p d/e/empty; echo in > d/e/f; chmod 755 d/e/f; ln -s e/f d/link";
    let made = target("made", make, "\"out_dirs\": [\"d\"]", &[]);
    // The directory, its empty one, its mode and its link are an input of the next action.
    let seen = "cat d/link > seen; ls -d d/e/empty >> seen; readlink d/link >> seen; \
                test -x d/e/f && echo runs >> seen";
    let seen = target(
        "seen",
        seen,
        "\"outs\": [\"seen\"]",
        &["\"made\"".to_owned()],
    );
    just.workspace
        .write("lua/TARGETS", &format!("{{{made},\n{seen}}}"));
    let outcome = just.install("seen", "state").success();
    assert_eq!(number_before(&outcome.stderr, " actions, 0 cache hits."), 2);
    let seen = String::from_utf8(just.workspace.read("out/seen")).unwrap();
    assert_eq!(seen, "in\nd/e/empty\ne/f\nruns\n");
    just.install("made", "state").success();
    assert_eq!(just.workspace.read("out/d/link"), b"in\n");
    let link = fs::read_link(just.workspace.src("out/d/link")).unwrap();
    assert_eq!(link.to_str(), Some("e/f"));
}

#[test]
fn directories_go_from_action_to_action() {
    check_tree(Whose::Ours);
}

#[test]
fn directories_go_from_action_to_action_on_casd() {
    check_tree(Whose::Casd);
}

fn check_error(whose: Whose) {
    let Some((just, mut remote)) = Just::start(whose) else {
        return;
    };
    just.workspace.write("lua/wrong.c", WRONG.0);
    let deps = ["\"wrong.c\"".to_owned()];
    let command = "gcc -c wrong.c -o wrong.o";
    let wrong = target("wrong", command, "\"outs\": [\"wrong.o\"]", &deps);
    just.workspace.write("lua/TARGETS", &format!("{{{wrong}}}"));
    let outcome = just.install("wrong", "state");
    assert_eq!(outcome.code(), 1, "{outcome:#?}");
    assert!(outcome.stderr.contains(WRONG.1), "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("action returned non-zero exit code 1")
    );
    remote.kill();
    let unreachable = just.install("wrong", "state");
    assert_eq!(unreachable.code(), 1, "{unreachable:#?}");
    assert!(
        unreachable.stderr.contains("failed to connect"),
        "{unreachable:#?}"
    );
}

#[test]
fn errors_are_told() {
    check_error(Whose::Ours);
}

#[test]
fn errors_are_told_on_casd() {
    check_error(Whose::Casd);
}
