//! Jobs that want more than they are given. What they try is in `attack.c`; each is stopped, and
//! the sandbox goes on serving.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use sys::sandbox::{Output, Writable};

use crate::Test;
use crate::world::{End, Job, World, only, text, wait};

pub(crate) const TESTS: &[Test] = &[
    (
        "nothing_outside_can_be_read_or_written",
        nothing_outside_can_be_read_or_written,
    ),
    (
        "links_do_not_lead_out_of_the_root",
        links_do_not_lead_out_of_the_root,
    ),
    (
        "files_of_the_store_cannot_be_changed",
        files_of_the_store_cannot_be_changed,
    ),
    ("the_network_is_empty", the_network_is_empty),
    ("jobs_do_not_reach_each_other", jobs_do_not_reach_each_other),
    (
        "a_job_has_its_own_loopback_that_is_clean",
        a_job_has_its_own_loopback_that_is_clean,
    ),
    (
        "processes_outside_are_neither_seen_nor_reached",
        processes_outside_are_neither_seen_nor_reached,
    ),
    ("dangerous_calls_are_refused", dangerous_calls_are_refused),
    (
        "there_is_no_privilege_to_be_had",
        there_is_no_privilege_to_be_had,
    ),
    ("nothing_is_inherited", nothing_is_inherited),
    (
        "a_fork_bomb_harms_only_itself",
        a_fork_bomb_harms_only_itself,
    ),
    ("memory_is_limited", memory_is_limited),
    ("files_are_limited", files_are_limited),
    ("descriptors_are_limited", descriptors_are_limited),
    ("nothing_is_left_running", nothing_is_left_running),
    ("a_crash_leaves_nothing", a_crash_leaves_nothing),
];

/// The attacking program in a tree, beside something to read and something to write to.
fn tree(world: &World) -> PathBuf {
    world.tree(
        "attack",
        &[
            ("attack", &world.attack()),
            ("in/file", b"in"),
            ("out/", b""),
        ],
    )
}

/// The attack in a root of each kind.
pub(crate) fn everywhere(world: &World, words: &[&str]) -> Vec<Job> {
    let tree = tree(world);
    let job = Job::new(&[&["./attack"], words].concat());
    let mut stock = job.clone();
    stock.argv[0] = std::env::var_os(crate::harness::ATTACK).unwrap();
    let out = || only(&["out"]);
    // Without an overlay, as it has a place for everything that is mounted on it.
    let ready = world.tree(
        "ready",
        &[
            ("attack", &world.attack()),
            ("in/file", b"in"),
            ("out/", b""),
            ("dev/", b""),
            ("proc/", b""),
            ("tmp/", b""),
        ],
    );
    vec![
        stock,
        job.clone().with_root(&tree, out()),
        job.clone().with_root(&tree, Writable::All),
        job.clone().in_tree(&tree, out()),
        job.clone().in_tree(&tree, Writable::All),
        job.with_root(&ready, out()),
    ]
}

/// A sandbox in which stock jobs may run the attack as well.
fn world() -> World {
    let attack = PathBuf::from(std::env::var_os(crate::harness::ATTACK).unwrap());
    World::with(|config| config.visible = vec![attack])
}

/// What the attack printed, in each root.
fn attack(words: &[&str]) -> Vec<String> {
    let world = world();
    let texts = everywhere(&world, words)
        .iter()
        .map(|job| {
            let (status, text) = world.print(job);
            assert_eq!(status, 0, "{:?}: {text}", job.root);
            text
        })
        .collect();
    world.check_alive();
    texts
}

