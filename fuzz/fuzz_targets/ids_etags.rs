//! The texts of a request: parsing does not panic, and what parses shows as the same text again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partstore::{CompletedPart, ContentMd5, ETag, PartNumber, PartOptions, Upload, UploadId};

fuzz_target!(|input: (&str, &str)| {
    let (text, other) = input;
    if let Ok(id) = text.parse::<UploadId>() {
        assert_eq!(id.to_string(), text);
        assert_eq!(format!("{:010}", id.unix_seconds()), text[..10]);
        let upload = Upload::parse(other, text).expect("an id");
        assert_eq!((upload.key(), upload.id()), (other, id));
    }
    if let Ok(etag) = text.parse::<ETag>() {
        assert_eq!(etag.to_string().parse::<ETag>().expect("hex"), etag);
        assert_eq!(etag.quoted().parse::<ETag>().expect("quoted"), etag);
        assert!(
            text.to_ascii_lowercase()
                .replace(['"', ' '], "")
                .contains(&etag.to_string()[..1])
        );
    }
    if let Ok(md5) = text.parse::<ContentMd5>() {
        assert_eq!(text.len(), 24);
        assert_eq!(ContentMd5::from(*md5.as_bytes()), md5);
    }
    assert_eq!(
        PartOptions::new().content_md5(text).is_ok(),
        text.parse::<ContentMd5>().is_ok()
    );
    let number = text.parse::<PartNumber>();
    if let Ok(number) = &number {
        assert_eq!(number.to_string(), text.trim_start_matches('0'));
        assert!((1..=10_000).contains(&number.get()));
    }
    match CompletedPart::parse(text, other) {
        Ok(line) => {
            assert_eq!(line.number, number.expect("a number"));
            assert_eq!(line.etag, other.parse::<ETag>().expect("an ETag"));
        }
        Err(error) => assert!(["InvalidArgument", "InvalidPart"].contains(&error.code())),
    }
});
