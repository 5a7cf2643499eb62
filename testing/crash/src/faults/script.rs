//! The calls that are made, and what is seen at once.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use partstore::{
    ETag, Error, ListObjects, ListParts, ListUploads, Part, PartStore, Scope, VerifyReport,
};

use crate::shim;
use crate::store::{Action, Body, Outcome, Player};

/// What a store shows: whether it is an object, and its parts, by key.
pub(super) type View = BTreeMap<String, (bool, Vec<(u16, Body)>)>;

/// Makes the calls, and sees that what met no fault works.
pub(super) struct Script {
    pub(super) player: Player,
    /// Since the last open something has failed: the store may have stopped.
    pub(super) troubled: bool,
    pub(super) wrong: Vec<String>,
}

const SMALL: Body = Body { id: 1, len: 1000 };
const READ: Body = Body { id: 2, len: 2001 };
/// Longer than what the journal carries.
const OTHER: Body = Body { id: 3, len: 1900 };
const BLOCKS: Body = Body {
    id: 4,
    len: 270_001,
};
const SHORT_LIVED: Body = Body { id: 5, len: 500 };

impl Script {
    pub(super) fn new(player: Player) -> Self {
        Self {
            player,
            troubled: false,
            wrong: Vec::new(),
        }
    }

    /// Everything that can be asked of a store, from its making on.
    pub(super) fn all_calls(&mut self) {
        self.open();
        let object = self.initiate();
        self.put(&object, 1, SMALL);
        self.put(&object, 2, READ);
        self.put(&object, 1, OTHER);
        self.put(&object, 2, READ);
        self.call(|player| player.put_refused(&object, 3, SHORT_LIVED));
        let open = self.initiate();
        self.put(&open, 1, OTHER);
        self.put(&open, 2, BLOCKS);
        self.look();
        self.complete(&object);
        let aborted = self.initiate();
        self.put(&aborted, 1, SHORT_LIVED);
        self.call(|player| player.abort(&aborted));
        self.call(Player::sweep);
        self.grow(&open);
        self.call(Player::maintain);
        self.look();
        let next = self.initiate();
        self.put(&next, 1, READ);
        self.put(&next, 2, SHORT_LIVED);
        self.replace(&next, &object);
        self.look();
        self.remove(&object);
        self.remove(&next);
        self.call(Player::maintain);
        self.verify();
        self.call(Player::close);
        self.open();
        self.look();
        self.put(&open, 3, BLOCKS);
        self.put(&open, 4, SMALL);
        self.call(Player::close);
    }

    /// Leaves of everything something; the last call is to take a snapshot.
    pub(super) fn before_the_kill(&mut self) {
        self.open();
        let object = self.initiate();
        self.put(&object, 1, SMALL);
        self.put(&object, 2, BLOCKS);
        self.complete(&object);
        let open = self.initiate();
        self.put(&open, 1, OTHER);
        self.put(&open, 2, SHORT_LIVED);
        self.put(&open, 2, READ);
        self.grow(&open);
        self.call(Player::maintain);
    }

    /// What the open of a store that was killed has to do, and what is done on it.
    pub(super) fn recovery(&mut self) {
        self.open();
        if let (Some(store), 0) = (self.player.store(), shim::hits()) {
            let recovery = store.recovery();
            if recovery.torn_bytes == 0 || !recovery.orphans_possible {
                self.wrong.push(format!("nothing was torn: {recovery:?}"));
            }
        }
        self.look();
        let open = self.initiate();
        self.put(&open, 1, SMALL);
        self.put(&open, 2, READ);
        self.put(&open, 3, SHORT_LIVED);
        self.call(Player::maintain);
        self.look();
        self.verify();
        self.call(Player::close);
    }

    /// Puts the same bytes again and again, until the journal has more than a segment.
    fn grow(&mut self, key: &str) {
        for _ in 0..12 {
            self.put(key, 1, OTHER);
        }
    }

    /// Opens the store; tries again once, since a fault may be over.
    fn open(&mut self) {
        for _ in 0..2 {
            self.troubled = false;
            self.call(Player::reopen);
            if self.player.store().is_some() {
                self.troubled = false;
                return;
            }
        }
    }

    fn initiate(&mut self) -> String {
        let mut key = String::new();
        self.call(|player| key = player.initiate());
        key
    }

    fn put(&mut self, key: &str, number: u16, body: Body) {
        self.call(|player| player.put(key, number, body));
    }

    fn remove(&mut self, key: &str) {
        // An upload that could not be completed is no object.
        if self
            .acknowledged()
            .get(key)
            .is_some_and(|(is_object, _)| *is_object)
        {
            self.call(|player| player.remove(key));
        }
    }

    fn replace(&mut self, key: &str, object: &str) {
        let known = self.acknowledged();
        let is_object = known.get(object).is_some_and(|(is_object, _)| *is_object);
        if is_object && known.get(key).is_some_and(|(_, parts)| !parts.is_empty()) {
            self.call(|player| player.complete_in_place(key, Some(object)));
        }
    }