fn nothing_outside_can_be_read_or_written() {
    let secret = tempfile::NamedTempFile::with_prefix_in("farcc-secret-", "/var/tmp").unwrap();
    let secret = secret.path().to_str().unwrap();
    let mut words = Vec::new();
    let up = format!("../../../../../../../..{secret}");
    let proc = format!("/proc/1/root{secret}");
    let own = format!("/proc/self/root/../../..{secret}");
    let paths = [
        secret,
        &up,
        &proc,
        &own,
        "/proc/1/cwd/x",
        "/proc/1/environ",
        "/proc/1/fd/3",
        "/proc/1/mem",
        "/etc/passwd",
        "/etc/hostname",
        "/proc/kcore",
        "/proc/kmsg",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/kernel/notes",
        "/dev/mem",
        "/dev/sda",
        "/S",
        "/J",
        "/T/usr",
        "/old",
    ];
    for path in paths {
        words.extend(["read", path]);
    }
    for text in attack(&words) {
        for (line, path) in text.lines().zip(paths) {
            let is_stopped = ["ENOENT", "EACCES"].iter().any(|word| line.ends_with(word));
            assert!(line.starts_with(path) && is_stopped, "{text}");
        }
    }
    let world = world();
    for job in everywhere(&world, &["list", "/"]) {
        let (_, text) = world.print(&job);
        for outside in [" home", " root", " var", " sys", " run", " S", " J", " old"] {
            assert!(
                !text
                    .split('\n')
                    .any(|line| format!("{line} ").contains(&format!("{outside} "))),
                "{text}"
            );
        }
    }
    // Where nothing is writable that should not be, writing does not work; elsewhere it is lost.
    let script = format!(
        "for f in {secret} /usr/x /bin/x /etc/x /dev/x /proc/x; do echo bad > $f && echo wrote $f; done; true"
    );
    let (_, text) = world.print(&Job::shell(&script).in_tree(&tree(&world), only(&["out"])));
    assert!(!text.contains("wrote"), "{text}");
    assert_eq!(fs::read_to_string(secret).unwrap(), "");
    world.check_alive();
}

fn links_do_not_lead_out_of_the_root() {
    let world = world();
    world.tree("secret", &[("file", b"secret")]);
    let secret = world.path().join("work/secret");
    let out = format!("out -> {}", secret.display());
    let tree = world.tree(
        "links",
        &[
            ("attack", &world.attack()),
            (&out, b""),
            ("up -> ../../../../../../../../S/secret", b""),
            ("s -> /S/secret", b""),
            ("j -> /J", b""),
            ("p -> /proc/self/root/S/secret", b""),
            ("f -> /proc/self/fd", b""),
        ],
    );
    let before = world.fingerprint();
    for dir in ["out", "up", "s", "j", "p", "f"] {
        let file = format!("{dir}/file");
        let job = Job::new(&["./attack", "read", &file, "list", dir]);
        for job in [
            job.clone()
                .with_root(&tree, only(&[dir]))
                .outputs(&[&format!("/{dir}/file"), &format!("/{dir}")]),
            job.clone()
                .with_root(&tree, Writable::All)
                .outputs(&[&format!("/{dir}/file"), "/f/3"]),
            job.clone()
                .in_tree(&tree, only(&[dir]))
                .outputs(&[&format!("/build/{dir}/file")]),
            job.in_tree(&tree, Writable::All)
                .outputs(&[&format!("/build/{dir}/file"), "/build/f/3"]),
        ] {
            // Not to be set up is fine, as is an empty directory of the job's own.
            if let End::Finished(outcome) = world.run(&job) {
                let text = text(outcome.stdout);
                assert!(text.contains("file ENOENT") || dir == "f", "{text}");
                assert!(!text.contains(&format!("{dir} file")), "{text}");
                let is_file = |output: &Output| matches!(output, Output::File(_));
                assert!(
                    !outcome.outputs.iter().any(is_file),
                    "{:?}",
                    outcome.outputs
                );
            }
            assert_eq!(world.fingerprint(), before);
        }
    }
    let link = "ln -s /proc/self/fd l; ln -s /proc/self/environ e; ln -s / r; mkdir d; ln -s /etc d/l; mkfifo p";
    let job = Job::shell(link).in_tree(&tree, Writable::All).outputs(&[
        "/build/l/0",
        "/build/l/3",
        "/build/e",
        "/build/r/proc/self/environ",
        "/build/d/l/hosts",
        "/build/p",
    ]);
    let outputs = world.finish(&job).outputs;
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::File(_))),
        "{outputs:?}"
    );
    world.check_alive();
}

fn files_of_the_store_cannot_be_changed() {
    for dirs in [&[][..], &["tool/", "dev/", "proc/", "tmp/"]] {
        let world = world();
        let tree = tree(&world);
        // With and without an overlay.
        let dirs: Vec<(&str, &[u8])> = dirs.iter().map(|dir| (*dir, &b""[..])).collect();
        world.tree("attack", &dirs);
        check_files_cannot_be_changed(&world, &tree);
        world.check_alive();
    }
}

