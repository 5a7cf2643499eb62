//! The texts of a request: parsing does not panic, and what parses shows as the same text again.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use partstore::{CompletedPart, ContentMd5, ETag, PartNumber, PartOptions, Upload, UploadId};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Texts(&'a str, &'a str),
    /// A well-formed id, of which one character is then another.
    Id {
        seconds: u64,
        hex: [u8; 32],
        at: u8,
        by: char,
    },
    ETag([u8; 16]),
}

/// Whatever the text is.
fn check_text(text: &str, other: &str) {
    if let Ok(id) = text.parse::<UploadId>() {
        assert_eq!(id.to_string(), text);
        assert_eq!(format!("{:010}", id.unix_seconds()), text[..10]);
        let upload = Upload::parse(other, text).expect("an id");
        assert_eq!((upload.key(), upload.id()), (other, id));
    }
    if let Ok(etag) = text.parse::<ETag>() {
        check_etag(etag);
    }
    let md5 = text.parse::<ContentMd5>();
    assert_eq!(PartOptions::new().content_md5(text).is_ok(), md5.is_ok());
    if let Ok(md5) = md5 {
        assert_eq!(text.len(), 24);
        assert_eq!(ContentMd5::from(*md5.as_bytes()), md5);
    }
    check_line(text, other);
}

fn check_line(text: &str, other: &str) {
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
}

fn check_etag(etag: ETag) {
    let text = etag.to_string();
    for form in [
        text.clone(),
        text.to_uppercase(),
        etag.quoted(),
        format!("&quot;{text}&quot;"),
    ] {
        assert_eq!(form.parse::<ETag>().expect("an ETag"), etag);
        assert_eq!(CompletedPart::parse("7", &form).expect("a line").etag, etag);
    }
}

fuzz_target!(|input: Input| {
    match input {
        Input::Texts(text, other) => check_text(text, other),
        Input::Id {
            seconds,
            hex,
            at,
            by,
        } => {
            let digits: String = hex.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("{:010}{digits}", seconds % 10_000_000_000);
            assert_eq!(text.parse::<UploadId>().expect("an id").to_string(), text);
            let mut other: Vec<char> = text.chars().collect();
            other[usize::from(at) % text.len()] = by;
            check_text(&other.into_iter().collect::<String>(), &text);
        }
        Input::ETag(md5) => check_etag(ETag::from_md5(md5)),
    }
});
