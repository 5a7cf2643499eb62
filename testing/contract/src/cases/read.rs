//! Reading parts and objects.

use crate::support::{Fixture, bytes, lines, number, read_object, read_part, refusal};
use partstore::{Part, PartReader};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

const BLOCK: usize = 262_144;

/// Sizes about the edges of blocks.
const SIZES: [usize; 8] = [
    0,
    1,
    BLOCK - 1,
    BLOCK,
    BLOCK + 1,
    2 * BLOCK,
    2 * BLOCK + 1,
    3 * BLOCK - 1,
];

/// Seeks and reads alike in `reader` and in what it should hold, about all `edges`.
fn assert_reads_like(mut reader: impl Read + Seek, expected: &[u8], edges: &[usize]) {
    let size = i64::try_from(expected.len()).unwrap();
    let mut model = Cursor::new(expected);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == expected, "read to the end");
    for edge in edges {
        for step in [-1, 0, 1] {
            let at = i64::try_from(*edge).unwrap() + step;
            let seeks = [
                u64::try_from(at).map_or(SeekFrom::End(at), SeekFrom::Start),
                SeekFrom::End(at - size),
                SeekFrom::Current(step),
            ];
            for seek in seeks {
                let (found, expected) = (reader.seek(seek), model.seek(seek));
                assert_eq!(found.ok(), expected.ok(), "{seek:?}");
                for len in [0, 1, 100, BLOCK, BLOCK + 1] {
                    assert_takes_alike(&mut reader, &mut model, len);
                }
            }
        }
    }
}

fn assert_takes_alike(reader: &mut impl Read, model: &mut impl Read, len: usize) {
    let take = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(len as u64).read_to_end(&mut bytes).unwrap();
        bytes
    };
    assert!(take(reader) == take(model), "{len} bytes");
}

pub fn a_part_reads_like_its_bytes() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for (at, size) in (1..).zip(SIZES) {
        fixture.put(&upload, at, &bytes(u64::from(at), size));
    }
    for _ in 0..2 {
        for (at, size) in (1..).zip(SIZES) {
            let reader = fixture.store.open_part(&upload, number(at)).unwrap();
            assert_eq!(reader.part().size, size as u64);
            let edges = [0, BLOCK, 2 * BLOCK, size];
            assert_reads_like(reader, &bytes(u64::from(at), size), &edges);
        }
        fixture.reopen();
    }
}

pub fn an_object_reads_like_its_parts_one_after_the_other() {
    let mut fixture = Fixture::new();
    let bodies: Vec<Vec<u8>> = (1..)
        .zip(SIZES)
        .map(|(seed, size)| bytes(seed, size))
        .collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let whole = slices.concat();
    let object = fixture.complete("key", &slices).upload;
    let mut edges = vec![0];
    for body in &bodies {
        edges.push(edges.last().unwrap() + body.len());
    }
    for _ in 0..2 {
        let reader = fixture.store.open_object(&object).unwrap();
        assert_eq!(reader.object().size, whole.len() as u64);
        let places = reader.parts().iter().map(|part| part.offset);
        assert!(places.eq(edges[..SIZES.len()].iter().map(|edge| *edge as u64)));
        assert_reads_like(reader, &whole, &edges);
        fixture.reopen();
    }
}

/// What `GET ?partNumber=N` needs.
pub fn a_part_of_an_object_is_read_by_its_number() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let sizes = [(3, 300_000), (4, 0), (5, 7)];
    let parts: Vec<Part> = sizes
        .iter()
        .map(|(at, size)| fixture.put(&upload, *at, &bytes(u64::from(*at), *size)))
        .collect();
    let list = lines(&parts);
    fixture.store.complete_upload(&upload, &list).unwrap();
    let object = fixture.store.open_object(&upload).unwrap();
    for (at, size) in sizes {
        let reader = object.part(number(at)).unwrap();
        assert!(parts.contains(reader.part()));
        assert_reads_like(reader, &bytes(u64::from(at), size), &[0, BLOCK, size]);
    }
    for missing in [1, 2, 6, 10_000] {
        let answer = object.part(number(missing));
        assert_eq!(refusal(answer), ("InvalidPartNumber", 416));
    }
    let outlives = object.part(number(3)).unwrap();
    drop(object);
    assert_reads_like(outlives, &bytes(3, 300_000), &[0]);
}

