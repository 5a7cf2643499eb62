//! The verbs. Each takes the lock once, checks what it depends on, and then changes what it changes.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use partstore::backend::{
    Algorithms, Catalog, Completing, Going, HeldObject, HeldPart, Hold, Names, NewBlob, NewObject,
    NewUpload, PartRow, PartsFrom, Renaming, StoredBlob,
};
use partstore::{
    Compared, Condition, ContentHash, DamagedBlob, Error, Key, KeyEntry, KeyPage, Namespace,
    NamespacePage, Object, ObjectETag, ObjectPage, ObjectPart, Part, PartNumber, PartPage, Quota,
    Result, Scope, Stats, SweepReport, Upload, UploadId, UploadInfo, UploadMarker, UploadPage,
    VerifyReport,
};

use super::page::page;
use super::state::{Completion, Row, Space, State, name_of, number_of};

pub struct MemoryCatalog {
    pub state: Arc<Mutex<State>>,
    /// Which opening of the store this is.
    pub opening: u64,
}

/// What a [`Hold`] is here: the counts of some blobs, and parts if they are those of an object.
struct Held {
    state: Arc<Mutex<State>>,
    opening: u64,
    contents: Vec<ContentHash>,
    parts: Vec<ObjectPart>,
}

/// Few, so that readers have to ask for others.
const FIRST_PARTS: usize = 3;

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        for content in &self.contents {
            if let Some(count) = state.holds.get_mut(content) {
                *count -= 1;
            }
        }
        state.holds.retain(|_, count| *count > 0);
    }
}

impl MemoryCatalog {
    fn hold(&self, state: &mut State, contents: Vec<ContentHash>) -> Hold {
        self.hold_parts(state, contents, Vec::new())
    }

    fn hold_parts(
        &self,
        state: &mut State,
        contents: Vec<ContentHash>,
        parts: Vec<ObjectPart>,
    ) -> Hold {
        for content in &contents {
            *state.holds.entry(*content).or_default() += 1;
        }
        Hold::new(Held {
            state: Arc::clone(&self.state),
            opening: self.opening,
            contents,
            parts,
        })
    }

    fn held_object(&self, state: &mut State, object: &Upload) -> Result<HeldObject> {
        let found = state.object(object)?;
        let parts = ObjectPart::all(state.completed(object)?.parts_of());
        let contents = parts.iter().map(|placed| placed.part.content).collect();
        Ok(HeldObject {
            object: found,
            parts: parts.iter().take(FIRST_PARTS).cloned().collect(),
            hold: self.hold_parts(state, contents, parts),
        })
    }
}

fn stored(state: &State, content: &ContentHash) -> Result<StoredBlob> {
    let blob = state.blobs.get(content).cloned();
    blob.ok_or_else(|| Error::DamagedBlob {
        hash: *content,
        reason: "nothing is known of it".to_owned(),
    })
}

fn not_empty(name: &str) -> Error {
    Error::NamespaceNotEmpty {
        name: name.to_owned(),
    }
}

