//! The client's side of a reply: bytes in, [`Reply`] out.

use super::Reply;
use crate::{
    error::DecodeError,
    limits::Limits,
    packed::Packed,
    packet::Token,
    reader::{Progress, Reader, Waiting},
    version::Version,
};

/// Decodes one reply from bytes in whatever pieces they come.
///
/// After an error the decoder is of no further use.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: Limits,
    reader: Reader,
    expect: Token,
    is_done: bool,
    version: Version,
    wait_status: u32,
    /// `SERR`, `SOUT`, `DOTO` and `DOTD`, as far as they have come.
    bodies: Vec<Packed>,
}

impl ReplyDecoder {
    /// A decoder for the answer to a request of `version`.
    pub fn new(version: Version, limits: Limits) -> ReplyDecoder {
        ReplyDecoder {
            limits,
            reader: Reader::new(limits.total_bytes_max),
            expect: Token::Done,
            is_done: false,
            version,
            wait_status: 0,
            bodies: Vec::with_capacity(4),
        }
    }

    /// Takes the next bytes of the stream. Once it said [`Progress::Done`], any
    /// further bytes come back as unused.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, DecodeError> {
        let mut input = bytes;
        while !self.is_done {
            if !self.step(&mut input)? {
                return Ok(Progress::NeedMore);
            }
        }
        Ok(Progress::Done {
            unused: input.len(),
        })
    }

    /// Takes one packet; false if it is not all there.
    fn step(&mut self, input: &mut &[u8]) -> Result<bool, DecodeError> {
        let limits = self.limits;
        match self.expect {
            Token::Done => {
                let Some(answered) = self.reader.number(Token::Done, input)? else {
                    return Ok(false);
                };
                if answered != self.version.number() {
                    return Err(DecodeError::WrongVersion {
                        asked: self.version,
                        answered,
                    });
                }
                self.expect = Token::Stat;
                Ok(true)
            }
            Token::Stat => {
                let Some(status) = self.reader.number(Token::Stat, input)? else {
                    return Ok(false);
                };
                self.wait_status = status;
                self.expect = Token::Serr;
                Ok(true)
            }
            Token::Serr => self.body(limits.text_bytes_max, Some(Token::Sout), input),
            Token::Sout => self.body(limits.text_bytes_max, Some(Token::Doto), input),
            Token::Doto => {
                let deps = Reply::<Packed>::has_deps(self.version, self.wait_status);
                let next = deps.then_some(Token::Dotd);
                self.body(limits.body_bytes_max, next, input)
            }
            _ => self.body(limits.body_bytes_max, None, input),
        }
    }

    fn body(
        &mut self,
        max: u64,
        next: Option<Token>,
        input: &mut &[u8],
    ) -> Result<bool, DecodeError> {
        let token = self.expect;
        let Some((_, bytes)) = self.reader.body(&[token], token.as_str(), max, input)? else {
            return Ok(false);
        };
        let wait_status = self.wait_status;
        if token == Token::Doto && wait_status != 0 && !bytes.is_empty() {
            return Err(DecodeError::OutputOfFailure {
                wait_status,
                len: bytes.len(),
            });
        }
        self.bodies.push(Packed::received(self.version, bytes));
        match next {
            Some(next) => self.expect = next,
            None => self.is_done = true,
        }
        Ok(true)
    }

    /// The reply, if it is complete.
    pub fn finish(self) -> Result<Reply<Packed>, DecodeError> {
        if !self.is_done {
            return Err(self.closed());
        }
        let (version, wait_status) = (self.version, self.wait_status);
        let mut bodies = self.bodies.into_iter();
        let mut body = || {
            bodies
                .next()
                .expect("a complete reply has SERR, SOUT and DOTO")
        };
        let (stderr, stdout, object) = (body(), body(), body());
        Ok(Reply {
            version,
            wait_status,
            stderr,
            stdout,
            object,
            deps: bodies.next(),
        })
    }

    /// Bytes of the reply that have come so far. The first one tells that the
    /// compiler has ended; 0 when the connection closes means that the server
    /// refused the job.
    pub fn received(&self) -> u64 {
        self.reader.received()
    }

    /// What has to come next.
    pub fn waiting(&self) -> Waiting {
        let packet = if self.is_done {
            "nothing more"
        } else {
            self.expect.as_str()
        };
        Waiting {
            packet,
            item: None,
            body: self.reader.body_progress(),
        }
    }

    /// The error to report when the server hangs up now. Where a stock server
    /// refuses a job before it has read all of it, the system reports that as a
    /// reset connection or broken pipe, and not as an end.
    pub fn closed(&self) -> DecodeError {
        DecodeError::Closed {
            waiting: self.waiting(),
            received: self.received(),
        }
    }
}
