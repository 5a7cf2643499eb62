//! What an observer is told is what was done.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use partstore::{
    Background, Event, HousekeepingStep, Options, PutKind, Scope, SweepReport, SyncKind, Transfer,
};

use crate::fixture::{Fixture, bytes, free_options, number, race};

/// Everything that was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn options(&self, options: Options) -> Options {
        let told = self.clone();
        options.observer(move |event: &Event| told.0.lock().unwrap().push(event.clone()))
    }

    /// What was told since this was called last.
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn observed(options: Options) -> (Fixture, Told) {
    let told = Told::default();
    let fixture = Fixture::with(told.options(options));
    told.take();
    (fixture, told)
}

fn puts(events: &[Event]) -> Vec<(u64, PutKind)> {
    let put = |event: &Event| match event {
        Event::Put { bytes, kind, .. } => Some((*bytes, *kind)),
        _ => None,
    };
    events.iter().filter_map(put).collect()
}

fn syncs(events: &[Event]) -> HashMap<SyncKind, usize> {
    let mut syncs = HashMap::new();
    for event in events {
        if let Event::Sync { kind, .. } = event {
            *syncs.entry(*kind).or_default() += 1;
        }
    }
    syncs
}

fn sweep(event: &Event) -> Option<SweepReport> {
    match event {
        Event::Sweep { report, .. } => Some(*report),
        _ => None,
    }
}

/// How many changes, groups and bytes of groups were told.
fn groups(events: &[Event]) -> (u64, u64, u64) {
    let mut sum = (0, 0, 0);
    for event in events {
        if let Event::Group { changes, bytes, .. } = event {
            sum = (sum.0 + changes, sum.1 + 1, sum.2 + bytes);
        }
    }
    sum
}

/// In whichever way the bytes come.
#[test]
fn a_put_tells_its_bytes_whether_they_were_stored_already_and_its_syncs() {
    let (fixture, told) = observed(free_options());
    let (upload, body) = (fixture.initiate("key"), bytes(1, 600_000));
    told.take();
    fixture.put(&upload, 1, &body);
    let first = told.take();
    assert_eq!(puts(&first), [(600_000, PutKind::New)]);
    assert_eq!(
        (
            syncs(&first)[&SyncKind::Journal],
            syncs(&first)[&SyncKind::Blob]
        ),
        (1, 1)
    );
    assert!(syncs(&first)[&SyncKind::Directory] >= 1);
    let (changes, count, len) = groups(&first);
    assert_eq!((changes, count), (1, 1));
    let journal = fs::metadata(fixture.root().join("meta/journal/00000000000000000001.log"));
    assert!(len > 0 && len < journal.unwrap().len());

    for (way, put) in partstore_contract::cases::put::WAYS {
        put(&fixture, &upload, &body, partstore::PartOptions::new()).expect(way);
        assert_eq!(puts(&told.take()), [(600_000, PutKind::Known)], "{way}");
    }
    fixture.store.put_object("object", body.clone()).unwrap();
    let again = told.take();
    assert_eq!(puts(&again), [(600_000, PutKind::Known)]);
    assert_eq!(syncs(&again), HashMap::from([(SyncKind::Journal, 1)]));
}

#[test]
fn a_put_that_is_refused_tells_nothing() {
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    let writer = fixture
        .store
        .part_writer(&upload, number(1), partstore::PartOptions::new());
    fixture.store.abort_upload(&upload).unwrap();
    told.take();
    writer.unwrap().finish().unwrap_err();
    let events = told.take();
    assert_eq!((puts(&events), groups(&events)), (vec![], (0, 0, 0)));
}

/// Groups add up to the batches, and many threads share some. No group is told before it is durable.
#[test]
fn groups_of_many_threads_add_up_to_their_changes() {
    const THREADS: usize = 16;
    const PUTS: usize = 12;
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    told.take();
    race(THREADS, |thread| {
        for put in 0..PUTS {
            let at = u32::try_from(thread * PUTS + put + 1).unwrap();
            fixture.put(&upload, at, format!("{thread} {put}").as_bytes());
        }
    });
    let events = told.take();
    let (changes, groups, _) = groups(&events);
    assert_eq!(changes, (THREADS * PUTS) as u64);
    assert!(groups < changes, "{groups} groups of {changes} changes");
    assert_eq!(puts(&events).len(), THREADS * PUTS);
    let largest = events.iter().map(|event| match event {
        Event::Group { changes, .. } => *changes,
        _ => 0,
    });
    assert!(largest.max() <= Some(THREADS as u64));
}

