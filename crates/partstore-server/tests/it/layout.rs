//! A store of the old layout is moved to the new one when the server starts, also in several attempts.

use std::path::Path;

use partstore::{
    CompletedPart, Condition, Key, ListObjects, Options, PartNumber, PartStore, Upload,
};

use crate::calls::{
    BUCKET, assert_refused, completion, etag, get, list_of, part_path, parts, path, put,
};
use crate::client::Request;
use crate::fixture::Server;

const PUTS: u32 = 300;

fn open(data: &Path) -> PartStore {
    Options::cos().open(data).unwrap()
}

/// Initiates an upload with one part, as the server did.
fn begin(store: &PartStore, key: &str, body: &[u8]) -> (Upload, CompletedPart) {
    let metadata = b"content-type: text/plain\n".as_slice();
    let upload = store.initiate_upload_with(key, metadata).unwrap();
    let part = store.put_part(&upload, PartNumber::MIN, body.to_vec());
    (upload, CompletedPart::from(&part.unwrap()))
}

fn complete(store: &PartStore, key: &str, body: &[u8]) -> Upload {
    let (upload, part) = begin(store, key, body);
    store.complete_upload(&upload, &[part]).unwrap();
    upload
}

/// What the old server has left behind.
struct Old {
    object: Upload,
    upload: Upload,
    modified: String,
}

fn fill(data: &Path) -> Old {
    let store = open(data);
    let upload = |key: &str| format!("{BUCKET}/{key}");
    complete(&store, &format!("bucket:{BUCKET}"), b"");
    complete(&store, "bucket:empty-1250000000", b"");
    for number in 0..PUTS {
        let key = format!("put:{BUCKET}/dir/{number:04}");
        complete(&store, &key, key.as_bytes());
    }
    let object = complete(&store, &upload("parts"), b"parts");
    complete(&store, &upload("put:odd"), b"odd");
    complete(&store, "put:absent-1250000000/key", b"of no bucket");
    begin(&store, &format!("put:{BUCKET}/broken-off"), b"nobody's");
    let (open, _) = begin(&store, &upload("open"), b"open");
    let done = store.object(&object).unwrap().completed_at;
    store.close().unwrap();
    Old {
        object,
        upload: open,
        modified: httpdate::fmt_http_date(done),
    }
}

fn assert_moved(server: &Server, old: &Old) {
    for number in [0, 7, PUTS - 1] {
        let answer = get(server, &format!("dir/{number:04}")).ok();
        let body = format!("put:{BUCKET}/dir/{number:04}");
        assert_eq!(answer.text(), body);
        // The ETag of a simple PUT is the MD5.
        assert_eq!(answer.header("ETag").unwrap(), etag(body.as_bytes()));
    }
    let answer = get(server, "parts").ok();
    assert_eq!(answer.body, b"parts");
    assert!(answer.header("ETag").unwrap().ends_with("-1\""));
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert_eq!(answer.header("Last-Modified"), Some(old.modified.as_str()));
    assert_eq!(get(server, "put:odd").ok().body, b"odd");
    let list = Request::new("GET", format!("/{BUCKET}?delimiter=/")).send(server);
    assert_eq!(list.ok().elements("Key"), ["parts", "put:odd"]);
    let head = Request::new("HEAD", "/empty-1250000000").send(server);
    assert_eq!(head.status, 200);
}

#[test]
fn a_store_of_the_old_layout_is_moved_once() {
    let mut server = Server::start(&[]);
    server.stop();
    // As the old server left it.
    std::fs::remove_dir_all(server.data()).unwrap();
    std::fs::create_dir(server.data()).unwrap();
    let old = fill(server.data());
    server.restart();
    assert_moved(&server, &old);
    // The client of the completion asks again. The client of the open upload goes on.
    let id = old.object.id().to_string();
    let again = completion(("parts", &id), list_of(&[(1, &etag(b"parts"))]));
    again.send(&server).ok();
    let id = old.upload.id().to_string();
    assert_eq!(parts(&server, ("open", &id)).len(), 1);
    let part = Request::new("PUT", part_path("open", &id, 1)).body("more");
    part.send(&server).ok();
    let list = list_of(&[(1, &etag(b"more"))]);
    completion(("open", &id), list).send(&server).ok();
    assert_eq!(get(&server, "open").ok().body, b"more");
    put(&server, "parts", b"newer").ok();
    server.stop();
    server.restart();
    assert_eq!(get(&server, "parts").ok().body, b"newer");
    assert_eq!(server.log().matches("older layout").count(), 1);
    assert_eq!(server.log().matches("of no bucket").count(), 1);
    let deleted = Request::new("DELETE", "/empty-1250000000").send(&server);
    assert_eq!(deleted.status, 204);
    let absent = Request::new("GET", "/absent-1250000000/key").send(&server);
    assert_refused(&absent, (404, "NoSuchBucket"));
    let deleted = Request::new("DELETE", path("")).send(&server);
    assert_refused(&deleted, (409, "BucketNotEmpty"));
}

#[test]
fn a_move_that_was_broken_off_goes_on() {
    let mut server = Server::start(&[]);
    server.stop();
    std::fs::remove_dir_all(server.data()).unwrap();
    std::fs::create_dir(server.data()).unwrap();
    let old = fill(server.data());
    // Some has moved, as the first attempt does it.
    let store = open(server.data());
    store
        .create_namespace(BUCKET, partstore::Quota::new())
        .unwrap();
    let page = store.list_objects(&ListObjects::new()).unwrap();
    for object in page.objects.iter().take(100) {
        let name = object.upload.key();
        if name == format!("bucket:{BUCKET}") {
            store.remove_object(&object.upload).unwrap();
        } else if let Some(key) = name.strip_prefix(&format!("put:{BUCKET}/")) {
            let options = partstore::ObjectOptions::new().whole_etag();
            let options = options.only(Condition::IfAbsent);
            let key = Key::new(BUCKET, key);
            store.rename_object(&object.upload, key, &options).unwrap();
        }
    }
    store.close().unwrap();
    server.restart();
    assert_moved(&server, &old);
    // `kill -9` while the rest of another store moves.
    server.kill();
    std::fs::remove_dir_all(server.data()).unwrap();
    std::fs::create_dir(server.data()).unwrap();
    let old = fill(server.data());
    for pause in [5, 20, 40] {
        server.kill_in_its_start(std::time::Duration::from_millis(pause));
    }
    server.restart();
    assert_moved(&server, &old);
}
