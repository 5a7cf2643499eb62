//! Rows that an older version wrote, and rows that are wrong: no public call makes them.

use std::path::Path;
use std::sync::Arc;

use super::HeldWhole;
use crate::backend::{Catalog, HeldObject, NewObject, ObjectRow, PartRow, PartsFrom};
use crate::buffers::Buffers;
use crate::going::{Closing, Going};
use crate::local::catalog::answers;
use crate::local::engine::Engine;
use crate::local::format::record::{Completion, Marks};
use crate::local::meta::{Change, SpaceUse};
use crate::{
    Background, Checksums, Condition, ContentHash, ETag, Key, Object, ObjectETag, Options,
    PartNumber, Scope, Upload, VerifyReport,
};

const PARTS: u16 = 200;

fn open(path: &Path) -> Engine {
    let options = Options::cos().min_part_size(0).background(Background::Host);
    let buffers = Arc::new(Buffers::with(0));
    let opened = Engine::open(path, &options, &Closing::default(), &buffers);
    opened.unwrap().0
}

fn number(number: u16) -> PartNumber {
    PartNumber::new(number.into()).unwrap()
}

/// An object whose part N has N bytes. No blob has a row.
fn object(engine: &Engine) -> Object {
    let parts: Vec<_> = (1..=PARTS)
        .map(|at| {
            let part = PartRow {
                size: at.into(),
                etag: ETag::from_md5([0; 16]),
                content: ContentHash::from_bytes(*blake3::hash(&at.to_be_bytes()).as_bytes()),
                checksums: Checksums::new(),
            };
            (number(at), part)
        })
        .collect();
    let row = ObjectRow {
        size: parts.iter().map(|(_, part)| part.size).sum(),
        parts: PARTS,
        etag: ObjectETag::of_parts(ETag::from_md5([0; 16]), PARTS),
        checksums: Checksums::new(),
        composite: Checksums::new(),
    };
    let new = NewObject {
        parts: &parts,
        blob: None,
        metadata: &[],
        row: &row,
    };
    let key = Key::from("key");
    engine.commit_object(&key, Condition::Always, &new).unwrap()
}

fn set_marks(engine: &Engine, upload: &Upload, marks: Marks) {
    set(engine, upload, |done| done.marks = marks);
}

/// Changes the object's row, and nothing that must agree with it.
fn set(engine: &Engine, upload: &Upload, set: impl FnOnce(&mut Completion)) {
    let _whole = engine.locks.lock(upload.id()).unwrap();
    let (record, mut done) = answers::completed(engine, upload).unwrap();
    set(&mut done);
    let mut change = Change::default();
    change.change_object(upload.id(), &record, done);
    let _ = engine.commit(change, SpaceUse::Grows).unwrap();
}

/// Looks for each part by its number, and by its first and last byte.
fn assert_finds(engine: &Engine, held: &HeldObject, at: u16) {
    let offset = u64::from(at) * u64::from(at - 1) / 2;
    let ways = [
        PartsFrom::Number(number(at)),
        PartsFrom::Byte(offset),
        PartsFrom::Byte(offset + u64::from(at) - 1),
    ];
    for from in ways {
        let found = engine.held_parts(&held.hold, from, 2).unwrap();
        assert_eq!(found.len(), if at == PARTS { 1 } else { 2 }, "{from:?}");
        assert_eq!(
            (found[0].part.number, found[0].offset),
            (number(at), offset)
        );
    }
}

#[test]
fn parts_are_found_with_marks_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let upload = object(&engine).upload;
    for _ in 0..2 {
        let held = engine.hold_object(&upload).unwrap();
        for at in (1..=PARTS).rev().chain(1..=PARTS) {
            assert_finds(&engine, &held, at);
        }
        let behind = PartsFrom::Byte(held.object.size);
        assert_eq!(engine.held_parts(&held.hold, behind, 2).unwrap(), []);
        set_marks(&engine, &upload, Marks::default());
    }
}

/// An object of an older version is read in order. What was met once is not read over and over.
#[test]
fn marks_that_the_row_lacks_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let upload = object(&engine).upload;
    let (_, done) = answers::completed(&engine, &upload).unwrap();
    set_marks(&engine, &upload, Marks::default());
    let held = engine.hold_object(&upload).unwrap();
    assert_finds(&engine, &held, PARTS);
    let marks = held.hold.get::<HeldWhole>().unwrap().marks.lock().clone();
    assert_eq!(marks, done.marks);
}

#[test]
fn marks_that_are_wrong_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let upload = object(&engine).upload;
    assert!(!says(&engine, "begin where"));
    let elsewhere = (1..=PARTS).map(|at| (number(at), u64::from(at) + 1));
    set_marks(&engine, &upload, Marks::of(elsewhere));
    assert!(says(&engine, "begin where"));
}

/// Whether a verification says so.
fn says(engine: &Engine, what: &str) -> bool {
    let mut report = VerifyReport::default();
    let going = Going::until(&engine.closing);
    engine
        .verify(Scope::Metadata, None, &going, &mut report)
        .unwrap();
    report.inconsistent.iter().any(|found| found.contains(what))
}

#[test]
fn an_object_whose_parts_are_not_what_its_row_says_is_found() {
    let wrong: [fn(&mut Completion); 2] = [|done| done.size += 1, |done| done.parts -= 1];
    for wrong in wrong {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let upload = object(&engine).upload;
        assert!(!says(&engine, "another number of parts"));
        set(&engine, &upload, wrong);
        assert!(says(&engine, "another number of parts"));
    }
}
