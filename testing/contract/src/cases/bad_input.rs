//! Bad input: a clear error, nothing stored, the part before untouched, nothing left in `staging/`.

use crate::support::{Fixture, bytes, free_options, number, read_part, refusal};
use partstore::{
    Error, ListParts, MAX_KEY_LEN, Part, PartNumber, PartOptions, Result, Upload, UploadId,
};
use std::io::{self, Read, Write};

type Code = (&'static str, u16);

/// What it is, the answer, and the call.
type Refused<'a> = (&'a str, Code, &'a dyn Fn(&Before) -> Result<()>);

const ARGUMENT: Code = ("InvalidArgument", 400);

const NO_UPLOAD: Code = ("NoSuchUpload", 404);

const INCOMPLETE: Code = ("IncompleteBody", 400);

const TOO_LARGE: Code = ("EntityTooLarge", 400);

/// The largest part in these tests, bytes.
const MAXIMUM: usize = 400_000;

/// A store with an open upload that has a part.
struct Before {
    fixture: Fixture,
    upload: Upload,
    part: Part,
}

impl Before {
    fn new() -> Self {
        let fixture = Fixture::with(free_options().max_part_size(MAXIMUM as u64));
        let upload = fixture.initiate("key");
        let part = fixture.put(&upload, 1, b"before");
        Self {
            fixture,
            upload,
            part,
        }
    }

    /// Runs calls that must be refused, each in its way, and looks whether anything changed.
    fn assert_refused(&self, calls: &[Refused]) {
        let files = self.fixture.blob_files();
        let numbers = || {
            let stats = self.fixture.store.stats().unwrap();
            (stats.parts, stats.open_uploads, stats.objects, stats.blobs)
        };
        let before = numbers();
        for (what, code, call) in calls {
            assert_eq!(refusal(call(self)), *code, "{what}");
            self.fixture.assert_tidy();
            assert_eq!(self.fixture.blob_files(), files, "{what}");
            assert_eq!(numbers(), before, "{what}");
            assert_eq!(
                self.fixture.parts(&self.upload),
                std::slice::from_ref(&self.part),
                "{what}"
            );
            let read = read_part(&self.fixture.store, &self.upload, number(1));
            assert_eq!(read, b"before", "{what}");
        }
    }

    fn put(&self, upload: &Upload) -> Result<()> {
        let store = &self.fixture.store;
        store.put_part(upload, number(1), "after").map(drop)
    }

    fn from(&self, body: impl Read, options: PartOptions) -> Result<()> {
        let store = &self.fixture.store;
        store
            .put_part_from(&self.upload, number(1), body, options)
            .map(drop)
    }
}

/// R1
pub fn part_numbers_are_1_to_10000() {
    for bad in [0, 10_001, 65_536, 65_537, u32::MAX] {
        assert_eq!(refusal(PartNumber::new(bad)), ARGUMENT, "{bad}");
    }
    let texts = [
        "",
        "abc",
        "0",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "10001",
        "65537",
        "4294967297",
        "18446744073709551617",
        "١",
    ];
    for bad in texts {
        let error = bad.parse::<PartNumber>().unwrap_err();
        assert_eq!((error.code(), error.http_status()), ARGUMENT, "{bad:?}");
        assert!(
            error
                .to_string()
                .starts_with("Part number must be an integer between 1 and 10000, inclusive"),
            "{error}"
        );
    }
    for good in ["1", "007", "10000"] {
        assert_eq!(
            u32::from(good.parse::<PartNumber>().unwrap().get()),
            good.parse().unwrap()
        );
    }
}

/// R9: malformed ids.
pub fn a_malformed_id_names_no_upload() {
    let good = Fixture::new().initiate("key").id().to_string();
    let bad = [
        String::new(),
        "abc".to_owned(),
        good[1..].to_owned(),
        format!("{good}0"),
        good.replace(|digit: char| digit.is_ascii_alphabetic(), "A"),
        format!("{}g", &good[..73]),
        format!("a{}", &good[1..]),
        format!("{}\0", &good[..73]),
        format!("{}é", &good[..72]),
        "../../../../../../../../../../../../../../../../../../../../etc/passwd.....".to_owned(),
    ];
    for id in bad {
        assert_eq!(refusal(Upload::parse("key", &id)), NO_UPLOAD, "{id:?}");
        assert_eq!(refusal(id.parse::<UploadId>()), NO_UPLOAD, "{id:?}");
    }
    assert_eq!(Upload::parse("key", &good).unwrap().id().to_string(), good);
}

/// R9: unknown, ended, or another key's.
pub fn an_id_that_names_no_open_upload_of_the_key_is_refused() {
    let before = Before::new();
    let fixture = &before.fixture;
    let unknown = "1484727270323ddb949d528c629235314a9ead80f0ba5d993a3d76b460e6a9cceb9633b08e";
    let aborted = fixture.initiate("key");
    fixture.store.abort_upload(&aborted).unwrap();
    let completed = fixture.complete("key", &[b"object"]).upload;
    let renamed = |key: &str| Upload::new(key, before.upload.id());
    let bad = [
        Upload::parse("key", unknown).unwrap(),
        aborted,
        completed,
        renamed("other"),
        renamed("ke"),
        renamed("key/"),
        renamed("Key"),
        renamed(""),
        renamed("key\0"),
        renamed(&"k".repeat(100_000)),
    ];
    for upload in bad {
        let call = |before: &Before| before.put(&upload);
        before.assert_refused(&[(upload.key(), NO_UPLOAD, &call)]);
        assert_eq!(refusal(fixture.store.abort_upload(&upload)), NO_UPLOAD);
        assert_eq!(
            refusal(
                fixture
                    .store
                    .list_parts(&upload, &ListParts::new().limit(1))
            ),
            NO_UPLOAD
        );
    }
}

/// R9: expired.
pub fn an_expired_id_is_refused() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    while fixture
        .store
        .expire_uploads(std::time::Duration::ZERO)
        .unwrap()
        == 0
    {}
    let answer = fixture.store.put_part(&upload, number(1), "bytes");
    assert_eq!(refusal(answer), NO_UPLOAD);
    fixture.assert_tidy();
}

