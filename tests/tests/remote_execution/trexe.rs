//! trexe: any command, executed remotely; it shows what other clients hide.

use std::fs;
use std::process::Command;

use e2e::foreign;
use e2e::run::{Outcome, run};
use e2e::workspace::Workspace;

use super::{Remote, Whose, can_run};

/// How it is told that a command took too long.
const LATE: &str = "DEADLINE_EXCEEDED";

struct Trexe {
    // Before the workspace, at whose end nothing may run any more.
    remote: Remote,
    workspace: Workspace,
}

impl Trexe {
    fn start(whose: Whose) -> Option<Self> {
        if !can_run(foreign::newest("trexe"), whose) {
            return None;
        }
        let workspace = Workspace::new();
        workspace.write("in/a.txt", "text\n");
        let remote = Remote::start(&workspace, whose);
        Some(Self { remote, workspace })
    }

    /// With options of trexe, separated by blanks.
    fn command(&self, options: &str, words: &[&str]) -> Command {
        let mut command = self.workspace.command(foreign::newest("trexe"));
        command
            .arg(format!("--remote=http://{}", self.remote.address()))
            .args(["--retry-limit=0", "--env=PATH=/usr/bin:/bin", "--d=out"])
            .args(["--input-path=in:.", "--result-metadata-file=meta.json"])
            .args(options.split_whitespace())
            .args(words);
        command
    }

    /// A shell's script.
    fn shell(&self, options: &str, script: &str) -> Outcome {
        run(&mut self.command(options, &["/bin/sh", "-c", script]))
    }

    fn was_cached(&self) -> bool {
        let text = String::from_utf8(self.workspace.read("meta.json")).unwrap();
        let says = |value: &str| text.contains(&format!("\"cachedResult\":{value}"));
        assert!(says("true") != says("false"), "{text}");
        says("true")
    }
}

fn check_outputs(whose: Whose) {
    let Some(trexe) = Trexe::start(whose) else {
        return;
    };
    let script = "mkdir -p deep/er; cat a.txt > deep/er/copy; printf '#!/bin/sh\\necho ran\\n' > tool; \
                  chmod +x tool; echo out; echo err >&2; exit 3";
    let options = "--output-path=deep/er/copy --output-path=tool --output-path=never";
    // A failure is not kept: executed each time.
    for _ in 1..=2 {
        let outcome = trexe.shell(options, script);
        assert_eq!(outcome.code(), 3, "{outcome:#?}");
        assert_eq!((&*outcome.stdout, &*outcome.stderr), ("out\n", "err\n"));
        assert_eq!(trexe.workspace.read("out/deep/er/copy"), b"text\n");
        let ran = run(&mut trexe.workspace.command(trexe.workspace.src("out/tool"))).success();
        assert_eq!(ran.stdout, "ran\n");
        assert!(!trexe.workspace.src("out/never").exists());
        fs::remove_dir_all(trexe.workspace.src("out")).unwrap();
    }
}

#[test]
fn outputs_texts_and_exit_code_come_back() {
    check_outputs(Whose::Ours);
}

#[test]
fn outputs_texts_and_exit_code_come_back_from_casd() {
    check_outputs(Whose::Casd);
}

fn check_cache(whose: Whose) {
    let Some(trexe) = Trexe::start(whose) else {
        return;
    };
    // What another execution would not say again.
    let script = "head -c 16 /dev/urandom | od -A n -t x1 | tee id";
    let ask = |options: &str| {
        let options = format!("--output-path=id {options}");
        let outcome = trexe.shell(&options, script).success();
        assert_eq!(trexe.workspace.read("out/id"), outcome.stdout.as_bytes());
        outcome.stdout
    };
    let first = ask("");
    assert!(!trexe.was_cached());
    assert_eq!(ask(""), first);
    assert!(trexe.was_cached());
    assert_ne!(ask("--skip-cache-lookup"), first);
    assert!(!trexe.was_cached());
    let never = ask("--do-not-cache");
    assert_ne!(ask("--do-not-cache"), never);
    assert!(!trexe.was_cached());
    assert_ne!(ask("--salt=other"), first);
}

