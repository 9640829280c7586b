//! What a client sends: `DIST`, the command line, and the input.
//!
//! ```text
//! versions 0-2: DIST v, ARGC n, n x ARGV, DOTI
//! version 3:    DIST 3, CDIR, ARGC n, n x ARGV, NFIL k, k x (NAME, FILE or LINK)
//! ```
//!
//! A request exists in two forms that share this type: `Request` with plain
//! bodies, and `Request<Packed>` with bodies as they are on the wire.
//! [`Request::pack`] and [`Request::unpack`] go between them.

mod decoder;

use std::borrow::{Borrow, Cow};

pub use decoder::RequestDecoder;

use crate::{
    error::{EncodeError, UnpackError},
    limits::Limits,
    packed::{Budget, Packed},
    packet::{Token, put_len, put_number, put_string},
    version::Version,
};

/// One compile, as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<B = Vec<u8>> {
    /// Protocol version.
    pub version: Version,
    /// The client's working directory; in version 3 only.
    pub cwd: Option<Vec<u8>>,
    /// The command line, compiler's name first.
    pub argv: Vec<Vec<u8>>,
    /// What is to be compiled.
    pub input: Input<B>,
}

/// The input of a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<B = Vec<u8>> {
    /// The preprocessor's output (versions 0 to 2).
    Preprocessed(B),
    /// The source and every header that the preprocessor may look for (version 3).
    Files(Vec<SentFile<B>>),
}

/// A file of the client's tree. Nothing about `name` or a link's target has
/// been checked: both can hold `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFile<B = Vec<u8>> {
    /// Its path on the client, meant to be absolute.
    pub name: Vec<u8>,
    /// What it is.
    pub body: Body<B>,
}

/// What a [`SentFile`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<B = Vec<u8>> {
    /// A regular file's content.
    File(B),
    /// A symbolic link's target.
    Link(Vec<u8>),
}

impl Request {
    /// Brings the bodies into wire form, which for versions 2 and 3 compresses them.
    pub fn pack(self) -> Request<Packed> {
        let pack = |bytes| Packed::new(self.version, bytes);
        let input = match self.input {
            Input::Preprocessed(text) => Input::Preprocessed(pack(text)),
            Input::Files(files) => {
                let pack = |file: SentFile| SentFile {
                    name: file.name,
                    body: match file.body {
                        Body::File(bytes) => Body::File(pack(bytes)),
                        Body::Link(target) => Body::Link(target),
                    },
                };
                Input::Files(files.into_iter().map(pack).collect())
            }
        };
        Request {
            version: self.version,
            cwd: self.cwd,
            argv: self.argv,
            input,
        }
    }
}

impl Request<Packed> {
    /// Decompresses the bodies, to at most `limits.unpacked_bytes_max` bytes together.
    pub fn unpack(self, limits: &Limits) -> Result<Request, UnpackError> {
        let mut budget = Budget::new(limits.unpacked_bytes_max);
        let mut unpack = |token, body| {
            budget
                .unpack(body)
                .map_err(|source| UnpackError { token, source })
        };
        let input = match self.input {
            Input::Preprocessed(text) => Input::Preprocessed(unpack(Token::Doti, text)?),
            Input::Files(files) => {
                let mut unpacked = Vec::with_capacity(files.len());
                for SentFile { name, body } in files {
                    let body = match body {
                        Body::File(bytes) => Body::File(unpack(Token::File, bytes)?),
                        Body::Link(target) => Body::Link(target),
                    };
                    unpacked.push(SentFile { name, body });
                }
                Input::Files(unpacked)
            }
        };
        Ok(Request {
            version: self.version,
            cwd: self.cwd,
            argv: self.argv,
            input,
        })
    }

    /// The bytes to send, as pieces to be written one after the other; bodies
    /// are borrowed, not copied.
    pub fn parts(&self) -> Result<Vec<Cow<'_, [u8]>>, EncodeError> {
        match (&self.input, self.version.sends_files()) {
            (Input::Preprocessed(text), false) => {
                if self.cwd.is_some() {
                    return Err(EncodeError::Cwd(self.version));
                }
                check_packing(self.version, text)?;
                let head = encode_head(self.version, &self.argv, text.len())?;
                Ok(vec![Cow::Owned(head), Cow::Borrowed(text.as_bytes())])
            }
            (Input::Files(files), true) => self.parts_with_files(files),
            _ => Err(EncodeError::Input(self.version)),
        }
    }

    fn parts_with_files<'a>(
        &self,
        files: &'a [SentFile<Packed>],
    ) -> Result<Vec<Cow<'a, [u8]>>, EncodeError> {
        let cwd = self.cwd.as_deref().ok_or(EncodeError::Cwd(self.version))?;
        encode_files(cwd, &self.argv, files)
    }

    /// The bytes to send, in one piece.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.parts()?.concat())
    }
}

/// Everything of a request of versions 0 to 2 up to the preprocessed text,
/// of which `body_len` bytes (in wire form) have to be written next.
pub fn encode_head<A: AsRef<[u8]>>(
    version: Version,
    argv: &[A],
    body_len: usize,
) -> Result<Vec<u8>, EncodeError> {
    if version.sends_files() {
        return Err(EncodeError::Input(version));
    }
    let mut head = Vec::new();
    put_number(&mut head, Token::Dist, version.number());
    put_argv(&mut head, argv)?;
    put_len(&mut head, Token::Doti, body_len)?;
    Ok(head)
}

/// The bytes of a request of version 3, as pieces to be written one after the other; bodies are
/// borrowed, so that several requests can share them.
pub fn encode_files<'a, A: AsRef<[u8]>, B: Borrow<Packed>>(
    cwd: &[u8],
    argv: &[A],
    files: &'a [SentFile<B>],
) -> Result<Vec<Cow<'a, [u8]>>, EncodeError> {
    let mut parts = Vec::with_capacity(2 * files.len() + 1);
    let mut head = Vec::new();
    put_number(&mut head, Token::Dist, Version::V3.number());
    put_string(&mut head, Token::Cdir, cwd)?;
    put_argv(&mut head, argv)?;
    put_len(&mut head, Token::Nfil, files.len())?;
    for SentFile { name, body } in files {
        put_string(&mut head, Token::Name, name)?;
        match body {
            Body::Link(target) => put_string(&mut head, Token::Link, target)?,
            Body::File(bytes) => {
                let bytes = bytes.borrow();
                check_packing(Version::V3, bytes)?;
                put_len(&mut head, Token::File, bytes.len())?;
                parts.push(Cow::Owned(std::mem::take(&mut head)));
                parts.push(Cow::Borrowed(bytes.as_bytes()));
            }
        }
    }
    parts.push(Cow::Owned(head));
    Ok(parts)
}

fn put_argv<A: AsRef<[u8]>>(out: &mut Vec<u8>, argv: &[A]) -> Result<(), EncodeError> {
    if argv.is_empty() {
        return Err(EncodeError::NoArguments);
    }
    put_len(out, Token::Argc, argv.len())?;
    argv.iter()
        .try_for_each(|word| put_string(out, Token::Argv, word.as_ref()))
}

fn check_packing(version: Version, body: &Packed) -> Result<(), EncodeError> {
    if body.fits(version) {
        Ok(())
    } else {
        Err(EncodeError::Packing(version))
    }
}