#[test]
fn a_damaged_blob_is_named_once_and_its_repair_is_told() {
    let (mut fixture, told) = observed(free_options());
    let (upload, body) = (fixture.initiate("key"), bytes(1, 600_000));
    let part = fixture.put(&upload, 1, &body);
    fixture.reopen();
    let mut damaged = body.clone();
    damaged[300_000] ^= 1;
    fs::write(fixture.blob_path(&part.content), damaged).unwrap();
    told.take();
    for _ in 0..2 {
        let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
        reader.read_to_end(&mut Vec::new()).unwrap_err();
    }
    let report = fixture.store.verify(Scope::Everything).unwrap();
    assert_eq!(report.damaged.len(), 1);
    let named: Vec<_> = told
        .take()
        .into_iter()
        .filter_map(|event| match event {
            Event::DamagedBlob { hash, reason, .. } => Some((hash, reason)),
            _ => None,
        })
        .collect();
    let [(hash, reason)] = named.as_slice() else {
        panic!("{named:?}");
    };
    assert_eq!(*hash, part.content);
    assert!(reason.contains("does not hold what was stored"), "{reason}");
    fixture.put(&upload, 1, &body);
    assert_eq!(puts(&told.take()), [(600_000, PutKind::Repaired)]);
}

#[test]
fn a_sweep_tells_what_it_returns_and_what_it_released() {
    const PARTS: u32 = 40;
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    for at in 1..=PARTS {
        fixture.put(&upload, at, &bytes(u64::from(at), 1000));
    }
    fixture.store.abort_upload(&upload).unwrap();
    told.take();
    let returned = fixture.store.sweep().unwrap();
    assert_eq!(
        (returned.blobs, returned.bytes),
        (PARTS.into(), 1000 * u64::from(PARTS))
    );
    let events = told.take();
    let sweeps: Vec<_> = events.iter().filter_map(sweep).collect();
    assert_eq!(sweeps, [returned]);
    let released = events.iter().find_map(|event| match event {
        Event::Release { parts, .. } => Some(*parts),
        _ => None,
    });
    assert_eq!(released, Some(PARTS.into()));
}

/// Also that it ended early.
#[test]
fn a_sweep_that_is_broken_off_tells_what_it_returns() {
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    fixture.store.abort_upload(&upload).unwrap();
    told.take();
    let returned = fixture.store.sweep_with(|_| ControlFlow::Break(()));
    let sweeps: Vec<_> = told.take().iter().filter_map(sweep).collect();
    assert_eq!(sweeps, [returned.unwrap()]);
    assert!(sweeps[0].cut_short);
}

#[test]
fn a_backup_tells_what_it_returns() {
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    for at in 1..=3 {
        fixture.put(&upload, at, &bytes(u64::from(at), 1000));
    }
    let into = fixture.dir().join("backups");
    told.take();
    let back_up = || fixture.store.back_up(&into, Transfer::Copy).unwrap();
    let returned = [back_up(), back_up()];
    let told_of = |event: &Event| match event {
        Event::Backup { report, .. } => Some(report.clone()),
        _ => None,
    };
    let backups: Vec<_> = told.take().iter().filter_map(told_of).collect();
    assert_eq!(backups, returned);
    let brought = backups.iter().map(|report| report.brought.blobs());
    assert_eq!(brought.collect::<Vec<_>>(), [3, 0]);
    // A directory inside of the store is refused.
    let inside = fixture.root().join("backups");
    fixture.store.back_up(&inside, Transfer::Copy).unwrap_err();
    assert!(!told.take().iter().any(|event| told_of(event).is_some()));
}

/// Names and lengths of the layers' files.
fn layers_of(root: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(root.join("meta/snapshot")).unwrap();
    let file = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, entry.metadata().unwrap().len())
    });
    file.collect()
}

#[test]
fn checkpoints_merges_and_expiry_are_told_as_they_were() {
    let options = free_options().journal_sizes(4096, 0);
    let (fixture, told) = observed(options.expire_uploads_after(Duration::ZERO));
    let (mut checkpoints, mut merges, mut expired) = (0, 0, 0);
    let layers = || layers_of(&fixture.root());
    for round in 0..8 {
        fixture.initiate(&format!("key {round}"));
        let (before, mut made, mut written) = (layers(), Vec::new(), 0);
        told.take();
        // It expires at once.
        assert!(fixture.store.maintain().unwrap().checkpoint);
        let events = told.take();
        // Each layer is one file, which is synced.
        let synced = syncs(&events)[&SyncKind::Layer];
        for event in events {
            match event {
                Event::Checkpoint { bytes, .. } => {
                    made.push(bytes);
                    written += 1;
                    checkpoints += 1;
                }
                Event::Merge {
                    layers: of, bytes, ..
                } => {
                    // With the one of the checkpoint before it, one is left of so many.
                    assert_eq!(
                        before.len() + 2 - usize::try_from(of).unwrap(),
                        layers().len()
                    );
                    made = vec![bytes];
                    written += 1;
                    merges += 1;
                }
                Event::Expiry { uploads, .. } => expired += uploads,
                _ => {}
            }
        }
        assert_eq!(synced, written);
        let new: Vec<_> = layers()
            .into_iter()
            .filter(|layer| !before.contains(layer))
            .collect();
        assert_eq!(new.iter().map(|(_, len)| *len).collect::<Vec<_>>(), made);
    }
    assert_eq!((checkpoints, expired), (8, 8));
    assert!(merges > 0 && layers().len() < 8, "{merges} merges");
}

