//! Small bodies, which are stored before anybody looks whether their bytes are stored already.

use partstore::{PartStore, Upload};
use partstore_contract::support::{bytes, number, read_object, read_part};

use crate::support::{Bytes, Servers, assert_tidy, blob_files, case, sql};

/// So many small bodies are looked up first.
const LOOKED_UP: u32 = 32;

fn body(of: u32) -> Vec<u8> {
    bytes(of.into(), 100)
}

/// Puts so many parts that the next small body is stored without a look.
fn put_first_ones(store: &PartStore, upload: &Upload) {
    for at in 1..=LOOKED_UP {
        store.put_part(upload, number(at), body(at)).unwrap();
    }
}

fn doomed(servers: &Servers) -> i64 {
    let count = format!("SELECT count(*) FROM {}.doomed", servers.engine.schema);
    sql::query(&count)[0].get(0)
}

#[test]
fn a_small_body_that_is_stored_in_vain_is_doomed_by_its_own_commit() {
    case(|| {
        let servers = Servers::new(1, Bytes::files());
        let store = &servers.stores[0];
        let upload = store.initiate_upload("key").unwrap();
        put_first_ones(store, &upload);
        store.put_part(&upload, number(100), body(1)).unwrap();
        assert_eq!(doomed(&servers), 1);
        // Now equal bytes are expected, and looked up.
        store.put_part(&upload, number(101), body(2)).unwrap();
        let object = store.put_object("object", body(3)).unwrap().upload;
        assert_eq!(doomed(&servers), 1);
        for (at, of) in [(1, 1), (100, 1), (2, 2), (101, 2)] {
            assert_eq!(read_part(store, &upload, number(at)), body(of));
        }
        assert_eq!(read_object(store, &object), body(3));
        assert_tidy(&servers);
        assert_eq!(servers.engine.stored().len(), LOOKED_UP as usize);
    });
}

#[test]
fn an_object_of_a_small_body_that_is_stored_in_vain_is_doomed_by_its_own_commit() {
    case(|| {
        let servers = Servers::new(1, Bytes::files());
        let store = &servers.stores[0];
        let upload = store.initiate_upload("key").unwrap();
        put_first_ones(store, &upload);
        let object = store.put_object("object", body(1)).unwrap().upload;
        assert_eq!(doomed(&servers), 1);
        assert_eq!(read_object(store, &object), body(1));
        assert_tidy(&servers);
        assert_eq!(servers.engine.stored().len(), LOOKED_UP as usize);
    });
}

/// Removes the file of every blob that is stored by now.
fn lose(servers: &Servers) {
    let Bytes::Files(directory) = &servers.engine.bytes else {
        panic!("there are no files");
    };
    for file in blob_files(directory.path()) {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_small_body_that_is_stored_without_a_look_repairs_its_bytes() {
    case(|| {
        let servers = Servers::new(2, Bytes::files());
        let [one, two] = [0, 1].map(|at| &servers.stores[at]);
        let upload = one.initiate_upload("key").unwrap();
        let (part, object) = (body(100), body(101));
        one.put_part(&upload, number(100), part.clone()).unwrap();
        let of_one = one.put_object("one", object.clone()).unwrap().upload;
        lose(&servers);
        put_first_ones(two, &upload);
        two.put_object("two", object.clone()).unwrap();
        // The find has the next ones looked up.
        for at in 200..200 + LOOKED_UP {
            two.put_part(&upload, number(at), body(at)).unwrap();
        }
        two.put_part(&upload, number(101), part.clone()).unwrap();
        for store in [one, two] {
            assert_eq!(read_part(store, &upload, number(100)), part);
            assert_eq!(read_part(store, &upload, number(101)), part);
            assert_eq!(read_object(store, &of_one), object);
        }
        assert_tidy(&servers);
    });
}
