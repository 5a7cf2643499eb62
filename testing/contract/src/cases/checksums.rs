//! Checksums beside the store's own, wherever they are asked for, declared or combined, and ETags that are
//! not MD5s.

use crate::support::{Fixture, bytes, free_options, lines, number, read_object, refusal};
use md5::Md5;
use partstore::{
    Checksum, ChecksumAlgorithm, Checksums, CompleteOptions, CompletedPart, ETagKind,
    ObjectOptions, Part, PartOptions, UploadOptions,
};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Longer than two blocks of 256 KiB, and no multiple of anything.
pub const LEN: usize = 2 * 256 * 1024 + 12_345;

/// Of `123456789`, from the catalogue of CRCs, RFC 1321, and FIPS 180.
const CHECK: [(ChecksumAlgorithm, &str); 7] = [
    (ChecksumAlgorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
    (ChecksumAlgorithm::Crc32, "cbf43926"),
    (ChecksumAlgorithm::Crc32c, "e3069283"),
    (ChecksumAlgorithm::Crc64Xz, "995dc9bbdf1939fa"),
    (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
    (
        ChecksumAlgorithm::Sha1,
        "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    ),
    (
        ChecksumAlgorithm::Sha256,
        "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    ),
];

/// Those that no part has unless somebody asks for them.
const ASKED_FOR: [ChecksumAlgorithm; 4] = [
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// A CRC bit by bit: begins with ones, is inverted at its end, and is reflected.
fn slow_crc(reflected: u64, bits: u32, bytes: &[u8]) -> u64 {
    let ones = u64::MAX >> (64 - bits);
    let step = |crc: u64, _| crc >> 1 ^ if crc & 1 == 1 { reflected } else { 0 };
    let next = |crc: u64, byte: &u8| (0..8).fold(crc ^ u64::from(*byte), step);
    bytes.iter().fold(ones, next) ^ ones
}

/// The checksum of these bytes, without the store.
fn expected(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
    let crc32 = |polynomial| u32::try_from(slow_crc(polynomial, 32, bytes)).unwrap();
    match algorithm {
        ChecksumAlgorithm::Md5 => Checksum::Md5(Md5::digest(bytes).into()),
        ChecksumAlgorithm::Crc32 => Checksum::Crc32(crc32(0xedb8_8320)),
        ChecksumAlgorithm::Crc32c => Checksum::Crc32c(crc32(0x82f6_3b78)),
        ChecksumAlgorithm::Crc64Xz => Checksum::Crc64Xz(slow_crc(0xc96c_5795_d787_0f42, 64, bytes)),
        ChecksumAlgorithm::Crc64Nvme => {
            Checksum::Crc64Nvme(slow_crc(0x9a6c_9329_ac4b_c9b5, 64, bytes))
        }
        ChecksumAlgorithm::Sha1 => Checksum::Sha1(Sha1::digest(bytes).into()),
        ChecksumAlgorithm::Sha256 => Checksum::Sha256(Sha256::digest(bytes).into()),
        _ => unreachable!("an algorithm without a test"),
    }
}

/// All checksums of these bytes, without the store.
fn all_of(bytes: &[u8]) -> Checksums {
    let all = ChecksumAlgorithm::ALL.into_iter();
    all.map(|algorithm| expected(algorithm, bytes)).collect()
}

/// What every part has, with MD5s as ETags.
fn own_of(bytes: &[u8]) -> Checksums {
    let own = [
        ChecksumAlgorithm::Md5,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc64Xz,
    ];
    own.map(|algorithm| expected(algorithm, bytes))
        .into_iter()
        .collect()
}

fn everything() -> PartOptions {
    let all = ChecksumAlgorithm::ALL.into_iter();
    all.fold(PartOptions::new(), PartOptions::compute)
}

fn opaque() -> Fixture {
    Fixture::with(free_options().etag(ETagKind::Opaque))
}

/// Another value of the same algorithm.
fn wrong(checksum: Checksum) -> Checksum {
    let mut bytes = checksum.to_bytes();
    bytes[0] ^= 1;
    Checksum::from_bytes(checksum.algorithm(), &bytes).unwrap()
}

pub fn every_algorithm_has_its_known_value() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let put = |body: &'static str| {
        let part = fixture
            .store
            .put_part_with(&upload, number(1), body, everything());
        part.unwrap().checksums
    };
    let known = put("123456789");
    for (algorithm, hex) in CHECK {
        assert_eq!(known.get(algorithm).unwrap().to_hex(), hex, "{algorithm}");
    }
    assert_eq!(put(""), all_of(b""));
    assert_eq!(known, all_of(b"123456789"));
}

pub fn a_part_has_only_what_was_asked_for() {
    let fixture = Fixture::new();
    let body = bytes(1, 1000);
    let part = fixture.put(&fixture.initiate("nothing"), 1, &body);
    assert_eq!(part.checksums, own_of(&body));
    for algorithm in ASKED_FOR {
        let expected = own_of(&body).with(expected(algorithm, &body));
        let asking = UploadOptions::new().checksum(algorithm);
        let upload = fixture.store.initiate_upload_with("upload", asking);
        let part = fixture.put(&upload.unwrap(), 1, &body);
        assert_eq!(part.checksums, expected, "the upload asks");
        let upload = fixture.initiate("part");
        let put = |options| {
            fixture
                .store
                .put_part_with(&upload, number(1), body.clone(), options)
        };
        let part = put(PartOptions::new().compute(algorithm)).unwrap();
        assert_eq!(part.checksums, expected, "the request asks");
        let declared = expected.get(algorithm).unwrap();
        let part = put(PartOptions::new().checksum(declared)).unwrap();
        assert_eq!(part.checksums, expected, "the request declares");
    }
}

pub fn a_stream_has_the_checksums_of_its_bytes_however_it_is_cut() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for (at, cut) in (1..).zip([1, 63, 64, 4097, 100_003, LEN]) {
        // Bytes of its own, so that none are stored already.
        let body = bytes(at, LEN);
        let mut writer = fixture
            .store
            .part_writer(&upload, number(1), everything())
            .unwrap();
        for chunk in body.chunks(cut) {
            writer.append(chunk).unwrap();
        }
        assert_eq!(writer.finish().unwrap().checksums, all_of(&body), "{cut}");
    }
}

pub fn bytes_that_are_stored_already_have_all_checksums_too() {
    let mut fixture = Fixture::new();
    let body = bytes(1, LEN);
    fixture.put(&fixture.initiate("before"), 1, &body);
    let files = fixture.blob_files();
    // The second put finds the blob in a process that has not looked at it yet.
    fixture.reopen();
    let upload = fixture.initiate("key");
    let part = fixture
        .store
        .put_part_with(&upload, number(1), body.clone(), everything());
    assert_eq!(part.unwrap().checksums, all_of(&body));
    let part = fixture
        .store
        .put_part_from(&upload, number(2), body.as_slice(), everything());
    assert_eq!(part.unwrap().checksums, all_of(&body));
    assert_eq!(fixture.blob_files(), files);
    fixture.assert_tidy();
}

pub fn a_wrong_checksum_before_the_body_is_refused_and_changes_nothing() {
    for fixture in [Fixture::new(), opaque()] {
        let upload = fixture.initiate("key");
        let before = fixture.put(&upload, 1, b"before");
        let body = bytes(1, LEN);
        for algorithm in ChecksumAlgorithm::ALL {
            let right = expected(algorithm, &body);
            let declared = PartOptions::new().checksum(wrong(right));
            let memory = fixture
                .store
                .put_part_with(&upload, number(1), body.clone(), declared);
            assert_eq!(refusal(memory), ("BadDigest", 400), "{algorithm}");
            let stream = fixture
                .store
                .put_part_from(&upload, number(1), body.as_slice(), declared);
            let text = stream.unwrap_err().to_string();
            assert!(text.contains(algorithm.name()), "{text}");
            assert!(text.contains(&right.to_hex()), "{text}");
            let object = ObjectOptions::new().body(declared);
            let object = fixture.store.put_object_with("key", body.clone(), &object);
            assert_eq!(refusal(object), ("BadDigest", 400), "{algorithm}");
        }
        assert_eq!(fixture.parts(&upload), [before]);
        // An engine may need a sweep for bytes that were durable when their digest was refused.
        fixture.assert_tidy();
        assert_eq!(fixture.blob_files().len(), 1);
    }
}

pub fn a_checksum_behind_the_body_is_checked_before_anything_is_replaced() {
    let fixture = Fixture::new();
    let asking = UploadOptions::new().checksum(ChecksumAlgorithm::Crc64Nvme);
    let upload = fixture.store.initiate_upload_with("key", asking).unwrap();
    let before = fixture.put(&upload, 1, b"before");
    let body = bytes(1, LEN);
    let finish = |options: PartOptions, trailer: Checksum| {
        let mut writer = fixture
            .store
            .part_writer(&upload, number(1), options)
            .unwrap();
        writer.append(&body).unwrap();
        writer.finish_with(&Checksums::new().with(trailer))
    };
    let asking = PartOptions::new().compute(ChecksumAlgorithm::Sha256);
    for computed in [
        ChecksumAlgorithm::Md5,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc64Xz,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha256,
    ] {
        let trailer = wrong(expected(computed, &body));
        assert_eq!(refusal(finish(asking, trailer)), ("BadDigest", 400));
    }
    for not_computed in [ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Sha1] {
        let trailer = expected(not_computed, &body);
        assert_eq!(refusal(finish(asking, trailer)), ("InvalidArgument", 400));
    }
    // The trailer is right, but it does not take the place of what was declared before.
    let right = expected(ChecksumAlgorithm::Crc32, &body);
    let contradicted = PartOptions::new().checksum(wrong(right));
    assert_eq!(
        refusal(finish(contradicted, right)),
        ("InvalidArgument", 400)
    );
    assert_eq!(fixture.parts(&upload), [before]);
    fixture.assert_tidy();
    let part = finish(asking, expected(ChecksumAlgorithm::Sha256, &body)).unwrap();
    assert_eq!(fixture.parts(&upload), [part]);
}

pub fn a_checksum_behind_an_object_is_checked_before_anything_is_replaced() {
    let fixture = Fixture::new();
    let before = fixture.store.put_object("key", "before").unwrap();
    let body = bytes(1, LEN);
    let sha1 = expected(ChecksumAlgorithm::Sha1, &body);
    let finish = |asked_for: ChecksumAlgorithm, trailer: Checksum| {
        let options = ObjectOptions::new().body(PartOptions::new().compute(asked_for));
        let mut writer = fixture.store.object_writer("key", options).unwrap();
        writer.append(&body).unwrap();
        writer.finish_with(&Checksums::new().with(trailer))
    };
    let refused = finish(ChecksumAlgorithm::Sha1, wrong(sha1));
    assert_eq!(refusal(refused), ("BadDigest", 400));
    let refused = finish(ChecksumAlgorithm::Sha256, sha1);
    assert_eq!(refusal(refused), ("InvalidArgument", 400));
    assert_eq!(fixture.store.object_by_key("key").unwrap(), before);
    fixture.assert_tidy();
    let object = finish(ChecksumAlgorithm::Sha1, sha1).unwrap();
    assert_eq!(object.checksums, own_of(&body).with(sha1));
    assert_eq!(fixture.store.object_by_key("key").unwrap(), object);
}

/// An upload of three parts that asks for everything, and their bodies. Two parts have one size.
fn three_parts(
    fixture: &Fixture,
    options: UploadOptions,
) -> (partstore::Upload, Vec<Part>, Vec<Vec<u8>>) {
    let upload = fixture.store.initiate_upload_with("key", options).unwrap();
    let bodies = [LEN, LEN, 777].into_iter().zip(1..);
    let bodies: Vec<_> = bodies.map(|(len, seed)| bytes(seed, len)).collect();
    let parts = (1..).zip(&bodies);
    let parts = parts
        .map(|(at, body)| fixture.put(&upload, at, body))
        .collect();
    (upload, parts, bodies)
}

fn asking_for_everything() -> UploadOptions {
    UploadOptions::new()
        .checksum(ChecksumAlgorithm::Crc64Nvme)
        .checksum(ChecksumAlgorithm::Crc32c)
        .checksum(ChecksumAlgorithm::Sha1)
        .checksum(ChecksumAlgorithm::Sha256)
        .composite(ChecksumAlgorithm::Crc32)
}

/// S3: the checksum of the parts' checksums as bytes, one after the other.
fn composite_of(algorithm: ChecksumAlgorithm, bodies: &[Vec<u8>]) -> Checksum {
    let sums = bodies
        .iter()
        .map(|body| expected(algorithm, body).to_bytes());
    expected(algorithm, &sums.collect::<Vec<_>>().concat())
}

pub fn an_object_has_the_checksums_of_its_bytes_and_those_of_its_parts() {
    let mut fixture = Fixture::new();
    let (upload, parts, bodies) = three_parts(&fixture, asking_for_everything());
    let object = fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    let whole = bodies.concat();
    let crcs = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Xz,
        ChecksumAlgorithm::Crc64Nvme,
    ];
    let crcs = crcs.map(|algorithm| expected(algorithm, &whole));
    assert_eq!(object.checksums, crcs.into_iter().collect());
    let composite = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    let sums = composite.map(|algorithm| composite_of(algorithm, &bodies));
    assert_eq!(object.composite, sums.into_iter().collect());
    for checksum in sums {
        let text = object.composite_base64(checksum.algorithm()).unwrap();
        assert_eq!(text, format!("{}-3", checksum.to_base64()));
    }
    assert_eq!(object.composite_base64(ChecksumAlgorithm::Crc32c), None);
    fixture.reopen();
    assert_eq!(fixture.store.object(&upload).unwrap(), object);
    // For `GetObjectAttributes`.
    let reader = fixture.store.open_object(&upload).unwrap();
    for (placed, body) in reader.parts().zip(&bodies) {
        assert_eq!(placed.unwrap().part.checksums, all_of(body));
    }
    assert_eq!(read_object(&fixture.store, &upload), whole);
}

pub fn an_object_lacks_what_one_of_its_parts_lacks() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let put = |at, options| {
        fixture
            .store
            .put_part_with(&upload, number(at), "part", options)
    };
    let crc32c = PartOptions::new().compute(ChecksumAlgorithm::Crc32c);
    let nvme = crc32c.compute(ChecksumAlgorithm::Crc64Nvme);
    let parts = [put(1, nvme).unwrap(), put(2, crc32c).unwrap()];
    let object = fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    let found = |algorithm| object.checksums.get(algorithm);
    assert_eq!(
        found(ChecksumAlgorithm::Crc32c),
        Some(expected(ChecksumAlgorithm::Crc32c, b"partpart"))
    );
    assert_eq!(found(ChecksumAlgorithm::Crc64Nvme), None);
}

