//! A root made from a toolchain's list, and compiles that run in it and here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use agent::scanning::find_compiler;
use agent::toolchain::{Call, Content, Entry, NoToolchain, Node, Sources, Toolchain, Toolchains};
use store::{Digest, DigestFunction};

/// Enters a root as an ordinary user may: with namespaces of its own. Where `/proc` cannot be had, without.
const ENTER: &str = r#"mount --bind /dev/null "$0/dev/null" && { mount -t proc proc "$0/proc" 2>/dev/null || true; } && \
exec env -i "$@""#;

/// Where the program is that enters a root; run with the compile's variables.
const UNSHARE: &str = "/usr/bin/unshare";

/// The compiler of a name in `PATH`, with this process's environment less what is about languages.
pub(crate) struct Compiler {
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) sources: Sources,
}

impl Compiler {
    /// `None` if there is none of this name, or namespaces are forbidden.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let search = OsString::from("/usr/local/bin:/usr/bin:/bin");
        let Some((path, _)) = find_compiler(OsStr::new(name), &search) else {
            eprintln!("skipped: no {name}");
            return None;
        };
        Some(Self {
            name: name.into(),
            path,
            env: vec![("PATH".into(), search)],
            sources: Sources::Any,
        })
    }

    pub(crate) fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn identify(
        &self,
        toolchains: &Toolchains,
        cwd: &Path,
        args: &[OsString],
    ) -> Result<Arc<Toolchain>, NoToolchain> {
        toolchains.identify(&Call {
            compiler: &self.name,
            compiler_path: &self.path,
            args,
            cwd,
            env: &self.env,
            sources: self.sources,
        })
    }

    /// The compile as the shim runs it here.
    pub(crate) fn command(&self, cwd: &Path, args: &[OsString]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.path);
        command
            .arg0(&self.name)
            .args(args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(cwd)
            .stdin(Stdio::null());
        command
    }
}

pub(crate) fn toolchains() -> Toolchains {
    Toolchains::new(DigestFunction::Sha256, None)
}

pub(crate) fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}

/// Whether this user may make namespaces.
pub(crate) fn may_enter() -> bool {
    let tried = Command::new("unshare").args(["-Urmpf", "true"]).output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("skipped: unshare is not allowed");
    }
    may
}

/// A root, and a working directory that exists here and in it.
pub(crate) struct Root {
    dir: tempfile::TempDir,
    work: tempfile::TempDir,
}

impl Root {
    pub(crate) fn new() -> Self {
        let root = Self {
            dir: tempfile::tempdir().unwrap(),
            work: tempfile::tempdir().unwrap(),
        };
        for dir in ["dev", "proc", "tmp"] {
            fs::create_dir(root.dir.path().join(dir)).unwrap();
        }
        fs::write(root.dir.path().join("dev/null"), "").unwrap();
        let tmp = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(root.dir.path().join("tmp"), tmp).unwrap();
        fs::create_dir_all(root.at(root.work())).unwrap();
        root
    }

    /// The working directory.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// Where a path of the root is for us.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.dir.path().join(path.strip_prefix("/").unwrap())
    }

    /// Whether a path can be looked up in the root: links are followed inside of it.
    pub(crate) fn resolves(&self, path: &Path) -> bool {
        let mut at = PathBuf::from("/");
        let mut left: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            if let Ok(target) = fs::read_link(self.at(&at)) {
                links += 1;
                if target.is_absolute() {
                    at = "/".into();
                } else {
                    at.pop();
                }
                left.extend(parts(&target));
                assert!(links < 40, "{}", path.display());
            } else if !self.at(&at).exists() {
                return false;
            }
        }
        true
    }

    /// Fills it with a toolchain.
    pub(crate) fn add(&self, toolchain: &Toolchain) {
        for Entry { path, node } in toolchain.entries() {
            let at = self.at(path);
            if at.symlink_metadata().is_ok() && *node != Node::Dir {
                continue;
            }
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            match node {
                Node::Dir => fs::create_dir_all(&at).unwrap(),
                Node::Link { target } => symlink(target, &at).unwrap(),
                Node::File {
                    digest,
                    executable,
                    content,
                } => {
                    let bytes = match content {
                        Content::Disk => fs::read(path).unwrap(),
                        Content::Bytes(bytes) => bytes.to_vec(),
                    };
                    assert_eq!(Digest::of(DigestFunction::Sha256, &bytes), *digest);
                    fs::write(&at, bytes).unwrap();
                    let mode = if *executable { 0o555 } else { 0o444 };
                    fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
    }

    /// A source in the working directory, here and in the root.
    pub(crate) fn source(&self, name: &str, text: &[u8]) {
        let path = self.work().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.file(&path);
    }

    /// A file of this machine, at its real path and under the directory that it is named by.
    pub(crate) fn file(&self, path: &Path) {
        let real = fs::canonicalize(path).unwrap();
        let at = self.at(&real);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if !at.exists() {
            fs::copy(&real, &at).unwrap();
        }
    }

    /// The headers of a compile, by the compiler's own word. Empty if it fails.
    pub(crate) fn headers(&self, compiler: &Compiler, args: &[OsString]) -> Vec<PathBuf> {
        // Never into a special file: when a source is broken, GCC removes its outputs.
        let writes = |word: &&OsString| *word != "-MD" && *word != "-MMD";
        let mut args: Vec<OsString> = args.iter().filter(writes).cloned().collect();
        args.extend(words("-M -w"));
        let output = compiler.command(self.work(), &args).output().unwrap();
        let text = output.stdout;
        let names = text
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty() && *word != b"\\" && !word.ends_with(b":"));
        names
            .map(|name| self.work().join(OsStr::from_bytes(name)))
            .filter(|path| path.is_file())
            .collect()
    }

    /// Runs a program of the root in it, in the working directory, with these variables only.
    pub(crate) fn run(
        &self,
        env: &[(OsString, OsString)],
        program: &OsStr,
        args: &[OsString],
    ) -> Output {
        let variables = env.iter().map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            pair
        });
        Command::new("unshare")
            .args(["-Urmpf", "bash", "-c", ENTER])
            .arg(self.dir.path())
            .args(variables)
            .arg(UNSHARE)
            .arg(option("--root=", self.dir.path()))
            .arg(option("--wd=", self.work()))
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// All files of the working directory but the sources, and their contents; they are removed.
    pub(crate) fn outputs(&self, work: &Path, sources: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let mut outputs = BTreeMap::new();
        for entry in fs::read_dir(work).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_file() && !sources.contains(&name.as_str()) {
                outputs.insert(name, fs::read(entry.path()).unwrap());
                fs::remove_file(entry.path()).unwrap();
            }
        }
        outputs
    }
}

fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(name.to_owned()),
        std::path::Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts
}
