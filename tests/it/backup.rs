//! Backups: a state of one moment, taken while others write, and a store made of it again.

use std::cell::Cell;
use std::fs;
use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use partstore::{Backups, Error, Options, PartStore, Scope, Transfer, Upload};

use crate::fixture::{
    Fixture, blob_files, bytes, copy_tree, files, free_options, lines, number, read_object,
    read_part,
};
use crate::seen::{Past, Seen};

const WAYS: [Transfer; 3] = [Transfer::Fastest, Transfer::Apart, Transfer::Copy];

/// Opens what was restored, which must be without damage.
fn open_sound(path: &Path) -> PartStore {
    let store = free_options().must_exist().open(path).unwrap();
    let report = store.verify(Scope::Everything).unwrap();
    assert!(report.is_clean(), "{report:?}");
    store
}

/// Ends writers, also when a backup fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn backups_of(fixture: &Fixture) -> PathBuf {
    fixture.dir().join("backups")
}

#[test]
fn a_restored_store_has_all_that_was_there_and_takes_more() {
    for way in WAYS {
        let past = Past::new(free_options().journal_sizes(4096, 0));
        let place = backups_of(&past.fixture);
        let last_checkpoint = || past.fixture.store.stats().unwrap().last_checkpoint;
        let before = last_checkpoint();
        let report = past.fixture.store.back_up(&place, way).unwrap();
        assert_eq!((report.state, report.damaged.len()), (1, 0));
        assert!(last_checkpoint() > before);
        assert!(
            report.blobs > 0 && report.brought.blobs() == report.blobs,
            "{report:?}"
        );
        if way == Transfer::Copy {
            assert_eq!(report.brought.copied, report.blobs);
        }
        let seen = past.seen();
        let (names, root) = (past.names.clone(), past.fixture.root());
        // What was is gone, and the backup stands alone.
        drop(past.fixture.store.close());
        fs::remove_dir_all(&root).unwrap();
        let to = past.fixture.dir().join("restored");
        let backups = Backups::open(&place).unwrap();
        let restored = backups.restore(None, &to, way).unwrap();
        assert_eq!((restored.state, restored.batch), (1, report.batch));
        assert_eq!(
            (restored.blobs, restored.bytes),
            (report.blobs, report.bytes)
        );
        let store = open_sound(&to);
        assert_eq!(Seen::of(&store, &names), seen);
        let upload = store.initiate_upload("more").unwrap();
        store.put_part(&upload, number(1), bytes(99, 5000)).unwrap();
        store.sweep().unwrap();
        store.close().unwrap();
        // What was done there has not reached the backup.
        let again = past.fixture.dir().join("again");
        backups.restore(Some(1), &again, way).unwrap();
        assert_eq!(Seen::of(&open_sound(&again), &names), seen);
    }
}

