//! [`State`]: all rows and all bytes, and what several verbs do to them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use partstore::backend::{
    Algorithms, IdSource, Location, NewBlob, ObjectRow, PartRow, StoredBlob, Times,
};
use partstore::backend::{check_condition, check_quota};
use partstore::{
    Condition, ContentHash, Error, Key, Object, Part, PartNumber, Quota, Result, Upload, UploadId,
    Usage,
};

pub struct State {
    pub ids: Arc<IdSource>,
    pub uploads: BTreeMap<UploadId, Row>,
    /// The current object of each key, by namespace and key.
    pub keys: BTreeMap<(String, String), UploadId>,
    pub namespaces: BTreeMap<String, Space>,
    pub blobs: HashMap<ContentHash, StoredBlob>,
    /// Each location is used once.
    pub bytes: HashMap<u64, (ContentHash, Arc<[u8]>)>,
    pub next_location: u64,
    pub damaged: HashSet<ContentHash>,
    /// How many holds keep a blob.
    pub holds: HashMap<ContentHash, usize>,
    /// Bodies that are being received.
    pub staged: u64,
}

/// An upload, open or completed.
#[derive(Clone)]
pub struct Row {
    pub key: Key,
    pub initiated_at: SystemTime,
    pub metadata: Vec<u8>,
    pub wanted: Algorithms,
    pub composite: Algorithms,
    pub parts: BTreeMap<PartNumber, (PartRow, SystemTime)>,
    pub completed: Option<Completion>,
}

/// What an upload became.
#[derive(Clone)]
pub struct Completion {
    pub object: ObjectRow,
    pub completed_at: SystemTime,
    pub modified_at: SystemTime,
    /// What identifies the completion; `None` if the object was made at once.
    pub identity: Option<[u8; 32]>,
}

#[derive(Clone)]
pub struct Space {
    pub created_at: Option<SystemTime>,
    pub quota: Quota,
}

impl Default for State {
    fn default() -> Self {
        let default = Space {
            created_at: None,
            quota: Quota::new(),
        };
        Self {
            ids: Arc::new(IdSource::after(None)),
            uploads: BTreeMap::new(),
            keys: BTreeMap::new(),
            namespaces: BTreeMap::from([(String::new(), default)]),
            blobs: HashMap::new(),
            bytes: HashMap::new(),
            next_location: 0,
            damaged: HashSet::new(),
            holds: HashMap::new(),
            staged: 0,
        }
    }
}

impl Row {
    pub fn parts_of(&self) -> impl Iterator<Item = Part> {
        let parts = self.parts.iter();
        parts.map(|(number, (part, stored_at))| part.part(*number, *stored_at))
    }

    pub fn object(&self, id: UploadId) -> Option<Object> {
        let done = self.completed.as_ref()?;
        let times = Times {
            initiated_at: self.initiated_at,
            completed_at: done.completed_at,
            modified_at: done.modified_at,
        };
        let upload = Upload::new(self.key.clone(), id);
        Some(done.object.object(&upload, times, self.metadata.clone()))
    }
}

impl State {
    /// What another process would find.
    pub fn after_a_crash(&self) -> Self {
        Self {
            ids: Arc::clone(&self.ids),
            uploads: self.uploads.clone(),
            keys: self.keys.clone(),
            namespaces: self.namespaces.clone(),
            blobs: self.blobs.clone(),
            bytes: self.bytes.clone(),
            next_location: self.next_location,
            ..Self::default()
        }
    }

    pub fn row(&self, upload: &Upload) -> Option<&Row> {
        let row = self.uploads.get(&upload.id());
        row.filter(|row| row.key == *upload.full_key())
    }

    pub fn open(&self, upload: &Upload) -> Result<&Row> {
        let row = self.row(upload).filter(|row| row.completed.is_none());
        row.ok_or_else(|| upload.not_found())
    }

    pub fn completed(&self, upload: &Upload) -> Result<&Row> {
        let row = self.row(upload).filter(|row| row.completed.is_some());
        row.ok_or_else(|| upload.object_not_found())
    }

    pub fn object(&self, upload: &Upload) -> Result<Object> {
        let object = self.completed(upload)?.object(upload.id());
        object.ok_or_else(|| upload.object_not_found())
    }

