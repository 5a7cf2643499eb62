//! What a store must hold, by what its processes said.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use md5::{Digest, Md5};
use partstore::{ListObjects, ListParts, ListUploads, PartStore};

use super::log::{Answer, Call, What};
use super::writers::body;
use crate::fixture::read_part;

/// What became of an upload. Bytes are named by their MD5, which this test takes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// By number.
    Open(BTreeMap<u16, String>),
    Object(Vec<String>),
}

/// The uploads and objects of a store, by their keys.
pub type Model = BTreeMap<String, State>;

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
        let parts = reader.parts().iter().map(|placed| {
            let len = usize::try_from(placed.part.size).unwrap();
            md5(left.split_off(..len).unwrap())
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
        let of_key: Vec<&Call> = calls
            .iter()
            .filter(|call| call.key == *key && call.answer != Answer::Refused)
            .collect();
        let (before, now) = (before.get(key), now.get(key));
        let upload = Upload {
            before,
            calls: &of_key,
        };
        if let Err(wrong) = upload.explain(now) {
            panic!("{wrong}\nbefore: {before:?}\nnow: {now:?}\ncalls: {of_key:#?}");
        }
    }
}

/// What is known of one upload: its state at some time, and the calls since that were not refused.
struct Upload<'a> {
    before: Option<&'a State>,
    calls: &'a [&'a Call],
}

impl Upload<'_> {
    fn any(&self, which: impl Fn(&Call) -> bool) -> bool {
        self.calls.iter().any(|call| which(call))
    }

    fn explain(&self, now: Option<&State>) -> Result<(), String> {
        let is_end = |call: &Call| matches!(call.what, What::Abort | What::Remove);
        let is_gone = self.any(|call| is_end(call) && call.is_acknowledged());
        self.nothing_came_too_late()?;
        match now {
            None => {
                let is_initiated =
                    |call: &Call| call.what == What::Initiate && call.is_acknowledged();
                let was_there = self.before.is_some() || self.any(is_initiated);
                ensure(!was_there || self.any(is_end), "it is lost")
            }
            Some(_) if is_gone => Err("it is back".to_owned()),
            Some(State::Object(parts)) => self.explain_object(parts),
            Some(State::Open(parts)) => self.explain_open(parts),
        }
    }

    /// After an upload has ended nothing is put to it.
    fn nothing_came_too_late(&self) -> Result<(), String> {
        let is_end = |call: &&&Call| matches!(call.what, What::Abort | What::Complete(_));
        for end in self
            .calls
            .iter()
            .filter(is_end)
            .filter(|end| end.is_acknowledged())
        {
            let is_late = |call: &Call| {
                matches!(call.what, What::Put { .. })
                    && call.is_acknowledged()
                    && end.is_before(call)
            };
            ensure(
                !self.any(is_late),
                "a part came to an upload that had ended",
            )?;
        }
        Ok(())
    }

    fn explain_object(&self, parts: &[String]) -> Result<(), String> {
        let is_listed =
            |call: &Call| matches!(&call.what, What::Complete(listed) if listed == parts);
        let is_completed =
            |call: &Call| matches!(call.what, What::Complete(_)) && call.is_acknowledged();
        let was_object = matches!(self.before, Some(State::Object(before)) if before == parts);
        ensure(was_object || self.any(is_listed), "nobody completed it so")?;
        ensure(
            !self.any(|call| is_completed(call) && !is_listed(call)),
            "it was completed otherwise",
        )
    }

    fn explain_open(&self, parts: &BTreeMap<u16, String>) -> Result<(), String> {
        let empty = BTreeMap::new();
        let before = match self.before {
            Some(State::Object(_)) => return Err("it was completed".to_owned()),
            Some(State::Open(parts)) => parts,
            None => {
                ensure(
                    self.any(|call| call.what == What::Initiate),
                    "nobody initiated it",
                )?;
                &empty
            }
        };
        let is_completed =
            |call: &Call| matches!(call.what, What::Complete(_)) && call.is_acknowledged();
        ensure(!self.any(is_completed), "it was completed")?;
        let mut numbers: BTreeSet<u16> = before.keys().chain(parts.keys()).copied().collect();
        numbers.extend(self.calls.iter().filter_map(|call| match call.what {
            What::Put { number, .. } => Some(number),
            _ => None,
        }));
        for number in numbers {
            self.explain_part(number, before.get(&number), parts.get(&number))?;
        }
        Ok(())
    }

    /// A part is one that no acknowledged put came after.
    fn explain_part(
        &self,
        number: u16,
        before: Option<&String>,
        now: Option<&String>,
    ) -> Result<(), String> {
        let puts: Vec<(&Call, u64)> = self
            .calls
            .iter()
            .filter_map(|call| match call.what {
                What::Put { number: to, seed } if to == number => Some((*call, seed)),
                _ => None,
            })
            .collect();
        let acknowledged = puts.iter().filter(|(put, _)| put.is_acknowledged());
        let is_replaced = |put: &Call| acknowledged.clone().any(|(other, _)| put.is_before(other));
        let mut possible: Vec<Option<String>> = Vec::new();
        if acknowledged.clone().count() == 0 {
            possible.push(before.cloned());
        }
        let left = puts.iter().filter(|(put, _)| !is_replaced(put));
        possible.extend(left.map(|(_, seed)| Some(md5(&body(*seed)))));
        let is_possible = possible.contains(&now.cloned());
        ensure(
            is_possible,
            &format!("part {number} must be one of {possible:?}"),
        )
    }
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| otherwise.to_owned())
}
