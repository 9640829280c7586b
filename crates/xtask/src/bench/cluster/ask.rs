//! What the user of `cargo xtask bench cluster` asks for.

use std::path::PathBuf;

use super::network::CLIENTS_MAX;
use super::peers::Peer;

/// Slots if nobody says which.
const SLOTS: &[usize] = &[8, 64];

/// The least part of a core that clients can have, in hundredths: the kernel counts no less than a millisecond at a time.
const CLIENT_CORE_MIN: usize = 10;

/// What can be asked for.
pub(super) fn help() -> String {
    format!("{USAGE}\nPeers:\n{}", Peer::list())
}

const USAGE: &str = "\
Usage: cargo xtask bench cluster COMPILE_COMMANDS_JSON [OPTION]...

Builds a whole project on many cores, simulated on two (docs/performance.md). Needs root.

Options:
  --slots N,...      jobs that all servers run at once; a build for each number (8,64)
  --servers N        servers that share them (16 slots each, eight at most)
  --clients N        machines that build the project at the same time, each its own copy (1)
  --client-core N    the clients' core gives them N hundredths of itself, as a slower one would (100): who is to be the
                     slower side, where servers of any number share one core
  --peers PEER,...   who builds (nothing,farcc,farcc-stock,distcc,distcc-lzo)
  --sample N         so many units, spread evenly, instead of all
  --rounds N         so often; medians are told (1)
  --jobs N           what each build tool is told with -j, instead of what suits the peer
  --add OPTIONS      further options for each compile, split at blanks
  --keep DIR         copy the logs of servers and build tools there
  --publish NAME     write results to docs/performance/NAME.json and .md
";

/// The words after `bench cluster`.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) database: PathBuf,
    pub(super) slots: Vec<usize>,
    pub(super) peers: Vec<Peer>,
    /// So many units, spread evenly.
    pub(super) sample: Option<usize>,
    /// Builds of each kind; their medians are told.
    pub(super) rounds: usize,
    /// Server programs among which the slots are divided; by default 16 slots each, eight programs at most.
    pub(super) servers: Option<usize>,
    /// Machines that build the project at the same time.
    pub(super) clients: usize,
    /// How much of their core the clients have, in hundredths.
    pub(super) client_core: usize,
    /// What the build tool is told with `-j`; by default what suits the peer.
    pub(super) jobs: Option<usize>,
    /// Words added to each compile.
    pub(super) more: Vec<String>,
    /// Where the logs of servers and build tools are copied to.
    pub(super) keep: Option<PathBuf>,
    /// Name of the files in `docs/performance` that the results go to.
    pub(super) publish: Option<String>,
}

impl Ask {
    /// Reads the command line.
    pub(super) fn read(words: &[&str]) -> Result<Self, String> {
        let mut ask = Self {
            database: PathBuf::new(),
            slots: SLOTS.to_vec(),
            peers: Peer::USUAL.to_vec(),
            sample: None,
            rounds: 1,
            servers: None,
            clients: 1,
            client_core: 100,
            jobs: None,
            more: Vec::new(),
            keep: None,
            publish: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or(format!("{word} needs a value"));
            match *word {
                "--slots" => ask.slots = list(value()?, number)?,
                "--peers" => ask.peers = list(value()?, Peer::named)?,
                "--sample" => ask.sample = Some(number(value()?)?),
                "--rounds" => ask.rounds = number(value()?)?,
                "--servers" => ask.servers = Some(number(value()?)?),
                "--clients" => ask.clients = number(value()?)?,
                "--client-core" => ask.client_core = number(value()?)?,
                "--jobs" => ask.jobs = Some(number(value()?)?),
                "--add" => ask.more.extend(value()?.split(' ').map(str::to_owned)),
                "--keep" => ask.keep = Some(value()?.into()),
                "--publish" => ask.publish = Some(value()?.to_owned()),
                path if ask.database.as_os_str().is_empty() && !path.starts_with('-') => {
                    ask.database = PathBuf::from(path);
                }
                other => return Err(format!("{other} is not understood")),
            }
        }
        if ask.database.as_os_str().is_empty() {
            return Err("which compile_commands.json?".into());
        }
        if !(CLIENT_CORE_MIN..=100).contains(&ask.client_core) {
            return Err(format!(
                "clients can have {CLIENT_CORE_MIN} to 100 hundredths of a core"
            ));
        }
        if ask.clients > CLIENTS_MAX {
            return Err(format!("at most {CLIENTS_MAX} clients"));
        }
        Ok(ask)
    }

    /// How many server programs share so many slots.
    pub(super) fn servers_for(&self, slots: usize) -> usize {
        const SLOTS_EACH: usize = 16;
        const SERVERS_MAX: usize = 8;
        let usual = (slots / SLOTS_EACH).clamp(1, SERVERS_MAX);
        self.servers.unwrap_or(usual).clamp(1, slots)
    }
}

fn number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{text} is not a number above zero")),
    }
}

fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ask, help};
    use crate::bench::cluster::peers::Peer;

    #[test]
    fn one_client_builds_unless_more_are_asked_for() {
        let clients = |words: &[&str]| Ask::read(words).map(|ask| ask.clients);
        assert_eq!(clients(&["a.json"]), Ok(1));
        assert_eq!(clients(&["a.json", "--clients", "3"]), Ok(3));
        assert!(clients(&["a.json", "--clients", "0"]).is_err());
        assert!(clients(&["a.json", "--clients", "1000"]).is_err());
    }

    #[test]
    fn clients_have_a_whole_core_or_a_part_that_the_kernel_can_count() {
        let core = |words: &[&str]| Ask::read(words).map(|ask| ask.client_core);
        assert_eq!(core(&["a.json"]), Ok(100));
        assert_eq!(core(&["a.json", "--client-core", "50"]), Ok(50));
        assert!(core(&["a.json", "--client-core", "9"]).is_err());
        assert!(core(&["a.json", "--client-core", "101"]).is_err());
    }

    #[test]
    fn help_tells_who_can_build() {
        for peer in Peer::USUAL.iter().chain(&[Peer::Icecream, Peer::Sccache]) {
            assert!(help().contains(peer.name()), "{}", peer.name());
        }
    }
}
