//! Full disks and quotas, on real file systems (guarantee 10). Root, loop devices and the programs that make
//! file systems are needed; a line says so where they are missing.

pub mod disk;
mod store;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use partstore::{Error, IndexRecovery, PartStore, Scope};

use crate::fixture::{bytes, refusal};
use disk::{Disk, Kind};
use store::{FULL, MIB, Small, large_uploads, long_journal, options, transplant};

/// Room for the rows of the long journal, 37.5 MB, and not for an index of them.
const ROWS_ONLY: u64 = 44 * MIB;
/// And not even for an empty index before the journal gives its room back.
const BARELY: u64 = 36 * MIB + 256 * 1024;

/// Runs a case on each of the file systems, with so much free.
fn on_each(kinds: &[Kind], mib: u64, case: impl Fn(&Disk)) {
    let run = |disk: Disk| catch_unwind(AssertUnwindSafe(|| case(&disk)));
    let mut failed = None;
    for kind in kinds {
        if let Some(Err(panic)) = Disk::new(*kind, mib).map(run) {
            eprintln!("this was on {kind:?}");
            failed = Some(panic);
        }
    }
    if let Some(panic) = failed {
        resume_unwind(panic);
    }
}

/// Bodies take what they may, others the rest; then the store is closed and opened, and makes room.
#[test]
fn a_full_disk_or_quota_is_left_again() {
    on_each(&Kind::ALL, 60, |disk| {
        let mut small = Small::new(&disk.root());
        let stored = small.put_until_full();
        disk.fill();
        assert_eq!(refusal(small.put(1, 1 << 20)), FULL);
        for _ in 0..2 {
            small.assert_readable();
            let closed = small.store.close();
            small.store = options().open(disk.root()).unwrap();
            // Within a quota that is used up to the last byte nothing can be written, preallocated or not.
            if disk.kind() != Kind::BtrfsQuota {
                closed.unwrap();
                assert_eq!(small.store.recovery().index, IndexRecovery::Trusted);
            }
            disk.fill();
        }
        small.assert_readable();
        small.store.remove_object(&small.object).unwrap();
        small.store.abort_upload(&small.upload).unwrap();
        assert_eq!(small.store.sweep().unwrap().blobs, stored + 2);
        // Some file systems free later what a removed file had.
        let again = (0..100).find_map(|_| {
            disk.sync();
            std::thread::sleep(Duration::from_millis(20));
            small.store.initiate_upload("key").ok()
        });
        small.upload = again.unwrap();
        small.put(1, 1 << 20).unwrap();
        assert!(small.store.verify(Scope::Everything).unwrap().is_clean());
    });
}

/// A rebuild has to do with what the index had that is deleted.
#[test]
fn a_long_journal_is_rebuilt_on_a_full_disk() {
    let long = long_journal();
    on_each(&Kind::ALL, 220, |disk| {
        transplant(&long.killed, &disk.root());
        // An index that is built anew is now longer, now shorter.
        for rebuild in 0..=2 {
            let store = options().open(disk.root()).unwrap();
            assert_ne!(store.recovery().index, IndexRecovery::Trusted);
            assert_eq!(store.stats().unwrap().open_uploads, long.open_uploads);
            if rebuild == 2 {
                return;
            }
            disk.nearly_fill();
            // As after a kill. (A close gives back what the index held ahead; a kill leaves it to the index.)
            let _ = store.close();
            let _ = fs::remove_file(disk.root().join("meta/CLEAN"));
        }
    });
}

/// A layer is shorter than an index. So a killed store opens where its rows have room and an index has none.
#[test]
fn the_rows_become_a_layer_where_an_index_has_no_room() {
    let exact = [Kind::Ext4, Kind::Ext4WithoutJournal, Kind::Tmpfs];
    open_with_room_for_the_rows(&exact, BARELY);
    open_with_room_for_the_rows(&Kind::ALL, ROWS_ONLY);
}

