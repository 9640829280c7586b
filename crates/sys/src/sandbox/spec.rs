//! What one job is: the command, its root, its input files, what is to be brought back, its limits.
//!
//! A [`JobSpec`] travels from the server to the job's own process as bytes in an anonymous file,
//! so that neither the server nor the spawner ever opens a path that a client chose. Both ends are
//! the same program: the format has no version.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Something to be created in the job's root before the command starts. Parent directories are
/// made as needed, and an existing file of that name is replaced.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A directory.
    Dir(&'a Path),
    /// A regular file.
    File {
        /// Where: an absolute path inside the job's root.
        path: &'a Path,
        /// What is in it.
        content: &'a [u8],
    },
    /// A symbolic link.
    Link {
        /// Where: an absolute path inside the job's root.
        path: &'a Path,
        /// What it says; may lead anywhere, all of it inside the job's root.
        target: &'a Path,
    },
}

/// What a job sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobRoot {
    /// This machine's programs and libraries, read-only; everything else is the job's own.
    Machine,
    /// Directories that the server has prepared.
    Input(InputRoot),
}

/// Directories that the server has prepared below [`super::Config::trees`], in their place in the
/// job's root. Nothing that the job does changes anything in them: their files may be hard links
/// to what other jobs use as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRoot {
    /// The tree, relative to [`super::Config::trees`].
    pub tree: PathBuf,
    /// Where the job sees it.
    pub at: MountedAt,
    /// More trees, which are seen in this one. None lies in another.
    pub shared: Vec<SharedTree>,
    /// What the job may change, for itself.
    pub writable: Writable,
}

/// Where a job sees its [`InputRoot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountedAt {
    /// It is the job's `/`. The job has nothing besides it but `/dev`, `/proc` and a `/tmp` of its
    /// own, which hide what the tree has there, except that `/tmp` shows the tree's files too.
    Root,
    /// At this absolute path, which must not lie in a directory that is the machine's. The rest
    /// is what [`super::Config::root`] has, or this machine's programs and libraries.
    Path(PathBuf),
}

/// A tree that many jobs use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedTree {
    /// The tree, relative to [`super::Config::trees`].
    pub tree: PathBuf,
    /// Where it is seen, relative to the root of the [`InputRoot`], without links and `..`. What
    /// that has there, preferably an empty directory, is hidden.
    pub at: PathBuf,
}

/// What a job may change of its [`InputRoot`]. Its changes are held in memory, count against its
/// limit, and go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writable {
    /// Everything.
    All,
    /// These directories, relative to the root of the [`InputRoot`], and all below them; made
    /// if they are missing. Any other change fails with `EROFS`.
    Directories(Vec<PathBuf>),
}

/// Bounds for one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// Most bytes of all files that the job may have in memory at once, [`Place`]s included.
    pub files_bytes_max: u64,
    /// Most files and directories at once.
    pub files_max: u64,
    /// Most bytes of memory of all its processes and files together, beyond which it is killed.
    pub memory_bytes_max: Option<u64>,
    /// Most bytes of writable private memory of one process, beyond which it gets no more.
    pub process_bytes_max: Option<u64>,
    /// Most seconds of CPU time of any one process.
    pub cpu_seconds_max: Option<u64>,
    /// Most processes at once. Only held where user namespaces count them (kernel 5.14 on), or
    /// control groups do, and not for root, whom the kernel does not limit.
    pub processes_max: u64,
    /// Most open files of one process.
    pub open_files_max: u64,
}

/// One job.
#[derive(Debug, Clone)]
pub struct JobSpec<'a> {
    /// What it sees as `/`. All other paths of the job are absolute paths in there.
    pub root: &'a JobRoot,
    /// The program: an absolute path; or, if it contains a slash, a path relative to `cwd`; or a
    /// name that is looked for in the `PATH` of `env`, or else in [`PATH_DEFAULT`].
    pub program: &'a Path,
    /// Its arguments, its name first.
    pub argv: &'a [OsString],
    /// Its environment.
    pub env: &'a [(OsString, OsString)],
    /// Whether `TMPDIR` is added to the environment.
    pub adds_tmpdir: bool,
    /// Its directory; made if missing.
    pub cwd: &'a Path,
    /// What to create first, in this order.
    pub places: &'a [Place<'a>],
    /// What to hand back when the command has ended; their directories are made first.
    /// At most [`OUTPUTS_MAX`].
    pub outputs: &'a [&'a Path],
    /// With [`JobRoot::Machine`]: directories in which the job's places or outputs are although
    /// they belong to the server (see [`super::server_directory`]), without links and `..` in
    /// them. The job sees them with its own files laid over.
    pub overlays: &'a [&'a Path],
    /// Bounds.
    pub limits: JobLimits,
}

