//! `cargo xtask identity --public`: trees that every machine can get, because packages of Rust carry their sources.
//!
//! The packages are fetched and read, never built.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::programs;
use e2e::workspace::Workspace;
use scan_check::units::Unit;
use serde_json::Value;

use super::{Ask, Totals, sample};
use crate::cargo::cargo;

/// A tree of sources within a package.
struct Tree {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// Directories whose sources are taken.
    dirs: &'static [&'static str],
    suffix: &'static str,
    words: &'static str,
    /// So many units, spread evenly; 0 for all.
    sample: usize,
    /// Compiled in the first way only: a unit takes half a minute.
    is_slow: bool,
}

const TREES: &[Tree] = &[
    Tree {
        name: "lua",
        package: "lua-src",
        version: "547.1.0",
        dirs: &["lua-5.4.7"],
        suffix: "c",
        words: "-DLUA_USE_POSIX",
        sample: 0,
        is_slow: false,
    },
    Tree {
        name: "zstd",
        package: "zstd-sys",
        version: "2.1.3",
        dirs: &[
            "zstd/lib/common",
            "zstd/lib/compress",
            "zstd/lib/decompress",
            "zstd/lib/dictBuilder",
        ],
        suffix: "c",
        words: "-Izstd/lib -Izstd/lib/common -DZSTD_MULTITHREAD -Wall -Wextra",
        sample: 12,
        is_slow: false,
    },
    Tree {
        name: "sqlite",
        package: "libsqlite3-sys",
        version: "0.30.1",
        dirs: &["sqlite3"],
        suffix: "c",
        words: "-DSQLITE_CORE -DSQLITE_ENABLE_FTS5 -DSQLITE_THREADSAFE=1",
        sample: 0,
        is_slow: true,
    },
    Tree {
        name: "rocksdb",
        package: "librocksdb-sys",
        version: "0.17.3",
        dirs: &["rocksdb/util", "rocksdb/monitoring"],
        suffix: "cc",
        words: "-std=c++20 -march=native -Irocksdb -Irocksdb/include -DOS_LINUX -DROCKSDB_PLATFORM_POSIX \
                -DROCKSDB_LIB_IO_POSIX",
        sample: 4,
        is_slow: false,
    },
];

/// What each tree is compiled with.
const WAYS: &[(&str, &str)] = &[
    ("gcc", "-g -O2"),
    ("gcc", "-g -O2 -gsplit-dwarf"),
    ("clang", "-g -O2"),
];

/// At least so many units of a hundred have to go to workers.
const REMOTE_PERCENT_MIN: usize = 99;

/// Compares all trees in all ways.
pub(crate) fn run() -> Result<(), String> {
    let workspace = Workspace::new();
    let packages = fetch(workspace.root())?;
    let mut all = Totals::default();
    for tree in TREES {
        let units = tree.units(&packages, workspace.root())?;
        let ways = if tree.is_slow { &WAYS[..1] } else { WAYS };
        for (compiler, words) in ways {
            let compiler = compiler_of(tree, compiler);
            if !programs::have(compiler) {
                println!("    {}: skipped: {compiler} is not here", tree.name);
                continue;
            }
            let ask = Ask {
                more: words.split(' ').map(str::to_owned).collect(),
                compiler: Some(compiler.to_owned()),
                ..Ask::default()
            };
            let (totals, lines) = super::compare_all(&ask, &units)?;
            lines.iter().for_each(|line| println!("    {line}"));
            println!("    {} {compiler} {words}: {totals}", tree.name);
            all.add(&totals);
        }
    }
    println!("{all}");
    if all.differing + all.messages_differing > 0 {
        return Err("not everything is the same".into());
    }
    if all.remote * 100 < all.units * REMOTE_PERCENT_MIN {
        return Err(format!("fewer than {REMOTE_PERCENT_MIN} % went to workers"));
    }
    Ok(())
}

/// The driver for the tree's language.
fn compiler_of(tree: &Tree, compiler: &'static str) -> &'static str {
    match (tree.suffix, compiler) {
        ("cc", "gcc") => "g++",
        ("cc", "clang") => "clang++",
        _ => compiler,
    }
}

/// Has Cargo get the packages; what it says about them.
fn fetch(place: &Path) -> Result<Vec<Value>, String> {
    let failed = |error| format!("cannot write to {}: {error}", place.display());
    let dir = place.join("packages");
    fs::create_dir_all(&dir).map_err(failed)?;
    let mut manifest = "[package]\nname = \"sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                        [lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies]\n"
        .to_owned();
    for tree in TREES {
        manifest.push_str(&format!(
            "{} = {{ version = \"={}\", default-features = false }}\n",
            tree.package, tree.version
        ));
    }
    fs::write(dir.join("Cargo.toml"), manifest).map_err(failed)?;
    fs::write(dir.join("lib.rs"), "").map_err(failed)?;
    let mut command = cargo(&["metadata", "--quiet", "--format-version", "1"]);
    let output = command.current_dir(&dir).output();
    let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the trees cannot be fetched: {text}"));
    }
    let mut known: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata says nonsense: {error}"))?;
    match known["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => Err("cargo metadata lists no packages".into()),
    }
}

impl Tree {
    fn root(&self, packages: &[Value]) -> Result<PathBuf, String> {
        let it = packages.iter().find(|it| it["name"] == self.package);
        let manifest = it.and_then(|it| it["manifest_path"].as_str());
        let root = manifest.and_then(|path| Path::new(path).parent());
        root.map(Path::to_owned)
            .ok_or_else(|| format!("{} is not among the packages", self.package))
    }

    /// Its units. Outputs go below `place`: the sources may not be ours to write to.
    fn units(&self, packages: &[Value], place: &Path) -> Result<Vec<Unit>, String> {
        let root = self.root(packages)?;
        let out = place.join(self.name);
        let failed = |error| format!("{}: {error}", self.name);
        fs::create_dir_all(&out).map_err(failed)?;
        let mut units = Vec::new();
        for dir in self.dirs {
            let entries = fs::read_dir(root.join(dir)).map_err(failed)?;
            let mut names: Vec<OsString> = entries.flatten().map(|it| it.file_name()).collect();
            names.sort_unstable();
            let is_source = |it: &OsString| Path::new(it).extension() == Some(self.suffix.as_ref());
            for name in names.iter().filter(|it| is_source(it)) {
                units.push(self.unit(&root, &Path::new(dir).join(name), &out));
            }
        }
        let wanted = (self.sample > 0).then_some(self.sample);
        Ok(sample(units, wanted))
    }

    fn unit(&self, root: &Path, source: &Path, out: &Path) -> Unit {
        let object = out.join(source.file_name().unwrap_or_default());
        let mut args: Vec<OsString> = self.words.split_whitespace().map(OsString::from).collect();
        args.extend(["-MD".into(), "-MF".into()]);
        args.push(object.with_extension("d").into());
        args.push("-c".into());
        args.push(source.into());
        args.push("-o".into());
        args.push(object.with_extension("o").into());
        Unit {
            compiler: "cc".into(),
            args,
            cwd: root.to_owned(),
        }
    }
}