/// Each writer knows what it was told. A backup has all that was acknowledged before it, and is whole.
#[test]
fn a_backup_amid_puts_completions_and_sweeps_is_of_one_moment() {
    let fixture = Fixture::with(Options::cos().min_part_size(0).journal_sizes(4096, 20_000));
    let place = backups_of(&fixture);
    let store = &fixture.store;
    let first = store.initiate_upload("before").unwrap();
    let before = store.put_part(&first, number(1), bytes(1, 70_000)).unwrap();
    let ends = AtomicBool::new(false);
    let stop = Stop(&ends);
    let acknowledged: Vec<(u64, Upload)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                let ends = &ends;
                scope.spawn(move || {
                    let mut done = Vec::new();
                    for round in 0u64.. {
                        if ends.load(Ordering::Relaxed) {
                            break;
                        }
                        let seed = 1000 * writer + round + 10;
                        let upload = store.initiate_upload(format!("key {seed}")).unwrap();
                        let part = store
                            .put_part(&upload, number(1), bytes(seed, 9000))
                            .unwrap();
                        store
                            .put_part(&upload, number(2), bytes(seed + 1, 3000))
                            .unwrap();
                        if round % 3 == 0 {
                            store.abort_upload(&upload).unwrap();
                            store.sweep().unwrap();
                        } else {
                            store.complete_upload(&upload, &lines(&[part])).unwrap();
                            done.push((seed, upload));
                        }
                    }
                    done
                })
            })
            .collect();
        for round in 1..=3 {
            let report = store.back_up(&place, Transfer::Copy).unwrap();
            assert_eq!((report.state, report.damaged.len()), (round, 0));
        }
        drop(stop);
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    let last = store.back_up(&place, Transfer::Copy).unwrap();
    let backups = Backups::open(&place).unwrap();
    let states = backups.states().unwrap();
    assert_eq!(
        states.iter().map(|state| state.number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!((states[3].batch, states[3].blobs), (last.batch, last.blobs));
    let mut objects = 0;
    for state in &states {
        let to = fixture.dir().join(format!("restored {}", state.number));
        backups
            .restore(Some(state.number), &to, Transfer::Fastest)
            .unwrap();
        let restored = open_sound(&to);
        assert_eq!(
            read_part(&restored, &first, before.number),
            bytes(1, 70_000)
        );
        let holds = restored.stats().unwrap();
        assert!(holds.objects >= objects, "a later state has no fewer");
        assert_eq!((holds.parts, holds.blobs), (state.parts, state.blobs));
        objects = holds.objects;
        if state.number == 4 {
            for (seed, upload) in &acknowledged {
                assert_eq!(read_object(&restored, upload), bytes(*seed, 9000));
            }
            assert_eq!(objects, acknowledged.len() as u64);
        }
    }
}

#[test]
fn a_later_backup_brings_only_what_is_new() {
    let fixture = Fixture::new();
    let place = backups_of(&fixture);
    let store = &fixture.store;
    let upload = store.initiate_upload("key").unwrap();
    for part in 1..=5 {
        store
            .put_part(&upload, number(part), bytes(part.into(), 10_000))
            .unwrap();
    }
    assert_eq!(
        store
            .back_up(&place, Transfer::Copy)
            .unwrap()
            .brought
            .copied,
        5
    );
    let unchanged = store.back_up(&place, Transfer::Copy).unwrap();
    assert_eq!((unchanged.present, unchanged.brought.blobs()), (5, 0));
    store
        .put_part(&upload, number(5), bytes(50, 20_000))
        .unwrap();
    store.sweep().unwrap();
    let third = store.back_up(&place, Transfer::Copy).unwrap();
    assert_eq!(
        (
            third.state,
            third.blobs,
            third.present,
            third.brought.copied
        ),
        (3, 5, 4, 1)
    );
    // The first state still has what the store has removed.
    let backups = Backups::open(&place).unwrap();
    let to = fixture.dir().join("first");
    backups.restore(Some(1), &to, Transfer::Copy).unwrap();
    let first = open_sound(&to);
    assert_eq!(read_part(&first, &upload, number(5)), bytes(5, 10_000));
}

#[test]
fn what_no_kept_state_has_is_removed() {
    let fixture = Fixture::new();
    let place = backups_of(&fixture);
    let store = &fixture.store;
    let upload = store.initiate_upload("key").unwrap();
    for round in 1..=4 {
        store
            .put_part(&upload, number(1), bytes(round, 10_000))
            .unwrap();
        store.put_part(&upload, number(2), bytes(100, 500)).unwrap();
        store.sweep().unwrap();
        store.back_up(&place, Transfer::Copy).unwrap();
    }
    assert_eq!(blob_files(&place).len(), 5);
    let backups = Backups::open(&place).unwrap();
    let report = backups.keep_newest(2).unwrap();
    assert_eq!((report.states, report.blobs, report.bytes), (2, 2, 20_000));
    assert_eq!(blob_files(&place).len(), 3);
    for (state, seed) in [(3, 3), (4, 4)] {
        let to = fixture.dir().join(format!("restored {state}"));
        backups
            .restore(Some(state), &to, Transfer::Fastest)
            .unwrap();
        let restored = open_sound(&to);
        assert_eq!(
            read_part(&restored, &upload, number(1)),
            bytes(seed, 10_000)
        );
    }
    let gone = backups.restore(Some(1), fixture.dir().join("gone"), Transfer::Copy);
    assert!(
        matches!(gone, Err(Error::NoSuchState { state: Some(1), .. })),
        "{gone:?}"
    );
    // Numbers are not used again, and the newest state is always kept.
    drop(backups);
    assert_eq!(store.back_up(&place, Transfer::Copy).unwrap().state, 5);
    let backups = Backups::open(&place).unwrap();
    assert_eq!(backups.keep_newest(0).unwrap().states, 2);
    assert_eq!(backups.states().unwrap().len(), 1);
}

#[test]
fn a_damaged_blob_is_named_and_a_sound_one_of_an_earlier_backup_stays() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let upload = store.initiate_upload("key").unwrap();
    let kept = store
        .put_part(&upload, number(1), bytes(1, 10_000))
        .unwrap();
    let place = backups_of(&fixture);
    store.back_up(&place, Transfer::Copy).unwrap();
    let lost = store
        .put_part(&upload, number(2), bytes(2, 10_000))
        .unwrap();
    let short = store
        .put_part(&upload, number(3), bytes(3, 10_000))
        .unwrap();
    let missing = store
        .put_part(&upload, number(4), bytes(4, 10_000))
        .unwrap();
    for part in [&kept, &lost] {
        fs::write(fixture.blob_path(&part.content), bytes(7, 10_000)).unwrap();
    }
    fs::write(fixture.blob_path(&short.content), bytes(3, 9_999)).unwrap();
    fs::remove_file(fixture.blob_path(&missing.content)).unwrap();
    let report = store.back_up(&place, Transfer::Copy).unwrap();
    let mut named: Vec<_> = report.damaged.iter().map(|blob| blob.hash).collect();
    named.sort_unstable();
    let mut expected = [&lost, &short, &missing].map(|part| part.content);
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert!(report.damaged.iter().all(|blob| !blob.reason.is_empty()));
    // Putting the bytes again repairs the store, and the next backup.
    let to = fixture.dir().join("restored");
    let backups = Backups::open(&place).unwrap();
    let restored = backups.restore(None, &to, Transfer::Copy).unwrap();
    assert_eq!(restored.damaged.len(), 3);
    let opened = free_options().open(&to).unwrap();
    assert_eq!(read_part(&opened, &upload, number(1)), bytes(1, 10_000));
    assert!(!opened.verify(Scope::Everything).unwrap().is_clean());
    for part in 2..=4 {
        opened
            .put_part(&upload, number(part), bytes(part.into(), 10_000))
            .unwrap();
    }
    assert!(opened.verify(Scope::Everything).unwrap().is_clean());
}

