//! Actions that want more than their inputs, and inputs that are not what they seem.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use reapi::client::{CallError, Client};
use reapi::{Directory, DirectoryNode, FileNode, Name, NodeProperties};
use store::Digest;

use crate::native::{Act, FUNCTION, connect, content, run, text};
use crate::server::{STORE, Server, Setup};

/// Both forms of an input root.
fn both(act: Act) -> [Act; 2] {
    [act.clone(), act.property("InputRootAbsolutePath", "/work")]
}

#[test]
fn the_machine_cannot_be_read_or_written() {
    let setup = Setup::new();
    let victim = setup.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o666)).unwrap();
    let (dir, store) = (setup.path().to_path_buf(), setup.path().join(STORE));
    let server = setup.start();
    run(async {
        let client = connect(&server).await;
        let (victim, dir, store) = (victim.display(), dir.display(), store.display());
        let script = format!(
            "cat {victim}; cat /etc/passwd /etc/shadow; ls {store} {dir} /root /home /var /run; \
             echo bad >{victim}; mkdir -p {dir}; echo bad >{dir}/made; echo bad >/usr/bad; \
             rm -f /usr/bin/env; ls /proc/1/root/etc; echo bad >/proc/sys/kernel/core_pattern; \
             mknod /tmp/sda b 8 0; mount -t tmpfs x /mnt; chroot / true; \
             ls /dev | tr '\\n' ' '; ls /sys"
        );
        for act in both(Act::sh(&script)) {
            let result = act.ask(&client).await.unwrap().result;
            let said = text(&client, &result.stdout).await;
            assert_eq!(
                said,
                "fd full null random shm stderr stdin stdout urandom zero "
            );
        }
    });
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!dir.join("made").exists());
    server.check_alive();
}

#[test]
fn there_is_no_network_and_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let server_pid = server.child.id();
        let script = format!(
            "import socket, os, signal\n\
             for family, address in [(socket.AF_INET, ('127.0.0.1', {port})),\n\
               (socket.AF_INET, ('192.0.2.1', 80)), (socket.AF_UNIX, '\\0x')]:\n\
             \x20 try: socket.socket(family).connect(address); print('connected')\n\
             \x20 except OSError: pass\n\
             print(sorted(pid for pid in os.listdir('/proc') if pid.isdigit()))\n\
             for pid in [1, {server_pid}]:\n\
             \x20 try: os.kill(pid, signal.SIGKILL)\n\
             \x20 except OSError: pass\n\
             try: os.setuid(0); print('root')\n\
             except OSError: print(os.getuid() != 0)\n"
        );
        for act in both(Act::new(["/usr/bin/python3", "-c", &script])) {
            assert_eq!(act.says(&client).await, "['1', '2']\nTrue\n");
        }
    });
    assert!(listener.accept().is_err(), "somebody connected");
    server.check_alive();
}

#[test]
fn inputs_cannot_be_changed_for_others() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let act = |script: &str| {
            Act::sh(script)
                .file("in/a", "right")
                .program("in/p", "#!/bin/sh\necho right\n")
                .output("out/a")
        };
        let attacks = "chmod 666 in/a; echo wrong >in/a; chmod 777 in/p; echo wrong >in/p; \
            rm -f in/a; ln in/p out/a; echo wrong >>out/a; mv in elsewhere; mkdir in; \
            echo wrong >in/a; touch -d 2001-01-01 elsewhere/p";
        for _ in 0..3 {
            for act in both(act(attacks)) {
                act.ask(&client).await.unwrap();
            }
            for act in both(act("cat in/a; in/p; ls in")) {
                assert_eq!(act.says(&client).await, "rightright\na\np\n");
            }
        }
    });
    // Nothing in the store can be written to by its owner without changing its mode first.
    let store = server.dir.path().join(STORE);
    let mut files = 0;
    visit(&store, &mut |path| {
        let data = fs::symlink_metadata(path).unwrap();
        if data.is_file() && data.nlink() > 1 {
            files += 1;
            assert_eq!(data.mode() & 0o222, 0, "{}", path.display());
        }
    });
    assert!(files > 0);
}

fn visit(dir: &std::path::Path, see: &mut impl FnMut(&std::path::Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        see(&entry.path());
        if entry.file_type().unwrap().is_dir() {
            visit(&entry.path(), see);
        }
    }
}

#[test]
fn links_lead_nowhere_but_into_the_job() {
    let setup = Setup::new();
    let dir = setup.path().join("outside");
    fs::create_dir(&dir).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
    let server = setup.start();
    run(async {
        let client = connect(&server).await;
        let outside = dir.to_str().unwrap();
        let up = format!("{}{outside}", "../".repeat(20));
        for target in [outside, &up, "/proc/1/root/tmp", "nowhere", "out"] {
            for act in both(
                Act::sh("echo made >out/x; ls -l out >&2; cat out/x")
                    .link("out", target)
                    .output("out/x"),
            ) {
                // It works within the job, or it is refused; either way the machine is untouched.
                match act.ask(&client).await {
                    Ok(executed) => {
                        for file in &executed.result.files {
                            assert_eq!(file.path, "out/x");
                        }
                    }
                    Err(CallError::Refused(_) | CallError::Unsupported(_)) => {}
                    Err(other) => panic!("{target}: {other:?}"),
                }
            }
        }
        // A link that the job makes is told, not followed.
        let act = Act::sh("ln -s /etc/passwd a; mkdir d; ln -s /etc d/e")
            .output("a")
            .output("d");
        let result = act.succeeds(&client).await;
        assert_eq!((result.files.len(), result.symlinks.len()), (0, 1));
    });
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    server.check_alive();
}

