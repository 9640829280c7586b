//! siso: ninja's build files, executed remotely. It sends big blobs compressed with zstd and names
//! them with BLAKE3, where the server offers that.

use std::fmt::Write as _;

use e2e::foreign;
use e2e::programs::have;
use e2e::run::{Outcome, run};
use e2e::workspace::Workspace;

use super::{Remote, WRONG, Whose, can_run, lua};

/// What may run remotely: the compiles, with the compiler's own list of what they read.
const CONFIG: &str = r#"
load("@builtin//struct.star", "module")
load("@builtin//encoding.star", "json")

def init(ctx):
    config = {
        "platforms": {"default": {"OSFamily": "linux"}},
        "rules": [{
            "name": "compile",
            "action": "cc",
            "remote": True,
            "platform_ref": "default",
            "use_system_input": True,
            "canonicalize_dir": True,
            "timeout": "2m",
        }],
    }
    return module("config", step_config = json.encode(config), filegroups = {}, handlers = {})
"#;

/// The rules of a build file.
const RULES: &str = "\
rule cc
  command = /usr/bin/gcc -DLUA_USE_POSIX -MMD -MF $out.d -c $in -o $out
  deps = gcc
  depfile = $out.d
rule link
  command = /usr/bin/gcc $in -o $out -lm
";

struct Siso {
    workspace: Workspace,
    address: String,
}

impl Siso {
    fn start(whose: Whose) -> Option<(Self, Remote)> {
        if !can_run(foreign::newest("siso"), whose) {
            return None;
        }
        let workspace = Workspace::new();
        let remote = Remote::start(&workspace, whose);
        workspace.write(".sisoroot", "");
        workspace.write("build/config/siso/main.star", CONFIG);
        let address = remote.address();
        Some((Self { workspace, address }, remote))
    }

    fn build_file(&self) -> String {
        String::from_utf8(self.workspace.read("build.ninja")).unwrap()
    }

    /// Builds `src/out` from nothing.
    fn build(&self, out: &str, digests: &str) -> Outcome {
        self.workspace
            .write(&format!("{out}/build.ninja"), &self.build_file());
        let mut siso = self.workspace.command(foreign::newest("siso"));
        // It logs to there.
        siso.env("TMPDIR", self.workspace.root().join("home"))
            .env("RBE_service_no_security", "true")
            .args(["ninja", "-C", out, "-reapi_address", &self.address])
            .args(["-reapi_insecure", "-reapi_instance=", "-project="])
            .args(["-reapi_max_retries", "1", "-strict_remote"])
            .args(["-reapi_digest_function", digests]);
        run(&mut siso)
    }
}

/// Lua's units and a build file for a folder beside them.
fn write_lua(workspace: &Workspace) -> Vec<String> {
    let units = lua::write(workspace);
    let mut text = RULES.to_owned();
    for unit in &units {
        let _infallible = writeln!(text, "build {unit}.o: cc ../lua/{unit}.c");
    }
    let objects: Vec<String> = units.iter().map(|unit| format!("{unit}.o")).collect();
    let objects = objects.join(" ");
    let _infallible = writeln!(text, "build program: link {objects}\ndefault program");
    workspace.write("build.ninja", &text);
    units
}

#[track_caller]
fn assert_ran(outcome: &Outcome, remote: usize, cache: usize) {
    let said = &outcome.stdout;
    let counts = ["remote:", "cache:"].map(|word| number_after(said, &format!(" {word}")));
    assert_eq!(counts, [remote, cache], "{outcome:#?}");
}

#[track_caller]
fn number_after(text: &str, word: &str) -> usize {
    let Some((_, after)) = text.split_once(word) else {
        panic!("no `{word}` in {text}")
    };
    let end = after
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len());
    after[..end].parse().unwrap()
}

fn check_lua(whose: Whose, digests: &str) {
    let Some((siso, _remote)) = Siso::start(whose) else {
        return;
    };
    if !have("ninja") {
        return;
    }
    let units = write_lua(&siso.workspace);
    let first = siso.build("first", digests).success();
    assert_ran(&first, units.len(), 0);
    let program = siso.workspace.src("first/program");
    lua::assert_runs(&siso.workspace, &program);
    // Another folder at the same depth has the same actions.
    let second = siso.build("second", digests).success();
    assert_ran(&second, 0, units.len());
    lua::assert_same_objects(&siso.workspace, &units, "second", "first");
    siso.workspace.write(
        "local/build.ninja",
        &String::from_utf8(siso.workspace.read("build.ninja")).unwrap(),
    );
    siso.workspace.run("ninja -C local").success();
    lua::assert_same_objects(&siso.workspace, &units, "first", "local");
}

#[test]
fn a_project_and_its_repetition() {
    check_lua(Whose::Ours, "sha256");
}

#[test]
fn a_project_and_its_repetition_with_blake3() {
    check_lua(Whose::Ours, "blake3");
}

#[test]
fn a_project_and_its_repetition_on_casd() {
    check_lua(Whose::Casd, "sha256");
}

fn check_error(whose: Whose) {
    let Some((siso, _remote)) = Siso::start(whose) else {
        return;
    };
    siso.workspace.write("wrong.c", WRONG.0);
    siso.workspace.write(
        "build.ninja",
        &format!("{RULES}build wrong.o: cc ../wrong.c\n"),
    );
    let outcome = siso.build("out", "sha256");
    assert_eq!(outcome.code(), 1, "{outcome:#?}");
    assert!(outcome.stdout.contains(WRONG.1), "{outcome:#?}");
    assert!(outcome.stdout.contains("failed: exit=1"), "{outcome:#?}");
}

#[test]
fn a_compile_error_is_the_compilers() {
    check_error(Whose::Ours);
}

#[test]
fn a_compile_error_is_the_compilers_on_casd() {
    check_error(Whose::Casd);
}
