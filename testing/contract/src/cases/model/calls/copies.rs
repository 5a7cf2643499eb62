//! Copying parts, also when their upload or object is gone by then.

use partstore::{Part, PartNumber, PartReader, Result, Upload};

use super::super::expected::POOL;
use super::super::steps::Source;
use super::{Run, code, number};

impl Run {
    pub(super) fn copy(
        &mut self,
        (from, part): (Upload, u32),
        (to, at): (Upload, u32),
        source: Source,
    ) {
        let (part, at) = (number(part), number(at));
        let is_object = self.expected.completed(&from).is_some();
        let known = self.expected.entries.get(&from);
        let known = known.and_then(|entry| entry.parts.get(&part)).cloned();
        let (Some((original, body)), Ok(reader)) = (known, self.reader(&from, part)) else {
            return;
        };
        if source == Source::Goes {
            if is_object {
                self.remove_object(&from);
            } else {
                self.abort(&from);
            }
            self.fixture.store.sweep().unwrap();
        }
        let answer = self.fixture.store.copy_part(&reader, &to, at);
        if self.expected.open(&to).is_none() {
            assert_eq!(code(answer), "NoSuchUpload");
            return;
        }
        let copied: Part = answer.unwrap();
        POOL[body].assert_is(&copied);
        assert_eq!(copied.number, at);
        assert!(copied.stored_at >= original.stored_at);
        self.expected.put(&to, copied, body);
    }

    fn reader(&self, from: &Upload, part: PartNumber) -> Result<PartReader> {
        let store = &self.fixture.store;
        match self.expected.completed(from) {
            Some(_) => store.open_object(from)?.part(part),
            None => store.open_part(from, part),
        }
    }
}
