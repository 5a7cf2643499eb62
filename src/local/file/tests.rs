//! What a file system does for this layer.

use std::os::unix::fs::MetadataExt;

use super::Dir;
use crate::local::format::mutation::Tree;
use crate::local::meta::rows::{RowReader, RowWriter};

#[test]
fn a_row_file_that_is_consumed_gives_its_disk_back_and_reads_as_it_was() {
    const ROWS: u64 = 20_000;
    let root = tempfile::tempdir().unwrap();
    let place = Dir::open(root.path(), 0o600).unwrap().at("0.run");
    let blocks = || place.path().metadata().unwrap().blocks();
    let value = |number: u64| [number.to_be_bytes().as_slice(), &[7; 500]].concat();
    let mut writer = RowWriter::create(&place, 0).unwrap();
    for number in 0..ROWS {
        let (key, value) = (number.to_be_bytes(), value(number));
        writer.push(Tree::Parts, &key, Some(&value)).unwrap();
    }
    writer.finish().unwrap().sync_all().unwrap();
    let all = blocks();
    for consumed in [false, true] {
        let reader = if consumed {
            RowReader::consume(&place)
        } else {
            RowReader::open(&place)
        };
        let mut reader = reader.unwrap();
        for number in 0..ROWS {
            let row = reader.next().unwrap().unwrap();
            assert_eq!(row.key, number.to_be_bytes());
            assert_eq!(row.value, Some(value(number)));
        }
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(blocks() < all / 4, consumed, "{} of {all}", blocks());
    }
}
