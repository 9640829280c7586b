//! Resource names: what `ByteStream` reads and writes.
//!
//! `{instance}/blobs/{function/}{hash}/{size}` to read, `{instance}/uploads/{uuid}/blobs/…` to
//! write, `compressed-blobs/zstd` instead of `blobs` for compressed bytes. The instance may be
//! empty or have several parts, but none that is one of the keywords; that is how its end is
//! found. The function is named unless it is SHA-256, which the length of the hash tells.

use std::fmt;

use store::{Digest, DigestFunction};

/// Longest resource name, in bytes: an instance, a UUID and a digest have some 200.
pub(crate) const RESOURCE_BYTES_MAX: usize = 1024;

/// Why a name is none of a resource here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResourceProblem {
    #[error(
        "resource name `{}` is neither `blobs/HASH/SIZE` nor \
         `compressed-blobs/zstd/HASH/SIZE`, after an instance name",
        .0.escape_debug()
    )]
    Unknown(String),
    #[error("compressor `{}` is not supported; `zstd` is", .0.escape_debug())]
    Compressor(String),
    #[error("the digest in a resource name is wrong: {0}")]
    Digest(#[from] store::DigestError),
    #[error("the size in a resource name is no number: `{}`", .0.escape_debug())]
    Size(String),
    #[error("the resource name has more than {RESOURCE_BYTES_MAX} bytes")]
    TooLong,
}

/// How a blob's bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// As they are.
    Identity,
    /// Compressed.
    Zstd,
}

/// A blob as a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    pub(crate) digest: Digest,
    pub(crate) encoding: Encoding,
}

const BLOBS: &str = "blobs";
const COMPRESSED: &str = "compressed-blobs";
const UPLOADS: &str = "uploads";

impl Resource {
    /// Reads the name of something to read.
    pub(crate) fn parse_read(name: &str) -> Result<Resource, ResourceProblem> {
        check_length(name)?;
        let parts: Vec<&str> = name.split('/').collect();
        let start = parts
            .iter()
            .position(|part| [BLOBS, COMPRESSED].contains(part))
            .ok_or_else(|| ResourceProblem::Unknown(name.into()))?;
        match parse_blob(name, &parts[start..])? {
            (resource, []) => Ok(resource),
            _ => Err(ResourceProblem::Unknown(name.into())),
        }
    }

    /// Reads the name of something to write. What clients add behind it is ignored.
    pub(crate) fn parse_write(name: &str) -> Result<Resource, ResourceProblem> {
        check_length(name)?;
        let parts: Vec<&str> = name.split('/').collect();
        let start = parts.iter().position(|part| *part == UPLOADS);
        match start.map(|start| &parts[start + 1..]) {
            Some([uuid, blob @ ..]) if !uuid.is_empty() => Ok(parse_blob(name, blob)?.0),
            _ => Err(ResourceProblem::Unknown(name.into())),
        }
    }

    /// The name to write under.
    pub(crate) fn upload_name(&self, instance: &str, uuid: &str) -> String {
        format!("{}{UPLOADS}/{uuid}/{self}", prefix(instance))
    }

    /// The name to read under.
    pub(crate) fn read_name(&self, instance: &str) -> String {
        format!("{}{self}", prefix(instance))
    }
}

fn check_length(name: &str) -> Result<(), ResourceProblem> {
    if name.len() > RESOURCE_BYTES_MAX {
        return Err(ResourceProblem::TooLong);
    }
    Ok(())
}

fn prefix(instance: &str) -> String {
    if instance.is_empty() {
        String::new()
    } else {
        format!("{instance}/")
    }
}

