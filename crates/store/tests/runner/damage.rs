//! Whatever happens to the files: what is wrong is never served, and can be put in anew.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store::LinkOutcome;

use crate::{bytes_of, files_of, open, put, read_each_way, sha};

/// A way to ruin a file.
type Ruin = fn(&Path);

const RUINS: &[(&str, Ruin)] = &[
    ("truncated", |path| resize(path, |len| len / 2)),
    ("emptied", |path| resize(path, |_| 0)),
    ("longer", |path| resize(path, |len| len + 1)),
    ("zeroed", |path| change(path, |bytes| bytes.fill(0))),
    ("flipped at the start", |path| {
        change(path, |bytes| bytes[0] ^= 0x80);
    }),
    ("flipped at the end", |path| {
        change(path, |bytes| *bytes.last_mut().unwrap() ^= 1);
    }),
    ("removed", |path| fs::remove_file(path).unwrap()),
    ("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    }),
    ("a link", |path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
    }),
    ("a pipe", |path| {
        fs::remove_file(path).unwrap();
        let kind = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
    }),
];

fn resize(path: &Path, len: impl Fn(u64) -> u64) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(len(file.metadata().unwrap().len())).unwrap();
}

fn change(path: &Path, change: impl Fn(&mut [u8])) {
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Ruins blobs in each way, before or after the first use, and reads them in each order.
fn check_blobs(is_known: bool, is_opened_again: bool) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    for (number, (what, ruin)) in RUINS.iter().enumerate() {
        for len in [10, 300_000] {
            let mut store = open(&dir);
            let bytes = bytes_of(number, len);
            let digest = put(&store, &bytes);
            if is_opened_again {
                drop(store);
                store = open(&dir);
            }
            let to = store.work_dir().join("linked");
            if is_known {
                assert!(read_each_way(&store, &digest, &to).is_some());
            }
            ruin(&files_of(&dir, "blobs", &digest)[0]);
            assert!(store.contains(&digest), "looking up reads no file");
            // Each way out is the first one for some.
            match number % 3 {
                0 => assert!(store.open_blob(&digest).unwrap().is_none(), "{what}"),
                1 => {
                    let outcome = store.link(&digest, false, &to).unwrap();
                    assert_eq!(outcome, LinkOutcome::Missing, "{what}");
                }
                _ => assert_eq!(store.read(&digest, u64::MAX).unwrap(), None, "{what}"),
            }
            assert_eq!(read_each_way(&store, &digest, &to), None, "{what}");
            assert!(!store.contains(&digest), "{what}");
            assert_eq!(store.stats().bad_files, 1, "{what}");
            assert_eq!(put(&store, &bytes), digest);
            assert_eq!(read_each_way(&store, &digest, &to), Some(bytes), "{what}");
        }
    }
}

#[test]
fn ruined_blobs_are_missing_at_their_first_use() {
    check_blobs(false, true);
}

#[test]
fn ruined_blobs_are_missing_after_they_were_used() {
    check_blobs(true, true);
}

#[test]
fn ruined_blobs_are_missing_after_they_were_written() {
    check_blobs(false, false);
}

#[test]
fn ruined_executables_are_made_anew() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    for is_opened_again in [false, true] {
        for (number, (what, ruin)) in RUINS.iter().enumerate() {
            let mut store = open(&dir);
            let len = if is_opened_again { 5000 } else { 6000 };
            let bytes = bytes_of(number, len);
            let digest = put(&store, &bytes);
            let to = store.work_dir().join(format!("linked-{number}"));
            assert!(read_each_way(&store, &digest, &to).is_some());
            let [_, twin] = &files_of(&dir, "blobs", &digest)[..] else {
                panic!("a blob that was linked as executable has two files");
            };
            if is_opened_again {
                drop(store);
                store = open(&dir);
            }
            ruin(twin);
            let outcome = store.link(&digest, true, &to).unwrap();
            // A directory cannot be linked, which may mean that nothing can.
            assert!(outcome == LinkOutcome::Linked || *what == "a directory");
            assert_eq!(fs::read(&to).unwrap(), bytes, "{what}");
        }
    }
}