/// A reader that gives some bytes and then fails.
struct FailsAfter(usize);

impl Read for FailsAfter {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"));
        }
        let len = self.0.min(into.len()).min(10_000);
        self.0 -= len;
        into[..len].fill(7);
        Ok(len)
    }
}

/// A reader that claims to have read so much, and has read nothing.
struct Claims(usize);

impl Read for Claims {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// The bytes of one body never come to be another's.
pub fn a_reader_that_claims_what_it_has_not_read_gets_zeros() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let earlier = bytes(1, 1 << 20);
    fixture.store.put_part(&upload, number(1), earlier).unwrap();
    let options = PartOptions::new();
    let claims = Claims(5_000);
    fixture
        .store
        .put_part_from(&upload, number(2), claims, options)
        .unwrap();
    assert_eq!(
        read_part(&fixture.store, &upload, number(2)),
        vec![0; 5_000]
    );
    let options = PartOptions::new().content_length(64 << 20);
    let refused = fixture
        .store
        .put_part_from(&upload, number(3), Claims(64 << 20), options);
    assert_eq!(refusal(refused), INCOMPLETE);
}

/// R3, R7, R8, and bodies that break off.
pub fn a_bad_body_is_refused() {
    let declared = |len: usize| PartOptions::new().content_length(len as u64);
    let body = bytes(2, 300_000);
    let over = bytes(3, MAXIMUM + 1);
    let md5 = || PartOptions::new().content_md5("1B2M2Y8AsgTpgAmY7PhCfg==");
    Before::new().assert_refused(&[
        ("shorter", INCOMPLETE, &|it| {
            it.from(&body[..], declared(300_001))
        }),
        ("longer", INCOMPLETE, &|it| {
            it.from(&body[..], declared(299_999))
        }),
        ("empty", INCOMPLETE, &|it| it.from(&[][..], declared(1))),
        ("not empty", INCOMPLETE, &|it| {
            it.from(&body[..], declared(0))
        }),
        ("over", TOO_LARGE, &|it| {
            it.from(&over[..], declared(MAXIMUM + 1))
        }),
        ("over, unsaid", TOO_LARGE, &|it| {
            it.from(&over[..], PartOptions::new())
        }),
        ("over, far", TOO_LARGE, &|it| {
            it.from(&body[..], declared(usize::MAX))
        }),
        ("endless", TOO_LARGE, &|it| {
            it.from(io::repeat(7), PartOptions::new())
        }),
        ("wrong MD5", ("BadDigest", 400), &|it| {
            it.from(&body[..], md5()?)
        }),
        ("no MD5", ("InvalidDigest", 400), &|it| {
            it.from(&body[..], PartOptions::new().content_md5("AAAA")?)
        }),
        ("fails", INCOMPLETE, &|it| {
            it.from(FailsAfter(270_000), PartOptions::new())
        }),
        ("fails at once", INCOMPLETE, &|it| {
            it.from(FailsAfter(0), declared(5))
        }),
    ]);
}

/// The reader's own error is the source.
pub fn a_reader_that_fails_is_told_of() {
    let before = Before::new();
    let error = before
        .from(FailsAfter(270_000), PartOptions::new())
        .unwrap_err();
    let Error::BodyUnreadable { received, source } = error else {
        panic!("{error}");
    };
    assert_eq!(received, 270_000);
    assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
}

