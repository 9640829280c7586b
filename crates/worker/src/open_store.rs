//! The store of a server that starts: found, opened, or missed with a reason.

use std::path::{Path, PathBuf};

use store::{Options, Store};
use sys::daemon;

use crate::log::Log;
use crate::options::StoreOptions;
use crate::store_place::{self, Place, size_text};

/// Why there is no store.
#[derive(Debug)]
pub(crate) enum NoStore {
    /// Nobody named a place, or nobody wants one: clients of distcc are served without it.
    Optional(String),
    /// The place that `--store` names cannot be used. Whoever names one wants it: a server that
    /// goes on without would be noticed when builds fail.
    AskedFor(String),
}

/// Where the store may be. To be called while still root: what a service's user may not make is
/// made for it.
pub(crate) fn places(
    options: &StoreOptions,
    environment: &store_place::Environment,
    users: &[&str],
    log: &Log,
) -> Vec<Place> {
    let StoreOptions::Store { dir, .. } = options else {
        return Vec::new();
    };
    let dir = dir.as_deref().map(absolute);
    let is_root = daemon::is_root();
    let mut environment = environment.clone();
    if is_root {
        // Root's own folder is nothing for the user that this becomes.
        environment.user_cache = None;
    }
    let places = store_place::places(dir.as_deref(), &environment);
    for place in places.iter().filter(|_| is_root) {
        if let Err(error) = daemon::make_directory_for(&place.dir, users) {
            log.info(format_args!("cannot make {}: {error}", place.dir.display()));
        }
    }
    places
}

/// Opens the store. To be called as the user that serves.
///
/// # Errors
/// Why there is none.
pub(crate) fn open(options: &StoreOptions, places: &[Place], log: &Log) -> Result<Store, NoStore> {
    let StoreOptions::Store { bytes_max, dir } = options else {
        return Err(NoStore::Optional("it is switched off (--no-native)".into()));
    };
    let is_asked_for = dir.is_some();
    let missed = |why: String| match is_asked_for {
        true => NoStore::AskedFor(why),
        false => NoStore::Optional(format!("no store: {why}")),
    };
    let dir = store_place::choose(places).map_err(missed)?;
    let limit = bytes_max.unwrap_or_else(|| default_bytes(&dir));
    let store = Store::open(&dir, Options { bytes_max: limit })
        .map_err(|error| missed(error.to_string()))?;
    let stats = store.stats();
    log.notice(format_args!(
        "store: {}, {} of at most {}{}",
        dir.display(),
        size_text(stats.used_bytes),
        size_text(stats.bytes_max),
        match bytes_max {
            Some(_) => "",
            None => " (what the disk allows; --store-size says otherwise)",
        }
    ));
    Ok(store)
}

fn default_bytes(dir: &Path) -> u64 {
    let free = sys::disk::free_bytes(dir).unwrap_or(0);
    store_place::default_bytes(free, sys::disk::used_bytes(dir))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}
