//! The end of `farcc run`: what is said to people, and to programs as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::summary::Summary;

/// A build that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    /// What happened to its jobs; `None` if no agent could be asked.
    pub(crate) summary: Option<Summary>,
    /// Exit code of the command.
    pub(crate) exit_code: u8,
    /// How long it took.
    pub(crate) wall: Duration,
    /// User and system time of the command and everything it started, where known. The agent's
    /// own is not in it.
    pub(crate) client_cpu: Option<Duration>,
    /// Processors of this machine.
    pub(crate) cores: u32,
}

impl Build {
    /// How much longer the build would have taken on this machine alone, at least: its own CPU
    /// time and the time that hosts compiled, spread evenly over all processors.
    pub(crate) fn saved(&self) -> Option<Duration> {
        let summary = self.summary.as_ref()?;
        if summary.remote_jobs() == 0 {
            return None;
        }
        let work = self.client_cpu? + Duration::from_millis(summary.remote_ms());
        Some((work / self.cores.max(1)).saturating_sub(self.wall))
    }

    /// The summary for people; each line starts with `farcc:`.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        match &self.summary {
            None => lines.push("the build ran without an agent, so its jobs are unknown".into()),
            Some(summary) => job_lines(summary, &mut lines),
        }
        lines.push(self.time_line());
        lines.extend(self.saved_line());
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "farcc: {line}");
        }
        text
    }

    fn time_line(&self) -> String {
        let mut line = format!("{} wall", seconds(self.wall));
        if let Some(cpu) = self.client_cpu {
            let _ = write!(line, ", {} CPU on this machine", seconds(cpu));
        }
        line
    }

    fn saved_line(&self) -> Option<String> {
        let saved = self.saved()?;
        let remote = Duration::from_millis(self.summary.as_ref()?.remote_ms());
        let cores = match self.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        let verdict = if saved.is_zero() {
            "nothing saved".to_owned()
        } else {
            format!("about {} saved", seconds(saved))
        };
        Some(format!(
            "{verdict} (estimate: {} of compiling elsewhere and the CPU time here, on {cores}, \
             against the wall time)",
            seconds(remote)
        ))
    }

    /// The summary for programs: one JSON object on one line.
    ///
    /// **Stability boundary**: members may be added, not changed. Times are milliseconds; what
    /// is unknown is `null`.
    pub(crate) fn json(&self) -> String {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let value = json!({
            "exit_code": self.exit_code,
            "wall_ms": millis(self.wall),
            "client_cpu_ms": self.client_cpu.map(millis),
            "saved_ms": self.saved().map(millis),
            "jobs": self.summary.as_ref().map(jobs_json),
        });
        format!("{value}\n")
    }
}

fn job_lines(summary: &Summary, lines: &mut Vec<String>) {
    let (remote, local) = (summary.remote_jobs(), summary.local_jobs());
    let all = remote + local;
    if all == 0 && summary.unfinished == 0 {
        lines.push(
            "no compile came through distcc; does the build name its compiler by an absolute \
             path? (configure it inside `farcc run` too)"
                .into(),
        );
        return;
    }
    lines.push(format!("{remote} of {all} jobs ran on other machines"));
    for (host, work) in &summary.remote {
        lines.push(format!("{:>6}  on {host}", work.jobs));
    }
    for (code, work) in &summary.local {
        lines.push(format!(
            "{:>6}  local: {code} ({})",
            work.jobs, work.sentence
        ));
    }
    for (host, attempts) in &summary.retried {
        let count = attempts.attempts;
        let why = &attempts.last_why;
        lines.push(format!("{count:>6}  retried after {host}: {why}"));
    }
    if summary.failed > 0 {
        lines.push(format!("{:>6}  failed", summary.failed));
    }
    if summary.unfinished > 0 {
        lines.push(format!("{:>6}  unfinished", summary.unfinished));
    }
}

