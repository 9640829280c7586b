//! `$DISTCC_DIR/state/binstate_PID`, by which a client tells monitors what its
//! job is doing: a C structure as it lies in memory, in the machine's own byte
//! order and word size.
//!
//! Both layouts of Linux are known here, so that a monitor shows the jobs of a
//! 32-bit client too; the file's length tells them apart.

use crate::phase::Phase;

/// Folder below `$DISTCC_DIR`.
pub const STATE_DIR: &str = "state";
/// Stock's monitor takes a file that is older than this (in seconds) for left
/// over, and deletes it.
pub const AGE_MAX_S: u64 = 60;

const PREFIX: &str = "binstate_";
const MAGIC: u64 = 0x4449_4800;
/// Bytes of the file and host fields, the ending zero byte included.
const TEXT_BYTES: usize = 128;

/// The state file's name for the client process `pid`.
pub fn file_name(pid: u32) -> String {
    format!("{PREFIX}{pid}")
}

/// The process that a file's name speaks of, if it is a state file's name. After the number there
/// may be `_` and a tag, as our agent writes it to tell processes of several pid namespaces apart;
/// stock's monitor looks at the prefix only.
pub fn pid_of(file_name: &str) -> Option<u32> {
    let rest = file_name.strip_prefix(PREFIX)?;
    let number = rest.split_once('_').map_or(rest, |(number, _tag)| number);
    number.parse().ok()
}

/// What one job is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Client's process.
    pub pid: u64,
    /// Base name of the source; at most 127 bytes are kept.
    pub file: Vec<u8>,
    /// Host name only, `localhost` for a local job; at most 127 bytes are kept.
    pub host: Vec<u8>,
    /// Slot on that host, from 0.
    pub slot: i32,
    /// What it is doing.
    pub phase: Phase,
}

/// How the C compiler laid the structure out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `long` and pointers of 8 bytes.
    Lp64,
    /// `long` and pointers of 4 bytes.
    Ilp32,
}

impl Layout {
    /// The layout of programs on this machine.
    pub const NATIVE: Layout = if cfg!(target_pointer_width = "64") {
        Layout::Lp64
    } else {
        Layout::Ilp32
    };

    /// Bytes of the file.
    pub const fn size(self) -> usize {
        3 * self.word() + 2 * TEXT_BYTES + 4 + 4 + self.word()
    }

    const fn word(self) -> usize {
        match self {
            Layout::Lp64 => 8,
            Layout::Ilp32 => 4,
        }
    }
}

const _: () = assert!(Layout::Lp64.size() == 296 && Layout::Ilp32.size() == 280);

/// Why a file is not a state file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Neither layout has this length; it may be in the middle of being written.
    #[error("a state file has 296 or 280 bytes, this one has {0}")]
    Size(usize),
    /// The first field does not hold the structure's size.
    #[error("the structure's size is given as {found}, expected {expected}")]
    StructSize {
        /// Bytes that the file has.
        expected: usize,
        /// What it says.
        found: u64,
    },
    /// Not distcc's number.
    #[error("the magic number is {0:#x}, expected 0x44494800")]
    Magic(u64),
}

impl State {
    /// The file's content.
    pub fn encode(&self, layout: Layout) -> Vec<u8> {
        let mut out = Vec::with_capacity(layout.size());
        put_word(&mut out, layout, layout.size() as u64);
        put_word(&mut out, layout, MAGIC);
        put_word(&mut out, layout, self.pid);
        put_text(&mut out, &self.file);
        put_text(&mut out, &self.host);
        out.extend_from_slice(&self.slot.to_ne_bytes());
        out.extend_from_slice(&self.phase.number().to_ne_bytes());
        put_word(&mut out, layout, 0); // a pointer that means something in memory only
        out
    }

