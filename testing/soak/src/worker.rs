//! [`Worker`]: a client with keys of its own. It knows what each of them may hold, and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::client::{Answer, Call, Client};
use crate::content::{self, Content, Object};
use crate::shared::{Order, Shared};

const KEYS: usize = 8;
const UPLOADS: usize = 3;
/// Bodies with these seeds are put again and again.
const COMMON: u64 = 24;
const GLANCE: Duration = Duration::from_millis(10);
/// Room comes back sooner than that.
const LONG: Duration = Duration::from_mins(5);

/// What a key may hold. More than one possibility remains while a call has no answer.
struct Key {
    name: String,
    possible: Vec<Option<Object>>,
}

struct Upload {
    key: usize,
    id: String,
    /// How many parts it shall have.
    parts: u16,
    /// What was put under each number. More than one content remains while a put has no answer.
    put: BTreeMap<u16, Vec<Content>>,
    ending: Option<Ending>,
}

/// An end that was asked for, and not answered.
enum Ending {
    /// With this object.
    Complete(Object),
    Abort,
}

enum Said {
    Yes(Answer),
    /// A refusal that a full disk does not explain.
    No(Answer),
    /// No answer, or none that says what was done.
    Unknown,
}

pub struct Worker<'a> {
    shared: &'a Shared,
    client: Client,
    random: Rng,
    pause: Duration,
    keys: Vec<Key>,
    uploads: Vec<Upload>,
}

impl<'a> Worker<'a> {
    pub fn new(shared: &'a Shared, client: Client, number: usize, seed: u64) -> Self {
        let key = |key| Key {
            name: format!("{:?}/{number}/{key}", client.protocol),
            possible: vec![None],
        };
        Self {
            shared,
            keys: (0..KEYS).map(key).collect(),
            client,
            random: Rng::with_seed(seed ^ (number as u64) << 32),
            pause: Duration::from_millis(120),
            uploads: Vec::new(),
        }
    }

    /// Obeys orders until the last one.
    pub fn run(mut self) {
        let mut done = 0;
        loop {
            let (number, order) = self.shared.ordered();
            if order == Order::Work {
                self.step();
                std::thread::sleep(self.pause.mul_f64(self.random.f64() * 2.0));
                continue;
            }
            if number == done {
                std::thread::sleep(GLANCE);
                continue;
            }
            match order {
                Order::Check(reopened) => self.check(reopened),
                Order::Remove => self.remove(),
                Order::Work | Order::Rest => {}
            }
            done = number;
            self.shared.is_done();
            if order == Order::Remove {
                return;
            }
        }
    }

    fn step(&mut self) {
        if let Some(at) = self.uploads.iter().position(|open| open.ending.is_some()) {
            self.end(at);
            return;
        }
        let key = self.random.usize(..KEYS);
        match self.random.u8(..100) {
            0..40 => self.read(key, false),
            40..55 => self.put(key),
            55..62 => self.delete(key),
            _ => self.upload(key),
        }
    }

    /// Sends, and measures. A server that is up and has room must answer what it is asked.
    fn send(&self, call: Call<'_>, body: &[u8]) -> Said {
        let generation = self.shared.wait_until_up();
        let began = Instant::now();
        let sent = self.client.send(call, body);
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let excused = !self.shared.is_still(generation);
        let answer = match sent {
            Ok(answer) => answer,
            Err(_) if excused => return Said::Unknown,
            Err(error) => {
                self.complain(call, &format!("no answer: {error}"));
                return Said::Unknown;
            }
        };
        let mut measured = self.shared.measured.lock();
        match answer.status {
            200..300 => {
                measured.bytes += (body.len() + answer.body.len()) as u64;
                if matches!(call, Call::Get(_)) {
                    measured.reads_ms.push(took);
                } else {
                    measured.writes_ms.push(took);
                }
                Said::Yes(answer)
            }
            503 | 507
                if !matches!(call, Call::Get(_) | Call::List) && self.shared.may_be_full() =>
            {
                measured.refused += 1;
                Said::Unknown
            }
            500.. => {
                drop(measured);
                if !excused {
                    self.complain(call, &format!("{}: {}", answer.status, answer.text()));
                }
                Said::Unknown
            }
            _ => Said::No(answer),
        }
    }

    fn complain(&self, call: Call<'_>, what: &str) {
        let protocol = self.client.protocol;
        self.shared
            .violation(format!("{protocol:?} {call:?}: {what}"));
    }

    fn refused(&self, call: Call<'_>, answer: &Answer) {
        self.complain(
            call,
            &format!("refused, {}: {}", answer.status, answer.text()),
        );
    }

