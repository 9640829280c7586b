//! Counters of what the server did, and the text page that shows them in stock's form.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::limits;

/// How a connection ended, by the names that stock gives to it in log and statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Refused: address, protocol, command line, compiler.
    BadRequest,
    /// Refused: the server leaves.
    Overload,
    /// The compiler exited with 0.
    Ok,
    /// The compiler exited otherwise.
    Error,
    /// The job took longer than allowed.
    Timeout,
    /// The client went away.
    Disconnected,
    /// Anything else.
    Other,
}

impl Ending {
    const COUNT: usize = 7;

    /// The word in the log.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Ending::BadRequest => "REJ_BAD_REQ",
            Ending::Overload => "REJ_OVERLOAD",
            Ending::Ok => "COMPILE_OK",
            Ending::Error => "COMPILE_ERROR",
            Ending::Timeout => "COMPILE_TIMEOUT",
            Ending::Disconnected => "CLI_DISCONN",
            Ending::Other => "OTHER",
        }
    }
}

/// Minutes that averages look back.
const SPANS: [usize; 3] = [1, 5, 15];

/// One minute of the past.
#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    /// Number of the minute since the start, plus one; 0 is no minute.
    number: u64,
    compiles: u64,
    /// Running jobs times the time that they ran.
    busy: Duration,
}

#[derive(Debug)]
struct Inner {
    accepted: u64,
    endings: [u64; Ending::COUNT],
    longest: Option<(Duration, String, String)>,
    largest_rss: Option<(u64, String)>,
    running: u32,
    updated: Instant,
    minutes: [Minute; SPANS[2]],
}

/// The counters since the server's start.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Instant,
    slots: usize,
    inner: RefCell<Inner>,
}

impl Stats {
    pub(crate) fn new(slots: usize, now: Instant) -> Stats {
        let inner = Inner {
            accepted: 0,
            endings: [0; Ending::COUNT],
            longest: None,
            largest_rss: None,
            running: 0,
            updated: now,
            minutes: [Minute::default(); SPANS[2]],
        };
        Stats {
            started: now,
            slots,
            inner: RefCell::new(inner),
        }
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self) {
        self.inner.borrow_mut().accepted += 1;
    }

    /// A job takes a slot.
    pub(crate) fn job_starts(&self, now: Instant) {
        self.advance(now);
        self.inner.borrow_mut().running += 1;
    }

    /// A job gives its slot back.
    pub(crate) fn job_ends(&self, now: Instant) {
        self.advance(now);
        let inner = &mut *self.inner.borrow_mut();
        inner.running = inner.running.saturating_sub(1);
        let slot = Self::minute(self.started, now, &mut inner.minutes);
        slot.compiles += 1;
    }

    /// What a compile took.
    pub(crate) fn compiled(&self, time: Duration, rss_kib: u64, compiler: &str, source: &str) {
        let inner = &mut *self.inner.borrow_mut();
        if inner
            .longest
            .as_ref()
            .is_none_or(|(longest, ..)| time > *longest)
        {
            inner.longest = Some((time, compiler.to_owned(), source.to_owned()));
        }
        if inner
            .largest_rss
            .as_ref()
            .is_none_or(|(largest, _)| rss_kib > *largest)
        {
            inner.largest_rss = Some((rss_kib, compiler.to_owned()));
        }
    }

    /// A connection has ended.
    pub(crate) fn ended(&self, ending: Ending) {
        self.inner.borrow_mut().endings[ending as usize] += 1;
    }

    fn minute(started: Instant, now: Instant, minutes: &mut [Minute; SPANS[2]]) -> &mut Minute {
        let number = now.duration_since(started).as_secs() / 60;
        let slot = &mut minutes[usize::try_from(number).unwrap_or(0) % SPANS[2]];
        if slot.number != number + 1 {
            *slot = Minute {
                number: number + 1,
                ..Minute::default()
            };
        }
        slot
    }

    /// Accounts the time since the last change to the minutes in which it lies.
    fn advance(&self, now: Instant) {
        let inner = &mut *self.inner.borrow_mut();
        while inner.updated < now {
            let second = inner.updated.duration_since(self.started).as_secs();
            let next_minute = self.started + Duration::from_secs((second / 60 + 1) * 60);
            let until = next_minute.min(now);
            let passed = until.duration_since(inner.updated) * inner.running;
            Self::minute(self.started, inner.updated, &mut inner.minutes).busy += passed;
            inner.updated = until;
        }
    }

    /// Compiles and average number of running jobs in the last minutes.
    fn look_back(&self, now: Instant, minutes: usize) -> (u64, f64) {
        let inner = self.inner.borrow();
        let current = now.duration_since(self.started).as_secs() / 60 + 1;
        let oldest = current.saturating_sub(minutes as u64) + 1;
        let span = inner
            .minutes
            .iter()
            .filter(|m| m.number >= oldest && m.number > 0);
        let (compiles, busy) = span.fold((0, Duration::ZERO), |(compiles, busy), minute| {
            (compiles + minute.compiles, busy + minute.busy)
        });
        let time = now
            .duration_since(self.started)
            .min(Duration::from_secs(minutes as u64 * 60));
        let average = if time.is_zero() {
            0.0
        } else {
            busy.as_secs_f64() / time.as_secs_f64()
        };
        (compiles, average)
    }

