//! Putting a part: R2, R3, R5 to R8, R10 to R14.

use crate::support::{Fixture, bytes, free_options, number, race, read_part, refusal};
use md5::{Digest, Md5};
use partstore::{Error, ListParts, MinimumAt, Options, Part, PartOptions, Result, Upload};
use std::io::Write;

/// Hands a body over as part 1.
pub type Way = fn(&Fixture, &Upload, &[u8], PartOptions) -> Result<Part>;

/// All ways to hand a body over.
pub const WAYS: [(&str, Way); 3] = [
    ("from memory", |fixture, upload, body, options| {
        let body = body.to_vec();
        fixture
            .store
            .put_part_with(upload, number(1), body, options)
    }),
    ("from a reader", |fixture, upload, body, options| {
        fixture
            .store
            .put_part_from(upload, number(1), body, options)
    }),
    ("by a writer", |fixture, upload, body, options| {
        let mut writer = fixture.store.part_writer(upload, number(1), options)?;
        for piece in body.chunks(100_003) {
            writer
                .write_all(piece)
                .map_err(|error| Error::from_io(error).unwrap())?;
        }
        writer.finish()
    }),
];

/// The bytes of a part and what must be known of it.
fn assert_holds(fixture: &Fixture, upload: &Upload, part: &Part, body: &[u8]) {
    assert_eq!(read_part(&fixture.store, upload, part.number), body);
    assert_eq!(fixture.parts(upload), std::slice::from_ref(part));
    assert_eq!(part.size, body.len() as u64);
    assert_eq!(part.etag.to_string(), hex::encode(Md5::digest(body)));
    assert_eq!(
        part.content.to_string(),
        blake3::hash(body).to_hex().as_str()
    );
    assert_eq!(part.checksums.crc32(), Some(crc32fast::hash(body)));
}

/// R2, R14: the declared length is optional, and whatever way a body comes it is the same part.
pub fn a_part_is_the_same_whichever_way_it_comes() {
    for len in [1, 262_143, 262_144, 262_145, 700_001] {
        let body = bytes(7, len);
        let declared = PartOptions::new().content_length(len as u64);
        for options in [PartOptions::new(), declared] {
            for (way, put) in WAYS {
                let fixture = Fixture::new();
                let upload = fixture.initiate("key");
                let part = put(&fixture, &upload, &body, options).expect(way);
                assert_holds(&fixture, &upload, &part, &body);
                fixture.assert_tidy();
            }
        }
    }
}

/// R5: with the vector of the empty body, and one of a single NUL.
pub fn an_empty_part_is_stored() {
    let vectors: [(&[u8], &str); 2] = [
        (b"", "d41d8cd98f00b204e9800998ecf8427e"),
        (b"\0", "93b885adfe0da089cdf634904fd59f71"),
    ];
    for (body, etag) in vectors {
        for (way, put) in WAYS {
            let fixture = Fixture::new();
            let upload = fixture.initiate("key");
            let options = PartOptions::new().content_length(body.len() as u64);
            let part = put(&fixture, &upload, body, options).expect(way);
            assert_eq!(part.etag.to_string(), etag);
            assert_holds(&fixture, &upload, &part, body);
            assert_eq!(fixture.blob_files().len(), 1);
            fixture.assert_tidy();
        }
    }
}

/// R3: the limit is inclusive; a declared length is refused before the body, an undeclared one at
/// the first byte too many.
pub fn the_largest_part_is_stored_and_one_byte_more_is_not() {
    let fixture = Fixture::with(free_options().max_part_size(300_000));
    let upload = fixture.initiate("key");
    for (way, put) in WAYS {
        let body = bytes(1, 300_000);
        let part = put(&fixture, &upload, &body, PartOptions::new()).expect(way);
        let over = bytes(2, 300_001);
        for options in [
            PartOptions::new(),
            PartOptions::new().content_length(300_001),
        ] {
            let refused = refusal(put(&fixture, &upload, &over, options));
            assert_eq!(refused, ("EntityTooLarge", 400), "{way}");
        }
        assert_holds(&fixture, &upload, &part, &body);
    }
    let mut writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    writer.write_all(&bytes(3, 300_000)).unwrap();
    let error = Error::from_io(writer.write_all(&[0]).unwrap_err()).unwrap();
    assert!(
        matches!(
            error,
            Error::EntityTooLarge {
                proposed: 300_001,
                maximum: 300_000
            }
        ),
        "{error}"
    );
    assert_eq!(
        refusal(writer.finish()),
        ("EntityTooLarge", 400),
        "also later"
    );
    fixture.assert_tidy();
}

