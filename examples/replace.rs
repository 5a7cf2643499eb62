//! A part is replaced. A new object takes the place of an old one, in one commit.
//!
//! The server records which object a name means. Here a map in memory does.
//!
//! ```sh
//! cargo run --example replace
//! ```

use std::collections::HashMap;
use std::io::Read;

use partstore::{CompletedPart, Error, Part, PartNumber, PartStore, Upload};

/// The object that each name means now.
type Names = HashMap<&'static str, Upload>;

/// Makes an object of one part, in place of the one that has its name.
fn write(
    store: &PartStore,
    names: &mut Names,
    name: &'static str,
    bytes: &'static str,
) -> partstore::Result<()> {
    let upload = store.initiate_upload(name)?;
    let part = store.put_part(&upload, PartNumber::MIN, bytes)?;
    let object = complete(store, &upload, &part, names.get(name))?;
    names.insert(name, object);
    Ok(())
}

/// After a crash at any moment exactly one of the two objects exists.
fn complete(
    store: &PartStore,
    upload: &Upload,
    part: &Part,
    replaced: Option<&Upload>,
) -> partstore::Result<Upload> {
    let list = [CompletedPart::from(part)];
    let object = match replaced {
        None => store.complete_upload(upload, &list)?,
        Some(replaced) => store.complete_upload_replacing(upload, &list, replaced)?,
    };
    Ok(object.upload)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = PartStore::open(dir.path().join("data"))?;
    let mut names = Names::new();

    write(&store, &mut names, "bucket/notes", "the first version")?;
    let first = names["bucket/notes"].clone();
    let mut reader = store.open_object(&first)?;
    write(&store, &mut names, "bucket/notes", "the second version")?;

    // A reader of the first object still gets its bytes.
    let mut text = String::new();
    reader.read_to_string(&mut text)?;
    assert_eq!(text, "the first version");
    assert!(matches!(
        store.open_object(&first),
        Err(Error::NoSuchObject { .. })
    ));

    // It is a compare-and-swap: replacing an object that is no longer current is refused and changes nothing.
    let late = store.initiate_upload("bucket/notes")?;
    store.put_part(&late, PartNumber::MIN, "not what belongs here")?;
    // Of two parts with one number, the last one wins.
    let part = store.put_part(&late, PartNumber::MIN, "the third version")?;
    let refused = complete(&store, &late, &part, Some(&first));
    assert!(matches!(refused, Err(Error::NoSuchObject { .. })));
    let third = complete(&store, &late, &part, Some(&names["bucket/notes"]))?;

    let mut text = String::new();
    store.open_object(&third)?.read_to_string(&mut text)?;
    println!("bucket/notes: {text}");
    assert_eq!(text, "the third version");
    store.close()?;
    Ok(())
}
