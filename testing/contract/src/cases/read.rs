//! Reading parts and objects.

use crate::support::{Fixture, bytes, lines, number, read_object, read_part, refusal};
use partstore::{Condition, Error, Object, ObjectOptions, ObjectReader, Part, PartReader};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

/// A long block, and a short one.
const BLOCK: usize = 262_144;
const SHORT: usize = 32_768;

/// Sizes about the edges of blocks.
const SIZES: [usize; 11] = [
    0,
    1,
    SHORT - 1,
    SHORT,
    SHORT + 1,
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
                for len in [0, 1, 100, SHORT, BLOCK, BLOCK + 1] {
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
            let edges = [0, SHORT, 7 * SHORT, BLOCK, 2 * BLOCK, size];
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
        let places = reader.parts().map(|part| part.unwrap().offset);
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

/// Sizes of parts of which a reader reads ahead: long ones, between small ones and none.
const LONG: [usize; 7] = [
    3 * BLOCK,
    0,
    11 * BLOCK + 5,
    10,
    24 * BLOCK,
    BLOCK - 1,
    8 * BLOCK + 1,
];

fn long_object(fixture: &Fixture) -> (Object, Vec<u8>) {
    let bodies: Vec<Vec<u8>> = (1..).zip(LONG).map(|(at, len)| bytes(at, len)).collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    (fixture.complete("key", &slices), slices.concat())
}

/// Takes chunks up to a place, and compares them.
fn take_chunks(reader: &mut ObjectReader, (from, to): (usize, usize), whole: &[u8], most: usize) {
    let mut at = from;
    while at < to {
        let chunk = reader.next_chunk(most.min(to - at)).unwrap();
        assert!((1..=most).contains(&chunk.len()), "{at} of {to}");
        assert!(whole[at..].starts_with(&chunk), "at {at}");
        at += chunk.len();
        assert_eq!(reader.stream_position().unwrap(), at as u64);
    }
}

pub fn chunks_are_the_bytes_in_order_and_from_any_place_on() {
    let mut fixture = Fixture::new();
    let (object, whole) = long_object(&fixture);
    let end = whole.len();
    for most in [usize::MAX, BLOCK, 100_000] {
        let mut reader = fixture.store.open_object(&object.upload).unwrap();
        assert!(reader.next_chunk(0).unwrap().is_empty());
        take_chunks(&mut reader, (0, end), &whole, most);
        assert!(reader.next_chunk(most).unwrap().is_empty(), "the end");
        // A place that may be on its way, and is not the next.
        for (from, to) in [(0, 22 * BLOCK), (44 * BLOCK, end)] {
            reader.seek(SeekFrom::Start(from as u64)).unwrap();
            take_chunks(&mut reader, (from, to), &whole, most);
        }
        for from in [end - 1, 20 * BLOCK + 7, 5 * BLOCK, 3, 12 * BLOCK] {
            let to = end.min(from + 9 * BLOCK);
            reader.seek(SeekFrom::Start(from as u64)).unwrap();
            take_chunks(&mut reader, (from, to), &whole, most);
        }
        fixture.reopen();
    }
    let mut part = fixture
        .store
        .open_object(&object.upload)
        .and_then(|reader| reader.part(number(3)))
        .unwrap();
    let mut read = Vec::new();
    loop {
        let chunk = part.next_chunk(usize::MAX).unwrap();
        if chunk.is_empty() {
            break;
        }
        read.extend_from_slice(&chunk);
    }
    assert!(read == bytes(3, LONG[2]));
}

/// Reads of all lengths, seeks and chunks by turns, over bytes that are read ahead.
pub fn reads_and_chunks_by_turns_go_on_where_the_other_ended() {
    let fixture = Fixture::new();
    let (object, whole) = long_object(&fixture);
    let mut reader = fixture.store.open_object(&object.upload).unwrap();
    let mut at = 0;
    for len in [10, BLOCK, 3 * BLOCK, 7, 12 * BLOCK, 1, BLOCK + 1].repeat(2) {
        let chunk = reader.next_chunk(len).unwrap();
        assert!(whole[at..].starts_with(&chunk), "a chunk at {at}");
        at += chunk.len();
        let mut read = vec![0; len.min(whole.len() - at)];
        reader.read_exact(&mut read).unwrap();
        assert!(whole[at..].starts_with(&read), "{len} bytes at {at}");
        at += read.len();
        if len == 7 {
            at -= BLOCK;
            reader
                .seek_relative(-(i64::try_from(BLOCK).unwrap()))
                .unwrap();
        }
    }
    reader.rewind().unwrap();
    assert_reads_like(reader, &whole, &[0, 14 * BLOCK]);
}

/// A reader in the middle of an object, with more of it on its way.
fn half_way(fixture: &Fixture, object: &Object, whole: &[u8]) -> ObjectReader {
    let mut reader = fixture.store.open_object(&object.upload).unwrap();
    take_chunks(&mut reader, (0, 5 * BLOCK), whole, usize::MAX);
    reader
}

pub fn chunks_go_on_when_the_object_is_removed() {
    let fixture = Fixture::new();
    let (object, whole) = long_object(&fixture);
    let mut reader = half_way(&fixture, &object, &whole);
    fixture.store.remove_object(&object.upload).unwrap();
    assert_eq!(fixture.store.sweep().unwrap().blobs, 0);
    take_chunks(&mut reader, (5 * BLOCK, whole.len()), &whole, usize::MAX);
    drop(reader);
    assert_eq!(fixture.store.sweep().unwrap().blobs, LONG.len() as u64);
    fixture.assert_tidy();
}

pub fn a_reader_that_is_dropped_half_way_keeps_nothing() {
    let fixture = Fixture::new();
    let (object, whole) = long_object(&fixture);
    let reader = half_way(&fixture, &object, &whole);
    fixture.store.remove_object(&object.upload).unwrap();
    drop(reader);
    assert_eq!(fixture.store.sweep().unwrap().blobs, LONG.len() as u64);
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
}

/// An object of more parts than a reader knows at a time: of several sizes, and some of none, as the first one.
fn many_parts(fixture: &Fixture, key: &str) -> (Object, Vec<Vec<u8>>) {
    let bodies: Vec<Vec<u8>> = (0..205)
        .map(|at| {
            bytes(
                1000 + at,
                [0, 7, 40, 3000][usize::try_from(at).unwrap() % 4],
            )
        })
        .collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    (fixture.complete(key, &slices), bodies)
}

pub fn an_object_of_many_parts_is_read_from_any_place_on() {
    let mut fixture = Fixture::new();
    let (object, bodies) = many_parts(&fixture, "key");
    let whole = bodies.concat();
    for _ in 0..2 {
        let reader = fixture.store.open_object(&object.upload).unwrap();
        let ends = bodies.iter().scan(0, |end, body| {
            *end += body.len();
            Some(*end)
        });
        let edges: Vec<usize> = [0].into_iter().chain(ends).collect();
        let parts: Vec<_> = reader.parts().map(Result::unwrap).collect();
        assert_eq!(parts.len(), bodies.len());
        for (at, placed) in parts.iter().enumerate() {
            let (offset, size) = (edges[at] as u64, bodies[at].len() as u64);
            assert_eq!((placed.offset, placed.part.size), (offset, size));
            assert_eq!(reader.placed_part(placed.part.number).unwrap(), *placed);
            if size > 0 {
                for byte in [offset, offset + size - 1] {
                    assert_eq!(reader.part_at(byte).unwrap().as_ref(), Some(placed));
                }
            }
        }
        assert_eq!(reader.part_at(whole.len() as u64).unwrap(), None);
        assert_eq!(
            refusal(reader.placed_part(number(206))).0,
            "InvalidPartNumber"
        );
        for at in [198, 3, 66] {
            let part = reader.part(number(at)).unwrap();
            let body = &bodies[usize::try_from(at).unwrap() - 1];
            assert_reads_like(part, body, &[0, body.len()]);
        }
        let mut places =
            [0, 1, 31, 32, 33, 63, 64, 65, 128, 191, 203, 204, 205].map(|at| edges[at]);
        places.reverse();
        assert_reads_like(reader, &whole, &places);
        let mut reader = fixture.store.open_object(&object.upload).unwrap();
        for (from, to) in [
            (edges[150], edges[205]),
            (0, edges[140]),
            (edges[60] + 3, edges[70]),
        ] {
            reader.seek(SeekFrom::Start(from as u64)).unwrap();
            take_chunks(&mut reader, (from, to), &whole, usize::MAX);
        }
        fixture.reopen();
    }
}

/// Whatever becomes of an object: who reads it, and who copies it from a reader, has its bytes.
pub fn an_object_of_many_parts_is_held_whatever_becomes_of_it() {
    let fixture = Fixture::new();
    let ends: [&dyn Fn(&Object); 3] = [
        &|object| fixture.store.remove_object(&object.upload).unwrap(),
        &|_| drop(fixture.store.put_object("key", "another").unwrap()),
        &|object| {
            let options = ObjectOptions::new();
            let renamed = fixture
                .store
                .rename_object(&object.upload, "other", &options);
            fixture
                .store
                .remove_object(&renamed.unwrap().upload)
                .unwrap();
        },
    ];
    for end in ends {
        let (object, bodies) = many_parts(&fixture, "key");
        let always = Condition::Always;
        fixture.store.make_current(&object.upload, always).unwrap();
        let mut reader = fixture.store.open_key("key").unwrap();
        let part = reader.part(number(200)).unwrap();
        end(&object);
        let swept = fixture.store.sweep().unwrap();
        assert_eq!((swept.blobs, swept.in_use > 0), (0, true));
        let options = ObjectOptions::new();
        let copy = fixture
            .store
            .copy_object(&reader, "copy", &options)
            .unwrap();
        assert!(reader.parts().map(Result::unwrap).count() == bodies.len());
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == bodies.concat());
        drop(reader);
        fixture.store.sweep().unwrap();
        assert_reads_like(part, &bodies[199], &[0]);
        assert!(read_object(&fixture.store, &copy.upload) == read);
        fixture.store.remove_object(&copy.upload).unwrap();
        fixture.store.remove_key("key", always).unwrap();
        fixture.assert_tidy();
        assert_eq!(fixture.blob_files().len(), 0);
        assert_eq!(fixture.store.stats().unwrap().pinned_blobs, 0);
    }
}

/// Whoever reads in order gets everything before a damaged block, its name, and no byte of it.
pub fn a_damaged_blob_ends_the_chunks_before_it() {
    let fixture = Fixture::new();
    let (object, whole) = long_object(&fixture);
    let reader = fixture.store.open_object(&object.upload).unwrap();
    let placed = reader.parts().nth(4).unwrap().unwrap();
    let (damaged, begin) = (placed.part.content, usize::try_from(placed.offset).unwrap());
    fixture.engine.damage(&damaged);
    let is_named =
        |error: Error| matches!(error, Error::DamagedBlob { hash, .. } if hash == damaged);
    for len in [10_000, BLOCK, 40 * BLOCK] {
        let mut reader = fixture.store.open_object(&object.upload).unwrap();
        take_chunks(&mut reader, (0, begin), &whole, usize::MAX);
        for _ in 0..2 {
            assert!(is_named(reader.next_chunk(len).unwrap_err()));
            let mut into = vec![0; len];
            let refused = reader.read(&mut into).unwrap_err();
            assert!(is_named(Error::from_io(refused).unwrap()));
            assert!(into.iter().all(|byte| *byte == 0), "a damaged byte");
            assert_eq!(reader.stream_position().unwrap(), begin as u64);
        }
        let mut reader = fixture.store.open_object(&object.upload).unwrap();
        let mut into = vec![0; len];
        reader.seek(SeekFrom::Start(begin as u64)).unwrap();
        let refused = reader.read(&mut into).unwrap_err();
        assert!(is_named(Error::from_io(refused).unwrap()));
        assert!(into.iter().all(|byte| *byte == 0), "a damaged byte");
        let behind = begin + BLOCK;
        reader.seek(SeekFrom::Start(behind as u64)).unwrap();
        take_chunks(&mut reader, (behind, whole.len()), &whole, usize::MAX);
    }
}

/// A reader that seeks keeps blobs open. One that is damaged is not among them.
pub fn a_reader_that_comes_back_finds_the_blob_repaired() {
    let fixture = Fixture::new();
    let bodies: Vec<Vec<u8>> = (0..3).map(|at| bytes(at, 100_000)).collect();
    let slices: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let object = fixture.complete("key", &slices);
    let mut reader = fixture.store.open_object(&object.upload).unwrap();
    let mut first_of = |part: usize| {
        let mut byte = [0];
        let at = SeekFrom::Start(part as u64 * 100_000);
        reader.seek(at).unwrap();
        let read = reader.read_exact(&mut byte);
        read.map(|()| byte[0])
            .map_err(|error| Error::from_io(error).unwrap())
    };
    let is_first = |part: usize, read: partstore::Result<u8>| read.unwrap() == bodies[part][0];
    for part in [0, 2, 0] {
        assert!(is_first(part, first_of(part)));
    }
    let object_of = fixture.store.open_object(&object.upload).unwrap();
    let content = object_of.part_at(100_000).unwrap().unwrap().part.content;
    fixture.engine.damage(&content);
    for part in [0, 1, 0, 1] {
        let read = first_of(part);
        match part {
            1 => assert!(matches!(read, Err(Error::DamagedBlob { hash, .. }) if hash == content)),
            _ => assert!(is_first(part, read)),
        }
    }
    fixture
        .store
        .put_object("again", bodies[1].clone())
        .unwrap();
    for part in [2, 1, 0, 1] {
        assert!(is_first(part, first_of(part)));
    }
}