    fn acknowledged(&self) {
        use std::sync::atomic::Ordering;
        self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    fn content(&mut self, len: usize) -> Content {
        let seed = if self.random.u8(..4) == 0 {
            self.random.u64(..COMMON)
        } else {
            self.random.u64(..)
        };
        Content { seed, len }
    }

    /// Reads a key and compares. What was found after a restart is what it holds from now on.
    fn read(&mut self, key: usize, settle: bool) {
        let call = Call::Get(&self.keys[key].name);
        let found = match self.send(call, b"") {
            Said::Yes(answer) => Some(answer.body),
            Said::No(answer) if answer.status == 404 => None,
            Said::No(answer) => return self.refused(call, &answer),
            Said::Unknown => return,
        };
        let is_it = |possible: &&Option<Object>| match (possible, &found) {
            (Some(object), Some(found)) => content::bytes(object) == *found,
            (None, None) => true,
            _ => false,
        };
        // The newest is the likeliest.
        let which = self.keys[key].possible.iter().rev().find(is_it).cloned();
        match which {
            Some(which) if settle => self.keys[key].possible = vec![which],
            Some(_) => {}
            None => self.complain(call, &self.unexpected(key, found.as_deref())),
        }
    }

    fn unexpected(&self, key: usize, found: Option<&[u8]>) -> String {
        let found = found.map_or("nothing".to_owned(), |found| {
            format!(
                "{} bytes with the MD5 {}",
                found.len(),
                content::etag(found)
            )
        });
        let mut text = format!("found {found}, which is none of");
        for possible in &self.keys[key].possible {
            let _ = match possible {
                None => write!(text, " [nothing]"),
                Some(object) => {
                    let bytes = content::bytes(object);
                    write!(text, " [{} bytes, {}]", bytes.len(), content::etag(&bytes))
                }
            };
        }
        text
    }

    fn put(&mut self, key: usize) {
        let len = match self.random.u8(..10) {
            0 => 0,
            1..8 => self.random.usize(..200_000),
            _ => self.random.usize(..3_000_000),
        };
        let content = self.content(len);
        let name = self.keys[key].name.clone();
        let call = Call::Put(&name);
        match self.send(call, &content.bytes()) {
            Said::Yes(_) => {
                self.acknowledged();
                self.keys[key].possible = vec![Some(vec![content])];
            }
            Said::No(answer) => self.refused(call, &answer),
            Said::Unknown => self.keys[key].possible.push(Some(vec![content])),
        }
    }

    fn delete(&mut self, key: usize) {
        let name = self.keys[key].name.clone();
        let call = Call::Delete(&name);
        match self.send(call, b"") {
            Said::Yes(_) => {
                self.acknowledged();
                self.keys[key].possible = vec![None];
            }
            // COS and S3 say 204 of what does not exist, too.
            Said::No(answer) => self.refused(call, &answer),
            Said::Unknown => self.keys[key].possible.push(None),
        }
    }

    /// One step of a multipart upload.
    fn upload(&mut self, key: usize) {
        if self.uploads.len() < UPLOADS && self.random.bool() {
            return self.initiate(key);
        }
        if self.uploads.is_empty() {
            return;
        }
        let at = self.random.usize(..self.uploads.len());
        let open = &self.uploads[at];
        let is_whole = (1..=open.parts).all(|number| is_known(open, number));
        match self.random.u8(..10) {
            0..=7 if is_whole => {
                let parts = (1..=open.parts).map(|number| open.put[&number][0]);
                self.uploads[at].ending = Some(Ending::Complete(parts.collect()));
                self.end(at);
            }
            8 if self.random.bool() => {
                self.uploads[at].ending = Some(Ending::Abort);
                self.end(at);
            }
            _ => self.put_part(at),
        }
    }

    fn initiate(&mut self, key: usize) {
        let name = self.keys[key].name.clone();
        let call = Call::Initiate(&name);
        match self.send(call, b"") {
            Said::Yes(answer) => {
                let parts = self.random.u16(1..=3);
                match answer.elements("UploadId").pop() {
                    Some(id) => self.uploads.push(Upload {
                        key,
                        id,
                        parts,
                        put: BTreeMap::new(),
                        ending: None,
                    }),
                    None => self.complain(call, "no id"),
                }
            }
            Said::No(answer) => self.refused(call, &answer),
            Said::Unknown => {}
        }
    }

    /// A part that is missing, in any order, or one again.
    fn put_part(&mut self, at: usize) {
        let open = &self.uploads[at];
        let missing: Vec<u16> = (1..=open.parts)
            .filter(|number| !is_known(open, *number))
            .collect();
        let number = match self.random.choice(missing) {
            Some(number) if self.random.u8(..5) > 0 => number,
            _ => self.random.u16(1..=open.parts),
        };
        let is_last = number == open.parts;
        let len = if is_last {
            self.random.usize(1..300_000)
        } else {
            self.client.protocol.min_part() + self.random.usize(..100_000)
        };
        let content = self.content(len);
        let (name, id) = (
            self.keys[self.uploads[at].key].name.clone(),
            self.uploads[at].id.clone(),
        );
        let call = Call::PutPart(&name, &id, number);
        let bytes = content.bytes();
        match self.send(call, &bytes) {
            Said::Yes(answer) => {
                self.acknowledged();
                if answer.etag != content::etag(&bytes) {
                    self.complain(call, &format!("the ETag {}", answer.etag));
                }
                self.uploads[at].put.insert(number, vec![content]);
            }
            Said::No(answer) => self.refused(call, &answer),
            Said::Unknown => {
                let put = self.uploads[at].put.entry(number).or_default();
                // What was there before may be nothing: then one content is not known, either.
                put.push(content);
                put.push(content);
            }
        }
    }

    /// Ends an upload, again and again until there is an answer. The same completion again has the same answer.
    fn end(&mut self, at: usize) {
        let (key, id) = (self.uploads[at].key, self.uploads[at].id.clone());
        let name = self.keys[key].name.clone();
        let completed = match &self.uploads[at].ending {
            Some(Ending::Complete(object)) => Some(object.clone()),
            _ => None,
        };
        let (call, body) = match &completed {
            Some(object) => (Call::Complete(&name, &id), list_of(object)),
            None => (Call::Abort(&name, &id), String::new()),
        };
        match (self.send(call, body.as_bytes()), completed) {
            // A completion may fail after its status was sent.
            (Said::Yes(answer), Some(_)) if answer.text().contains("<Error>") => {
                self.complain(call, &answer.text());
            }
            (Said::Yes(_), completed) => {
                self.acknowledged();
                self.uploads.swap_remove(at);
                if let Some(object) = completed {
                    self.keys[key].possible = vec![Some(object)];
                }
            }
            // The first time it had been done, and its answer was lost.
            (Said::No(answer), None) if answer.status == 404 => {
                self.uploads.swap_remove(at);
            }
            (Said::No(answer), _) => {
                self.refused(call, &answer);
                self.uploads.swap_remove(at);
            }
            (Said::Unknown, completed) => {
                let possible = &mut self.keys[key].possible;
                if completed.is_some() && !possible.contains(&completed) {
                    possible.push(completed);
                }
            }
        }
    }

    /// Reads all keys. The listing has those that exist, and no others.
    fn check(&mut self, reopened: bool) {
        for key in 0..KEYS {
            self.read(key, reopened);
        }
        let listed = match self.send(Call::List, b"") {
            Said::Yes(answer) => answer.elements("Key"),
            Said::No(answer) => return self.refused(Call::List, &answer),
            Said::Unknown => return,
        };
        for key in &self.keys {
            let is_listed = listed.contains(&key.name);
            if !key
                .possible
                .iter()
                .any(|possible| possible.is_some() == is_listed)
            {
                let what = format!("{} is listed: {is_listed}", key.name);
                self.complain(Call::List, &what);
            }
        }
    }

    /// Removes everything, again and again until each call has an answer.
    fn remove(&mut self) {
        let began = Instant::now();
        let is_late = || began.elapsed() > LONG;
        while let Some(last) = self.uploads.len().checked_sub(1) {
            if is_late() {
                let open = &self.uploads[last];
                let call = Call::Abort(&self.keys[open.key].name, &open.id);
                return self.complain(call, "it is refused for ever");
            }
            self.uploads[last].ending.get_or_insert(Ending::Abort);
            self.end(last);
        }
        for key in 0..KEYS {
            self.keys[key].possible.push(None);
            while self.keys[key].possible.len() > 1 {
                if is_late() {
                    let call = Call::Delete(&self.keys[key].name);
                    return self.complain(call, "it is refused for ever");
                }
                self.delete(key);
            }
            self.read(key, false);
        }
    }
}

/// Whether it is certain what a number has.
fn is_known(open: &Upload, number: u16) -> bool {
    open.put.get(&number).is_some_and(|put| put.len() == 1)
}

fn list_of(object: &[Content]) -> String {
    let line = |(number, part): (u16, &Content)| {
        let etag = content::etag(&part.bytes());
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let lines: String = (1..).zip(object).map(line).collect();
    format!("<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>")
}
