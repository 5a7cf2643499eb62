//! A full disk: on a small file system of its own, which only root can mount.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use partstore::{
    Error, IndexRecovery, ListParts, Options, Part, PartOptions, PartStore, PartWriter, Upload,
};

use crate::fixture::{bytes, files, free_options, lines, number, read_part, refusal};
use crate::skipped::skipped;

const MIB: usize = 1024 * 1024;
const DISK: usize = 52 * MIB;
const HEADROOM: usize = 8 * MIB;
const FULL: (&str, u16) = ("ServiceUnavailable", 503);

/// A file system of [`DISK`] bytes in memory, gone when this is dropped.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// `None` where this user may not mount.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "partstore"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            skipped("a tmpfs cannot be mounted here");
        }
        mounted.then(|| Self { dir })
    }

    fn foreign_file(&self) -> PathBuf {
        self.dir.path().join("foreign")
    }

    /// Takes all the room that is left, to the last byte.
    fn fill(&self) {
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.foreign_file())
            .unwrap();
        for len in [MIB, 4096, 1] {
            let piece = vec![7; len];
            while file.write_all(&piece).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a panic a store may still have files open there.
        let done = Command::new("umount")
            .arg("--lazy")
            .arg(self.dir.path())
            .status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.dir.path().display());
        }
    }
}

/// A store on a small disk, with an open upload that has a part.
struct Small {
    // Dropped in this order: the disk last.
    store: PartStore,
    upload: Upload,
    part: Part,
    disk: Disk,
}

fn options() -> Options {
    free_options().headroom(HEADROOM as u64)
}

impl Small {
    fn new() -> Option<Self> {
        let disk = Disk::mount()?;
        let store = options().open(disk.dir.path().join("data")).unwrap();
        let upload = store.initiate_upload("key").unwrap();
        let part = store.put_part(&upload, number(1), "before").unwrap();
        Some(Self {
            store,
            upload,
            part,
            disk,
        })
    }

    fn root(&self) -> PathBuf {
        self.disk.dir.path().join("data")
    }

    fn put(&self, at: u32, len: usize) -> partstore::Result<Part> {
        let body = bytes(u64::from(at), len);
        self.store.put_part(&self.upload, number(at), body)
    }

    fn writer(&self, at: u32, declared: usize) -> partstore::Result<PartWriter> {
        let options = PartOptions::new().content_length(declared as u64);
        self.store.part_writer(&self.upload, number(at), options)
    }

    /// Puts parts of a MiB until one is refused. Gives their number.
    fn put_until_full(&self) -> u32 {
        let mut stored = 0;
        loop {
            match self.put(100 + stored, MIB) {
                Ok(_) => stored += 1,
                Err(error) => {
                    assert_eq!((error.code(), error.http_status()), FULL, "{error}");
                    return stored;
                }
            }
        }
    }

    fn assert_nothing_leaked(&self) {
        assert_eq!(files(&self.root().join("staging")).len(), 0);
        let stats = self.store.stats().unwrap();
        assert_eq!((stats.staged_bodies, stats.reserved_bytes), (0, 0));
    }

    fn assert_readable(&self) {
        let listed = self
            .store
            .list_parts(&self.upload, &ListParts::new().limit(1))
            .unwrap()
            .parts;
        assert_eq!(listed, std::slice::from_ref(&self.part));
        let read = read_part(&self.store, &self.upload, number(1));
        assert_eq!(read, b"before");
    }

    fn free(&self) -> usize {
        usize::try_from(self.store.stats().unwrap().free_bytes).unwrap()
    }
}