pub fn a_part_that_was_never_put_can_not_be_opened() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 2, b"bytes");
    for missing in [1, 3, 10_000] {
        let answer = fixture.store.open_part(&upload, number(missing));
        assert_eq!(refusal(answer), ("InvalidPartNumber", 416));
    }
}

pub fn a_seek_before_the_start_stays_where_it_was() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"0123456789");
    let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
    reader.seek(SeekFrom::Start(4)).unwrap();
    for seek in [SeekFrom::Current(-5), SeekFrom::End(-11)] {
        let refused = reader.seek(seek).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(std::io::read_to_string(reader).unwrap(), "456789");
}

/// Reads half, lets `change` and a sweep happen, and reads the rest; then the bytes go.
fn assert_reads_on(
    fixture: &Fixture,
    mut reader: impl Read,
    expected: &[u8],
    change: impl FnOnce(),
) {
    let mut read = vec![0; BLOCK + 3];
    reader.read_exact(&mut read).unwrap();
    change();
    let swept = fixture.store.sweep().unwrap();
    assert_eq!((swept.blobs, swept.in_use), (0, 1));
    reader.read_to_end(&mut read).unwrap();
    assert!(read == expected);
    drop(reader);
    assert_eq!(fixture.store.sweep().unwrap().blobs, 1);
}

pub fn a_reader_reads_on_whatever_becomes_of_its_part() {
    let fixture = Fixture::new();
    let body = bytes(1, 3 * BLOCK);
    let upload = fixture.initiate("key");
    let put_and_open = || -> PartReader {
        fixture.put(&upload, 1, &body);
        fixture.store.open_part(&upload, number(1)).unwrap()
    };
    assert_reads_on(&fixture, put_and_open(), &body, || {
        fixture.put(&upload, 1, b"replaced");
    });
    let reader = put_and_open();
    fixture.store.sweep().unwrap();
    assert_reads_on(&fixture, reader, &body, || {
        fixture.store.abort_upload(&upload).unwrap();
    });
    let object = fixture.complete("key", &[&body]).upload;
    let reader = fixture.store.open_object(&object).unwrap();
    assert_reads_on(&fixture, reader, &body, || {
        fixture.store.remove_object(&object).unwrap();
    });
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
}

/// An object's reader opens its files as it goes; none of them may be gone by then.
pub fn an_objects_reader_holds_also_the_parts_that_it_has_not_reached() {
    let fixture = Fixture::new();
    let bodies = [bytes(1, 10), bytes(2, 10)];
    let object = fixture.complete("key", &[&bodies[0], &bodies[1]]).upload;
    let reader = fixture.store.open_object(&object).unwrap();
    let second = reader.part(number(2)).unwrap();
    fixture.store.remove_object(&object).unwrap();
    assert_eq!(fixture.store.sweep().unwrap().in_use, 2);
    assert_reads_like(reader, &bodies.concat(), &[0, 10, 20]);
    assert_eq!(fixture.store.sweep().unwrap().in_use, 2, "a part's reader");
    assert_reads_like(second, &bodies[1], &[0]);
    fixture.assert_tidy();
}

/// A part keeps its bytes when it becomes part of an object.
pub fn a_parts_reader_outlives_the_completion() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, b"bytes");
    assert_eq!(read_part(&fixture.store, &upload, number(1)), b"bytes");
    let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
    let list = lines(&[part]);
    fixture.store.complete_upload(&upload, &list).unwrap();
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, read_object(&fixture.store, &upload));
}
