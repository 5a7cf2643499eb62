//! Completing, also in place of an object.

use partstore::{CompletedPart, ETag, PartNumber, Upload};

use super::super::expected::Bodies;
use super::super::steps::List;
use super::{Run, code, compare};

impl Run {
    pub(super) fn complete(&mut self, upload: &Upload, which: &List, replaced: Option<&Upload>) {
        let stray = || vec![CompletedPart::new(PartNumber::MIN, ETag::from_md5([7; 16]))];
        let is_absent = replaced.is_some_and(|object| self.expected.completed(object).is_none());
        let entry = self.expected.entries.get_mut(upload);
        let list = entry.as_ref().map_or_else(stray, |entry| entry.list(which));
        let store = &self.fixture.store;
        let answer = match replaced {
            Some(object) => store.complete_upload_replacing(upload, &list, object),
            None => store.complete_upload(upload, &list),
        };
        if list.is_empty() {
            assert_eq!(code(answer), "MalformedXML");
            return;
        }
        let Some(entry) = entry else {
            assert_eq!(code(answer), "NoSuchUpload");
            return;
        };
        match &entry.object {
            // R25: and the object that it names stays, if there is one.
            Some((by, object)) if *by == list => assert_eq!(answer.unwrap(), *object),
            Some(_) => assert_eq!(code(answer), "NoSuchUpload"),
            None => match entry.refusal(&list, self.numbering) {
                Some(refusal) => assert_eq!(code(answer), refusal),
                None if is_absent => assert_eq!(code(answer), "NoSuchKey"),
                None => {
                    compare::completed(entry, list, &answer.unwrap());
                    if let Some(object) = replaced {
                        self.expected.entries.remove(object);
                    }
                }
            },
        }
    }
}
