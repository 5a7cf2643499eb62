//! Each call, made on the store and on the map.

mod compare;
mod completions;
mod copies;
mod listing;
mod parts;

use std::time::{Duration, SystemTime};

use partstore::{Numbering, Options, PartNumber, PartStore, Result, Upload};

use partstore_model::map::Map;

use super::steps::{DELIMITERS, KEYS, METADATA, PREFIXES, Reopen, Step, WhichKey, Who};
use crate::Opened;
use crate::support::{Fixture, bytes};

pub struct Run {
    /// Other servers with the same store, and whose turn it is. They end before the engine does.
    peers: Vec<PartStore>,
    turn: usize,
    fixture: Fixture,
    expected: Map<usize>,
    numbering: Numbering,
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.expect_err("this must be refused").code()
}

fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

impl Run {
    pub fn new(options: Options, numbering: Numbering) -> Self {
        let fixture = Fixture::with(options.numbering(numbering));
        Self {
            peers: fixture.engine.open_peers(&fixture.options).unwrap(),
            turn: 0,
            fixture,
            expected: Map::default(),
            numbering,
        }
    }

    /// Gives the turn to the next server.
    fn take_turns(&mut self) {
        self.turn += 1;
        let next = self.turn % self.peers.len().max(1);
        if let Some(peer) = self.peers.get_mut(next) {
            std::mem::swap(&mut self.fixture.store, peer);
        }
    }

    /// A server hears of what others have given up when it sweeps. Then they may remove it.
    fn tell_peers(&self) {
        // First each hands in what it has given up itself, then each says that it reads none of all that.
        for _ in 0..2 {
            for peer in &self.peers {
                peer.sweep().unwrap();
            }
            self.fixture.store.sweep().unwrap();
        }
    }

    pub fn apply(&mut self, step: &Step) {
        self.take_turns();
        match step {
            Step::Initiate { key, metadata } => self.initiate(KEYS[*key], METADATA[*metadata]),
            Step::InitiateRefused => self.initiate_refused(),
            Step::Put {
                who,
                number: to,
                body,
                how,
            } => {
                self.put(&self.name(who), number(*to), *body, how);
            }
            Step::Copy {
                from,
                part,
                who,
                number: to,
                source,
            } => {
                let (from, to) = ((self.name(from), *part), (self.name(who), *to));
                self.copy(from, to, *source);
            }
            Step::AbortDuringPut {
                who,
                number: to,
                body,
            } => {
                self.abort_during_put(&self.name(who), number(*to), *body);
            }
            Step::ReplaceUnderReader {
                who,
                number: to,
                body,
            } => {
                self.replace_under_reader(&self.name(who), number(*to), *body);
            }
            Step::RemoveUnderReader { who } => self.remove_under_reader(&self.name(who)),
            Step::ListParts { who, after, limit } => {
                self.list_parts(&self.name(who), *after, *limit);
            }
            Step::ListUploads {
                prefix,
                delimiter,
                limit,
            } => {
                self.list_uploads(PREFIXES[*prefix], DELIMITERS[*delimiter], *limit);
            }
            Step::ListUploadsAfter { key, slot, limit } => {
                self.list_uploads_after(KEYS[*key], *slot, *limit);
            }
            Step::ListObjects { slot, limit } => self.list_objects(*slot, *limit),
            Step::Look { who } => self.look(&self.name(who)),
            Step::Complete {
                who,
                list,
                replaced,
            } => {
                let replaced = replaced.as_ref().map(|who| self.name(who));
                self.complete(&self.name(who), list, replaced.as_ref());
            }
            Step::Abort { who } => self.abort(&self.name(who)),
            Step::RemoveObject { who } => self.remove_object(&self.name(who)),
            Step::ReadPart {
                who,
                number: of,
                from,
                len,
            } => {
                self.read_part(&self.name(who), number(*of), *from, *len);
            }
            Step::ReadObject { who, from, len } => self.read_object(&self.name(who), *from, *len),
            _ => self.keep_up(step),
        }
    }

    fn keep_up(&mut self, step: &Step) {
        match step {
            Step::ExpireAll => self.expire_all(),
            Step::ExpireOld => {
                let day = Duration::from_secs(86_400);
                assert_eq!(self.fixture.store.expire_uploads(day).unwrap(), 0);
            }
            Step::Sweep => {
                self.tell_peers();
                self.fixture.store.sweep().unwrap();
                self.compare_files();
            }
            Step::Maintain => {
                self.tell_peers();
                let report = self.fixture.store.maintain().unwrap();
                assert_eq!(report.expired, 0);
                self.compare_files();
            }
            Step::Verify => self.verify(),
            Step::Stats => self.compare_stats(),
            Step::Reopen(how) => self.reopen(*how),
            other => unreachable!("{other:?}"),
        }
    }

