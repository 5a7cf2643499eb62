//! The journal in several files: segments that are whole, missing, misplaced or larger than others.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{CompletedPart, Options, Scope};

use crate::fixture::{bytes, copy_tree, files, free_options, number};
use crate::seen::{Past, Seen, batches, frames, path_of_damage, segments};

fn tiny() -> Options {
    free_options().journal_sizes(4096, 0)
}

/// The segments that hold frames.
fn used(root: &Path) -> Vec<PathBuf> {
    let is_used = |path: &PathBuf| !frames(&fs::read(path).unwrap()).is_empty();
    segments(root).into_iter().filter(is_used).collect()
}

#[test]
fn a_journal_of_several_segments_gives_the_same_state_as_a_running_store() {
    let past = Past::new(tiny());
    assert!(used(&past.fixture.root()).len() > 1);
    let seen = past.seen();
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), seen);
    assert_eq!(seen.counts(), (1, 4));
}

/// The journal as if nothing behind byte `cut` of segment `at` had reached the disk. The segment
/// behind it was made before; those behind that were not.
fn lose_from(root: &Path, at: usize, cut: usize) {
    for (segment, path) in segments(root).iter().enumerate().skip(at) {
        let mut bytes = fs::read(path).unwrap();
        match segment - at {
            0 => bytes[cut..].fill(0),
            1 => bytes[32..].fill(0),
            _ => {
                fs::remove_file(path).unwrap();
                continue;
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn every_prefix_of_a_journal_of_several_segments_opens_to_what_it_says() {
    let past = Past::new(tiny());
    let original = past.fixture.killed();
    fs::remove_dir_all(original.join("meta/index")).unwrap();
    let mut before = 0;
    for (at, path) in used(&original).iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let frames = frames(&bytes);
        let ends = frames.iter().flat_map(|frame| [frame.end - 1, frame.end]);
        for cut in (32..frames.last().unwrap().end).step_by(301).chain(ends) {
            let copy = original.with_file_name("cut");
            let _ = fs::remove_dir_all(&copy);
            copy_tree(&original, &copy);
            lose_from(&copy, at, cut);
            let is_whole = |frame: &&crate::seen::Frame| {
                bytes[frame.start..frame.end] == segment_after(&bytes, cut)[frame.start..frame.end]
            };
            let whole = frames.iter().take_while(is_whole);
            let kept = before + whole.filter(|frame| !frame.is_seal).count();
            let store = past.fixture.options.clone().open(&copy).unwrap();
            assert_eq!(store.recovery().journal_batches, kept as u64);
            assert_eq!(
                &Seen::of(&store, &past.names),
                past.state_after(kept),
                "{at} {cut}"
            );
            store.initiate_upload("later").unwrap();
        }
        before += batches(&bytes);
    }
}

fn segment_after(bytes: &[u8], cut: usize) -> Vec<u8> {
    let mut left = bytes.to_vec();
    left[cut..].fill(0);
    left
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let past = Past::new(tiny());
    let original = past.fixture.killed();
    let used = used(&original);
    let dir = original.join("meta/journal");
    for (at, missing) in used.iter().enumerate() {
        let bytes = fs::read(missing).unwrap();
        fs::remove_file(missing).unwrap();
        let named = path_of_damage(past.fixture.options.clone().open(&original));
        // Nothing tells how many segments were before the oldest that is there.
        let expected = if at == 0 { &dir } else { missing };
        assert_eq!(&named, expected);
        fs::write(missing, bytes).unwrap();
    }
    let store = past.fixture.options.clone().open(&original).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
}

#[test]
fn a_journal_without_its_newest_segments_is_refused() {
    let past = Past::new(tiny());
    for kept in 0..used(&past.fixture.root()).len() {
        let copy = past.fixture.killed();
        for path in segments(&copy).iter().skip(kept) {
            fs::remove_file(path).unwrap();
        }
        let named = path_of_damage(past.fixture.options.clone().open(&copy));
        assert!(named.starts_with(copy.join("meta/journal")));
    }
}

#[test]
fn a_missing_spare_segment_is_harmless() {
    let past = Past::new(tiny());
    let copy = past.fixture.killed();
    let spare = segments(&copy).pop().unwrap();
    assert!(!used(&copy).contains(&spare));
    fs::remove_file(&spare).unwrap();
    let store = past.fixture.options.clone().open(&copy).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
    store.initiate_upload("later").unwrap();
}

#[test]
fn a_spare_segment_whose_creation_was_cut_short_is_made_again() {
    let past = Past::new(tiny());
    for len in [0, 1, 31, 32, 4096] {
        let copy = past.fixture.killed();
        let spare = segments(&copy).pop().unwrap();
        fs::write(&spare, vec![0; len]).unwrap();
        let store = past.fixture.options.clone().open(&copy).unwrap();
        assert_eq!(Seen::of(&store, &past.names), past.seen());
        store.initiate_upload("later").unwrap();
        store.close().unwrap();
        past.fixture.options.clone().open(&copy).unwrap();
    }
}

#[test]
fn a_segment_under_another_number_is_never_applied() {
    let past = Past::new(tiny());
    let copy = past.fixture.killed();
    let all = segments(&copy);
    fs::copy(&all[0], all.last().unwrap()).unwrap();
    let store = past.fixture.options.clone().open(&copy).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
    store.close().unwrap();

    let copy = past.fixture.killed();
    let all = segments(&copy);
    fs::copy(&all[0], &all[1]).unwrap();
    assert_eq!(
        path_of_damage(past.fixture.options.clone().open(&copy)),
        all[1]
    );
}

/// An upload whose completion takes more than a segment, because it leaves out most parts, between other
/// calls.
fn with_a_large_completion() -> Past {
    let mut past = Past::new(tiny());
    let upload = past.initiate("large", 0);
    let store = &past.fixture.store;
    let put = |at| {
        let body = bytes(u64::from(at), 10);
        store.put_part(&upload, number(at), body).unwrap()
    };
    let parts: Vec<_> = (1..=80).map(put).collect();
    store.maintain().unwrap();
    store
        .complete_upload(&upload, &[CompletedPart::from(&parts[0])])
        .unwrap();
    past
}

#[test]
fn a_batch_larger_than_a_segment_is_whole_or_not_there() {
    let mut past = with_a_large_completion();
    let large = used(&past.fixture.root()).pop().unwrap();
    assert!(fs::metadata(large).unwrap().len() > 8192);
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), past.seen());
    let upload = past.initiate("after", 0);
    for at in 1..20 {
        past.put(&upload, at, u64::from(at));
    }
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), past.seen());
    assert!(copy.verify(Scope::Everything).unwrap().is_clean());
}

#[test]
fn a_crash_between_the_removals_of_segments_loses_nothing() {
    let mut past = with_a_large_completion();
    let upload = past.initiate("after", 0);
    for at in 1..30 {
        past.put(&upload, at, u64::from(at));
    }
    past.fixture.store.sweep().unwrap();
    let before = past.fixture.killed();
    assert!(past.fixture.store.maintain().unwrap().checkpoint);
    let after = past.fixture.killed();
    let kept: BTreeSet<_> = files(&after.join("meta/journal"));
    let mut removed = segments(&before);
    removed.retain(|path| !kept.contains(path.file_name().unwrap().to_str().unwrap()));
    assert!(removed.len() > 2);
    // Segments are removed oldest first.
    for gone in 0..removed.len() {
        let copy = after.with_file_name(format!("crashed-{gone}"));
        copy_tree(&after, &copy);
        for path in &removed[gone..] {
            fs::copy(
                path,
                copy.join("meta/journal").join(path.file_name().unwrap()),
            )
            .unwrap();
        }
        let store = past.fixture.options.clone().open(&copy);
        let store = store.unwrap_or_else(|error| panic!("{gone} segments removed: {error}"));
        assert_eq!(Seen::of(&store, &past.names), past.seen());
    }
}
