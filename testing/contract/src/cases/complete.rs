//! Completing: R4, R19 to R27, R29, R30, R34.

use crate::support::{Fixture, bytes, free_options, lines, number, read_object, refusal};
use partstore::{CompletedPart, ETag, ListUploads, Numbering, Options, Part, PartNumber, Upload};

/// Vectors of R5 and R34: the bodies, and the ETag of the object that they make.
pub fn an_objects_etag_is_the_md5_of_the_parts_md5s() {
    let large = [b'A', b'B', b'C'].map(|letter| vec![letter; 5 << 20]);
    let vectors: [(&[&[u8]], &str); 3] = [
        (&[b""], "59adb24ef3cdbe0297f05b395827453f-1"),
        (&[b"\0"], "7e4696ef25d5faececd853ce5e2a233b-1"),
        (
            &[&large[0], &large[1], &large[2]],
            "b2add96cc9702bbf4efb0ccdfc6b7747-3",
        ),
    ];
    for options in [Options::cos(), Options::s3()] {
        for (bodies, etag) in vectors {
            let fixture = Fixture::with(options.clone());
            let object = fixture.complete("key", bodies);
            assert_eq!(object.etag.to_string(), etag);
            assert_eq!(object.etag.quoted(), format!("\"{etag}\""));
            assert_eq!(object.parts as usize, bodies.len());
            assert_eq!(
                read_object(&fixture.store, &object.upload),
                bodies.concat(),
                "R30"
            );
        }
    }
}

