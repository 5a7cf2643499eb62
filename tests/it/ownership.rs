//! Who touches the directory: what becomes of a store that is moved, whose LOCK is removed, whose
//! process forks, or in which others have left something.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fork::{Fork, fork, waitpid};
use partstore::{Error, IndexRecovery, ListParts, Options, PartOptions, PartStore};

use crate::fixture::{
    Fixture, bytes, copy_tree, files, free_options, in_own_process, number, read_part, role, tree,
};
use crate::skipped::skipped;

const SAYS: &str = "another process: ";

/// What another process is told when it opens the store.
fn answer_of_another_process(root: &Path) -> String {
    let test = "ownership::another_process_opens_it";
    let output = in_own_process(test, root.to_str().unwrap());
    let answer = output.lines().find_map(|line| line.strip_prefix(SAYS));
    answer.expect("it says").to_owned()
}

/// For the tests here; by itself it does nothing.
#[test]
fn another_process_opens_it() {
    if let Some(path) = role() {
        let answer = match free_options().open(path) {
            Ok(_) => "open".to_owned(),
            Err(error) => error.code().to_owned(),
        };
        println!("\n{SAYS}{answer}");
    }
}

fn is_displaced<T>(result: &partstore::Result<T>) -> bool {
    matches!(result, Err(Error::Displaced { .. }))
}

/// A store at `root` whose directory was displaced at this moment: it must not touch `other`, which has
/// its path now, and stop as soon as it would change more than its journal.
fn assert_stops(fixture: &Fixture, other: &Path) {
    let before = tree(other);
    let upload = fixture.store.initiate_upload("after").unwrap();
    for part in 1..=3 {
        fixture.put(&upload, part, &bytes(u64::from(part), 70_000));
    }
    let swept = fixture.store.sweep();
    assert!(is_displaced(&swept), "{swept:?}");
    let refused = fixture.store.put_part(&upload, number(4), "more");
    assert!(
        matches!(refused, Err(Error::Poisoned { .. })),
        "{refused:?}"
    );
    assert!(fixture.store.close().is_err());
    assert_eq!(tree(other), before, "it touched what has its path now");
}

#[test]
fn a_store_that_is_moved_touches_no_other_and_loses_nothing() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("before");
    fixture.put(&upload, 1, b"bytes");
    let moved = fixture.dir().join("moved");
    fs::rename(fixture.root(), &moved).unwrap();
    copy_tree(&moved, &fixture.root());
    assert_stops(&fixture, &fixture.root());

    let store = free_options().open(&moved).unwrap();
    assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
    let uploads = store.list_uploads(&partstore::ListUploads::new()).unwrap();
    let after = &uploads
        .uploads
        .iter()
        .find(|one| one.upload.key() == "after");
    let parts = store
        .list_parts(&after.unwrap().upload, &ListParts::new().limit(9))
        .unwrap()
        .parts;
    assert_eq!(parts.len(), 3, "what was acknowledged after the move");
}

/// The same store goes on in another process, at its new path: only once this one has let go of it.
#[test]
fn a_store_that_is_moved_is_still_locked() {
    let fixture = Fixture::new();
    let moved = fixture.dir().join("moved");
    fs::rename(fixture.root(), &moved).unwrap();
    assert_eq!(answer_of_another_process(&moved), "ServiceUnavailable");
    let _ = fixture.store.close();
    assert_eq!(answer_of_another_process(&moved), "open");
}

#[test]
fn a_store_whose_path_is_gone_stops() {
    let fixture = Fixture::new();
    let moved = fixture.dir().join("moved");
    fs::rename(fixture.root(), &moved).unwrap();
    let swept = fixture.store.sweep();
    assert!(is_displaced(&swept), "{swept:?}");
    assert!(!fixture.root().exists());
    assert!(fixture.store.close().is_err());
    free_options().open(&moved).unwrap();
}

/// A snapshot, a journal segment and the end of the store are found out, too.
#[test]
fn every_change_of_the_directory_asks_whether_it_is_still_the_stores() {
    type Step<'a> = &'a dyn Fn(&Fixture) -> partstore::Result<()>;
    let fill = |fixture: &Fixture| -> partstore::Result<()> {
        for at in 0..200 {
            fixture.store.initiate_upload(format!("key-{at}"))?;
        }
        Ok(())
    };
    let steps: [(&str, Step); 3] = [
        ("a segment", &fill),
        ("a snapshot", &|fixture| fixture.store.maintain().map(drop)),
        ("closing", &|fixture| fixture.store.close()),
    ];
    for (what, step) in steps {
        let fixture = Fixture::with(free_options().journal_sizes(4096, 8192));
        fill(&fixture).unwrap();
        fs::remove_file(fixture.root().join("LOCK")).unwrap();
        let done = step(&fixture);
        assert!(is_displaced(&done), "{what}: {done:?}");
        assert!(!fixture.root().join("meta/CLEAN").exists(), "{what}");
    }
}

