//! Servers that lose their lease: they get an error, and never other bytes.

use std::io::Read;

use partstore::Error;
use partstore_contract::Engine;
use partstore_contract::support::{bytes, free_options, number};

use crate::support::{Bytes, Servers, assert_tidy, case, sql};

/// As if the server had been silent for longer than its lease.
fn lose_leases(servers: &Servers) {
    sql::run(&format!(
        "UPDATE {}.sessions SET expires = now() - interval '1 second'",
        servers.engine.schema
    ));
}

#[test]
fn a_reader_whose_lease_is_over_gets_an_error_and_never_other_bytes() {
    case(|| {
        for bytes_of in [Bytes::files(), Bytes::memory()] {
            let mut servers = Servers::new(1, bytes_of);
            let body = bytes(1, 2_000_000);
            let object = servers.stores[0]
                .put_object("key", body.clone())
                .unwrap()
                .upload;
            let mut reader = servers.stores[0].open_object(&object).unwrap();
            let mut read = vec![0; 1000];
            reader.read_exact(&mut read).unwrap();
            lose_leases(&servers);
            let other = servers.engine.open(free_options()).unwrap();
            other.remove_object(&object).unwrap();
            assert_eq!(other.sweep().unwrap().blobs, 1, "nobody waits for it");
            match reader.read_to_end(&mut read) {
                Ok(_) => assert!(read == body),
                Err(_) => assert!(body.starts_with(&read)),
            }
            // It has not found damage: the next server puts these bytes anew.
            assert_eq!(other.stats().unwrap().damaged_blobs, 0);
            servers.stores.push(other);
            assert_tidy(&servers);
        }
    });
}

#[test]
fn a_server_whose_lease_is_over_refuses_what_it_was_doing_and_goes_on_with_a_new_one() {
    case(|| {
        let servers = Servers::new(1, Bytes::files());
        let store = &servers.stores[0];
        let upload = store.initiate_upload("key").unwrap();
        let options = partstore::PartOptions::new();
        let mut writer = store.part_writer(&upload, number(1), options).unwrap();
        std::io::Write::write_all(&mut writer, b"body").unwrap();
        lose_leases(&servers);
        let other = servers.engine.open(free_options()).unwrap();
        other.sweep().unwrap();
        let refused = writer.finish().unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
        // Whoever sends it again succeeds, at the latest when the lease is known to be over.
        let again = (0..2).map(|_| store.put_part(&upload, number(1), b"body".to_vec()));
        assert!(again.into_iter().any(|put| put.is_ok()));
        drop(other);
        assert_tidy(&servers);
    });
}

#[test]
fn what_a_killed_server_was_storing_goes_when_its_lease_is_over() {
    case(|| {
        let servers = Servers::new(1, Bytes::memory());
        let upload = servers.stores[0].initiate_upload("key").unwrap();
        servers.stores[0]
            .put_part(&upload, number(1), b"kept".to_vec())
            .unwrap();
        let crashed = servers.engine.crashed();
        let after = crashed.open(free_options()).unwrap();
        after.sweep().unwrap();
        assert_eq!(crashed.contents().len(), 1);
        let part = after.open_part(&upload, number(1)).unwrap();
        assert_eq!(std::io::read_to_string(part).unwrap(), "kept");
    });
}
