//! What others do in the directory of a store, before it is opened and while it is open: what is theirs
//! stays as it is, and what is the store's is not lost to them without a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fork::{Fork, fork, waitpid};
use partstore::{Error, IndexRecovery, ListParts, PartStore};

use crate::fixture::{
    Fixture, bytes, copy_tree, files, free_options, in_own_process, number, race, read_part, role,
};
use crate::skipped::skipped;

/// Something mounted, unmounted when this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this user may not mount.
    fn new(args: &[&str], place: &Path) -> Option<Self> {
        let done = Command::new("mount").args(args).arg(place).output();
        let mounted = done.is_ok_and(|done| done.status.success());
        mounted.then(|| Self(place.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: after a panic a store may still have files open there.
        let done = Command::new("umount").arg("--lazy").arg(&self.0).status();
        drop(done);
    }
}

/// A directory that is mounted elsewhere as well is on the same file system, and not the store's.
#[test]
fn a_directory_that_is_mounted_into_a_store_keeps_its_files() {
    for name in ["staging", "blobs", "meta/index"] {
        let fixture = Fixture::new();
        fixture.complete("key", &[b"bytes"]);
        fixture.store.close().unwrap();
        let elsewhere = fixture.dir().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), b"mine").unwrap();
        let place = fixture.root().join(name);
        let Some(mount) = Mount::new(&["--bind", elsewhere.to_str().unwrap()], &place) else {
            return skipped("a directory that is mounted twice needs root");
        };
        let refused = free_options().open(fixture.root()).map(drop);
        let kept = files(&elsewhere);
        drop(mount);
        assert_eq!(kept, ["precious".to_owned()].into(), "{name}");
        assert!(
            matches!(refused, Err(Error::Io { .. })),
            "{name}: {refused:?}"
        );
        free_options().open(fixture.root()).unwrap();
    }
}

/// There a file may tell of another device than the directory that it is in.
#[test]
fn a_store_on_an_overlay_of_two_file_systems_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let upper = dir.path().join("upper");
    let (lower, root) = (dir.path().join("lower"), dir.path().join("root"));
    for path in [&upper, &lower, &root] {
        fs::create_dir(path).unwrap();
    }
    let Some(_upper) = Mount::new(&["-t", "tmpfs", "tmpfs"], &upper) else {
        return skipped("an overlay needs root");
    };
    for name in ["files", "work"] {
        fs::create_dir(upper.join(name)).unwrap();
    }
    let layers = format!(
        "xino=off,lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.join("files").display(),
        upper.join("work").display()
    );
    let Some(_overlay) = Mount::new(&["-t", "overlay", "-o", &layers, "overlay"], &root) else {
        return skipped("this kernel has no overlays");
    };
    let options = free_options().headroom(0);
    let store = options.clone().open(root.join("data")).unwrap();
    let upload = store.initiate_upload("key").unwrap();
    store.put_part(&upload, number(1), "bytes").unwrap();
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
    store.close().unwrap();
    let store = options.open(root.join("data")).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
}

/// sled's threads are not in the child, and it would wait for them.
#[test]
fn a_forked_child_is_told_that_it_can_open_no_store() {
    const DONE: &str = "the forked child was told";
    if role().is_none() {
        let name = "neighbours::a_forked_child_is_told_that_it_can_open_no_store";
        assert!(in_own_process(name, "fork").contains(DONE));
        return;
    }
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for part in 1..3000 {
        fixture.put(&upload, part, b"x");
    }
    fixture.reopen();
    let other = fixture.dir().join("other");
    match fork().expect("a child") {
        Fork::Child => {
            let refused = free_options().open(&other);
            let told = matches!(refused, Err(Error::Forked));
            if let Ok(store) = refused {
                let upload = store.initiate_upload("key").unwrap();
                (1..3000).for_each(|part| drop(store.put_part(&upload, number(part), "x")));
                store.close().unwrap();
            }
            std::process::exit(i32::from(!told));
        }
        Fork::Parent(child) => {
            // Killed if it waits for ever.
            let killer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(20));
                let _ = Command::new("kill")
                    .args(["-9", &child.to_string()])
                    .status();
            });
            let status = waitpid(child).expect("its end");
            assert_eq!(status, 0, "the child was not told");
            drop(killer);
        }
    }
    println!("\n{DONE}");
}

