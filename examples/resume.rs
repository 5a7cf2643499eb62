//! An upload is resumed after its process has died half-way.
//!
//! ```sh
//! cargo run --example resume
//! ```

use std::path::Path;
use std::process::{Command, exit};

use partstore::{CompletedPart, ListParts, ListUploads, Options, PartNumber, PartStore};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The parts of the file that is uploaded.
const PARTS: u32 = 5;
const PART_BYTES: usize = 1 << 20;

fn part(number: PartNumber) -> Vec<u8> {
    vec![number.get().to_le_bytes()[0]; PART_BYTES]
}

fn main() -> Result<()> {
    if let Some(data) = std::env::args_os().nth(1) {
        return begin_and_die(data.as_ref());
    }
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let first = Command::new(std::env::current_exe()?).arg(&data).status()?;
    println!("the first process ended with {first}");
    go_on(&data)
}

/// What the first process does. It completes nothing and closes nothing.
fn begin_and_die(data: &Path) -> Result<()> {
    let store = PartStore::open(data)?;
    let upload = store.initiate_upload("backup.tar")?;
    for number in [1, 2, 4] {
        let number = PartNumber::new(number)?;
        store.put_part(&upload, number, part(number))?;
    }
    // Exits without dropping the store, as a crash does.
    exit(1)
}

/// What the second process does. It knows the key, and nothing else.
fn go_on(data: &Path) -> Result<()> {
    // `must_exist` refuses to make an empty store where this one is expected.
    let store = Options::cos().must_exist().open(data)?;
    println!("opened: {:?}", store.recovery().index);
    let open = store.list_uploads(&ListUploads::new().prefix("backup.tar"))?;
    let found = open.uploads.first().ok_or("no upload of this key")?;
    let upload = &found.upload;

    // What the store lists is durable. Everything else is put again.
    let stored = store.list_parts(upload, &ListParts::new())?.parts;
    for number in 1..=PARTS {
        let number = PartNumber::new(number)?;
        if stored.iter().any(|part| part.number == number) {
            println!("part {number} is stored");
        } else {
            store.put_part(upload, number, part(number))?;
            println!("part {number} was missing");
        }
    }

    let parts = store.list_parts(upload, &ListParts::new())?.parts;
    let list: Vec<_> = parts.iter().map(CompletedPart::from).collect();
    let object = store.complete_upload(upload, &list)?;
    assert_eq!(object.size, u64::from(PARTS) * PART_BYTES as u64);
    // A client that lost the answer asks again, and gets the same one.
    assert_eq!(store.complete_upload(upload, &list)?, object);
    println!("completed: {} parts, {}", object.parts, object.etag);
    store.close()?;
    Ok(())
}
