//! Two parts become an object: initiate, put, complete, read.
//!
//! ```sh
//! cargo run --example put
//! ```

use std::io::Read;

use partstore::{CompletedPart, PartNumber, PartStore};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = PartStore::open(dir.path().join("data"))?;

    let upload = store.initiate_upload("bucket/film.mp4")?;
    println!("{} is being uploaded as {}", upload.key(), upload.id());

    // On `Ok` a part is durable: its bytes, its name and its row. Parts may come in any order.
    let last = store.put_part(&upload, PartNumber::new(2)?, "the end")?;
    let first = store.put_part(&upload, PartNumber::new(1)?, vec![b'a'; 1 << 20])?;
    for part in [&first, &last] {
        println!("part {}: {} bytes, {}", part.number, part.size, part.etag);
    }

    // The client lists the parts of its object, with the ETags from the answers. No byte is copied.
    let answered = [&first, &last].map(CompletedPart::from);
    let object = store.complete_upload(&upload, &answered)?;
    println!("the object: {} bytes, {}", object.size, object.etag);

    // Each block is checked before the reader gives it out.
    let mut bytes = Vec::new();
    store.open_object(&object.upload)?.read_to_end(&mut bytes)?;
    assert!(bytes.ends_with(b"the end"));

    // Dropping the last handle closes the store, too, but cannot say how it went.
    store.close()?;
    Ok(())
}
