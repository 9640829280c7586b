//! What became of the last compile of each output, for `farcc explain`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use wire::JobRequest;
use wire::event::Ended;

use crate::native::{Earlier, Manifest};

/// Outputs that are remembered; a build of twice the size of Linux' fits.
const OUTPUTS_MAX: usize = 20_000;

/// What is known of an output's last compile.
#[derive(Debug)]
struct Past {
    ended: Ended,
    at: SystemTime,
    command: String,
    cwd: PathBuf,
    action: Option<Manifest>,
    /// The action before. They are compared when somebody asks: most compiles are never asked about.
    before: Option<Earlier>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct History {
    past: RefCell<HashMap<PathBuf, Past>>,
    /// Compiles that have not ended, by output.
    under_way: RefCell<HashMap<PathBuf, usize>>,
    ended: Notify,
}

impl History {
    /// A compile has begun; [`Self::note`] ends it.
    pub(crate) fn begin(&self, output: &Path) {
        let mut under_way = self.under_way.borrow_mut();
        *under_way.entry(output.to_owned()).or_default() += 1;
    }

    /// Waits until no compile of an output is under way.
    pub(crate) async fn settled(&self, output: &Path) {
        loop {
            let ended = self.ended.notified();
            if !self.under_way.borrow().contains_key(output) {
                return;
            }
            ended.await;
        }
    }

    /// Remembers how a compile ended.
    pub(crate) fn note(
        &self,
        output: PathBuf,
        request: &JobRequest,
        ended: Ended,
        action: Option<Manifest>,
    ) {
        let mut past = self.past.borrow_mut();
        let before = past.remove(&output).and_then(|past| past.action);
        if past.len() >= OUTPUTS_MAX {
            past.clear();
        }
        let words = std::iter::once(&request.compiler).chain(&request.args);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let past_now = Past {
            ended,
            at: SystemTime::now(),
            command: words.join(" "),
            cwd: PathBuf::from(&request.cwd),
            before: match (before, &action) {
                (Some(before), Some(action)) => Some(Earlier::new(before, action)),
                _ => None,
            },
            action,
        };
        let mut under_way = self.under_way.borrow_mut();
        if let Some(count) = under_way.get_mut(&output) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&output);
            }
        }
        past.insert(output, past_now);
        self.ended.notify_waiters();
    }

    /// The last compile of an output, in words; `None` if this agent has not seen one.
    pub(crate) fn explain(&self, output: &Path) -> Option<String> {
        let past = self.past.borrow();
        let past = past.get(output)?;
        let ago = past.at.elapsed().unwrap_or_default();
        let mut text = format!(
            "{}: {}, {} ago\n",
            output.display(),
            how(&past.ended),
            span(ago)
        );
        let _ = writeln!(text, "  asked for  {}", past.command);
        let _ = writeln!(text, "  in         {}", past.cwd.display());
        text.push_str(&figures(&past.ended));
        if let Some(action) = &past.action {
            text.push_str(&action.text());
        }
        let compared = match (&past.action, &past.before) {
            (Some(now), Some(before)) => Some(now.changes(&before.whole(now))),
            _ => None,
        };
        text.push_str(&changes(compared.as_deref()));
        Some(text)
    }

    /// What an action would change beside the last one of its output.
    pub(crate) fn compare(&self, output: &Path, action: &Manifest) -> String {
        let past = self.past.borrow();
        let before = past.get(output).and_then(|past| past.action.as_ref());
        changes(before.map(|before| action.changes(before)).as_deref())
    }
}

fn how(ended: &Ended) -> String {
    if let Some(reason) = &ended.local {
        return format!(
            "compiled here, because {} [{}]",
            reason.sentence, reason.code
        );
    }
    if ended.from_cache {
        return "known from an earlier compile".to_owned();
    }
    format!("compiled on {}", ended.host)
}

fn figures(ended: &Ended) -> String {
    let mut text = format!("  took       {} ms", ended.wall_ms);
    for (name, value) in [
        ("waiting for a slot", ended.queued_ms),
        ("the compiler there", ended.remote_ms),
        ("preprocessing here", ended.preprocess_cpu_ms),
    ] {
        if value > 0 {
            let _ = write!(text, ", {name} {value} ms");
        }
    }
    let _ = writeln!(
        text,
        "\n  sent       {} bytes, received {}",
        ended.sent_bytes, ended.received_bytes
    );
    if let Some(doubt) = &ended.doubt {
        let _ = writeln!(text, "  as a text  {} [{}]", doubt.sentence, doubt.code);
    }
    text
}

fn changes(changes: Option<&[String]>) -> String {
    match changes {
        None => "  no earlier action of this output is known\n".to_owned(),
        Some([]) => "  the same action as the time before\n".to_owned(),
        Some(changes) => {
            let mut text = "  different from the time before:\n".to_owned();
            for change in changes {
                let _ = writeln!(text, "    {change}");
            }
            text
        }
    }
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5999 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_compile_of_an_output_is_told() {
        let history = History::default();
        let request = JobRequest {
            compiler: "gcc".into(),
            args: vec!["-c".into(), "a.c".into()],
            cwd: "/w".into(),
            ..JobRequest::default()
        };
        let output = PathBuf::from("/w/a.o");
        assert_eq!(history.explain(&output), None);
        let ended = |host: &str| Ended {
            host: host.to_owned(),
            ..Ended::default()
        };
        history.note(output.clone(), &request, ended("one"), None);
        history.note(output.clone(), &request, ended("two"), None);
        let text = history.explain(&output).unwrap();
        assert!(text.contains("compiled on two"), "{text}");
        assert!(text.contains("gcc -c a.c"), "{text}");
    }

    #[tokio::test]
    async fn compiles_under_way_are_waited_for() {
        let history = History::default();
        let output = PathBuf::from("/w/a.o");
        history.settled(&output).await;
        history.begin(&output);
        history.begin(&output);
        for _ in 0..2 {
            tokio::select! {
                biased;
                () = history.settled(&output) => panic!("one has not ended"),
                () = std::future::ready(()) => {}
            }
            history.note(
                output.clone(),
                &JobRequest::default(),
                Ended::default(),
                None,
            );
        }
        history.settled(&output).await;
    }
}