fn check_files_cannot_be_changed(world: &World, tree: &Path) {
    let shared = world.tree("shared", &[("file", b"shared"), ("dir/file", b"deep")]);
    let before = world.fingerprint();
    let job = |file: &str, beside: &str| Job::new(&["./attack", "change", file, beside]);
    for (file, beside) in [
        ("in/file", "in/new"),
        ("tool/file", "tool/new"),
        ("tool/dir/file", "out/new"),
        ("attack", "out/new"),
    ] {
        for dirs in [&["out"][..], &["out", "tool/dir"]] {
            for job in [
                job(file, beside)
                    .with_root(tree, only(dirs))
                    .shared(&shared, "tool"),
                job(file, beside)
                    .in_tree(tree, only(dirs))
                    .shared(&shared, "tool"),
            ] {
                let (status, text) = world.print(&job);
                assert_eq!((status, text.lines().count()), (0, 13), "{text}");
                let is_writable = file.starts_with("tool/dir") && dirs.len() > 1;
                let is_done = |line: &str| line.ends_with("done");
                assert_eq!(text.lines().any(is_done), is_writable, "{text}");
                assert_eq!(world.fingerprint(), before, "{file}");
            }
        }
        for job in [
            job(file, beside)
                .with_root(tree, Writable::All)
                .shared(&shared, "tool"),
            job(file, beside)
                .in_tree(tree, Writable::All)
                .shared(&shared, "tool"),
        ] {
            let (status, text) = world.print(&job);
            assert!(status == 0 && text.contains("chmod done"), "{text}");
            assert_eq!(world.fingerprint(), before, "{file}");
        }
    }
    let scripts = [
        "rm -rf in tool attack",
        "mv in tool/dir/in2; mv tool/file in",
        "cp /bin/sh attack; echo x >> in/file",
    ];
    for script in scripts {
        let job = Job::shell(&format!("chmod -R u+w . 2>/dev/null; {script}; true"));
        for writable in [Writable::All, only(&["out"]), only(&["in", "tool"])] {
            let job = job.clone().in_tree(tree, writable).shared(&shared, "tool");
            assert_eq!(world.print(&job).0, 0);
            assert_eq!(world.fingerprint(), before, "{script}");
        }
    }
}

fn the_network_is_empty() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let name = format!("farcc-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let unix = UnixListener::bind_addr(&address).unwrap();
    for text in attack(&["port", &port, "abstract", "connect", &name]) {
        assert_eq!(
            text,
            "tcp ECONNREFUSED\nudp ENETUNREACH\nconnect ECONNREFUSED\n"
        );
    }
    tcp.set_nonblocking(true).unwrap();
    unix.set_nonblocking(true).unwrap();
    assert!(tcp.accept().is_err() && unix.accept().is_err());
}

/// Waits until a job has printed this, as the kernel shows it to the job's own files.
fn await_marker(marker: &str) {
    await_processes(marker, |count| count > 0);
}