#[test]
fn ruined_results_of_actions_are_missing() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("store");
    for is_opened_again in [false, true] {
        for (what, ruin) in RUINS {
            let mut store = open(&dir);
            let action = sha(what.as_bytes());
            store.put_action(&action, &[7; 1000]).unwrap();
            if is_opened_again {
                drop(store);
                store = open(&dir);
            }
            ruin(&files_of(&dir, "actions", &action)[0]);
            assert_eq!(store.action(&action).unwrap(), None, "{what}");
            store.put_action(&action, b"again").unwrap();
            assert_eq!(store.action(&action).unwrap().unwrap(), b"again");
        }
    }
}

/// A record that is right but lies under another action's name, as a damaged directory has it.
#[test]
fn a_result_is_not_served_for_another_action() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let (one, other) = (sha(b"one"), sha(b"two"));
    store.put_action(&one, b"result of one").unwrap();
    store.put_action(&other, b"result of two").unwrap();
    let [one_file, other_file] =
        [one, other].map(|action| files_of(temp.path(), "actions", &action).remove(0));
    fs::rename(one_file, other_file).unwrap();
    assert_eq!(store.action(&other).unwrap(), None);
    assert_eq!(store.action(&one).unwrap(), None);
}

/// A backup program that sets times does no harm: the bytes are looked at again.
#[test]
fn touched_files_are_hashed_again_and_stay() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = put(&store, b"some bytes");
    let path = files_of(temp.path(), "blobs", &digest).remove(0);
    let file = fs::File::open(path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let to = store.work_dir().join("linked");
    assert!(read_each_way(&store, &digest, &to).is_some());
    assert_eq!(store.stats().bad_files, 0);
}

/// A job's tree that was not mounted read-only: its owner can change the store's own inode.
#[test]
fn a_changed_link_is_noticed() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = put(&store, b"some bytes");
    let to = store.work_dir().join("linked");
    assert_eq!(store.link(&digest, true, &to).unwrap(), LinkOutcome::Linked);
    change(&to, |bytes| bytes[0] ^= 1);
    let other = store.work_dir().join("other");
    let outcome = store.link(&digest, true, &other).unwrap();
    assert_eq!(outcome, LinkOutcome::Linked);
    assert_eq!(fs::read(other).unwrap(), b"some bytes");
}

#[test]
fn strange_files_do_not_hinder_opening() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let digest = {
        let store = open(dir);
        put(&store, b"some bytes")
    };
    let path = files_of(dir, "blobs", &digest).remove(0);
    let shard = path.parent().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let other_shard = dir.join("blobs/zz");
    fs::create_dir(&other_shard).unwrap();
    for strange in [
        shard.join("README"),
        shard.join(name.replace("-10-", "-010-")),
        shard.join(name.replace("sha256", "md5")),
        shard.join(format!("{name}-x-x")),
        // A twin without a blob.
        shard.join(format!("{}-x", name.replace("-10-", "-11-"))),
        other_shard.join("file"),
        dir.join("blobs/file"),
        dir.join("uses.old"),
    ] {
        fs::write(strange, "strange").unwrap();
    }
    // An older file of the same blob, bad.
    let older = {
        let number = name.rsplit('-').next().unwrap();
        assert_ne!(number, "0");
        shard.join(format!(
            "{}-0",
            name.strip_suffix(&format!("-{number}")).unwrap()
        ))
    };
    fs::write(&older, "old bytes!").unwrap();
    for garbage in [&b"garbage"[..], &[0xff; 100_000], &[0; 48]] {
        fs::write(dir.join("uses"), garbage).unwrap();
        let store = open(dir);
        let to = store.work_dir().join("linked");
        assert!(read_each_way(&store, &digest, &to).is_some());
        assert_eq!((store.stats().blobs, store.stats().bad_files), (1, 0));
    }
    assert!(!older.exists());
    assert!(!shard.join("README").exists());
}