#[test]
fn bytes_that_somebody_has_added_to_a_file_are_not_brought() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, &bytes(1, 10_000));
    let path = fixture.blob_path(&part.content);
    fs::write(&path, [bytes(1, 10_000), vec![7; 100]].concat()).unwrap();
    let place = backups_of(&fixture);
    let report = fixture.store.back_up(&place, Transfer::Fastest).unwrap();
    assert_eq!((report.brought.copied, report.damaged.len()), (1, 0));
    let report = fixture.store.back_up(&place, Transfer::Fastest).unwrap();
    assert_eq!(report.present, 1);
}

#[test]
fn nothing_is_swept_while_a_backup_is_taken_and_all_is_afterwards() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for part in 1..=3 {
        fixture.put(&upload, part, &bytes(part.into(), 10_000));
    }
    let place = backups_of(&fixture);
    let swept = Cell::new(0);
    let store = &fixture.store;
    let report = store
        .back_up_with(&place, Transfer::Copy, |_| {
            if swept.get() == 0 {
                store.abort_upload(&upload).unwrap();
            }
            let report = store.sweep().unwrap();
            assert!(report.deferred && report.blobs == 0, "{report:?}");
            swept.set(swept.get() + 1);
            Continue(())
        })
        .unwrap();
    assert!(swept.get() > 0);
    assert_eq!((report.blobs, report.damaged.len()), (3, 0));
    let report = store.sweep().unwrap();
    assert_eq!((report.deferred, report.blobs), (false, 3));
    fixture.assert_tidy();
}

