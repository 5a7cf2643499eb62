//! The ways to take a part in.

use std::path::Path;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};
use partstore::{Background, Options, PartNumber, PartOptions, PartStore, Upload};

use crate::floors::{Disk, Obvious};
use crate::settled::settle_in;
use crate::streams;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `put_part` of bytes in memory.
    Put,
    /// The same bytes once more, under other numbers: nothing is written.
    Stored,
    /// `part_writer`, fed as a server gets a body from a socket.
    Stream,
    DiskDirect,
    /// The same, and the bodies lie in huge pages: the disk gets a body in few pieces.
    DiskHuge,
    DiskBuffered,
    Obvious,
    Md5,
}

impl Way {
    pub const ALL: [Self; 8] = [
        Self::Put,
        Self::Stored,
        Self::Stream,
        Self::DiskDirect,
        Self::DiskHuge,
        Self::DiskBuffered,
        Self::Obvious,
        Self::Md5,
    ];
}

/// What a stream receives at a time.
const RECEIVED: usize = 64 * 1024;

/// Ready to take parts.
pub enum Taker {
    Store {
        store: PartStore,
        upload: Upload,
        streams: bool,
    },
    Disk(Disk),
    Obvious(Obvious),
    Md5,
}

impl Taker {
    pub fn new(dir: &Path, way: Way, parts: &[Bytes]) -> Self {
        match way {
            Way::Put | Way::Stored | Way::Stream => {
                let options = Options::cos().min_part_size(0).background(Background::Host);
                let store = options.open(dir.join("data")).expect("a store");
                let upload = store.initiate_upload("bench").expect("an upload");
                settle_in(&store);
                let taker = Self::Store {
                    store,
                    upload,
                    streams: way == Way::Stream,
                };
                if way == Way::Stored {
                    for (number, part) in (5000..).zip(parts) {
                        taker.take(number, part);
                    }
                }
                taker
            }
            Way::DiskDirect | Way::DiskHuge => Self::Disk(Disk::new(dir, true)),
            Way::DiskBuffered => Self::Disk(Disk::new(dir, false)),
            Way::Obvious => Self::Obvious(Obvious::new(dir)),
            Way::Md5 => Self::Md5,
        }
    }

    pub fn take(&self, number: u32, part: &Bytes) {
        match self {
            Self::Store {
                store,
                upload,
                streams: false,
            } => {
                let number = PartNumber::new(number).expect("a number");
                store
                    .put_part(upload, number, part.clone())
                    .expect("a part");
            }
            Self::Store { store, upload, .. } => {
                let number = PartNumber::new(number).expect("a number");
                let options = PartOptions::new().content_length(part.len() as u64);
                let mut writer = store
                    .part_writer(upload, number, options)
                    .expect("a writer");
                for received in part.chunks(RECEIVED) {
                    writer.append(received).expect("bytes");
                }
                writer.finish().expect("a part");
            }
            Self::Disk(disk) => disk.put(part),
            Self::Obvious(obvious) => obvious.put(part),
            Self::Md5 => {
                std::hint::black_box(fast_md5::digest(part));
            }
        }
    }
}

/// Bytes of which all parts are slices. They begin at a page, as `O_DIRECT` asks of the floors; the
/// store does not care where its bodies lie.
pub struct Bodies {
    ordinary: Bytes,
    huge: Bytes,
}

impl Bodies {
    pub fn new(len: usize) -> Self {
        let ordinary = MmapMut::map_anon(len).expect("memory");
        // Refused where there are no huge pages.
        let _ = ordinary.advise(Advice::NoHugePage);
        Self {
            ordinary: streams::filled(ordinary),
            huge: streams::in_huge_pages(len),
        }
    }

    pub fn parts(&self, way: Way, len: usize) -> Vec<Bytes> {
        let bytes = if way == Way::DiskHuge {
            &self.huge
        } else {
            &self.ordinary
        };
        streams::split(bytes, len)
    }
}