fn parse_blob<'p, 'n>(
    name: &str,
    parts: &'p [&'n str],
) -> Result<(Resource, &'p [&'n str]), ResourceProblem> {
    let (encoding, rest) = match parts {
        [BLOBS, rest @ ..] => (Encoding::Identity, rest),
        [COMPRESSED, "zstd", rest @ ..] => (Encoding::Zstd, rest),
        [COMPRESSED, other, ..] => return Err(ResourceProblem::Compressor((*other).into())),
        _ => return Err(ResourceProblem::Unknown(name.into())),
    };
    let named = rest
        .first()
        .and_then(|name| DigestFunction::from_name(name));
    let (function, rest) = match named {
        Some(function) => (function, &rest[1..]),
        None => (DigestFunction::Sha256, rest),
    };
    let [hash, size, rest @ ..] = rest else {
        return Err(ResourceProblem::Unknown(name.into()));
    };
    // Not only `u64::from_str`: that takes `+1` too.
    let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    let size_bytes = size.parse::<i64>().ok().filter(|_| is_number);
    let size_bytes = size_bytes.and_then(|size| u64::try_from(size).ok());
    let size_bytes = size_bytes.ok_or_else(|| ResourceProblem::Size((*size).into()))?;
    let digest = Digest::from_hex(function, hash, size_bytes)?;
    Ok((Resource { digest, encoding }, rest))
}

/// The name of the blob itself, as it also is in the details of errors.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.encoding {
            Encoding::Identity => BLOBS,
            Encoding::Zstd => "compressed-blobs/zstd",
        })?;
        f.write_str(match self.digest.function {
            DigestFunction::Sha256 => "/",
            DigestFunction::Blake3 => "/blake3/",
        })?;
        write!(f, "{}/{}", self.digest.hex(), self.digest.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn resource(function: DigestFunction, encoding: Encoding) -> Resource {
        Resource {
            digest: Digest::from_hex(function, HASH, 3).unwrap(),
            encoding,
        }
    }

    #[test]
    fn names_of_the_specification_are_read() {
        use DigestFunction::{Blake3, Sha256};
        for (name, function, encoding) in [
            ("blobs/H/3", Sha256, Encoding::Identity),
            ("main/blobs/H/3", Sha256, Encoding::Identity),
            ("a/b/c/blobs/H/3", Sha256, Encoding::Identity),
            ("blobs/blake3/H/3", Blake3, Encoding::Identity),
            ("x/compressed-blobs/zstd/H/3", Sha256, Encoding::Zstd),
            ("compressed-blobs/zstd/blake3/H/3", Blake3, Encoding::Zstd),
        ] {
            let expected = resource(function, encoding);
            let name = name.replace('H', HASH);
            assert_eq!(Resource::parse_read(&name), Ok(expected), "{name}");
            let start = name.find("blobs").unwrap();
            let start = name[..start].rfind('/').map_or(0, |slash| slash + 1);
            let upload = format!("{}uploads/some-uuid/{}", &name[..start], &name[start..]);
            assert_eq!(Resource::parse_write(&upload), Ok(expected), "{upload}");
            let upload = format!("{upload}/more/of it");
            assert_eq!(Resource::parse_write(&upload), Ok(expected), "{upload}");
        }
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for function in DigestFunction::ALL {
            for encoding in [Encoding::Identity, Encoding::Zstd] {
                let resource = resource(function, encoding);
                for instance in ["", "main", "a/b"] {
                    let name = resource.read_name(instance);
                    assert_eq!(Resource::parse_read(&name), Ok(resource), "{name}");
                    let name = resource.upload_name(instance, "u-1");
                    assert_eq!(Resource::parse_write(&name), Ok(resource), "{name}");
                }
            }
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "blobs",
            "blobs/H",
            "blobs/H/",
            "blobs/H/-1",
            "blobs/H/+1",
            "blobs/H/x",
            "H/3",
            "blobs/H/3/more",
            "compressed-blobs/H/3",
            "compressed-blobs/deflate/H/3",
            "compressed-blobs/zstd",
            "blobs/md5/H/3",
            "blobs/H/99999999999999999999",
            "blobs//3",
            "blobs/H/9223372036854775808",
            "uploads/blobs/H/3/x",
        ] {
            let name = name.replace('H', HASH);
            assert!(Resource::parse_read(&name).is_err(), "{name}");
        }
        for name in [
            "blobs/H/3",
            "uploads/blobs/H/3",
            "uploads//blobs/H/3",
            "uploads/u/H/3",
        ] {
            let name = name.replace('H', HASH);
            assert!(Resource::parse_write(&name).is_err(), "{name}");
        }
        assert_eq!(
            Resource::parse_read(&"x".repeat(RESOURCE_BYTES_MAX + 1)),
            Err(ResourceProblem::TooLong)
        );
    }
}
