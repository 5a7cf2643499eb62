//! Group commit under chosen schedules. What `wait` has answered with `Ok` survives a power cut at any
//! moment. Nobody waits for ever. After a failed sync nothing is acknowledged.

use std::path::Path;
use std::sync::{Arc, Mutex};

use parking_lot::schedule;
use shuttle::thread::JoinHandle;

use crate::Result;
use crate::going::{Closing, Going};
use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Lock};
use crate::local::format::mutation::{Batch, Tree};
use crate::local::meta::journal::{Journal, Scan, SpaceUse, scan};
use harness::disk::{self, Faults};
use harness::{Acknowledged, below, check, join, power_cut, task};

const DIR: &str = "/journal";
/// Room for two of these batches, so that groups cross the end of a segment.
const SEGMENT_LEN: u64 = 170;
/// About as many schedule points as a test here has.
const STEPS: usize = 150;

fn dir() -> Dir {
    Dir::open(Path::new(DIR), 0o600).unwrap()
}

fn create() -> Arc<Journal> {
    file::create_dirs(Path::new(DIR), 0o600).unwrap();
    file::sync_parents(Path::new(DIR)).unwrap();
    Journal::create(&dir(), SEGMENT_LEN).unwrap();
    Arc::new(open().1)
}

/// Opens the journal. Also returns the batches in it.
fn open() -> (Vec<(u64, u8)>, Journal) {
    let (batches, found) = read();
    let lock = Arc::new(Lock::take(&dir(), "LOCK").unwrap().unwrap());
    let ballast = Arc::new(Ballast::new(dir().at("ballast"), 0));
    let journal = Journal::resume(&dir(), (&lock, &ballast), SEGMENT_LEN, &found).unwrap();
    (batches, journal)
}

fn read() -> (Vec<(u64, u8)>, Scan) {
    let mut batches = Vec::new();
    let found = scan(&dir(), &mut |seq, mutations| {
        batches.push((seq, mutations[0].key[0]));
        Ok(())
    });
    (batches, found.expect("the journal reads, as acknowledged"))
}

/// Appends a batch that its byte identifies, and waits for it.
fn commit(journal: &Journal, byte: u8, space: SpaceUse) -> Result<(u64, u8)> {
    let mut batch = Batch::default();
    batch.put(Tree::Garbage, &[byte], &[byte; 4]);
    let ticket = journal.append(&batch, space)?;
    journal.wait(ticket)?;
    Ok((ticket.seq(), byte))
}

/// Three tasks that commit two batches each.
fn writers(
    journal: &Arc<Journal>,
    acknowledged: &Acknowledged<(u64, u8)>,
) -> [JoinHandle<usize>; 3] {
    [0, 1, 2].map(|writer| {
        let (journal, acknowledged) = (Arc::clone(journal), acknowledged.clone());
        task(move || {
            let space = [SpaceUse::Grows, SpaceUse::Frees][usize::from(writer) % 2];
            let done = [0, 1].map(|number| commit(&journal, 10 * writer + number, space));
            done.into_iter()
                .filter_map(Result::ok)
                .map(|one| acknowledged.push(one))
                .count()
        })
    })
}

/// What was acknowledged is among the batches. Their numbers ascend by one from `after` on.
fn assert_holds(batches: &[(u64, u8)], after: u64, acknowledged: &[(u64, u8)]) {
    for (expected, (seq, _)) in (batches.first().map_or(0, |(seq, _)| *seq)..).zip(batches) {
        assert_eq!(expected, *seq, "a gap");
    }
    assert!(
        batches.first().is_none_or(|(seq, _)| *seq <= after + 1),
        "a gap"
    );
    for one in acknowledged.iter().filter(|(seq, _)| *seq > after) {
        assert!(batches.contains(one), "acknowledged, and lost: {one:?}");
    }
}

fn power_cut_while_three_write(faults: Faults) {
    let (journal, acknowledged) = (create(), Acknowledged::new());
    disk::break_down(faults);
    let cut = power_cut(&acknowledged, STEPS);
    let done: usize = join(writers(&journal, &acknowledged)).iter().sum();
    assert_eq!(done, 6, "everything is acknowledged");

    let (remains, before_the_cut) = cut.join().unwrap();
    let at_last = disk::cut_power();
    disk::restore(remains);
    // Opening changes the tail, but the same batches are read before and after.
    let (batches, _) = open();
    assert_holds(&batches, 0, &before_the_cut);
    assert_eq!(read().0, batches);

    disk::restore(at_last);
    assert_holds(&read().0, 0, &acknowledged.so_far());
}

#[test]
fn what_is_acknowledged_survives_a_power_cut_at_any_moment() {
    check(3000, || power_cut_while_three_write(Faults::default()));
}

#[test]
#[should_panic(expected = "acknowledged")]
fn a_sync_that_lies_is_found() {
    check(3000, || {
        power_cut_while_three_write(Faults {
            syncs_lie: true,
            ..Faults::default()
        });
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_of_a_group_is_found() {
    check(3000, || {
        schedule::lose_wake_ups(true);
        power_cut_while_three_write(Faults::default());
    });
}

/// Whichever sync fails, everybody gets an answer, nothing acknowledged is lost, and nothing more is
/// acknowledged.
#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    check(3000, || {
        let (journal, acknowledged) = (create(), Acknowledged::new());
        disk::break_down(Faults {
            failing_sync: Some(below(12)),
            ..Faults::default()
        });
        let done: usize = join(writers(&journal, &acknowledged)).iter().sum();
        if disk::has_failed() {
            assert!(done < 6, "something was not acknowledged");
            assert!(journal.health().check().is_err());
            assert!(journal.wait(journal.newest()).is_err());
            assert!(commit(&journal, 99, SpaceUse::Frees).is_err());
        } else {
            assert_eq!(done, 6, "everything is acknowledged");
        }
        disk::restore(disk::cut_power());
        assert_holds(&read().0, 0, &acknowledged.so_far());
    });
}

