//! Saying no so that the client's user reads why.
//!
//! Stock closes the connection without a word, and the client prints "server provided no answer".
//! Here every refusal is the result of a compile that failed: an exit code of distcc's own (100
//! to 120) and a sentence in the compiler's place.

use std::fmt;

use stock::exit::ExitCode;
use stock::{Ended, Reply, Version};

use crate::stats::Ending;

/// Bytes that tell a request of this protocol and its version: a token and eight digits.
pub(crate) const HEADER_BYTES: usize = 12;

/// A refusal, or another failure that is not the compiler's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) exit: ExitCode,
    pub(crate) ending: Ending,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(exit: ExitCode, ending: Ending, text: impl fmt::Display) -> Refusal {
        Refusal {
            exit,
            ending,
            text: text.to_string(),
        }
    }

    /// A request that is not served.
    pub(crate) fn bad_request(exit: ExitCode, text: impl fmt::Display) -> Refusal {
        Refusal::new(exit, Ending::BadRequest, text)
    }

    /// Something of the server's own went wrong.
    pub(crate) fn failed(what: &str, error: impl fmt::Display) -> Refusal {
        let text = format_args!("{what}: {error}");
        Refusal::new(ExitCode::Failed, Ending::Other, text)
    }

    /// What the client gets, if `head`, the first bytes it sent, are those of this protocol.
    pub(crate) fn encode(&self, head: &[u8], server: &str) -> Option<Vec<u8>> {
        let number = asked_version(head)?;
        let wait_status = Ended::Exit(self.exit.code()).wait_status();
        let text = format!("distccd[{server}]: {}\n", self.text);
        match Version::from_number(number) {
            Some(version) => {
                let reply = Reply {
                    version,
                    wait_status,
                    stderr: text.into_bytes(),
                    stdout: Vec::new(),
                    object: Vec::new(),
                    deps: None,
                };
                reply.pack().encode().ok()
            }
            // A version of the future: its client expects to see its number again.
            None => Some(
                format!(
                    "DONE{number:08x}STAT{wait_status:08x}SERR{:08x}{text}SOUT00000000DOTO00000000",
                    text.len()
                )
                .into_bytes(),
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The version that a request asks for, if these are the first bytes of one.
pub(crate) fn asked_version(head: &[u8]) -> Option<u32> {
    let digits = head.get(..HEADER_BYTES)?.strip_prefix(b"DIST")?;
    let digits = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| !digits.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stock::{Limits, Progress, ReplyDecoder};

    #[test]
    fn a_refusal_is_a_failed_compile() {
        let refusal = Refusal::bad_request(ExitCode::AccessDenied, "192.0.2.1 is not allowed");
        for version in Version::ALL {
            let head = format!("DIST{:08x}", version.number());
            let bytes = refusal.encode(head.as_bytes(), "host").unwrap();
            let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
            assert_eq!(decoder.feed(&bytes), Ok(Progress::Done { unused: 0 }));
            let reply = decoder.finish().unwrap().unpack(&Limits::DEFAULT).unwrap();
            assert_eq!(reply.wait_status, 113 << 8);
            assert_eq!(reply.stderr, b"distccd[host]: 192.0.2.1 is not allowed\n");
        }
    }

    #[test]
    fn only_distcc_clients_are_answered() {
        let refusal = Refusal::bad_request(ExitCode::ProtocolError, "x");
        let future = refusal.encode(b"DIST00000009", "h").unwrap();
        assert!(future.starts_with(b"DONE00000009STAT00006d00SERR0000000e"));
        for head in [
            "",
            "DIST0000",
            "GET / HTTP/1",
            "DIST0000000x",
            "DIST+0000001",
        ] {
            assert_eq!(refusal.encode(head.as_bytes(), "h"), None, "{head}");
        }
    }
}