    pub fn space(&self, name: &str) -> Result<&Space> {
        let space = self.namespaces.get(name);
        space.ok_or_else(|| Error::NoSuchNamespace {
            name: name.to_owned(),
        })
    }

    /// The current object of a key.
    pub fn current(&self, key: &Key) -> Result<Option<Upload>> {
        self.space(key.namespace())?;
        let id = self.keys.get(&name_of(key));
        Ok(id.map(|id| Upload::new(key.clone(), *id)))
    }

    pub fn check_condition(&self, key: &Key, condition: Condition) -> Result<Option<Upload>> {
        let current = self.current(key)?;
        let found = current.as_ref().map(|object| self.object(object));
        let found = found.transpose()?;
        let found = found.map(|object| (object.upload.id(), object.etag));
        check_condition(condition, key, found)?;
        Ok(current)
    }

    /// What a namespace holds. Here it is counted each time.
    pub fn usage(&self, name: &str) -> Usage {
        let mut usage = Usage::default();
        for row in self.uploads.values() {
            if row.key.namespace() == name {
                let done = u64::from(row.completed.is_some());
                usage.objects += done;
                usage.open_uploads += 1 - done;
                usage.bytes += row.parts.values().map(|(part, _)| part.size).sum::<u64>();
            }
        }
        let keys = self.keys.keys();
        usage.keys = keys.filter(|(namespace, _)| namespace == name).count() as u64;
        usage
    }

    /// Passes if the namespace may hold what `change` makes of its usage.
    pub fn check_quota(&self, name: &str, change: impl FnOnce(&mut Usage)) -> Result<()> {
        let space = self.space(name)?;
        let before = self.usage(name);
        let mut after = before;
        change(&mut after);
        check_quota(name, space.quota, before, after)
    }

    /// Passes if an object of so many bytes may take a key.
    pub fn admit_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()> {
        let current = self.check_condition(key, condition)?;
        let gone = self.size_of(current.as_ref());
        self.check_quota(key.namespace(), |usage| {
            usage.bytes = usage.bytes - gone + bytes;
            usage.keys += u64::from(current.is_none());
        })
    }

    /// Bytes of all parts of an upload or object. 0 for none.
    pub fn size_of(&self, object: Option<&Upload>) -> u64 {
        let row = object.and_then(|object| self.row(object));
        row.map_or(0, |row| row.parts.values().map(|(part, _)| part.size).sum())
    }

    /// Remembers where the bytes of a part lie.
    pub fn add_blob(&mut self, part: &PartRow, blob: Option<&NewBlob>) {
        let Some(blob) = blob else { return };
        if blob.repairs {
            self.blobs.insert(part.content, blob.stored.clone());
            self.damaged.remove(&part.content);
        } else {
            // If another put of the same bytes was first, a sweep removes these.
            let entry = self.blobs.entry(part.content);
            entry.or_insert_with(|| blob.stored.clone());
        }
    }

    /// Removes an upload or an object.
    pub fn remove(&mut self, upload: &Upload) {
        self.uploads.remove(&upload.id());
        let name = name_of(upload.full_key());
        if self.keys.get(&name) == Some(&upload.id()) {
            self.keys.remove(&name);
        }
    }

    /// Makes an object the current one of a key, and removes the one before.
    pub fn take_key(&mut self, key: &Key, id: UploadId) {
        let before = self.keys.insert(name_of(key), id);
        if let Some(before) = before.filter(|before| *before != id) {
            self.uploads.remove(&before);
        }
    }

    pub fn is_referenced(&self, content: &ContentHash) -> bool {
        let mut parts = self.uploads.values().flat_map(|row| row.parts.values());
        parts.any(|(part, _)| part.content == *content)
    }

    pub fn bytes_at(&self, blob: &StoredBlob) -> Option<Arc<[u8]>> {
        let (_, bytes) = self.bytes.get(&number_of(&blob.location)?)?;
        Some(Arc::clone(bytes))
    }
}

pub fn name_of(key: &Key) -> (String, String) {
    (key.namespace().to_owned(), key.as_str().to_owned())
}

pub fn location_of(number: u64) -> Location {
    Location(number.to_be_bytes().to_vec())
}

pub fn number_of(location: &Location) -> Option<u64> {
    let bytes = location.0.as_slice().try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}
