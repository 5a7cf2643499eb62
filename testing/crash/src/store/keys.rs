//! Keys in several namespaces, which are given objects in every way and lose them, under every condition and by
//! several threads; and namespaces that come and go with their quotas: what is asked, and what a call makes of
//! what there was. [`orders`](super::orders) says what must hold after a crash.

use std::collections::BTreeMap;
use std::io::Read;

use fastrand::Rng;
use md5::{Digest, Md5};
use partstore::{
    CompleteOptions, Condition, ETag, Error, Key, ListUploads, Object, ObjectOptions, PartStore,
    Quota, Result, Upload,
};
use serde::{Deserialize, Serialize};

use super::history::{Action, Body, number_of};

/// The namespace beside the default one that stays.
pub const NAMESPACE: &str = "bucket";
/// Those that come and go. Each has one key.
const SPACES: [&str; 2] = ["space-6", "space-7"];
/// What all keys of this workload begin with.
const PREFIX: &str = "key-";
/// How many keys there are in the two that stay.
const KEYS: usize = 6;
/// Bodies have numbers below this.
const BODIES: u16 = 16;
/// Most bytes of a namespace. Some bodies have more than the last.
const QUOTAS: [u64; 3] = [1 << 40, 1 << 30, 1000];

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

/// What the object of a key must be, for it to get another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Only {
    Always,
    IfAbsent,
    /// Its ETag.
    IfMatch(String),
}

impl Only {
    fn condition(&self) -> Condition {
        match self {
            Self::Always => Condition::Always,
            Self::IfAbsent => Condition::IfAbsent,
            Self::IfMatch(etag) => Condition::IfMatch(etag.parse().expect("a store has given it")),
        }
    }

    fn holds(&self, found: Found) -> bool {
        match self {
            Self::Always => true,
            Self::IfAbsent => found.is_none(),
            Self::IfMatch(etag) => found.is_some_and(|found| found.object_etag() == *etag),
        }
    }
}

/// Whether this is a key of the workload, or one that it copies from.
pub fn is_key(namespace: &str, key: &str) -> bool {
    key.starts_with(PREFIX) || !namespace.is_empty()
}

/// A key of a namespace that stays: the name by which the history knows it.
pub fn any_key(random: &mut Rng) -> String {
    format!("{PREFIX}{}", random.usize(0..KEYS))
}

/// One that comes and goes, and its key.
pub fn any_space(random: &mut Rng) -> (String, String) {
    let at = random.usize(0..SPACES.len());
    (SPACES[at].to_owned(), format!("{PREFIX}{}", KEYS + at))
}

pub fn any_quota(random: &mut Rng) -> u64 {
    QUOTAS[random.usize(0..QUOTAS.len())]
}

/// A condition that may hold.
pub fn any_condition(store: &PartStore, name: &str, random: &mut Rng) -> Only {
    match random.u32(0..10) {
        0..2 => Only::IfAbsent,
        2..5 => match store.object_by_key(key_of(name)) {
            Ok(object) => Only::IfMatch(object.etag.to_string()),
            Err(_) => Only::IfAbsent,
        },
        _ => Only::Always,
    }
}

/// The key itself.
fn key_of(name: &str) -> Key {
    let digit = name
        .bytes()
        .last()
        .map_or(0, |digit| usize::from(digit - b'0'));
    let namespace = match digit.checked_sub(KEYS) {
        Some(space) => SPACES[space],
        None if digit.is_multiple_of(2) => "",
        None => NAMESPACE,
    };
    Key::new(namespace, name)
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

/// A key whose object is to be another. Each thread copies from a key of its own.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    pub name: &'a str,
    pub way: Way,
    pub body: Body,
    pub only: &'a Only,
    pub thread: u64,
}

