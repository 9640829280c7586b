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

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use scan::Stamp;
use stock::{Body, Packed, SentFile};

use super::disk::stamp;
use super::layout::lay_out;
use super::{Disk, Found};

/// Most files of one compile. More is a sign of a scan that went astray; the largest real ones have some 5000.
const FILES_MAX: usize = 20_000;

/// Most bytes of all files of one compile, unpacked: preprocessing is cheaper beyond.
const FILES_BYTES_MAX: u64 = 64 << 20;

/// Most bytes of packed files that are kept. All headers of Linux take some 60 MiB.
const KEPT_BYTES_MAX: usize = 128 << 20;

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
        let laid = lay_out(found, cwd, named)?;
        let mut parcel = Parcel::default();
        for (place, line) in laid.files {
            self.add(&mut parcel, place, line)?;
        }
        let link = |(name, target): (PathBuf, Vec<u8>)| SentFile {
            name: name.into_os_string().into_vec(),
            body: Body::Link(target),
        };
        parcel.files.extend(laid.links.into_iter().map(link));
        parcel.files.extend(laid.system.into_iter().map(link));
        let nothing = Arc::new(Packed::compress(&[]));
        parcel
            .files
            .extend(laid.dirs.into_iter().map(|dir| SentFile {
                name: dir.join(PLACEHOLDER).into_os_string().into_vec(),
                body: Body::File(Arc::clone(&nothing)),
            }));
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