/// R3: 5 GiB, inclusive, for COS and for S3.
pub fn the_largest_part_by_default_is_5_gib() {
    for options in [Options::cos(), Options::s3()] {
        let fixture = Fixture::with(options);
        let upload = fixture.initiate("key");
        let declare = |len| {
            let options = PartOptions::new().content_length(len);
            fixture.store.part_writer(&upload, number(1), options)
        };
        let error = declare(5_368_709_121).unwrap_err();
        assert_eq!(error.code(), "EntityTooLarge");
        match declare(5_368_709_120) {
            Ok(writer) => drop(writer),
            Err(error) => assert_eq!(error.code(), "ServiceUnavailable", "a small disk: {error}"),
        }
    }
}

/// R4: the smallest part is not enforced at put, unless the embedder asks for it.
pub fn a_small_part_is_stored_unless_the_minimum_is_enforced_at_put() {
    let fixture = Fixture::with(Options::cos());
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"small");
    let at_put = free_options()
        .min_part_size(100)
        .min_part_size_at(MinimumAt::Put);
    let fixture = Fixture::with(at_put);
    let upload = fixture.initiate("key");
    for (way, put) in WAYS {
        let part = put(&fixture, &upload, &[1; 100], PartOptions::new()).expect(way);
        let refused = refusal(put(&fixture, &upload, &[1; 99], PartOptions::new()));
        assert_eq!(refused, ("EntityTooSmall", 400), "{way}");
        assert_holds(&fixture, &upload, &part, &[1; 100]);
    }
    fixture.assert_tidy();
}

/// R6: anything but padded base64 of 16 bytes is refused before the body.
pub fn a_content_md5_is_base64_of_16_bytes() {
    let refused = [
        "",
        "abc",
        "not base64",
        "1B2M2Y8AsgTpgAmY7PhCfg",
        "1B2M2Y8AsgTpgAmY7PhCfg= =",
        "1B2M2Y8AsgTpgAmY7PhC",
        "1B2M2Y8AsgTpgAmY7PhCfgAA",
        "d41d8cd98f00b204e9800998ecf8427e",
    ];
    for text in refused {
        let refused = refusal(PartOptions::new().content_md5(text));
        assert_eq!(refused, ("InvalidDigest", 400), "{text:?}");
    }
}

/// R7: a body that is not what was declared leaves the part before.
pub fn a_declared_digest_must_be_the_bodys() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 300_000);
    let md5 = "1B2M2Y8AsgTpgAmY7PhCfg=="; // Of the empty body.
    let wrong = [
        PartOptions::new().content_md5(md5).unwrap(),
        PartOptions::new().md5([0; 16]),
        PartOptions::new().crc32(0),
        PartOptions::new().crc64(0),
    ];
    for (way, put) in WAYS {
        put(
            &fixture,
            &upload,
            b"",
            PartOptions::new().content_md5(md5).unwrap(),
        )
        .expect(way);
        let before = put(&fixture, &upload, b"before", PartOptions::new()).unwrap();
        for options in &wrong {
            let refused = refusal(put(&fixture, &upload, &body, *options));
            assert_eq!(refused, ("BadDigest", 400), "{way}: {options:?}");
            assert_holds(&fixture, &upload, &before, b"before");
        }
        let crc64 = fixture.put(&upload, 1, &body).checksums.crc64_xz().unwrap();
        let right = PartOptions::new()
            .content_length(300_000)
            .md5(Md5::digest(&body).into())
            .crc32(crc32fast::hash(&body))
            .crc64(crc64);
        let part = put(&fixture, &upload, &body, right).expect(way);
        assert_holds(&fixture, &upload, &part, &body);
    }
    fixture.assert_tidy();
}

