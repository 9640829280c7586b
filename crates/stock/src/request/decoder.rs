//! The server's side of a request: bytes in, [`Request`] out.

use super::{Body, Input, Request, SentFile};
use crate::{
    error::DecodeError,
    limits::Limits,
    packed::Packed,
    packet::Token,
    reader::{Progress, Reader, Waiting},
    version::Version,
};

/// Decodes one request from bytes in whatever pieces they come.
///
/// After an error the decoder is of no further use: there is no way to find
/// the next packet in such a stream.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: Limits,
    reader: Reader,
    expect: Expect,
    version: Version,
    cwd: Option<Vec<u8>>,
    argv: Vec<Vec<u8>>,
    argc: u32,
    argv_bytes: u64,
    doti: Option<Packed>,
    files: Vec<SentFile<Packed>>,
    files_len: u32,
    name: Vec<u8>,
}

/// The packet that must come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Dist,
    Cdir,
    Argc,
    Argv,
    Doti,
    Nfil,
    Name,
    FileOrLink,
    Nothing,
}

const FILE_OR_LINK: &str = "FILE or LINK";

impl RequestDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(limits: Limits) -> RequestDecoder {
        RequestDecoder {
            limits,
            reader: Reader::new(limits.total_bytes_max),
            expect: Expect::Dist,
            version: Version::V1,
            cwd: None,
            argv: Vec::new(),
            argc: 0,
            argv_bytes: 0,
            doti: None,
            files: Vec::new(),
            files_len: 0,
            name: Vec::new(),
        }
    }

    /// Takes the next bytes of the stream. Once it said [`Progress::Done`], any
    /// further bytes come back as unused.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, DecodeError> {
        let mut input = bytes;
        while self.expect != Expect::Nothing {
            match self.step(&mut input)? {
                Some(next) => self.expect = next,
                None => return Ok(Progress::NeedMore),
            }
        }
        Ok(Progress::Done {
            unused: input.len(),
        })
    }

    /// Takes one packet if it is all there, and says which one comes after it.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Expect>, DecodeError> {
        let limits = self.limits;
        match self.expect {
            Expect::Dist => {
                let Some(number) = self.reader.number(Token::Dist, input)? else {
                    return Ok(None);
                };
                self.version =
                    Version::from_number(number).ok_or(DecodeError::UnknownVersion(number))?;
                let files = self.version.sends_files();
                Ok(Some(if files { Expect::Cdir } else { Expect::Argc }))
            }
            Expect::Cdir => {
                let max = limits.path_bytes_max;
                let Some(cwd) = self.reader.string(Token::Cdir, max, input)? else {
                    return Ok(None);
                };
                self.cwd = Some(cwd);
                Ok(Some(Expect::Argc))
            }
            Expect::Argc => {
                let Some(argc) = self.reader.number(Token::Argc, input)? else {
                    return Ok(None);
                };
                check_count(Token::Argc, argc, limits.argc_max)?;
                if argc == 0 {
                    return Err(DecodeError::NoArguments);
                }
                self.argc = argc;
                Ok(Some(Expect::Argv))
            }
            Expect::Argv => self.argument(input),
            Expect::Doti => {
                let max = limits.body_bytes_max;
                let Some((_, text)) = self.reader.body(&[Token::Doti], "DOTI", max, input)? else {
                    return Ok(None);
                };
                self.doti = Some(Packed::received(self.version, text));
                Ok(Some(Expect::Nothing))
            }
            Expect::Nfil => {
                let Some(count) = self.reader.number(Token::Nfil, input)? else {
                    return Ok(None);
                };
                check_count(Token::Nfil, count, limits.files_max)?;
                self.files_len = count;
                Ok(Some(self.next_file()))
            }
            Expect::Name => {
                let max = limits.path_bytes_max;
                let Some(name) = self.reader.string(Token::Name, max, input)? else {
                    return Ok(None);
                };
                self.name = name;
                Ok(Some(Expect::FileOrLink))
            }
            Expect::FileOrLink => self.file_or_link(input),
            Expect::Nothing => Ok(Some(Expect::Nothing)),
        }
    }

    fn argument(&mut self, input: &mut &[u8]) -> Result<Option<Expect>, DecodeError> {
        let max = self.limits.argv_bytes_max;
        let Some(word) = self.reader.string(Token::Argv, max, input)? else {
            return Ok(None);
        };
        self.argv_bytes += word.len() as u64;
        if self.argv_bytes > max {
            return Err(DecodeError::ArgvTooLong { max });
        }
        self.argv.push(word);
        Ok(Some(if self.argv.len() < self.argc as usize {
            Expect::Argv
        } else if self.version.sends_files() {
            Expect::Nfil
        } else {
            Expect::Doti
        }))
    }

    fn file_or_link(&mut self, input: &mut &[u8]) -> Result<Option<Expect>, DecodeError> {
        let max = self.limits.body_bytes_max;
        let accepted = [Token::File, Token::Link];
        let Some((token, bytes)) = self.reader.body(&accepted, FILE_OR_LINK, max, input)? else {
            return Ok(None);
        };
        let body = if token == Token::File {
            Body::File(Packed::received(self.version, bytes))
        } else {
            check_target(&bytes, self.limits.path_bytes_max)?;
            Body::Link(bytes)
        };
        self.files.push(SentFile {
            name: std::mem::take(&mut self.name),
            body,
        });
        Ok(Some(self.next_file()))
    }

    fn next_file(&self) -> Expect {
        if self.files.len() < self.files_len as usize {
            Expect::Name
        } else {
            Expect::Nothing
        }
    }

    /// The request, if it is complete.
    pub fn finish(self) -> Result<Request<Packed>, DecodeError> {
        if self.expect != Expect::Nothing {
            return Err(self.closed());
        }
        let input = match self.doti {
            Some(text) => Input::Preprocessed(text),
            None => Input::Files(self.files),
        };
        Ok(Request {
            version: self.version,
            cwd: self.cwd,
            argv: self.argv,
            input,
        })
    }

    /// Bytes of the request that have come so far.
    pub fn received(&self) -> u64 {
        self.reader.received()
    }

    /// What has to come next.
    pub fn waiting(&self) -> Waiting {
        let (packet, item) = match self.expect {
            Expect::Dist => ("DIST", None),
            Expect::Cdir => ("CDIR", None),
            Expect::Argc => ("ARGC", None),
            Expect::Argv => ("ARGV", Some((self.argv.len(), self.argc))),
            Expect::Doti => ("DOTI", None),
            Expect::Nfil => ("NFIL", None),
            Expect::Name => ("NAME", Some((self.files.len(), self.files_len))),
            Expect::FileOrLink => (FILE_OR_LINK, Some((self.files.len(), self.files_len))),
            Expect::Nothing => ("nothing more", None),
        };
        // Counts came as 32-bit numbers, and the items there are fewer.
        let item = item.map(|(done, of)| (u32::try_from(done).unwrap_or(of) + 1, of));
        Waiting {
            packet,
            item,
            body: self.reader.body_progress(),
        }
    }

    /// The error to report when the client hangs up now.
    pub fn closed(&self) -> DecodeError {
        DecodeError::Closed {
            waiting: self.waiting(),
            received: self.received(),
        }
    }
}

fn check_count(token: Token, count: u32, max: u32) -> Result<(), DecodeError> {
    if count > max {
        Err(DecodeError::TooMany { token, count, max })
    } else {
        Ok(())
    }
}

fn check_target(target: &[u8], max: u64) -> Result<(), DecodeError> {
    let token = Token::Link;
    if target.len() as u64 > max {
        let len = u32::try_from(target.len()).unwrap_or(u32::MAX);
        return Err(DecodeError::TooLong { token, len, max });
    }
    if target.contains(&0) {
        Err(DecodeError::ZeroByte { token })
    } else {
        Ok(())
    }
}
