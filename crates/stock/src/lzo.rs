//! LZO1X blocks, the compression of protocol versions 2 and 3.
//!
//! A block is a sequence of instructions: copy some of the following bytes
//! (*literals*), or copy bytes from earlier in the output (a *match*); the
//! format is described in the Linux kernel's `Documentation/staging/lzo.rst`.
//! It holds no length and no checksum, and ends with `11 00 00`.
//!
//! Both directions are written for this crate: the compressor because the
//! free ones in Rust are too slow for the client's processor, which
//! preprocesses at the same time, the decompressor because a server must be
//! able to bound what it unpacks. On preprocessed C and C++ the compressor does
//! some 600 to 1000 MB/s on one core (lzokay-native: 27) and its blocks are 5
//! to 7 % smaller than those of stock's miniLZO.

mod compress;
mod decompress;

pub use compress::compress;
pub use decompress::{DecompressError, decompress};

/// The end of a block: a match of 3 bytes at the impossible distance 16384.
const END: [u8; 3] = [0x11, 0, 0];

// The farthest that each kind of match reaches back, in bytes.
const M2_DISTANCE_MAX: usize = 0x800;
const M3_DISTANCE_MAX: usize = 0x4000;
const M4_DISTANCE_MAX: usize = 0xbfff;

// The longest match of each kind whose length needs no more bytes.
const M2_LENGTH_MAX: usize = 8;
const M3_LENGTH_MAX: usize = 33;
const M4_LENGTH_MAX: usize = 9;

// What the first byte of a match says besides length and distance.
const M3_MARK: u8 = 0x20;
const M4_MARK: u8 = 0x10;
