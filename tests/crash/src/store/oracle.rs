//! What a store may hold after a crash, and what it must.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use partstore::{ETag, IndexRecovery, ListUploads, Part, PartStore, Scope, Upload};

use super::history::{Action, Body, Call, History, Outcome, number_of};
use super::options;
use crate::shim;
use crate::subject::{Moment, PROBED, SEEN, UNPROBED};

/// The key of the upload by which the check itself sees that the store works.
const PROBE: &str = "probe";
const PROBE_PARTS: u16 = 12;
const PROBE_BODY: Body = Body { id: 999, len: 3000 };

/// What a store shows.
type View = BTreeMap<String, Seen>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Open(BTreeMap<u16, Body>),
    Object(Vec<(u16, Body)>),
}

/// Opens the store and asks everything that a user can ask.
pub fn check(dir: &Path, history: &History, moment: &Moment) -> Result<String, String> {
    let judge = Judge::new(history, moment);
    if !dir.exists() && judge.may_be_absent() {
        shim::ack(SEEN);
        return Ok("{}".to_owned());
    }
    let store = open(dir)?;
    let view = judge.view(&store)?;
    judge.judge(&view)?;
    if judge.closed() && matches!(store.recovery().index, IndexRecovery::Rebuilt { .. }) {
        return Err(format!(
            "after a clean close the index was not believed: {:?}",
            store.recovery().index
        ));
    }
    shim::ack(SEEN);
    verify(&store)?;
    tidy(dir, &store)?;
    probe(&store)?;
    let after = judge.view(&store)?;
    same("after a sweep and a put", &view, &after)?;
    close(&store)?;

    let store = open(dir)?;
    same("after the second open", &view, &judge.view(&store)?)?;
    tidy(dir, &store)?;
    close(&store)?;
    Ok(format!("{view:?}"))
}

fn open(dir: &Path) -> Result<PartStore, String> {
    options()
        .open(dir)
        .map_err(|error| format!("the store does not open: {}", chain(&error)))
}

fn close(store: &PartStore) -> Result<(), String> {
    said("close", store.close())
}

fn said<T>(what: &str, result: Result<T, partstore::Error>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {}", chain(&error)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

fn same(when: &str, before: &View, after: &View) -> Result<(), String> {
    if before == after {
        return Ok(());
    }
    Err(format!(
        "{when} it shows\n  {after:?}\ninstead of\n  {before:?}"
    ))
}

fn verify(store: &PartStore) -> Result<(), String> {
    let report = said("verify", store.verify(Scope::Everything))?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(format!("verify finds {report:?}"))
    }
}