#[test]
fn a_store_whose_lock_file_was_removed_or_replaced_is_nobody_elses() {
    for replaced in [false, true] {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        fs::remove_file(fixture.root().join("LOCK")).unwrap();
        if replaced {
            fs::write(fixture.root().join("LOCK"), b"").unwrap();
        }
        assert_eq!(
            answer_of_another_process(&fixture.root()),
            "ServiceUnavailable"
        );
        fixture.put(&upload, 1, b"bytes");
        let swept = fixture.store.sweep();
        assert!(is_displaced(&swept), "{swept:?}");
        assert!(fixture.store.close().is_err());
        let store = free_options().open(fixture.root()).unwrap();
        assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
    }
}

/// Where the file system of the store is mounted over, or unmounted while it is in use.
#[test]
fn a_store_that_is_mounted_over_or_unmounted_goes_on_in_its_own_directory() {
    for unmounted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mount = |path: &Path| {
            let done = Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
                .arg(path)
                .output();
            done.is_ok_and(|done| done.status.success())
        };
        let umount = |path: &Path| {
            let done = Command::new("umount").arg("-l").arg(path).status();
            assert!(done.unwrap().success());
        };
        let root = dir.path().join("data");
        fs::create_dir(&root).unwrap();
        if !mount(&root) {
            return skipped("a store that is mounted over needs root");
        }
        let options = free_options().headroom(1 << 20);
        let store = options.clone().open(&root).unwrap();
        let upload = store.initiate_upload("key").unwrap();
        if unmounted {
            umount(&root);
        } else {
            assert!(mount(&root));
        }
        store.put_part(&upload, number(1), "bytes").unwrap();
        assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
        let swept = store.sweep();
        assert!(is_displaced(&swept), "{swept:?}");
        drop(store);
        assert_eq!(files(&root), BTreeSet::new());
        if !unmounted {
            umount(&root);
            let store = options.open(&root).unwrap();
            assert_eq!(read_part(&store, &upload, number(1)), b"bytes");
            drop(store);
            umount(&root);
        }
    }
}

#[test]
fn a_directory_of_a_store_on_another_file_system_is_refused() {
    for name in ["staging", "blobs", "meta/journal"] {
        let fixture = Fixture::new();
        fixture.store.close().unwrap();
        let place = fixture.root().join(name);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&place)
            .output();
        if !mounted.is_ok_and(|done| done.status.success()) {
            return skipped("a directory on another file system needs root");
        }
        fs::write(place.join("file"), b"mine").unwrap();
        let refused = free_options().open(fixture.root());
        let kept = fs::read(place.join("file")).unwrap();
        let done = Command::new("umount").arg(&place).status().unwrap();
        assert!(done.success());
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{name}: {error}");
        assert_eq!(kept, b"mine");
        free_options().open(fixture.root()).unwrap();
    }
}

/// Runs it in the child of a fork. Gives whether that did not panic, and what was not run here.
fn in_forked_child<F: FnOnce()>(run: F) -> (bool, F) {
    match fork().expect("a child") {
        Fork::Child => {
            let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err();
            std::process::exit(i32::from(failed));
        }
        Fork::Parent(child) => (waitpid(child).is_ok_and(|status| status == 0), run),
    }
}

