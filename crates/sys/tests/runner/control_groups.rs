//! Limits that the kernel holds for a job as a whole, where the server has a control group of its
//! own. Such a group is made by the harness; where it cannot be, these tests say so and pass.

use std::fs;

use crate::Test;
use crate::attacks::everywhere;
use crate::world::{End, Job, World};

pub(crate) const TESTS: &[Test] = &[
    ("control_groups_limit_memory", control_groups_limit_memory),
    (
        "control_groups_limit_processes",
        control_groups_limit_processes,
    ),
    (
        "a_control_group_is_not_taken_from_others",
        a_control_group_is_not_taken_from_others,
    ),
];

/// Waits to be put into a group; false if there is none.
fn is_in_group() -> bool {
    if std::env::var_os(crate::harness::GROUP).is_none() {
        println!("SKIPPED: no control groups that count memory here");
        return false;
    }
    while !fs::read_to_string("/proc/self/cgroup")
        .unwrap()
        .contains("farcc-test")
    {
        std::thread::yield_now();
    }
    true
}

fn world() -> World {
    World::with(|config| {
        config.visible = vec![std::env::var_os(crate::harness::ATTACK).unwrap().into()];
        config.groups = Some(sys::sandbox::take_control_group().unwrap());
    })
}

fn control_groups_limit_memory() {
    if !is_in_group() {
        return;
    }
    let world = world();
    let fills: [&[&str]; 4] = [
        &["fill", "private", "1024"],
        &["fill", "shared", "1024"],
        &["fill", "apart", "1024"],
        &["memory-files"],
    ];
    for words in fills {
        for mut job in everywhere(&world, words) {
            job.limits.memory_bytes_max = Some(96 << 20);
            job.limits.open_files_max = 512;
            let end = world.run(&job);
            assert!(matches!(end, End::OutOfMemory), "{words:?}: {end:?}");
            world.check_alive();
        }
    }
    let job = Job::shell("cat /dev/zero > /tmp/full; exec sleep 1000");
    let job = job.limits(|limits| limits.memory_bytes_max = Some(32 << 20));
    assert!(matches!(world.run(&job), End::OutOfMemory));
    // A group that was killed, and whose outputs are still held, does not count for the next job.
    let fits = |world: &World| {
        let job = everywhere(world, &["fill", "private", "64"]).remove(4);
        job.limits(|limits| limits.memory_bytes_max = Some(96 << 20))
    };
    world.check(&fits(&world), "filled");
    let job = Job::shell("head -c 60000000 /dev/zero > /tmp/out").outputs(&["/tmp/out"]);
    let held = world.finish(&job.limits(|limits| limits.memory_bytes_max = Some(96 << 20)));
    world.check(&fits(&world), "filled");
    drop(held);
    // Killed by us is not killed for want of memory.
    let mut running = world.start(&Job::shell("exec sleep 1000"));
    running.kill();
    assert!(matches!(crate::world::wait(&mut running), End::Gone));
}

fn control_groups_limit_processes() {
    if !is_in_group() {
        return;
    }
    let world = world();
    for job in everywhere(&world, &["forks"]) {
        let (_, text) = world.print(&job);
        let count = text.trim_start_matches("forks ").split(' ').next().unwrap();
        assert!(count.parse::<u32>().unwrap() < 64, "root as well: {text}");
    }
    world.check_alive();
}

fn a_control_group_is_not_taken_from_others() {
    if !is_in_group() {
        return;
    }
    let mut other = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let error = sys::sandbox::take_control_group().unwrap_err();
    assert!(
        error.to_string().contains("shares its control group"),
        "{error}"
    );
    other.kill().unwrap();
    other.wait().unwrap();
    sys::sandbox::take_control_group().unwrap();
}
