//! Where the store is and how large it may be, if the administrator does not say.
//!
//! A service has `/var/cache/farcc`, made by its package, by systemd (`$CACHE_DIRECTORY`), or here
//! while still root; an ordinary user has a directory of the cache folder. Never below
//! `$DISTCC_DIR`, and never on a network file system unless told so: homes are often there, shared
//! by machines that would take each other's store for their own.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The store of a service.
const SYSTEM_DIR: &str = "/var/cache/farcc";

const GIB: u64 = 1 << 30;

/// Most that a store takes if nobody says: enough for the toolchains and headers of a large
/// project many times.
const BYTES_MAX: u64 = 64 * GIB;

/// Least that is worth having.
const BYTES_MIN: u64 = GIB / 4;

/// What the environment says of places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `FARCC_STORE`.
    pub(crate) store: Option<OsString>,
    /// `CACHE_DIRECTORY`: what systemd made for this service.
    pub(crate) service_cache: Option<OsString>,
    /// `XDG_CACHE_HOME`, or `.cache` below `HOME`.
    pub(crate) user_cache: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Environment {
        let absolute = |name| {
            let path = PathBuf::from(get(name)?);
            path.is_absolute().then_some(path)
        };
        let home = absolute("HOME").filter(|home| home != Path::new("/"));
        Environment {
            store: get("FARCC_STORE").filter(|path| !path.is_empty()),
            service_cache: get("CACHE_DIRECTORY").filter(|path| !path.is_empty()),
            user_cache: absolute("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache"))),
        }
    }
}

/// A place for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    /// Somebody named it: then its file system is their business.
    pub(crate) is_named: bool,
}

/// The places that come into question, the best first.
pub(crate) fn places(option: Option<&Path>, environment: &Environment) -> Vec<Place> {
    let named = option
        .map(Path::to_path_buf)
        .or_else(|| environment.store.as_ref().map(PathBuf::from))
        .or_else(|| {
            // Several are separated by colons; the first is enough.
            let dirs = environment.service_cache.as_ref()?.to_str()?;
            Some(PathBuf::from(dirs.split(':').next()?))
        });
    if let Some(dir) = named {
        return vec![Place {
            dir,
            is_named: true,
        }];
    }
    let user = environment.user_cache.as_ref();
    let user = user.map(|cache| cache.join("farcc/worker"));
    [Some(PathBuf::from(SYSTEM_DIR)), user]
        .into_iter()
        .flatten()
        .map(|dir| Place {
            dir,
            is_named: false,
        })
        .collect()
}

/// The first place that can be used; its directory exists then, and belongs to this process's
/// user.
///
/// # Errors
/// Why none of them can, a line each.
pub(crate) fn choose(places: &[Place]) -> Result<PathBuf, String> {
    let mut whys = Vec::new();
    for place in places {
        match try_place(place) {
            Ok(()) => return Ok(place.dir.clone()),
            Err(why) => whys.push(format!("{}: {why}", place.dir.display())),
        }
    }
    if whys.is_empty() {
        whys.push("no directory for it: name one with --store DIR".to_owned());
    }
    Err(whys.join("; "))
}

fn try_place(place: &Place) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&place.dir)?;
    if !place.is_named && sys::disk::is_remote(&place.dir)? {
        return Err(io::Error::other(
            "on a network file system: name it with --store DIR if that is meant",
        ));
    }
    sys::disk::check_writable(&place.dir)
}

/// How large a store may be if nobody says: half of what it and the free disk have together.
pub(crate) fn default_bytes(free_bytes: u64, store_bytes: u64) -> u64 {
    (free_bytes.saturating_add(store_bytes) / 2).clamp(BYTES_MIN, BYTES_MAX)
}

/// Reads a size: bytes, or with K, M, G or T (of 1024).
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("--store-size takes a size like 500M, 20G or 1T, at least 256M, not \"{text}\"");
    let trimmed = text.trim();
    let trimmed = trimmed.strip_suffix(['B', 'b']).unwrap_or(trimmed);
    let trimmed = trimmed.strip_suffix('i').unwrap_or(trimmed);
    let (digits, shift) = match trimmed.char_indices().last() {
        Some((at, 'K' | 'k')) => (&trimmed[..at], 10),
        Some((at, 'M' | 'm')) => (&trimmed[..at], 20),
        Some((at, 'G' | 'g')) => (&trimmed[..at], 30),
        Some((at, 'T' | 't')) => (&trimmed[..at], 40),
        _ => (trimmed, 0),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    Some(bytes)
        .filter(|bytes| *bytes >= BYTES_MIN)
        .ok_or_else(wrong)
}

/// A size for people.
pub(crate) fn size_text(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let mut all = variables.iter();
            let found = all.find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[track_caller]
    fn check(option: Option<&str>, variables: &[(&str, &str)], expected: &[&str]) {
        let places = places(option.map(Path::new), &read(variables));
        let dirs: Vec<_> = places
            .iter()
            .map(|place| place.dir.to_str().unwrap())
            .collect();
        assert_eq!(dirs, expected);
    }

    #[test]
    fn who_names_a_place_gets_it() {
        let all = [
            ("FARCC_STORE", "/f"),
            ("CACHE_DIRECTORY", "/c:/d"),
            ("HOME", "/home/u"),
        ];
        check(Some("/o"), &all, &["/o"]);
        check(None, &all, &["/f"]);
        check(None, &all[1..], &["/c"]);
        check(
            None,
            &all[2..],
            &["/var/cache/farcc", "/home/u/.cache/farcc/worker"],
        );
        check(
            None,
            &[("XDG_CACHE_HOME", "/x")],
            &["/var/cache/farcc", "/x/farcc/worker"],
        );
        check(None, &[("HOME", "/")], &["/var/cache/farcc"]);
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("20G", Some(20 * GIB)),
            ("1T", Some(1024 * GIB)),
            ("512 MiB", Some(GIB / 2)),
            ("300000000", Some(300_000_000)),
            ("1g", Some(GIB)),
            ("100M", None),
            ("x", None),
            ("-1G", None),
            ("", None),
            ("99999999999T", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn a_store_takes_half_of_what_is_free() {
        assert_eq!(default_bytes(20 * GIB, 0), 10 * GIB);
        assert_eq!(default_bytes(10 * GIB, 10 * GIB), 10 * GIB);
        assert_eq!(default_bytes(0, 0), BYTES_MIN);
        assert_eq!(default_bytes(10_000 * GIB, 0), BYTES_MAX);
    }

    #[test]
    fn the_first_place_that_works_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let place = |dir: PathBuf| Place {
            dir,
            is_named: false,
        };
        let (bad, good) = (place(file.join("x")), place(dir.path().join("a/b")));
        assert_eq!(choose(&[bad.clone(), good.clone()]), Ok(good.dir.clone()));
        assert!(good.dir.is_dir());
        let why = choose(&[bad]).unwrap_err();
        assert!(why.contains("file/x"), "{why}");
        assert!(choose(&[]).unwrap_err().contains("--store"));
    }
}
