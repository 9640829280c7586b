//! Which system calls jobs do without.
//!
//! Compilers, shells, interpreters, build tools and programs under test get by without all of
//! these, or have another way when they are told that there is no such call (`ENOSYS`). `EPERM` is
//! for those that ordinary users may not make in most places anyway. Most could do nothing in a
//! job, which has no privilege; but much of what was ever wrong in kernels was behind them.

use libc::{EPERM, c_long};

/// What is done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel makes it.
    Allow,
    /// It fails with this error.
    Refuse(i32),
    /// That depends on its arguments.
    Look(Arguments),
}

/// What is looked at in a call's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// The first must have none of these bits.
    NoFlags(u32),
    /// The second must be none of these.
    NotSecond(&'static [u32]),
    /// If the argument with the first index is `RLIMIT_CORE`, and that with the second, if any, is
    /// not null, the call does nothing and succeeds.
    NotCoreLimit(u32, Option<u32>),
    /// The first and the third must be among these.
    FirstAndThird(&'static [u32], &'static [u32]),
}

use Arguments::{FirstAndThird, NoFlags, NotCoreLimit, NotSecond};
use Verdict::{Look, Refuse};

/// One call.
pub(super) type Row = (&'static str, c_long, Verdict);

const NO_PERMISSION: Verdict = Refuse(EPERM);
const NO_CALL: Verdict = Refuse(libc::ENOSYS);

/// Numbers from this one on are of calls that are younger than this table: there are none.
/// On some architectures a bit above makes calls of another kind out of all others.
pub(super) const NUMBERS_END: u32 = 467;

/// Flags of `clone` that make namespaces, in which a job would be privileged.
const NAMESPACES: u32 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u32;

/// The same of `unshare`; in `clone` this is part of a signal's number.
const CLONE_NEWTIME: u32 = 0x80;

/// Families of sockets: the network is empty, and others have more kernel behind them.
const FAMILIES: &[u32] = &[
    libc::AF_UNIX as u32,
    libc::AF_INET as u32,
    libc::AF_INET6 as u32,
];

/// Protocols: the family's own choice, `PF_UNIX` and ICMP, TCP, UDP.
const PROTOCOLS: &[u32] = &[0, 1, 6, 17];

/// Puts text into the input of a terminal.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the kernel takes 32 bits; the C library's type differs"
)]
const TERMINAL_INPUT: &[u32] = &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32];

/// With a lease on a file that is shared with other jobs, one would make them wait to open it.
const LEASE: &[u32] = &[libc::F_SETLEASE as u32];

