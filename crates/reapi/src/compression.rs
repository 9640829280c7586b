//! zstd, in pieces and within bounds.
//!
//! What comes compressed comes from strangers: nothing is allocated by what a frame says of
//! itself beyond a window of limited size, and output is handed on in pieces, so that whoever
//! takes it can stop when it is more than was announced.

use std::io;

use zstd::bulk::Compressor;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer};

/// Level of compression: little more than half the time of level 1, for a quarter more bytes of sources and an eighth more of
/// programs. A processor that packs for a hundred others is short of time, the network is not.
const LEVEL: i32 = -1;

/// The greatest window that is decoded, as a power of two: 8 MiB, what level 19 uses.
const WINDOW_LOG_MAX: u32 = 23;

/// Bytes of output at once.
const PIECE_BYTES: usize = 128 << 10;

/// Decompresses what comes in pieces.
pub(crate) struct Unpacker {
    decoder: Decoder<'static>,
    piece: Vec<u8>,
    is_between_frames: bool,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    pub(crate) fn new() -> io::Result<Unpacker> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Unpacker {
            decoder,
            piece: vec![0; PIECE_BYTES],
            is_between_frames: true,
        })
    }

    /// Takes the next bytes, hands on what they become.
    pub(crate) fn push<E: From<io::Error>>(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = InBuffer::around(bytes);
        loop {
            let mut output = OutBuffer::around(&mut self.piece[..]);
            let before = input.pos();
            let hint = self.decoder.run(&mut input, &mut output)?;
            let written = output.pos();
            if before != input.pos() || written > 0 {
                self.is_between_frames = hint == 0;
            }
            sink(&self.piece[..written])?;
            // A full piece may have left more behind.
            if input.pos() == bytes.len() && written < PIECE_BYTES {
                return Ok(());
            }
        }
    }

    /// Forgets what came; the next bytes begin another blob.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.is_between_frames = true;
        self.decoder.reinit()
    }

    /// Whether what came so far is whole.
    pub(crate) fn finish(&self) -> io::Result<()> {
        if self.is_between_frames {
            return Ok(());
        }
        let kind = io::ErrorKind::UnexpectedEof;
        Err(io::Error::new(kind, "the compressed data ends too early"))
    }
}

/// Decompresses to exactly as many bytes as were announced.
pub(crate) fn unpack(
    unpacker: &mut Unpacker,
    packed: &[u8],
    size_bytes: usize,
) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    unpacker.restart()?;
    unpacker.push(packed, |piece| {
        if unpacked.len() + piece.len() > size_bytes {
            return Err(io::Error::other(
                "the compressed data is longer than announced",
            ));
        }
        unpacked.extend_from_slice(piece);
        Ok(())
    })?;
    unpacker.finish()?;
    if unpacked.len() < size_bytes {
        return Err(io::Error::other(
            "the compressed data is shorter than announced",
        ));
    }
    Ok(unpacked)
}

/// Compresses whole blobs. Its tables are made once, which costs more than a small blob.
pub(crate) struct BlobPacker(Compressor<'static>);

impl std::fmt::Debug for BlobPacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobPacker").finish_non_exhaustive()
    }
}

impl BlobPacker {
    pub(crate) fn new() -> io::Result<BlobPacker> {
        Compressor::new(LEVEL).map(BlobPacker)
    }

    pub(crate) fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(bytes)
    }
}

/// Compresses what comes in pieces.
pub(crate) struct Packer {
    encoder: Encoder<'static>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    pub(crate) fn new() -> io::Result<Packer> {
        let encoder = Encoder::new(LEVEL)?;
        Ok(Packer { encoder })
    }

    /// Takes the next bytes; what is ready is appended to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        while input.pos() < bytes.len() {
            self.step(out, |encoder, output| encoder.run(&mut input, output))?;
        }
        Ok(())
    }

    /// Appends the rest.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.step(out, |encoder, output| encoder.finish(output, true))? > 0 {}
        Ok(())
    }

    fn step(
        &mut self,
        out: &mut Vec<u8>,
        run: impl FnOnce(&mut Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let start = out.len();
        out.reserve(PIECE_BYTES);
        let mut output = OutBuffer::around_pos(out, start);
        run(&mut self.encoder, &mut output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        BlobPacker::new().unwrap().pack(bytes).unwrap()
    }

    fn unpack(packed: &[u8], size_bytes: usize) -> io::Result<Vec<u8>> {
        super::unpack(&mut Unpacker::new().unwrap(), packed, size_bytes)
    }

    fn sample(len: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        (0..len)
            .map(|at| if at % 3 == 0 { random.u8(..) } else { b'x' })
            .collect()
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        for len in [0, 1, 1000, PIECE_BYTES, PIECE_BYTES * 3 + 17] {
            let bytes = sample(len);
            let mut packed = Vec::new();
            let mut packer = Packer::new().unwrap();
            for piece in bytes.chunks(50_000) {
                packer.push(piece, &mut packed).unwrap();
            }
            packer.finish(&mut packed).unwrap();
            for packed in [packed, pack(&bytes)] {
                assert_eq!(unpack(&packed, len).unwrap(), bytes);
                let mut unpacked = Vec::new();
                let mut unpacker = Unpacker::new().unwrap();
                for piece in packed.chunks(777) {
                    let sink = |piece: &[u8]| {
                        unpacked.extend_from_slice(piece);
                        io::Result::Ok(())
                    };
                    unpacker.push(piece, sink).unwrap();
                }
                unpacker.finish().unwrap();
                assert_eq!(unpacked, bytes);
            }
        }
    }

    #[test]
    fn other_lengths_than_announced_and_half_frames_are_errors() {
        let bytes = sample(300_000);
        let packed = pack(&bytes);
        assert!(unpack(&packed, bytes.len() - 1).is_err());
        assert!(unpack(&packed, bytes.len() + 1).is_err());
        assert!(unpack(&packed[..packed.len() - 1], bytes.len()).is_err());
        assert!(unpack(b"not compressed", 14).is_err());
    }

    #[test]
    fn a_great_window_is_refused_before_it_is_allocated() {
        // A frame header that asks for a window of 2 GiB: magic, no content size, window log 31.
        let header = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        let error = unpack(&header, 10).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }

    #[test]
    fn two_frames_are_one_stream() {
        let mut packed = pack(b"one ");
        packed.extend(pack(b"two"));
        assert_eq!(unpack(&packed, 7).unwrap(), b"one two");
    }
}