/// Puts end before the headroom does; an abort and a sweep make room again.
#[test]
fn a_full_disk_refuses_bodies_and_nothing_else() {
    let Some(small) = Small::new() else { return };
    let stored = small.put_until_full();
    assert!(stored > 20, "{stored} MiB were stored");
    assert!(small.free() >= HEADROOM, "the headroom is left");
    let store = &small.store;
    let replacing = store.put_part(&small.upload, number(1), vec![9; MIB]);
    assert_eq!(refusal(replacing), FULL);
    let declared = PartOptions::new().content_length(MIB as u64);
    assert_eq!(
        refusal(store.part_writer(&small.upload, number(2), declared)),
        FULL,
        "before the body is invited"
    );
    let streamed = store.put_part_from(
        &small.upload,
        number(1),
        &vec![9; DISK][..],
        PartOptions::new(),
    );
    assert_eq!(refusal(streamed), FULL, "of no declared length");
    let stored_part = store.open_part(&small.upload, number(100)).unwrap();
    let copied = store.copy_part(&stored_part, &small.upload, number(2));
    assert_eq!(copied.unwrap().size, MIB as u64, "a copy brings no body");
    drop(stored_part);
    small.assert_nothing_leaked();
    small.assert_readable();

    store.abort_upload(&small.upload).unwrap();
    assert_eq!(store.sweep().unwrap().blobs, u64::from(stored) + 1);
    let upload = store.initiate_upload("key").unwrap();
    store.put_part(&upload, number(1), vec![9; MIB]).unwrap();
}

/// What a body declares is compared with the room at its beginning; it holds none before its bytes come.
#[test]
fn a_declared_length_must_fit_and_holds_no_room() {
    let Some(small) = Small::new() else { return };
    let room = small.free() - HEADROOM;
    assert_eq!(refusal(small.writer(2, room + 1)), FULL);
    let silent: Vec<_> = (2..28).map(|at| small.writer(at, room).unwrap()).collect();
    assert_eq!(small.store.stats().unwrap().reserved_bytes, 0);
    small.put(1, room / 2).unwrap();
    drop(silent);
}

/// Bodies that began and then stall hold a little each, and never much together.
#[test]
fn stalled_bodies_leave_room_for_others() {
    let Some(small) = Small::new() else { return };
    let room = small.free() - HEADROOM;
    let mut stalled: Vec<_> = (2..28).map(|at| small.writer(at, room).unwrap()).collect();
    for writer in &mut stalled {
        writer.append(b"a").unwrap();
    }
    let held = small.store.stats().unwrap().reserved_bytes;
    assert!((26..=room as u64 / 4).contains(&held), "{held} bytes");
    small.put(1, room / 2).unwrap();
    drop(stalled);
    assert_eq!(small.store.stats().unwrap().reserved_bytes, 0);
}

/// Others filled the disk while a body came in: it is told so, as often as it asks, and is not blamed for
/// what it could not send.
#[test]
fn a_body_that_no_longer_fits_is_refused_for_want_of_room() {
    let Some(small) = Small::new() else { return };
    let mut writer = small.writer(1, 20 * MIB).unwrap();
    writer.append(&bytes(1, MIB)).unwrap();
    small.put_until_full();
    let full = writer.append(&bytes(2, 19 * MIB)).unwrap_err();
    let Error::StorageFull {
        needed, available, ..
    } = full
    else {
        panic!("{full}");
    };
    assert!(needed > available && available > 0, "{needed} {available}");
    assert_eq!(refusal(writer.append(b"more")), FULL);
    assert_eq!(small.store.stats().unwrap().reserved_bytes, 0);
    let again = writer.finish().unwrap_err();
    assert_eq!(again.to_string(), full.to_string());
    small.assert_nothing_leaked();
    small.assert_readable();
}

/// Somebody else took the headroom, too.
#[test]
fn with_no_byte_left_all_but_puts_goes_on() {
    let Some(mut small) = Small::new() else {
        return;
    };
    let object = small.store.initiate_upload("object").unwrap();
    let part = small.store.put_part(&object, number(1), "object").unwrap();
    let list = lines(&[part]);
    small.store.complete_upload(&object, &list).unwrap();
    let stored = small.put_until_full();
    small.disk.fill();
    assert_eq!(small.free(), 0);
    assert_eq!(refusal(small.put(1, 10)), FULL);
    let initiated = small.store.initiate_upload("key");
    assert_eq!(refusal(initiated), FULL);
    small.assert_nothing_leaked();
    small.assert_readable();

    // Twice: from here, and from a store that was opened without a byte to spare.
    for _ in 0..2 {
        // The index may not have been written out; everything acknowledged is durable all the same.
        let _ = small.store.close();
        small.store = options().open(small.root()).unwrap();
        small.disk.fill();
        small.assert_readable();
        assert_eq!(refusal(small.put(1, 10)), FULL);
    }
    small.store.remove_object(&object).unwrap();
    small.store.abort_upload(&small.upload).unwrap();
    assert_eq!(small.store.sweep().unwrap().blobs, u64::from(stored) + 2);
    fs::remove_file(small.disk.foreign_file()).unwrap();
    small.upload = small.store.initiate_upload("key").unwrap();
    small.part = small.put(1, MIB).unwrap();
    assert!(read_part(&small.store, &small.upload, number(1)) == bytes(1, MIB));
}