/// After a sweep nothing lies there that nothing refers to (I7).
fn tidy(dir: &Path, store: &PartStore) -> Result<(), String> {
    said("sweep", store.sweep())?;
    let stats = said("stats", store.stats())?;
    let mut blobs = 0;
    for prefix in names(&dir.join("blobs")) {
        blobs += names(&dir.join("blobs").join(prefix)).len() as u64;
    }
    let staged = names(&dir.join("staging"));
    if (blobs, stats.garbage) != (stats.blobs, 0) || !staged.is_empty() {
        return Err(format!(
            "after a sweep there are {blobs} blob files for {} blobs, {} of them garbage, and {} staged files",
            stats.blobs,
            stats.garbage,
            staged.len()
        ));
    }
    Ok(())
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The store works: an upload can be made, written, read and aborted.
fn probe(store: &PartStore) -> Result<(), String> {
    let upload = said("a further upload", store.initiate_upload(PROBE))?;
    let number = number_of(1);
    // More than one, so that the journal goes on to its next segment.
    for number in 1..=PROBE_PARTS {
        said(
            "a further part",
            store.put_part(&upload, number_of(number), PROBE_BODY.bytes()),
        )?;
    }
    let mut bytes = Vec::new();
    said("reading it", store.open_part(&upload, number))?
        .read_to_end(&mut bytes)
        .map_err(|error| format!("reading it: {error}"))?;
    if bytes != PROBE_BODY.bytes() {
        return Err("a further part reads as other bytes".to_owned());
    }
    shim::ack(PROBED);
    shim::begin(UNPROBED);
    said("aborting it", store.abort_upload(&upload))
}

/// Knows the history up to the crash.
struct Judge<'a> {
    calls: Vec<(usize, &'a Call)>,
    moment: &'a Moment,
    bodies: HashMap<ETag, Body>,
}

impl<'a> Judge<'a> {
    fn new(history: &'a History, moment: &'a Moment) -> Self {
        let calls: Vec<_> = history
            .calls
            .iter()
            .enumerate()
            .filter(|(call, _)| moment.begun(*call))
            .collect();
        let bodies = calls.iter().filter_map(|(_, call)| match &call.action {
            Action::Put { body, .. } => Some((body.etag(), *body)),
            _ => None,
        });
        Self {
            bodies: bodies.chain([(PROBE_BODY.etag(), PROBE_BODY)]).collect(),
            calls,
            moment,
        }
    }

    /// Nothing was acknowledged yet.
    fn may_be_absent(&self) -> bool {
        !self.moment.probed && !self.calls.iter().any(|(call, _)| self.moment.acked(*call))
    }

    /// Whether the last thing that happened was a clean close.
    fn closed(&self) -> bool {
        !self.moment.reopened
            && self
                .calls
                .last()
                .is_some_and(|(call, what)| what.action == Action::Close && self.done(*call, what))
    }

    /// Whether the call had returned `Ok`.
    fn done(&self, call: usize, what: &Call) -> bool {
        what.outcome == Outcome::Ok && self.moment.acked(call)
    }

    /// Whether the call may have had an effect: it was not refused, as far as anybody knows.
    fn may_count(what: &Call) -> bool {
        !matches!(what.outcome, Outcome::Refused(_))
    }

    /// Everything that the store shows, but for the probe.
    fn view(&self, store: &PartStore) -> Result<View, String> {
        let (mut view, mut probed) = (View::new(), false);
        let mut add = |upload: &Upload, seen| {
            if upload.key() != PROBE && view.insert(upload.key().to_owned(), seen).is_some() {
                return Err(format!("{} is there twice", upload.key()));
            }
            Ok(())
        };
        let uploads = said("list_uploads", store.list_uploads(&ListUploads::new()))?;
        for info in uploads.uploads {
            let page = said("list_parts", store.list_parts(&info.upload, 0, 1000))?;
            let mut parts = BTreeMap::new();
            for part in page.parts {
                let reader = said("open_part", store.open_part(&info.upload, part.number))?;
                parts.insert(part.number.get(), self.body_of(&part, reader)?);
            }
            let all = parts.len() == usize::from(PROBE_PARTS);
            probed |= info.upload.key() == PROBE && all;
            add(&info.upload, Seen::Open(parts))?;
        }
        for object in said("list_objects", store.list_objects(None, 1000))?.objects {
            let reader = said("open_object", store.open_object(&object.upload))?;
            let mut parts = Vec::new();
            for placed in reader.parts() {
                let one = said("part of an object", reader.part(placed.part.number))?;
                parts.push((placed.part.number.get(), self.body_of(&placed.part, one)?));
            }
            add(&object.upload, Seen::Object(parts))?;
        }
        if self.moment.probed && !probed {
            return Err("the part that the first check put is lost".to_owned());
        }
        Ok(view)
    }

    /// The body that a part holds: its bytes are read, all of them.
    fn body_of(&self, part: &Part, mut reader: impl Read) -> Result<Body, String> {
        let body = self.bodies.get(&part.etag);
        let body = *body.ok_or_else(|| format!("nobody put {part:?}"))?;
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| format!("reading {body:?}: {}", chain(&error)))?;
        if bytes == body.bytes() && part.size == u64::from(body.len) {
            Ok(body)
        } else {
            Err(format!("{body:?} reads as other bytes"))
        }
    }

    fn judge(&self, view: &View) -> Result<(), String> {
        let known: BTreeSet<&str> = self
            .calls
            .iter()
            .filter_map(|(_, call)| call.action.key())
            .collect();
        if let Some(foreign) = view.keys().find(|key| !known.contains(key.as_str())) {
            return Err(format!("nobody initiated {foreign}"));
        }
        for key in known {
            let calls: Vec<_> = self
                .calls
                .iter()
                .copied()
                .filter(|(_, call)| call.action.key() == Some(key) && Self::may_count(call))
                .collect();
            self.judge_upload(&calls, view.get(key)).map_err(|reason| {
                let told: Vec<_> = calls
                    .iter()
                    .map(|(call, what)| format!("{:?}: {what:?}", self.moment.of(*call)))
                    .collect();
                format!("{key}: {reason}\n  {}", told.join("\n  "))
            })?;
        }
        Ok(())
    }

    fn judge_upload(&self, calls: &[(usize, &Call)], seen: Option<&Seen>) -> Result<(), String> {
        let any = |what: &dyn Fn(&Action) -> bool| calls.iter().any(|(_, call)| what(&call.action));
        let done = |what: &dyn Fn(&Action) -> bool| {
            calls
                .iter()
                .any(|(at, call)| what(&call.action) && self.done(*at, call))
        };
        let initiate = |action: &Action| matches!(action, Action::Initiate { .. });
        let abort = |action: &Action| matches!(action, Action::Abort { .. });
        let complete = |action: &Action| matches!(action, Action::Complete { .. });
        let remove = |action: &Action| matches!(action, Action::Remove { .. });
        match seen {
            None if done(&initiate) && !any(&abort) && !any(&remove) => {
                Err("it is lost".to_owned())
            }
            None => Ok(()),
            Some(_) if done(&abort) => Err("it was aborted and is there".to_owned()),
            Some(_) if done(&remove) => Err("it was removed and is there".to_owned()),
            Some(Seen::Open(_)) if done(&complete) => {
                Err("it was completed and is open".to_owned())
            }
            Some(Seen::Open(parts)) => self.judge_parts(calls, parts),
            Some(Seen::Object(found)) => {
                let lists = calls.iter().filter_map(|(at, call)| match &call.action {
                    Action::Complete { parts, .. } => Some((self.done(*at, call), parts)),
                    _ => None,
                });
                let (sure, maybe): (Vec<_>, Vec<_>) = lists.partition(|(done, _)| *done);
                let allowed = if sure.is_empty() { maybe } else { sure };
                if allowed.iter().any(|(_, parts)| *parts == found) {
                    Ok(())
                } else {
                    Err(format!("the object has the parts {found:?}"))
                }
            }
        }
    }

    /// Each part is the last acknowledged one, or one that began later.
    fn judge_parts(
        &self,
        calls: &[(usize, &Call)],
        found: &BTreeMap<u16, Body>,
    ) -> Result<(), String> {
        let mut puts: BTreeMap<u16, Vec<(usize, Body, bool)>> = BTreeMap::new();
        for (at, call) in calls {
            if let Action::Put { number, body, .. } = &call.action {
                let done = self.done(*at, call);
                puts.entry(*number).or_default().push((*at, *body, done));
            }
        }
        if let Some(number) = found.keys().find(|number| !puts.contains_key(number)) {
            return Err(format!("nobody put part {number}"));
        }
        for (number, puts) in &puts {
            let overwritten = |put: usize| {
                puts.iter()
                    .any(|(later, _, done)| *done && self.moment.precedes(put, *later))
            };
            let found = found.get(number);
            let allowed = match found {
                None => !puts.iter().any(|(.., done)| *done),
                Some(found) => puts
                    .iter()
                    .any(|(put, body, _)| body == found && !overwritten(*put)),
            };
            if !allowed {
                return Err(format!("part {number} is {found:?}"));
            }
        }
        Ok(())
    }
}
