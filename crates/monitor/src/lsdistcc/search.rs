//! Asking many servers at the same time.
//!
//! Each name has a thread of its own that resolves it and asks the server; the threads report
//! into one channel. A row of numbered names is looked up a little ahead of what is known, a
//! list at once.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use super::options::Names;
use super::probe::{Probe, Target, same_network};
use super::{Options, ProbeError};

/// Most names that are tried, as in stock.
const NAMES_MAX: usize = 500;

/// What a thread found out about its name.
enum Report {
    /// The name does not resolve, or is no entry of a host list for TCP.
    Missing(usize),
    /// The server has answered, or not.
    Probed(usize, Box<Probe>),
}

/// Looks for servers and writes one line for each to `out`. Returns whether there was any line.
/// Messages of `-v` go to `log`.
///
/// # Errors
/// `out` or `log` cannot be written.
pub fn run(options: &Options, out: &mut dyn Write, log: &mut dyn Write) -> io::Result<bool> {
    let deadline = Instant::now() + options.deadline;
    let (sender, receiver) = mpsc::channel();
    let mut search = Search {
        options: with_domain(options),
        sender,
        receiver,
        started: 0,
        missing: 0,
        network: None,
        answers: BTreeMap::new(),
        next_line: 0,
        found: false,
    };
    search.start_more();
    while search.is_waiting() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(report) = search.receiver.recv_timeout(left) else {
            break;
        };
        search.take(report, log)?;
        search.start_more();
        search.print(out, false)?;
    }
    search.print(out, true)?;
    Ok(search.found)
}

struct Search {
    options: Options,
    sender: Sender<Report>,
    receiver: Receiver<Report>,
    /// Names for which a thread was started: those with smaller numbers.
    started: usize,
    missing: usize,
    /// Address of the first host of the row, for `-m`.
    network: Option<IpAddr>,
    /// What is known and not yet printed; `None` for a name without a line.
    answers: BTreeMap<usize, Option<Box<Probe>>>,
    /// The name whose line comes next.
    next_line: usize,
    found: bool,
}

impl Search {
    /// Starts threads for as many names as may be under way.
    fn start_more(&mut self) {
        while self.started < NAMES_MAX && self.may_look_further() {
            let Some(name) = self.options.names.get(self.started) else {
                return;
            };
            let (index, sender, options) =
                (self.started, self.sender.clone(), self.options.clone());
            self.started += 1;
            thread::spawn(move || ask(index, &name, &options, &sender));
        }
    }

    fn may_look_further(&self) -> bool {
        match self.options.names {
            Names::Listed(_) => true,
            Names::Numbered { .. } => {
                let waiting = self.started - self.next_line - self.answers.len();
                self.missing <= self.options.gap && waiting <= self.options.ahead
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.next_line + self.answers.len() < self.started
    }

    fn take(&mut self, report: Report, log: &mut dyn Write) -> io::Result<()> {
        let (index, probe) = match report {
            Report::Missing(index) => {
                self.missing += 1;
                (index, None)
            }
            Report::Probed(index, probe) => (index, Some(probe)),
        };
        if self.options.verbose {
            let name = self.options.names.get(index).unwrap_or_default();
            let error = probe.as_ref().map(|probe| probe.error.as_ref());
            writeln!(log, "lsdistcc: {name}: {}", outcome(error))?;
        }
        self.answers.insert(index, probe);
        Ok(())
    }

    /// Prints the lines whose turn it is; at the end all that there are.
    fn print(&mut self, out: &mut dyn Write, at_end: bool) -> io::Result<()> {
        while let Some(entry) = self.answers.first_entry() {
            if *entry.key() != self.next_line && !at_end {
                break;
            }
            self.next_line = entry.key() + 1;
            let Some(probe) = entry.remove() else {
                continue;
            };
            let network = *self.network.get_or_insert(probe.address);
            let is_near = same_network(network, probe.address, self.options.same_bits);
            if !is_near || (probe.error.is_some() && !self.options.show_down) {
                continue;
            }
            self.found = true;
            let mut line = probe.host.to_string();
            if self.options.latency {
                line.push_str(&format!(" {}", probe.latency.as_millis()));
            }
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

fn outcome(error: Option<Option<&ProbeError>>) -> String {
    match error {
        None => "name does not resolve".to_owned(),
        Some(None) => "ok".to_owned(),
        Some(Some(error)) => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// The work of one thread. A receiver that has gone wants no more reports.
fn ask(index: usize, name: &str, options: &Options, sender: &Sender<Report>) {
    let resolved = Target::new(name, options).and_then(|target| {
        let addresses = target.resolve().ok()?;
        let first = addresses.first()?.ip();
        Some((target, addresses, first))
    });
    let Some((target, addresses, first)) = resolved else {
        drop(sender.send(Report::Missing(index)));
        return;
    };
    let probe = Box::new(target.probe(first, &addresses, options));
    drop(sender.send(Report::Probed(index, probe)));
}

/// The options with this machine's domain after the format, if `-d` asks for it.
fn with_domain(options: &Options) -> Options {
    let mut options = options.clone();
    if options.append_domain
        && let Names::Numbered { after, .. } = &mut options.names
        && let Some(domain) = domain()
    {
        after.push('.');
        after.push_str(&domain);
    }
    options
}

/// The domain of this machine: the rest of its name after the first dot, else what the resolver
/// is configured to append.
fn domain() -> Option<String> {
    let uname = rustix::system::uname();
    let own = uname.nodename().to_str().ok();
    if let Some((_, domain)) = own.and_then(|name| name.split_once('.')) {
        return Some(domain.to_owned());
    }
    resolver_domain(&std::fs::read_to_string("/etc/resolv.conf").ok()?)
}

fn resolver_domain(resolv_conf: &str) -> Option<String> {
    resolv_conf.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let is_domain = matches!(words.next()?, "domain" | "search");
        is_domain.then(|| words.next().map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolvers_domain_is_its_first_search_entry() {
        let text = "# comment\nnameserver 127.0.0.1\nsearch lan.example other.example\n";
        assert_eq!(resolver_domain(text).as_deref(), Some("lan.example"));
        assert_eq!(resolver_domain("search\n"), None);
    }
}