/// Where programs without a slash in their name are looked for if the job has no `PATH`.
pub const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// Most outputs of one job: each is an open file of the server's for a while.
pub const OUTPUTS_MAX: usize = 4096;

const DIR: u8 = b'd';
const FILE: u8 = b'f';
const LINK: u8 = b'l';

impl JobSpec<'_> {
    /// Writes the job in the form that [`Received::decode`] reads.
    pub(super) fn encode(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = Vec::with_capacity(4096);
        put(&mut head, self.program.as_os_str());
        put(&mut head, self.cwd.as_os_str());
        put_root(&mut head, self.root);
        head.push(u8::from(self.adds_tmpdir));
        put_count(&mut head, self.argv.len());
        self.argv.iter().for_each(|word| put(&mut head, word));
        put_count(&mut head, self.env.len());
        for (name, value) in self.env {
            put(&mut head, name);
            put(&mut head, value);
        }
        for paths in [self.outputs, self.overlays] {
            put_count(&mut head, paths.len());
            paths
                .iter()
                .for_each(|path| put(&mut head, path.as_os_str()));
        }
        let limits = &self.limits;
        for number in [
            limits.files_bytes_max,
            limits.files_max,
            limits.memory_bytes_max.unwrap_or(u64::MAX),
            limits.process_bytes_max.unwrap_or(u64::MAX),
            limits.cpu_seconds_max.unwrap_or(u64::MAX),
            limits.processes_max,
            limits.open_files_max,
        ] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        put_count(&mut head, self.places.len());
        for place in self.places {
            match place {
                Place::Dir(path) => {
                    head.push(DIR);
                    put(&mut head, path.as_os_str());
                }
                Place::Link { path, target } => {
                    head.push(LINK);
                    put(&mut head, path.as_os_str());
                    put(&mut head, target.as_os_str());
                }
                Place::File { path, content } => {
                    head.push(FILE);
                    put(&mut head, path.as_os_str());
                    put_count(&mut head, content.len());
                    // Large contents are not copied once more.
                    out.write_all(&head)?;
                    head.clear();
                    out.write_all(content)?;
                }
            }
        }
        out.write_all(&head)
    }
}

fn put_root(out: &mut Vec<u8>, root: &JobRoot) {
    let JobRoot::Input(input) = root else {
        out.push(0);
        return;
    };
    out.push(1);
    put(out, input.tree.as_os_str());
    // No path is empty.
    put(
        out,
        match &input.at {
            MountedAt::Root => OsStr::new(""),
            MountedAt::Path(path) => path.as_os_str(),
        },
    );
    put_count(out, input.shared.len());
    for shared in &input.shared {
        put(out, shared.tree.as_os_str());
        put(out, shared.at.as_os_str());
    }
    match &input.writable {
        Writable::All => out.push(0),
        Writable::Directories(dirs) => {
            out.push(1);
            put_count(out, dirs.len());
            dirs.iter().for_each(|dir| put(out, dir.as_os_str()));
        }
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put(out: &mut Vec<u8>, string: &OsStr) {
    put_count(out, string.len());
    out.extend_from_slice(string.as_bytes());
}

/// A [`JobSpec`] on the other side, but for the places.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) program: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) root: JobRoot,
    pub(super) adds_tmpdir: bool,
    pub(super) argv: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) outputs: Vec<PathBuf>,
    pub(super) overlays: Vec<PathBuf>,
    pub(super) limits: JobLimits,
}

/// The places of a job, not yet read.
#[derive(Debug)]
pub(super) struct Places<'a> {
    count: u64,
    rest: &'a [u8],
}

impl Received {
    /// `None` if the bytes are no job.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<(Received, Places<'_>)> {
        let input = &mut bytes;
        let program = path(input)?;
        let cwd = path(input)?;
        let root = root(input)?;
        let adds_tmpdir = flag(input)?;
        let argv = list(input, string)?;
        let env = list(input, |input| Some((string(input)?, string(input)?)))?;
        let outputs = list(input, path)?;
        let overlays = list(input, path)?;
        let limits = JobLimits {
            files_bytes_max: number(input)?,
            files_max: number(input)?,
            memory_bytes_max: limit(input)?,
            process_bytes_max: limit(input)?,
            cpu_seconds_max: limit(input)?,
            processes_max: number(input)?,
            open_files_max: number(input)?,
        };
        let count = number(input)?;
        let received = Received {
            program,
            cwd,
            root,
            adds_tmpdir,
            argv,
            env,
            outputs,
            overlays,
            limits,
        };
        Some((received, Places { count, rest: bytes }))
    }
}

impl Places<'_> {
    /// Hands each place to `create`.
    pub(super) fn for_each(
        &self,
        mut create: impl FnMut(Place<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rest = self.rest;
        for _ in 0..self.count {
            let place = place(&mut rest).ok_or(io::ErrorKind::InvalidData)?;
            create(place)?;
        }
        Ok(())
    }
}

