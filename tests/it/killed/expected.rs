//! What a store must hold, by what its processes said.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use md5::{Digest, Md5};
use partstore::{ListObjects, ListParts, ListUploads, PartStore};
use partstore_model::history::{self, State, Upload};

use super::log::{Answer, Call, What};
use super::writers::body;
use crate::fixture::read_part;

/// The uploads and objects of a store, by their keys.
/// Bytes are named by their MD5, which this test takes itself.
pub type Model = BTreeMap<String, State<String>>;

fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Reads everything.
pub fn observe(store: &PartStore) -> Model {
    let mut model = Model::new();
    for info in store.list_uploads(&ListUploads::new()).unwrap().uploads {
        assert_eq!(info.metadata, crate::fixture::bytes(3, 50));
        let parts = store
            .list_parts(&info.upload, &ListParts::new())
            .unwrap()
            .parts;
        let read = parts.iter().map(|part| {
            let found = md5(&read_part(store, &info.upload, part.number));
            assert_eq!(found, part.etag.to_string());
            (part.number.get(), found)
        });
        let state = State::Open(read.collect());
        assert!(model.insert(info.upload.key().to_owned(), state).is_none());
    }
    for object in store.list_objects(&ListObjects::new()).unwrap().objects {
        let mut reader = store.open_object(&object.upload).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, object.size);
        let mut left = bytes.as_slice();
        let parts = reader.parts().map(|placed| {
            let placed = placed.unwrap();
            let len = usize::try_from(placed.part.size).unwrap();
            let found = md5(left.split_off(..len).unwrap());
            (placed.part.number.get(), found)
        });
        let state = State::Object(parts.collect());
        assert!(
            model
                .insert(object.upload.key().to_owned(), state)
                .is_none()
        );
    }
    model
}

/// Compares what is there with what was there before and with all calls since.
pub fn compare(before: &Model, calls: &[Call], now: &Model) {
    let mut keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    keys.extend(calls.iter().map(|call| &call.key));
    for key in keys {
        let of_key = calls
            .iter()
            .filter(|call| call.key == *key && call.answer != Answer::Refused);
        let of_key: Vec<_> = of_key.map(known).collect();
        let (before, now) = (before.get(key), now.get(key));
        let upload = Upload {
            before,
            calls: &of_key,
            successors: &[],
        };
        if let Err(wrong) = upload.explain(now) {
            panic!("{wrong}\nbefore: {before:?}\nnow: {now:?}\ncalls: {of_key:#?}");
        }
    }
}

fn known(call: &Call) -> history::Call<String> {
    history::Call {
        what: match &call.what {
            What::Initiate => history::What::Initiate,
            What::Put { number, seed } => history::What::Put {
                number: *number,
                body: md5(&body(*seed)),
            },
            What::Complete(parts) => history::What::Complete(parts.clone()),
            What::Abort => history::What::Abort,
            What::Remove => history::What::Remove,
        },
        acknowledged: call.is_acknowledged(),
        begun: call.begun,
        ended: Some(call.ended),
    }
}
