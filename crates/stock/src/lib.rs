//! distcc's own formats: the host list, the wire protocol, lock and state files.
//!
//! Nothing here opens a file or a socket, asks the clock or reads the
//! environment: functions take bytes and give bytes, or say precisely what is
//! wrong with them. That makes them fit for fuzzing; [`check`] holds the
//! properties that must survive it.
//!
//! A client sends a request and reads the reply:
//!
//! ```
//! use stock::{Input, Limits, Progress, Reply, ReplyDecoder, Request, RequestDecoder, Version};
//!
//! let words = ["gcc", "-c", "a.c", "-o", "a.o"];
//! let request = Request {
//!     version: Version::V2,
//!     cwd: None,
//!     argv: words.map(|word| word.as_bytes().to_vec()).into(),
//!     input: Input::Preprocessed(b"# 1 \"a.c\"\nint x;\n".to_vec()),
//! };
//!
//! // The server gets it, in whatever pieces the network makes of it.
//! let mut decoder = RequestDecoder::new(Limits::DEFAULT);
//! for piece in request.clone().pack().parts()? {
//!     let _progress = decoder.feed(&piece)?;
//! }
//! assert_eq!(decoder.finish()?.unpack(&Limits::DEFAULT)?, request);
//!
//! // And answers.
//! let reply = Reply {
//!     version: Version::V2,
//!     wait_status: 0,
//!     stderr: Vec::new(),
//!     stdout: Vec::new(),
//!     object: b"\x7fELF".to_vec(),
//!     deps: None,
//! };
//! let mut decoder = ReplyDecoder::new(Version::V2, Limits::DEFAULT);
//! assert_eq!(decoder.feed(b"DONE00000002STAT0000")?, Progress::NeedMore);
//! assert_eq!(
//!     decoder.closed().to_string(),
//!     "connection closed while waiting for STAT, after 20 bytes"
//! );
//! # let mut decoder = ReplyDecoder::new(Version::V2, Limits::DEFAULT);
//! assert_eq!(decoder.feed(&reply.clone().pack().encode()?)?, Progress::Done { unused: 0 });
//! assert_eq!(decoder.finish()?.unpack(&Limits::DEFAULT)?, reply);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod check;
pub mod error;
pub mod exit;
pub mod hosts;
pub mod limits;
pub mod lock;
pub mod lzo;
pub mod packed;
pub mod packet;
pub mod phase;
mod reader;
pub mod reply;
pub mod request;
pub mod row;
pub mod state;
pub mod version;

pub use error::{DecodeError, EncodeError, UnpackError};
pub use limits::Limits;
pub use packed::Packed;
pub use packet::Token;
pub use phase::Phase;
pub use reader::{Progress, Waiting};
pub use reply::{Ended, Reply, ReplyDecoder};
pub use request::{Body, Input, Request, RequestDecoder, SentFile};
pub use version::Version;
