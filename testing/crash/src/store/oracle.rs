//! What a store may hold after a crash, and what it must.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::Path;

use md5::{Digest, Md5};
use partstore::{
    ETag, Error, IndexRecovery, ListObjects, ListParts, ListUploads, Object, Part, PartStore,
    Scope, Upload,
};
use partstore_model::history::{self, State, Successor, What};

use super::history::{Action, Body, Call, History, Outcome, number_of};
use super::keys::{self, Way};
use super::options;
use super::orders::{self, Event};
use crate::shim;
use crate::subject::{ADDED, CLOSED, Moment, PROBED, SEEN, Stage, UNPROBED};

/// The key of the upload by which the check itself sees that the store works: as long as those of the
/// workloads.
const PROBE: &str = "upload-0000";
const PROBE_PARTS: u16 = 12;
/// What the check puts.
pub const FURTHER: Body = Body { id: 999, len: 3000 };

/// What a store shows: its uploads, and what its keys find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    uploads: BTreeMap<String, State<Body>>,
    keys: keys::View,
    /// Uploads of completions that were cut off.
    of_keys: usize,
}

/// Opens the store and asks everything that a user can ask.
pub fn check(dir: &Path, history: &History, moment: &Moment) -> Result<String, String> {
    let mut judge = Judge::new(history, moment);
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
    // What is done first meets what the crash left; the second meets what the first has mended.
    if judge.probes_first() {
        judge.probe(&store)?;
        judge.verify(&store)?;
        judge.tidy(dir, &store)?;
    } else {
        judge.verify(&store)?;
        judge.tidy(dir, &store)?;
        judge.probe(&store)?;
    }
    let after = judge.view(&store)?;
    same("after a sweep and a put", &view, &after)?;
    close(&store)?;

    let store = open(dir)?;
    same("after the second open", &view, &judge.view(&store)?)?;
    judge.tidy(dir, &store)?;
    close(&store)?;
    shim::ack(CLOSED);
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

fn said<T>(what: &str, result: Result<T, Error>) -> Result<T, String> {
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

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The whole object as it follows from its parts: size, ETag and CRC-64 (R34).
fn is_made_of(object: &Object, parts: &[(u16, Body)]) -> bool {
    let mut digests = Md5::new();
    let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Xz);
    let mut size = 0;
    for (_, body) in parts {
        digests.update(body.etag().as_bytes());
        crc.update(&body.bytes());
        size += u64::from(body.len);
    }
    let md5 = ETag::from_md5(digests.finalize().into());
    object.size == size
        && object.checksums.crc64_xz() == Some(crc.finalize())
        && usize::from(object.parts) == parts.len()
        && object.etag.to_string() == format!("{md5}-{}", parts.len())
}

/// Knows the history up to the crash.
struct Judge<'a> {
    calls: Vec<(usize, &'a Call)>,
    moment: &'a Moment,
    bodies: HashMap<ETag, Body>,
    /// What the history calls an upload, by key and metadata.
    names: HashMap<(&'a str, Vec<u8>), &'a str>,
    /// Bodies whose files somebody has damaged and that were not put again since, and their files' names.
    damaged: BTreeMap<Body, &'a str>,
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
        let names = calls.iter().filter_map(|(_, call)| match &call.action {
            Action::Initiate {
                upload,
                key,
                metadata,
            } => Some(((key.as_str(), metadata.bytes()), upload.as_str())),
            _ => None,
        });
        let mut judge = Self {
            bodies: bodies.chain([(FURTHER.etag(), FURTHER)]).collect(),
            names: names.collect(),
            damaged: BTreeMap::new(),
            calls,
            moment,
        };
        judge.damaged = judge.damaged();
        judge
    }

    fn damaged(&self) -> BTreeMap<Body, &'a str> {
        let damages = self
            .calls
            .iter()
            .filter_map(|(at, call)| match &call.action {
                Action::Damage { body, content } => Some((*at, *body, content.as_str())),
                _ => None,
            });
        let put_again = |damage: usize, body: Body| {
            self.calls.iter().any(|(put, call)| {
                matches!(&call.action, Action::Put { body: again, .. } if *again == body)
                    && self.done(*put, call)
                    && self.moment.precedes(damage, *put)
            })
        };
        damages
            .filter(|(_, body, _)| *body != FURTHER || self.moment.stage < Stage::Probed)
            .filter(|(at, body, _)| !put_again(*at, *body))
            .map(|(_, body, content)| (body, content))
            .collect()
    }

    /// Each order is right for half of the states.
    fn probes_first(&self) -> bool {
        let mut hasher = DefaultHasher::new();
        self.moment.hash(&mut hasher);
        hasher.finish().is_multiple_of(2)
    }

    /// Metadata as long as that of the workload's last upload: then a frame of the check is as long as
    /// one of the workload, and what stands behind a torn tail would line up with it.
    fn metadata(&self) -> Vec<u8> {
        let last = self
            .calls
            .iter()
            .rev()
            .find_map(|(_, call)| match &call.action {
                Action::Initiate { metadata, .. } => Some(metadata.len),
                _ => None,
            });
        let (id, len) = (FURTHER.id, last.unwrap_or(0));
        Body { id, len }.bytes()
    }

    /// The store works: an upload can be made, written, read and aborted.
    fn probe(&mut self, store: &PartStore) -> Result<(), String> {
        let metadata = self.metadata();
        let made = store.initiate_upload_with(PROBE, &metadata);
        let upload = said("a further upload", made)?;
        shim::ack(ADDED);
        // More than one, so that the journal goes on to its next segment.
        for number in 1..=PROBE_PARTS {
            said(
                "a further part",
                store.put_part(&upload, number_of(number), FURTHER.bytes()),
            )?;
        }
        self.damaged.remove(&FURTHER);
        let mut bytes = Vec::new();
        said("reading it", store.open_part(&upload, number_of(1)))?
            .read_to_end(&mut bytes)
            .map_err(|error| format!("reading it: {error}"))?;
        if bytes != FURTHER.bytes() {
            return Err("a further part reads as other bytes".to_owned());
        }
        shim::ack(PROBED);
        shim::begin(UNPROBED);
        said("aborting it", store.abort_upload(&upload))
    }

    fn verify(&self, store: &PartStore) -> Result<(), String> {
        let report = said("verify", store.verify(Scope::Everything))?;
        let known = |hash: String| self.damaged.values().any(|content| *content == hash);
        let only_known = report
            .damaged
            .iter()
            .all(|blob| known(blob.hash.to_string()));
        if only_known && report.inconsistent.is_empty() {
            Ok(())
        } else {
            Err(format!("verify finds {report:?}"))
        }
    }

    /// After a sweep nothing lies there that nothing refers to (I7).
    fn tidy(&self, dir: &Path, store: &PartStore) -> Result<(), String> {
        said("sweep", store.sweep())?;
        let stats = said("stats", store.stats())?;
        let (mut blobs, blobs_dir) = (0, dir.join("blobs"));
        for prefix in names(&blobs_dir) {
            blobs += names(&blobs_dir.join(prefix)).len() as u64;
        }
        let file = |content: &str| blobs_dir.join(&content[..2]).join(content);
        let gone = self
            .damaged
            .values()
            .filter(|content| !file(content).exists());
        let least = stats.blobs.saturating_sub(gone.count() as u64);
        let staged = names(&dir.join("staging"));
        if !(least..=stats.blobs).contains(&blobs) || stats.garbage != 0 || !staged.is_empty() {
            return Err(format!(
                "after a sweep there are {blobs} blob files for {} blobs, {} of them garbage, and {} staged files",
                stats.blobs,
                stats.garbage,
                staged.len()
            ));
        }
        Ok(())
    }

    /// Whether the last thing that happened was a clean close.
    fn closed(&self) -> bool {
        let check_closed = self.moment.stage == Stage::Closed;
        let run_closed = || {
            self.calls
                .last()
                .is_some_and(|(call, what)| what.action == Action::Close && self.done(*call, what))
        };
        check_closed || !self.moment.reopened && run_closed()
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
        let (mut view, mut probed) = (View::default(), false);
        view.keys = keys::view(store, &self.of_keys())?;
        view.of_keys = keys::open_uploads(store)?;
        let mut objects_of_keys = 0_usize;
        let uploads = said("list_uploads", store.list_uploads(&ListUploads::new()))?;
        for info in uploads.uploads {
            if keys::is_key("", info.upload.key()) {
                view.of_keys += 1;
                continue;
            }
            let page = said(
                "list_parts",
                store.list_parts(&info.upload, &ListParts::new()),
            )?;
            let mut parts = BTreeMap::new();
            for part in page.parts {
                let open = || store.open_part(&info.upload, part.number);
                parts.insert(part.number.get(), self.body_of(&part, open)?);
            }
            let all = parts.len() == usize::from(PROBE_PARTS);
            probed |= info.upload.key() == PROBE && all;
            self.add(&mut view, &info.upload, &info.metadata, State::Open(parts))?;
        }
        for object in said("list_objects", store.list_objects(&ListObjects::new()))?.objects {
            if keys::is_key(object.upload.namespace(), object.upload.key()) {
                objects_of_keys += 1;
                continue;
            }
            let reader = said("open_object", store.open_object(&object.upload))?;
            let mut parts = Vec::new();
            for placed in reader.parts() {
                let placed = said("parts", placed)?;
                let open = || reader.part(placed.part.number);
                parts.push((placed.part.number.get(), self.body_of(&placed.part, open)?));
            }
            if *reader.object() != object || !is_made_of(&object, &parts) {
                return Err(format!("it does not follow from its parts: {object:?}"));
            }
            self.add(
                &mut view,
                &object.upload,
                &object.metadata,
                State::Object(parts),
            )?;
        }
        let no_key = objects_of_keys.checked_sub(view.keys.count());
        if no_key.is_none_or(|number| number > self.cut_off_before_they_were_current()) {
            let found = view.keys.count();
            return Err(format!("{objects_of_keys} objects for {found} keys"));
        }
        if self.moment.stage == Stage::Probed && !probed {
            return Err("the part that the first check put is lost".to_owned());
        }
        Ok(view)
    }

    fn add(
        &self,
        view: &mut View,
        upload: &Upload,
        metadata: &[u8],
        seen: State<Body>,
    ) -> Result<(), String> {
        let key = upload.key();
        if key == PROBE {
            return Ok(());
        }
        let len = metadata.len();
        let name = self.names.get(&(key, metadata.to_vec()));
        let name = name.ok_or_else(|| format!("nobody initiated {key} with these {len} bytes"))?;
        match view.uploads.insert((*name).to_owned(), seen) {
            Some(_) => Err(format!("{name} is there twice")),
            None => Ok(()),
        }
    }

    /// The body that a part holds: its bytes are read, all of them.
    fn body_of<R: Read>(
        &self,
        part: &Part,
        open: impl FnOnce() -> Result<R, Error>,
    ) -> Result<Body, String> {
        let body = self.bodies.get(&part.etag);
        let body = *body.ok_or_else(|| format!("nobody put {part:?}"))?;
        let mut bytes = Vec::new();
        let read = open().and_then(|mut reader| {
            let read = reader.read_to_end(&mut bytes);
            read.map_err(|error| Error::from_io(error).unwrap_or(Error::Closed))
        });
        match read {
            Err(Error::DamagedBlob { .. }) if self.damaged.contains_key(&body) => Ok(body),
            Err(error) => Err(format!("reading {body:?}: {}", chain(&error))),
            Ok(_) if bytes == body.bytes() && part.size == u64::from(body.len) => Ok(body),
            Ok(_) => Err(format!("{body:?} reads as other bytes")),
        }
    }

    /// The bodies that keys were to find.
    fn of_keys(&self) -> Vec<Body> {
        let bodies = self
            .calls
            .iter()
            .filter_map(|(_, call)| match &call.action {
                Action::SetKey { body, .. } => Some(*body),
                _ => None,
            });
        bodies.collect()
    }

    /// How many calls may have left an object that no key finds.
    fn cut_off_before_they_were_current(&self) -> usize {
        let cut_off = self.calls.iter().filter(|(at, call)| {
            let way = match &call.action {
                Action::SetKey { way, .. } => Some(*way),
                _ => None,
            };
            way == Some(Way::MakeCurrent) && !self.done(*at, call)
        });
        cut_off.count()
    }

    fn judge_keys(&self, view: &View) -> Result<(), String> {
        let may_count = self.calls.iter().filter(|(_, call)| Self::may_count(call));
        let events = may_count.filter_map(|(at, call)| {
            let span = self.moment.of(*at);
            Some(Event {
                action: &call.action,
                acknowledged: self.done(*at, call),
                begun: span.begun?,
                ended: span.acked,
            })
        });
        let events: Vec<_> = events.collect();
        orders::judge(&events, |group| view.keys.state_of(group))
    }

    fn judge(&self, view: &View) -> Result<(), String> {
        self.judge_keys(view)?;
        let known: BTreeSet<&str> = self
            .calls
            .iter()
            .filter_map(|(_, call)| call.action.upload())
            .collect();
        for name in known {
            let calls: Vec<_> = self
                .calls
                .iter()
                .copied()
                .filter(|(_, call)| call.action.upload() == Some(name) && Self::may_count(call))
                .collect();
            let upload = history::Upload {
                before: None,
                calls: &calls
                    .iter()
                    .filter_map(|(at, call)| self.known(*at, call))
                    .collect::<Vec<_>>(),
                successors: &self.successors(name, view),
            };
            upload.explain(view.uploads.get(name)).map_err(|reason| {
                let told: Vec<_> = calls
                    .iter()
                    .map(|(call, what)| format!("{:?}: {what:?}", self.moment.of(*call)))
                    .collect();
                format!("{name}: {reason}\n  {}", told.join("\n  "))
            })?;
        }
        Ok(())
    }

    /// What the model knows of a call, if it changes an upload.
    fn known(&self, at: usize, call: &Call) -> Option<history::Call<Body>> {
        let what = match &call.action {
            Action::Initiate { .. } => What::Initiate,
            Action::Put { number, body, .. } => What::Put {
                number: *number,
                body: *body,
            },
            Action::Complete { parts, .. } => What::Complete(parts.clone()),
            Action::Abort { .. } => What::Abort,
            Action::Remove { .. } => What::Remove,
            _ => return None,
        };
        let span = self.moment.of(at);
        Some(history::Call {
            what,
            acknowledged: self.done(at, call),
            begun: span.begun?,
            ended: span.acked,
        })
    }

    /// What has become of the completions that were to replace this object.
    fn successors(&self, object: &str, view: &View) -> Vec<Successor> {
        let may_count = || self.calls.iter().filter(|(_, call)| Self::may_count(call));
        let may_have_gone = |upload: &str| {
            may_count().any(|(_, call)| {
                let is_removal =
                    matches!(&call.action, Action::Remove { upload: of } if of == upload);
                is_removal || call.action.successor_of(upload).is_some()
            })
        };
        may_count()
            .filter_map(|(at, call)| {
                let upload = call.action.successor_of(object)?;
                let seen = view.uploads.get(upload);
                let is_there = matches!(seen, Some(State::Object(_)));
                Some(Successor {
                    acknowledged: self.done(*at, call),
                    is_there,
                    may_have_come: is_there || seen.is_none() && may_have_gone(upload),
                })
            })
            .collect()
    }
}
