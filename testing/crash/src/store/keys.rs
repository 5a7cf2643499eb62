//! Keys in two namespaces, which are given objects in every way and lose them: what is asked, and what must
//! hold after a crash.

use std::collections::BTreeMap;
use std::io::Read;

use fastrand::Rng;
use md5::{Digest, Md5};
use partstore::{
    CompleteOptions, Condition, ETag, Error, Key, ListUploads, Object, ObjectOptions, PartStore,
    Quota, Result,
};
use serde::{Deserialize, Serialize};

use super::history::{Action, Body, number_of};

/// The namespace beside the default one.
pub const NAMESPACE: &str = "bucket";
/// What all keys of this workload begin with.
const PREFIX: &str = "key-";
const KEYS_OF_A_THREAD: usize = 4;
/// Bodies have numbers below this.
const BODIES: u16 = 16;

/// How a key gets what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    Put,
    Stream,
    Complete,
    /// Completed without the key, which it gets afterwards.
    MakeCurrent,
    /// From an object under another key, which is removed again.
    Copy,
    /// From an object under another key, in the other namespace or in this one.
    Rename,
    Remove,
}

/// Whether this is a key of the workload, or one that it copies from.
pub fn is_key(namespace: &str, key: &str) -> bool {
    key.starts_with(PREFIX) || namespace == NAMESPACE
}

/// One of a thread's keys: the name by which the history knows it.
pub fn any_key(thread: u64, random: &mut Rng) -> String {
    format!("{PREFIX}{thread}-{}", random.usize(0..KEYS_OF_A_THREAD))
}

/// The key itself.
fn key_of(name: &str) -> Key {
    let is_even = name.bytes().last().is_some_and(|digit| digit % 2 == 0);
    Key::new(if is_even { "" } else { NAMESPACE }, name)
}

/// Two that an object with this body may have.
fn metadata(body: Body, long: bool) -> Vec<u8> {
    let len = if long { 3500 } else { 40 };
    Body { id: body.id, len }.bytes()
}

pub fn any_way(random: &mut Rng) -> Way {
    match random.u32(0..12) {
        0 | 1 => Way::Remove,
        2 | 3 => Way::Complete,
        4 => Way::MakeCurrent,
        5 => Way::Copy,
        6 => Way::Rename,
        7 | 8 => Way::Stream,
        _ => Way::Put,
    }
}

/// Makes the calls that give a key an object with this body.
pub fn set(store: &PartStore, name: &str, way: Way, body: Body) -> Result<()> {
    let key = key_of(name);
    let options = ObjectOptions::new().metadata(metadata(body, body.id.is_multiple_of(2)));
    match way {
        Way::Put => drop(store.put_object_with(&key, body.bytes(), &options)?),
        Way::Stream => drop(store.put_object_from(&key, &body.bytes()[..], options)?),
        Way::Remove => drop(store.remove_key(&key, Condition::Always)?),
        Way::Complete | Way::MakeCurrent => {
            let upload = store.initiate_upload_with(&key, metadata(body, false))?;
            let part = store.put_part(&upload, number_of(2), body.bytes())?;
            let current = CompleteOptions::new().make_current(Condition::Always);
            if way == Way::Complete {
                store.complete_upload_with(&upload, &[(&part).into()], &current)?;
            } else {
                let object = store.complete_upload(&upload, &[(&part).into()])?;
                store.make_current(&object.upload, Condition::Always)?;
            }
        }
        Way::Rename => {
            let namespace = if body.id.is_multiple_of(3) {
                NAMESPACE
            } else {
                key.namespace()
            };
            let source = Key::new(namespace, format!("{name}-source"));
            let object = store.put_object_with(&source, body.bytes(), &options)?;
            store.rename_object(&object.upload, &key, &ObjectOptions::new())?;
        }
        Way::Copy => {
            let source = Key::new(key.namespace(), format!("{name}-source"));
            store.put_object_with(&source, body.bytes(), &options)?;
            let reader = store.open_key(&source)?;
            store.copy_object(&reader, &key, &ObjectOptions::new())?;
            store.remove_key(&source, Condition::Always)?;
        }
    }
    Ok(())
}

/// Gives the object of a key one of the two metadata that it may have.
pub fn describe(store: &PartStore, name: &str, long: bool) -> Result<()> {
    match store.object_by_key(key_of(name)) {
        Err(Error::NoSuchKey { .. } | Error::NoSuchNamespace { .. }) => Ok(()),
        Err(error) => Err(error),
        Ok(object) => {
            let len = u32::try_from(object.metadata.len()).unwrap_or(0);
            let id = (0..BODIES).find(|id| Body { id: *id, len }.bytes() == object.metadata);
            let body = Body {
                id: id.unwrap_or(BODIES),
                len: 0,
            };
            let metadata = metadata(body, long);
            store.replace_metadata(&object.upload, metadata).map(drop)
        }
    }
}