impl Catalog for MemoryCatalog {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }

    fn initiate(&self, key: &Key, new: &NewUpload<'_>) -> Result<Upload> {
        let mut state = self.state.lock();
        state.space(key.namespace())?;
        let upload = Upload::new(key.clone(), state.ids.next()?);
        let row = Row {
            key: key.clone(),
            initiated_at: SystemTime::now(),
            metadata: new.metadata.to_vec(),
            wanted: new.wanted,
            composite: new.composite,
            parts: BTreeMap::new(),
            completed: None,
        };
        state.uploads.insert(upload.id(), row);
        Ok(upload)
    }

    fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        Ok(info(upload, self.state.lock().open(upload)?))
    }

    fn admit_part(&self, upload: &Upload, bytes: u64) -> Result<Algorithms> {
        let state = self.state.lock();
        let wanted = state.open(upload)?.wanted;
        state.check_quota(upload.namespace(), |usage| usage.bytes += bytes)?;
        Ok(wanted)
    }

    fn commit_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        part: &PartRow,
        blob: Option<&NewBlob>,
    ) -> Result<Part> {
        let mut state = self.state.lock();
        let replaced = state.open(upload)?.parts.get(&number);
        let gone = replaced.map_or(0, |(part, _)| part.size);
        state.check_quota(upload.namespace(), |usage| {
            usage.bytes = usage.bytes - gone + part.size;
        })?;
        state.add_blob(part, blob);
        let now = SystemTime::now();
        if let Some(row) = state.uploads.get_mut(&upload.id()) {
            row.parts.insert(number, (part.clone(), now));
        }
        Ok(part.part(number, now))
    }

    fn complete(&self, upload: &Upload, completing: &Completing<'_>) -> Result<Object> {
        let mut state = self.state.lock();
        let row = state.row(upload).ok_or_else(|| upload.not_found())?;
        let identity = completing.identity();
        if let Some(done) = &row.completed {
            let same = done.identity == Some(identity);
            let object = row.object(upload.id()).filter(|_| same);
            return object.ok_or_else(|| upload.not_found());
        }
        let current = completing
            .condition()
            .map(|condition| state.check_condition(upload.full_key(), condition))
            .transpose()?;
        let row = state.open(upload)?;
        let rows = row.parts.iter().map(|(at, (part, _))| (*at, part.clone()));
        let verdict = completing.judge(row.composite, rows)?;
        if let Some(replaced) = completing.replaced() {
            state.completed(replaced)?;
        }
        if current == Some(None) {
            state.check_quota(upload.namespace(), |usage| usage.keys += 1)?;
        }
        if let Some(replaced) = completing.replaced() {
            state.remove(replaced);
        }
        if current.is_some() {
            state.take_key(upload.full_key(), upload.id());
        }
        let now = SystemTime::now();
        if let Some(row) = state.uploads.get_mut(&upload.id()) {
            for number in &verdict.unlisted {
                row.parts.remove(number);
            }
            row.completed = Some(Completion {
                object: verdict.object,
                completed_at: now,
                modified_at: now,
                identity: Some(identity),
            });
        }
        state.object(upload)
    }

    fn abort(&self, upload: &Upload) -> Result<()> {
        let mut state = self.state.lock();
        state.open(upload)?;
        state.remove(upload);
        Ok(())
    }

    /// By the clock of the process.
    fn expire(
        &self,
        age: Duration,
        spare: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64> {
        let mut state = self.state.lock();
        let (now, before) = (SystemTime::now(), state.uploads.len());
        state.uploads.retain(|id, row| {
            let is_old = now
                .duration_since(row.initiated_at)
                .is_ok_and(|since| since >= age);
            row.completed.is_some() || !is_old || spare(*id) || !going.goes_on()
        });
        Ok((before - state.uploads.len()) as u64)
    }

    fn rename_upload(&self, upload: &Upload, key: &Key) -> Result<Upload> {
        let mut state = self.state.lock();
        state.space(key.namespace())?;
        state.open(upload)?;
        if key.namespace() != upload.namespace() {
            let bytes = state.size_of(Some(upload));
            state.check_quota(key.namespace(), |usage| usage.bytes += bytes)?;
        }
        if let Some(row) = state.uploads.get_mut(&upload.id()) {
            row.key = key.clone();
        }
        Ok(Upload::new(key.clone(), upload.id()))
    }

    fn admit_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()> {
        self.state.lock().admit_object(key, condition, bytes)
    }

    fn commit_object(
        &self,
        key: &Key,
        condition: Condition,
        new: &NewObject<'_>,
    ) -> Result<Object> {
        let mut state = self.state.lock();
        state.admit_object(key, condition, new.row.size)?;
        let upload = Upload::new(key.clone(), state.ids.next()?);
        let now = SystemTime::now();
        for (_, part) in new.parts {
            state.add_blob(part, new.blob);
        }
        let parts = new.parts.iter();
        let row = Row {
            key: key.clone(),
            initiated_at: now,
            metadata: new.metadata.to_vec(),
            wanted: Algorithms::default(),
            composite: Algorithms::default(),
            parts: parts.map(|(at, part)| (*at, (part.clone(), now))).collect(),
            completed: Some(Completion {
                object: new.row.clone(),
                completed_at: now,
                modified_at: now,
                identity: None,
            }),
        };
        state.uploads.insert(upload.id(), row);
        state.take_key(key, upload.id());
        state.object(&upload)
    }

    fn make_current(&self, object: &Upload, condition: Condition) -> Result<()> {
        let mut state = self.state.lock();
        state.completed(object)?;
        let current = state.check_condition(object.full_key(), condition)?;
        if current.is_none() {
            state.check_quota(object.namespace(), |usage| usage.keys += 1)?;
        }
        state.take_key(object.full_key(), object.id());
        Ok(())
    }

    fn replace_metadata(&self, object: &Upload, metadata: &[u8]) -> Result<Object> {
        let mut state = self.state.lock();
        state.completed(object)?;
        if let Some(row) = state.uploads.get_mut(&object.id()) {
            row.metadata = metadata.to_vec();
            if let Some(done) = &mut row.completed {
                done.modified_at = SystemTime::now();
            }
        }
        state.object(object)
    }

    fn rename_object(&self, object: &Upload, key: &Key, renaming: &Renaming<'_>) -> Result<Object> {
        let mut state = self.state.lock();
        state.completed(object)?;
        let current = state.check_condition(key, renaming.condition)?;
        let name = name_of(object.full_key());
        let has_old = object.full_key() != key && state.keys.get(&name) == Some(&object.id());
        let bytes = state.size_of(Some(object));
        let other = current.as_ref().filter(|other| other.id() != object.id());
        let gone = state.size_of(other);
        let moves = key.namespace() != object.namespace();
        state.check_quota(key.namespace(), |usage| {
            usage.bytes = usage.bytes - gone + if moves { bytes } else { 0 };
            usage.keys += u64::from(current.is_none());
            usage.keys -= u64::from(has_old && !moves);
        })?;
        if has_old {
            state.keys.remove(&name);
        }
        if let Some(row) = state.uploads.get_mut(&object.id()) {
            row.key = key.clone();
            let first = row.parts.values().next().map(|(part, _)| part.etag);
            if let (Some(done), Some(etag)) = (&mut row.completed, first) {
                if renaming.whole_etag && done.object.parts == 1 {
                    done.object.etag = ObjectETag::from(etag);
                }
                if let Some(metadata) = renaming.metadata {
                    row.metadata = metadata.to_vec();
                    done.modified_at = SystemTime::now();
                }
            }
        }
        state.take_key(key, object.id());
        state.object(&Upload::new(key.clone(), object.id()))
    }

    fn remove_object(&self, object: &Upload) -> Result<()> {
        let mut state = self.state.lock();
        state.completed(object)?;
        state.remove(object);
        Ok(())
    }

    fn remove_key(&self, key: &Key, condition: Condition) -> Result<bool> {
        let mut state = self.state.lock();
        let current = state.check_condition(key, condition)?;
        if let Some(object) = &current {
            state.remove(object);
        }
        Ok(current.is_some())
    }

    fn object(&self, object: &Upload) -> Result<Object> {
        self.state.lock().object(object)
    }

    fn object_by_key(&self, key: &Key) -> Result<Object> {
        let state = self.state.lock();
        let current = state.current(key)?;
        state.object(&current.ok_or_else(|| key.not_found())?)
    }

    fn look_up(&self, content: &ContentHash) -> Result<(Hold, Option<StoredBlob>)> {
        let mut state = self.state.lock();
        let hold = self.hold(&mut state, vec![*content]);
        Ok((hold, state.blobs.get(content).cloned()))
    }

    fn blob(&self, content: &ContentHash, _hold: &Hold) -> Result<StoredBlob> {
        stored(&self.state.lock(), content)
    }

    fn owns(&self, hold: &Hold) -> bool {
        let kept = hold.get::<Held>();
        kept.is_some_and(|kept| kept.opening == self.opening)
    }

    /// A sweep looks at everything, so nothing need be noted.
    fn uncommitted(&self, _content: &ContentHash) {}

    fn hold_part(&self, upload: &Upload, number: PartNumber) -> Result<HeldPart> {
        let mut state = self.state.lock();
        let found = state.open(upload)?.parts.get(&number);
        let found = found.map(|(part, stored_at)| part.part(number, *stored_at));
        let part = found.ok_or_else(|| upload.part_not_found(number))?;
        Ok(HeldPart {
            blob: stored(&state, &part.content)?,
            hold: self.hold(&mut state, vec![part.content]),
            part,
        })
    }

    fn hold_object(&self, object: &Upload) -> Result<HeldObject> {
        self.held_object(&mut self.state.lock(), object)
    }

    fn hold_key(&self, key: &Key) -> Result<HeldObject> {
        let mut state = self.state.lock();
        let current = state.current(key)?;
        self.held_object(&mut state, &current.ok_or_else(|| key.not_found())?)
    }

    fn held_parts(&self, hold: &Hold, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        let parts = hold.get::<Held>().map_or(&[][..], |kept| &kept.parts);
        let is_before = |placed: &&ObjectPart| match from {
            PartsFrom::Byte(byte) => placed.offset + placed.part.size <= byte,
            PartsFrom::Number(number) => placed.part.number < number,
        };
        Ok(parts
            .iter()
            .skip_while(is_before)
            .take(most)
            .cloned()
            .collect())
    }

    fn parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartPage> {
        let state = self.state.lock();
        let parts = state.open(upload)?.parts_of();
        let mut parts: Vec<_> = parts
            .filter(|part| part.number.get() > after)
            .take(limit + 1)
            .collect();
        let mut page = PartPage::default();
        if parts.len() > limit {
            parts.truncate(limit);
            page.next = parts.last().map(|last| last.number);
        }
        page.parts = parts;
        Ok(page)
    }

    fn uploads(&self, names: &Names<'_>) -> Result<UploadPage> {
        let state = self.state.lock();
        state.space(names.namespace)?;
        let open = state
            .uploads
            .iter()
            .filter(|(_, row)| row.completed.is_none() && row.key.namespace() == names.namespace);
        let mut open: Vec<_> = open.map(|(id, row)| (row.key.as_str(), *id, row)).collect();
        open.sort_by_key(|(key, id, _)| (*key, *id));
        let found = page(
            names,
            open.into_iter().map(|(key, id, row)| (key, id, (id, row))),
        );
        let mut page = UploadPage::default();
        page.uploads = found
            .entries
            .into_iter()
            .map(|(id, row)| info(&Upload::new(row.key.clone(), id), row))
            .collect();
        page.common_prefixes = found.common_prefixes;
        page.next = found.next.map(|(key, id)| UploadMarker::new(&key, id));
        Ok(page)
    }

    fn keys(&self, names: &Names<'_>) -> Result<KeyPage> {
        let state = self.state.lock();
        state.space(names.namespace)?;
        let keys = state
            .keys
            .iter()
            .filter(|((namespace, _), _)| namespace == names.namespace);
        let found = page(names, keys.map(|((_, key), id)| (key.as_str(), *id, *id)));
        let mut page = KeyPage::default();
        let objects = found.entries.iter();
        let objects = objects.filter_map(|id| state.uploads.get(id)?.object(*id));
        page.keys = objects.map(|object| KeyEntry::of(&object)).collect();
        page.common_prefixes = found.common_prefixes;
        page.next = found.next.map(|(key, _)| key);
        Ok(page)
    }

    fn objects(&self, after: Option<UploadId>, limit: usize) -> Result<ObjectPage> {
        let state = self.state.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = state.uploads.range((from, Bound::Unbounded));
        let mut objects: Vec<_> = rows
            .filter_map(|(id, row)| row.object(*id))
            .take(limit + 1)
            .collect();
        let mut page = ObjectPage::default();
        if objects.len() > limit {
            objects.truncate(limit);
            page.next = objects.last().map(|last| last.upload.id());
        }
        page.objects = objects;
        Ok(page)
    }

    fn create_namespace(&self, name: &str, quota: Quota) -> Result<()> {
        let mut state = self.state.lock();
        if state.namespaces.contains_key(name) {
            return Err(Error::NamespaceExists {
                name: name.to_owned(),
            });
        }
        let created_at = Some(SystemTime::now());
        let space = Space { created_at, quota };
        state.namespaces.insert(name.to_owned(), space);
        Ok(())
    }

    fn remove_namespace(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock();
        state.space(name)?;
        if state
            .uploads
            .values()
            .any(|row| row.key.namespace() == name)
        {
            return Err(not_empty(name));
        }
        state.namespaces.remove(name);
        Ok(())
    }

    fn set_quota(&self, name: &str, quota: Quota) -> Result<()> {
        let mut state = self.state.lock();
        state.space(name)?;
        if let Some(space) = state.namespaces.get_mut(name) {
            space.quota = quota;
        }
        Ok(())
    }

    fn namespace(&self, name: &str) -> Result<Namespace> {
        let state = self.state.lock();
        let space = state.space(name)?;
        Ok(Namespace::new(
            name,
            space.created_at,
            space.quota,
            state.usage(name),
        ))
    }

    fn namespaces(&self, after: &str, limit: usize) -> Result<NamespacePage> {
        let state = self.state.lock();
        // The default one has the empty name, which is above none.
        let from = (Bound::Excluded(after), Bound::Unbounded);
        let found = state.namespaces.range::<str, _>(from);
        let mut found: Vec<_> = found
            .map(|(name, space)| {
                Namespace::new(name, space.created_at, space.quota, state.usage(name))
            })
            .take(limit + 1)
            .collect();
        let mut page = NamespacePage::default();
        if found.len() > limit {
            found.truncate(limit);
            page.next = found.last().map(|last| last.name.clone());
        }
        page.namespaces = found;
        Ok(page)
    }

    fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        let mut state = self.state.lock();
        let dead: Vec<_> = state
            .blobs
            .keys()
            .filter(|content| !state.is_referenced(content))
            .copied()
            .collect();
        going.expect(dead.len() as u64)?;
        let mut report = SweepReport::default();
        for content in dead {
            if !going.goes_on() {
                return Ok(report);
            }
            if state.holds.contains_key(&content) {
                report.in_use += 1;
            } else if let Some(blob) = state.blobs.remove(&content) {
                (report.blobs, report.bytes) = (report.blobs + 1, report.bytes + blob.crcs.size);
                state.damaged.remove(&content);
                number_of(&blob.location).map(|at| state.bytes.remove(&at));
            }
            let _ = going.advance(1);
        }
        report.orphans = remove_orphans(&mut state);
        going.finish();
        Ok(report)
    }

    fn has_work(&self) -> bool {
        true
    }

    fn verify(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        going: &Going<'_>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let state = self.state.lock();
        going.expect(state.blobs.len() as u64)?;
        let rows = || state.uploads.iter();
        if behind.is_none() {
            report.parts = rows().map(|(_, row)| row.parts.len() as u64).sum();
        }
        let parts = rows().filter(|_| behind.is_none());
        for part in parts.flat_map(|(_, row)| row.parts.values()) {
            if !state.blobs.contains_key(&part.0.content) {
                let text = format!("blob {}: a part refers to it", part.0.content);
                report.inconsistent.push(text);
            }
        }
        let left: BTreeMap<_, _> = state.blobs.iter().collect();
        let left = left
            .into_iter()
            .filter(|(content, _)| behind.is_none_or(|behind| *content > behind));
        for (content, blob) in left {
            going.advance(1)?;
            report.blobs += 1;
            let mut compared = Compared {
                through: *content,
                blobs: 1,
                bytes: 0,
                found: 0,
            };
            if scope == Scope::Metadata {
                going.reach(compared);
                continue;
            }
            let bytes = state.bytes_at(blob).unwrap_or_default();
            compared.bytes = bytes.len() as u64;
            report.bytes += compared.bytes;
            if blake3::hash(&bytes).as_bytes() != content.as_bytes() {
                compared.found = 1;
                let reason = "its bytes do not have its hash".to_owned();
                let parts = references(&state, content);
                report
                    .damaged
                    .push(DamagedBlob::new(*content, reason, parts));
            }
            going.reach(compared);
        }
        going.finish();
        Ok(())
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        let kept = self.state.lock();
        let rows = || kept.uploads.values();
        let parts = || rows().flat_map(|row| row.parts.values());
        stats.objects = rows().filter(|row| row.completed.is_some()).count() as u64;
        stats.open_uploads = kept.uploads.len() as u64 - stats.objects;
        stats.keys = kept.keys.len() as u64;
        stats.parts = parts().count() as u64;
        stats.part_bytes = parts().map(|(part, _)| part.size).sum();
        stats.blobs = kept.blobs.len() as u64;
        stats.blob_bytes = kept.blobs.values().map(|blob| blob.crcs.size).sum();
        let used: HashSet<_> = parts().map(|(part, _)| part.content).collect();
        stats.garbage = kept.blobs.keys().filter(|one| !used.contains(one)).count() as u64;
        stats.pinned_blobs = kept.holds.len() as u64;
        Ok(())
    }
}

fn info(upload: &Upload, row: &Row) -> UploadInfo {
    let new = NewUpload {
        metadata: &row.metadata,
        wanted: row.wanted,
        composite: row.composite,
    };
    new.info(upload, row.initiated_at)
}

/// Removes bytes that no blob has: those of a put that was refused, or was not the first with its bytes.
fn remove_orphans(state: &mut State) -> u64 {
    let blobs = state.blobs.values();
    let known: HashSet<_> = blobs.filter_map(|blob| number_of(&blob.location)).collect();
    let (before, holds) = (state.bytes.len(), &state.holds);
    let keeps = |at: &u64, content: &ContentHash| known.contains(at) || holds.contains_key(content);
    state.bytes.retain(|at, (content, _)| keeps(at, content));
    (before - state.bytes.len()) as u64
}

fn references(state: &State, content: &ContentHash) -> Vec<(Upload, PartNumber)> {
    let mut found = Vec::new();
    for (id, row) in &state.uploads {
        for (number, (part, _)) in &row.parts {
            if part.content == *content {
                found.push((Upload::new(row.key.clone(), *id), *number));
            }
        }
    }
    found
}
