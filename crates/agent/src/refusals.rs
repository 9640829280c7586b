//! Servers that say no, and which compilers they said it about.
//!
//! A farcc server refuses in the form of a compile that failed, with one of distcc's own exit codes and a sentence in
//! the compiler's place. That is no answer to the job: another host may take it, and if none does the user must read
//! why. A host that does not have or not allow a compiler is not asked for it again for a while, because each time
//! costs a preprocessor's run; for other compilers it is as good as before.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use place::{Candidate, HostId};
use stock::exit::ExitCode;
use stock::{Ended, Reply};
use tokio::time::Instant;

/// How a server's own sentences begin; its name and `]: ` follow.
const SERVER_SAYS: &str = "distccd[";

/// How long a host is not asked for a compiler that it refused. Somebody may install it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Refusals remembered; beyond that all are forgotten.
const KEPT_MAX: usize = 1024;

/// What a server says instead of compiling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Why, as one of distcc's exit codes.
    pub(crate) code: ExitCode,
    /// Why, in its words.
    pub(crate) text: String,
}

impl Refused {
    /// Reads a refusal out of a reply; `None` if a compiler has spoken.
    pub(crate) fn of(reply: &Reply) -> Option<Self> {
        let Ended::Exit(number) = reply.ended() else {
            return None;
        };
        let code = ExitCode::from_code(number)?;
        let said = String::from_utf8_lossy(&reply.stderr);
        let (_server, text) = said.strip_prefix(SERVER_SAYS)?.split_once("]: ")?;
        let text = text.trim_end().to_owned();
        Some(Self { code, text })
    }

    /// Whether it is about the compiler, or about this client, so that asking again is pointless.
    fn is_lasting(&self) -> bool {
        matches!(
            self.code,
            ExitCode::CompilerMissing | ExitCode::AccessDenied
        )
    }
}

/// Which hosts refused which compilers.
#[derive(Debug, Default)]
pub(crate) struct Refusals(RefCell<HashMap<(HostId, Compiler), Said>>);

/// As hosts are told it.
type Compiler = Vec<u8>;

/// What a host said, and until when that counts.
type Said = (Instant, String);

impl Refusals {
    /// Takes note of a refusal.
    pub(crate) fn learn(&self, host: HostId, compiler: &[u8], refused: &Refused) {
        if !refused.is_lasting() {
            return;
        }
        let mut all = self.0.borrow_mut();
        if all.len() >= KEPT_MAX {
            all.clear();
        }
        let entry = (Instant::now() + KEPT_FOR, refused.text.clone());
        all.insert((host, compiler.to_owned()), entry);
    }

    /// Takes note of a toolchain that does not pass its test compile on a worker.
    pub(crate) fn learn_unproven(&self, host: HostId, toolchain: &str, why: &str) {
        let refused = Refused {
            code: ExitCode::CompilerMissing,
            text: why.to_owned(),
        };
        self.learn(host, toolchain.as_bytes(), &refused);
    }

    /// The hosts that may be asked for a compiler.
    ///
    /// # Errors
    /// There is none; what the first one said.
    pub(crate) fn allow(
        &self,
        candidates: Arc<[Candidate]>,
        compiler: &[u8],
    ) -> Result<Arc<[Candidate]>, String> {
        let all = self.0.borrow();
        if all.is_empty() {
            return Ok(candidates);
        }
        let now = Instant::now();
        let said = |candidate: &Candidate| {
            let entry = all.get(&(candidate.host, compiler.to_owned()));
            entry.filter(|(until, _)| now < *until)
        };
        let left: Vec<_> = candidates
            .iter()
            .filter(|candidate| said(candidate).is_none())
            .copied()
            .collect();
        match candidates.first().and_then(said) {
            Some((_, text)) if left.is_empty() => Err(text.clone()),
            _ => Ok(left.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stock::Version;

    fn reply(exit: u8, stderr: &str) -> Reply {
        Reply {
            version: Version::V1,
            wait_status: Ended::Exit(exit).wait_status(),
            stderr: stderr.into(),
            stdout: Vec::new(),
            object: Vec::new(),
            deps: None,
        }
    }

    #[test]
    fn a_servers_sentence_is_told_from_a_compilers() {
        let refused = Refused::of(&reply(110, "distccd[box]: no gcc-11 here\n")).unwrap();
        assert_eq!(refused.code, ExitCode::CompilerMissing);
        assert_eq!(refused.text, "no gcc-11 here");
        for (exit, stderr) in [
            (1, "distccd[box]: no gcc-11 here\n"),
            (110, "a.c:1: error: distccd[box]: x\n"),
            (110, ""),
            (0, "distccd[box]: fine\n"),
        ] {
            assert_eq!(Refused::of(&reply(exit, stderr)), None, "{exit} {stderr}");
        }
    }

    #[test]
    fn only_the_refused_compiler_is_not_asked_for_again() {
        let refusals = Refusals::default();
        let hosts: Arc<[Candidate]> = [1, 2]
            .map(|host| Candidate {
                host: HostId(host),
                slots: 4,
            })
            .into();
        let ask = |compiler: &[u8]| {
            let allowed = refusals.allow(Arc::clone(&hosts), compiler);
            allowed.map(|left| {
                left.iter()
                    .map(|candidate| candidate.host.0)
                    .collect::<Vec<_>>()
            })
        };
        let refuse = |host, code| {
            let text = "not here".to_owned();
            refusals.learn(HostId(host), b"gcc-11", &Refused { code, text });
        };
        refuse(1, ExitCode::BadArguments);
        assert_eq!(ask(b"gcc-11"), Ok(vec![1, 2]));
        refuse(1, ExitCode::CompilerMissing);
        assert_eq!(ask(b"gcc-11"), Ok(vec![2]));
        assert_eq!(ask(b"gcc-12"), Ok(vec![1, 2]));
        refuse(2, ExitCode::AccessDenied);
        assert_eq!(ask(b"gcc-11"), Err("not here".to_owned()));
    }
}