    fn complete(&mut self, key: &str) {
        // Without parts it would be refused.
        if self
            .acknowledged()
            .get(key)
            .is_some_and(|(_, parts)| !parts.is_empty())
        {
            self.call(|player| player.complete(key));
        }
    }

    /// Makes a call. In a store that has not stopped only a fault makes it fail.
    fn call(&mut self, make: impl FnOnce(&Player)) {
        let (hits, before) = (shim::hits(), self.player.history().calls.len());
        make(&self.player);
        let hit = shim::hits() > hits;
        self.troubled |= hit;
        for call in &self.player.history().calls[before..] {
            let refuses = matches!(call.action, Action::PutRefused { .. });
            let wrong = match &call.outcome {
                Outcome::Ok => refuses,
                Outcome::Refused(_) => !hit && !refuses,
                Outcome::Unknown(_) => !self.troubled,
            };
            if wrong {
                self.wrong.push(format!("no fault was met: {call:?}"));
            }
        }
    }

    /// Lists and reads everything: the bytes are those that were put, and all is there unless a call
    /// had failed in a way that only opening the store again tells about.
    pub(super) fn look(&mut self) {
        let Some(store) = self.player.store() else {
            return;
        };
        let hits = shim::hits();
        let seen = self.see(&store);
        let hit = shim::hits() > hits;
        self.troubled |= hit;
        let acknowledged = self.acknowledged();
        let is_known = !self.player.history().calls.iter().any(|call| {
            call.action.upload().is_some() && matches!(call.outcome, Outcome::Unknown(_))
        });
        match seen {
            Ok(seen) if is_known && seen != acknowledged => {
                self.wrong
                    .push(format!("it shows {seen:?} instead of {acknowledged:?}"));
            }
            Err(error) if !self.troubled => {
                self.wrong
                    .push(format!("no fault was met, and reading failed: {error}"));
            }
            _ => {}
        }
    }

    fn see(&mut self, store: &PartStore) -> Result<View, Error> {
        let mut view = View::new();
        for info in store.list_uploads(&ListUploads::new())?.uploads {
            let mut parts = Vec::new();
            for part in store.list_parts(&info.upload, &ListParts::new())?.parts {
                let body = self.read(&part, store.open_part(&info.upload, part.number)?)?;
                parts.push((part.number.get(), body));
            }
            view.insert(info.upload.key().to_owned(), (false, parts));
        }
        for object in store.list_objects(&ListObjects::new())?.objects {
            let reader = store.open_object(&object.upload)?;
            let mut parts = Vec::new();
            for placed in reader.parts() {
                let body = self.read(&placed.part, reader.part(placed.part.number)?)?;
                parts.push((placed.part.number.get(), body));
            }
            view.insert(object.upload.key().to_owned(), (true, parts));
        }
        Ok(view)
    }

    /// Reads a part to its end, or until it fails.
    fn read(&mut self, part: &Part, mut reader: impl Read) -> Result<Body, Error> {
        let bodies: HashMap<ETag, Body> = [SMALL, READ, OTHER, BLOCKS, SHORT_LIVED]
            .into_iter()
            .map(|body| (body.etag(), body))
            .collect();
        let body = bodies[&part.etag];
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        let expected = body.bytes();
        if !expected.starts_with(&bytes) || read.is_ok() && bytes != expected {
            self.wrong.push(format!("{body:?} reads as other bytes"));
        }
        match read {
            Ok(_) => Ok(body),
            Err(error) => Err(Error::from_io(error).unwrap_or(Error::Closed)),
        }
    }

    fn verify(&mut self) {
        let Some(store) = self.player.store() else {
            return;
        };
        let hits = shim::hits();
        let report = store.verify(Scope::Everything);
        self.troubled |= shim::hits() > hits;
        if !self.troubled && !report.as_ref().is_ok_and(VerifyReport::is_clean) {
            self.wrong
                .push(format!("no fault was met, and verify says {report:?}"));
        }
    }

    /// What was acknowledged so far.
    fn acknowledged(&self) -> View {
        let mut view = View::new();
        for call in self.player.history().calls {
            if call.outcome != Outcome::Ok {
                continue;
            }
            match call.action {
                Action::Initiate { upload, .. } => {
                    view.insert(upload, (false, Vec::new()));
                }
                Action::Put {
                    upload,
                    number,
                    body,
                } => {
                    let (_, parts) = view.entry(upload).or_default();
                    parts.retain(|(other, _)| *other != number);
                    parts.push((number, body));
                    parts.sort_unstable();
                }
                Action::Complete {
                    upload,
                    parts,
                    replaced,
                } => {
                    replaced.and_then(|object| view.remove(&object));
                    view.insert(upload, (true, parts));
                }
                Action::Abort { upload } | Action::Remove { upload } => {
                    view.remove(&upload);
                }
                _ => {}
            }
        }
        view
    }

    /// Closes what is still open.
    pub(super) fn end(&mut self) {
        if self.player.store().is_some() {
            self.call(Player::close);
        }
    }
}
