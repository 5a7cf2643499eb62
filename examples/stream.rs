//! A body is received as a stream. The store is asked before the body is sent: `Expect: 100-continue` is for that.
//!
//! ```sh
//! cargo run --example stream
//! ```

use std::io::{self, Read};

use partstore::{Error, Part, PartNumber, PartOptions, PartStore, Upload};

/// What a server knows when it has read the head of a request.
struct Head {
    number: u32,
    content_length: u64,
    content_md5: Option<&'static str>,
}

/// A client that sends its body when it is told to continue.
struct Connection(&'static [u8]);

impl Connection {
    fn say_continue(&mut self) -> &mut impl Read {
        println!("  HTTP/1.1 100 Continue");
        &mut self.0
    }
}

/// Receives a part. What can be refused without its body is refused before the body is read.
fn receive(
    store: &PartStore,
    upload: &Upload,
    head: &Head,
    client: &mut Connection,
) -> Result<Part, Error> {
    let mut declared = PartOptions::new().content_length(head.content_length);
    if let Some(md5) = head.content_md5 {
        declared = declared.content_md5(md5)?;
    }
    let number = PartNumber::new(head.number)?;
    // This checks the upload, the number, the length, and the room on the disk.
    let mut writer = store.part_writer(upload, number, declared)?;
    let body = client.say_continue();
    // A writer returns an `io::Error` with the store's error inside. Any other error is the connection's.
    io::copy(body, &mut writer).map_err(|error| match Error::from_io(error) {
        Ok(refusal) => refusal,
        Err(source) => Error::BodyUnreadable {
            received: writer.received(),
            source,
        },
    })?;
    // Nothing is stored before this returns `Ok`: dropping the writer would leave nothing.
    writer.finish()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = PartStore::open(dir.path().join("data"))?;
    let upload = store.initiate_upload("bucket/key")?;
    let aborted = store.initiate_upload("bucket/key")?;
    store.abort_upload(&aborted)?;
    let head = |number, content_length, content_md5| Head {
        number,
        content_length,
        content_md5,
    };
    let too_long = (5 << 30) + 1;
    let requests = [
        (&upload, head(1, 5, None)),
        (&upload, head(1, 5, Some("XUFAKrxLKna5cZ2REBfFkg=="))),
        // Refused before the body:
        (&upload, head(10_001, 5, None)),
        (&upload, head(1, too_long, None)),
        (&aborted, head(1, 5, None)),
        // Refused because of the body:
        (&upload, head(1, 6, None)),
        (&upload, head(1, 5, Some("AAAAAAAAAAAAAAAAAAAAAA=="))),
    ];
    for (upload, head) in requests {
        println!("PUT part {}, {} bytes", head.number, head.content_length);
        match receive(&store, upload, &head, &mut Connection(b"hello")) {
            Ok(part) => println!("  HTTP/1.1 200 OK, ETag {}", part.etag.quoted()),
            Err(error) => println!("  HTTP/1.1 {} {}", error.http_status(), error.code()),
        }
    }
    Ok(())
}
