//! What the head of a program file says: for which machine it is, and which loader starts it.
//!
//! Which libraries a program needs is not read here: the loader that the head names is asked (`libraries`), because it
//! alone knows its search directories, its cache and which variant of a library it takes on this processor.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::why::NoToolchain;

/// Bytes of the largest file header, that of 64-bit files (`Elf64_Ehdr`).
const HEADER_BYTES: usize = 64;

/// Most segments that are looked at. Programs have a dozen.
const SEGMENTS_MAX: usize = 128;

/// Longest path of a loader (`PATH_MAX`).
const INTERPRETER_BYTES_MAX: usize = 4096;

/// Longest first line of a script that is read.
const SCRIPT_LINE_BYTES_MAX: u64 = 256;

/// `p_type` of the segment that names the loader (`PT_INTERP`).
const INTERPRETER: u32 = 3;

/// Names of machines by their number in the header (`e_machine`), as `uname -m` gives them. Sorted.
const MACHINES: &[(u16, &str)] = &[
    (3, "i686"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// What a program file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// For which machine, as `uname -m` names it; empty if it is none of those known.
    pub(super) machine: &'static str,
    /// The loader that starts it; none if it is linked statically or a library.
    pub(super) loader: Option<PathBuf>,
}

/// Reads the head of a program or library.
///
/// # Errors
/// It cannot be read, or is no ELF file.
pub(super) fn read(path: &Path) -> Result<Head, NoToolchain> {
    let unreadable = |error| NoToolchain::unreadable(path, error);
    let file = File::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    (&file)
        .take(SCRIPT_LINE_BYTES_MAX)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        return Err(NoToolchain::Script {
            path: path.to_owned(),
            interpreter: String::from_utf8_lossy(line.trim_ascii()).into_owned(),
        });
    }
    let mut at = |offset: u64, bytes: &mut [u8]| file.read_exact_at(bytes, offset).is_ok();
    parse(&mut at).ok_or_else(|| NoToolchain::NotElf {
        path: path.to_owned(),
    })
}

/// Parses a head, given a way to fill a buffer from an offset. `None` if it is no ELF file or broken.
fn parse(at: &mut dyn FnMut(u64, &mut [u8]) -> bool) -> Option<Head> {
    let mut header = [0; HEADER_BYTES];
    // A file for 32 bits with nothing behind its header has fewer bytes, but is no program either.
    at(0, &mut header).then_some(())?;
    let fields = Fields::of(&header)?;
    let number = fields.u16(&header, 18);
    let machine = MACHINES
        .binary_search_by_key(&number, |row| row.0)
        .map_or("", |index| MACHINES[index].1);
    let (table, entry_bytes, count) = if fields.wide {
        (fields.u64(&header, 32), 56, fields.u16(&header, 56))
    } else {
        (
            u64::from(fields.u32(&header, 28)),
            32,
            fields.u16(&header, 44),
        )
    };
    let mut loader = None;
    for index in 0..usize::from(count).min(SEGMENTS_MAX) {
        let mut segment = [0; 56];
        let segment = &mut segment[..entry_bytes];
        let offset = table.checked_add((index * entry_bytes) as u64)?;
        at(offset, segment).then_some(())?;
        if fields.u32(segment, 0) == INTERPRETER {
            let (offset, length) = if fields.wide {
                (fields.u64(segment, 8), fields.u64(segment, 32))
            } else {
                let word = |offset| u64::from(fields.u32(segment, offset));
                (word(4), word(16))
            };
            loader = Some(interpreter(at, offset, length)?);
        }
    }
    Some(Head { machine, loader })
}

fn interpreter(
    at: &mut dyn FnMut(u64, &mut [u8]) -> bool,
    offset: u64,
    length: u64,
) -> Option<PathBuf> {
    let length = usize::try_from(length).ok()?;
    if length > INTERPRETER_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    at(offset, &mut bytes).then_some(())?;
    let path = bytes.split(|&byte| byte == 0).next()?;
    let path = PathBuf::from(std::str::from_utf8(path).ok()?);
    path.is_absolute().then_some(path)
}

/// How the numbers of a file are written.
#[derive(Debug, Clone, Copy)]
struct Fields {
    wide: bool,
    big: bool,
}

impl Fields {
    fn of(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        header.starts_with(b"\x7fELF").then_some(())?;
        let wide = match header[4] {
            1 => false,
            2 => true,
            _ => return None,
        };
        let big = match header[5] {
            1 => false,
            2 => true,
            _ => return None,
        };
        Some(Self { wide, big })
    }

    fn u16(self, bytes: &[u8], offset: usize) -> u16 {
        let bytes = array(bytes, offset);
        if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    fn u32(self, bytes: &[u8], offset: usize) -> u32 {
        let bytes = array(bytes, offset);
        if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn u64(self, bytes: &[u8], offset: usize) -> u64 {
        let bytes = array(bytes, offset);
        if self.big {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        }
    }
}

/// Offsets are constants inside of buffers with constant lengths.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let bytes = &bytes[offset..offset + N];
    bytes.try_into().expect("the slice has this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_bytes(bytes: &[u8]) -> Option<Head> {
        parse(&mut |offset, buffer| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let Some(found) = start
                .checked_add(buffer.len())
                .and_then(|end| bytes.get(start..end))
            else {
                return false;
            };
            buffer.copy_from_slice(found);
            true
        })
    }

    #[test]
    fn machines_are_sorted() {
        assert!(MACHINES.is_sorted_by(|left, right| left.0 < right.0));
    }

    /// The machine and the loader of a real program, as the kernel and the program itself say.
    #[test]
    fn this_program() {
        let head = read(Path::new("/proc/self/exe")).unwrap();
        assert_eq!(head.machine, std::env::consts::ARCH);
        if let Some(loader) = head.loader {
            let loader = std::fs::canonicalize(loader).unwrap();
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            assert!(
                maps.contains(loader.to_str().unwrap()),
                "{loader:?}\n{maps}"
            );
        }
    }

    #[test]
    fn scripts_and_other_files() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("cc");
        std::fs::write(&path, "#! /bin/sh -e\nexec gcc\n").unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("cc is a script for /bin/sh -e, which may run and read anything"),
            "{error}"
        );
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).unwrap_err().code(), "toolchain-not-elf");
        assert_eq!(
            read(&path.join("x")).unwrap_err().code(),
            "toolchain-unreadable"
        );
    }

    /// A program for 32 bits and the other byte order.
    #[test]
    fn narrow_and_big() {
        let mut file = vec![0; 256];
        file[..6].copy_from_slice(b"\x7fELF\x01\x02");
        file[19] = 20;
        file[31] = 64;
        file[45] = 1;
        file[67] = 3;
        file[71] = 200;
        file[83] = 8;
        file[200..208].copy_from_slice(b"/lib/ld\0");
        let head = parse_bytes(&file).unwrap();
        assert_eq!(head.machine, "ppc");
        assert_eq!(head.loader, Some("/lib/ld".into()));
    }

    /// Whatever the bytes are, nothing panics and nothing large is allocated.
    #[test]
    fn mutations() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let start = &whole[..whole.len().min(4096)];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut bytes = start.to_vec();
            for _ in 0..random.usize(1..8) {
                let at = random.usize(..400.min(bytes.len()));
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..bytes.len()));
            let head = parse_bytes(&bytes);
            assert!(head.is_none_or(|head| head.loader.is_none_or(|path| path.is_absolute())));
        }
    }
}
