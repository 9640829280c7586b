//! How much a decoder believes before it gives up.
//!
//! The stock protocol sends 32-bit lengths and counts, and stock itself
//! allocates whatever they say. Decoders here take a [`Limits`] and grow
//! their buffers only as bytes really arrive.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Upper bounds for one request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most words of a command line (`ARGC`). Default 65,536: far more than any
    /// compiler is given, even with response files expanded.
    pub argc_max: u32,
    /// Most bytes of all words of a command line together. Default 8 MiB: four
    /// times what Linux passes through `execve` by default.
    pub argv_bytes_max: u64,
    /// Most bytes of one path (`CDIR`, `NAME`, `LINK`). Default 16 KiB: four
    /// times `PATH_MAX`.
    pub path_bytes_max: u64,
    /// Most files of a version 3 request (`NFIL`). Default 65,536.
    pub files_max: u32,
    /// Most bytes of one body as sent (`DOTI`, `FILE`, `DOTO`, `DOTD`). Default
    /// 512 MiB: the largest objects with debug information reach this order.
    pub body_bytes_max: u64,
    /// Most bytes of the compiler's output as sent (`SERR`, `SOUT`). Default 64 MiB.
    pub text_bytes_max: u64,
    /// Most bytes of a whole request or reply as sent. Default 1 GiB.
    pub total_bytes_max: u64,
    /// Most bytes of all bodies of a request or reply together once they are
    /// decompressed. Default 1 GiB: LZO bodies may unfold 255 times.
    pub unpacked_bytes_max: u64,
}

impl Limits {
    /// The defaults, field by field as documented.
    pub const DEFAULT: Limits = Limits {
        argc_max: 65_536,
        argv_bytes_max: 8 * MIB,
        path_bytes_max: 16 * KIB,
        files_max: 65_536,
        body_bytes_max: 512 * MIB,
        text_bytes_max: 64 * MIB,
        total_bytes_max: 1024 * MIB,
        unpacked_bytes_max: 1024 * MIB,
    };
}

const _: () = {
    let l = Limits::DEFAULT;
    assert!(l.path_bytes_max <= l.argv_bytes_max);
    assert!(l.argv_bytes_max + l.body_bytes_max <= l.total_bytes_max);
    assert!(l.text_bytes_max <= l.body_bytes_max);
};

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