pub fn a_writer_that_is_dropped_half_way_leaves_nothing() {
    let before = Before::new();
    for len in [0, 1, 262_144, 300_000] {
        let mut writer = before
            .fixture
            .store
            .part_writer(&before.upload, number(1), PartOptions::new())
            .unwrap();
        writer.write_all(&bytes(5, len)).unwrap();
        assert_eq!(before.fixture.store.stats().unwrap().staged_bodies, 1);
        drop(writer);
        assert_eq!(
            before.fixture.parts(&before.upload),
            std::slice::from_ref(&before.part)
        );
        before.fixture.assert_tidy();
    }
}

/// A writer that refused bytes does not store those before them.
pub fn a_writer_that_failed_can_not_finish() {
    let before = Before::new();
    let options = PartOptions::new().content_length(5);
    let mut writer = before
        .fixture
        .store
        .part_writer(&before.upload, number(1), options)
        .unwrap();
    writer.write_all(b"12345").unwrap();
    let error = Error::from_io(writer.write_all(b"6").unwrap_err()).unwrap();
    assert_eq!(error.code(), "IncompleteBody");
    assert!(writer.write_all(b"7").is_err());
    assert_eq!(refusal(writer.finish()), INCOMPLETE);
    assert_eq!(
        before.fixture.parts(&before.upload),
        std::slice::from_ref(&before.part)
    );
    before.fixture.assert_tidy();
}

pub fn a_bad_key_is_refused() {
    let initiate = |key: &str| {
        let key = key.to_owned();
        move |before: &Before| before.fixture.store.initiate_upload(&key).map(drop)
    };
    let too_long = ("KeyTooLong", 400);
    Before::new().assert_refused(&[
        ("empty", ARGUMENT, &initiate("")),
        ("a NUL", ARGUMENT, &initiate("\0")),
        ("a NUL inside", ARGUMENT, &initiate("a\0b")),
        ("1,025 bytes", too_long, &initiate(&"k".repeat(1025))),
        ("1,026 bytes", too_long, &initiate(&"é".repeat(513))),
    ]);
}

/// What looks bad and is not.
pub fn an_unusual_key_is_a_key() {
    let mut fixture = Fixture::new();
    let longest = [&"é".repeat(MAX_KEY_LEN / 2)[..], &"k".repeat(MAX_KEY_LEN)];
    let keys = [
        "/",
        "..",
        "../../etc",
        "a//b",
        " ",
        "\n",
        "\u{1}",
        "\u{10ffff}",
        "%00",
    ];
    for key in keys.into_iter().chain(longest) {
        let upload = fixture.initiate(key);
        let part = fixture.put(&upload, 1, key.as_bytes());
        fixture.reopen();
        assert_eq!(fixture.parts(&upload), [part], "{key:?}");
    }
    fixture.assert_tidy();
}

pub fn metadata_over_its_limit_is_refused() {
    let initiate = |len: usize| {
        move |before: &Before| {
            let metadata = vec![7; len];
            let store = &before.fixture.store;
            store.initiate_upload_with("key", &metadata).map(drop)
        }
    };
    let too_large = ("MetadataTooLarge", 400);
    Before::new().assert_refused(&[
        ("one byte more", too_large, &initiate(8193)),
        ("much more", too_large, &initiate(10_000_000)),
    ]);
    for (limit, len) in [(8192, 8192), (0, 0), (65_536, 65_536), (100_000, 65_536)] {
        let fixture = Fixture::with(free_options().max_metadata_len(limit));
        let metadata = bytes(4, len);
        let store = &fixture.store;
        let upload = store.initiate_upload_with("key", &metadata).unwrap();
        assert!(store.upload(&upload).unwrap().metadata == metadata);
        let over = bytes(4, len + 1);
        assert_eq!(refusal(store.initiate_upload_with("key", &over)), too_large);
    }
}

/// R1
pub fn limits_of_numbers_and_keys_can_be_lowered() {
    let options = free_options().max_part_number(number(3)).max_key_len(4);
    let fixture = Fixture::with(options);
    let upload = fixture.initiate("four");
    fixture.put(&upload, 3, b"the last number");
    let put = fixture.store.put_part(&upload, number(4), "one more");
    assert_eq!(refusal(put), ARGUMENT);
    let writer = fixture
        .store
        .part_writer(&upload, number(4), PartOptions::new());
    assert_eq!(refusal(writer), ARGUMENT);
    assert_eq!(
        refusal(fixture.store.initiate_upload("f\u{ef}ve")),
        ("KeyTooLong", 400)
    );
    fixture.assert_tidy();
}
