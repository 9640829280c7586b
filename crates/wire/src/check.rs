//! Entry point for fuzzers: what must hold for any bytes at all.

use crate::event::Event;
use crate::{ToAgent, ToShim, frame};

/// Decodes bytes as everything that can arrive, and checks that what decodes encodes to the same.
///
/// # Panics
/// A decoder accepted bytes that its encoder would not write: a bug.
pub fn any_message(bytes: &[u8]) {
    if let Ok(Some((payload, used))) = frame::split(bytes) {
        assert_eq!(frame::encode(payload), bytes[..used]);
    }
    if let Ok(message) = ToAgent::from_payload(bytes) {
        assert_eq!(message.to_payload(), bytes);
    }
    if let Ok(message) = ToShim::from_payload(bytes) {
        assert_eq!(message.to_payload(), bytes);
    }
    if let Ok(event) = Event::from_payload(bytes) {
        assert_eq!(event.to_payload(), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Ended, EventKind};
    use crate::{JobRequest, LogLevel, LogLine};

    const SEED: u64 = 0x5eed_0001;
    const ROUNDS: usize = 20_000;

    fn seeds() -> Vec<Vec<u8>> {
        let log = vec![LogLine::new(LogLevel::Info, "text")];
        vec![
            ToAgent::Job(JobRequest {
                args: vec!["-c".into()],
                ..JobRequest::default()
            })
            .to_payload(),
            ToAgent::Watch(Some("r".into())).to_payload(),
            ToShim::Split {
                parts: vec![vec!["-c".into(), "a.c".into()], vec!["b.c".into()]],
            }
            .to_payload(),
            ToShim::RunLocal { log: log.clone() }.to_payload(),
            ToShim::Finish {
                wait_status: 0,
                log,
                outputs: Vec::new(),
            }
            .to_payload(),
            Event {
                time_ms: 0,
                job: 0,
                kind: EventKind::Ended(Ended::default()),
            }
            .to_payload(),
            frame::encode(b"payload"),
        ]
    }

    #[test]
    fn mutated_messages_never_panic() {
        let mut random = fastrand::Rng::with_seed(SEED);
        let seeds = seeds();
        for _ in 0..ROUNDS {
            let mut bytes = random.choice(&seeds).unwrap().clone();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            any_message(&bytes);
        }
    }
}
