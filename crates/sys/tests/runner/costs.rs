//! What the sandbox itself costs for each job, in CPU time, from the kernel's accounting of a
//! control group that holds the spawner and all that comes from it. Needs root.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sys::sandbox::Writable;

use crate::Test;
use crate::world::{Job, World, only};

pub(crate) const TESTS: &[Test] = &[("cost_of_a_job", cost_of_a_job)];

/// Files of the tree, as many as a C unit of a desktop library reads.
const FILES: usize = 400;

/// Jobs of each kind.
const JOBS: u32 = 100;

fn cost_of_a_job() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: control groups are made by root");
        return;
    }
    let world = World::new();
    let paths: Vec<String> = (0..FILES)
        .map(|file| format!("usr/include/d{}/s{}/h{file}.h", file % 20, file % 3))
        .collect();
    let mut entries: Vec<(&str, &[u8])> =
        paths.iter().map(|path| (&**path, &b"int x;"[..])).collect();
    let dirs = [
        "out/",
        "usr/lib/gcc/",
        "usr/bin/",
        "opt/sdk/",
        "w/d/",
        "dev/",
        "proc/",
        "tmp/",
    ];
    entries.extend(dirs.map(|dir| (dir, &b""[..])));
    let tree = world.tree("1/tree", &entries);
    let program = fs::read(reader(&world)).unwrap();
    let shared = world.tree("shared/1", &[("read", &program)]);
    let shares = |job: Job| {
        let job = job
            .shared(&shared, "usr/lib/gcc")
            .shared(&shared, "usr/bin");
        job.shared(&shared, "opt/sdk")
    };
    let group = Group::new();
    group.take(spawner());
    let at_root = Job::new(&["/usr/bin/read"]).outputs(&["/out/a.o", "/out/a.d"]);
    let at_path = Job::new(&["usr/bin/read"]).outputs(&["/build/out/a.o", "/build/out/a.d"]);
    let mut jobs = vec![
        ("stock", Job::new(&["/usr/bin/true"]).outputs(&["/tmp/a.o"])),
        (
            "tree as /, one writable directory",
            shares(at_root.clone().with_root(&tree, only(&["out"]))),
        ),
        (
            "tree as /, all writable",
            shares(at_root.with_root(&tree, Writable::All)),
        ),
        (
            "tree at a path, one writable directory",
            shares(at_path.clone().in_tree(&tree, only(&["out"]))),
        ),
        (
            "tree at a path, all writable",
            shares(at_path.in_tree(&tree, Writable::All)),
        ),
    ];
    let reads: Vec<_> = jobs
        .iter()
        .skip(1)
        .map(|(_, job)| {
            let mut job = job.clone();
            job.argv.extend(paths.iter().map(Into::into));
            ("the same, reading all files", job)
        })
        .collect();
    for (index, reads) in reads.into_iter().enumerate() {
        jobs.insert(2 * index + 2, reads);
    }
    for (name, job) in jobs {
        measure(&world, &group, name, &job);
    }
}

fn measure(world: &World, group: &Group, name: &str, job: &Job) {
    let _warm = world.finish(job);
    let (before, server) = (group.cpu(), own_cpu());
    let start = Instant::now();
    let mut commands = Duration::ZERO;
    for _ in 0..JOBS {
        let outcome = world.finish(job);
        assert_eq!(outcome.wait_status, 0);
        commands += outcome.cpu();
    }
    let wall = start.elapsed() / JOBS;
    let all = (group.cpu() - before) / JOBS;
    println!(
        "{name}: sandbox {:?}, server {:?}, command itself {:?} of CPU; {wall:?} from start to end",
        all.saturating_sub(commands / JOBS),
        (own_cpu() - server) / JOBS,
        commands / JOBS,
    );
}

/// A command that does nothing but read the files that it is given, and look for each in two
/// places first, as compilers do.
fn reader(world: &World) -> PathBuf {
    let (source, program) = (world.path().join("read.c"), world.path().join("read"));
    let text = r#"
        #include <fcntl.h>
        #include <stdio.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
          char buffer[4096];
          for (int i = 1; i < argc; i++) {
            for (int k = 0; k < 2; k++) {
              snprintf(buffer, sizeof buffer, "%s.%d", argv[i], k);
              if (open(buffer, O_RDONLY) >= 0) return 1;
            }
            int fd = open(argv[i], O_RDONLY);
            if (fd < 0 || read(fd, buffer, sizeof buffer) < 0) return 1;
            close(fd);
          }
          return 0;
        }"#;
    fs::write(&source, text).unwrap();
    let mut compile = std::process::Command::new("gcc");
    compile.arg("-static").arg("-o").arg(&program).arg(&source);
    assert!(compile.status().unwrap().success());
    program
}

/// This process's only child.
fn spawner() -> String {
    let children = fs::read_to_string("/proc/thread-self/children").unwrap();
    children.trim().to_owned()
}

/// What this process has used so far.
fn own_cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

struct Group(PathBuf);

impl Group {
    fn new() -> Group {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.contains(" cgroup2 "))
            .expect("cgroup2 is mounted");
        let name = format!("farcc-sandbox-{}", std::process::id());
        let dir = PathBuf::from(mount.split(' ').nth(1).unwrap()).join(name);
        fs::create_dir(&dir).unwrap();
        Group(dir)
    }

    fn take(&self, pid: String) {
        fs::write(self.0.join("cgroup.procs"), pid).unwrap();
    }

    fn cpu(&self) -> Duration {
        let text = fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        let usage = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
            .unwrap();
        Duration::from_micros(usage.parse().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _last_ones = fs::write(self.0.join("cgroup.kill"), "1");
        for _ in 0..10_000 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}