fn place<'a>(input: &mut &'a [u8]) -> Option<Place<'a>> {
    let (&kind, rest) = input.split_first()?;
    *input = rest;
    let path = Path::new(OsStr::from_bytes(bytes(input)?));
    match kind {
        DIR => Some(Place::Dir(path)),
        FILE => Some(Place::File {
            path,
            content: bytes(input)?,
        }),
        LINK => Some(Place::Link {
            path,
            target: Path::new(OsStr::from_bytes(bytes(input)?)),
        }),
        _ => None,
    }
}

fn root(input: &mut &[u8]) -> Option<JobRoot> {
    if !flag(input)? {
        return Some(JobRoot::Machine);
    }
    Some(JobRoot::Input(InputRoot {
        tree: path(input)?,
        at: match path(input)? {
            path if path.as_os_str().is_empty() => MountedAt::Root,
            path => MountedAt::Path(path),
        },
        shared: list(input, |input| {
            Some(SharedTree {
                tree: path(input)?,
                at: path(input)?,
            })
        })?,
        writable: if flag(input)? {
            Writable::Directories(list(input, path)?)
        } else {
            Writable::All
        },
    }))
}

fn flag(input: &mut &[u8]) -> Option<bool> {
    let (&flag, rest) = input.split_first()?;
    *input = rest;
    Some(flag != 0)
}

/// A number of which the largest means none.
fn limit(input: &mut &[u8]) -> Option<Option<u64>> {
    Some(Some(number(input)?).filter(|&number| number != u64::MAX))
}

fn number(input: &mut &[u8]) -> Option<u64> {
    let (number, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*number))
}

fn bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(number(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

fn string(input: &mut &[u8]) -> Option<OsString> {
    Some(OsString::from_vec(bytes(input)?.to_vec()))
}

fn path(input: &mut &[u8]) -> Option<PathBuf> {
    string(input).map(PathBuf::from)
}

fn list<T>(input: &mut &[u8], item: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = number(input)?;
    (0..count).map(|_| item(input)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_root() -> JobRoot {
        JobRoot::Input(InputRoot {
            tree: PathBuf::from("7/tree"),
            at: MountedAt::Path(PathBuf::from("/build")),
            shared: vec![SharedTree {
                tree: PathBuf::from("shared/8"),
                at: PathBuf::from("usr"),
            }],
            writable: Writable::Directories(vec![PathBuf::from("out")]),
        })
    }

    #[test]
    fn a_job_arrives_as_it_was_sent() {
        let argv = ["gcc", "-c", ""].map(OsString::from);
        let env = [(OsString::from("PATH"), OsString::from("/bin"))];
        let places = [
            Place::Dir(Path::new("/d")),
            Place::File {
                path: Path::new("/a.c"),
                content: b"int x;\0",
            },
            Place::Link {
                path: Path::new("/l"),
                target: Path::new("../a.c"),
            },
        ];
        let limits = JobLimits {
            files_bytes_max: 1,
            files_max: 2,
            memory_bytes_max: Some(5),
            process_bytes_max: None,
            cpu_seconds_max: None,
            processes_max: 3,
            open_files_max: 4,
        };
        let root = some_root();
        let spec = JobSpec {
            root: &root,
            program: Path::new("/usr/bin/gcc"),
            argv: &argv,
            env: &env,
            adds_tmpdir: true,
            cwd: Path::new("/tmp"),
            places: &places,
            outputs: &[Path::new("/tmp/a.o")],
            overlays: &[Path::new("/usr")],
            limits,
        };
        let mut encoded = Vec::new();
        spec.encode(&mut encoded).unwrap();
        let (received, received_places) = Received::decode(&encoded).unwrap();
        assert_eq!(received.program, spec.program);
        assert_eq!((&received.root, received.adds_tmpdir), (&root, true));
        assert_eq!(
            (received.cwd.as_path(), received.limits),
            (spec.cwd, limits)
        );
        assert_eq!(
            (&received.argv[..], &received.env[..]),
            (&argv[..], &env[..])
        );
        assert_eq!(received.outputs, ["/tmp/a.o"].map(PathBuf::from));
        assert_eq!(received.overlays, ["/usr"].map(PathBuf::from));
        let mut seen = Vec::new();
        received_places
            .for_each(|place| {
                seen.push(format!("{place:?}"));
                Ok(())
            })
            .unwrap();
        let sent: Vec<String> = places.iter().map(|place| format!("{place:?}")).collect();
        assert_eq!(seen, sent);

        for len in 0..encoded.len() {
            let whole = Received::decode(&encoded[..len])
                .is_some_and(|(_, places)| places.for_each(|_| Ok(())).is_ok());
            assert!(!whole, "cut at {len}");
        }
    }
}