/// Somebody else stops the store while groups are written, for example because a blob's sync has failed.
#[test]
fn a_journal_that_is_stopped_answers_everybody_and_loses_nothing() {
    check(3000, || {
        let (journal, acknowledged) = (create(), Acknowledged::new());
        let writing = writers(&journal, &acknowledged);
        schedule::point();
        journal.health().poison(&crate::Error::Closed);
        assert!(journal.wait(journal.newest()).is_err());
        assert!(commit(&journal, 99, SpaceUse::Frees).is_err());
        join(writing);
        disk::restore(disk::cut_power());
        assert_holds(&read().0, 0, &acknowledged.so_far());
    });
}

/// A disk that takes long to give room delays only the batches that want it.
#[test]
fn the_journal_answers_while_a_segment_is_made() {
    check(3000, || {
        let (journal, acknowledged) = (create(), Acknowledged::new());
        disk::break_down(Faults {
            room_waits: true,
            ..Faults::default()
        });
        let growing = {
            let (journal, acknowledged) = (Arc::clone(&journal), acknowledged.clone());
            task(move || commit(&journal, 1, SpaceUse::Grows).map(|one| acknowledged.push(one)))
        };
        schedule::point();
        // A sweep needs no spare.
        let (seq, _) = commit(&journal, 2, SpaceUse::Sweeps).unwrap();
        assert_eq!((seq, journal.newest().seq()), (1, 1));
        assert!(journal.len() > 0 && journal.health().check().is_ok());
        disk::break_down(Faults::default());
        growing.join().unwrap().unwrap();
        assert_holds(&read().0, 0, &[(1, 2), (2, 1)]);
    });
}

/// Sealed segments are read and removed, as by a snapshot, while other threads write.
#[test]
fn segments_are_dropped_while_groups_are_written() {
    check(3000, || {
        let (journal, acknowledged) = (create(), Acknowledged::new());
        let through = Arc::new(Mutex::new(0));
        let dropping = {
            let (journal, through) = (Arc::clone(&journal), Arc::clone(&through));
            task(move || {
                for _ in 0..3 {
                    drop_sealed(&journal, &through);
                }
                0
            })
        };
        let cut = {
            let (acknowledged, through) = (acknowledged.clone(), Arc::clone(&through));
            task(move || {
                for _ in 0..below(STEPS) {
                    schedule::point();
                }
                let through = *through.lock().unwrap();
                (disk::cut_power(), acknowledged.so_far(), through)
            })
        };
        join(
            writers(&journal, &acknowledged)
                .into_iter()
                .chain([dropping]),
        );
        drop_sealed(&journal, &through);
        let mut damaged = Vec::new();
        let closing = Closing::default();
        journal
            .check_files(&Going::until(&closing), &mut damaged)
            .unwrap();
        assert!(damaged.is_empty());

        let (remains, before_the_cut, dropped) = cut.join().unwrap();
        let at_last = disk::cut_power();
        disk::restore(remains);
        assert_holds(&open().0, dropped, &before_the_cut);
        disk::restore(at_last);
        let batches = read().0;
        assert!(
            !batches.is_empty(),
            "the newest durable batch is never dropped"
        );
        assert_holds(&batches, *through.lock().unwrap(), &acknowledged.so_far());
    });
}

fn drop_sealed(journal: &Journal, through: &Mutex<u64>) {
    let (mut newest, before) = (0, *through.lock().unwrap());
    let sealed = journal.sealed();
    let Some(last) = sealed.last().map(|sealed| sealed.last_seq.max(before)) else {
        return;
    };
    let read = journal.read_through((before, last), &mut |seq, _| {
        newest = seq;
        Ok(())
    });
    read.unwrap();
    assert_eq!(newest.max(before), last);
    *through.lock().unwrap() = last;
    journal.drop_through(last).unwrap();
}

/// Whatever is removed in the meantime, the newest durable batch stays, because an empty journal is one
/// that was lost.
#[test]
fn the_newest_durable_batch_is_never_dropped() {
    check(3000, || {
        let (journal, acknowledged) = (create(), Acknowledged::new());
        let cut = power_cut(&acknowledged, STEPS);
        let dropping = {
            let journal = Arc::clone(&journal);
            task(move || {
                for _ in 0..6 {
                    journal.drop_through(u64::MAX).unwrap();
                }
                0
            })
        };
        join(
            writers(&journal, &acknowledged)
                .into_iter()
                .chain([dropping]),
        );
        let (remains, before_the_cut) = cut.join().unwrap();
        disk::restore(remains);
        let newest = read().0.last().map(|(seq, _)| *seq);
        let acknowledged = before_the_cut.iter().map(|(seq, _)| *seq).max();
        assert!(newest >= acknowledged, "acknowledged, and lost");
    });
}

/// The first batch does not fit in the first segment, which is sealed empty. A snapshot is due before
/// anything is durable.
#[test]
fn the_first_segment_stays_until_something_is_durable() {
    check(2, || {
        let journal = create();
        let mut batch = Batch::default();
        batch.put(Tree::Garbage, &[1], &[0; 400]);
        let _not_waited_for = journal.append(&batch, SpaceUse::Grows).unwrap();
        journal.drop_through(u64::MAX).unwrap();
        let segments = dir().list().unwrap();
        assert_eq!(segments[0].name, "00000000000000000001.log");
    });
}
