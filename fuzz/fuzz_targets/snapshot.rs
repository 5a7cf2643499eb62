//! Row files, which snapshots are: what was written reads back, and what was damaged reads as
//! before or not at all.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use partstore::Error;
use partstore::fuzzing::{Row, read_rows, write_rows};
use partstore_fuzz::{AnyRow, Damage, scratch};

#[derive(Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    /// Bytes behind a whole header.
    Rows {
        seq: u64,
        bytes: Vec<u8>,
    },
    Damaged {
        seq: u64,
        rows: Vec<AnyRow>,
        damage: Vec<Damage>,
        cut: Option<u16>,
    },
}

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(scratch);

fn written(seq: u64, rows: &[Row]) -> Vec<u8> {
    let path = DIR.path().join("rows");
    let _ = fs::remove_file(&path);
    write_rows(&path, seq, rows).expect("write");
    fs::read(path).expect("read")
}

fn read(bytes: &[u8]) -> Option<(u64, Vec<Row>)> {
    let path = DIR.path().join("read");
    fs::write(&path, bytes).expect("write");
    match read_rows(&path) {
        Ok(found) => Some(found),
        Err(Error::Damaged {
            path: named,
            offset,
            ..
        }) => {
            assert_eq!(named, path);
            assert!(offset <= bytes.len() as u64);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Bytes(bytes) => drop(read(&bytes)),
        Input::Rows { seq, bytes } => {
            let header = &written(seq, &[])[..24];
            read(&[header, &bytes].concat());
        }
        Input::Damaged {
            seq,
            rows,
            damage,
            cut,
        } => {
            let rows: Vec<Row> = rows.into_iter().map(Row::from).collect();
            let whole = written(seq, &rows);
            let mut bytes = whole.clone();
            damage.iter().for_each(|damage| damage.apply(&mut bytes));
            if let Some(cut) = cut {
                bytes.truncate(usize::from(cut));
            }
            let found = read(&bytes);
            if bytes == whole {
                assert_eq!(found, Some((seq, rows)));
            } else {
                assert_eq!(found, None, "damage was not noticed");
            }
        }
    }
});
