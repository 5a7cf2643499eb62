//! The journal is the truth: whatever of it can be read says exactly what was acknowledged, and
//! what cannot be read is a torn tail or is refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use partstore::{Error, ListParts, Options, PartStore};

use crate::fixture::{Fixture, copy_tree, free_options, number};
use crate::seen::{Frame, Past, Seen, frames, segments, tail};

fn one_segment() -> Options {
    free_options().journal_sizes(64 * 1024, u64::MAX)
}

/// Copies of a killed store, each to be changed and opened.
struct Copies {
    past: Past,
    original: PathBuf,
    /// The last segment in use.
    tail: PathBuf,
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

impl Copies {
    fn new(options: Options) -> Self {
        let past = Past::new(options);
        let original = past.fixture.killed();
        // A killed store's index is thrown away in any case.
        fs::remove_dir_all(original.join("meta/index")).unwrap();
        let tail = tail(&original).strip_prefix(&original).unwrap().to_owned();
        let bytes = fs::read(original.join(&tail)).unwrap();
        let frames = frames(&bytes);
        Self {
            past,
            original,
            tail,
            bytes,
            frames,
        }
    }

    fn open_with(&self, bytes: &[u8]) -> (PathBuf, partstore::Result<PartStore>) {
        let copy = self.original.with_file_name("copy");
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.original, &copy);
        fs::write(copy.join(&self.tail), bytes).unwrap();
        let opened = self.open(&copy);
        (copy, opened)
    }

    fn open(&self, root: &Path) -> partstore::Result<PartStore> {
        self.past.fixture.options.clone().open(root)
    }

    fn seen(&self, store: &PartStore) -> Seen {
        Seen::of(store, &self.past.names)
    }

    /// Opens the journal `bytes`, of which `from` on is lost, and compares all that can be seen.
    fn assert_prefix(&self, bytes: &[u8]) {
        let whole = |frame: &&Frame| {
            bytes.get(frame.start..frame.end) == self.bytes.get(frame.start..frame.end)
        };
        let kept: Vec<_> = self.frames.iter().take_while(whole).collect();
        let end = kept.last().map_or(32, |frame| frame.end);
        let torn = bytes[end..]
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let (_, opened) = self.open_with(bytes);
        let store = opened.unwrap();
        let report = store.recovery();
        assert_eq!(report.journal_batches, kept.len() as u64);
        assert_eq!(report.torn_bytes, torn as u64);
        assert_eq!(
            &self.seen(&store),
            self.past.state_after(kept.len()),
            "{} bytes",
            bytes.len()
        );
    }

    fn assert_refused(&self, bytes: &[u8], frame: &Frame) {
        let (copy, opened) = self.open_with(bytes);
        for answer in [opened, self.open(&copy)] {
            match answer {
                Err(Error::Damaged { path, offset, .. }) => {
                    assert_eq!(path, copy.join(&self.tail));
                    // A body before the batch may be whole.
                    let expected = [frame.start, frame.batch].map(|at| at as u64);
                    assert!(expected.contains(&offset), "{offset}");
                }
                other => panic!("{frame:?}: {other:?}"),
            }
        }
        assert!(
            fs::read(copy.join(&self.tail)).unwrap() == bytes,
            "a refused journal was changed"
        );
    }
}

/// Every end of a frame and what lies next to it, and places in between.
fn cuts(frames: &[Frame], step: usize) -> Vec<usize> {
    let last = frames.last().unwrap().end;
    let edges = frames
        .iter()
        .flat_map(|frame| [frame.end - 1, frame.end, frame.end + 1]);
    let mut cuts: Vec<_> = (32..=last).step_by(step).chain(edges).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[test]
fn every_prefix_of_a_journal_opens_to_what_its_whole_frames_say() {
    let copies = Copies::new(one_segment());
    assert_eq!(copies.frames.len(), copies.past.states.last().unwrap().0);
    for cut in cuts(&copies.frames, 41) {
        copies.assert_prefix(&copies.bytes[..cut]);
    }
}

#[test]
fn a_journal_that_reads_as_zeros_from_anywhere_on_opens_to_what_stands_before() {
    let copies = Copies::new(one_segment());
    for cut in cuts(&copies.frames, 43) {
        let mut bytes = copies.bytes.clone();
        bytes[cut..].fill(0);
        copies.assert_prefix(&bytes);
    }
}

#[test]
fn a_torn_last_frame_is_cut_off_reported_once_and_written_over() {
    let copies = Copies::new(one_segment());
    let last = copies.frames.last().unwrap();
    for at in (last.start..last.end).step_by(23) {
        let mut bytes = copies.bytes.clone();
        bytes[at] ^= 0x10;
        copies.assert_prefix(&bytes);
    }
    let mut bytes = copies.bytes.clone();
    bytes[last.start + 40] ^= 1;
    let (copy, opened) = copies.open_with(&bytes);
    let store = opened.unwrap();
    assert_ne!(store.recovery().torn_bytes, 0);
    let upload = store.initiate_upload("later").unwrap();
    let part = store.put_part(&upload, number(1), &b"later"[..]).unwrap();
    store.close().unwrap();
    let store = copies.open(&copy).unwrap();
    assert_eq!(store.recovery().torn_bytes, 0);
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new().limit(10))
            .unwrap()
            .parts,
        [part]
    );
}