fn open_with_room_for_the_rows(kinds: &[Kind], room: u64) {
    let long = long_journal();
    on_each(kinds, 220, |disk| {
        transplant(&long.killed, &disk.root());
        let meta = disk.root().join("meta");
        fs::remove_dir_all(meta.join("index")).unwrap();
        let _ = fs::remove_file(meta.join("ballast"));
        disk.fill_to(room);
        let store = options().open(disk.root()).unwrap();
        assert_eq!(store.stats().unwrap().open_uploads, long.open_uploads);
        assert_eq!(fs::read_dir(meta.join("snapshot")).unwrap().count(), 1);
        assert!(store.verify(Scope::Metadata).unwrap().is_clean());
        let key = "as much as ever";
        let upload = store.initiate_upload(key).unwrap();
        store.close().unwrap();
        let store = options().open(disk.root()).unwrap();
        assert_eq!(store.recovery().index, IndexRecovery::Trusted);
        assert_eq!(store.upload(&upload).unwrap().upload.key(), key);
        assert_eq!(store.stats().unwrap().open_uploads, long.open_uploads + 1);
    });
}

/// What the index writes for it has its place.
#[test]
fn large_uploads_are_aborted_and_expire_without_a_byte_left() {
    let large = large_uploads();
    on_each(&Kind::ALL, 240, |disk| {
        transplant(&large.closed, &disk.root());
        let mut stops = Vec::new();
        let mut store = options().open(disk.root()).unwrap();
        disk.nearly_fill();
        let make_room = |store: &PartStore| {
            // A call that has stopped the store may be in the journal all the same.
            if store.upload(&large.uploads[0]).is_ok() {
                store.abort_upload(&large.uploads[0])?;
                disk.nearly_fill();
            }
            store.expire_uploads(Duration::ZERO)?;
            store.sweep()
        };
        while let Err(error) = make_room(&store) {
            assert!(
                matches!(error, Error::Index { .. } | Error::Poisoned { .. }),
                "{error}"
            );
            stops.push(error.one_line());
            let _ = store.close();
            store = options().open(disk.root()).unwrap();
        }
        assert_eq!(store.stats().unwrap().blobs, 0);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
        store.close().unwrap();
        // What others leave of a btrfs, and of an xfs, may be too little for what is preallocated: the store stops,
        // and the next open has the room of the index.
        let may_stop = [Kind::Btrfs, Kind::BtrfsQuota, Kind::Xfs].contains(&disk.kind());
        let kind = disk.kind();
        assert!(
            stops.is_empty() || may_stop && stops.len() <= 5,
            "{kind:?}: {stops:#?}"
        );
    });
}

#[test]
fn without_inodes_everything_but_puts_goes_on() {
    for kind in [Kind::Ext4, Kind::Tmpfs] {
        let Some(disk) = Disk::with_inodes(kind, 60, 2000) else {
            return;
        };
        let mut small = Small::new(&disk.root());
        for at in 2..20 {
            small.put(at, 1000).unwrap();
        }
        disk.fill_inodes();
        assert_eq!(refusal(small.put(20, 1000)), FULL);
        for _ in 0..2 {
            small.assert_readable();
            small.store.close().unwrap();
            small.store = options().open(disk.root()).unwrap();
            disk.fill_inodes();
        }
        small.store.abort_upload(&small.upload).unwrap();
        assert_eq!(small.store.sweep().unwrap().blobs, 19);
        small.upload = small.store.initiate_upload("key").unwrap();
        small.put(1, 1000).unwrap();
    }
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    on_each(&Kind::ALL, 60, |disk| {
        disk.fill();
        let answer = options().open(disk.root());
        assert!(
            matches!(answer, Err(Error::StorageFull { .. })),
            "{answer:?}"
        );
        disk.empty();
        options().open(disk.root()).unwrap();
    });
}