/// Waits until so many processes of the machine have this word on their command line.
pub(crate) fn await_processes(word: &str, enough: impl Fn(usize) -> bool) {
    /// Some seconds' worth.
    const LOOKS_MAX: usize = 20_000;
    for _ in 0..LOOKS_MAX {
        if enough(processes(word)) {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{} processes with {word}", processes(word));
}

fn processes(word: &str) -> usize {
    let has_word = |path: PathBuf| {
        let mut line = Vec::new();
        let read =
            fs::File::open(path.join("cmdline")).and_then(|mut file| file.read_to_end(&mut line));
        read.is_ok()
            && line
                .split(|byte| *byte == 0)
                .any(|arg| arg == word.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .flatten()
        .filter(|entry| has_word(entry.path()))
        .count()
}

/// A word that no other process of the machine has.
pub(crate) fn unique(what: &str) -> String {
    format!("farcc-{what}-{}", std::process::id())
}

fn jobs_do_not_reach_each_other() {
    let world = world();
    let (name, marker) = (unique("socket"), unique("first"));
    let roots = everywhere(&world, &["abstract", "bind", &name, "wait", &marker]);
    let others = everywhere(
        &world,
        &["abstract", "connect", &name, "signals", "list", "/proc"],
    );
    let mut first = world.start(&roots[4]);
    await_marker(&marker);
    for other in others {
        let (_, text) = world.print(&other);
        assert!(
            text.starts_with("connect ECONNREFUSED\nreached 0\n"),
            "{text}"
        );
        // Its first process and itself.
        let numbers = text
            .split_whitespace()
            .filter(|word| word.parse::<u32>().is_ok() && *word != "0");
        assert_eq!(numbers.count(), 2, "{text}");
        assert_eq!(processes(&marker), 1);
    }
    first.kill();
    assert!(matches!(wait(&mut first), End::Gone));
    await_processes(&marker, |count| count == 0);
    world.check_alive();
}

fn a_job_has_its_own_loopback_that_is_clean() {
    let world = world();
    for job in everywhere(
        &world,
        &["loopback", "abstract", "bind", "name", "loopback"],
    ) {
        let served = "bind done\nlisten done\nconnect done\naccept done\n";
        // The second of these jobs may get what the first has had.
        for _ in 0..2 {
            let (status, text) = world.print(&job);
            assert_eq!(
                (status, &*text),
                (0, &*format!("{served}bind done\nlisten done\n{served}"))
            );
        }
    }
}

fn processes_outside_are_neither_seen_nor_reached() {
    let own = std::process::id().to_string();
    for text in attack(&["signals", "list", "/proc"]) {
        assert!(
            text.starts_with("reached 0\ninit stop done\ninit kill done\nall ESRCH\n"),
            "{text}"
        );
        assert!(!text.split_whitespace().any(|word| word == own), "{text}");
    }
}

fn dangerous_calls_are_refused() {
    const ABSENT: &[&str] = &["clone3", "io_uring_setup", "memfd_create", "shmget", "x32"];
    for text in attack(&["calls"]) {
        assert!(text.lines().count() > 45, "{text}");
        for line in text.lines() {
            let (name, result) = line.split_once(' ').unwrap();
            let expected = if ABSENT.contains(&name) {
                "ENOSYS"
            } else {
                "EPERM"
            };
            assert_eq!(result, expected, "{name}");
        }
    }
    let world = world();
    for job in everywhere(&world, &["foreign"]) {
        let outcome = world.finish(&job);
        assert_eq!(outcome.wait_status, 31, "killed by SIGSYS: {outcome:?}");
    }
    world.check_alive();
}

fn there_is_no_privilege_to_be_had() {
    let expected = "ids 1000 1000 1000 1000\nno_new_privs 1\nsetuid EINVAL\ncore 1 1\n";
    for text in attack(&["privileges"]) {
        assert_eq!(text, expected);
    }
    // A program of the tree's owner that would change the user.
    let world = world();
    let tree = tree(&world);
    let program = world.path().join("work/attack/attack");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6555)).unwrap();
    let job = Job::new(&["./attack", "privileges"]);
    world.check(
        &job.clone().with_root(&tree, Writable::All),
        expected.trim_end(),
    );
    world.check(&job.in_tree(&tree, only(&[])), expected.trim_end());
    let script = "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cat /proc/self/oom_score_adj
        echo -500 2>&1 > /proc/self/oom_score_adj | sed 's/.*: //'; su -c true 2>&1 | head -c 3";
    let (_, text) = world.print(&Job::shell(script));
    let caps = text.lines().filter(|line| line.starts_with("Cap"));
    assert!(
        caps.clone().count() == 5
            && caps
                .clone()
                .all(|line| line.ends_with("\t0000000000000000")),
        "{text}"
    );
    let rest: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("Cap"))
        .collect();
    assert_eq!(
        rest[..3],
        ["NoNewPrivs:\t1", "Seccomp:\t2", "1000"],
        "{text}"
    );
    assert!(text.contains("Read-only file system"), "{text}");
}

fn nothing_is_inherited() {
    for text in attack(&["descriptors"]) {
        assert_eq!(text, "0\n1\n2\n");
    }
    let world = world();
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status";
    let (_, text) =
        world.print(&Job::shell(script).limits(|limits| limits.memory_bytes_max = Some(1 << 30)));
    // But the two signals that belong to the C library.
    let text = text.replace("0000000180000000", "0000000000000000");
    assert_eq!(
        text,
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
    );
}

fn a_fork_bomb_harms_only_itself() {
    // The kernel lets root have as many processes as it likes; a server is never root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    for text in attack(&["forks"]) {
        let (count, error) = text.trim_start_matches("forks ").split_once(' ').unwrap();
        let count: u32 = count.parse().unwrap();
        assert!((10..64).contains(&count) && error == "EAGAIN\n", "{text}");
    }
    let (world, marker) = (world(), unique("bomb"));
    let mut job = everywhere(&world, &["bomb", &marker]).remove(4);
    job.limits.cpu_seconds_max = None;
    let mut bomb = world.start(&job);
    await_processes(&marker, |count| count > 20);
    world.check_alive();
    bomb.kill();
    assert!(matches!(wait(&mut bomb), End::Gone));
    await_processes(&marker, |count| count == 0);
    world.check_alive();
}

