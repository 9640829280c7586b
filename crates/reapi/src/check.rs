//! Entry point for fuzzers: what must hold for any bytes at all.

use prost::Message as _;
use store::{Digest, DigestFunction};

use crate::compression::Unpacker;
use crate::message::action::Action;
use crate::message::command::Command;
use crate::message::directory::Directory;
use crate::message::result::ActionResult;
use crate::message::tree::Tree;
use crate::proto::re;
use crate::resource::Resource;

/// Output of compressed bytes that is looked at; the rest is as good.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// Decodes bytes as everything that strangers send, and checks that what decodes is what the
/// generated types see in it, and encodes to something that decodes to the same.
///
/// # Panics
/// One of these does not hold: a bug.
pub fn any_message(bytes: &[u8]) {
    for function in DigestFunction::ALL {
        if let Ok(action) = Action::decode(function, bytes) {
            let again = Action::decode(function, &action.encode());
            let mut sorted = action;
            sorted.platform.properties.sort();
            assert_eq!(again, Ok(sorted));
        }
        if let Ok(directory) = Directory::decode(function, bytes) {
            check_directory(function, &directory, bytes);
        }
        if let Ok(result) = ActionResult::decode(function, bytes) {
            check_result(function, &result);
        }
        if let Ok(tree) = Tree::decode(function, bytes) {
            for (digest, directory) in &tree.children {
                assert_eq!(digest.function, function);
                check_directory(function, directory, &directory.encode());
            }
        }
    }
    if let Ok(command) = Command::decode(bytes) {
        let encoded = command.encode();
        let again = Command::decode(&encoded).expect("what was decoded can be encoded");
        assert_eq!(again.arguments, command.arguments);
        // Files and directories have become paths, which are both from then on.
        assert_eq!(Command::decode(&again.encode()), Ok(again));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        check_name(text);
    }
    check_compressed(bytes);
}

fn check_directory(function: DigestFunction, directory: &Directory, bytes: &[u8]) {
    let encoded = directory.encode();
    assert_eq!(
        Directory::decode(function, &encoded).as_ref(),
        Ok(directory)
    );
    let generated = re::Directory::decode(bytes).expect("the generated types take more");
    let names: Vec<&str> = generated
        .files
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let ours = directory.files.iter().map(|node| node.name.as_str());
    assert!(ours.eq(names), "{directory:?}");
    // What is canonical has one encoding.
    let canonical = re::Directory::decode(&encoded[..]).expect("it has just been encoded");
    assert_eq!(canonical.encode_to_vec(), encoded);
}

fn check_result(function: DigestFunction, result: &ActionResult) {
    let encoded = result.encode();
    let again = ActionResult::decode(function, &encoded).expect("what was decoded can be encoded");
    assert_eq!(again.encode(), encoded);
    assert!(re::ActionResult::decode(&encoded[..]).is_ok());
    let digests: Vec<Digest> = result.digests().collect();
    assert!(again.digests().eq(digests));
}

fn check_name(text: &str) {
    for parsed in [Resource::parse_read(text), Resource::parse_write(text)] {
        let Ok(resource) = parsed else { continue };
        let name = resource.read_name("some/instance");
        assert_eq!(Resource::parse_read(&name), Ok(resource));
        let name = resource.upload_name("", "uuid");
        assert_eq!(Resource::parse_write(&name), Ok(resource));
    }
}

/// In pieces as at once, and never more than is asked for.
fn check_compressed(bytes: &[u8]) {
    let unpack = |piece_bytes: usize| {
        let mut unpacked = Vec::new();
        let mut unpacker = Unpacker::new()?;
        for piece in bytes.chunks(piece_bytes.max(1)) {
            unpacker.push(piece, |piece| {
                if unpacked.len() + piece.len() > UNPACKED_BYTES_MAX {
                    return Err(std::io::Error::other("enough"));
                }
                unpacked.extend_from_slice(piece);
                Ok(())
            })?;
        }
        unpacker.finish()?;
        Ok::<_, std::io::Error>(unpacked)
    };
    assert_eq!(unpack(bytes.len()).ok(), unpack(7).ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::BlobPacker;
    use crate::message::tests;
    use crate::wire::put_element;

    const SEED: u64 = 0x5eed_0004;
    const ROUNDS: usize = 20_000;

    fn seeds() -> Vec<Vec<u8>> {
        let directory = tests::directory().encode();
        let mut leaf = tests::directory();
        leaf.directories.clear();
        let leaf = leaf.encode();
        let mut root = tests::directory();
        root.directories[0].digest = Digest::of(DigestFunction::Sha256, &leaf);
        let mut tree = Vec::new();
        put_element(&mut tree, 1, &root.encode());
        put_element(&mut tree, 2, &leaf);
        let name = format!(
            "i/uploads/u/compressed-blobs/zstd/blake3/{}/7",
            "0a".repeat(32)
        );
        let packed = BlobPacker::new().unwrap().pack(&tree.repeat(20)).unwrap();
        vec![
            tests::action().encode(),
            tests::command().encode(),
            tests::result().encode(),
            directory,
            tree,
            name.clone().into_bytes(),
            name.as_bytes()[12..].to_vec(),
            packed,
        ]
    }

    #[test]
    fn seeds_and_their_mutations_hold() {
        let mut random = fastrand::Rng::with_seed(SEED);
        let seeds = seeds();
        for seed in &seeds {
            any_message(seed);
        }
        for _ in 0..ROUNDS {
            let mut bytes = seeds[random.usize(..seeds.len())].clone();
            for _ in 0..random.usize(1..4) {
                if bytes.is_empty() {
                    break;
                }
                let at = random.usize(..bytes.len());
                let end = (at + random.usize(1..20)).min(bytes.len());
                match random.u8(..6) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes[at] ^= 1 << random.u8(..8),
                    2 => bytes.truncate(at),
                    3 => drop(bytes.drain(at..end)),
                    4 => {
                        let piece = bytes[at..end].to_vec();
                        let to = random.usize(..=bytes.len());
                        drop(bytes.splice(to..to, piece));
                    }
                    _ => bytes.insert(at, *random.choice(b"/.\0\xff\x80").unwrap()),
                }
            }
            any_message(&bytes);
        }
    }
}
