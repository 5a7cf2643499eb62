//! The store's own ways to take parts in.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use partstore::{
    Background, ETagKind, Options, PartNumber, PartOptions, PartStore, Result, Upload,
};

use crate::measure::{Taker, Way};
use crate::streams::at_once;

/// Directories that the blobs of a store lie in.
const DIRECTORIES: usize = 256;
const SETTLERS: u32 = 16;

/// `put_part` of bytes in memory.
#[must_use]
pub fn put() -> Way {
    Way::new(|dir, _| Parts::open(dir, ETagKind::Md5, Call::Put))
}

/// `put_part` of bytes in memory, in a store whose ETags are opaque: no MD5 is computed.
#[must_use]
pub fn put_opaque() -> Way {
    Way::new(|dir, _| Parts::open(dir, ETagKind::Opaque, Call::Put))
}

/// `put_part` of bytes that the store has already, from another upload: nothing is written but the journal.
#[must_use]
pub fn put_stored() -> Way {
    Way::new(|dir, parts| {
        let taker = Parts::open(dir, ETagKind::Md5, Call::Put);
        taker.put_earlier(parts);
        taker
    })
}

/// `part_writer`, fed so many bytes at a time, as a server receives a body from a socket.
#[must_use]
pub fn stream(received: usize) -> Way {
    stream_with(ETagKind::Md5, received)
}

/// The same in a store whose ETags are opaque.
#[must_use]
pub fn stream_opaque(received: usize) -> Way {
    stream_with(ETagKind::Opaque, received)
}

fn stream_with(etag: ETagKind, received: usize) -> Way {
    Way::new(move |dir, _| Parts::open(dir, etag, Call::Stream { received }))
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Put,
    Stream { received: usize },
}

struct Parts {
    store: PartStore,
    upload: Upload,
    call: Call,
}

impl Parts {
    fn open(dir: &Path, etag: ETagKind, call: Call) -> Self {
        let store = settled_with(&dir.join("data"), etag);
        let upload = store.initiate_upload("bench").expect("an upload");
        Self {
            store,
            upload,
            call,
        }
    }

    fn put_earlier(&self, parts: &[Bytes]) {
        let earlier = self.store.initiate_upload("earlier").expect("an upload");
        for (number, part) in (1..).zip(parts) {
            let put = self
                .store
                .put_part(&earlier, number_of(number), part.clone());
            put.expect("a part");
        }
    }

    fn stream(&self, number: PartNumber, part: &Bytes, received: usize) -> Result<()> {
        let options = PartOptions::new().content_length(part.len() as u64);
        let mut writer = self.store.part_writer(&self.upload, number, options)?;
        for received in part.chunks(received) {
            writer.append(received)?;
        }
        writer.finish().map(drop)
    }
}

impl Taker for Parts {
    fn take(&self, number: u32, part: &Bytes) {
        let number = number_of(number);
        let taken = match self.call {
            Call::Put => self
                .store
                .put_part(&self.upload, number, part.clone())
                .map(drop),
            Call::Stream { received } => self.stream(number, part, received),
        };
        taken.expect("a part");
    }
}

/// A store as it is when it has been in use. It has all directories of blobs, which a store makes when it first needs
/// them; the floors have theirs from the start, too. Nothing runs in the background.
///
/// # Panics
///
/// When the store cannot be opened or written.
#[must_use]
pub fn settled(data: &Path) -> PartStore {
    settled_with(data, ETagKind::Md5)
}

fn settled_with(data: &Path, etag: ETagKind) -> PartStore {
    let options = Options::cos().min_part_size(0).etag(etag);
    let options = options.background(Background::Host);
    let store = options.open(data).expect("a store");
    let upload = store.initiate_upload("settle in").expect("an upload");
    let bodies = one_for_each_directory();
    let settled = at_once(SETTLERS, |thread| {
        let own = (1..).zip(&bodies).skip(thread as usize);
        for (number, body) in own.step_by(SETTLERS as usize) {
            store.put_part(&upload, PartNumber::new(number)?, body.clone())?;
        }
        Ok::<(), partstore::Error>(())
    });
    settled.expect("small parts");
    store
}

/// Small bodies, one for each first byte that a hash can have.
fn one_for_each_directory() -> Vec<Bytes> {
    let mut bodies = BTreeMap::new();
    for body in (0_u64..).map(u64::to_le_bytes) {
        let hash = blake3::hash(&body);
        bodies.insert(hash.as_bytes()[0], Bytes::copy_from_slice(&body));
        if bodies.len() == DIRECTORIES {
            break;
        }
    }
    bodies.into_values().collect()
}

fn number_of(number: u32) -> PartNumber {
    PartNumber::new(number).expect("a number")
}
