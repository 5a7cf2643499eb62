//! Putting, listing and reading parts and objects.

use std::io::{Read, Seek, SeekFrom, Write};

use partstore::{Error, Part, PartNumber, PartOptions, PartWriter, Result, Upload};

use super::super::expected::{Bodies, Body, POOL};
use super::super::steps::How;
use super::{Run, code};

/// Reads to its middle, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(std::io::Error::other("the line went dead")),
            len => Ok(len),
        }
    }
}

fn declared(body: &Body) -> PartOptions {
    PartOptions::new()
        .content_length(body.bytes.len() as u64)
        .md5(body.md5)
        .crc32(body.crc32)
        .crc64(body.crc64)
}

fn write_in_pieces(writer: &mut PartWriter, bytes: &[u8], splits: &[usize]) {
    let mut rest = bytes;
    for split in splits {
        let (piece, later) = rest.split_at((*split).min(rest.len()));
        writer.write_all(piece).unwrap();
        rest = later;
    }
    writer.append(rest).unwrap();
    assert_eq!(writer.received(), bytes.len() as u64);
}

impl Run {
    /// Answers what the call answered, and the code that a refused body must get.
    fn call_put(
        &self,
        target: (&Upload, PartNumber),
        body: &Body,
        how: &How,
    ) -> (Result<Part>, Option<&'static str>) {
        let store = &self.fixture.store;
        let (upload, number) = target;
        let put = |options| store.put_part_with(upload, number, body.bytes.clone(), options);
        match how {
            How::Memory => (store.put_part(upload, number, body.bytes.clone()), None),
            How::Declared => (put(declared(body)), None),
            How::WrongMd5 => (put(PartOptions::new().md5([7; 16])), Some("BadDigest")),
            How::WrongCrc => (
                put(PartOptions::new().crc32(!body.crc32)),
                Some("BadDigest"),
            ),
            How::WrongLength(by) => {
                let length = (body.bytes.len() as u64).saturating_add_signed(i64::from(*by));
                let wrong = length != body.bytes.len() as u64;
                (
                    put(PartOptions::new().content_length(length)),
                    wrong.then_some("IncompleteBody"),
                )
            }
            How::Reader => {
                let answer = store.put_part_from(upload, number, &body.bytes[..], declared(body));
                (answer, None)
            }
            How::FailingReader => {
                let half = Failing(&body.bytes[..body.bytes.len() / 2]);
                let answer = store.put_part_from(upload, number, half, PartOptions::new());
                (answer, Some("IncompleteBody"))
            }
            _ => self.call_writer(target, body, how),
        }
    }

    fn call_writer(
        &self,
        (upload, number): (&Upload, PartNumber),
        body: &Body,
        how: &How,
    ) -> (Result<Part>, Option<&'static str>) {
        let store = &self.fixture.store;
        let options = match how {
            How::WriterWrongMd5 => PartOptions::new().md5([7; 16]),
            How::WriterCutShort => PartOptions::new().content_length(body.bytes.len() as u64 + 1),
            _ => PartOptions::new(),
        };
        let mut writer = match store.part_writer(upload, number, options) {
            Ok(writer) => writer,
            Err(error) => return (Err(error), None),
        };
        let splits = if let How::Writer { splits } = how {
            splits.as_slice()
        } else {
            &[]
        };
        write_in_pieces(&mut writer, &body.bytes, splits);
        match how {
            How::Writer { .. } => (writer.finish(), None),
            How::WriterWrongMd5 => (writer.finish(), Some("BadDigest")),
            How::WriterCutShort => (writer.finish(), Some("IncompleteBody")),
            _ => {
                drop(writer);
                // Nobody answers; the map stays as it is.
                (Err(Error::EmptyPartList), Some("MalformedXML"))
            }
        }
    }

    pub(super) fn put(&mut self, upload: &Upload, number: PartNumber, body: usize, how: &How) {
        let (answer, refusal) = self.call_put((upload, number), &POOL[body], how);
        if self.expected.open(upload).is_none() {
            let refused = code(answer);
            // Of two reasons, the store may name either.
            assert!(
                refused == "NoSuchUpload" || Some(refused) == refusal,
                "{refused}"
            );
            return;
        }
        if let Some(refusal) = refusal {
            assert_eq!(code(answer), refusal);
            return;
        }
        let part = answer.unwrap();
        assert_eq!(part.number, number);
        POOL[body].assert_is(&part);
        self.expected.put(upload, part, body);
    }

    /// A writer with some of its bytes received.
    pub(super) fn half_a_body(&self, upload: &Upload) -> PartWriter {
        let store = &self.fixture.store;
        let mut writer = store
            .part_writer(upload, PartNumber::MIN, PartOptions::new())
            .unwrap();
        writer.write_all(&POOL[8].bytes).unwrap();
        writer
    }

    pub(super) fn abort_during_put(&mut self, upload: &Upload, number: PartNumber, body: usize) {
        let opened = self
            .fixture
            .store
            .part_writer(upload, number, PartOptions::new());
        let Some(mut writer) = opened.ok() else {
            assert!(self.expected.open(upload).is_none());
            return;
        };
        writer.write_all(&POOL[body].bytes).unwrap();
        self.abort(upload);
        assert_eq!(code(writer.finish()), "NoSuchUpload");
    }

    pub(super) fn replace_under_reader(&mut self, upload: &Upload, to: PartNumber, body: usize) {
        let before = self
            .expected
            .open(upload)
            .and_then(|entry| entry.parts.get(&to))
            .cloned();
        let reader = self.fixture.store.open_part(upload, to);
        let (Some((part, old)), Ok(mut reader)) = (before, reader) else {
            return;
        };
        assert_eq!(reader.part(), &part);
        self.put(upload, to, body, &How::Memory);
        self.fixture.store.sweep().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(
            bytes == POOL[old].bytes,
            "a reader got other bytes than those it opened"
        );
    }

    pub(super) fn remove_under_reader(&mut self, object: &Upload) {
        let Some(expected) = self.expected.completed(object).map(Bodies::bytes) else {
            return;
        };
        let mut reader = self.fixture.store.open_object(object).unwrap();
        self.remove_object(object);
        self.fixture.store.sweep().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(
            bytes == expected,
            "a reader got other bytes than those of its object"
        );
    }

    pub(super) fn read_part(&self, upload: &Upload, number: PartNumber, from: u64, len: usize) {
        let answer = self.fixture.store.open_part(upload, number);
        let Some(entry) = self.expected.open(upload) else {
            assert_eq!(code(answer), "NoSuchUpload");
            return;
        };
        match entry.parts.get(&number) {
            Some((_, body)) => read_range(&mut answer.unwrap(), &POOL[*body].bytes, from, len),
            None => assert_eq!(code(answer), "InvalidPartNumber"),
        }
    }

    pub(super) fn read_object(&self, object: &Upload, from: u64, len: usize) {
        let answer = self.fixture.store.open_object(object);
        match self.expected.completed(object) {
            Some(entry) => read_range(&mut answer.unwrap(), &entry.bytes(), from, len),
            None => assert_eq!(code(answer), "NoSuchKey"),
        }
    }
}

fn read_range(reader: &mut (impl Read + Seek), all: &[u8], from: u64, len: usize) {
    assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), all.len() as u64);
    reader.seek(SeekFrom::Start(from)).unwrap();
    let mut read = Vec::new();
    reader.take(len as u64).read_to_end(&mut read).unwrap();
    let start = usize::try_from(from).unwrap().min(all.len());
    let end = (start + len).min(all.len());
    assert!(
        read == all[start..end],
        "other bytes at {from}, {len} of {}",
        all.len()
    );
}
