//! A whole store on the disk in memory, and what must hold of it when all tasks are done.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use parking_lot::schedule;

use harness::disk;
use partstore::{
    Background, ETag, ListParts, Options, Part, PartNumber, PartStore, Result, Scope, Upload,
};

/// About as many schedule points as a test of a store has.
pub const STEPS: usize = 400;

pub fn open() -> PartStore {
    schedule::pause(|| options().open("/data")).unwrap()
}

/// Small segments, so that groups go over their ends, and a snapshot whenever one is asked for.
fn options() -> Options {
    Options::s3()
        .min_part_size(0)
        .headroom(0)
        .background(Background::Host)
        .journal_sizes(0, 0)
}

pub fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

pub fn put(store: &PartStore, upload: &Upload, at: u32, body: &'static [u8]) -> Result<Part> {
    store.put_part(upload, number(at), body)
}

/// The parts of an open upload; of others there are none.
pub fn parts(store: &PartStore, upload: &Upload) -> BTreeMap<PartNumber, ETag> {
    let page = store.list_parts(upload, &ListParts::new());
    let parts = page.map(|page| page.parts).unwrap_or_default();
    parts.iter().map(|part| (part.number, part.etag)).collect()
}

pub fn read(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("bytes, all of them");
    bytes
}

/// The name of the file with these bytes.
fn name_of(body: &[u8]) -> String {
    blake3::hash(body).to_string()
}

/// I1, I5: records agree with each other, and what they name can be read. I4, I7: after a sweep the
/// files are those of the blobs that are referenced.
pub fn assert_whole(store: &PartStore, bodies: &[&[u8]]) {
    schedule::pause(|| assert_whole_alone(store, bodies));
}

fn assert_whole_alone(store: &PartStore, bodies: &[&[u8]]) {
    let found = store.verify(Scope::Everything).unwrap();
    assert!(found.is_clean(), "not whole: {found:?}");
    store.sweep().unwrap();
    let found = store.verify(Scope::Everything).unwrap();
    assert!(found.is_clean(), "not whole after a sweep: {found:?}");
    let expected: BTreeSet<String> = bodies.iter().map(|body| name_of(body)).collect();
    assert_eq!(
        disk::files_below("/data/blobs"),
        expected,
        "the files that are referenced, and no others"
    );
    assert!(disk::files_below("/data/staging").is_empty());
    let stats = store.stats().unwrap();
    assert_eq!((stats.garbage, stats.pinned_blobs), (0, 0));
}

/// Opens what a power cut has left. The store that was open goes on with nothing: it is not asked
/// any more.
pub fn after(remains: disk::Remains) -> PartStore {
    disk::restore(remains);
    open()
}