/// All calls that are not simply allowed. Sorted by name.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    ("acct", libc::SYS_acct, NO_PERMISSION),
    ("add_key", libc::SYS_add_key, NO_PERMISSION),
    ("bpf", libc::SYS_bpf, NO_PERMISSION),
    ("chroot", libc::SYS_chroot, NO_PERMISSION),
    ("clock_adjtime", libc::SYS_clock_adjtime, NO_PERMISSION),
    ("clock_settime", libc::SYS_clock_settime, NO_PERMISSION),
    ("clone", libc::SYS_clone, Look(NoFlags(NAMESPACES))),
    // Its flags are out of sight; the C library then uses `clone`.
    ("clone3", libc::SYS_clone3, NO_CALL),
    ("delete_module", libc::SYS_delete_module, NO_PERMISSION),
    ("fanotify_init", libc::SYS_fanotify_init, NO_PERMISSION),
    ("fcntl", libc::SYS_fcntl, Look(NotSecond(LEASE))),
    ("finit_module", libc::SYS_finit_module, NO_PERMISSION),
    ("fsconfig", libc::SYS_fsconfig, NO_PERMISSION),
    ("fsmount", libc::SYS_fsmount, NO_PERMISSION),
    ("fsopen", libc::SYS_fsopen, NO_PERMISSION),
    ("fspick", libc::SYS_fspick, NO_PERMISSION),
    ("init_module", libc::SYS_init_module, NO_PERMISSION),
    ("io_uring_enter", libc::SYS_io_uring_enter, NO_CALL),
    ("io_uring_register", libc::SYS_io_uring_register, NO_CALL),
    ("io_uring_setup", libc::SYS_io_uring_setup, NO_CALL),
    ("ioctl", libc::SYS_ioctl, Look(NotSecond(TERMINAL_INPUT))),
    #[cfg(target_arch = "x86_64")]
    ("ioperm", libc::SYS_ioperm, NO_PERMISSION),
    #[cfg(target_arch = "x86_64")]
    ("iopl", libc::SYS_iopl, NO_PERMISSION),
    ("kcmp", libc::SYS_kcmp, NO_PERMISSION),
    ("kexec_file_load", libc::SYS_kexec_file_load, NO_PERMISSION),
    ("kexec_load", libc::SYS_kexec_load, NO_PERMISSION),
    ("keyctl", libc::SYS_keyctl, NO_PERMISSION),
    ("lookup_dcookie", libc::SYS_lookup_dcookie, NO_PERMISSION),
    ("memfd_secret", libc::SYS_memfd_secret, NO_CALL),
    #[cfg(target_arch = "x86_64")]
    ("modify_ldt", libc::SYS_modify_ldt, NO_PERMISSION),
    ("mount", libc::SYS_mount, NO_PERMISSION),
    ("mount_setattr", libc::SYS_mount_setattr, NO_PERMISSION),
    ("move_mount", libc::SYS_move_mount, NO_PERMISSION),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, NO_PERMISSION),
    ("open_tree", libc::SYS_open_tree, NO_PERMISSION),
    ("perf_event_open", libc::SYS_perf_event_open, NO_PERMISSION),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, NO_PERMISSION),
    ("pivot_root", libc::SYS_pivot_root, NO_PERMISSION),
    // A limit of 1 byte, which is set, keeps the kernel from starting the machine's collector of
    // crashes for a job's processes. Scripts set 0, and then it would.
    ("prlimit64", libc::SYS_prlimit64, Look(NotCoreLimit(1, Some(2)))),
    ("process_vm_readv", libc::SYS_process_vm_readv, NO_PERMISSION),
    ("process_vm_writev", libc::SYS_process_vm_writev, NO_PERMISSION),
    ("ptrace", libc::SYS_ptrace, NO_PERMISSION),
    ("quotactl", libc::SYS_quotactl, NO_PERMISSION),
    ("quotactl_fd", libc::SYS_quotactl_fd, NO_PERMISSION),
    ("reboot", libc::SYS_reboot, NO_PERMISSION),
    ("request_key", libc::SYS_request_key, NO_PERMISSION),
    ("setdomainname", libc::SYS_setdomainname, NO_PERMISSION),
    ("sethostname", libc::SYS_sethostname, NO_PERMISSION),
    ("setns", libc::SYS_setns, NO_PERMISSION),
    #[cfg(target_arch = "x86_64")]
    ("setrlimit", libc::SYS_setrlimit, Look(NotCoreLimit(0, None))),
    ("settimeofday", libc::SYS_settimeofday, NO_PERMISSION),
    ("socket", libc::SYS_socket, Look(FirstAndThird(FAMILIES, PROTOCOLS))),
    ("swapoff", libc::SYS_swapoff, NO_PERMISSION),
    ("swapon", libc::SYS_swapon, NO_PERMISSION),
    ("syslog", libc::SYS_syslog, NO_PERMISSION),
    ("umount2", libc::SYS_umount2, NO_PERMISSION),
    ("unshare", libc::SYS_unshare, Look(NoFlags(NAMESPACES | CLONE_NEWTIME))),
    ("userfaultfd", libc::SYS_userfaultfd, NO_PERMISSION),
    ("vhangup", libc::SYS_vhangup, NO_PERMISSION),
];

/// Calls that make memory which counts against no limit where only processes and file systems are
/// counted. Sorted by name.
pub(super) const UNCOUNTED: &[Row] = &[
    ("memfd_create", libc::SYS_memfd_create, NO_CALL),
    ("shmget", libc::SYS_shmget, NO_CALL),
];
