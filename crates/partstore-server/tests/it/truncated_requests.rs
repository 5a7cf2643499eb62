//! Requests that break off at every byte: by a client that still reads, and by one that has left.

use std::thread;

use crate::calls::{
    BUCKET, completion, get, initiate, list_of, part_path, parts, path, put, put_part, server,
    upload,
};
use crate::client::{Client, Request};
use crate::fixture::Server;
use crate::process_stats::{open_uploads, staging_is_empty};

#[derive(Clone, Copy)]
enum Ending {
    /// The client sends no more, and reads.
    HalfClose,
    Close,
}

/// Sends every proper prefix of a request. Gives the status of each answer.
fn cut_everywhere(server: &Server, request: &[u8], ending: Ending) -> Vec<u16> {
    let cut = |len: usize| {
        let mut client = Client::connect(server);
        client.send(&request[..len]);
        match ending {
            Ending::Close => None,
            Ending::HalfClose => {
                client.half_close();
                client.try_answer("GET").ok().map(|answer| answer.status)
            }
        }
    };
    let lengths: Vec<_> = (0..request.len()).collect();
    thread::scope(|scope| {
        let shares = lengths.chunks(lengths.len().div_ceil(16));
        let threads: Vec<_> = shares
            .map(|share| {
                scope.spawn(|| share.iter().filter_map(|len| cut(*len)).collect::<Vec<_>>())
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Cuts a request in both ways. All that is said to it is that it is wrong.
fn assert_never_believed(server: &Server, request: &Request) {
    cut_everywhere(server, &request.bytes(), Ending::Close);
    let statuses = cut_everywhere(server, &request.bytes(), Ending::HalfClose);
    assert!(
        statuses.iter().all(|status| (400..500).contains(status)),
        "{statuses:?}"
    );
    // Each cut in a body was answered: all of the head had come.
    assert!(statuses.len() + 1 >= request.bytes().len() - request.head().len());
}

#[test]
fn initiate_and_list_break_off_without_effect() {
    let server = server(&[]);
    assert_never_believed(&server, &Request::new("POST", path("key") + "?uploads"));
    let uploads = Request::new("GET", format!("/{BUCKET}?uploads"));
    assert_eq!(uploads.send(&server).ok().elements("UploadId").len(), 0);
    let id = initiate(&server, "key");
    assert_never_believed(
        &server,
        &Request::new("GET", path("key") + "?uploadId=" + &id),
    );
    assert_never_believed(
        &server,
        &Request::new("DELETE", path("key") + "?uploadId=" + &id),
    );
    assert_eq!(parts(&server, ("key", &id)), []);
}

#[test]
fn a_part_that_breaks_off_changes_no_part() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    put_part(&server, ("key", &id), 1, b"before").ok();
    let before = parts(&server, ("key", &id));
    let part = |number| {
        Request::new("PUT", part_path("key", &id, number)).body("a short body, but not that short")
    };
    assert_never_believed(&server, &part(1));
    assert_never_believed(&server, &part(2).header("Expect", "100-continue"));
    staging_is_empty(&server);
    assert_eq!(parts(&server, ("key", &id)), before);
    part(1).send(&server).ok();
}

#[test]
fn a_completion_that_breaks_off_completes_nothing() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let list = list_of(&[(1, &etag)]);
    let request = completion(("key", &id), list);
    assert_never_believed(&server, &request);
    assert_eq!(get(&server, "key").status, 404);
    assert_eq!(parts(&server, ("key", &id)).len(), 1);
    request.send(&server).ok();
    assert_eq!(get(&server, "key").ok().body, b"part");
}

/// In chunks, a list says itself where it ends.
#[test]
fn a_completion_in_chunks_that_breaks_off_completes_nothing() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let list = list_of(&[(1, &etag)]);
    let chunks = format!("{:x}\r\n{list}\r\n0\r\n\r\n", list.len());
    let request = completion(("key", &id), chunks).header("Transfer-Encoding", "chunked");
    assert_never_believed(&server, &request);
    assert_eq!(get(&server, "key").status, 404);
    request.send(&server).ok();
    assert_eq!(get(&server, "key").ok().body, b"part");
}

#[test]
fn an_object_that_breaks_off_is_not_there_and_leaves_no_upload() {
    let mut server = server(&[]);
    put(&server, "before", b"before").ok();
    for key in ["new", "before"] {
        let request = Request::new("PUT", path(key));
        let whole = request.clone().body("a short body, but not that short");
        assert_never_believed(&server, &whole);
        let chunks = request.body("8\r\na short \r\n4\r\nbody\r\n0\r\n\r\n");
        assert_never_believed(&server, &chunks.header("Transfer-Encoding", "chunked"));
    }
    staging_is_empty(&server);
    assert_eq!(get(&server, "new").status, 404);
    assert_eq!(get(&server, "before").ok().body, b"before");
    server.stop();
    assert_eq!(open_uploads(&server), [""; 0]);
}