/// The object's CRC-64/XZ is that of its bytes, however they were cut into parts.
pub fn an_objects_crc64_does_not_depend_on_its_parts() {
    const CHECK: u64 = 11_051_210_869_376_104_954;
    let fixture = Fixture::new();
    let cuts: [&[&[u8]]; 5] = [
        &[b"123456789"],
        &[b"1234", b"56789"],
        &[b"", b"1", b"", b"2345678", b"9", b""],
        &[b"123456789", b""],
        &[b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"],
    ];
    for bodies in cuts {
        assert_eq!(
            fixture.complete("key", bodies).checksums.crc64_xz(),
            Some(CHECK),
            "{bodies:?}"
        );
    }
    let whole = bytes(1, 1_000_000);
    let upload = fixture.initiate("whole");
    let one_part = fixture.put(&upload, 1, &whole).checksums.crc64_xz();
    let (first, rest) = whole.split_at(262_145);
    assert_eq!(
        fixture.complete("key", &[first, rest]).checksums.crc64_xz(),
        one_part
    );
}

/// R4: every listed part but the last; the limit is inclusive.
pub fn every_part_but_the_last_must_have_the_minimum() {
    let mib = 1 << 20;
    let small: Result<u16, _> = Err(("EntityTooSmall", 400));
    let cases: [(Options, &[usize], _); 9] = [
        (Options::cos(), &[mib - 1], Ok(1)),
        (Options::cos(), &[0], Ok(1)),
        (Options::cos(), &[mib, mib, 1], Ok(3)),
        (Options::cos(), &[mib, mib - 1, mib], small),
        (Options::cos(), &[mib - 1, 1], small),
        (Options::cos(), &[0, mib], small),
        (Options::s3(), &[5 * mib, 0], Ok(2)),
        (Options::s3(), &[5 * mib - 1, 5 * mib], small),
        (free_options(), &[1, 0, 1], Ok(3)),
    ];
    for (options, sizes, expected) in cases {
        let fixture = Fixture::with(options);
        let upload = fixture.initiate("key");
        let parts: Vec<Part> = (1..)
            .zip(sizes)
            .map(|(at, size)| fixture.put(&upload, at, &vec![7; *size]))
            .collect();
        let answer = fixture.store.complete_upload(&upload, &lines(&parts));
        match expected {
            Ok(count) => assert_eq!(answer.unwrap().parts, count, "{sizes:?}"),
            Err(refused) => {
                assert_eq!(refusal(answer), refused, "{sizes:?}");
                assert_eq!(fixture.parts(&upload), parts, "R27");
            }
        }
    }
}

/// R4: an unlisted part may be small, and the last listed one too.
pub fn only_listed_parts_need_the_minimum() {
    let fixture = Fixture::with(free_options().min_part_size(100));
    let upload = fixture.initiate("key");
    let sizes = [(1, 1), (2, 100), (3, 99), (4, 100)];
    let parts = sizes.map(|(at, size)| fixture.put(&upload, at, &vec![7; size]));
    let list = lines(&parts[1..3]);
    let object = fixture.store.complete_upload(&upload, &list).unwrap();
    assert_eq!(object.size, 199);
}

/// R20, R22: what the two texts of a `<Part>` element give.
pub fn a_line_of_a_completion_is_read_leniently_and_refused_clearly() {
    let hex = "d41d8cd98f00b204e9800998ecf8427e";
    let etag: ETag = hex.parse().unwrap();
    for text in [
        hex.to_owned(),
        hex.to_uppercase(),
        format!("\"{hex}\""),
        format!("&quot;{hex}&quot;"),
        format!(" \"{hex}\"\n"),
    ] {
        let line = CompletedPart::parse("7", &text).unwrap();
        assert_eq!((line.number, line.etag), (number(7), etag), "{text:?}");
    }
    // The ETags of a store with opaque ones have 40 digits.
    let opaque = "e1e5b4965bc7d30880ed6d226f78a5390f1c09fc";
    let line = CompletedPart::parse("7", opaque).unwrap();
    assert_eq!(line.etag.to_string(), opaque);
    let argument = ("InvalidArgument", 400);
    let part = ("InvalidPart", 400);
    let refused = [
        ("0", hex, argument),
        ("", hex, argument),
        ("-1", hex, argument),
        ("+1", hex, argument),
        ("1.0", hex, argument),
        ("one", hex, argument),
        ("10001", hex, part),
        ("18446744073709551616", hex, part),
        ("1", "", part),
        ("1", &hex[1..], part),
        ("1", "59adb24ef3cdbe0297f05b395827453f-1", part),
        ("1", "e1e5b4965bc7d30880ed6d226f78a5390f1c09", part),
        ("1", "e1e5b4965bc7d30880ed6d226f78a5390f1c09fc00", part),
    ];
    for (number, etag, expected) in refused {
        let answer = CompletedPart::parse(number, etag);
        assert_eq!(refusal(answer), expected, "{number:?} {etag:?}");
    }
}

/// Parts 1 to 4 of an open upload, and an ETag that none of them has.
struct Listed {
    upload: Upload,
    parts: Vec<Part>,
    old: ETag,
}

impl Listed {
    fn put(fixture: &Fixture) -> Self {
        let upload = fixture.initiate("key");
        let old = fixture.put(&upload, 2, b"before").etag;
        let put = |at: u32| fixture.put(&upload, at, &bytes(u64::from(at), 10));
        let parts = (1..=4).map(put).collect();
        Self { upload, parts, old }
    }

    fn line(&self, at: usize) -> CompletedPart {
        CompletedPart::from(&self.parts[at - 1])
    }

    fn of(&self, numbers: &[usize]) -> Vec<CompletedPart> {
        numbers.iter().map(|at| self.line(*at)).collect()
    }
}

/// R19, R21, R22, R23, R27.
pub fn a_list_that_does_not_fit_changes_nothing() {
    type List = fn(&Listed) -> Vec<CompletedPart>;
    let order = ("InvalidPartOrder", 400);
    let part = ("InvalidPart", 400);
    let cases: [(&str, List, _); 8] = [
        ("empty", |_| vec![], ("MalformedXML", 400)),
        ("descending", |all| all.of(&[1, 3, 2]), order),
        ("a part twice", |all| all.of(&[1, 2, 2]), order),
        ("a gap", |all| all.of(&[1, 3]), part),
        (
            "never put",
            |all| [all.of(&[4]), vec![(number(5), all.old).into()]].concat(),
            part,
        ),
        (
            "replaced since",
            |all| vec![all.line(1), (number(2), all.old).into()],
            part,
        ),
        (
            "another part's ETag",
            |all| vec![(number(1), all.parts[1].etag).into()],
            part,
        ),
        (
            "never put, alone",
            |all| vec![(PartNumber::MAX, all.old).into()],
            part,
        ),
    ];
    let fixture = Fixture::new();
    let all = Listed::put(&fixture);
    for (what, list, expected) in cases {
        let answer = fixture.store.complete_upload(&all.upload, &list(&all));
        assert_eq!(refusal(answer), expected, "{what}");
        assert_eq!(fixture.parts(&all.upload), all.parts, "R27: {what}");
        assert_eq!(
            refusal(fixture.store.object(&all.upload)),
            ("NoSuchKey", 404)
        );
        fixture.assert_tidy();
    }
    let other_key = Upload::new("other", all.upload.id());
    let answer = fixture.store.complete_upload(&other_key, &all.of(&[1]));
    assert_eq!(refusal(answer), ("NoSuchUpload", 404), "R9");
    let list = all.of(&[1, 2, 3, 4]);
    let object = fixture.store.complete_upload(&all.upload, &list).unwrap();
    assert_eq!(object.parts, 4, "R27: it can still be completed");
}

/// R23: for COS numbers follow each other, from any on; for S3 they only ascend.
pub fn gaps_in_numbers_are_for_s3() {
    let lists: [(&[usize], bool); 4] = [
        (&[1, 2, 3, 4], true),
        (&[3, 4], true),
        (&[1, 3], false),
        (&[1, 2, 4], false),
    ];
    for (numbers, consecutive) in lists {
        for numbering in [Numbering::Consecutive, Numbering::Ascending] {
            let fixture = Fixture::with(free_options().numbering(numbering));
            let all = Listed::put(&fixture);
            let answer = fixture.store.complete_upload(&all.upload, &all.of(numbers));
            if consecutive || numbering == Numbering::Ascending {
                assert_eq!(answer.unwrap().parts as usize, numbers.len());
            } else {
                assert_eq!(refusal(answer), ("InvalidPart", 400), "{numbers:?}");
            }
        }
    }
}

/// R24
pub fn parts_that_are_not_listed_keep_no_bytes() {
    let fixture = Fixture::new();
    let all = Listed::put(&fixture);
    let list = all.of(&[2, 3]);
    let object = fixture.store.complete_upload(&all.upload, &list).unwrap();
    fixture.assert_tidy();
    let kept = all.parts[1..3].iter().map(|part| part.content.to_string());
    assert_eq!(fixture.blob_files(), kept.collect());
    assert_eq!(
        read_object(&fixture.store, &object.upload),
        [bytes(2, 10), bytes(3, 10)].concat()
    );
}

/// R25, also after a reopen; R9 for another list or key.
pub fn the_same_completion_again_answers_the_same() {
    let mut fixture = Fixture::new();
    let all = Listed::put(&fixture);
    let list = all.of(&[1, 2]);
    let object = fixture.store.complete_upload(&all.upload, &list).unwrap();
    for _ in 0..2 {
        let again = fixture.store.complete_upload(&all.upload, &list).unwrap();
        assert_eq!(again, object);
        let other_key = Upload::new("other", all.upload.id());
        let others = [
            (&all.upload, all.of(&[1])),
            (&all.upload, all.of(&[1, 2, 3])),
            (&all.upload, vec![all.line(1), (number(2), all.old).into()]),
            (&other_key, list.clone()),
        ];
        for (upload, list) in others {
            let answer = fixture.store.complete_upload(upload, &list);
            assert_eq!(refusal(answer), ("NoSuchUpload", 404), "{list:?}");
        }
        assert_eq!(fixture.store.object(&all.upload).unwrap(), object);
        fixture.reopen();
    }
    fixture.store.remove_object(&all.upload).unwrap();
    let answer = fixture.store.complete_upload(&all.upload, &list);
    assert_eq!(refusal(answer), ("NoSuchUpload", 404));
}

/// R30: neither the object before, nor the upload after.
pub fn an_upload_is_either_open_or_an_object() {
    let fixture = Fixture::new();
    let all = Listed::put(&fixture);
    let (store, upload) = (&fixture.store, &all.upload);
    let listed = || {
        let page = store.list_uploads(&ListUploads::new()).unwrap();
        page.uploads.len()
    };
    let no_key = ("NoSuchKey", 404);
    assert_eq!(listed(), 1);
    assert_eq!(refusal(store.object(upload)), no_key);
    assert_eq!(refusal(store.open_object(upload)), no_key);
    assert_eq!(refusal(store.remove_object(upload)), no_key);
    store.complete_upload(upload, &all.of(&[1])).unwrap();
    assert_eq!(listed(), 0);
    assert_eq!(read_object(store, upload), bytes(1, 10));
    assert_eq!(refusal(store.upload(upload)), ("NoSuchUpload", 404));
    let other_key = Upload::new("other", upload.id());
    assert_eq!(refusal(store.object(&other_key)), no_key);
    assert_eq!(refusal(store.remove_object(&other_key)), no_key);
}