/// R8, around a block's edge too.
pub fn a_body_of_another_length_than_declared_leaves_the_part_before() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for (way, put) in WAYS {
        let before = put(&fixture, &upload, b"before", PartOptions::new()).expect(way);
        for (declared, len) in [(5, 4), (5, 6), (0, 1), (1, 0), (262_144, 262_145)] {
            let options = PartOptions::new().content_length(declared);
            let refused = refusal(put(&fixture, &upload, &bytes(2, len), options));
            assert_eq!(refused, ("IncompleteBody", 400), "{way}: {len}");
            assert_holds(&fixture, &upload, &before, b"before");
        }
    }
    fixture.assert_tidy();
}

/// R10a: before the body is invited.
pub fn an_upload_that_is_not_open_is_refused_before_the_body() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.store.abort_upload(&upload).unwrap();
    for (_, put) in WAYS {
        let refused = refusal(put(&fixture, &upload, b"", PartOptions::new()));
        assert_eq!(refused, ("NoSuchUpload", 404));
    }
    let writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new());
    assert_eq!(refusal(writer), ("NoSuchUpload", 404));
    fixture.assert_tidy();
}

/// R11: the last to finish wins, not the last to begin.
pub fn of_two_bodies_for_one_number_the_last_commit_wins() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let mut slow = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    slow.write_all(b"slow").unwrap();
    let quick = fixture.put(&upload, 1, b"quick");
    assert_holds(&fixture, &upload, &quick, b"quick");
    let slow = slow.finish().unwrap();
    assert_holds(&fixture, &upload, &slow, b"slow");
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
}

/// R11, R12.
pub fn a_replaced_part_keeps_no_bytes() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for round in 0..5 {
        let body = bytes(round, 300_000);
        fixture.put(&upload, 1, &body);
        // R12: replaced by itself.
        let part = fixture.put(&upload, 1, &body);
        fixture.assert_tidy();
        assert_eq!(fixture.blob_files(), [part.content.to_string()].into());
        assert_holds(&fixture, &upload, &part, &body);
        fixture.reopen();
    }
}

/// R13: any order, all numbers, many at a time.
pub fn ten_thousand_parts_arrive_in_any_order() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let threads = 16;
    race(threads, |thread| {
        for at in (thread..10_000).step_by(threads) {
            // 7919 is prime to 10,000: each number once, far from its neighbours.
            let part = u32::try_from(at * 7919 % 10_000).unwrap() + 1;
            fixture.put(&upload, part, &[u8::try_from(part % 100).unwrap()]);
        }
    });
    let stats = fixture.store.stats().unwrap();
    assert_eq!((stats.parts, stats.blobs), (10_000, 100));
    for part in [1, 2, 9_999, 10_000] {
        let read = read_part(&fixture.store, &upload, number(part));
        assert_eq!(read, [u8::try_from(part % 100).unwrap()]);
    }
    fixture.assert_tidy();
}

/// R14: the answer is the quoted MD5, and what was answered is on disk.
pub fn a_part_that_was_answered_is_durable() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for (way, put) in WAYS {
        let body = bytes(3, 300_000);
        let part = put(&fixture, &upload, &body, PartOptions::new()).expect(way);
        let etag = hex::encode(Md5::digest(&body));
        assert_eq!(part.etag.quoted(), format!("\"{etag}\""));
        let killed = fixture.open_killed();
        assert_eq!(read_part(&killed, &upload, number(1)), body);
        let listed = killed.list_parts(&upload, &ListParts::new()).unwrap().parts;
        assert_eq!(listed, [part]);
        fixture.put(&upload, 1, b"another");
    }
}