pub fn a_crc_64_of_the_parts_checksums_is_refused() {
    let fixture = Fixture::new();
    for algorithm in [ChecksumAlgorithm::Crc64Xz, ChecksumAlgorithm::Crc64Nvme] {
        let options = UploadOptions::new().composite(algorithm);
        let refused = fixture.store.initiate_upload_with("key", options);
        assert_eq!(refusal(refused), ("InvalidArgument", 400));
    }
    assert_eq!(fixture.store.stats().unwrap().open_uploads, 0);
}

pub fn an_upload_says_what_it_asks_for() {
    let mut fixture = Fixture::new();
    let options = UploadOptions::new()
        .composite(ChecksumAlgorithm::Crc32c)
        .checksum(ChecksumAlgorithm::Crc64Nvme);
    let upload = fixture.store.initiate_upload_with("key", options).unwrap();
    fixture.reopen();
    let found = fixture.store.upload(&upload).unwrap();
    assert_eq!(
        found.checksums,
        [ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme]
    );
    assert_eq!(found.composite, [ChecksumAlgorithm::Crc32c]);
}

pub fn a_listed_part_must_have_the_checksums_that_are_listed() {
    let fixture = Fixture::new();
    let (upload, parts, _) = three_parts(
        &fixture,
        UploadOptions::new().checksum(ChecksumAlgorithm::Sha256),
    );
    let list = |checksum: Checksum| {
        let mut list = lines(&parts);
        list[1] = list[1].checksum(checksum);
        list
    };
    let sum = |algorithm| parts[1].checksums.get(algorithm).unwrap();
    for listed in [
        wrong(sum(ChecksumAlgorithm::Sha256)),
        wrong(sum(ChecksumAlgorithm::Crc32)),
        // That of another part.
        parts[0].checksums.get(ChecksumAlgorithm::Sha256).unwrap(),
        // Not known of the part.
        Checksum::Crc32c(1),
    ] {
        let refused = fixture.store.complete_upload(&upload, &list(listed));
        assert_eq!(refusal(refused), ("InvalidPart", 400));
    }
    assert_eq!(fixture.parts(&upload), parts);
    let listed = |part: &Part| {
        let line = CompletedPart::from(part);
        part.checksums.iter().fold(line, CompletedPart::checksum)
    };
    let list = parts.iter().map(listed).collect::<Vec<_>>();
    let object = fixture.store.complete_upload(&upload, &list).unwrap();
    // Numbers and ETags alone decide whether it is the same completion.
    let again = fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    assert_eq!(again, object);
}

