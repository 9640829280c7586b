//! Dependency files that a server wrote for another target become those of a local compile, byte by byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use cmdline::{Dependency, Family, Target};

fn deps(dir: &Path, compiler: &str, target: &str) -> Vec<u8> {
    let output = Command::new(compiler)
        .args(["-M", "-MP", "-MQ", target, "a.c"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn equal_to_the_compilers_own_for_every_length() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let mut source = String::from("#include <limits.h>\n");
    for len in 1..40 {
        let name = format!("{}.h", "n".repeat(len * 7 % 41 + 1));
        fs::write(dir.join(&name), "").unwrap();
        source += &format!("#include \"{name}\"\n");
    }
    for name in ["with space.h", "with#hash.h", "with$dollar.h"] {
        fs::write(dir.join(name), "").unwrap();
        source += &format!("#include \"{name}\"\n");
    }
    fs::write(dir.join("a.c"), source).unwrap();
    for (compiler, family) in [("gcc", Family::Gcc), ("clang", Family::Clang)] {
        let server = deps(dir, compiler, "distccd_a1b2c3.o");
        for len in (1..90).step_by(if family == Family::Gcc { 3 } else { 7 }) {
            let name = format!("{}.o", "t".repeat(len));
            let expect = deps(dir, compiler, &name);
            let dependency = Dependency {
                file: "a.d".into(),
                targets: vec![Target {
                    name: name.into(),
                    quoted: true,
                }],
                system_headers: true,
                phony: true,
            };
            let ours = dependency.rewrite(&server, family).unwrap();
            assert_eq!(
                String::from_utf8_lossy(&ours),
                String::from_utf8_lossy(&expect),
                "{compiler} {len}"
            );
        }
    }
}