/// A failure on the disk is what stops a store; the directory under another name is one that a test can make.
#[test]
fn a_store_that_stops_tells_why_once() {
    let (fixture, told) = observed(free_options());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    let segment = fixture.root().join("meta/journal/00000000000000000001.log");
    fs::rename(&segment, fixture.dir().join("elsewhere")).unwrap();
    told.take();
    for _ in 0..2 {
        fixture.store.sweep().unwrap_err();
    }
    let stopped = fixture.store.stats().unwrap().stopped.unwrap();
    let causes: Vec<_> = told
        .take()
        .into_iter()
        .filter_map(|event| match event {
            Event::Stopped { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [stopped]);
}

/// Of each kind, also on the thread that leads a group.
#[test]
fn a_panic_of_an_observer_hurts_nobody() {
    let count = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&count);
    let mut fixture = Fixture::with(free_options().observer(move |_: &Event| {
        told.fetch_add(1, Ordering::Relaxed);
        panic!("as the test wants it to");
    }));
    let upload = fixture.initiate("key");
    for at in 1..=3 {
        fixture.put(&upload, at, &bytes(u64::from(at), 1000));
    }
    fixture.store.sweep().unwrap();
    let before = count.load(Ordering::Relaxed);
    assert!(before > 3, "{before}");
    fixture.reopen();
    assert_eq!(fixture.parts(&upload).len(), 3);
    assert_eq!(fixture.store.stats().unwrap().stopped, None);
    fixture.assert_tidy();
}

/// Not even of those that wait for the journal.
#[test]
fn a_call_that_an_observer_holds_up_holds_up_no_other() {
    let (let_go, is_let_go) = mpsc::channel();
    let (holds, gave_up) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let (held, given_up) = (Arc::clone(&holds), Arc::<AtomicBool>::clone(&gave_up));
    let is_let_go = Mutex::new(is_let_go);
    let fixture = Fixture::with(free_options().observer(move |event: &Event| {
        let is_journal = syncs(std::slice::from_ref(event)).contains_key(&SyncKind::Journal);
        if is_journal && held.swap(false, Ordering::SeqCst) {
            let waited = is_let_go
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(20));
            given_up.store(waited.is_err(), Ordering::SeqCst);
        }
    }));
    let upload = fixture.initiate("key");
    holds.store(true, Ordering::SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| fixture.put(&upload, 1, b"one"));
        while holds.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        fixture.put(&upload, 2, b"two");
        // If the put was held up, nobody waits for this any more.
        let _ = let_go.send(());
    });
    assert!(!gave_up.load(Ordering::SeqCst));
    assert_eq!(fixture.parts(&upload).len(), 2);
}

/// What the housekeeping does is said while it does it, and when it works next.
#[test]
fn stats_say_what_the_housekeeping_does_now_and_next() {
    let (fixture, _) = observed(free_options());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    fixture.store.abort_upload(&upload).unwrap();
    let mut seen = Vec::new();
    fixture
        .store
        .maintain_with(|_| {
            seen.push(fixture.store.stats().unwrap().housekeeping.now);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(seen.contains(&Some(HousekeepingStep::Sweep)), "{seen:?}");
    let after = fixture.store.stats().unwrap().housekeeping;
    assert_eq!(
        (after.now, after.next_sweep, after.next_expiry),
        (None, None, None)
    );

    let age = Duration::from_secs(3600);
    let options = free_options().background(Background::Thread);
    let fixture = Fixture::with(options.expire_uploads_after(age));
    // Also right behind the open.
    let next = fixture.store.stats().unwrap().housekeeping;
    let most = Some(SystemTime::now() + Duration::from_secs(61));
    for next in [next.next_sweep, next.next_expiry] {
        assert!(next.is_some() && next <= most, "{next:?}");
    }
}

#[test]
fn the_oldest_upload_is_found_in_every_namespace() {
    let fixture = Fixture::new();
    assert!(fixture.store.oldest_upload().unwrap().is_none());
    fixture
        .store
        .create_namespace("films", partstore::Quota::new())
        .unwrap();
    let in_films = partstore::Key::new("films", "z");
    let oldest = fixture.store.initiate_upload(in_films).unwrap();
    // Times are in milliseconds.
    thread::sleep(Duration::from_millis(3));
    let next = fixture.initiate("a");
    assert_eq!(
        fixture.store.oldest_upload().unwrap().unwrap().upload,
        oldest
    );
    fixture.store.abort_upload(&oldest).unwrap();
    assert_eq!(fixture.store.oldest_upload().unwrap().unwrap().upload, next);
    fixture
        .store
        .complete_upload(&next, &[(&fixture.put(&next, 1, b"bytes")).into()])
        .unwrap();
    assert!(fixture.store.oldest_upload().unwrap().is_none());
}