#[test]
fn a_forked_child_can_do_nothing_with_a_store_and_nothing_to_it() {
    const DONE: &str = "the forked child did nothing";
    if role().is_none() {
        let name = "ownership::a_forked_child_can_do_nothing_with_a_store_and_nothing_to_it";
        assert!(in_own_process(name, "fork").contains(DONE));
        return;
    }
    let mut fixture = Fixture::with(free_options().background(partstore::Background::Thread));
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    let object = fixture.complete("object", &[&bytes(1, 700_000)]).upload;
    let options = || PartOptions::new();
    let mut writer = fixture
        .store
        .part_writer(&upload, number(2), options())
        .unwrap();
    writer.append(&bytes(2, 3 << 20)).unwrap();
    let mut reader = fixture.store.open_object(&object).unwrap();
    let mut part = fixture.store.open_part(&upload, number(1)).unwrap();
    let staged = files(&fixture.root().join("staging"));
    assert_eq!(staged.len(), 1);

    // The child has copies of all of these and drops them.
    let store = fixture.store.clone();
    let (ok, held_by_the_parent) = in_forked_child(move || {
        let forked = |error: Error| assert!(matches!(error, Error::Forked), "{error}");
        forked(store.initiate_upload("child").unwrap_err());
        forked(store.put_part(&upload, number(1), "child").unwrap_err());
        forked(
            store
                .list_parts(&upload, &ListParts::new().limit(9))
                .unwrap_err(),
        );
        forked(store.abort_upload(&upload).unwrap_err());
        forked(store.sweep().unwrap_err());
        forked(store.stats().unwrap_err());
        forked(store.close().unwrap_err());
        forked(writer.append(b"child").unwrap_err());
        forked(writer.finish().unwrap_err());
        let error = std::io::read_to_string(&mut reader).unwrap_err();
        forked(Error::from_io(error).unwrap());
        let error = std::io::read_to_string(&mut part).unwrap_err();
        forked(Error::from_io(error).unwrap());
        drop((store, reader, part));
    });
    assert!(ok, "a call in the child did not fail as it should");
    println!("\n{DONE}");
    assert_eq!(files(&fixture.root().join("staging")), staged);
    assert!(!fixture.root().join("meta/CLEAN").exists());
    assert_eq!(
        answer_of_another_process(&fixture.root()),
        "ServiceUnavailable"
    );
    drop(held_by_the_parent);
    assert_eq!(files(&fixture.root().join("staging")), BTreeSet::new());
    let upload = fixture.initiate("parent goes on");
    fixture.put(&upload, 1, b"more");
    fixture.reopen();
    assert_eq!(
        fixture.store.recovery().index,
        IndexRecovery::Trusted,
        "the parent closed it cleanly"
    );
    assert_eq!(read_part(&fixture.store, &upload, number(1)), b"more");
}

#[test]
fn no_link_below_a_store_is_followed() {
    for name in ["staging", "blobs", "meta", "meta/journal", "meta/snapshot"] {
        let fixture = Fixture::new();
        fixture.complete("key", &[b"bytes"]);
        fixture.store.close().unwrap();
        let elsewhere = fixture.dir().join("elsewhere");
        fs::rename(fixture.root().join(name), &elsewhere).unwrap();
        fs::write(elsewhere.join("precious"), b"mine").unwrap();
        symlink(&elsewhere, fixture.root().join(name)).unwrap();
        let before = tree(&elsewhere);
        let error = free_options().open(fixture.root()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(tree(&elsewhere), before, "{name}");
    }
}

/// The index is worthless: a link in its place is removed, and what it leads to stays.
#[test]
fn a_link_in_place_of_the_index_is_replaced() {
    let fixture = Fixture::new();
    let object = fixture.complete("key", &[b"bytes"]).upload;
    fixture.store.close().unwrap();
    let elsewhere = fixture.dir().join("elsewhere");
    fs::rename(fixture.root().join("meta/index"), &elsewhere).unwrap();
    symlink(&elsewhere, fixture.root().join("meta/index")).unwrap();
    let before = tree(&elsewhere);
    let store = free_options().open(fixture.root()).unwrap();
    assert_eq!(store.object(&object).unwrap().size, 5);
    assert_eq!(tree(&elsewhere), before);
}

#[test]
fn names_that_are_not_the_stores_keep_nothing_from_opening() {
    let odd = OsStr::from_bytes(b"odd-\xff\xfe");
    let fixture = Fixture::new();
    let object = fixture.complete("key", &[b"bytes"]).upload;
    for killed in [true, false] {
        if !killed {
            fixture.store.close().unwrap();
        }
        let root = fixture.killed();
        let foreign: BTreeSet<PathBuf> = ["meta/journal", "meta/snapshot"]
            .iter()
            .flat_map(|dir| [root.join(dir).join(odd), root.join(dir).join("notes.txt")])
            .collect();
        for path in &foreign {
            fs::write(path, b"not the store's").unwrap();
        }
        fs::write(root.join("staging").join(odd), b"left").unwrap();
        fs::create_dir(root.join("staging/directory")).unwrap();
        let store = free_options().open(&root).unwrap();
        let mut reported: BTreeSet<_> = store.recovery().foreign.iter().cloned().collect();
        assert!(reported.remove(&root.join("staging/directory")));
        assert_eq!(reported, foreign);
        assert_eq!(store.object(&object).unwrap().size, 5);
        assert_eq!(
            files(&root.join("staging")),
            ["directory".to_owned()].into()
        );
        store.sweep().unwrap();
        store.close().unwrap();
        assert!(foreign.iter().all(|path| path.exists()));
    }
}

/// A repair of a file system may leave a directory under a blob's name.
#[test]
fn a_directory_under_a_blobs_name_stops_neither_a_sweep_nor_a_put() {
    // Longer than what the journal carries, and so would give back.
    let body = &bytes(7, 100_000)[..];
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, body);
    let orphan = format!("ab{}", "0".repeat(62));
    let root = fixture.killed();
    let blobs = root.join("blobs");
    fs::create_dir_all(blobs.join("ab").join(&orphan)).unwrap();
    fs::write(blobs.join("ab").join("ab".repeat(32)), b"an orphan").unwrap();
    let name = part.content.to_string();
    let place = blobs.join(&name[..2]).join(&name);
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();

    let store = free_options().open(&root).unwrap();
    let report = store.sweep().unwrap();
    assert_eq!((report.orphans, report.foreign), (1, 2));
    let again = store.put_part(&upload, number(1), body.to_vec()).unwrap();
    assert_eq!(again.content, part.content);
    assert_eq!(read_part(&store, &upload, number(1)), body);
    store.abort_upload(&upload).unwrap();
    store.sweep().unwrap();
    assert!(!place.exists());
    store.close().unwrap();
    let store = free_options().open(&root).unwrap();
    assert!(!store.recovery().orphans_possible);
}