#[test]
fn a_backup_that_is_cut_short_makes_no_state_and_the_next_goes_on() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for part in 1..=200 {
        fixture.put(&upload, part, &bytes(part.into(), 300));
    }
    let place = backups_of(&fixture);
    let asked = Cell::new(0);
    let cut = fixture.store.back_up_with(&place, Transfer::Copy, |_| {
        asked.set(asked.get() + 1);
        if asked.get() > 100 {
            Break(())
        } else {
            Continue(())
        }
    });
    let cut = cut.unwrap();
    assert!(
        cut.cut_short && cut.state == 0 && cut.brought.copied > 0,
        "{cut:?}"
    );
    let backups = Backups::open(&place).unwrap();
    assert_eq!(backups.states().unwrap(), []);
    let none = backups.restore(None, fixture.dir().join("none"), Transfer::Copy);
    assert!(
        matches!(none, Err(Error::NoSuchState { state: None, .. })),
        "{none:?}"
    );
    drop(backups);
    let whole = fixture.store.back_up(&place, Transfer::Copy).unwrap();
    assert_eq!((whole.state, whole.blobs), (1, 200));
    assert!(whole.present > 0 && whole.present + whole.brought.copied == 200);
    assert_eq!(files(&place.join("states")).len(), 1);
}

#[test]
fn the_note_of_a_restore_that_was_killed_at_its_end_is_removed_by_the_open() {
    let past = Past::new(free_options());
    let place = backups_of(&past.fixture);
    past.fixture.store.back_up(&place, Transfer::Copy).unwrap();
    let to = past.fixture.dir().join("restored");
    let backups = Backups::open(&place).unwrap();
    backups.restore(None, &to, Transfer::Copy).unwrap();
    // FORMAT is durable, and the note is still there.
    fs::write(to.join("RESTORING"), "RESTORING state 1 of backups\n").unwrap();
    let again = backups.restore(None, &to, Transfer::Copy).unwrap_err();
    assert!(again.to_string().contains("a store already"), "{again}");
    assert_eq!(Seen::of(&open_sound(&to), &past.names), past.seen());
    assert!(!to.join("RESTORING").exists());
}

#[test]
fn a_restore_that_is_cut_short_is_no_store_and_is_continued() {
    let past = Past::new(free_options());
    let place = backups_of(&past.fixture);
    past.fixture.store.back_up(&place, Transfer::Copy).unwrap();
    let backups = Backups::open(&place).unwrap();
    let to = past.fixture.dir().join("restored");
    let mut at = 0;
    loop {
        at += 1;
        let mut asked = 0;
        let report = backups.restore_with(None, &to, Transfer::Copy, |_| {
            asked += 1;
            if asked == at { Break(()) } else { Continue(()) }
        });
        if !report.unwrap().cut_short {
            break;
        }
        let refused = free_options().open(&to).unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, Error::NotAStore { .. }), "{said}");
        assert!(
            said.contains("a restore into it was not finished"),
            "{said}"
        );
    }
    assert!(at > 2);
    assert!(!to.join("RESTORING").exists());
    assert_eq!(Seen::of(&open_sound(&to), &past.names), past.seen());
}

#[test]
fn directories_that_are_something_else_are_refused_and_left_alone() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, &bytes(1, 1000));
    let place = backups_of(&fixture);
    fixture.store.back_up(&place, Transfer::Copy).unwrap();
    let backups = Backups::open(&place).unwrap();
    let other = fixture.dir().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter"), "dear").unwrap();
    for result in [
        fixture.store.back_up(&other, Transfer::Copy).map(drop),
        fixture
            .store
            .back_up(fixture.root(), Transfer::Copy)
            .map(drop),
        backups.restore(None, &other, Transfer::Copy).map(drop),
        backups
            .restore(None, fixture.root(), Transfer::Copy)
            .map(drop),
        Backups::open(&other).map(drop),
        Backups::open(fixture.root()).map(drop),
    ] {
        let is_refused = matches!(
            result,
            Err(Error::NotAStore { .. }
                | Error::StoreLocked { .. }
                | Error::InvalidArgument { .. })
        );
        assert!(is_refused, "{result:?}");
    }
    assert_eq!(files(&other).len(), 1);
    // One at a time.
    let second = fixture.store.back_up(&place, Transfer::Copy);
    assert!(
        matches!(second, Err(Error::StoreLocked { .. })),
        "{second:?}"
    );
    drop(backups);
    let missing = Backups::open(fixture.dir().join("missing"));
    assert!(
        matches!(missing, Err(Error::NoSuchStore { .. })),
        "{missing:?}"
    );
    // A directory of backups is no store.
    let opened = free_options().open(&place);
    assert!(matches!(opened, Err(Error::NotAStore { .. })), "{opened:?}");
    fs::write(place.join("BACKUPS"), "partstore backups\n99\n").unwrap();
    let newer = Backups::open(&place);
    assert!(
        matches!(newer, Err(Error::NewerFormat { found: 99, .. })),
        "{newer:?}"
    );
}

