//! The plain map that a store is compared with, call after call.

use std::collections::{BTreeMap, BTreeSet};

use partstore::{CompletedPart, Numbering, Object, Part, PartNumber, Upload, UploadInfo};

/// One upload, open or completed. `B` names the bytes of a part.
#[derive(Clone, Debug)]
pub struct Entry<B> {
    /// As it was answered.
    pub info: UploadInfo,
    /// Each part as it was answered, and its bytes.
    pub parts: BTreeMap<PartNumber, (Part, B)>,
    /// The list that completed it, and what that answered.
    pub object: Option<(Vec<CompletedPart>, Object)>,
}

impl<B> Entry<B> {
    /// The code with which a completion of this open upload must be refused.
    #[must_use]
    pub fn refusal(&self, list: &[CompletedPart], numbering: Numbering) -> Option<&'static str> {
        // R21 before R23: an order that does not ascend is named, whatever gaps there are.
        let steps = list.iter().zip(list.iter().skip(1));
        let mut steps = steps.map(|(before, after)| (before.number, after.number));
        if steps.clone().any(|(before, after)| after <= before) {
            return Some("InvalidPartOrder");
        }
        let is_gap = |(before, after): (PartNumber, PartNumber)| after.get() - before.get() != 1;
        if numbering == Numbering::Consecutive && steps.any(is_gap) {
            return Some("InvalidPart");
        }
        let known = |line: &CompletedPart| {
            self.parts
                .get(&line.number)
                .is_some_and(|(part, _)| part.etag == line.etag)
        };
        (!list.iter().all(known)).then_some("InvalidPart")
    }

    /// It becomes an object of these parts; the others are gone.
    pub fn complete(&mut self, list: Vec<CompletedPart>, object: Object) {
        self.parts
            .retain(|number, _| list.iter().any(|line| line.number == *number));
        self.object = Some((list, object));
    }
}

/// Uploads and objects in the order in which uploads are listed: by key, then by id.
#[derive(Clone, Debug)]
pub struct Map<B> {
    /// All that are there.
    pub entries: BTreeMap<Upload, Entry<B>>,
    /// All that were ever initiated, oldest first.
    pub names: Vec<Upload>,
}

impl<B> Default for Map<B> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            names: Vec::new(),
        }
    }
}

/// One line of a listing of uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// An upload.
    Upload(UploadInfo),
    /// What the keys of several have in common.
    Common(String),
}

impl<B> Map<B> {
    /// A new upload, which has this name for good.
    pub fn initiate(&mut self, info: UploadInfo) {
        let entry = Entry {
            info,
            parts: BTreeMap::new(),
            object: None,
        };
        self.names.push(entry.info.upload.clone());
        self.entries.insert(entry.info.upload.clone(), entry);
    }

    /// A part takes its place in an open upload.
    pub fn put(&mut self, upload: &Upload, part: Part, body: B) {
        if let Some(entry) = self.entries.get_mut(upload) {
            entry.parts.insert(part.number, (part, body));
        }
    }

    /// Ends an open upload. `false` when there is none.
    pub fn abort(&mut self, upload: &Upload) -> bool {
        self.open(upload).is_some() && self.entries.remove(upload).is_some()
    }

    /// Removes an object. `false` when there is none.
    pub fn remove(&mut self, object: &Upload) -> bool {
        self.completed(object).is_some() && self.entries.remove(object).is_some()
    }

    /// Ends all open uploads.
    pub fn abort_all(&mut self) {
        self.entries.retain(|_, entry| entry.object.is_some());
    }

    /// The upload, if it is open.
    #[must_use]
    pub fn open(&self, upload: &Upload) -> Option<&Entry<B>> {
        let entry = self.entries.get(upload);
        entry.filter(|entry| entry.object.is_none())
    }

    /// The upload, if it is an object.
    #[must_use]
    pub fn completed(&self, upload: &Upload) -> Option<&Entry<B>> {
        let entry = self.entries.get(upload);
        entry.filter(|entry| entry.object.is_some())
    }

    /// Those that are open, as they are listed.
    pub fn open_uploads(&self) -> impl Iterator<Item = &Entry<B>> {
        self.entries.values().filter(|entry| entry.object.is_none())
    }

    /// The objects, as they are listed: the oldest upload first.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let entries = self.names.iter().filter_map(|name| self.entries.get(name));
        entries.filter_map(|entry| Some(&entry.object.as_ref()?.1))
    }

    /// What a listing of uploads shows.
    #[must_use]
    pub fn lines(&self, prefix: &str, delimiter: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        for entry in self.open_uploads() {
            let Some(rest) = entry.info.upload.key().strip_prefix(prefix) else {
                continue;
            };
            let rolled = rest.split_once(delimiter).filter(|_| !delimiter.is_empty());
            let line = match rolled {
                Some((common, _)) => Line::Common(format!("{prefix}{common}{delimiter}")),
                None => Line::Upload(entry.info.clone()),
            };
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines
    }

    /// The blobs that something refers to.
    #[must_use]
    pub fn contents(&self) -> BTreeSet<String> {
        self.all_parts()
            .map(|(part, _)| part.content.to_string())
            .collect()
    }

    /// The parts of all uploads and objects.
    pub fn all_parts(&self) -> impl Iterator<Item = &(Part, B)> {
        self.entries.values().flat_map(|entry| entry.parts.values())
    }
}
