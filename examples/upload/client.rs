//! One upload, as a server would carry it out for its client.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partstore::{
    CompletedPart, ETag, Error, ListParts, Object, Part, PartNumber, PartOptions, PartStore, Upload,
};

use crate::Result;
use crate::show::{Progress, in_one_line};
use crate::source::Source;

/// A store, an upload in it, and the file that it is to hold.
pub struct Client<'a> {
    pub store: &'a PartStore,
    pub upload: &'a Upload,
    pub source: &'a Source,
    pub threads: u16,
    pub progress: &'a Progress,
}

impl Client<'_> {
    /// Puts parts, several at a time, roughly in the order of `numbers`.
    pub fn put_all(&self, numbers: &[PartNumber]) -> Result<()> {
        in_threads(self.threads, numbers, |number| self.put(number))
    }

    /// Puts one part: content, name and metadata are durable when this returns `Ok`.
    fn put(&self, number: PartNumber) -> Result<()> {
        let body = self.source.part(number);
        let declared = PartOptions::new().content_length(body.len());
        let body = self.progress.reads(body);
        let put = self
            .store
            .put_part_from(self.upload, number, body, declared);
        put.map_err(|error| format!("part {number}: {}", in_one_line(&error)))?;
        Ok(())
    }

    /// Puts other bytes under the number of a part, then the part again: the last put wins.
    pub fn replace(&self, number: PartNumber) -> Result<[Part; 2]> {
        let other = self
            .store
            .put_part(self.upload, number, "not what belongs here")?;
        let again = self.store.put_part_from(
            self.upload,
            number,
            self.source.part(number),
            PartOptions::new(),
        )?;
        Ok([other, again])
    }

    /// Sends a body that does not have its declared `Content-MD5`. Returns the refusal, after checking
    /// that the part with this number is unchanged.
    pub fn send_damaged(&self, number: PartNumber) -> Result<Error> {
        let before = self.listed(number)?;
        let Err(refusal) = self.receive_damaged(number) else {
            return Err(format!("part {number} was stored with a wrong digest").into());
        };
        if self.listed(number)? != before {
            return Err(format!("the refused body changed part {number}").into());
        }
        Ok(refusal)
    }

    /// What a server does with a request that says `Expect: 100-continue`.
    fn receive_damaged(&self, number: PartNumber) -> partstore::Result<Part> {
        let (sent, declared) = (b"some damaged bytes", ETag::from_md5([0xab; 16]));
        let declared = PartOptions::new()
            .content_length(sent.len() as u64)
            .content_md5(&STANDARD.encode(declared.as_bytes()))?;
        // All that can be refused without the body is refused here. A server answers `100 Continue` after it.
        let mut writer = self.store.part_writer(self.upload, number, declared)?;
        // A writer can only return an `io::Error`. The store's error is inside.
        let written = writer.write_all(sent);
        written.map_err(|error| match Error::from_io(error) {
            Ok(error) => error,
            Err(source) => Error::BodyUnreadable {
                received: 0,
                source,
            },
        })?;
        // Nothing is stored before this returns `Ok`.
        writer.finish()
    }

    /// The part that the store has under this number.
    fn listed(&self, number: PartNumber) -> Result<Option<Part>> {
        let before = u32::from(number.get() - 1);
        let page = self
            .store
            .list_parts(self.upload, &ListParts::new().marker(before).limit(1))?;
        Ok(page.parts.into_iter().find(|part| part.number == number))
    }

    /// All parts that the store has, page by page.
    pub fn list_all(&self) -> Result<Vec<Part>> {
        let (mut parts, mut after) = (Vec::new(), 0);
        loop {
            let page = self
                .store
                .list_parts(self.upload, &ListParts::new().marker(after))?;
            parts.extend(page.parts);
            match page.next {
                Some(last) => after = last.get().into(),
                None => return Ok(parts),
            }
        }
    }

    /// The numbers that must still be put: those that the store does not list with the size and the
    /// ETag of the file's own part. So a client can resume when it knows nothing but the upload.
    pub fn missing(&self, numbers: &[PartNumber]) -> Result<Vec<PartNumber>> {
        let listed: HashMap<PartNumber, Part> = self
            .list_all()?
            .into_iter()
            .map(|part| (part.number, part))
            .collect();
        let there = Mutex::new(HashSet::new());
        in_threads(self.threads, numbers, |number| {
            if let Some(part) = listed.get(&number)
                && part.size == self.source.part(number).len()
                && part.etag == self.source.etag(number)?
            {
                lock(&there).insert(number);
            }
            Ok(())
        })?;
        let there = lock(&there);
        let missing = numbers.iter().filter(|number| !there.contains(number));
        Ok(missing.copied().collect())
    }

    /// Makes an object of the parts, by number. No byte of them is moved.
    pub fn complete(&self) -> Result<Object> {
        let list: Vec<CompletedPart> = self.list_all()?.iter().map(CompletedPart::from).collect();
        Ok(self.store.complete_upload(self.upload, &list)?)
    }
}

/// The numbers in an order that looks random and is the same each time.
pub fn shuffled(numbers: &[PartNumber]) -> Vec<PartNumber> {
    let mut shuffled = numbers.to_vec();
    shuffled.sort_by_key(|number| *blake3::hash(&number.get().to_be_bytes()).as_bytes());
    shuffled
}

/// Does `job` for each number, in several threads. After a failure no further number is begun.
fn in_threads(
    threads: u16,
    numbers: &[PartNumber],
    job: impl Fn(PartNumber) -> Result<()> + Sync,
) -> Result<()> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let work = || {
        while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = job(*number) {
                lock(&failure).get_or_insert(error);
                next.store(numbers.len(), Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failure = lock(&failure).take();
    failure.map_or(Ok(()), Err)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // If a thread panics, the scope panics, too, and ends the program.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