/// A flipped bit in any file of a state is found, and no store is made of it.
#[test]
fn a_damaged_state_is_refused_by_name() {
    let past = Past::new(free_options());
    let place = backups_of(&past.fixture);
    past.fixture.store.back_up(&place, Transfer::Copy).unwrap();
    let state = place.join("states/00000001");
    let names = files(&state);
    assert!(names.len() >= 2, "{names:?}");
    let layer = names.iter().find(|name| *name != "STATE").unwrap();
    let original = fs::read(state.join(layer)).unwrap();
    for at in (0..original.len()).step_by(original.len() / 40) {
        let mut flipped = original.clone();
        flipped[at] ^= 0x10;
        fs::write(state.join(layer), &flipped).unwrap();
        let backups = Backups::open(&place).unwrap();
        let to = past.fixture.dir().join(format!("restored {at}"));
        let refused = backups.restore(None, &to, Transfer::Copy);
        assert!(
            matches!(refused, Err(Error::Damaged { .. })),
            "{at}: {refused:?}"
        );
        assert!(free_options().must_exist().open(&to).is_err());
        fs::remove_dir_all(&to).unwrap();
    }
    fs::write(state.join(layer), &original).unwrap();
    fs::write(state.join("STATE"), "partstore state\nformat 3\nbatch x\n").unwrap();
    let backups = Backups::open(&place).unwrap();
    assert!(matches!(backups.states(), Err(Error::Damaged { .. })));
}

#[test]
fn a_store_without_anything_is_backed_up_too() {
    let fixture = Fixture::new();
    let place = backups_of(&fixture);
    let report = fixture.store.back_up(&place, Transfer::Fastest).unwrap();
    assert_eq!((report.state, report.batch, report.blobs), (1, 0, 0));
    let backups = Backups::open(&place).unwrap();
    let to = fixture.dir().join("restored");
    backups.restore(None, &to, Transfer::Fastest).unwrap();
    let store = open_sound(&to);
    assert_eq!(store.stats().unwrap().parts, 0);
    store.initiate_upload("key").unwrap();
}

/// Damage to a state that is kept is met before anything is removed.
#[test]
fn nothing_is_removed_when_a_state_that_is_kept_is_damaged() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let place = backups_of(&fixture);
    for round in 1..=3 {
        for part in 1..=40 {
            fixture.put(&upload, part, &bytes(100 * round + u64::from(part), 300));
        }
        fixture.store.back_up(&place, Transfer::Copy).unwrap();
        fixture.store.sweep().unwrap();
    }
    let state = place.join("states/00000003");
    let before = blob_files(&place);
    for layer in files(&state).iter().filter(|name| *name != "STATE") {
        let original = fs::read(state.join(layer)).unwrap();
        for at in (0..original.len()).step_by(original.len() / 10) {
            let mut flipped = original.clone();
            flipped[at] ^= 0x10;
            fs::write(state.join(layer), &flipped).unwrap();
            let backups = Backups::open(&place).unwrap();
            let refused = backups.keep_newest(1);
            assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
            assert_eq!(backups.states().unwrap().len(), 3);
            assert_eq!(blob_files(&place), before);
        }
        fs::write(state.join(layer), &original).unwrap();
    }
}

/// A linked file is no protection, so a later copy takes its place.
#[test]
fn what_an_earlier_backup_has_linked_is_copied_when_copies_are_wanted() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, &bytes(1, 10_000));
    let place = backups_of(&fixture);
    fixture.store.back_up(&place, Transfer::Fastest).unwrap();
    let report = fixture.store.back_up(&place, Transfer::Copy).unwrap();
    if report.present == 0 {
        assert_eq!(report.brought.copied, 1);
    }
    let again = fixture.store.back_up(&place, Transfer::Copy).unwrap();
    assert_eq!((again.present, again.brought.blobs()), (1, 0));
    // The store's own file is spoilt, and the backup's is not.
    let path = fixture.blob_path(&part.content);
    let mut file = fs::File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, &[9; 100]).unwrap();
    let to = fixture.dir().join("restored");
    let backups = Backups::open(&place).unwrap();
    backups.restore(None, &to, Transfer::Apart).unwrap();
    open_sound(&to);
}