/// The room that an abort gives back can be used, although the disk never had a byte to spare.
#[test]
fn aborts_and_sweeps_make_room_on_a_disk_without_any() {
    let Some(mut small) = Small::new() else {
        return;
    };
    let stored = small.put_until_full();
    small.disk.fill();
    small.store.abort_upload(&small.upload).unwrap();
    assert_eq!(small.store.sweep().unwrap().blobs, u64::from(stored) + 1);
    assert!(small.free() > HEADROOM + MIB);
    small.upload = small.store.initiate_upload("key").unwrap();
    small.put(1, MIB).unwrap();
    small.assert_nothing_leaked();
}

/// The room that is kept for an abort or a sweep is there for a close, too.
#[test]
fn a_store_closes_cleanly_with_no_byte_left() {
    let Some(small) = Small::new() else { return };
    small.put_until_full();
    small.disk.fill();
    small.store.close().unwrap();
    let store = options().open(small.root()).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(read_part(&store, &small.upload, number(1)), b"before");
}

/// What is kept back for calls that only release is not for completions that also do: when the disk has no
/// room for them, what they would have replaced can still be removed.
#[test]
fn replacements_leave_the_room_that_removals_need() {
    let Some(disk) = Disk::mount() else { return };
    // A removal takes a fortieth of a segment: its parts are as many as one batch removes.
    let options = options().journal_sizes(256 * 1024, 1 << 30);
    let store = options.open(disk.dir.path().join("data")).unwrap();
    let put = |upload: &Upload, last| {
        let put = |at| store.put_part(upload, number(at), "bytes").unwrap();
        lines(&(1..=last).map(put).collect::<Vec<Part>>())
    };
    let pairs: Vec<_> = (0..80)
        .map(|_| {
            let [old, new] = ["old", "new"].map(|key| store.initiate_upload(key).unwrap());
            let (all, list) = (put(&old, 32), put(&new, 1));
            store.complete_upload(&old, &all).unwrap();
            (old, new, list)
        })
        .collect();
    disk.fill();
    let refused = pairs.iter().position(|(old, new, list)| {
        let answer = store.complete_upload_replacing(new, list, old);
        let is_refused = answer.is_err();
        if is_refused {
            assert_eq!(refusal(answer), FULL);
            assert!(store.object(old).is_ok() && store.upload(new).is_ok());
        }
        is_refused
    });
    for (old, ..) in &pairs[refused.expect("no room for all")..][..2] {
        store.remove_object(old).unwrap();
    }
    fs::remove_file(disk.foreign_file()).unwrap();
    let (old, new, list) = pairs.last().unwrap();
    store.complete_upload_replacing(new, list, old).unwrap();
}

/// The index is built anew on a disk that has no room for any: the answer says so, and nothing is lost.
#[test]
fn an_open_without_room_for_the_index_is_refused_for_want_of_room() {
    let Some(small) = Small::new() else { return };
    // More than sled keeps in memory.
    for at in 0..500 {
        let metadata = bytes(at, 8000);
        small
            .store
            .initiate_upload_with("other", &metadata)
            .unwrap();
    }
    small.store.close().unwrap();
    let root = small.disk.dir.path().join("data");
    fs::remove_dir_all(root.join("meta/index")).unwrap();
    let _ = fs::remove_file(root.join("meta/ballast"));
    small.disk.fill();
    for _ in 0..2 {
        match options().open(&root) {
            Err(Error::StorageFull { path, .. }) => assert!(path.starts_with(&root), "{path:?}"),
            other => panic!("{other:?}"),
        }
    }
    fs::remove_file(small.disk.foreign_file()).unwrap();
    let store = options().open(&root).unwrap();
    assert_eq!(read_part(&store, &small.upload, number(1)), b"before");
}
