//! Headers are touched, edited, added, deleted, shadowed and relinked between scans: a scanner that remembers must see
//! what a fresh one and the compiler see.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use scan::{Options, Request, Scan};
use scan_check::ask::Asker;
use scan_check::machine::Machine;
use scan_check::oracle;
use scan_check::units::Unit;

struct Bench {
    folder: tempfile::TempDir,
    unit: Unit,
    options: Options,
    old: Asker,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().join("w");
        for dir in ["a", "b/sub", "c", "elsewhere"] {
            fs::create_dir_all(cwd.join(dir)).unwrap();
        }
        let args: Vec<OsString> = ["-Ia", "-Ilate", "-Ib", "-isystem", "c", "-c", "x.c"]
            .iter()
            .map(OsString::from)
            .collect();
        let options = Options::parse(&args);
        let it = Self {
            unit: Unit {
                compiler: "gcc".into(),
                args,
                cwd,
            },
            options,
            old: Asker::default(),
            folder,
        };
        it.write("x.c", "#include <h.h>\n#include <sub/s.h>\n#if __has_include(<new.h>)\n#include <new.h>\n#endif\n");
        it.write("b/h.h", "#include \"i.h\"\n");
        it.write("b/i.h", "");
        it.write("b/sub/s.h", "");
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.unit.cwd.join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn scan(&self, asker: &mut Asker) -> Scan {
        let toolchain = asker
            .toolchain(&self.unit.compiler, &self.options, &self.unit.cwd)
            .unwrap();
        let request = Request {
            toolchain,
            options: &self.options,
            cwd: &self.unit.cwd,
            cpath: &[],
            language_path: &[],
        };
        asker.scan(&mut Machine::now(), &request)
    }

    /// The old scanner, a fresh one and the compiler agree; returns the files.
    #[track_caller]
    fn agree(&mut self) -> Vec<String> {
        let mut old = std::mem::take(&mut self.old);
        let remembered = self.scan(&mut old);
        let again = self.scan(&mut old);
        self.old = old;
        let fresh = self.scan(&mut Asker::default());
        assert_eq!(remembered.files, fresh.files);
        assert_eq!(
            (&remembered.doubts, &remembered.probed),
            (&fresh.doubts, &fresh.probed)
        );
        assert_eq!(again.files, fresh.files);
        let names = |paths: Vec<PathBuf>| -> BTreeSet<PathBuf> {
            paths
                .iter()
                .map(|path| fs::canonicalize(self.unit.cwd.join(path)).unwrap())
                .collect()
        };
        let ours = names(
            fresh
                .files
                .iter()
                .map(|file| file.path().to_path_buf())
                .collect(),
        );
        match oracle::files_read(&self.unit, self.folder.path())
            .unwrap()
            .files
        {
            Some(needed) => assert_eq!(ours, names(needed)),
            None => assert!(!fresh.is_certain(), "the compiler misses something"),
        }
        let root = fs::canonicalize(&self.unit.cwd).unwrap();
        let mut files: Vec<String> = ours
            .iter()
            .filter_map(|path| Some(path.strip_prefix(&root).ok()?.display().to_string()))
            .collect();
        files.sort();
        files
    }
}

#[test]
fn every_kind_of_change_is_seen() {
    let mut it = Bench::new();
    let first = it.agree();
    assert_eq!(first, ["b/h.h", "b/i.h", "b/sub/s.h", "x.c"]);
    assert_eq!(it.agree(), first, "nothing changed");

    it.write("b/i.h", "#include <j.h>\n");
    it.write("c/j.h", "");
    assert_eq!(it.agree(), ["b/h.h", "b/i.h", "b/sub/s.h", "c/j.h", "x.c"]);

    it.write("a/h.h", "#include_next <h.h>\n");
    assert!(
        it.agree().contains(&"a/h.h".to_owned()),
        "a header appears in an earlier directory"
    );

    it.write("a/sub/s.h", "");
    assert!(
        it.agree().contains(&"a/sub/s.h".to_owned()),
        "a directory appears, and the header in it"
    );

    it.write("late/j.h", "");
    assert!(
        it.agree().contains(&"late/j.h".to_owned()),
        "a search directory appears"
    );

    it.write("late/new.h", "");
    assert!(
        it.agree().contains(&"late/new.h".to_owned()),
        "a header appears that a condition asks for"
    );

    fs::remove_file(it.path("late/j.h")).unwrap();
    assert!(
        it.agree().contains(&"c/j.h".to_owned()),
        "a header disappears"
    );

    fs::remove_file(it.path("c/j.h")).unwrap();
    it.agree();
    it.write("c/j.h", "#define J\n");
    assert!(
        it.agree().contains(&"c/j.h".to_owned()),
        "a header comes back"
    );

    fs::rename(it.path("a"), it.path("gone")).unwrap();
    assert!(
        !it.agree().iter().any(|file| file.starts_with("a/")),
        "a search directory disappears"
    );

    it.write("elsewhere/h.h", "#include <sub/s.h>\n");
    std::os::unix::fs::symlink("elsewhere", it.path("a")).unwrap();
    assert!(
        it.agree().contains(&"elsewhere/h.h".to_owned()),
        "it comes back as a link"
    );
}

#[test]
fn links_are_followed_anew_every_time() {
    let mut it = Bench::new();
    std::os::unix::fs::symlink("../elsewhere/h.h", it.path("a/h.h")).unwrap();
    assert!(
        !it.agree().contains(&"elsewhere/h.h".to_owned()),
        "the link leads nowhere"
    );
    it.write("elsewhere/h.h", "");
    assert!(
        it.agree().contains(&"elsewhere/h.h".to_owned()),
        "what it leads to appears"
    );
    it.write("elsewhere/other.h", "#include <i.h>\n");
    fs::remove_file(it.path("a/h.h")).unwrap();
    std::os::unix::fs::symlink("../elsewhere/other.h", it.path("a/h.h")).unwrap();
    assert!(
        it.agree().contains(&"elsewhere/other.h".to_owned()),
        "the link is moved"
    );
}

#[test]
fn same_size_edits_in_a_row_are_seen() {
    let mut it = Bench::new();
    it.write("c/0.h", "");
    it.write("c/1.h", "");
    for round in 0..40 {
        let name = round % 2;
        it.write("b/i.h", &format!("#include <{name}.h>\n"));
        let files = it.agree();
        assert!(
            files.contains(&format!("c/{name}.h")),
            "round {round}: {files:?}"
        );
    }
}

#[test]
fn random_changes() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut it = Bench::new();
    for name in ["h.h", "i.h", "j.h", "sub/s.h"] {
        it.write(&format!("c/{name}"), "");
    }
    for round in 0..60 {
        let dir = ["a", "late", "b"][rng.usize(..3)];
        let name = ["h.h", "i.h", "j.h", "new.h", "sub/s.h"][rng.usize(..5)];
        let path = it.path(&format!("{dir}/{name}"));
        match rng.usize(..4) {
            0 => drop(fs::remove_file(&path)),
            1 => drop(fs::remove_dir_all(path.parent().unwrap())),
            2 if !path.exists() && path.parent().is_some_and(Path::exists) => {
                drop(std::os::unix::fs::symlink(it.path("c").join(name), &path));
            }
            _ => {
                let other = ["i.h", "j.h", "sub/s.h"][rng.usize(..3)];
                let text = format!("#pragma once\n#define R{round}\n#include <{other}>\n");
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                drop(fs::remove_file(&path));
                fs::write(&path, text).unwrap();
            }
        }
        it.agree();
    }
}