#[test]
fn a_backup_inside_the_store_is_refused() {
    let fixture = Fixture::new();
    let link = fixture.dir().join("link");
    std::os::unix::fs::symlink(fixture.root(), &link).unwrap();
    for inside in [
        fixture.root(),
        fixture.root().join("staging"),
        fixture.root().join("new/deep"),
        link.join("backups"),
    ] {
        let refused = fixture.store.back_up(&inside, Transfer::Fastest);
        let is_refused = matches!(refused, Err(Error::InvalidArgument { .. }));
        assert!(is_refused, "{inside:?}: {refused:?}");
    }
    assert!(!fixture.root().join("new").exists());
}

/// A kill leaves any prefix of what a backup does. Names tell what is whole.
#[test]
fn a_copy_of_the_backups_at_any_time_has_only_whole_states() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for part in 1..=20 {
        fixture.put(&upload, part, &bytes(part.into(), 3000));
    }
    let place = backups_of(&fixture);
    fixture.store.back_up(&place, Transfer::Copy).unwrap();
    for part in 21..=40 {
        fixture.put(&upload, part, &bytes(part.into(), 3000));
    }
    let mut copies = 0;
    let report = fixture
        .store
        .back_up_with(&place, Transfer::Copy, |progress| {
            if progress.done > 0 && copies < 8 {
                copies += 1;
                copy_tree(&place, &fixture.dir().join(format!("copy {copies}")));
            }
            Continue(())
        });
    assert_eq!(report.unwrap().state, 2);
    assert_eq!(copies, 8);
    for copy in 1..=copies {
        let copy = fixture.dir().join(format!("copy {copy}"));
        let backups = Backups::open(&copy).unwrap();
        assert_eq!(backups.states().unwrap().len(), 1);
        let to = copy.join("../restored").join(copy.file_name().unwrap());
        backups.restore(None, &to, Transfer::Apart).unwrap();
        let store = open_sound(&to);
        assert_eq!(store.stats().unwrap().parts, 20);
        drop(backups);
        // The next backup there goes on.
        assert_eq!(store.back_up(&copy, Transfer::Copy).unwrap().state, 2);
    }
}

/// A part may have 5 GiB. Nobody waits for its end.
#[test]
fn a_backup_is_broken_off_in_the_middle_of_a_large_copy() {
    let fixture = Fixture::with(free_options());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, &bytes(1, 256 << 20));
    let place = backups_of(&fixture);
    let brought = || {
        let dirs = files(&place.join("blobs"));
        let brought = dirs.iter().map(|dir| files(&place.join("blobs").join(dir)));
        brought.flatten().collect::<Vec<_>>()
    };
    let mut is_copying = false;
    let report = fixture
        .store
        .back_up_with(&place, Transfer::Copy, |_| {
            if brought().iter().any(|file| file.ends_with(".partial")) {
                is_copying = true;
                return Break(());
            }
            Continue(())
        })
        .unwrap();
    assert!(is_copying && report.cut_short, "{report:?}");
    assert_eq!((report.state, report.brought.copied), (0, 0));
    assert_eq!(brought(), [""; 0]);
}

/// Whoever brings layers to a slow disk keeps no merge waiting, which would keep a close waiting.
#[test]
fn housekeeping_goes_on_while_layers_are_brought() {
    let fixture = Fixture::with(free_options().journal_sizes(4096, 0));
    let upload = fixture.initiate("key");
    let mut at = 0;
    let mut fill = || {
        for _ in 0..100 {
            at += 1;
            fixture.put(&upload, 1 + at % 500, &bytes(at.into(), 50));
        }
    };
    for _ in 0..3 {
        fill();
        fixture.store.maintain().unwrap();
    }
    fill();
    let (store, mut asked) = (&fixture.store, 0);
    let report = store.back_up_with(backups_of(&fixture), Transfer::Copy, |_| {
        asked += 1;
        if asked < 50 {
            let (done, is_done) = std::sync::mpsc::channel();
            let store = store.clone();
            thread::spawn(move || done.send(store.maintain().is_ok()));
            let maintained = is_done.recv_timeout(std::time::Duration::from_secs(30));
            assert_eq!(maintained, Ok(true), "it waits for the backup");
        }
        Continue(())
    });
    assert_eq!(report.unwrap().state, 1);
    assert!(asked > 5);
    fixture.assert_tidy();
}

