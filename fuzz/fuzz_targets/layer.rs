//! Layers: what was written reads back, and damage changes no answer: it is right or an error.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use partstore::fuzzing::{
    Row, ask_layer, decode_layer_pieces, read_layer, rows_left_of_layer, write_layer,
};
use partstore::{Error, Result};
use partstore_fuzz::{AnyRow, Damage, scratch};

#[derive(Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    /// A piece with a seal that fits.
    Piece {
        salt: u64,
        offset: u16,
        bytes: Vec<u8>,
    },
    Damaged {
        through: u64,
        rows: Vec<AnyRow>,
        damage: Vec<Damage>,
        cut: Option<u16>,
    },
}

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(scratch);

fn written(through: u64, rows: &[Row]) -> Vec<u8> {
    let path = DIR.path().join("layer");
    let _ = fs::remove_file(&path);
    write_layer(&path, through, rows).expect("write");
    fs::read(path).expect("read")
}

/// The answer. `None` if it was refused because of damage.
fn unless_damaged<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(Error::Damaged { .. }) => None,
        // A file that ends early.
        Err(Error::Io { op: "read", .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Asks the layer in these bytes for everything.
fn ask(bytes: &[u8], rows: &[Row]) {
    let path = DIR.path().join("asked");
    fs::write(&path, bytes).expect("write");
    if let Some(all) = unless_damaged(read_layer(&path)) {
        assert_eq!(all, rows);
    }
    for row in rows {
        if let Some(said) = unless_damaged(ask_layer(&path, row.tree, &row.key)) {
            assert_eq!(said.as_ref(), Some(row));
        }
    }
    let left = rows_left_of_layer(&path).expect("a file that opens");
    assert!(left.iter().all(|row| rows.contains(row)));
}

fuzz_target!(|input: Input| {
    match input {
        Input::Bytes(bytes) => {
            let path = DIR.path().join("any");
            fs::write(&path, &bytes).expect("write");
            unless_damaged(read_layer(&path));
            unless_damaged(ask_layer(&path, 1, &bytes));
            rows_left_of_layer(&path).expect("a file that opens");
        }
        Input::Piece {
            salt,
            offset,
            bytes,
        } => {
            let _ = decode_layer_pieces(salt, u64::from(offset), &bytes);
        }
        Input::Damaged {
            through,
            rows,
            damage,
            cut,
        } => {
            let rows = rows.into_iter().map(Row::from);
            let rows: BTreeMap<_, _> = rows.map(|row| ((row.tree, row.key.clone()), row)).collect();
            let rows: Vec<Row> = rows.into_values().collect();
            let mut bytes = written(through, &rows);
            damage.iter().for_each(|damage| damage.apply(&mut bytes));
            if let Some(cut) = cut {
                bytes.truncate(usize::from(cut));
            }
            ask(&bytes, &rows);
        }
    }
});
