//! A journal of one segment: frames as they are written, then damaged; and bytes of any kind.
//!
//! Whatever the damage, a scan that does not refuse gives the first batches that were written, and
//! all of them when nothing was damaged.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use partstore::Error;
use partstore::fuzzing::{Row, create_journal, decode_batch, encode_batch, frame, scan_journal};
use partstore_fuzz::{AnyRow, Damage, scratch};

#[derive(Arbitrary, Debug)]
enum Input {
    /// Behind a whole header.
    Bytes(Vec<u8>),
    Payload(Vec<u8>),
    Batches {
        batches: Vec<Vec<AnyRow>>,
        group: u8,
        damage: Vec<Damage>,
        cut: Option<u16>,
    },
}

struct Segment {
    dir: tempfile::TempDir,
    header: Vec<u8>,
    salt: u64,
}

static SEGMENT: LazyLock<Segment> = LazyLock::new(|| {
    let dir = scratch();
    create_journal(dir.path(), 4096).expect("a segment");
    let path = dir.path().join("00000000000000000001.log");
    let header = fs::read(path).expect("a segment")[..32].to_vec();
    let salt = u64::from_be_bytes(header[20..28].try_into().expect("8 bytes"));
    Segment { dir, header, salt }
});

fn write(frames: &[u8]) {
    let path = SEGMENT.dir.path().join("00000000000000000001.log");
    fs::write(path, [&SEGMENT.header, frames].concat()).expect("write");
}

fn batches(batches: Vec<Vec<AnyRow>>, group: u8, damage: &[Damage], cut: Option<u16>) {
    let mut bytes = Vec::new();
    let mut written: Vec<(u64, Vec<Row>)> = Vec::new();
    let group = u64::from(group % 8) + 1;
    for (seq, rows) in (1..).zip(batches) {
        let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
        let durable = (seq - 1) / group * group;
        bytes.extend(frame(
            (1, SEGMENT.salt),
            (seq, durable),
            Some(&encode_batch(&rows)),
        ));
        written.push((seq, rows));
    }
    let whole = bytes.clone();
    damage.iter().for_each(|damage| damage.apply(&mut bytes));
    if let Some(cut) = cut {
        bytes.truncate(usize::from(cut));
    }
    write(&bytes);
    match scan_journal(SEGMENT.dir.path()) {
        Ok(found) if bytes == whole => assert_eq!((found.batches, found.torn), (written, 0)),
        Ok(found) => assert!(written.starts_with(&found.batches)),
        Err(Error::Damaged { .. }) => assert_ne!(bytes, whole),
        Err(error) => panic!("{error}"),
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Bytes(bytes) => {
            write(&bytes);
            let _ = scan_journal(SEGMENT.dir.path());
        }
        Input::Payload(payload) => {
            if let Some(rows) = decode_batch(&payload) {
                assert_eq!(encode_batch(&rows), payload);
            }
            write(&frame((1, SEGMENT.salt), (1, 0), Some(&payload)));
            let _ = scan_journal(SEGMENT.dir.path());
        }
        Input::Batches {
            batches: all,
            group,
            damage,
            cut,
        } => batches(all, group, &damage, cut),
    }
});