pub fn create_namespace(store: &PartStore) -> Result<()> {
    store.create_namespace(NAMESPACE, Quota::new().bytes(1 << 40))
}

/// What a key finds: the MD5 of the bytes that it reads as, and whether its metadata are the long ones.
pub type Found = Option<(ETag, bool)>;

/// What each key finds. An object has one key, is listed as that says, and has metadata that it may have.
pub fn view(
    store: &PartStore,
    bodies: &[Body],
) -> std::result::Result<BTreeMap<String, Found>, String> {
    let mut found = BTreeMap::new();
    for namespace in ["", NAMESPACE] {
        match store.namespace(namespace) {
            Err(Error::NoSuchNamespace { .. }) => continue,
            described => drop(said("namespace", described)?),
        }
        for entry in store.keys((namespace, PREFIX)) {
            let entry = said("list_keys", entry)?;
            let key = Key::new(namespace, entry.key.as_str());
            let mut reader = said("open_key", store.open_key(&key))?;
            let object = reader.object().clone();
            if object.upload.id() != entry.id
                || (object.size, object.etag) != (entry.size, entry.etag)
                || object.modified_at != entry.modified_at
            {
                return Err(format!("{key} is listed as {entry:?} and is {object:?}"));
            }
            let mut bytes = Vec::new();
            let read = reader.read_to_end(&mut bytes);
            read.map_err(|error| format!("reading {key}: {error}"))?;
            let etag = ETag::from_md5(Md5::digest(&bytes).into());
            let is_long = is_long(&object, etag, bodies)?;
            found.insert(entry.key, Some((etag, is_long)));
        }
    }
    Ok(found)
}

/// Whether an object has the long metadata of a body with its bytes.
fn is_long(object: &Object, etag: ETag, bodies: &[Body]) -> std::result::Result<bool, String> {
    let of_bytes = bodies.iter().filter(|body| body.etag() == etag);
    let mut may_have = of_bytes.flat_map(|body| [false, true].map(|long| (*body, long)));
    let found = may_have.find(|(body, long)| metadata(*body, *long) == object.metadata);
    found
        .map(|(_, long)| long)
        .ok_or_else(|| format!("nobody gave it this metadata, or these bytes: {object:?}"))
}

/// Open uploads of a completion that was cut off.
pub fn open_uploads(store: &PartStore) -> std::result::Result<usize, String> {
    match store.list_uploads(&ListUploads::new().namespace(NAMESPACE)) {
        Err(Error::NoSuchNamespace { .. }) => Ok(0),
        page => Ok(said("list_uploads", page)?.uploads.len()),
    }
}

fn said<T>(what: &str, result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| format!("{what}: {}", error.one_line()))
}

/// What a call makes of what a key finds.
fn applied(action: &Action, before: Found) -> Found {
    match action {
        Action::SetKey { way, body, .. } => match way {
            Way::Remove => None,
            Way::Complete | Way::MakeCurrent => Some((body.etag(), false)),
            Way::Put | Way::Stream | Way::Copy | Way::Rename => {
                Some((body.etag(), body.id.is_multiple_of(2)))
            }
        },
        Action::Describe { long, .. } => before.map(|(etag, _)| (etag, *long)),
        _ => before,
    }
}

/// Whether each key finds what the calls may have left. `calls` says of each whether it was acknowledged.
/// Those of one key come one after the other, so each that was acknowledged counts, and one that was not may.
pub fn judge<'a>(
    calls: impl Iterator<Item = (&'a Action, bool)>,
    found: &BTreeMap<String, Found>,
) -> std::result::Result<(), String> {
    let mut by_key = BTreeMap::<&str, Vec<Found>>::new();
    for (action, acknowledged) in calls {
        let (Action::SetKey { key, .. } | Action::Describe { key, .. }) = action else {
            continue;
        };
        let possible = by_key.entry(key).or_insert_with(|| vec![None]);
        let after: Vec<_> = possible
            .iter()
            .map(|found| applied(action, *found))
            .collect();
        if acknowledged {
            *possible = after;
        } else {
            possible.extend(after);
        }
    }
    for (key, possible) in by_key {
        let now = found.get(key).copied().flatten();
        if !possible.contains(&now) {
            return Err(format!(
                "{key} finds {now:?} and must find one of {possible:?}"
            ));
        }
    }
    Ok(())
}