pub fn what_a_completion_declares_of_the_whole_is_checked() {
    let fixture = Fixture::new();
    let (upload, parts, bodies) = three_parts(&fixture, asking_for_everything());
    let complete = |options: &CompleteOptions| {
        fixture
            .store
            .complete_upload_with(&upload, &lines(&parts), options)
    };
    let whole = bodies.concat();
    let size = whole.len() as u64;
    let nvme = expected(ChecksumAlgorithm::Crc64Nvme, &whole);
    let sha256 = composite_of(ChecksumAlgorithm::Sha256, &bodies);
    let none = CompleteOptions::new;
    for (options, code) in [
        (none().size(size + 1), "IncompleteBody"),
        (none().checksum(wrong(nvme)), "BadDigest"),
        (none().composite(wrong(sha256)), "BadDigest"),
        // The parts have it, but not the object.
        (none().checksum(sha256), "InvalidArgument"),
        (none().composite(nvme), "InvalidArgument"),
    ] {
        assert_eq!(refusal(complete(&options)), (code, 400));
        assert_eq!(fixture.parts(&upload), parts);
    }
    let right = none().size(size).checksum(nvme).composite(sha256);
    assert_eq!(complete(&right).unwrap().size, size);
}

pub fn a_copied_part_gets_the_checksums_that_its_upload_asks_for() {
    let fixture = Fixture::new();
    let body = bytes(1, LEN);
    let source = fixture.initiate("source");
    fixture.put(&source, 1, &body);
    let reader = fixture.store.open_part(&source, number(1)).unwrap();
    let copy = |options: UploadOptions| {
        let upload = fixture.store.initiate_upload_with("copy", options).unwrap();
        let part = fixture
            .store
            .copy_part(&reader, &upload, number(7))
            .unwrap();
        assert_eq!(fixture.parts(&upload), std::slice::from_ref(&part));
        part.checksums
    };
    assert_eq!(copy(UploadOptions::new()), own_of(&body));
    assert_eq!(copy(asking_for_everything()), all_of(&body));
    assert_eq!(fixture.blob_files().len(), 1);
}

