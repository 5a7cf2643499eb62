//! The blocks in which blobs are checked: damage spoils one of them, whatever the size of the blob.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use partstore::{Checksum, ChecksumAlgorithm, ETagKind, Error, Part, PartOptions, Upload};

use crate::fixture::{Fixture, free_options, number};

const SHORT: u64 = 32 * 1024;
const LONG: u64 = 256 * 1024;
/// So many CRCs are in one row.
const ROW: u64 = 900 * SHORT;
const MOST_IN_SHORT: u64 = 128 << 20;

#[derive(Clone, Copy, Debug)]
enum Way {
    Memory,
    Stream,
}

fn put(fixture: &Fixture, upload: &Upload, body: &[u8], way: Way) -> Part {
    match way {
        Way::Memory => fixture
            .store
            .put_part(upload, number(1), body.to_vec())
            .unwrap(),
        Way::Stream => {
            let options = PartOptions::new();
            let mut writer = fixture
                .store
                .part_writer(upload, number(1), options)
                .unwrap();
            for piece in body.chunks(999_999) {
                writer.write_all(piece).unwrap();
            }
            writer.finish().unwrap()
        }
    }
}

/// One byte of the part: the byte, or what the error says.
fn byte_at(fixture: &Fixture, upload: &Upload, at: u64) -> Result<u8, String> {
    let mut reader = fixture.store.open_part(upload, number(1)).unwrap();
    let mut byte = [0];
    reader.seek(SeekFrom::Start(at)).unwrap();
    let read = reader.read_exact(&mut byte);
    read.map(|()| byte[0])
        .map_err(|error| Error::from_io(error).unwrap().to_string())
}

fn damage(fixture: &Fixture, part: &Part, at: u64) {
    let path = fixture.blob_path(&part.content);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[1], at).unwrap();
}

#[test]
fn a_damaged_byte_spoils_its_block_and_no_other() {
    let sizes = [
        (SHORT, SHORT),
        (SHORT + 1, SHORT),
        (LONG, SHORT),
        (LONG + 1, SHORT),
        (ROW, SHORT),
        (ROW + 1, SHORT),
        (MOST_IN_SHORT, SHORT),
        (MOST_IN_SHORT + 1, LONG),
    ];
    let body = vec![7; usize::try_from(MOST_IN_SHORT + 1).unwrap()];
    for (size, block) in sizes {
        let body = &body[..usize::try_from(size).unwrap()];
        for way in [Way::Memory, Way::Stream] {
            let mut fixture = Fixture::with(free_options().etag(ETagKind::Opaque));
            let upload = fixture.initiate("key");
            let part = put(&fixture, &upload, body, way);
            let crc32 = part.checksums.get(ChecksumAlgorithm::Crc32);
            assert_eq!(crc32, Some(Checksum::Crc32(crc32fast::hash(body))));
            fixture.reopen();
            let (last, middle) = (size - 1, size / 2);
            assert_eq!(byte_at(&fixture, &upload, last), Ok(7), "{size}, {way:?}");
            // The last block, then one that has others on both sides.
            for damaged in [last, middle] {
                damage(&fixture, &part, damaged);
                let (at, start) = (damaged / block, damaged / block * block);
                let reason = format!("block {at} of {block} bytes");
                for byte in [damaged, start] {
                    let said = byte_at(&fixture, &upload, byte).unwrap_err();
                    // Where there is one block, it may be called short or long.
                    assert!(said.contains(&reason) || size <= SHORT, "{size}: {said}");
                }
                for other in [start.checked_sub(1), Some(start + block)] {
                    let other =
                        other.filter(|other| *other < size && other / block != last / block);
                    if let Some(other) = other {
                        assert_eq!(byte_at(&fixture, &upload, other), Ok(7), "{size}, {way:?}");
                    }
                }
            }
            // The same bytes repair it.
            if size > ROW + 1 {
                continue;
            }
            put(&fixture, &upload, body, way);
            for byte in [last, middle, 0] {
                assert_eq!(byte_at(&fixture, &upload, byte), Ok(7));
            }
        }
    }
}

/// Whoever reads on from a sound block gets all that is sound, and then the damage.
#[test]
fn what_is_before_a_damaged_block_is_read() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body: Vec<u8> = (0..3_000_000_u32)
        .map(|at| (at >> 12).to_le_bytes()[0])
        .collect();
    let part = put(&fixture, &upload, &body, Way::Memory);
    let damaged = 70 * SHORT + 5;
    damage(&fixture, &part, damaged);
    let sound = usize::try_from(70 * SHORT).unwrap();
    for len in [1000, 32 * 1024, 100_000, 256 * 1024, 1 << 20, 3_000_000] {
        let mut reader = fixture.store.open_part(&upload, number(1)).unwrap();
        let (mut read, mut piece) = (Vec::new(), vec![0; len]);
        let error = loop {
            match reader.read(&mut piece) {
                Ok(len) => read.extend_from_slice(&piece[..len]),
                Err(error) => break error,
            }
        };
        assert!(read == body[..sound], "{} of {sound} by {len}", read.len());
        let said = Error::from_io(error).unwrap().to_string();
        assert!(said.contains("block 70 of 32768 bytes"), "{said}");
        let mut chunks = fixture.store.open_part(&upload, number(1)).unwrap();
        let mut read = Vec::new();
        while let Ok(chunk) = chunks.next_chunk(len) {
            read.extend_from_slice(&chunk);
        }
        assert!(read == body[..sound], "{} of {sound} by {len}", read.len());
    }
}
