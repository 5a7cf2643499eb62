//! What the library and the program list, in the words of the reader.

use std::time::{SystemTime, UNIX_EPOCH};

use partstore::{ChecksumAlgorithm, Checksums, ListNamespaces, Part, PartStore, Upload};
use serde_json::{Map, Value, json};

use crate::fixture::Fixture;

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn name(algorithm: ChecksumAlgorithm) -> String {
    algorithm.name().to_lowercase().replace(['-', '/'], "")
}

fn names(algorithms: &[ChecksumAlgorithm]) -> Vec<String> {
    algorithms.iter().map(|each| name(*each)).collect()
}

fn values(checksums: &Checksums) -> Map<String, Value> {
    let each = checksums.iter();
    each.map(|value| (name(value.algorithm()), value.to_hex().into()))
        .collect()
}

fn part(upload: &Upload, kind: &str, part: &Part) -> Value {
    json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(), "kind": kind,
        "part": part.number.get(), "size": part.size, "etag": part.etag.to_string(), "hash": part.content.to_string(),
        "stored_ms": millis(part.stored_at), "checksums": values(&part.checksums) })
}

fn namespaces(store: &PartStore) -> Vec<partstore::Namespace> {
    let mut all = vec![store.namespace("").unwrap()];
    let mut query = ListNamespaces::new();
    loop {
        let page = store.list_namespaces(&query).unwrap();
        all.extend(page.namespaces);
        match page.next {
            Some(next) => query = query.after(next),
            None => return all,
        }
    }
}

/// All that the library lists.
pub fn by_library(store: &PartStore) -> Value {
    let (mut spaces, mut keys, mut uploads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut objects, mut parts) = (Vec::new(), Vec::new());
    for space in namespaces(store) {
        let (usage, name) = (&space.usage, space.name.as_str());
        spaces.push(json!({ "namespace": name, "created_ms": space.created_at.map(millis), "keys": usage.keys,
            "objects": usage.objects, "bytes": usage.bytes, "open_uploads": usage.open_uploads,
            "quota_bytes": space.quota.max_bytes(), "quota_keys": space.quota.max_keys() }));
        for key in store.keys((name, "")) {
            let key = key.unwrap();
            keys.push(json!({ "namespace": name, "key": key.key, "id": key.id.to_string(), "size": key.size,
                "etag": key.etag.to_string(), "modified_ms": millis(key.modified_at),
                "checksums": names(&key.checksums), "composite": names(&key.composite) }));
        }
        for info in store.uploads((name, "")) {
            let info = info.unwrap();
            let upload = &info.upload;
            uploads.push(
                json!({ "namespace": name, "key": upload.key(), "id": upload.id().to_string(),
                "initiated_ms": millis(info.initiated_at), "metadata_length": info.metadata.len(),
                "metadata": hex::encode(&info.metadata),
                "wanted": names(&info.checksums), "composite_wanted": names(&info.composite) }),
            );
            parts.extend(
                store
                    .parts(upload)
                    .map(|each| part(upload, "upload", &each.unwrap())),
            );
        }
    }
    for object in store.objects() {
        let object = object.unwrap();
        let upload = &object.upload;
        objects.push(json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
            "initiated_ms": millis(object.initiated_at), "completed_ms": millis(object.completed_at),
            "modified_ms": millis(object.modified_at), "metadata_length": object.metadata.len(),
            "metadata": hex::encode(&object.metadata), "size": object.size,
            "etag": object.etag.to_string(), "parts": object.parts, "checksums": values(&object.checksums),
            "composite": values(&object.composite) }));
        let reader = store.open_object(upload).unwrap();
        parts.extend(
            reader
                .parts()
                .map(|each| part(upload, "object", &each.unwrap().part)),
        );
    }
    json!({ "namespaces": spaces, "keys": keys, "uploads": uploads, "objects": objects, "parts": parts })
}

