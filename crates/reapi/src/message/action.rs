//! `Action`: one thing to be done, named by the digest of its encoding.

use std::time::Duration;

use store::{Digest, DigestFunction};

use super::platform::Platform;
use super::{digest, time};
use crate::invalid::{In, Invalid};
use crate::wire::{put_bytes, put_number};

const ACTION: In = In("Action");

/// What to run, on which files, within which limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The digest of the [`Command`](crate::Command).
    pub command: Digest,
    /// The digest of the input root's [`Directory`](crate::Directory).
    pub input_root: Digest,
    /// How long the command may run; the server's own limit if the client has none.
    pub timeout: Option<Duration>,
    /// The result may not be kept, nor shared with others who ask for the same at the same time.
    pub do_not_cache: bool,
    /// Makes otherwise equal actions different.
    pub salt: Vec<u8>,
    /// What the machine must have. Clients before version 2.2 have it in the command instead.
    pub platform: Platform,
}

impl Action {
    /// Reads and checks an encoded action, whose digests are of `function`.
    ///
    /// # Errors
    /// Not an action, or one with an impossible digest or time.
    pub fn decode(function: DigestFunction, bytes: &[u8]) -> Result<Action, Invalid> {
        let (mut command, mut input_root, mut timeout, mut platform) = (None, None, None, None);
        let (mut do_not_cache, mut salt) = (false, Vec::new());
        let at = |field, value: Result<_, _>| ACTION.at(field, value);
        for field in ACTION.fields(bytes) {
            match field? {
                (1, value) => {
                    let value = digest::decode(function, at("command_digest", value.bytes())?)?;
                    ACTION.once("command_digest", &mut command, value)?;
                }
                (2, value) => {
                    let value = digest::decode(function, at("input_root_digest", value.bytes())?)?;
                    ACTION.once("input_root_digest", &mut input_root, value)?;
                }
                (6, value) => {
                    let value = time::decode_duration(at("timeout", value.bytes())?)?;
                    ACTION.once("timeout", &mut timeout, value)?;
                }
                (7, value) => do_not_cache = ACTION.at("do_not_cache", value.bool())?,
                (9, value) => salt = at("salt", value.bytes())?.to_vec(),
                (10, value) => {
                    let value = Platform::decode(at("platform", value.bytes())?)?;
                    ACTION.once("platform", &mut platform, value)?;
                }
                _ => {}
            }
        }
        Ok(Action {
            command: ACTION.required("command_digest", command)?,
            input_root: ACTION.required("input_root_digest", input_root)?,
            timeout,
            do_not_cache,
            salt,
            platform: platform.unwrap_or_default(),
        })
    }

    /// The canonical encoding, whose digest names the action.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        digest::put(&mut out, 1, &self.command);
        digest::put(&mut out, 2, &self.input_root);
        time::put_duration(&mut out, 6, self.timeout);
        put_number(&mut out, 7, self.do_not_cache.into());
        put_bytes(&mut out, 9, &self.salt);
        self.platform.put(&mut out, 10);
        out
    }
}
