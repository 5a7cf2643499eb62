//! What a user can see of a store, as a value: two stores that answer alike are equal. And the
//! journal's files as bytes, read by other code than the store's.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use partstore::{
    CompleteOptions, Condition, Error, Key, KeyEntry, ListNamespaces, ListParts, ListUploads,
    Namespace, Object, ObjectOptions, Options, Part, PartNumber, PartOptions, PartStore, Quota,
    Upload, UploadId, UploadInfo,
};

use crate::fixture::{Fixture, bytes, fast_dir, files, lines, number};

/// The bytes that a part or object gives, or the code of the error.
type Content = Result<Vec<u8>, String>;

/// What there is of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Upload,
    Object,
    /// That it is the current object of its key.
    Key,
    Part(PartNumber),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    uploads: Vec<(UploadInfo, Vec<(Part, Content)>)>,
    objects: Vec<(Object, Vec<Part>, Content)>,
    keys: Vec<(String, KeyEntry)>,
    namespaces: Vec<Namespace>,
}

impl Seen {
    /// Everything of a store whose uploads and objects have these names.
    pub fn of(store: &PartStore, names: &[Upload]) -> Self {
        let mut namespaces = vec![store.namespace("").unwrap()];
        let created = store.list_namespaces(&ListNamespaces::new()).unwrap();
        namespaces.extend(created.namespaces);
        let all = || namespaces.iter().map(|namespace| namespace.name.as_str());
        let keys = all().flat_map(|name| {
            let keys = store.keys((name, ""));
            keys.map(|entry| (name.to_owned(), entry.unwrap()))
        });
        let keys = keys.collect();
        let uploads = all().flat_map(|name| {
            let query = ListUploads::new().namespace(name);
            store.list_uploads(&query).unwrap().uploads
        });
        let uploads = uploads.map(|info| {
            let parts = store
                .list_parts(&info.upload, &ListParts::new())
                .unwrap()
                .parts;
            let read = |part: &Part| content(store.open_part(&info.upload, part.number));
            let parts = parts
                .iter()
                .map(|part| (part.clone(), read(part)))
                .collect();
            (info, parts)
        });
        let objects = names.iter().filter_map(|name| {
            let object = store.object(name).ok()?;
            let reader = store.open_object(name).unwrap();
            let parts = reader.parts().map(|placed| placed.unwrap().part).collect();
            Some((object, parts, content(Ok(reader))))
        });
        Self {
            uploads: uploads.collect(),
            objects: objects.collect(),
            keys,
            namespaces,
        }
    }

    /// What each namespace may hold.
    pub fn quotas(&self) -> Vec<(&str, Quota)> {
        let namespaces = self.namespaces.iter();
        namespaces
            .map(|namespace| (namespace.name.as_str(), namespace.quota))
            .collect()
    }

    /// How many uploads and objects there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.uploads.len(), self.objects.len())
    }

    /// Each thing by itself, under the id of its upload and what it is: uploads, objects, parts.
    pub fn things(&self) -> BTreeMap<(UploadId, Thing), String> {
        let sum = |content: &Content| {
            content
                .as_ref()
                .map(|bytes| crc32fast::hash(bytes))
                .map_err(String::clone)
        };
        let mut things = BTreeMap::new();
        for (info, parts) in &self.uploads {
            let id = info.upload.id();
            things.insert((id, Thing::Upload), format!("{info:?}"));
            for (part, content) in parts {
                let text = format!("{part:?} {:?}", sum(content));
                things.insert((id, Thing::Part(part.number)), text);
            }
        }
        for (object, parts, content) in &self.objects {
            let id = object.upload.id();
            let text = format!("{object:?} {parts:?} {:?}", sum(content));
            things.insert((id, Thing::Object), text);
        }
        for (namespace, entry) in &self.keys {
            let text = format!("{entry:?} in {namespace:?}");
            things.insert((entry.id, Thing::Key), text);
        }
        things
    }

    /// How many parts of uploads and objects have this blob's bytes.
    pub fn holders(&self, blob: &str) -> usize {
        let of_uploads = self.uploads.iter().flat_map(|(_, parts)| parts);
        let of_objects = self.objects.iter().flat_map(|(_, parts, _)| parts);
        let parts = of_uploads.map(|(part, _)| part).chain(of_objects);
        parts
            .filter(|part| part.content.to_string() == blob)
            .count()
    }

    /// Whether nothing but the bytes of these blobs differs, and those only by errors that name one.
    pub fn is_but_for(&self, whole: &Self, blobs: &[String]) -> bool {
        let mut mended = self.clone();
        let named = |error: &String| blobs.iter().any(|blob| error.contains(blob));
        let mend = |content: &mut Content, whole: &Content| {
            if content.as_ref().is_err_and(named) {
                content.clone_from(whole);
            }
        };
        for ((_, mine), (_, theirs)) in mended.uploads.iter_mut().zip(&whole.uploads) {
            for ((_, mine), (_, theirs)) in mine.iter_mut().zip(theirs) {
                mend(mine, theirs);
            }
        }
        for ((_, _, mine), (_, _, theirs)) in mended.objects.iter_mut().zip(&whole.objects) {
            mend(mine, theirs);
        }
        mended == *whole
    }
}

fn content(reader: partstore::Result<impl Read>) -> Content {
    let read = || {
        let mut bytes = Vec::new();
        let outcome = reader?.read_to_end(&mut bytes);
        outcome.map_err(|error| Error::from_io(error).unwrap())?;
        Ok(bytes)
    };
    read().map_err(|error: Error| error.to_string())
}