/// Makes the calls that give a key an object with this body.
pub fn set(store: &PartStore, setting: Setting) -> Result<()> {
    let Setting { way, body, .. } = setting;
    let (key, condition) = (key_of(setting.name), setting.only.condition());
    let options = ObjectOptions::new().metadata(metadata(body, body.id.is_multiple_of(2)));
    let only = ObjectOptions::new().only(condition);
    match way {
        Way::Put => drop(store.put_object_with(&key, body.bytes(), &options.only(condition))?),
        Way::Stream => {
            store.put_object_from(&key, &body.bytes()[..], options.only(condition))?;
        }
        Way::Remove => drop(store.remove_key(&key, condition)?),
        Way::Complete | Way::MakeCurrent => complete(store, &key, setting)?,
        Way::Rename => {
            let of_both = ["", NAMESPACE][usize::from(body.id.is_multiple_of(3))];
            let source = Key::new(of_both, format!("{PREFIX}source-{}", setting.thread));
            let object = store.put_object_with(&source, body.bytes(), &options)?;
            store.rename_object(&object.upload, &key, &only)?;
        }
        Way::Copy => {
            let source = Key::new("", format!("{PREFIX}source-{}", setting.thread));
            store.put_object_with(&source, body.bytes(), &options)?;
            let reader = store.open_key(&source)?;
            store.copy_object(&reader, &key, &only)?;
            store.remove_key(&source, Condition::Always)?;
        }
    }
    Ok(())
}

/// Completes an upload. What the condition refuses is removed: it would keep a namespace from going.
fn complete(store: &PartStore, key: &Key, setting: Setting) -> Result<()> {
    let condition = setting.only.condition();
    let upload = store.initiate_upload_with(key, metadata(setting.body, false))?;
    let done = || {
        let part = store.put_part(&upload, number_of(2), setting.body.bytes())?;
        if setting.way == Way::Complete {
            let current = CompleteOptions::new().make_current(condition);
            store.complete_upload_with(&upload, &[(&part).into()], &current)?;
        } else {
            let object = store.complete_upload(&upload, &[(&part).into()])?;
            store.make_current(&object.upload, condition)?;
        }
        Ok(())
    };
    done().inspect_err(|_: &Error| drop(end(store, &upload)))
}

fn end(store: &PartStore, upload: &Upload) -> Result<()> {
    match store.abort_upload(upload) {
        Err(Error::NoSuchUpload { .. }) => store.remove_object(upload),
        ended => ended,
    }
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

pub fn create_namespace(store: &PartStore, name: &str, bytes: u64) -> Result<()> {
    store.create_namespace(name, Quota::new().bytes(bytes))
}

pub fn set_quota(store: &PartStore, name: &str, bytes: u64) -> Result<()> {
    store.set_quota(name, Quota::new().bytes(bytes))
}

/// An object that a key finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Current {
    /// Of the bytes that it reads as.
    md5: ETag,
    /// Whether its metadata are the long ones.
    is_long: bool,
    /// Whether its ETag is that of a list of parts.
    of_parts: bool,
}

impl Current {
    fn object_etag(self) -> String {
        if !self.of_parts {
            return self.md5.to_string();
        }
        let md5 = ETag::from_md5(Md5::digest(self.md5.as_bytes()).into());
        format!("{md5}-1")
    }
}

/// What a key finds.
pub type Found = Option<Current>;

/// What there is: a key, or a namespace that comes and goes with its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The most bytes of the namespace, if it exists. Of a key alone nobody asks.
    space: Option<u64>,
    found: Found,
}

/// What is seen of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// By namespace and key.
    keys: BTreeMap<(String, String), Current>,
    /// The most bytes of each that exists.
    spaces: BTreeMap<String, u64>,
}

impl View {
    /// How many keys find an object.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// What is seen of a key or a namespace.
    pub fn state_of(&self, group: &str) -> State {
        let found = |key: &Key| {
            let key = (key.namespace().to_owned(), key.as_str().to_owned());
            self.keys.get(&key).copied()
        };
        if group.starts_with(PREFIX) {
            return State {
                found: found(&key_of(group)),
                ..at_first(group)
            };
        }
        let its_key = group.replace("space-", PREFIX);
        State {
            space: self.spaces.get(group).copied(),
            found: found(&Key::new(group, its_key)),
        }
    }
}