pub fn a_copied_object_has_the_checksums_of_its_source() {
    let fixture = Fixture::new();
    let (upload, parts, _) = three_parts(&fixture, asking_for_everything());
    let source = fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    let reader = fixture.store.open_object(&upload).unwrap();
    let copy = fixture
        .store
        .copy_object(&reader, "copy", &ObjectOptions::new())
        .unwrap();
    assert_eq!(
        (copy.etag, copy.checksums, copy.composite),
        (source.etag, source.checksums, source.composite)
    );
    let copied = fixture.store.open_object(&copy.upload).unwrap();
    let sums = copied.parts().map(|placed| placed.unwrap().part.checksums);
    assert!(sums.eq(parts.iter().map(|part| part.checksums)));
}

/// The ETag of a part that is put without its MD5: 20 bytes of the name of its blob.
fn opaque_etag(part: &Part) -> String {
    part.content.to_string()[..40].to_owned()
}

pub fn an_opaque_etag_is_the_same_in_every_answer_and_after_a_restart() {
    let mut fixture = opaque();
    let upload = fixture.initiate("key");
    let body = bytes(1, LEN);
    let memory = fixture.put(&upload, 1, &body);
    assert_eq!(memory.etag.to_string(), opaque_etag(&memory));
    assert_eq!(memory.content.to_string(), blake3_of(&body));
    let stream = fixture
        .store
        .put_part_from(&upload, number(2), &body[1..], PartOptions::new())
        .unwrap();
    assert_eq!(stream.etag.to_string(), opaque_etag(&stream));
    let parts = [memory, stream];
    fixture.reopen();
    assert_eq!(fixture.parts(&upload), parts);
    // As a client gives it back.
    let line = |part: &Part| {
        let (number, etag) = (part.number.to_string(), part.etag.quoted());
        CompletedPart::parse(&number, &etag.to_uppercase()).unwrap()
    };
    let list: Vec<_> = parts.iter().map(line).collect();
    let object = fixture.store.complete_upload(&upload, &list).unwrap();
    let etag = object.etag.to_string();
    assert_eq!((etag.len(), &etag[40..]), (42, "-2"));
    fixture.reopen();
    assert_eq!(fixture.store.object(&upload).unwrap(), object);
    let whole = fixture.store.put_object("whole", body).unwrap();
    assert_eq!(whole.etag.to_string(), parts[0].etag.to_string());
    fixture.assert_tidy();
}

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_string()
}

