//! Names of the files in `$DISTCC_DIR/lock`, by which clients that know nothing
//! of each other share slots.
//!
//! A slot is taken by a write lock (`fcntl`) on the whole of an empty file that
//! is created when needed and never deleted. A host that failed has a file with
//! one `x` in it, whose modification time says since when it is avoided.

use crate::hosts::Host;

/// Folder below `$DISTCC_DIR`.
pub const LOCK_DIR: &str = "lock";
/// What stock writes into a backoff file.
pub const BACKOFF_CONTENT: &[u8] = b"x";
/// How long a failed host is avoided, in seconds (`DISTCC_BACKOFF_PERIOD`).
pub const BACKOFF_DEFAULT_S: u64 = 60;
/// The identity that all local slots share, whatever they are used for:
/// `localhost` in the list, `--localslots` and `--localslots_cpp`.
pub const LOCAL_IDENTITY: &str = "localhost";

/// The lock file of slot `slot` (from 0) of `host`: `cpu_tcp_angry_3632_0`.
pub fn slot_file(host: &Host, slot: u32) -> String {
    format!("cpu_{}_{slot}", host.identity())
}

/// The lock file of local slot `slot` (from 0): `cpu_localhost_0`.
pub fn local_slot_file(slot: u32) -> String {
    format!("cpu_{LOCAL_IDENTITY}_{slot}")
}

/// The file that says that `host` failed: `backoff_tcp_angry_3632_0`.
pub fn backoff_file(host: &Host) -> String {
    format!("backoff_{}_0", host.identity())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::HostList;

    fn check(token: &str, slot: &str, backoff: &str) {
        let list = HostList::parse(token);
        assert!(list.errors.is_empty(), "{:?}", list.errors);
        assert_eq!(slot_file(&list.hosts[0], 3), slot);
        assert_eq!(backoff_file(&list.hosts[0]), backoff);
    }

    #[test]
    fn names_are_stocks() {
        check(
            "angry/9,lzo",
            "cpu_tcp_angry_3632_3",
            "backoff_tcp_angry_3632_0",
        );
        check(
            "angry:4200",
            "cpu_tcp_angry_4200_3",
            "backoff_tcp_angry_4200_0",
        );
        check("[::1]", "cpu_tcp_::1_3632_3", "backoff_tcp_::1_3632_0");
        check("me@angry:cmd", "cpu_ssh_angry_3", "backoff_ssh_angry_0");
        check("localhost/7", "cpu_localhost_3", "backoff_localhost_0");
        assert_eq!(local_slot_file(3), "cpu_localhost_3");
    }
}
