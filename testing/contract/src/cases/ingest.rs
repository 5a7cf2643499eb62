//! Whatever a body's length, however it comes in and whoever else is at work: the bytes, the ETag and
//! the checksums are its own.

use crate::support::{Fixture, bytes, number, race, read_part};
use bytes::Bytes;
use md5::{Digest as _, Md5};
use partstore::{Part, PartOptions, Upload};
use std::io::Write as _;

const PAGE: usize = 4096;

pub const MIB: usize = 1 << 20;

pub fn assert_is(fixture: &Fixture, upload: &Upload, part: &Part, body: &[u8]) {
    let md5: [u8; 16] = Md5::digest(body).into();
    assert_eq!(part.etag.as_bytes(), &md5, "{} bytes", body.len());
    assert_eq!(part.size, body.len() as u64);
    assert_eq!(part.checksums.crc32(), Some(crc32fast::hash(body)));
    assert_eq!(part.content.as_bytes(), blake3::hash(body).as_bytes());
    let crc64 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Xz, body);
    assert_eq!(part.checksums.crc64_xz(), Some(crc64));
    assert!(read_part(&fixture.store, upload, part.number) == body);
}

/// Around what is written past the page cache at once, what a buffer holds, and what a lane takes.
pub fn a_body_of_any_length_is_stored_as_it_is() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let edges = [
        0,
        1,
        63,
        64,
        PAGE,
        32 * 1024,
        256 * 1024,
        MIB,
        MIB + PAGE,
        2 * MIB,
        2 * MIB + PAGE,
        3 * MIB,
    ];
    let lengths = edges
        .iter()
        .flat_map(|edge| [edge.saturating_sub(1), *edge, edge + 1]);
    for (seed, len) in (0..).zip(lengths) {
        // Not at the beginning of a page.
        let body = Bytes::from(bytes(3 * seed, len + 1)).slice(1..);
        let part = fixture.store.put_part(&upload, number(1), body.clone());
        assert_is(&fixture, &upload, &part.unwrap(), &body);

        let body = bytes(3 * seed + 1, len);
        let part = fixture
            .store
            .put_part_from(&upload, number(2), &body[..], PartOptions::new());
        assert_is(&fixture, &upload, &part.unwrap(), &body);

        let body = bytes(3 * seed + 2, len);
        let writer = fixture
            .store
            .part_writer(&upload, number(3), PartOptions::new());
        let mut writer = writer.unwrap();
        body.chunks(77_777)
            .for_each(|chunk| writer.write_all(chunk).unwrap());
        assert_is(&fixture, &upload, &writer.finish().unwrap(), &body);
    }
}

/// More bodies than there are buffers and lanes; some stall half-way, some are dropped.
pub fn many_bodies_at_once_do_not_hold_each_other_up() {
    const BODIES: u32 = 360;
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = |at: u32| bytes(u64::from(at), MIB + 300_000);
    let mut writers: Vec<_> = (1..=BODIES)
        .map(|at| {
            let options = PartOptions::new();
            let mut writer = fixture
                .store
                .part_writer(&upload, number(at), options)
                .unwrap();
            writer.append(&body(at)[..700_000]).unwrap();
            writer
        })
        .collect();
    // All of them hold what they have; others come and go.
    race(4, |thread| {
        let body = bytes(1000 + thread as u64, 2 * MIB);
        let at = number(BODIES + 1 + u32::try_from(thread).unwrap());
        let part = fixture.store.put_part(&upload, at, body.clone()).unwrap();
        assert_is(&fixture, &upload, &part, &body);
    });
    for at in (1..=BODIES).rev() {
        let mut writer = writers.pop().unwrap();
        if at % 5 == 0 {
            continue;
        }
        // Also in pieces that no buffer ends with.
        for piece in body(at)[700_000..].chunks(if at % 2 == 0 { 5_000 } else { MIB }) {
            writer.append(piece).unwrap();
        }
        let part = writer.finish().unwrap();
        assert_is(&fixture, &upload, &part, &body(at));
    }
    assert_eq!(fixture.parts(&upload).len(), 4 + 288);
    assert_eq!(fixture.store.stats().unwrap().staged_bodies, 0);
    fixture.assert_tidy();
}

/// The same bytes again are not written, however they are put, and have the same sums.
pub fn bytes_that_are_stored_already_have_the_same_sums() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 2 * MIB + 5);
    for at in 1..=3 {
        let part = fixture.store.put_part(&upload, number(at), body.clone());
        assert_is(&fixture, &upload, &part.unwrap(), &body);
    }
    assert_eq!(fixture.blob_files().len(), 1);
}