fn jobs_json(summary: &Summary) -> Value {
    let remote = summary.remote.iter().map(
        |(host, work)| json!({"host": host, "jobs": work.jobs, "compile_ms": work.compile_ms}),
    );
    let local = summary
        .local
        .iter()
        .map(|(code, work)| json!({"reason": code, "sentence": work.sentence, "jobs": work.jobs}));
    let retried = summary.retried.iter().map(|(host, attempts)| {
        json!({"host": host, "attempts": attempts.attempts, "last_why": attempts.last_why})
    });
    json!({
        "remote": remote.collect::<Vec<_>>(),
        "local": local.collect::<Vec<_>>(),
        "retried": retried.collect::<Vec<_>>(),
        "failed": summary.failed,
        "unfinished": summary.unfinished,
    })
}

/// `12.3 s`, `4 min 05 s`.
fn seconds(time: Duration) -> String {
    const MINUTE_S: u64 = 60;
    if time.as_secs() < MINUTE_S {
        return format!("{:.1} s", time.as_secs_f64());
    }
    let whole = time.as_secs();
    format!("{} min {:02} s", whole / MINUTE_S, whole % MINUTE_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::summary::{Local, Remote, Retried};
    use expect_test::{Expect, expect};

    fn build(summary: Option<Summary>) -> Build {
        Build {
            summary,
            exit_code: 2,
            wall: Duration::from_millis(12_340),
            client_cpu: Some(Duration::from_millis(6_600)),
            cores: 2,
        }
    }

    fn full() -> Summary {
        let remote = |jobs, compile_ms| Remote { jobs, compile_ms };
        let mut summary = Summary::default();
        summary.remote.insert("fast/16".into(), remote(60, 70_000));
        summary.remote.insert("other".into(), remote(36, 20_000));
        let local = Local {
            jobs: 3,
            sentence: "it \"links\"".into(),
        };
        summary.local.insert("link".into(), local);
        let retried = Retried {
            attempts: 1,
            last_why: "connection refused".into(),
        };
        summary.retried.insert("other".into(), retried);
        summary.failed = 1;
        summary
    }

    fn check_text(build: &Build, expected: &Expect) {
        expected.assert_eq(&build.text());
    }

    #[test]
    fn a_build_that_was_distributed() {
        check_text(
            &build(Some(full())),
            &expect![[r#"
                farcc: 96 of 99 jobs ran on other machines
                farcc:     60  on fast/16
                farcc:     36  on other
                farcc:      3  local: link (it "links")
                farcc:      1  retried after other: connection refused
                farcc:      1  failed
                farcc: 12.3 s wall, 6.6 s CPU on this machine
                farcc: about 36.0 s saved (estimate: 1 min 30 s of compiling elsewhere and the CPU time here, on 2 cores, against the wall time)
            "#]],
        );
    }

    #[test]
    fn a_build_that_never_called_distcc() {
        check_text(
            &build(Some(Summary::default())),
            &expect![[r#"
                farcc: no compile came through distcc; does the build name its compiler by an absolute path? (configure it inside `farcc run` too)
                farcc: 12.3 s wall, 6.6 s CPU on this machine
            "#]],
        );
    }

    #[test]
    fn a_build_without_agent() {
        check_text(
            &build(None),
            &expect![[r#"
                farcc: the build ran without an agent, so its jobs are unknown
                farcc: 12.3 s wall, 6.6 s CPU on this machine
            "#]],
        );
    }

    #[test]
    fn json_holds_the_same() {
        expect![[r#"
            {"exit_code":2,"wall_ms":12340,"client_cpu_ms":6600,"saved_ms":35960,"jobs":{"remote":[{"host":"fast/16","jobs":60,"compile_ms":70000},{"host":"other","jobs":36,"compile_ms":20000}],"local":[{"reason":"link","sentence":"it \"links\"","jobs":3}],"retried":[{"host":"other","attempts":1,"last_why":"connection refused"}],"failed":1,"unfinished":0}}
        "#]]
        .assert_eq(&build(Some(full())).json());
        expect![[r#"
            {"exit_code":2,"wall_ms":12340,"client_cpu_ms":6600,"saved_ms":null,"jobs":null}
        "#]]
        .assert_eq(&build(None).json());
    }

    #[test]
    fn nothing_is_saved_when_the_work_would_have_fit_here() {
        let mut build = build(Some(full()));
        build.wall = Duration::from_secs(600);
        assert_eq!(build.saved(), Some(Duration::ZERO));
        assert!(build.text().contains("nothing saved"));
    }
}
