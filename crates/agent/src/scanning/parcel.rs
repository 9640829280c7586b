//! What a server of protocol 3 is sent for a compile: every file that a scan found, at its place.
//!
//! The rules are those of stock's pump, because its servers rely on them:
//!
//! - A server puts the files below a directory of its own. Headers in the directories where the compiler looks by
//!   itself are not sent; links lead from their places to the server's own.
//! - Symbolic links go as links, so each file goes once and `..` leads where it leads here.
//! - A directory that is only passed through (`include/../src`) or named by an option goes as an empty file with a
//!   name of its own inside.
//! - A file that the compiler finds by an absolute path begins with a `#line` that gives it this name: the server
//!   compiles it at another one.
//!
//! Packed files are kept by the stamp of the file, so that a header is read and packed once in a build.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use scan::{FileUse, How, Stamp, Why};
use stock::{Body, Packed, SentFile};

use super::disk::stamp;
use super::{Disk, Found};

/// Most files of one compile. More is a sign of a scan that went astray; the largest real ones have some 5000.
const FILES_MAX: usize = 20_000;

/// Most bytes of all files of one compile, unpacked: preprocessing is cheaper beyond.
const FILES_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of packed files that are kept. All headers of Linux take some 60 MiB.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// Most links that one path may lead through, as in the kernel.
const LINKS_MAX: u32 = 40;

/// Steps up that stock puts in front of a link to a server's own directory, beyond the depth of the link itself.
const STEPS_UP: usize = 20;

/// The name by which a directory is sent that holds nothing else.
const PLACEHOLDER: &str = "forcing_technique_271828";

/// Where files are not files.
const NOT_ON_DISK: &[&str] = &["/dev", "/proc", "/sys"];

/// The files of a compile, as they are sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parcel {
    /// Files, then links, then directories.
    pub(crate) files: Vec<SentFile<Arc<Packed>>>,
    /// Bytes of all files, unpacked.
    pub(crate) bytes: u64,
}

/// Why no parcel can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoParcel {
    /// It vanished, or may not be read.
    #[error("{0} cannot be read")]
    Unreadable(String),
    /// It is a device, or what the kernel makes up.
    #[error("{0} is not a file that can be sent")]
    Special(String),
    /// Its name cannot be said in a `#line`.
    #[error("the name {0} cannot be said in a #line")]
    Name(String),
    /// Too many files or bytes.
    #[error("its files are too many or too large to send")]
    TooLarge,
}

/// What a packed file is known by: the file's stamp, and the name in its `#line`.
type PackedKey = (Stamp, Option<Vec<u8>>);

/// Makes parcels and keeps what is packed.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    kept: HashMap<PackedKey, Arc<Packed>>,
    kept_bytes: usize,
}

impl Packer {
    /// Packs what was found. `named` are the directories and files that options name.
    ///
    /// # Errors
    /// Why these files cannot be sent.
    pub(crate) fn pack(
        &mut self,
        found: &Found,
        cwd: &Path,
        named: &[OsString],
    ) -> Result<Parcel, NoParcel> {
        let mut layout = Layout::new(&found.system_dirs);
        let mut parcel = Parcel::default();
        for file in &found.scan.files {
            if let Some(place) = layout.place(file.path())?
                && layout.sent.insert(place.clone())
            {
                self.add(&mut parcel, place, line_name(file))?;
            }
        }
        for path in &found.scan.probed {
            if let Some(place) = layout.place(path)?
                && layout.sent.insert(place.clone())
            {
                self.add(&mut parcel, place, None)?;
            }
        }
        layout.want_dir(cwd)?;
        for path in named {
            let path = cwd.join(path);
            if path.is_dir() {
                layout.want_dir(&path)?;
            }
        }
        layout.finish(&mut parcel);
        if parcel.files.len() > FILES_MAX {
            return Err(NoParcel::TooLarge);
        }
        Ok(parcel)
    }

    /// Adds one file.
    fn add(
        &mut self,
        parcel: &mut Parcel,
        place: PathBuf,
        line: Option<&Path>,
    ) -> Result<(), NoParcel> {
        if NOT_ON_DISK.iter().any(|dir| place.starts_with(dir)) {
            return Err(NoParcel::Special(place.display().to_string()));
        }
        let line = line.map(line_directive).transpose()?;
        let unreadable = |_: io::Error| NoParcel::Unreadable(place.display().to_string());
        let (packed, len) = self.packed(&place, line).map_err(unreadable)?;
        parcel.bytes += len;
        if parcel.bytes > FILES_BYTES_MAX {
            return Err(NoParcel::TooLarge);
        }
        parcel.files.push(SentFile {
            name: place.into_os_string().into_vec(),
            body: Body::File(packed),
        });
        Ok(())
    }

    /// The packed content, and its length unpacked.
    fn packed(&mut self, place: &Path, line: Option<Vec<u8>>) -> io::Result<(Arc<Packed>, u64)> {
        let before = stamp(&fs::metadata(place)?);
        if before.size > FILES_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let key = (before, line);
        if let Some(packed) = self.kept.get(&key) {
            return Ok((Arc::clone(packed), before.size));
        }
        let mut content = key.1.clone().unwrap_or_default();
        let mut file = fs::File::open(place)?;
        file.read_to_end(&mut content)?;
        let packed = Arc::new(Packed::compress(&content));
        let is_same = stamp(&file.metadata()?) == before;
        if is_same && Disk::now().is_settled(&before) {
            self.kept_bytes += packed.len();
            if self.kept_bytes > KEPT_BYTES_MAX {
                self.kept.clear();
                self.kept_bytes = packed.len();
            }
            self.kept.insert(key, Arc::clone(&packed));
        }
        Ok((packed, before.size))
    }
}

