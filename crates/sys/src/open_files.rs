//! How many files this process may have open.

use std::io;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Enough for thousands of jobs. Not more, because children inherit it, and some close every number up to it.
const OPEN_FILES_WANTED: u64 = 65_536;

/// Raises the soft limit as far as the hard limit lets it, up to `OPEN_FILES_WANTED`. Never lowers it.
///
/// # Errors
/// What `setrlimit` says.
pub fn raise_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(OPEN_FILES_WANTED, |hard| hard.min(OPEN_FILES_WANTED));
    if limit.current.is_some_and(|soft| soft < wanted) {
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_only_grows() {
        let before = getrlimit(Resource::Nofile);
        raise_limit().unwrap();
        let after = getrlimit(Resource::Nofile);
        assert_eq!(after.maximum, before.maximum);
        assert!(
            after
                .current
                .is_none_or(|now| before.current.is_some_and(|old| now >= old))
        );
    }
}