#[test]
fn a_flipped_bit_before_the_last_frame_is_refused_by_name_each_time() {
    let copies = Copies::new(one_segment());
    let (_, before) = copies.frames.split_last().unwrap();
    for (turn, frame) in before.iter().enumerate() {
        let len = frame.end - frame.start;
        for at in [0, 4, 9, 17, 24, 28, 32 + turn % (len - 32), len - 1] {
            let mut bytes = copies.bytes.clone();
            bytes[frame.start + at] ^= 1 << (turn % 8);
            copies.assert_refused(&bytes, frame);
        }
    }
}

#[test]
fn a_hole_in_the_journal_is_refused_by_name() {
    let copies = Copies::new(one_segment());
    let (_, before) = copies.frames.split_last().unwrap();
    for frame in before.iter().step_by(3) {
        let mut bytes = copies.bytes.clone();
        bytes[frame.start..frame.end].fill(0);
        copies.assert_refused(&bytes, frame);
    }
}

#[test]
fn a_frame_that_stands_twice_is_refused() {
    let copies = Copies::new(one_segment());
    let end = copies.frames.last().unwrap().end;
    for frame in &copies.frames {
        let mut bytes = copies.bytes.clone();
        bytes.copy_within(frame.start..frame.end, end);
        let twice = Frame {
            start: end,
            batch: end + frame.batch - frame.start,
            ..frame.clone()
        };
        copies.assert_refused(&bytes, &twice);
    }
}

#[test]
fn a_damaged_header_of_a_segment_is_refused_by_name() {
    let copies = Copies::new(one_segment());
    for at in 0..32 {
        let mut bytes = copies.bytes.clone();
        bytes[at] ^= 4;
        // The bytes behind the checksum are zeros that are checked too.
        copies.assert_refused(
            &bytes,
            &Frame {
                start: 0,
                batch: 0,
                end: 32,
                seq: 0,
                is_seal: false,
            },
        );
    }
}

#[test]
fn a_frame_in_another_segment_is_never_applied() {
    let copies = Copies::new(free_options().journal_sizes(4096, u64::MAX));
    let first = segments(&copies.original).remove(0);
    assert_ne!(first, copies.original.join(&copies.tail));
    let foreign = fs::read(first).unwrap();
    let end = copies.frames.last().unwrap().end;
    let whole = copies.past.seen();
    for frame in frames(&foreign).iter().filter(|frame| !frame.is_seal) {
        let mut bytes = copies.bytes.clone();
        let len = (frame.end - frame.start).min(bytes.len() - end);
        bytes[end..end + len].copy_from_slice(&foreign[frame.start..frame.start + len]);
        let (_, opened) = copies.open_with(&bytes);
        let store = opened.unwrap();
        assert_ne!(store.recovery().torn_bytes, 0);
        assert_eq!(copies.seen(&store), whole);
    }
}

/// What a client may write into metadata: at every place where a frame could begin, the header of one
/// that was written when everything was durable.
fn forged_frames() -> Vec<u8> {
    let mut forged = Vec::new();
    for phase in 0..8 {
        forged.resize(forged.len() + 9 + phase, b' ');
        let mut header = b"PSb1".to_vec();
        header.extend(0_u32.to_be_bytes());
        header.extend(9_u64.to_be_bytes());
        header.extend(u64::MAX.to_be_bytes());
        header.extend(0_u32.to_be_bytes());
        let first_segment = 1_u64.to_be_bytes();
        let crc = crc32fast::hash(&[first_segment.as_slice(), &header].concat());
        header.extend(crc.to_be_bytes());
        forged.extend(header);
    }
    forged
}

#[test]
fn a_client_cannot_make_a_torn_tail_look_like_damage() {
    let fixture = Fixture::with(one_segment());
    fixture.initiate("first");
    fixture
        .store
        .initiate_upload_with("second", forged_frames())
        .unwrap();
    let root = fixture.killed();
    // The header of the last frame did not reach the disk; what is behind it did.
    let tail = tail(&root);
    let mut bytes = fs::read(&tail).unwrap();
    let last = frames(&bytes).last().unwrap().start;
    bytes[last..last + 32].fill(0);
    fs::write(&tail, bytes).unwrap();
    let store = fixture.options.clone().open(&root).unwrap();
    assert!(store.recovery().torn_bytes > 0);
}
