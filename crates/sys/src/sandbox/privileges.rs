//! What a job's first process gives up before it touches anything that a client chose.

use std::fs::{self, File};
use std::io::{self, Write};

use rustix::process::{DumpableBehavior, Resource, Rlimit, setrlimit};

use super::spec::JobLimits;
use super::step;

/// User and group as which jobs see themselves: any but 0, which would get capabilities again by
/// running a program.
pub(super) const INNER_ID: u32 = 1000;

/// Maps one user and group of the parent namespace, and so this process, to [`INNER_ID`].
pub(super) fn map_identity(uid: u32, gid: u32) -> io::Result<()> {
    // Giving up root has made the files in /proc/self root's.
    let _owned_already = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
    // Denied already where the parent namespace does so.
    let _denied = fs::write("/proc/self/setgroups", "deny");
    let write = |file: &str, outer: u32| {
        let mut file = File::options().write(true).open(file)?;
        file.write_all(format!("{INNER_ID} {outer} 1\n").as_bytes())
    };
    step("write /proc/self/gid_map", write("/proc/self/gid_map", gid))?;
    step("write /proc/self/uid_map", write("/proc/self/uid_map", uid))
}

/// Where the machine's memory runs out, jobs are killed, not the server or anything else.
pub(super) fn volunteer_for_death() {
    let _get_along_without = fs::write("/proc/self/oom_score_adj", "1000");
}

/// In a namespace of its own the job could be privileged again, and reach more of the kernel.
pub(super) fn forbid_nested_namespaces() {
    // Containers may mount this read-only; the job's root protects without it.
    let _best_effort = fs::write("/proc/sys/user/max_user_namespaces", "0");
}

pub(super) fn give_up_privileges() -> io::Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    };
    step("set no-new-privileges", set_no_new_privs(true))?;
    for capability in CapabilitySet::all().iter() {
        // Those that this kernel does not know cannot be had either.
        let _unknown = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    step("give up capabilities", set_capabilities(None, none))?;
    // The job has the same user: it must not be able to trace this process, which holds the
    // server's socket.
    let behavior = DumpableBehavior::NotDumpable;
    step(
        "forbid tracing",
        rustix::process::set_dumpable_behavior(behavior),
    )
}

pub(super) fn set_limits(limits: &JobLimits, is_own_namespace: bool) -> io::Result<()> {
    let set = |resource, soft: u64, hard: u64| {
        let allowed = rustix::process::getrlimit(resource)
            .maximum
            .unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(soft.min(allowed)),
            maximum: Some(hard.min(allowed)),
        };
        step("set resource limits", setrlimit(resource, limit))
    };
    // Not 0: that would keep the kernel from writing files, but not from starting the machine's
    // collector of crashes.
    set(Resource::Core, 1, 1)?;
    set(
        Resource::Fsize,
        limits.files_bytes_max,
        limits.files_bytes_max,
    )?;
    set(
        Resource::Nofile,
        limits.open_files_max,
        limits.open_files_max,
    )?;
    if let Some(bytes) = limits.process_bytes_max {
        set(Resource::Data, bytes, bytes)?;
    }
    if let Some(seconds) = limits.cpu_seconds_max {
        set(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    }
    // Elsewhere this would count all processes of the user.
    if is_own_namespace {
        set(Resource::Nproc, limits.processes_max, limits.processes_max)?;
    }
    Ok(())
}