fn memory_is_limited() {
    let world = world();
    for kind in ["private", "shared", "apart"] {
        for mut job in everywhere(&world, &["fill", kind, "1024"]) {
            job.limits.memory_bytes_max = Some(96 << 20);
            job.limits.processes_max = 256;
            let end = world.run(&job);
            assert!(matches!(end, End::OutOfMemory), "{kind}: {end:?}");
        }
    }
    for mut job in everywhere(&world, &["fill", "private", "1024"]) {
        job.limits.process_bytes_max = Some(64 << 20);
        let (status, text) = world.print(&job);
        assert!(status == 0 && text.ends_with(" MiB ENOMEM\n"), "{text}");
    }
    // Files count as well.
    let job = Job::shell("cat /dev/zero > /tmp/full; exec sleep 1000").limits(|limits| {
        limits.memory_bytes_max = Some(32 << 20);
    });
    assert!(matches!(world.run(&job), End::OutOfMemory));
    // What fits is left alone, however long it takes.
    let job =
        Job::new(&["./attack", "fill", "private", "64"]).in_tree(&tree(&world), Writable::All);
    world.check(
        &job.limits(|limits| limits.memory_bytes_max = Some(96 << 20)),
        "filled",
    );
    world.check_alive();
}

fn files_are_limited() {
    let world = world();
    for dir in ["/tmp", "out", "."] {
        for what in ["files", "names"] {
            for mut job in everywhere(&world, &[what, dir]) {
                job.limits.files_bytes_max = 32 << 20;
                job.limits.files_max = 500;
                let (status, text) = world.print(&job);
                assert_eq!(status, 0, "{text}");
                let (count, rest) = text.split_once(' ').unwrap();
                let most = if what == "files" { 32 } else { 500 };
                assert!(count.parse::<u32>().unwrap() <= most, "{text}");
                let error = rest.split(' ').next_back().unwrap().trim_end();
                assert!(["ENOSPC", "EROFS", "ENOENT"].contains(&error), "{text}");
            }
        }
    }
    // A single file, and the job's own messages.
    let job = Job::shell("cat /dev/zero").limits(|limits| limits.files_bytes_max = 1 << 20);
    let outcome = world.finish(&job);
    assert_ne!(outcome.wait_status, 0);
    assert!(outcome.stdout.metadata().unwrap().len() <= 1 << 20);
    world.check_alive();
}

fn descriptors_are_limited() {
    for text in attack(&["open-files"]) {
        assert_eq!(text, "256 open EMFILE\n");
    }
    // Not those of the server either: all that one job can make it take over.
    let world = world();
    let outputs: Vec<String> = (0..1000).map(|number| format!("/build/{number}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let job = Job::shell("i=0; while [ $i -lt 1000 ]; do echo $i > $i; i=$((i + 1)); done")
        .in_tree(&tree(&world), Writable::All)
        .outputs(&outputs);
    let outcome = world.finish(&job);
    for (number, output) in outcome.outputs.into_iter().enumerate() {
        assert_eq!(text(output.into_file().unwrap()), format!("{number}\n"));
    }
    world.check_alive();
}

fn nothing_is_left_running() {
    let (world, marker) = (world(), unique("daemon"));
    for job in everywhere(&world, &["leave", &marker, "leave", &marker]) {
        assert_eq!(world.print(&job).0, 0);
        await_processes(&marker, |count| count == 0);
    }
    // Nor when the job, or the sandbox, is given up.
    for job in everywhere(&world, &["leave", &marker, "wait", &marker]) {
        let running = world.start(&job);
        await_processes(&marker, |count| count == 2);
        drop(running);
        await_processes(&marker, |count| count == 0);
    }
    let roots = everywhere(&world, &["leave", &marker, "wait", &marker]);
    let running: Vec<_> = roots.iter().map(|job| world.start(job)).collect();
    await_processes(&marker, |count| count == 12);
    let World { spawner, .. } = world;
    drop(spawner);
    await_processes(&marker, |count| count == 0);
    drop(running);
}

fn a_crash_leaves_nothing() {
    let world = world();
    for job in everywhere(&world, &["crash"]) {
        let outcome = world.finish(&job);
        // Without the bit that tells of a core dump.
        assert_eq!(outcome.wait_status, 11);
    }
    assert!(!Path::new("core").exists());
}
