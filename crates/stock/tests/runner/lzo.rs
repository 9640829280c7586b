//! The compressor against a decompressor that is not ours, and the other way
//! round; what stock makes of it is in `stock_client` and `stock_server`.

use fastrand::Rng;
use stock::lzo::{DecompressError, compress, decompress};

/// Inputs that reach each kind of instruction: short and long runs of literals,
/// matches near and far, short and long.
fn inputs() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(7);
    let mut inputs: Vec<Vec<u8>> = (0..600).map(|len| noise(&mut rng, len)).collect();
    inputs.extend((0..600).map(|len| vec![b'x'; len]));
    for spread in [
        100, 2047, 2048, 2049, 16383, 16384, 16385, 32768, 49150, 49151, 49152, 70000,
    ] {
        for length in [4, 5, 8, 9, 10, 33, 34, 288, 289, 1000] {
            let piece = noise(&mut rng, length);
            let gap = noise(&mut rng, spread - length.min(spread));
            inputs.push([piece.clone(), gap, piece, noise(&mut rng, 5)].concat());
        }
    }
    let words = [
        "int ",
        "static ",
        "return ",
        "(",
        ")",
        ";\n",
        "x",
        "struct node *",
        "\t",
    ];
    for len in [10, 1000, 30_000] {
        let text = std::iter::repeat_with(|| rng.choice(words).unwrap()).take(len);
        inputs.push(text.collect::<String>().into_bytes());
    }
    inputs
}

fn noise(rng: &mut Rng, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

#[test]
fn two_decoders_agree_on_what_is_compressed_here() {
    for input in inputs() {
        let block = compress(&input);
        assert_eq!(decompress(&block, input.len()).unwrap(), input);
        assert_eq!(lzokay_native::decompress_all(&block, None).unwrap(), input);
    }
}

#[test]
fn another_compressor_is_understood() {
    // Nothing at all, it compresses to nothing at all.
    for input in inputs().into_iter().filter(|input| !input.is_empty()) {
        let block = lzokay_native::compress(&input).unwrap();
        assert_eq!(decompress(&block, input.len()).unwrap(), input);
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    // 32 KiB of zero bytes as length: 8 MiB of one letter.
    let mut bomb = vec![18, b'x', 0x20];
    bomb.resize(32 << 10, 0);
    bomb.extend_from_slice(&[1, 0, 0, 0x11, 0, 0]);
    assert!(decompress(&bomb, 16 << 20).unwrap().len() > 8_000_000);
    let limit = 100_000;
    assert_eq!(
        decompress(&bomb, limit),
        Err(DecompressError::LimitExceeded { limit })
    );
}

#[test]
fn what_is_wrong_with_a_block_is_said() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "the compressed block is cut short after 0 bytes"),
        (
            b"\x15abc",
            "the compressed block is cut short after 4 bytes",
        ),
        (
            b"\x00\x00\x00",
            "the compressed block is cut short after 3 bytes",
        ),
        (
            b"\x12a\x44\x00\x11\x00\x00",
            "at byte 4 the compressed block refers 2 bytes back, but there are 1",
        ),
        (
            b"\x12a\x11\x00\x00zz",
            "2 bytes follow the end of the compressed block",
        ),
    ];
    for (block, text) in cases {
        match decompress(block, 100) {
            Err(error) => assert_eq!(error.to_string(), text, "{block:?}"),
            Ok(content) => panic!("{block:?} gives {content:?}, expected: {text}"),
        }
    }
}

#[test]
fn source_text_shrinks_about_as_with_minilzo() {
    // What stock's own client makes of it; ours must not be much worse.
    let block = crate::capture("lzo", "v2_ok_doti");
    let text = decompress(&block, 1000).unwrap();
    assert!(
        compress(&text).len() <= block.len() + 4,
        "{}",
        compress(&text).len()
    );
}