    /// Reads a file's content in either layout.
    pub fn decode(bytes: &[u8]) -> Result<State, StateError> {
        let layout = [Layout::Lp64, Layout::Ilp32]
            .into_iter()
            .find(|l| l.size() == bytes.len())
            .ok_or(StateError::Size(bytes.len()))?;
        let mut rest = bytes;
        let found = take_word(&mut rest, layout);
        if found != layout.size() as u64 {
            return Err(StateError::StructSize {
                expected: layout.size(),
                found,
            });
        }
        let magic = take_word(&mut rest, layout);
        if magic != MAGIC {
            return Err(StateError::Magic(magic));
        }
        Ok(State {
            pid: take_word(&mut rest, layout),
            file: take_text(&mut rest),
            host: take_text(&mut rest),
            slot: i32::from_ne_bytes(take(&mut rest)),
            phase: Phase::from_number(u32::from_ne_bytes(take(&mut rest))),
        })
    }
}

fn put_word(out: &mut Vec<u8>, layout: Layout, value: u64) {
    match layout {
        Layout::Lp64 => out.extend_from_slice(&value.to_ne_bytes()),
        // Process ids and the constants above fit in 32 bits.
        Layout::Ilp32 => {
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            out.extend_from_slice(&value.to_ne_bytes());
        }
    }
}

fn take_word(rest: &mut &[u8], layout: Layout) -> u64 {
    match layout {
        Layout::Lp64 => u64::from_ne_bytes(take(rest)),
        Layout::Ilp32 => u32::from_ne_bytes(take(rest)).into(),
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = until_zero(text);
    let text = &text[..text.len().min(TEXT_BYTES - 1)];
    out.extend_from_slice(text);
    out.resize(out.len() + TEXT_BYTES - text.len(), 0);
}

fn take_text(rest: &mut &[u8]) -> Vec<u8> {
    let field: [u8; TEXT_BYTES] = take(rest);
    until_zero(&field[..TEXT_BYTES - 1]).to_vec()
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|&b| b == 0).next().unwrap_or_default()
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (field, after) = rest.split_first_chunk().expect("the length was checked");
    *rest = after;
    *field
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = include_bytes!("../tests/data/state/binstate_sample_lp64");

    fn sample() -> State {
        let (file, host) = (b"a.c".to_vec(), b"127.0.0.1".to_vec());
        State {
            pid: 28238,
            file,
            host,
            slot: 0,
            phase: Phase::Compile,
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_file_of_stock_is_read_and_written_byte_for_byte() {
        assert_eq!(State::decode(SAMPLE), Ok(sample()));
        assert_eq!(sample().encode(Layout::Lp64), SAMPLE);
    }

    #[test]
    fn the_layout_of_32_bits_has_its_fields_where_c_puts_them() {
        let bytes = sample().encode(Layout::Ilp32);
        assert_eq!(bytes[8..12], 28238_u32.to_ne_bytes());
        assert_eq!(bytes[12..16], *b"a.c\0");
        assert_eq!(bytes[140..150], *b"127.0.0.1\0");
        assert_eq!(bytes[268..272], 0_i32.to_ne_bytes());
        assert_eq!(bytes[272..276], 5_u32.to_ne_bytes());
        assert_eq!(State::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn texts_are_cut_so_that_a_zero_byte_ends_them() {
        let long = State {
            file: vec![b'x'; 300],
            host: b"a\0b".to_vec(),
            ..sample()
        };
        let read = State::decode(&long.encode(Layout::Lp64)).unwrap();
        assert_eq!((read.file, read.host), (vec![b'x'; 127], b"a".to_vec()));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let bytes = sample().encode(Layout::Lp64);
        assert_eq!(State::decode(&bytes[..100]), Err(StateError::Size(100)));
        let zeros = [0; 296];
        assert_eq!(
            State::decode(&zeros),
            Err(StateError::StructSize {
                expected: 296,
                found: 0
            })
        );
    }

    #[test]
    fn file_names_carry_the_process() {
        assert_eq!(file_name(28238), "binstate_28238");
        assert_eq!(pid_of("binstate_28238"), Some(28238));
        assert_eq!(pid_of("binstate_15_6b985582"), Some(15));
        assert_eq!(pid_of("binstate_x"), None);
        assert_eq!(pid_of("binstate_1x_2"), None);
        assert_eq!(pid_of("other_1"), None);
    }
}