#[test]
fn a_segment_that_exists_is_not_removed_to_make_one() {
    let fixture = Fixture::with(free_options().journal_sizes(4096, 1 << 30));
    let upload = fixture.initiate("key");
    let journal = fixture.root().join("meta/journal");
    let next = files(&journal).len() + 1;
    let taken = journal.join(format!("{next:020}.log"));
    fs::write(&taken, b"another's").unwrap();
    let refused = (1..1000).find_map(|part| {
        let body = part.to_string();
        fixture.store.put_part(&upload, number(part), body).err()
    });
    let error = refused.expect("no further segment can be made");
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!(fs::read(&taken).unwrap(), b"another's");
}

#[test]
fn a_store_that_must_exist_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let must_exist = || free_options().must_exist();
    let missing = dir.path().join("missing/data");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for path in [&missing, &empty] {
        let error = must_exist().open(path).unwrap_err();
        assert!(matches!(error, Error::NoSuchStore { .. }), "{error}");
    }
    assert!(!dir.path().join("missing").exists());
    assert_eq!(files(&empty), BTreeSet::new());
    let made = free_options().open(&empty).unwrap();
    assert!(made.recovery().created);
    made.close().unwrap();
    assert!(!must_exist().open(&empty).unwrap().recovery().created);
}

/// The permissions of all files and directories below `root`, but for sled's own.
fn permissions(root: &Path, found: &mut BTreeSet<(bool, u32)>) {
    let mode = fs::metadata(root).unwrap().permissions().mode() & 0o777;
    found.insert((root.is_dir(), mode));
    if root.is_dir() && !is_index(root) {
        for name in files(root) {
            permissions(&root.join(name), found);
        }
    }
}

#[test]
fn what_a_store_makes_is_its_owners_alone_unless_told_otherwise() {
    let with = |options: Options, expected: [(bool, u32); 2]| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new/data");
        let store: PartStore = options.journal_sizes(4096, 8192).open(&root).unwrap();
        for at in 0..100 {
            let upload = store.initiate_upload("key").unwrap();
            store.put_part(&upload, number(1), bytes(at, 100)).unwrap();
        }
        store.maintain().unwrap();
        let mut found = BTreeSet::new();
        permissions(&dir.path().join("new"), &mut found);
        store.close().unwrap();
        permissions(&dir.path().join("new"), &mut found);
        assert_eq!(found, expected.into());
    };
    with(free_options(), [(false, 0o600), (true, 0o700)]);
    // The umask of who runs the tests takes away what it takes away from everybody.
    let umask = umask();
    let file = 0o640 & !umask;
    let directory = 0o750 & !umask;
    with(
        free_options().mode(0o640),
        [(false, file), (true, directory)],
    );
}

/// sled makes its files as the umask says.
fn is_index(dir: &Path) -> bool {
    let name = dir.file_name().unwrap().to_string_lossy();
    dir.parent().is_some_and(|meta| meta.ends_with("meta")) && name.starts_with("index")
}

fn umask() -> u32 {
    let probe = tempfile::tempdir().unwrap();
    let path = probe.path().join("probe");
    fs::create_dir(&path).unwrap();
    0o777 & !fs::metadata(&path).unwrap().permissions().mode()
}

#[test]
fn opening_tells_the_operating_systems_reason() {
    let dir = tempfile::tempdir().unwrap();
    let error = free_options()
        .open(dir.path().join("n".repeat(300)))
        .unwrap_err();
    let Error::Io { source, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::InvalidFilename);
}