/// The name that a file must be given by a `#line`, if any.
fn line_name(file: &FileUse) -> Option<&Path> {
    let is_text = !matches!(
        file.why,
        Why::Included(How::Embed) | Why::Assembler | Why::Option | Why::Precompiled
    );
    Some(file.spelled()).filter(|name| is_text && name.is_absolute())
}

fn line_directive(name: &Path) -> Result<Vec<u8>, NoParcel> {
    let bytes = name.as_os_str().as_bytes();
    if bytes
        .iter()
        .any(|byte| matches!(byte, b'"' | b'\\' | b'\n'))
    {
        return Err(NoParcel::Name(name.display().to_string()));
    }
    Ok([b"#line 1 \"", bytes, b"\"\n"].concat())
}

/// Where things lie once links are followed.
struct Layout<'a> {
    system: &'a [PathBuf],
    /// Links met, and paths that are none.
    links: HashMap<PathBuf, Option<PathBuf>>,
    /// Links in the order in which they were met.
    found: Vec<(PathBuf, PathBuf)>,
    sent: HashSet<PathBuf>,
    /// Directories that must be there.
    wanted: Vec<PathBuf>,
    /// Directories walked through and found to be real.
    known_dirs: HashMap<PathBuf, Option<PathBuf>>,
}

impl<'a> Layout<'a> {
    fn new(system: &'a [PathBuf]) -> Self {
        Self {
            system,
            links: HashMap::new(),
            found: Vec::new(),
            sent: HashSet::new(),
            wanted: Vec::new(),
            known_dirs: HashMap::new(),
        }
    }

    /// The real place of a path; `None` if it is in one of the system's directories.
    fn place(&mut self, path: &Path) -> Result<Option<PathBuf>, NoParcel> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return self.walk(path);
        };
        // Most files share their directories.
        let dir = match self.known_dirs.get(dir) {
            Some(known) => known.clone(),
            None => {
                let place = self.walk(dir)?;
                self.known_dirs.insert(dir.to_owned(), place.clone());
                place
            }
        };
        match dir {
            Some(dir) => self.walk(&dir.join(name)),
            None => Ok(None),
        }
    }

    fn walk(&mut self, path: &Path) -> Result<Option<PathBuf>, NoParcel> {
        let mut left: VecDeque<OsString> = parts(path);
        let mut at = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop_front() {
            if part == ".." {
                self.wanted.push(at.clone());
                at.pop();
                continue;
            }
            at.push(&part);
            if self.system.iter().any(|dir| at.starts_with(dir)) {
                return Ok(None);
            }
            let Some(target) = self.link(&at) else {
                continue;
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(NoParcel::Unreadable(path.display().to_string()));
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            if target.is_absolute() {
                at = PathBuf::from("/");
            } else {
                at.pop();
            }
        }
        Ok(Some(at))
    }

    fn link(&mut self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.links.get(path) {
            return known.clone();
        }
        let target = fs::read_link(path).ok();
        if let Some(target) = &target {
            self.found.push((path.to_owned(), target.clone()));
        }
        self.links.insert(path.to_owned(), target.clone());
        target
    }

    fn want_dir(&mut self, path: &Path) -> Result<(), NoParcel> {
        if let Some(dir) = self.walk(path)? {
            self.wanted.push(dir);
        }
        Ok(())
    }

    /// Adds links and directories.
    fn finish(self, parcel: &mut Parcel) {
        let mut made: HashSet<&Path> = HashSet::new();
        let places = self.sent.iter().map(PathBuf::as_path);
        for place in places.chain(self.found.iter().map(|(link, _)| link.as_path())) {
            for dir in place.ancestors().skip(1) {
                if !made.insert(dir) {
                    break;
                }
            }
        }
        for (link, target) in &self.found {
            parcel.files.push(SentFile {
                name: link.as_os_str().as_bytes().to_vec(),
                body: Body::Link(target.as_os_str().as_bytes().to_vec()),
            });
        }
        for dir in self.system {
            let depth = dir.components().count() - 1;
            let up = "../".repeat(depth + STEPS_UP);
            let target = [up.as_bytes(), &dir.as_os_str().as_bytes()[1..]].concat();
            parcel.files.push(SentFile {
                name: dir.as_os_str().as_bytes().to_vec(),
                body: Body::Link(target),
            });
        }
        let mut wanted: Vec<&PathBuf> = self.wanted.iter().collect();
        wanted.sort();
        wanted.dedup();
        let nothing = Arc::new(Packed::compress(&[]));
        for dir in wanted {
            if !made.contains(dir.as_path()) {
                parcel.files.push(SentFile {
                    name: dir.join(PLACEHOLDER).into_os_string().into_vec(),
                    body: Body::File(Arc::clone(&nothing)),
                });
            }
        }
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsStr::new("..").to_owned()),
            _ => None,
        })
        .collect()
}