    /// The page.
    pub(crate) fn page(&self, now: Instant) -> String {
        self.advance(now);
        let machine = Machine::now();
        let inner = self.inner.borrow();
        let spans = SPANS.map(|minutes| self.look_back(now, minutes));
        let longest = inner.longest.as_ref();
        let (rss, rss_name) = inner.largest_rss.clone().unwrap_or((0, "none".to_owned()));
        let count = |ending: Ending| inner.endings[ending as usize].to_string();
        let mut lines: Vec<(String, String)> = vec![
            ("dcc_tcp_accept".into(), inner.accepted.to_string()),
            ("dcc_rej_bad_req".into(), count(Ending::BadRequest)),
            ("dcc_rej_overload".into(), count(Ending::Overload)),
            ("dcc_compile_ok".into(), count(Ending::Ok)),
            ("dcc_compile_error".into(), count(Ending::Error)),
            ("dcc_compile_timeout".into(), count(Ending::Timeout)),
            ("dcc_cli_disconnect".into(), count(Ending::Disconnected)),
            ("dcc_other".into(), count(Ending::Other)),
            (
                "dcc_longest_job".into(),
                longest.map_or("none".into(), |(_, _, source)| source.clone()),
            ),
            (
                "dcc_longest_job_compiler".into(),
                longest.map_or("none".into(), |(_, compiler, _)| compiler.clone()),
            ),
            (
                "dcc_longest_job_time_msecs".into(),
                longest.map_or("-1".into(), |(time, ..)| time.as_millis().to_string()),
            ),
            ("dcc_max_kids".into(), self.slots.to_string()),
        ];
        for (i, (_, average)) in spans.iter().enumerate() {
            lines.push((format!("dcc_avg_kids{}", i + 1), format!("{average:.2}")));
        }
        lines.push(("dcc_current_load".into(), inner.running.to_string()));
        for (i, load) in machine.load.iter().enumerate() {
            lines.push((format!("dcc_load{}", i + 1), load.clone()));
        }
        for (i, (compiles, _)) in spans.iter().enumerate() {
            lines.push((format!("dcc_num_compiles{}", i + 1), compiles.to_string()));
        }
        lines.extend([
            (
                "dcc_num_procstate_D".into(),
                machine.waiting_for_disk.to_string(),
            ),
            ("dcc_max_RSS".into(), rss.to_string()),
            ("dcc_max_RSS_name".into(), rss_name),
            // Stock's word for "cannot tell".
            ("dcc_io_rate".into(), "-1".into()),
            ("dcc_free_space".into(), format!("{} MB", machine.free_mib)),
            ("dcc_free_mem".into(), format!("{} MB", machine.free_mib)),
        ]);
        let mut page = String::from("argv /distccd\n<distccstats>\n");
        for (key, value) in lines {
            // Names come from clients.
            let value = value.replace(|c: char| c.is_control(), "?");
            let _never_fails = writeln!(page, "{key} {value}");
        }
        page.push_str("</distccstats>\n");
        page
    }

    /// The page with the head that any HTTP client understands.
    pub(crate) fn http(&self, now: Instant) -> String {
        let page = self.page(now);
        let length = page.len();
        format!(
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        )
    }
}

/// What the machine says of itself.
#[derive(Debug)]
struct Machine {
    load: [String; 3],
    waiting_for_disk: usize,
    /// Memory, where jobs have their files.
    free_mib: u64,
}

impl Machine {
    fn now() -> Machine {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let mut load = load.split_whitespace().map(str::to_owned);
        let mut next = || load.next().unwrap_or_else(|| "-1".to_owned());
        let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let free_kib = limits::meminfo_kib(&info, "MemAvailable:").unwrap_or(0);
        Machine {
            load: [next(), next(), next()],
            waiting_for_disk: count_waiting_for_disk(),
            free_mib: free_kib >> 10,
        }
    }
}

/// Processes in uninterruptible sleep.
fn count_waiting_for_disk() -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        // The state follows the name, which may hold anything, in parentheses.
        .filter(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('D'))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(page: &str, key: &str) -> String {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {key} in {page}"))
            .to_owned()
    }

    #[test]
    fn all_of_stocks_fields_are_there_in_order() {
        let stats = Stats::new(4, Instant::now());
        let page = stats.page(Instant::now());
        let keys: Vec<&str> = page
            .lines()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        let expected = "argv <distccstats> dcc_tcp_accept dcc_rej_bad_req dcc_rej_overload \
            dcc_compile_ok dcc_compile_error dcc_compile_timeout dcc_cli_disconnect dcc_other \
            dcc_longest_job dcc_longest_job_compiler dcc_longest_job_time_msecs dcc_max_kids \
            dcc_avg_kids1 dcc_avg_kids2 dcc_avg_kids3 dcc_current_load dcc_load1 dcc_load2 \
            dcc_load3 dcc_num_compiles1 dcc_num_compiles2 dcc_num_compiles3 \
            dcc_num_procstate_D dcc_max_RSS dcc_max_RSS_name dcc_io_rate dcc_free_space \
            dcc_free_mem </distccstats>";
        assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn averages_look_back_over_minutes() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let stats = Stats::new(4, start);
        stats.job_starts(at(0));
        stats.job_starts(at(30));
        stats.job_ends(at(60));
        stats.job_ends(at(90));
        stats.compiled(Duration::from_millis(7), 10, "gcc", "a.c\nforged 1");
        let page = stats.page(at(119));
        assert_eq!(value(&page, "dcc_num_compiles1"), "2");
        assert_eq!(value(&page, "dcc_avg_kids1"), "0.50");
        assert_eq!(value(&page, "dcc_avg_kids2"), "1.01");
        assert_eq!(value(&page, "dcc_longest_job"), "a.c?forged 1");
        assert_eq!(value(&stats.page(at(3600)), "dcc_num_compiles3"), "0");
    }
}