fn is_displaced<T>(result: &partstore::Result<T>) -> bool {
    matches!(result, Err(Error::Displaced { .. }))
}

/// Its path leads nowhere now: not even to nothing.
#[test]
fn a_store_stops_when_something_else_takes_the_place_of_the_directory_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let (above, moved) = (dir.path().join("above"), dir.path().join("moved"));
    let store = free_options().open(above.join("data")).unwrap();
    fs::rename(&above, &moved).unwrap();
    fs::write(&above, b"a file").unwrap();
    let swept = store.sweep();
    assert!(is_displaced(&swept), "{swept:?}");
    assert!(matches!(
        store.initiate_upload("key"),
        Err(Error::Poisoned { .. })
    ));
    assert!(store.close().is_err());
}

/// What is acknowledged goes to files that the next open would not read.
#[test]
fn a_store_stops_when_a_part_of_it_was_replaced_by_a_copy() {
    for name in [
        "meta",
        "meta/journal",
        "meta/journal/00000000000000000001.log",
        "meta/snapshot",
        "blobs",
        "staging",
    ] {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let place = fixture.root().join(name);
        let moved = fixture.dir().join("moved");
        fs::rename(&place, &moved).unwrap();
        if moved.is_dir() {
            copy_tree(&moved, &place);
        } else {
            fs::copy(&moved, &place).unwrap();
        }
        let swept = fixture.store.sweep();
        assert!(is_displaced(&swept), "{name}: {swept:?}");
        let put = fixture.store.put_part(&upload, number(1), "bytes");
        assert!(
            matches!(put, Err(Error::Poisoned { .. })),
            "{name}: {put:?}"
        );
        assert!(fixture.store.close().is_err(), "{name}");
    }
}

#[test]
fn of_many_that_make_a_store_at_once_one_has_it_and_the_others_are_told_so() {
    for _ in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new/data");
        let opened: Vec<partstore::Result<PartStore>> = race(6, |_| free_options().open(&root));
        let mut open = 0;
        for one in &opened {
            match one {
                Ok(_) => open += 1,
                Err(Error::StoreLocked { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(open, 1);
    }
}

/// Another program has a lease on the file: it is asked to give it up, and waited for.
#[test]
fn a_file_that_somebody_has_a_lease_on_is_opened_once_it_is_given_up() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, b"bytes");
    let script = "import fcntl, os, signal, sys, time\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])\n\
        fd = os.open(sys.argv[1], os.O_RDWR)\n\
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
        print('leased', flush=True)\n\
        signal.sigwait([signal.SIGIO])\n\
        time.sleep(0.3)\n\
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)\n";
    let started = Command::new("python3")
        .args(["-c", script])
        .arg(fixture.blob_path(&part.content))
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut python) = started else {
        return skipped("a lease on a file needs python3");
    };
    let mut said = [0; 6];
    std::io::Read::read_exact(python.stdout.as_mut().unwrap(), &mut said).unwrap();
    let read = fixture.store.open_part(&upload, number(1)).map(drop);
    let _ = python.kill();
    python.wait().unwrap();
    read.unwrap();
}

/// As a job that tidies up does.
fn remove_empty_directories(dir: &Path) {
    let find = Command::new("find")
        .arg(dir)
        .args(["-mindepth", "1", "-type", "d"])
        .args(["-empty", "-delete"])
        .status();
    assert!(find.unwrap().success());
}

#[test]
fn directories_of_blobs_that_somebody_removes_while_they_are_empty_come_back() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"first");
    fixture.put(&upload, 1, b"second");
    fixture.store.sweep().unwrap();
    remove_empty_directories(&fixture.root().join("blobs"));
    let part = fixture.put(&upload, 1, b"first");
    assert_eq!(read_part(&fixture.store, &upload, number(1)), b"first");
    assert!(fixture.blob_path(&part.content).exists());
    fixture.assert_tidy();
}