/// Compares rows one by one: none may be missing, doubled, or another.
#[track_caller]
fn assert_same_rows(what: &str, read: Vec<Value>, listed: Vec<Value>) {
    let sorted = |rows: Vec<Value>| {
        let mut texts: Vec<_> = rows.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    let (read, listed) = (sorted(read), sorted(listed));
    for (one, other) in read.iter().zip(&listed) {
        assert_eq!(one, other, "{what}: the first row that differs");
    }
    assert_eq!(read.len(), listed.len(), "{what}");
}

fn rows(of: &Value, what: &str) -> Vec<Value> {
    of[what].as_array().unwrap().clone()
}

/// What was read is what the library lists.
#[track_caller]
pub fn assert_same(read: &Value, listed: &Value) {
    for what in ["namespaces", "keys", "uploads", "parts"] {
        assert_same_rows(what, rows(read, what), rows(listed, what));
    }
    let mut objects = rows(read, "objects");
    for object in &mut objects {
        // The library says it by its keys.
        object.as_object_mut().unwrap().remove("current").unwrap();
    }
    assert_same_rows("objects", objects, rows(listed, "objects"));
}

/// Some fields of a row, times in seconds as the program prints them.
fn pick(row: &Value, fields: &[&str]) -> Value {
    let picked = fields.iter().map(|field| {
        let value = match field.strip_suffix("_at") {
            Some(time) => match row[format!("{time}_ms")].as_u64() {
                Some(millis) => {
                    let at = UNIX_EPOCH + std::time::Duration::from_millis(millis);
                    humantime::format_rfc3339_seconds(at).to_string().into()
                }
                None => Value::Null,
            },
            None => row[*field].clone(),
        };
        ((*field).to_owned(), value)
    });
    Value::Object(picked.collect())
}

fn of_namespace(read: &Value, what: &str, namespace: &str, fields: &[&str]) -> Vec<Value> {
    let rows = read[what].as_array().unwrap().iter();
    rows.filter(|row| row["namespace"] == namespace)
        .map(|row| pick(row, fields))
        .collect()
}

fn printed(fixture: &Fixture, args: &[&str]) -> Vec<Value> {
    let ran = fixture.run([&["--json"], args].concat());
    assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    let text = ran.text();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const NAMESPACE: [&str; 8] = [
    "namespace",
    "created_at",
    "keys",
    "objects",
    "bytes",
    "open_uploads",
    "quota_bytes",
    "quota_keys",
];

/// What was read is what `ls` and `where` print.
pub fn compare_with_program(fixture: &Fixture, read: &Value) {
    let spaces = read["namespaces"].as_array().unwrap();
    let said = spaces.iter().map(|row| pick(row, &NAMESPACE)).collect();
    assert_same_rows("ls", said, printed(fixture, &["ls"]));
    for space in spaces {
        let name = space["namespace"].as_str().unwrap();
        let key = ["namespace", "key", "id", "size", "etag", "modified_at"];
        let said = of_namespace(read, "keys", name, &key);
        assert_same_rows(
            "ls keys",
            said,
            printed(fixture, &["ls", "keys", "-n", name]),
        );
        let upload = ["namespace", "key", "id", "initiated_at"];
        let said = of_namespace(read, "uploads", name, &upload);
        assert_same_rows(
            "ls uploads",
            said,
            printed(fixture, &["ls", "uploads", "-n", name]),
        );
    }
    let object = [
        "namespace",
        "key",
        "id",
        "size",
        "etag",
        "parts",
        "modified_at",
    ];
    let objects = read["objects"].as_array().unwrap();
    let said = objects.iter().map(|row| pick(row, &object)).collect();
    assert_same_rows("ls objects", said, printed(fixture, &["ls", "objects"]));
    for upload in objects.iter().chain(read["uploads"].as_array().unwrap()) {
        compare_parts(fixture, read, upload);
    }
    for blob in read["blobs"].as_array().unwrap() {
        compare_blob(fixture, read, blob);
    }
}

fn compare_parts(fixture: &Fixture, read: &Value, upload: &Value) {
    let text = |field: &str| upload[field].as_str().unwrap();
    let (namespace, key, id) = (text("namespace"), text("key"), text("id"));
    let all = read["parts"].as_array().unwrap().iter();
    let fields = ["part", "size", "etag", "hash", "stored_at"];
    let said = all
        .filter(|part| part["id"] == id)
        .map(|part| pick(part, &fields));
    let args = ["ls", "parts", "-n", namespace, "--id", id, "--", key];
    assert_same_rows("ls parts", said.collect(), printed(fixture, &args));
}

fn compare_blob(fixture: &Fixture, read: &Value, blob: &Value) {
    let hash = blob["hash"].as_str().unwrap();
    let all = read["parts"].as_array().unwrap().iter();
    let fields = ["namespace", "key", "id", "part", "kind"];
    let parts: Vec<_> = all
        .filter(|part| part["hash"] == hash)
        .map(|part| pick(part, &fields))
        .collect();
    let args = ["--json", "where", hash];
    if parts.is_empty() {
        // The open that `where` makes may sweep it before it looks.
        return;
    }
    let ran = fixture.run(args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = ran.json();
    assert_eq!(said["state"], blob["state"], "{said}");
    let file = fixture.store().join("blobs").join(&hash[..2]).join(hash);
    assert_eq!(said["file"], file.to_str().unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), blob["size"]);
    assert_same_rows("where", parts, said["parts"].as_array().unwrap().clone());
}