#[test]
fn results_come_from_the_cache_unless_asked_otherwise() {
    check_cache(Whose::Ours);
}

#[test]
fn results_come_from_the_cache_unless_asked_otherwise_on_casd() {
    check_cache(Whose::Casd);
}

/// Clients that print it know few types of messages.
#[test]
fn the_metadata_can_be_printed() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    trexe
        .shell("--action-result-json=result.json", "cat a.txt")
        .success();
    for file in ["meta.json", "result.json"] {
        let text = String::from_utf8(trexe.workspace.read(file)).unwrap();
        for key in [
            "executionStartTimestamp",
            "user_seconds",
            "peak_memory_bytes",
        ] {
            assert!(text.contains(&format!("\"{key}\":")), "no {key} in {text}");
        }
    }
}

#[test]
fn a_command_has_the_time_that_was_asked_for() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    let outcome = trexe.shell("--exec-timeout=1", "sleep 1000");
    assert!(!outcome.status.success(), "{outcome:#?}");
    assert!(
        outcome.stderr.contains(LATE) || outcome.stderr.contains("4: "),
        "{outcome:#?}"
    );
}

#[test]
fn the_working_directory_is_a_part_of_the_input_root() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    trexe.workspace.write("in/sub/b.txt", "b\n");
    let options = "--working-dir=sub --output-path=c.txt";
    trexe.shell(options, "cat b.txt ../a.txt > c.txt").success();
    assert_eq!(trexe.workspace.read("out/c.txt"), b"b\ntext\n");
}

#[test]
fn the_input_root_can_have_a_path() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    let options = "--platform-properties=InputRootAbsolutePath=/home/somebody/project";
    let outcome = trexe
        .shell(options, "pwd; cat /home/somebody/project/a.txt")
        .success();
    assert_eq!(outcome.stdout, "/home/somebody/project\ntext\n");
}

#[test]
fn the_input_root_can_be_everything() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    trexe.workspace.write(
        "list.c",
        "#include <dirent.h>\n#include <stdio.h>\nint main(void) { DIR *d = opendir(\"/\"); struct dirent *e;\n\
         while ((e = readdir(d))) puts(e->d_name); return 0; }\n",
    );
    trexe
        .workspace
        .run("gcc -static -O1 list.c -o in/list")
        .silent_success();
    let options = "--platform-properties=InputRootAbsolutePath=/";
    let outcome = run(&mut trexe.command(options, &["/list"])).success();
    let mut names: Vec<&str> = outcome.stdout.lines().collect();
    names.retain(|name| ![".", "..", "dev", "proc", "tmp"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["a.txt", "list"]);
}

/// A property that no worker has must not queue for ever.
#[test]
fn an_unknown_property_is_refused_by_name() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    let outcome = trexe.shell("--platform-properties=phase-of-moon=full", "true");
    assert!(!outcome.status.success(), "{outcome:#?}");
    assert!(outcome.stderr.contains("phase-of-moon"), "{outcome:#?}");
}

#[test]
fn a_missing_program_is_told() {
    let Some(trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    let outcome = run(&mut trexe.command("", &["/no/such/program"]));
    assert!(!outcome.status.success(), "{outcome:#?}");
    assert!(outcome.stderr.contains("/no/such/program"), "{outcome:#?}");
}

#[test]
fn a_dead_server_is_told() {
    let Some(mut trexe) = Trexe::start(Whose::Ours) else {
        return;
    };
    trexe.remote.kill();
    let outcome = trexe.shell("", "true");
    assert_eq!(outcome.code(), 1, "{outcome:#?}");
    assert!(
        outcome.stderr.contains("Connection refused"),
        "{outcome:#?}"
    );
}
