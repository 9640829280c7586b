//! Host lists: where a job's list is, and what it means, parsed once per change.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use place::{Candidate, HostId};
use stock::hosts::{Host, HostList};

use crate::native::Workers;
use crate::settings::Settings;

/// Most lists that are remembered; beyond that all are parsed anew.
const LISTS_MAX: usize = 256;

/// Longer lists are taken for empty, in bytes: some 100,000 hosts.
const LIST_BYTES_MAX: u64 = 4 << 20;

/// Least number of local slots unless the list says otherwise; stock's fixed number.
const LOCAL_SLOTS_MIN: u32 = stock::hosts::DEFAULT_LOCALSLOTS;

/// Least number of preprocessors at once unless the list says otherwise; stock's fixed number.
const PREPROCESS_SLOTS_MIN: u32 = stock::hosts::DEFAULT_LOCALSLOTS_CPP;

/// A host list, ready for use.
#[derive(Debug)]
pub(crate) struct JobHosts {
    /// Where it comes from, for messages.
    pub(crate) source: String,
    /// The hosts that may be chosen, in the list's order.
    pub(crate) candidates: Arc<[Candidate]>,
    hosts: HashMap<HostId, Host>,
    /// Slots for compiles that have to be local.
    pub(crate) local_slots: u32,
    /// Preprocessors at once.
    pub(crate) preprocess_slots: u32,
    /// Each job meets the hosts in an order of its own.
    randomize: bool,
    /// What is wrong with the list.
    complaints: Vec<String>,
}

/// What a list was made from; if any of it differs, the list may differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Origin {
    Variable(OsString),
    File {
        path: PathBuf,
        identity: [u64; 4],
        modified: (i64, i64),
    },
    Nowhere,
}

/// All lists seen, and the numbers of all hosts seen.
#[derive(Debug)]
pub(crate) struct HostLists {
    system_file: PathBuf,
    lists: RefCell<HashMap<Origin, Rc<JobHosts>>>,
    ids: RefCell<HashMap<String, HostId>>,
    processors: u32,
}

impl HostLists {
    /// `system_file` is read where the user has no list: `/etc/distcc/hosts`.
    pub(crate) fn new(system_file: PathBuf) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            system_file,
            lists: RefCell::default(),
            ids: RefCell::default(),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
        }
    }

    /// The list that holds for a job. Files are looked at each time, and read when they changed.
    pub(crate) fn of(&self, settings: &Settings) -> Rc<JobHosts> {
        let user_file = settings.dir.join("hosts");
        let origin = match &settings.hosts {
            Some(text) => Origin::Variable(text.clone()),
            None => file_origin(&user_file)
                .or_else(|| file_origin(&self.system_file))
                .unwrap_or(Origin::Nowhere),
        };
        if let Some(list) = self.lists.borrow().get(&origin) {
            return Rc::clone(list);
        }
        let (source, text) = match &origin {
            Origin::Variable(text) => ("$DISTCC_HOSTS".to_owned(), text.as_encoded_bytes().into()),
            Origin::File { path, .. } => (
                path.display().to_string(),
                sys::plain_file::read(path, LIST_BYTES_MAX).unwrap_or_default(),
            ),
            Origin::Nowhere => (String::new(), Vec::new()),
        };
        let list = Rc::new(self.read(source, &String::from_utf8_lossy(&text)));
        let mut lists = self.lists.borrow_mut();
        if lists.len() >= LISTS_MAX {
            lists.clear();
        }
        lists.insert(origin, Rc::clone(&list));
        list
    }

    fn read(&self, source: String, text: &str) -> JobHosts {
        let list = HostList::parse(text);
        let mut complaints: Vec<String> = list
            .errors
            .iter()
            .map(|error| format!("{source}: {error}"))
            .collect();
        if list.zeroconf {
            complaints.push(format!("{source}: `+zeroconf` is not supported yet"));
        }
        let (local_slots, preprocess_slots) = (
            list.localslots
                .unwrap_or_else(|| self.processors.max(LOCAL_SLOTS_MIN)),
            list.localslots_cpp
                .unwrap_or_else(|| self.processors.max(PREPROCESS_SLOTS_MIN)),
        );
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut hosts = HashMap::new();
        for host in list.hosts {
            if host.auth.is_some() {
                let text = &host.text;
                complaints.push(format!(
                    "{source}: `{text}`: GSSAPI authentication (`,auth`) is not supported"
                ));
                continue;
            }
            if host.down {
                continue;
            }
            let id = self.id_of(&host);
            let slots = host.slots();
            // A host that is listed twice has no more slots for it: their lock files are the same.
            match candidates.iter_mut().find(|known| known.host == id) {
                Some(known) => known.slots = known.slots.max(slots),
                None => candidates.push(Candidate { host: id, slots }),
            }
            hosts.entry(id).or_insert(host);
        }
        JobHosts {
            source,
            candidates: candidates.into(),
            hosts,
            local_slots,
            preprocess_slots,
            randomize: list.randomize,
            complaints,
        }
    }

    fn id_of(&self, host: &Host) -> HostId {
        if host.is_local() {
            return HostId::LOCAL;
        }
        let mut ids = self.ids.borrow_mut();
        let next = HostId(u32::try_from(ids.len() + 1).unwrap_or(u32::MAX));
        *ids.entry(host.identity()).or_insert(next)
    }
}