pub fn with_opaque_etags_an_md5_is_computed_only_for_who_wants_it() {
    let fixture = opaque();
    let upload = fixture.initiate("key");
    let body = bytes(1, LEN);
    let md5 = expected(ChecksumAlgorithm::Md5, &body);
    let known = |part: &Part| part.checksums.get(ChecksumAlgorithm::Md5);
    let put = |at, options| {
        fixture
            .store
            .put_part_with(&upload, number(at), body.clone(), options)
    };
    let plain = put(1, PartOptions::new()).unwrap();
    fixture
        .store
        .put_part_from(&upload, number(2), &body[1..], PartOptions::new())
        .unwrap();
    assert_eq!(known(&plain), None);
    let declared = PartOptions::new().content_md5(&md5.to_base64()).unwrap();
    let declared = put(3, declared).unwrap();
    let computed = put(4, PartOptions::new().compute(ChecksumAlgorithm::Md5)).unwrap();
    for part in [&declared, &computed] {
        assert_eq!((known(part), part.etag), (Some(md5), plain.etag));
    }
    let asking = UploadOptions::new().checksum(ChecksumAlgorithm::Md5);
    let asking = fixture.store.initiate_upload_with("md5", asking).unwrap();
    assert_eq!(known(&fixture.put(&asking, 1, &body)), Some(md5));
    // It was not computed, so it cannot be checked.
    let mut writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    writer.append(&body).unwrap();
    let refused = writer.finish_with(&Checksums::new().with(md5));
    assert_eq!(refusal(refused), ("InvalidArgument", 400));
    let listed = fixture.parts(&upload);
    assert_eq!(listed[0], plain);
    assert_eq!(listed[2..], [declared, computed]);
}

