//! The process that is killed: threads that make all kinds of calls, and say so before and after.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::{
    CompletedPart, Error, ListObjects, ListParts, ListUploads, PartOptions, PartStore, Result,
    Upload,
};

use super::log::{Log, What};
use super::{ExitOnPanic, options, parse};
use crate::fixture::{Random, bytes, number, race};

/// In case that nobody kills it.
const AT_MOST: Duration = Duration::from_secs(60);
/// Above this many open uploads none is added.
const UPLOADS: usize = 24;
const PARTS: usize = 4;

/// The body of a part, by its seed: some are empty, some have several blocks.
pub fn body(seed: u64) -> Vec<u8> {
    let len = match seed % 16 {
        0 => 0,
        1 => 300_000,
        _ => 50 + seed % 4000,
    };
    bytes(seed, usize::try_from(len).unwrap())
}

pub fn work(role: &str) {
    let _exit = ExitOnPanic;
    let (seed, dir) = parse(role);
    let log = Log::append(&dir.join("log"));
    log.say("opening");
    let store = options().open(dir.join("data")).unwrap();
    let uploads = store.list_uploads(&ListUploads::new()).unwrap().uploads;
    let objects = store.list_objects(&ListObjects::new()).unwrap().objects;
    let work = Work {
        uploads: Mutex::new(uploads.into_iter().map(|info| info.upload).collect()),
        objects: Mutex::new(objects.into_iter().map(|object| object.upload).collect()),
        store,
        log,
        name: format!("{seed:x}"),
    };
    let threads = 4 + Random::new(seed).below(5);
    race(threads, |thread| {
        let _exit = ExitOnPanic;
        let mut random = Random::new(seed.wrapping_add(thread as u64));
        let began = Instant::now();
        for at in 0.. {
            work.step(&mut random, &format!("{}-{thread}-{at}", work.name));
            assert!(began.elapsed() < AT_MOST, "nobody kills this process");
        }
    });
}

/// What the threads share. They do not keep out of each other's uploads.
struct Work {
    store: PartStore,
    log: Log,
    uploads: Mutex<Vec<Upload>>,
    objects: Mutex<Vec<Upload>>,
    name: String,
}

impl Work {
    fn step(&self, random: &mut Random, key: &str) {
        let upload = random.pick(&self.uploads.lock()).cloned();
        let object = random.pick(&self.objects.lock()).cloned();
        match (random.below(100), upload, object) {
            (0..12, ..) | (_, None, _) if self.uploads.lock().len() < UPLOADS => self.initiate(key),
            (0..60, Some(upload), _) => self.put(&upload, random),
            (60..65, Some(upload), _) => self.put_other_bytes(&upload, random),
            (65..73, Some(upload), _) => self.complete(&upload, random),
            (73..77, Some(upload), _) => self.abort(&upload),
            (77..84, _, Some(object)) => self.remove(&object),
            (84..88, ..) => drop(self.store.sweep().unwrap()),
            (88..90, ..) => drop(self.store.maintain().unwrap()),
            (_, _, Some(object)) => self.read(&object),
            _ => drop(self.store.list_uploads(&ListUploads::new()).unwrap()),
        }
    }

    fn initiate(&self, key: &str) {
        let initiate = || self.store.initiate_upload_with(key, bytes(3, 50));
        let upload = self.log.call(key, &What::Initiate, initiate);
        self.uploads.lock().extend(upload);
    }

    /// Half of the bodies are those of others, too.
    fn put(&self, upload: &Upload, random: &mut Random) {
        let seed = match random.below(2) {
            0 => random.next() % 40,
            _ => random.next(),
        };
        let at = 1 + random.below(PARTS);
        let what = What::Put {
            number: u16::try_from(at).unwrap(),
            seed,
        };
        let at = number(u32::try_from(at).unwrap());
        let is_streamed = random.below(3) == 0;
        self.log.call(upload.key(), &what, || {
            if !is_streamed {
                return self.store.put_part(upload, at, body(seed));
            }
            let mut writer = self.store.part_writer(upload, at, PartOptions::new())?;
            for piece in body(seed).chunks(100_000) {
                let written = writer.write_all(piece);
                written.map_err(|error| Error::from_io(error).unwrap())?;
            }
            writer.finish()
        });
    }

    fn put_other_bytes(&self, upload: &Upload, random: &mut Random) {
        // Not empty, which is what this is the digest of.
        let seed = random.next() | 1;
        let options = PartOptions::new()
            .content_md5("1B2M2Y8AsgTpgAmY7PhCfg==")
            .unwrap();
        let what = What::Put { number: 1, seed };
        let put = || {
            self.store
                .put_part_with(upload, number(1), body(seed), options)
        };
        assert!(self.log.call(upload.key(), &what, put).is_none());
    }

    /// With all parts or some of them.
    fn complete(&self, upload: &Upload, random: &mut Random) {
        let Ok(page) = self.store.list_parts(upload, &ListParts::new()) else {
            return;
        };
        let mut parts = page.parts;
        parts.retain(|_| random.below(4) > 0);
        if parts.is_empty() {
            return;
        }
        let lines: Vec<_> = parts.iter().map(CompletedPart::from).collect();
        let parts = parts.iter();
        let parts = parts.map(|part| (part.number.get(), part.etag.to_string()));
        let complete = || self.store.complete_upload(upload, &lines);
        if let Some(object) =
            self.log
                .call(upload.key(), &What::Complete(parts.collect()), complete)
        {
            self.forget(upload);
            self.objects.lock().push(object.upload);
        }
    }

    fn abort(&self, upload: &Upload) {
        self.forget(upload);
        let abort = || self.store.abort_upload(upload);
        self.log.call(upload.key(), &What::Abort, abort);
    }

    fn remove(&self, object: &Upload) {
        self.objects.lock().retain(|other| other != object);
        let remove = || self.store.remove_object(object);
        self.log.call(object.key(), &What::Remove, remove);
    }

    fn read(&self, object: &Upload) {
        let read = || -> Result<()> {
            let mut reader = self.store.open_object(object)?;
            let outcome = reader.read_to_end(&mut Vec::new());
            outcome.map_err(|error| Error::from_io(error).unwrap())?;
            Ok(())
        };
        let outcome = read();
        assert!(
            matches!(outcome, Ok(()) | Err(Error::NoSuchObject { .. })),
            "{outcome:?}"
        );
    }

    fn forget(&self, upload: &Upload) {
        self.uploads.lock().retain(|other| other != upload);
    }
}