/// What each key finds. An object has one key, is listed as that says, and has metadata that it may have.
pub fn view(store: &PartStore, bodies: &[Body]) -> std::result::Result<View, String> {
    let mut view = View::default();
    for namespace in ["", NAMESPACE].into_iter().chain(SPACES) {
        let described = match store.namespace(namespace) {
            Err(Error::NoSuchNamespace { .. }) => continue,
            described => said("namespace", described)?,
        };
        let quota = described.quota.max_bytes();
        view.spaces
            .extend(quota.map(|bytes| (namespace.to_owned(), bytes)));
        let before = view.keys.len();
        for entry in store.keys((namespace, "")) {
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
            let md5 = ETag::from_md5(Md5::digest(&bytes).into());
            let current = Current {
                md5,
                is_long: is_long(&object, md5, bodies)?,
                of_parts: object.etag.to_string().contains('-'),
            };
            if current.object_etag() != object.etag.to_string() {
                return Err(format!("{key} has another ETag than its bytes: {object:?}"));
            }
            view.keys.insert((namespace.to_owned(), entry.key), current);
        }
        let (listed, counted) = (view.keys.len() - before, described.usage.keys);
        if listed as u64 != counted {
            return Err(format!(
                "{listed} keys are listed in {namespace:?}, and {counted} counted"
            ));
        }
    }
    Ok(view)
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

/// Open uploads of a completion that was cut off, in other namespaces than the default one.
pub fn open_uploads(store: &PartStore) -> std::result::Result<usize, String> {
    let mut open = 0;
    for namespace in [NAMESPACE].into_iter().chain(SPACES) {
        open += match store.list_uploads(&ListUploads::new().namespace(namespace)) {
            Err(Error::NoSuchNamespace { .. }) => 0,
            page => said("list_uploads", page)?.uploads.len(),
        };
    }
    Ok(open)
}

fn said<T>(what: &str, result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| format!("{what}: {}", error.one_line()))
}

/// What calls must be looked at together with this one: those of one key, or of a namespace that comes and goes.
pub fn group_of(action: &Action) -> Option<String> {
    match action {
        Action::SetKey { key, .. } | Action::Describe { key, .. } => {
            let its = key_of(key);
            let comes_and_goes = SPACES.contains(&its.namespace());
            Some(if comes_and_goes {
                its.namespace().to_owned()
            } else {
                key.clone()
            })
        }
        Action::CreateNamespace { name, .. }
        | Action::RemoveNamespace { name }
        | Action::SetQuota { name, .. } => Some(name.clone()),
        _ => None,
    }
}

/// What there is before all calls. A key alone has a namespace that stays.
pub fn at_first(group: &str) -> State {
    State {
        space: group.starts_with(PREFIX).then_some(u64::MAX),
        found: None,
    }
}

/// What a call makes of what there is. `None` if it cannot have succeeded then.
pub fn applied(action: &Action, before: &State) -> Option<State> {
    let mut after = before.clone();
    match action {
        Action::CreateNamespace { bytes, .. } if before.space.is_none() => {
            after.space = Some(*bytes);
        }
        Action::SetQuota { bytes, .. } if before.space.is_some() => after.space = Some(*bytes),
        Action::RemoveNamespace { .. } if before.space.is_some() && before.found.is_none() => {
            after.space = None;
        }
        Action::SetKey {
            way, body, only, ..
        } if before.space.is_some() && only.holds(before.found) => {
            after.found = made(*way, *body);
        }
        Action::Describe { long, .. } => {
            after.found = before.found.map(|current| Current {
                is_long: *long,
                ..current
            });
        }
        _ => return None,
    }
    Some(after)
}

fn made(way: Way, body: Body) -> Found {
    let of_parts = matches!(way, Way::Complete | Way::MakeCurrent);
    (way != Way::Remove).then(|| Current {
        md5: body.etag(),
        is_long: !of_parts && body.id.is_multiple_of(2),
        of_parts,
    })
}