impl JobHosts {
    /// The entry of a host; `None` for this machine.
    pub(crate) fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id).filter(|host| !host.is_local())
    }

    /// Whether there are hosts that may be workers.
    pub(crate) fn some_may_be_native(&self, workers: &Workers) -> bool {
        let mut candidates = self.candidates.iter();
        candidates.any(|candidate| self.may_be_native(candidate.host, workers))
    }

    /// Whether a host may be a worker.
    pub(crate) fn may_be_native(&self, id: HostId, workers: &Workers) -> bool {
        self.host(id)
            .is_some_and(|host| workers.may_be_native(id, host))
    }

    /// These hosts, as many slots of each as its list says or it announced, without those that cannot run the job.
    pub(crate) fn fitting(
        &self,
        candidates: &[Candidate],
        workers: &Workers,
        fits: impl Fn(HostId, Option<&Host>) -> bool,
    ) -> Arc<[Candidate]> {
        let candidates = candidates.iter().copied();
        let candidates = candidates.filter(|it| fits(it.host, self.host(it.host)));
        candidates
            .map(|it| match self.host(it.host) {
                Some(host) if host.limit.is_none() => Candidate {
                    slots: workers.slots(it.host).unwrap_or(it.slots),
                    ..it
                },
                _ => it,
            })
            .collect()
    }

    /// Whether there are hosts that take source and headers (`,lzo,cpp`).
    pub(crate) fn some_take_files(&self) -> bool {
        self.remote().any(|host| host.protocol().sends_files())
    }

    fn remote(&self) -> impl Iterator<Item = &Host> {
        let candidates = self.candidates.iter();
        candidates.filter_map(|candidate| self.host(candidate.host))
    }

    /// The hosts in the order in which this job should meet them.
    pub(crate) fn candidates_for(&self, job: u64) -> Arc<[Candidate]> {
        if !self.randomize {
            return Arc::clone(&self.candidates);
        }
        let mut shuffled = self.candidates.to_vec();
        let mut random = job;
        for end in (1..shuffled.len()).rev() {
            random = split_mix(random);
            let pick = usize::try_from(random % (end as u64 + 1)).expect("below a length");
            shuffled.swap(end, pick);
        }
        shuffled.into()
    }

    /// What is wrong with the list.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }
}

fn file_origin(path: &Path) -> Option<Origin> {
    let meta = fs::metadata(path).ok()?;
    // As with stock, a file that cannot be read is passed over.
    sys::plain_file::open(path).ok()?;
    Some(Origin::File {
        path: path.to_owned(),
        identity: [
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.ctime().cast_unsigned(),
        ],
        modified: (meta.mtime(), meta.mtime_nsec()),
    })
}

/// One step of SplitMix64: spreads consecutive job numbers.
fn split_mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::JobRequest;

    fn settings(dir: &Path, hosts: Option<&str>) -> Settings {
        let mut env = vec![("DISTCC_DIR".into(), dir.into())];
        env.extend(hosts.map(|hosts| ("DISTCC_HOSTS".into(), hosts.into())));
        Settings::of(&JobRequest {
            env,
            ..JobRequest::default()
        })
    }

    #[test]
    fn the_variable_then_the_directory_then_the_system() {
        let temp = tempfile::tempdir().unwrap();
        let system = temp.path().join("system");
        let lists = HostLists::new(system.clone());
        let source = |hosts| lists.of(&settings(temp.path(), hosts)).source.clone();
        assert_eq!(source(None), "");
        fs::write(&system, "a").unwrap();
        assert_eq!(source(None), system.display().to_string());
        let own = temp.path().join("hosts");
        fs::write(&own, "b c/2").unwrap();
        assert_eq!(source(None), own.display().to_string());
        assert_eq!(source(Some("")), "$DISTCC_HOSTS");
        assert_eq!(lists.of(&settings(temp.path(), None)).candidates.len(), 2);
        fs::write(&own, "d").unwrap();
        assert_eq!(lists.of(&settings(temp.path(), None)).candidates.len(), 1);
    }

    #[test]
    fn broken_tokens_are_named_and_the_rest_is_used() {
        let temp = tempfile::tempdir().unwrap();
        let lists = HostLists::new("/nonexistent".into());
        let of = |hosts| lists.of(&settings(temp.path(), Some(hosts)));
        let list = of("good/2 bad,what good:3632/3 x,down +zeroconf");
        let id = list.candidates[0].host;
        assert_eq!(list.candidates[..], [Candidate { host: id, slots: 3 }]);
        assert_eq!(list.host(id).unwrap().name(), "good");
        assert_eq!(list.complaints().len(), 2);
        let broken = of("bad,what");
        assert_eq!(broken.complaints().len(), 1);
    }

    #[test]
    fn lists_share_hosts_and_this_machine_is_number_zero() {
        let temp = tempfile::tempdir().unwrap();
        let lists = HostLists::new("/nonexistent".into());
        let of = |hosts| lists.of(&settings(temp.path(), Some(hosts)));
        let (one, two) = (of("a,lzo localhost/3"), of("b a/8"));
        assert_eq!(one.candidates[0].host, two.candidates[1].host);
        assert_eq!(one.candidates[1].host, HostId::LOCAL);
        assert!(one.host(HostId::LOCAL).is_none());
        assert!(one.local_slots >= 4 && one.preprocess_slots >= 8);
        let set = of("--localslots=1 --localslots_cpp=2 a");
        assert_eq!((set.local_slots, set.preprocess_slots), (1, 2));
    }

    #[test]
    fn randomized_lists_differ_between_jobs() {
        let temp = tempfile::tempdir().unwrap();
        let lists = HostLists::new("/nonexistent".into());
        let list = lists.of(&settings(temp.path(), Some("--randomize a b c d e f")));
        let first: std::collections::HashSet<_> = (0..100)
            .map(|job| list.candidates_for(job)[0].host)
            .collect();
        assert_eq!(first.len(), 6);
    }
}
