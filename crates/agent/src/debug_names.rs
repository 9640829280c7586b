//! Takes the directory of a stock server out of an object's debug information.
//!
//! A stock server compiles in `…/distccd_XXXXXX/home/me/project`, and its compiler writes that as the directory of the
//! compile. Servers of 3.4 write slashes over the part that is theirs, but do not know the sections of DWARF 5. Here
//! such a name becomes `/home/me/project`, as a local compile has it. It stays where it is, for others refer to it;
//! what is left over behind it becomes empty strings, which linkers merge.
//!
//! Only sections that are nothing but strings are changed, in ELF files of 64 bits, little endian. The caller looks
//! whether anything is left, which cannot be seen in compressed sections.

use std::ops::Range;

/// Sections that hold strings of debug information.
const STRINGS: &[&[u8]] = &[b".debug_line_str", b".debug_str"];

/// How the name of a server's directory for a job begins.
const ROOT: &[u8] = b"/distccd_";

/// Letters that follow.
const ROOT_LETTERS: usize = 6;

/// Slashes in front of a name are those of a server from this number on: `/tmp/distccd_XXXXXX` and one more.
const SLASHES_MIN: usize = 20;

/// Section header: offsets of name, flags, offset and size, and its length, in bytes.
const NAME: usize = 0;
const FLAGS: usize = 8;
const OFFSET: usize = 24;
const SIZE: usize = 32;
const HEADER: usize = 64;

/// Flag of a compressed section (`SHF_COMPRESSED`).
const COMPRESSED: u64 = 0x800;

/// File header: offsets of the section headers' place, number and index of names, in bytes.
const SECTIONS: usize = 40;
const SECTION_COUNT: usize = 60;
const NAMES_INDEX: usize = 62;

/// The object cannot be looked into: its strings are compressed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compressed;

/// Changes the names in place.
///
/// # Errors
/// Some section of strings is compressed, as toolchains can be configured to do.
pub(crate) fn localise(object: &mut [u8]) -> Result<(), Compressed> {
    for range in string_sections(object)?.unwrap_or_default() {
        if let Some(section) = object.get_mut(range) {
            for string in section.split_mut(|&byte| byte == 0) {
                shorten(string);
            }
        }
    }
    Ok(())
}

/// Moves what is behind the server's part of a name to the front.
fn shorten(string: &mut [u8]) {
    let Some(from) = own_part(string) else {
        return;
    };
    let len = string.len();
    string.copy_within(from.., 0);
    string[len - from..].fill(0);
}

/// Where the client's part of a name begins, if a server's stands in front of it.
fn own_part(string: &[u8]) -> Option<usize> {
    if string.first() != Some(&b'/') {
        return None;
    }
    let slashes = string.iter().take_while(|&&byte| byte == b'/').count();
    if slashes >= SLASHES_MIN {
        return Some(slashes - 1);
    }
    let root = memchr::memmem::find(string, ROOT)?;
    let end = root + ROOT.len() + ROOT_LETTERS;
    (string.get(end) == Some(&b'/')).then_some(end)
}

/// Where the sections of strings lie; `None` if it is no object that we know.
fn string_sections(object: &[u8]) -> Result<Option<Vec<Range<usize>>>, Compressed> {
    let Some(sections) = all_sections(object) else {
        return Ok(None);
    };
    let strings = sections.into_iter().filter(|section| section.is_strings);
    let range = |section: Section| match section.is_compressed {
        true => Err(Compressed),
        false => Ok(section.range),
    };
    strings.map(range).collect::<Result<_, _>>().map(Some)
}

struct Section {
    is_strings: bool,
    is_compressed: bool,
    range: Range<usize>,
}

fn all_sections(object: &[u8]) -> Option<Vec<Section>> {
    // ELF, 64 bits, little endian.
    if !object.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let start = usize::try_from(number(object, SECTIONS, 8)?).ok()?;
    let count = usize::try_from(number(object, SECTION_COUNT, 2)?).ok()?;
    let header = |index: usize| {
        let at = start.checked_add(index.checked_mul(HEADER)?)?;
        object.get(at..at.checked_add(HEADER)?)
    };
    let place = |header: &[u8]| -> Option<Range<usize>> {
        let offset = usize::try_from(number(header, OFFSET, 8)?).ok()?;
        let size = usize::try_from(number(header, SIZE, 8)?).ok()?;
        Some(offset..offset.checked_add(size)?)
    };
    let names_index = usize::try_from(number(object, NAMES_INDEX, 2)?).ok()?;
    let names = object.get(place(header(names_index)?)?)?;
    let section = |header: &[u8]| {
        let name = usize::try_from(number(header, NAME, 4)?).ok()?;
        let name = names.get(name..)?.split(|&byte| byte == 0).next()?;
        Some(Section {
            is_strings: STRINGS.contains(&name),
            is_compressed: number(header, FLAGS, 8)? & COMPRESSED != 0,
            range: place(header)?,
        })
    };
    (0..count).filter_map(header).map(section).collect()
}

/// A little endian number of `len` bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expect: &str) {
        let mut string = name.as_bytes().to_vec();
        shorten(&mut string);
        let text = String::from_utf8(string).unwrap();
        assert_eq!(text.trim_end_matches('\0'), expect);
        assert_eq!(text.len(), name.len());
    }

    #[test]
    fn the_servers_part_goes() {
        check("/tmp/distccd_a1B2c3/home/me", "/home/me");
        check("/var/tmp/x/distccd_a1B2c3/home/me/a.c", "/home/me/a.c");
        check("////////////////////home/me", "/home/me");
        for other in [
            "",
            "/",
            "/home/me",
            "a.c",
            "//home",
            "/tmp/distccd_a1",
            "-D/distccd_abcdef/",
        ] {
            check(other, other);
        }
    }

    /// The sections that a real compiler makes, compressed and not.
    #[test]
    fn compressed_strings_are_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let source = temp.path().join("a.c");
        // Long enough to be worth compressing.
        let names = (0..200).map(|n| format!("int a_rather_long_name_{n};\n"));
        std::fs::write(&source, names.collect::<String>()).unwrap();
        for (option, expect) in [("-gz=none", Ok(())), ("-gz=zlib", Err(Compressed))] {
            let object = temp.path().join("a.o");
            let status = std::process::Command::new("gcc")
                .args(["-g", option, "-c", "-o"])
                .args([&object, &source])
                .status();
            assert!(status.unwrap().success());
            assert_eq!(localise(&mut std::fs::read(&object).unwrap()), expect);
        }
    }

    #[test]
    fn nonsense_is_left_alone() {
        for len in 0..200 {
            let mut bytes = vec![0xff; len];
            let head = b"\x7fELF\x02\x01";
            let known = head.len().min(len);
            bytes[..known].copy_from_slice(&head[..known]);
            let before = bytes.clone();
            assert_eq!(localise(&mut bytes), Ok(()));
            assert_eq!(bytes, before);
        }
    }
}