#[test]
fn what_a_disk_spoils_in_a_backup_is_named_and_brought_again() {
    let fixture = Fixture::with(free_options());
    let upload = fixture.initiate("key");
    let place = backups_of(&fixture);
    let mut parts = Vec::new();
    for number in 1..=8 {
        parts.push(fixture.put(&upload, number, &bytes(number.into(), 600_000)));
        fixture.store.back_up(&place, Transfer::Copy).unwrap();
    }
    let backups = || Backups::open(&place).unwrap();
    let clean = backups().verify().unwrap();
    assert!(clean.is_clean(), "{clean:?}");
    assert_eq!(
        (clean.states, clean.blobs, clean.bytes),
        (8, 8, 8 * 600_000)
    );

    let mut spoilt = Vec::new();
    for ((_, damage), part) in crate::dedup::DAMAGES.iter().zip(&parts) {
        let name = part.content.to_string();
        damage(&place.join("blobs").join(&name[..2]).join(&name));
        spoilt.push(part.content);
    }
    spoilt.sort_unstable();
    let report = backups().verify().unwrap();
    let named: Vec<_> = report.damaged.iter().map(|blob| blob.hash).collect();
    assert_eq!((named, report.blobs, report.files.len()), (spoilt, 3, 0));
    // The store still has them.
    let again = fixture.store.back_up(&place, Transfer::Copy).unwrap();
    assert_eq!((again.present, again.brought.copied), (3, 5));
    assert!(backups().verify().unwrap().is_clean());
    backups().keep_newest(9).unwrap();
    for dir in files(&place.join("blobs")) {
        let kept = files(&place.join("blobs").join(dir));
        assert!(
            !kept.iter().any(|name| name.ends_with(".damaged")),
            "{kept:?}"
        );
    }

    // A state of which nobody can read the rows is one file.
    let state = place.join("states/00000003");
    let layer = files(&state)
        .into_iter()
        .find(|name| name != "STATE")
        .unwrap();
    let mut rows = fs::read(state.join(&layer)).unwrap();
    rows[50] ^= 1;
    fs::write(state.join(&layer), rows).unwrap();
    let report = backups().verify().unwrap();
    assert_eq!(
        (report.files.len(), report.damaged.len(), report.blobs),
        (1, 0, 8)
    );
    assert!(report.files[0].path.ends_with(&layer), "{report:?}");
}

/// What a restore would take stays, and a state without its file is one of the findings.
#[test]
fn a_verify_of_backups_takes_nothing_that_is_of_use() {
    let fixture = Fixture::with(free_options());
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, &bytes(1, 5000));
    let place = backups_of(&fixture);
    for _ in 0..2 {
        fixture.store.back_up(&place, Transfer::Copy).unwrap();
    }
    let name = part.content.to_string();
    let blob = place.join("blobs").join(&name[..2]).join(&name);
    let mut longer = fs::read(&blob).unwrap();
    longer.extend(b"more");
    fs::write(&blob, longer).unwrap();
    fs::remove_file(place.join("states/00000001/STATE")).unwrap();
    let backups = Backups::open(&place).unwrap();
    let report = backups.verify().unwrap();
    assert_eq!(
        (report.states, report.blobs, report.files.len()),
        (2, 1, 1),
        "{report:?}"
    );
    assert!(blob.is_file() && report.damaged.is_empty());
}

#[test]
fn a_verify_of_backups_is_broken_off() {
    let fixture = Fixture::with(free_options());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, &bytes(1, 5_000_000));
    let place = backups_of(&fixture);
    fixture.store.back_up(&place, Transfer::Copy).unwrap();
    let backups = Backups::open(&place).unwrap();
    let asked = Cell::new(0);
    let count = |most: u32| {
        asked.set(0);
        let report = backups.verify_with(|_| {
            asked.set(asked.get() + 1);
            if asked.get() < most {
                Continue(())
            } else {
                Break(())
            }
        });
        (report.unwrap(), asked.get())
    };
    let (whole, all) = count(u32::MAX);
    assert!(whole.is_clean() && whole.blobs == 1 && all > 5);
    let (cut, until) = count(all - 2);
    assert!(
        cut.cut_short && cut.blobs == 0 && until == all - 2,
        "{cut:?}"
    );
}