pub fn parts_with_both_kinds_of_etags_make_one_object() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let first = fixture.put(&upload, 1, b"first");
    fixture.options = fixture.options.clone().etag(ETagKind::Opaque);
    fixture.reopen();
    let second = fixture.put(&upload, 2, b"second");
    // A copy keeps the ETag of its source.
    let reader = fixture.store.open_part(&upload, number(1)).unwrap();
    let third = fixture
        .store
        .copy_part(&reader, &upload, number(3))
        .unwrap();
    let md5 = expected(ChecksumAlgorithm::Md5, b"first").to_hex();
    assert_eq!(first.etag.to_string(), md5);
    assert_eq!(third.etag, first.etag);
    assert_eq!(third.checksums, first.checksums);
    assert_eq!(second.etag.to_string(), opaque_etag(&second));
    fixture.options = fixture.options.clone().etag(ETagKind::Md5);
    fixture.reopen();
    let parts = [first, second, third];
    assert_eq!(fixture.parts(&upload), parts);
    let object = fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    let etags: Vec<u8> = parts
        .iter()
        .flat_map(|part| part.etag.as_bytes().to_vec())
        .collect();
    let etag = format!("{}-3", &blake3_of(&etags)[..40]);
    assert_eq!(object.etag.to_string(), etag);
    assert_eq!(read_object(&fixture.store, &upload), b"firstsecondfirst");
    fixture.assert_tidy();
}
