//! What lies where in a store's directory.
//!
//! ```text
//! format                 the line "farcc store 1"
//! lock                   locked while a process has the store; says which
//! uses                   in which order things were used, see `uses`
//! blobs/ab/NAME          ab: first two digits of the hash
//! actions/ab/NAME
//! tmp/                   files being written; emptied at open
//! work/                  the callers' trees; emptied at open
//! ```
//!
//! Names are `HASH-SIZE-FUNCTION-NUMBER`, then `-x` for the executable twin of a blob, or `-BYTES`
//! with the size of an action's record. So a list of names is all that opening needs. The number
//! is of this very file, and none is used twice while a store is open: who removes a file that was
//! evicted or bad cannot hit a good one that came under the same digest meanwhile. Nor does a
//! rename ever replace a file, which some file systems take for a reason to write everything to
//! the disk at once.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

use rustix::fs::Mode;

use crate::{Digest, DigestFunction};

pub(crate) const FORMAT_FILE: &str = "format";
pub(crate) const FORMAT: &str = "farcc store 1\n";
pub(crate) const LOCK_FILE: &str = "lock";
pub(crate) const USES_FILE: &str = "uses";
pub(crate) const TMP_DIR: &str = "tmp";
pub(crate) const WORK_DIR: &str = "work";

/// Highest number of a file. Far from where counting on would overflow.
pub(crate) const NUMBER_MAX: u64 = 1 << 60;

/// No path is longer, so that none needs memory twice.
const PATH_BYTES: usize = 160;

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    Blob,
    Action,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Blob, Kind::Action];

    pub(crate) fn dir(self) -> &'static str {
        match self {
            Kind::Blob => "blobs",
            Kind::Action => "actions",
        }
    }
}

/// What can be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) digest: Digest,
}

impl Key {
    pub(crate) fn blob(digest: &Digest) -> Key {
        Key {
            kind: Kind::Blob,
            digest: *digest,
        }
    }

    pub(crate) fn action(digest: &Digest) -> Key {
        Key {
            kind: Kind::Action,
            digest: *digest,
        }
    }
}

impl Hash for Key {
    /// Half of a hash that is good already is enough.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (half, _) = self.digest.hash.split_at(16);
        state.write(half);
        state.write_u8(self.kind as u8);
    }
}

/// Which of a key's files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Form {
    /// A blob as it is read, mode 0444.
    Plain,
    /// The same bytes with mode 0555.
    Executable,
    /// An action's record of so many bytes.
    Record(u32),
}

impl Form {
    /// Permissions of such a file.
    pub(crate) fn mode(self) -> Mode {
        Mode::from_raw_mode(match self {
            Form::Plain | Form::Record(_) => 0o444,
            Form::Executable => 0o555,
        })
    }
}

/// The name of one file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Name {
    pub(crate) digest: Digest,
    pub(crate) number: u64,
    pub(crate) form: Form,
}

impl Name {
    pub(crate) fn kind(&self) -> Kind {
        match self.form {
            Form::Plain | Form::Executable => Kind::Blob,
            Form::Record(_) => Kind::Action,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key {
            kind: self.kind(),
            digest: self.digest,
        }
    }

    /// Bytes in the file.
    pub(crate) fn file_bytes(&self) -> u64 {
        match self.form {
            Form::Plain | Form::Executable => self.digest.size_bytes,
            Form::Record(bytes) => bytes.into(),
        }
    }

    pub(crate) fn file_name(&self) -> String {
        let mut text = String::with_capacity(PATH_BYTES);
        self.push_file_name(&mut text);
        text
    }

    fn push_file_name(&self, text: &mut String) {
        self.digest.push_hex(text);
        let (size, function) = (self.digest.size_bytes, self.digest.function.name());
        let written = write!(text, "-{size}-{function}-{:x}", self.number);
        let written = written.and_then(|()| match self.form {
            Form::Plain => Ok(()),
            Form::Executable => text.write_str("-x"),
            Form::Record(bytes) => write!(text, "-{bytes}"),
        });
        written.expect("a String takes everything");
    }

    /// The directory, below the store's.
    pub(crate) fn dir(&self) -> String {
        format!("{}/{}", self.kind().dir(), shard_dir(self.digest.hash[0]))
    }

    /// The path below the store's directory.
    pub(crate) fn path(&self) -> String {
        let mut path = String::with_capacity(PATH_BYTES);
        path.push_str(self.kind().dir());
        let written = write!(path, "/{:02x}/", self.digest.hash[0]);
        written.expect("a String takes everything");
        self.push_file_name(&mut path);
        path
    }

    /// Reads a file's name. `None` for everything that [`file_name`](Name::file_name) would not
    /// write.
    pub(crate) fn parse(kind: Kind, file_name: &str) -> Option<Name> {
        let mut parts = file_name.split('-');
        let (hash, size) = (parts.next()?, parse_number(parts.next()?, 10)?);
        let function = DigestFunction::from_name(parts.next()?)?;
        let number = parse_number(parts.next()?, 16)?;
        let form = match (kind, parts.next()) {
            (Kind::Blob, None) => Form::Plain,
            (Kind::Blob, Some("x")) => Form::Executable,
            (Kind::Action, Some(bytes)) => Form::Record(parse_number(bytes, 10)?.try_into().ok()?),
            _ => return None,
        };
        let name = Name {
            digest: Digest::from_hex(function, hash, size).ok()?,
            number,
            form,
        };
        (number <= NUMBER_MAX && parts.next().is_none()).then_some(name)
    }
}

/// A number in the one way in which it is written.
fn parse_number(digits: &str, radix: u32) -> Option<u64> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    let is_plain = !is_padded && digits.bytes().all(is_digit);
    is_plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// `00` … `ff`.
pub(crate) fn shard_dir(first_byte: u8) -> String {
    format!("{first_byte:02x}")
}

pub(crate) fn temp_path(number: u64) -> String {
    format!("{TMP_DIR}/{number:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written_and_in_no_other_way() {
        let digest = Digest::of(DigestFunction::Blake3, b"text");
        for form in [Form::Plain, Form::Executable, Form::Record(77)] {
            let name = Name {
                digest,
                number: 0xab,
                form,
            };
            let text = name.file_name();
            assert_eq!(Name::parse(name.kind(), &text), Some(name));
            let other = match name.kind() {
                Kind::Blob => Kind::Action,
                Kind::Action => Kind::Blob,
            };
            assert_eq!(Name::parse(other, &text), None);
            assert_eq!(Name::parse(name.kind(), &format!("{text}-")), None);
            assert_eq!(Name::parse(name.kind(), &text.replace("-ab", "-0ab")), None);
            assert_eq!(Name::parse(name.kind(), &text.replace("-4-", "-+4-")), None);
        }
    }
}