/// A store with a past: uploads, replaced parts, objects, an abort, metadata in several rows.
pub struct Past {
    pub fixture: Fixture,
    pub names: Vec<Upload>,
    /// After each call: the newest batch of the journal, and what was to be seen.
    pub states: Vec<(usize, Seen)>,
}

impl Past {
    pub fn new(options: Options) -> Self {
        // Of each copy the ballast is by far the largest file, and one of 64 MiB takes most of the time.
        let options = options.headroom(64 * 1024);
        let mut past = Self {
            fixture: Fixture::within(fast_dir(), options),
            names: Vec::new(),
            states: Vec::new(),
        };
        past.note();
        past.live();
        past
    }

    pub fn seen(&self) -> Seen {
        Seen::of(&self.fixture.store, &self.names)
    }

    fn note(&mut self) {
        let segments = segments(&self.fixture.root());
        let newest = segments
            .iter()
            .filter_map(|path| frames(&std::fs::read(path).unwrap()).pop())
            .map(|frame| frame.seq);
        self.states.push((newest.max().unwrap_or(0), self.seen()));
    }

    /// What there was to see when this was the newest batch.
    pub fn state_after(&self, batches: usize) -> &Seen {
        let state = self.states.iter().find(|(held, _)| *held == batches);
        &state.unwrap().1
    }

    pub fn initiate(&mut self, key: &str, metadata: usize) -> Upload {
        let metadata = bytes(7, metadata);
        let upload = self
            .fixture
            .store
            .initiate_upload_with(key, &metadata)
            .unwrap();
        self.names.push(upload.clone());
        self.note();
        upload
    }

    pub fn put(&mut self, upload: &Upload, at: u32, seed: u64) -> Part {
        let body = bytes(seed, 100 + usize::try_from(seed).unwrap());
        let options = PartOptions::new().content_length(body.len() as u64);
        let part = self
            .fixture
            .store
            .put_part_with(upload, number(at), body, options)
            .unwrap();
        self.note();
        part
    }

    pub fn complete(&mut self, upload: &Upload, parts: &[Part]) {
        self.fixture
            .store
            .complete_upload(upload, &lines(parts))
            .unwrap();
        self.note();
    }

    fn live(&mut self) {
        let film = self.initiate("film", 3100);
        let parts = [self.put(&film, 1, 1), self.put(&film, 2, 2)];
        self.put(&film, 3, 3);
        let open = self.initiate("open/one", 0);
        self.put(&open, 1, 1);
        self.complete(&film, &parts);
        self.put(&open, 1, 4);
        let gone = self.initiate("gone", 10);
        self.put(&gone, 1, 5);
        self.fixture.store.abort_upload(&gone).unwrap();
        self.note();
        let removed = self.initiate("removed", 0);
        let part = self.put(&removed, 1, 6);
        self.complete(&removed, &[part]);
        self.fixture.store.remove_object(&removed).unwrap();
        self.note();
        self.put(&open, 2, 2);
        self.live_in_a_bucket();
    }

    /// Keys, and a namespace with a quota.
    fn live_in_a_bucket(&mut self) {
        let quota = Quota::new().bytes(1 << 30);
        self.fixture
            .store
            .create_namespace("bucket", quota)
            .unwrap();
        self.note();
        self.put_object(("bucket", "key"), 3);
        self.put_object(("bucket", "key"), 4);
        self.put_object("key", 5);
        let upload = self
            .fixture
            .store
            .initiate_upload(("bucket", "done"))
            .unwrap();
        self.names.push(upload.clone());
        self.note();
        let part = self.put(&upload, 1, 7);
        let current = CompleteOptions::new().make_current(Condition::Always);
        let done = self
            .fixture
            .store
            .complete_upload_with(&upload, &lines(&[part]), &current);
        done.unwrap();
        self.note();
    }

    fn put_object(&mut self, key: impl Into<Key>, seed: u64) {
        let options = ObjectOptions::new().metadata(bytes(seed, 30));
        let body = bytes(seed, 150);
        let object = self.fixture.store.put_object_with(key, body, &options);
        self.names.push(object.unwrap().upload);
        self.note();
    }
}

/// The journal's segments, oldest first.
pub fn segments(root: &Path) -> Vec<PathBuf> {
    let dir = root.join("meta/journal");
    files(&dir).iter().map(|name| dir.join(name)).collect()
}

/// The segment that the journal ends in.
pub fn tail(root: &Path) -> PathBuf {
    let used = segments(root).into_iter().rev();
    let mut used = used.filter(|path| !frames(&std::fs::read(path).unwrap()).is_empty());
    used.next().unwrap()
}

/// Where frames stand in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub start: usize,
    pub end: usize,
    pub seq: usize,
    pub is_seal: bool,
}

pub fn frames(segment: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut start = 32;
    while let Some(header) = segment.get(start..start + 32) {
        let is_seal = match &header[..4] {
            b"PSb1" => false,
            b"PSs1" => true,
            _ => break,
        };
        let len = u32::from_be_bytes(header[4..8].try_into().unwrap()) as usize;
        let seq = u64::from_be_bytes(header[8..16].try_into().unwrap());
        let end = start + 32 + len.next_multiple_of(8);
        frames.push(Frame {
            start,
            end,
            seq: usize::try_from(seq).unwrap(),
            is_seal,
        });
        start = end;
    }
    frames
}

/// How many batches a segment holds.
pub fn batches(segment: &[u8]) -> usize {
    let frames = frames(segment);
    frames.iter().filter(|frame| !frame.is_seal).count()
}

/// The file that an opening was refused for.
pub fn path_of_damage(opened: partstore::Result<PartStore>) -> PathBuf {
    match opened {
        Err(Error::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}