/// Sends a root that is these bytes, and asks to run something in it.
async fn ask_with_root(client: &Client, root: &[u8]) -> Result<(), CallError> {
    let mut act = Act::sh("exit 0").file("a", "x").file("b", "y");
    let digest = Digest::of(FUNCTION, root);
    let sent = client.upload(vec![(digest, root.to_vec().into())]).await;
    sent.unwrap();
    act.root = Some(digest);
    act.ask(client).await.map(drop)
}

fn file_node(name: &str, content: &str) -> FileNode {
    FileNode {
        name: Name::new(name).unwrap(),
        digest: Digest::of(FUNCTION, content.as_bytes()),
        is_executable: false,
        properties: NodeProperties::default(),
    }
}

/// The bytes with each `from` replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn trees_that_are_none_are_refused() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let good = Directory {
            files: vec![file_node("xa", "x"), file_node("xb", "y")],
            ..Directory::default()
        };
        let good = good.encode();
        assert!(ask_with_root(&client, &good).await.is_ok());
        for (from, to) in [
            (b"xa", b".."),
            (b"xa", b"a/"),
            (b"xa", b"\0a"),
            (b"xb", b"xa"),
            (b"xa", b"xc"),
            (b"xa", b"\xff\xff"),
        ] {
            let bad = replaced(&good, from, to);
            match ask_with_root(&client, &bad).await {
                Err(CallError::Refused(why)) => {
                    assert!(why.contains("bad directory"), "{why}");
                }
                other => panic!("{to:?}: {other:?}"),
            }
        }
        let noise = ask_with_root(&client, b"\x0a\xff\xff\xff\xff\x0f").await;
        assert!(matches!(noise, Err(CallError::Refused(_))), "{noise:?}");
    });
    server.check_alive();
}

#[test]
fn trees_without_end_are_refused() {
    let server = Server::start();
    run(async {
        let client = connect(&server).await;
        let put = async |directory: &Directory| {
            let bytes = directory.encode();
            let digest = Digest::of(FUNCTION, &bytes);
            client.upload(vec![(digest, bytes.into())]).await.unwrap();
            digest
        };
        let holding = |names: &[&str], digest| Directory {
            directories: names
                .iter()
                .map(|name| DirectoryNode {
                    name: Name::new(name).unwrap(),
                    digest,
                })
                .collect(),
            ..Directory::default()
        };
        let mut wide = put(&Directory::default()).await;
        let (mut deep, mut long) = (wide, wide);
        for _ in 0..60 {
            wide = put(&holding(&["a", "b"], wide)).await;
            long = put(&holding(&[&"x".repeat(250)], long)).await;
        }
        for _ in 0..300 {
            deep = put(&holding(&["d"], deep)).await;
        }
        for (root, why) in [
            (wide, "files"),
            (deep, "levels of directories"),
            (long, "bytes in one path"),
        ] {
            let mut act = Act::sh("exit 0");
            act.root = Some(root);
            match act.ask(&client).await {
                Err(CallError::Refused(text)) => assert!(text.contains(why), "{text}"),
                other => panic!("{why}: {other:?}"),
            }
        }
        assert_eq!(Act::sh("echo x").says(&client).await, "x\n");
    });
}

#[test]
fn what_a_job_may_use_is_bounded() {
    // The more slots, the smaller the share of each.
    let server = Setup::new().args("-j 64").start();
    run(async {
        let client = connect(&server).await;
        let act = Act::sh("head -c 1G /dev/zero >big && exit 1; exit 3");
        let result = act.ask(&client).await.unwrap().result;
        assert_eq!(result.exit_code, 3);
        let result = Act::sh("ulimit -n 100000 && exit 4; exit 5")
            .ask(&client)
            .await;
        assert_ne!(result.unwrap().result.exit_code, 4);
        // A thousand processes at once, if they could be; they end by themselves.
        let act = Act::sh("for i in $(seq 1000); do sleep 1 & done 2>/dev/null; wait; exit 5");
        let result = act.ask(&client).await.unwrap().result;
        assert_ne!(result.exit_code, 0);
        let act = Act::sh("head -c 3M /dev/zero | tr '\\0' x; echo >&2; echo made >out");
        let result = act.output("out").succeeds(&client).await;
        assert_eq!(text(&client, &result.stdout).await.len(), 3 << 20);
        assert_eq!(content(&client, &result, "out").await, b"made\n");
    });
    server.check_alive();
}
