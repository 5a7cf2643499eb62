//! `ls`: listings of any length, of which one page at a time is in memory.

use partstore::{
    KeyEntry, ListKeys, ListNamespaces, ListUploads, Namespace, Object, ObjectReader, Part,
    PartStore, Upload, UploadInfo,
};
use partstore_reports::time;
use serde_json::{Value, json};

use crate::args::{Keys, Listing};
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::output::{Output, line, name};
use crate::overview;

pub fn run(store: &PartStore, what: Option<&Listing>, out: &mut Output) -> Done {
    match what {
        None | Some(Listing::Namespaces) => each_namespace(store, &mut |namespace| {
            out.row(
                || partstore_reports::namespace(&namespace),
                || overview::describe(&namespace),
            )
        }),
        Some(Listing::Keys(query)) => keys(store, query, out),
        Some(Listing::Uploads(query)) => uploads(store, query, out),
        Some(Listing::Parts { object, id }) => {
            let parts = match id {
                Some(id) => parts_by_id(store, &Upload::parse(object.key(), id)?)?,
                None => parts_of_object(&store.open_key(object.key())?)?,
            };
            parts.iter().try_for_each(|part| part_row(part, out))
        }
        Some(Listing::Objects) => store.objects().try_for_each(|object| {
            interrupt::check()?;
            let object = object?;
            out.row(|| object_json(&object), || object_line(&object))
        }),
    }
}

/// Each namespace by name, after the default one.
pub fn each_namespace(store: &PartStore, each: &mut dyn FnMut(Namespace) -> Done) -> Done {
    each(store.namespace("")?)?;
    let mut query = ListNamespaces::new();
    loop {
        interrupt::check()?;
        let page = store.list_namespaces(&query)?;
        page.namespaces.into_iter().try_for_each(&mut *each)?;
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(()),
        }
    }
}

/// Each key of a namespace that begins with a prefix.
pub fn each_key(
    store: &PartStore,
    namespace: &str,
    prefix: &str,
    each: &mut dyn FnMut(KeyEntry) -> Done,
) -> Done {
    store.keys((namespace, prefix)).try_for_each(|entry| {
        interrupt::check()?;
        each(entry?)
    })
}

fn keys(store: &PartStore, query: &Keys, out: &mut Output) -> Done {
    let namespace = &query.namespace;
    let asked = ListKeys::new().namespace(namespace).prefix(&query.prefix);
    let mut asked = asked.delimiter(&query.delimiter);
    loop {
        interrupt::check()?;
        let page = store.list_keys(&asked)?;
        let keys = page
            .keys
            .into_iter()
            .map(|entry| (entry.key.clone(), Some(entry)));
        let prefixes = page
            .common_prefixes
            .into_iter()
            .map(|prefix| (prefix, None));
        let mut rows = keys.chain(prefixes).collect::<Vec<_>>();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        for (text, entry) in &rows {
            match entry {
                Some(entry) => out.row(|| key_json(namespace, entry), || key_line(entry))?,
                None => prefix_row(namespace, text, out)?,
            }
        }
        match page.next {
            Some(next) => asked = asked.after(next),
            None => return Ok(()),
        }
    }
}

fn uploads(store: &PartStore, query: &Keys, out: &mut Output) -> Done {
    let namespace = &query.namespace;
    let asked = ListUploads::new()
        .namespace(namespace)
        .prefix(&query.prefix);
    let mut asked = asked.delimiter(&query.delimiter);
    loop {
        interrupt::check()?;
        let page = store.list_uploads(&asked)?;
        for info in &page.uploads {
            out.row(|| upload_json(info), || upload_line(info))?;
        }
        for prefix in &page.common_prefixes {
            prefix_row(namespace, prefix, out)?;
        }
        let Some(next) = page.next else {
            return Ok(());
        };
        asked = asked.key_marker(next.key);
        if let Some(id) = next.id {
            asked = asked.upload_id_marker(id);
        }
    }
}

/// The parts of an open upload, or of an object.
fn parts_by_id(store: &PartStore, upload: &Upload) -> Done<Vec<Part>> {
    let listed = store.parts(upload).collect::<Result<Vec<_>, _>>();
    if let Ok(parts) = listed {
        return Ok(parts);
    }
    match store.open_object(upload) {
        Ok(object) => parts_of_object(&object),
        Err(_) => Ok(listed?),
    }
}

fn parts_of_object(object: &ObjectReader) -> Done<Vec<Part>> {
    let parts = object.parts().map(|placed| Ok(placed?.part));
    parts.collect()
}

fn part_row(part: &Part, out: &mut Output) -> Done {
    interrupt::check()?;
    let (number, size, etag, hash) = (part.number, part.size, part.etag, part.content);
    let stored = time(part.stored_at);
    out.row(
        || {
            json!({ "part": number.get(), "size": size, "etag": etag.to_string(), "hash": hash.to_string(),
                "stored_at": stored })
        },
        || format!("{number:>5}  {size:>12}  {stored}  {etag}  {hash}"),
    )
}

fn prefix_row(namespace: &str, prefix: &str, out: &mut Output) -> Done {
    out.row(
        || json!({ "namespace": namespace, "prefix": prefix }),
        || format!("{:>14}  {:20}  {:32}  {}", "-", "", "", line(prefix)),
    )
}

fn key_json(namespace: &str, entry: &KeyEntry) -> Value {
    json!({ "namespace": namespace, "key": entry.key, "id": entry.id.to_string(), "size": entry.size,
        "etag": entry.etag.to_string(), "modified_at": time(entry.modified_at) })
}

fn key_line(entry: &KeyEntry) -> String {
    let etag = entry.etag.to_string();
    format!(
        "{:>14}  {}  {etag:32}  {}",
        entry.size,
        time(entry.modified_at),
        line(&entry.key)
    )
}

fn upload_json(info: &UploadInfo) -> Value {
    json!({ "namespace": info.upload.namespace(), "key": info.upload.key(), "id": info.upload.id().to_string(),
        "initiated_at": time(info.initiated_at) })
}

fn upload_line(info: &UploadInfo) -> String {
    format!(
        "{}  {}  {}",
        time(info.initiated_at),
        info.upload.id(),
        line(info.upload.key())
    )
}

fn object_json(object: &Object) -> Value {
    json!({ "namespace": object.upload.namespace(), "key": object.upload.key(),
        "id": object.upload.id().to_string(), "size": object.size, "etag": object.etag.to_string(),
        "parts": object.parts, "modified_at": time(object.modified_at) })
}

fn object_line(object: &Object) -> String {
    let name = name(object.upload.full_key());
    format!(
        "{:>14}  {}  {}  {name}",
        object.size,
        time(object.modified_at),
        object.upload.id()
    )
}

/// Refuses a hash that cannot be one.
pub fn parse_hash(text: &str) -> Done<partstore::ContentHash> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(partstore::ContentHash::from_bytes(bytes)),
        Err(_) => Err(Failure::Usage(format!(
            "{text:?} is no BLAKE3 hash: it has 64 hex digits, as `partstore ls parts` shows them"
        ))),
    }
}