/// All that a store has is in its journal then.
#[test]
fn a_store_whose_empty_directories_were_removed_opens() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let root = fixture.killed();
    remove_empty_directories(&root);
    assert!(!root.join("meta/snapshot").exists());
    let store = free_options().open(&root).unwrap();
    store.put_part(&upload, number(1), "bytes").unwrap();
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
}

/// A repair of a file system may leave a directory under any name.
#[test]
fn a_directory_under_the_name_of_what_a_store_can_do_without_is_no_obstacle() {
    for name in [
        "meta/CLEAN",
        "meta/CLEAN.tmp",
        "meta/ballast",
        "meta/index",
        "meta/snapshot/snapshot.tmp",
        "meta/snapshot/0.run",
        "meta/snapshot/notes.tmp",
    ] {
        let fixture = Fixture::with(free_options().journal_sizes(4096, 8192));
        let upload = fixture.initiate("key");
        fixture.put(&upload, 1, b"bytes");
        let place = fixture.root().join(name);
        fixture.store.close().unwrap();
        if place.is_dir() {
            fs::remove_dir_all(&place).unwrap();
        } else if place.exists() {
            fs::remove_file(&place).unwrap();
        }
        fs::create_dir(&place).unwrap();
        let store = fixture.options.clone().open(fixture.root());
        let store = store.unwrap_or_else(|error| panic!("{name}: {error}"));
        for at in 0..200 {
            let other = store.initiate_upload(format!("key-{at}")).unwrap();
            store.abort_upload(&other).unwrap();
        }
        assert!(store.maintain().unwrap().checkpoint, "{name}");
        assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
        store
            .close()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn files_that_are_not_the_stores_stay_whatever_their_names_end_with() {
    let fixture = Fixture::new();
    let dir = fixture.root().join("meta/snapshot");
    fixture.store.close().unwrap();
    let foreign = ["notes.tmp", "dry.run", "1.snap", "00.run"].map(|name| dir.join(name));
    for path in &foreign {
        fs::write(path, b"not the store's").unwrap();
    }
    let store = free_options().open(fixture.root()).unwrap();
    assert_eq!(store.recovery().foreign.len(), foreign.len());
    store.maintain().unwrap();
    store.close().unwrap();
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn a_file_in_staging_that_can_not_be_removed_stops_no_open() {
    let fixture = Fixture::new();
    fixture.store.close().unwrap();
    let file = fixture.root().join("staging/left");
    fs::write(&file, b"left").unwrap();
    let chattr = |flag: &str| {
        let done = Command::new("chattr").arg(flag).arg(&file).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !chattr("+i") {
        return skipped("a file that cannot be removed needs root and a file system that has them");
    }
    let opened = free_options().open(fixture.root());
    assert!(chattr("-i"));
    assert_eq!(opened.unwrap().recovery().foreign, [file]);
}

/// `cp -al` is no copy of what is written in place.
#[test]
fn a_store_that_shares_files_with_another_changes_them_for_itself_only() {
    let fixture = Fixture::with(free_options().journal_sizes(4096, 1 << 30));
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    fixture.store.close().unwrap();
    let copy = fixture.dir().join("copy");
    let done = Command::new("cp")
        .arg("-al")
        .arg(fixture.root())
        .arg(&copy)
        .status();
    assert!(done.unwrap().success());
    let store = fixture.options.clone().open(&copy).unwrap();
    for part in 2..100 {
        store
            .put_part(&upload, number(part), bytes(part.into(), 10))
            .unwrap();
    }
    store.close().unwrap();

    let store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new())
            .unwrap()
            .parts
            .len(),
        1
    );
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
    store.close().unwrap();
    let store = fixture.options.clone().open(&copy).unwrap();
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new())
            .unwrap()
            .parts
            .len(),
        99
    );
}
