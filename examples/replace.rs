//! A part is replaced. A new object takes the place of an old one, in one commit.
//!
//! ```sh
//! cargo run --example replace
//! ```

use std::io::Read;

use partstore::{
    CompleteOptions, CompletedPart, Condition, Error, Object, PartNumber, PartStore, Result, Upload,
};

const KEY: &str = "notes";

/// Uploads one part. Of several puts to one number, the last one wins.
fn upload(store: &PartStore, drafts: &[&'static str]) -> Result<(Upload, [CompletedPart; 1])> {
    let upload = store.initiate_upload(KEY)?;
    let mut last = None;
    for draft in drafts {
        last = Some(store.put_part(&upload, PartNumber::MIN, *draft)?);
    }
    let part = last.as_ref().map(CompletedPart::from);
    Ok((upload, [part.expect("at least one draft")]))
}

/// After a crash at any moment the key has the object before or this one.
fn complete(
    store: &PartStore,
    (upload, list): &(Upload, [CompletedPart; 1]),
    condition: Condition,
) -> Result<Object> {
    let options = CompleteOptions::new().make_current(condition);
    store.complete_upload_with(upload, list, &options)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = PartStore::open(dir.path().join("data"))?;

    let first = upload(&store, &["a draft", "the first version"])?;
    let first = complete(&store, &first, Condition::IfAbsent)?;
    let mut reader = store.open_key(KEY)?;
    let second = upload(&store, &["the second version"])?;
    let second = complete(&store, &second, Condition::IfMatch(first.etag))?;

    // A reader of the first object still gets its bytes. Nobody else finds it.
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    assert_eq!(text, "the first version");
    let gone = store.open_object(&first.upload);
    assert!(matches!(gone, Err(Error::NoSuchObject { .. })));

    // Whoever has seen the first version only is refused, and changes nothing.
    let third = upload(&store, &["the third version"])?;
    let refused = complete(&store, &third, Condition::IfMatch(first.etag));
    assert!(matches!(refused, Err(Error::PreconditionFailed { .. })));
    complete(&store, &third, Condition::IfMatch(second.etag))?;

    let mut text = String::new();
    store.open_key(KEY)?.read_to_string(&mut text)?;
    println!("{KEY}: {text}");
    assert_eq!(text, "the third version");
    store.close()?;
    Ok(())
}
