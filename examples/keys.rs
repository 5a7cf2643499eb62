//! Buckets and keys: puts an object, replaces it only if nobody else has, and lists a folder.

use std::io::{copy, stdout};

use partstore::{Condition, ListKeys, ObjectOptions, PartStore, Quota};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = PartStore::open(dir.path().join("data"))?;
    store.create_namespace("photos", Quota::new().bytes(10 << 30))?;

    // The current object of a key.
    let key = ("photos", "2026/11/cat.jpg");
    let first = store.put_object(key, "a cat")?;
    // `If-None-Match: *` is refused, because the key has an object.
    let absent = ObjectOptions::new().only(Condition::IfAbsent);
    let refused = store.put_object_with(key, "another cat", &absent);
    println!("{}", refused.unwrap_err().code());
    // `If-Match` replaces it, and removes the first one in the same commit.
    let same = ObjectOptions::new().only(Condition::IfMatch(first.etag));
    store.put_object_with(key, "a better cat", &same)?;
    copy(&mut store.open_key(key)?, &mut stdout())?;
    println!();

    // Folders, as a file browser shows them.
    store.put_object(("photos", "2026/12/dog.jpg"), "a dog")?;
    let query = ListKeys::new()
        .namespace("photos")
        .prefix("2026/")
        .delimiter("/");
    println!("{:?}", store.list_keys(&query)?.common_prefixes);

    println!("{:?}", store.namespace("photos")?.usage);
    for entry in store.keys(("photos", "")) {
        store.remove_key(("photos", entry?.key.as_str()), Condition::Always)?;
    }
    store.remove_namespace("photos")?;
    store.close()?;
    Ok(())
}
