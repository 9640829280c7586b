//! The name of the agent's socket inside `$DISTCC_DIR`.
//!
//! An agent serves the processes of one user that see the same machine as itself. Two processes
//! see different machines when they differ in root directory, mount, network or pid namespace
//! (Portage's sandboxes, chroots, containers that share a `DISTCC_DIR`). All of it goes into the
//! name, so a shim never even reaches an agent that would read other files or die with another
//! build's pid namespace.

use crate::PROTOCOL_VERSION;

/// What a process sees, told apart by the kernel's own numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Realm {
    /// Inode of `/proc/self/ns/mnt`; 0 where unknown, here and below.
    pub mount_ns: u64,
    /// Inode of `/proc/self/ns/net`.
    pub net_ns: u64,
    /// Inode of `/proc/self/ns/pid`.
    pub pid_ns: u64,
    /// Device of `/`.
    pub root_dev: u64,
    /// Inode of `/`.
    pub root_ino: u64,
}

impl Realm {
    /// Sixteen hexadecimal digits that differ between realms (FNV-1a over the five numbers).
    #[must_use]
    pub fn tag(&self) -> String {
        let numbers = [
            self.mount_ns,
            self.net_ns,
            self.pid_ns,
            self.root_dev,
            self.root_ino,
        ];
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in numbers.iter().flat_map(|number| number.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        format!("{hash:016x}")
    }
}

/// Prefix of every socket of this user, whatever its realm and version.
#[must_use]
pub fn user_prefix(uid: u32) -> String {
    format!("agent-{uid}-")
}

/// File name of the socket for a user and realm.
#[must_use]
pub fn socket_name(uid: u32, realm: &Realm) -> String {
    format!(
        "{}v{PROTOCOL_VERSION}-{}.sock",
        user_prefix(uid),
        realm.tag()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_realm_changes_the_name() {
        let realm = Realm {
            mount_ns: 1,
            net_ns: 2,
            pid_ns: 3,
            root_dev: 4,
            root_ino: 5,
        };
        let others = [
            Realm {
                mount_ns: 9,
                ..realm
            },
            Realm { net_ns: 9, ..realm },
            Realm { pid_ns: 9, ..realm },
            Realm {
                root_dev: 9,
                ..realm
            },
            Realm {
                root_ino: 9,
                ..realm
            },
        ];
        for other in others {
            assert_ne!(socket_name(0, &realm), socket_name(0, &other));
        }
        assert_ne!(socket_name(0, &realm), socket_name(1, &realm));
    }
}
