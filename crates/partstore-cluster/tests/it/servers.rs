//! Several servers on one store.

use std::io::Read;

use partstore::{CompleteOptions, CompletedPart, Condition, ListParts, ObjectOptions};
use partstore_contract::support::{bytes, lines, number, race, read_object, refusal};

use crate::support::{Bytes, Servers, assert_tidy, case};

#[test]
fn what_one_server_stores_the_others_have() {
    case(|| {
        for bytes_of in [Bytes::files(), Bytes::memory()] {
            let servers = Servers::new(3, bytes_of);
            let [one, two, three] = [0, 1, 2].map(|at| &servers.stores[at]);
            let upload = one.initiate_upload("key").unwrap();
            let body = bytes(1, 3_000_000);
            one.put_part(&upload, number(1), body.clone()).unwrap();
            two.put_part(&upload, number(2), b"end".to_vec()).unwrap();
            let parts = three.list_parts(&upload, &ListParts::new()).unwrap().parts;
            let current = CompleteOptions::new().make_current(Condition::IfAbsent);
            three
                .complete_upload_with(&upload, &lines(&parts), &current)
                .unwrap();
            assert!(read_object(one, &upload) == [&body[..], b"end"].concat());
            assert_eq!(two.object_by_key("key").unwrap().upload, upload);
            two.remove_key("key", Condition::Always).unwrap();
            assert_eq!(refusal(one.object_by_key("key")), ("NoSuchKey", 404));
            assert_tidy(&servers);
            assert_eq!(servers.engine.stored().len(), 0);
        }
    });
}

#[test]
fn a_reader_of_one_server_keeps_its_bytes_from_the_sweeps_of_another() {
    case(|| {
        let servers = Servers::new(2, Bytes::files());
        let [one, two] = [0, 1].map(|at| &servers.stores[at]);
        let body = bytes(1, 600_000);
        let object = one.put_object("key", body.clone()).unwrap().upload;
        let mut reader = one.open_object(&object).unwrap();
        two.remove_object(&object).unwrap();
        assert_eq!(
            (two.sweep().unwrap().blobs, two.sweep().unwrap().in_use),
            (0, 1)
        );
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == body);
        drop(reader);
        assert_eq!(one.sweep().unwrap().blobs, 1);
        assert_tidy(&servers);
    });
}

#[test]
fn of_the_same_bytes_that_many_servers_put_at_once_one_copy_stays() {
    case(|| {
        let servers = Servers::new(4, Bytes::memory());
        for round in 0..10 {
            let body = bytes(round, 4000);
            let uploads = race(4, |at| {
                let store = &servers.stores[at];
                let upload = store.initiate_upload("key").unwrap();
                store.put_part(&upload, number(1), body.clone()).unwrap();
                store.sweep().unwrap();
                upload
            });
            assert_tidy(&servers);
            assert_eq!(servers.engine.stored().len(), 1);
            race(4, |at| {
                servers.stores[at].abort_upload(&uploads[at]).unwrap();
            });
            assert_tidy(&servers);
            assert_eq!(servers.engine.stored().len(), 0);
        }
    });
}

#[test]
fn of_objects_that_many_servers_put_if_the_key_has_none_exactly_one_is_put() {
    case(|| {
        let servers = Servers::new(4, Bytes::memory());
        for round in 0..10 {
            let key = format!("key {round}");
            let options = ObjectOptions::new().only(Condition::IfAbsent);
            let put = race(4, |at| {
                servers.stores[at].put_object_with(key.as_str(), bytes(at as u64, 100), &options)
            });
            assert_eq!(put.iter().filter(|put| put.is_ok()).count(), 1);
        }
        assert_tidy(&servers);
        assert_eq!(
            servers.engine.stored().len(),
            4.min(servers.engine.stored().len())
        );
    });
}

#[test]
fn a_completion_has_the_parts_that_were_listed_while_other_servers_put() {
    case(|| {
        let servers = Servers::new(3, Bytes::memory());
        for round in 0..10 {
            let upload = servers.stores[0].initiate_upload("key").unwrap();
            let first = servers.stores[0]
                .put_part(&upload, number(1), b"first".to_vec())
                .unwrap();
            let list = [CompletedPart::from(&first)];
            let done = race(3, |at| {
                let store = &servers.stores[at];
                if at == 0 {
                    return store.complete_upload(&upload, &list).map(|_| ());
                }
                let number = number(u32::try_from(at).unwrap());
                store
                    .put_part(&upload, number, bytes(round, 50))
                    .map(|_| ())
            });
            match &done[0] {
                Ok(()) => assert!(read_object(&servers.stores[1], &upload) == b"first"),
                Err(error) => {
                    assert_eq!(error.code(), "InvalidPart");
                    servers.stores[0].abort_upload(&upload).unwrap();
                }
            }
        }
        assert_tidy(&servers);
    });
}

/// A server that has just admitted a part admits the next without asking.
#[test]
fn an_upload_that_another_server_ends_takes_no_part_from_then_on() {
    case(|| {
        let servers = Servers::new(2, Bytes::files());
        let [one, two] = [0, 1].map(|at| &servers.stores[at]);
        let (aborted, completed) = (
            one.initiate_upload("aborted").unwrap(),
            one.initiate_upload("completed").unwrap(),
        );
        for upload in [&aborted, &completed] {
            one.put_part(upload, number(1), b"first".to_vec()).unwrap();
        }
        two.abort_upload(&aborted).unwrap();
        let parts = two.list_parts(&completed, &ListParts::new()).unwrap().parts;
        two.complete_upload(&completed, &lines(&parts)).unwrap();
        for upload in [&aborted, &completed] {
            let late = one.put_part(upload, number(2), bytes(2, 5000));
            assert_eq!(refusal(late), ("NoSuchUpload", 404));
        }
        assert_eq!(read_object(one, &completed), b"first");
        assert_tidy(&servers);
        assert_eq!(servers.engine.stored().len(), 1);
    });
}

/// Such a task may do little at a time before it must return to its runtime, which it cannot while it is in a call.
#[test]
fn a_task_of_another_runtime_may_call_as_often_as_it_likes() {
    case(|| {
        let servers = Servers::new(1, Bytes::memory());
        let store = &servers.stores[0];
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            for at in 0..200_u64 {
                let object = store.put_object("key", bytes(at, 100)).unwrap();
                assert_eq!(read_object(store, &object.upload), bytes(at, 100));
            }
        });
        assert_tidy(&servers);
    });
}