/// A whole snapshot has no room, in which the journal would never become shorter again.
#[test]
fn a_journal_is_shortened_step_by_step_where_a_whole_snapshot_has_no_room() {
    on_each(&[Kind::Ext4, Kind::Tmpfs], 100, |disk| {
        let options = options().journal_sizes(2 * MIB, 4 * MIB);
        let store = options.clone().open(disk.root()).unwrap();
        for at in 0..3000 {
            let metadata = bytes(at, 8000);
            let upload = store.initiate_upload_with("key", &metadata).unwrap();
            store.abort_upload(&upload).unwrap();
        }
        let stays = store.initiate_upload("stays").unwrap();
        let long = store.stats().unwrap().journal_bytes;
        assert!(long > 20 * MIB, "{long}");
        disk.fill_to(20 * MIB);
        while store.maintain().unwrap().checkpoint {}
        let short = store.stats().unwrap().journal_bytes;
        assert!(short < 6 * MIB, "{short} of {long}");
        assert!(
            store.upload(&stays).is_ok() && store.verify(Scope::Everything).unwrap().is_clean()
        );
        drop(store);
        assert!(options.open(disk.root()).unwrap().upload(&stays).is_ok());
    });
}

/// What is only read is a copy. A sector that the disk refuses is to it what it is to every open.
#[test]
fn a_sector_that_cannot_be_read_is_the_same_to_a_store_that_is_only_read() {
    on_each(&[Kind::Btrfs], 60, |disk| {
        for (dir, is_proven) in [
            ("meta/snapshot", false),
            ("meta/journal", true),
            ("meta/index", true),
        ] {
            let options = options().journal_sizes(MIB, 0);
            let store = options.clone().open(disk.root()).unwrap();
            let initiate = |at| store.initiate_upload_with("key", bytes(at, 8000)).unwrap();
            let mut uploads: Vec<_> = (0..200).map(initiate).collect();
            while store.maintain().unwrap().checkpoint {}
            uploads.extend((200..220).map(initiate));
            store.close().unwrap();
            spoil_a_sector(disk, &disk.root().join(dir));

            let scratch = tempfile::tempdir().unwrap();
            for options in [options.clone().read_only(scratch.path()), options] {
                match options.open(disk.root()) {
                    Ok(store) => {
                        assert!(is_proven, "{dir}");
                        let is_there = |upload| store.upload(upload).is_ok();
                        assert!(uploads.iter().all(is_there), "{dir}");
                    }
                    Err(Error::Damaged { path, .. }) => {
                        assert!(
                            !is_proven && path.parent().unwrap().ends_with(dir),
                            "{path:?}"
                        );
                    }
                    Err(error) => panic!("{dir}: {error}"),
                }
            }
            fs::remove_dir_all(disk.root()).unwrap();
        }
    });
}

/// Without a marker zeros could pass for the end of the journal, so no open takes them for its bytes.
#[test]
fn a_sector_of_the_journal_is_missed_by_every_open_if_the_marker_is_damaged() {
    on_each(&[Kind::Btrfs], 60, |disk| {
        let store = options().open(disk.root()).unwrap();
        for at in 0..200 {
            store.initiate_upload_with("key", bytes(at, 8000)).unwrap();
        }
        store.close().unwrap();
        let marker = disk.root().join("meta/CLEAN");
        let mut damaged = fs::read(&marker).unwrap();
        damaged[20] ^= 1;
        fs::write(&marker, damaged).unwrap();
        spoil_a_sector(disk, &disk.root().join("meta/journal"));
        let scratch = tempfile::tempdir().unwrap();
        for options in [options().read_only(scratch.path()), options()] {
            let error = options.open(disk.root()).map(drop).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
        }
    });
}

/// Spoils a sector in the middle of the file that has most in it.
fn spoil_a_sector(disk: &Disk, dir: &Path) {
    let used = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let sectors = bytes.chunks_exact(4096);
        let used = sectors.filter(|sector| sector.iter().any(|byte| *byte != 0));
        used.map(<[u8]>::to_vec).collect()
    };
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let path = files.max_by_key(|path| used(&fs::read(path).unwrap()).len());
    let path = path.unwrap();
    let whole = fs::read(&path).unwrap();
    // The store's own files have no checksums on btrfs.
    let with_checksums = disk.mounted().join("with checksums");
    fs::write(&with_checksums, &whole).unwrap();
    fs::rename(with_checksums, &path).unwrap();
    let used = used(&whole);
    disk.spoil(&used[used.len() / 2]);
    let refused = fs::read(&path).map(drop).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(5), "{refused}");
}