    /// The upload that a step means; one that never was while there is none.
    fn name(&self, who: &Who) -> Upload {
        let names = &self.expected.names;
        let Some(upload) = names.get(who.slot % names.len().max(1)) else {
            return Upload::parse("a", &"1".repeat(74)).unwrap();
        };
        match who.key {
            WhichKey::Own => upload.clone(),
            WhichKey::Another => Upload::new(format!("{}/", upload.key()), upload.id()),
        }
    }

    fn initiate(&mut self, key: &str, metadata: usize) {
        let metadata = bytes(99, metadata);
        let upload = self
            .fixture
            .store
            .initiate_upload_with(key, &metadata)
            .unwrap();
        // Servers that take turns know one clock, but each from its last answer. So theirs ascend to within that.
        let before = self.expected.names.last();
        if let Some(before) = before.filter(|_| self.peers.is_empty()) {
            assert!(
                upload.id().to_string() > before.id().to_string(),
                "ids must ascend"
            );
        }
        let info = self.fixture.store.upload(&upload).unwrap();
        assert_eq!((&info.upload, &info.metadata), (&upload, &metadata));
        self.expected.initiate(info);
    }

    fn initiate_refused(&self) {
        let store = &self.fixture.store;
        assert_eq!(code(store.initiate_upload("")), "InvalidArgument");
        assert_eq!(code(store.initiate_upload("a\0b")), "InvalidArgument");
        assert_eq!(code(store.initiate_upload("k".repeat(1025))), "KeyTooLong");
        assert_eq!(
            code(store.initiate_upload_with("a", &[0; 8193])),
            "MetadataTooLarge"
        );
    }

    fn look(&self, upload: &Upload) {
        let store = &self.fixture.store;
        match self.expected.open(upload) {
            Some(entry) => assert_eq!(store.upload(upload).unwrap(), entry.info),
            None => assert_eq!(code(store.upload(upload)), "NoSuchUpload"),
        }
        match self
            .expected
            .completed(upload)
            .and_then(|entry| entry.object.as_ref())
        {
            Some((_, object)) => assert_eq!(&store.object(upload).unwrap(), object),
            None => assert_eq!(code(store.object(upload)), "NoSuchKey"),
        }
    }

    fn abort(&mut self, upload: &Upload) {
        let answer = self.fixture.store.abort_upload(upload);
        if self.expected.abort(upload) {
            answer.unwrap();
        } else {
            assert_eq!(code(answer), "NoSuchUpload");
        }
    }

    fn remove_object(&mut self, object: &Upload) {
        let answer = self.fixture.store.remove_object(object);
        if self.expected.remove(object) {
            answer.unwrap();
        } else {
            assert_eq!(code(answer), "NoSuchKey");
        }
    }

    fn expire_all(&mut self) {
        let newest = self
            .expected
            .open_uploads()
            .map(|entry| entry.info.initiated_at)
            .max();
        // An upload expires when it is older than the age, by the millisecond.
        let next = newest.map(|newest| newest + Duration::from_millis(2));
        while next.is_some_and(|next| SystemTime::now() < next) {
            std::thread::yield_now();
        }
        let open = self.expected.open_uploads().count() as u64;
        assert_eq!(
            self.fixture.store.expire_uploads(Duration::ZERO).unwrap(),
            open
        );
        self.expected.abort_all();
    }

    fn reopen(&mut self, how: Reopen) {
        if matches!(how, Reopen::Killed | Reopen::KilledWithoutIndex) {
            let open = self.expected.open_uploads().next();
            let _half = open.map(|entry| self.half_a_body(&entry.info.upload));
            let crashed = self.fixture.engine.crashed();
            self.fixture.store.close().unwrap();
            self.fixture.engine = crashed;
        } else {
            self.fixture.store.close().unwrap();
        }
        if matches!(how, Reopen::WithoutIndex | Reopen::KilledWithoutIndex) {
            self.fixture.engine.lose_index();
        }
        let options = self.fixture.options.clone();
        // A crash is one of every process.
        self.peers = self.fixture.engine.open_peers(&options).unwrap();
        self.fixture.store = self.fixture.engine.open(options).unwrap();
        let opened = match how {
            Reopen::Clean => Opened::Closed,
            Reopen::WithoutIndex => Opened::WithoutIndex,
            Reopen::Killed | Reopen::KilledWithoutIndex => Opened::Crashed,
        };
        let store = &self.fixture.store;
        self.fixture.engine.check_recovery(store, opened);
    }
}
