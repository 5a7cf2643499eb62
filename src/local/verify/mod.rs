//! Verifies that records agree with each other, and blobs with their records.
//!
//! The store can be used in the meantime. What looks wrong is read again under the lock or pin that keeps
//! it unchanged.

mod blobs;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use crate::going::Going;
use crate::local::blob::BlobFiles;
use crate::local::format::record::{KeyRecord, Marks, Tombstone, UploadState};
use crate::local::locks::Locks;
use crate::local::meta::MetaStore;
use crate::local::namespaces::Namespaces;
use crate::local::pins::Pins;
use crate::values::namespace::NamespaceId;
use crate::{
    ContentHash, DamagedFile, Error, PartNumber, Result, Scope, UploadId, Usage, VerifyReport,
};

pub(crate) struct Verify<'a, 'g> {
    pub meta: &'a MetaStore,
    pub blobs: &'a BlobFiles,
    pub pins: &'a Arc<Pins>,
    pub locks: &'a Locks,
    pub namespaces: &'a Namespaces,
    /// It counts bytes.
    pub going: &'a Going<'g>,
}

type Step<'a> = dyn Fn(&mut VerifyReport) -> Result<()> + 'a;

fn names(report: &VerifyReport, path: &Path) -> bool {
    report.files.iter().any(|file| file.path == path)
}

impl Verify<'_, '_> {
    /// If it is stopped, the report has what was found before.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no; [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`].
    pub(crate) fn run(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        match behind {
            None => {
                self.going.expect(self.expected(scope))?;
                self.verify_records(report)?;
            }
            Some(behind) => self.going.expect_behind(behind, self.blob_bytes(scope))?,
        }
        Self::step(report, &|report| blobs::verify(self, scope, behind, report))?;
        self.going.finish();
        Ok(())
    }

    /// Files and rows: all but the blobs.
    fn verify_records(&self, report: &mut VerifyReport) -> Result<()> {
        self.meta.check_files(self.going, &mut report.files)?;
        let steps: [&Step<'_>; 8] = [
            &|report| self.verify_namespaces(report),
            &|report| self.verify_uploads(report),
            &|report| self.verify_belongings(report),
            &|report| self.verify_keys(report),
            &|report| self.verify_usage(report),
            &|report| self.verify_tombstones(report),
            &|report| self.verify_parts(report),
            &|report| self.verify_references(report),
        ];
        steps.iter().try_for_each(|step| Self::step(report, step))
    }

    /// What a step cannot read is listed. The next one may have other rows.
    fn step(report: &mut VerifyReport, step: &Step<'_>) -> Result<()> {
        match step(report) {
            Err(Error::Damaged {
                path,
                offset,
                reason,
            }) => {
                // The look at all files has listed it, if this run has one.
                if !names(report, &path) {
                    report.files.push(DamagedFile {
                        path,
                        offset,
                        reason,
                    });
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Bytes to read, about.
    fn expected(&self, scope: Scope) -> u64 {
        self.meta.files_len() + self.meta.tally().bytes + self.blob_bytes(scope)
    }

    fn blob_bytes(&self, scope: Scope) -> u64 {
        match scope {
            Scope::Metadata => 0,
            Scope::Everything => self.meta.tally().blob_bytes,
        }
    }

    /// Says that a row was checked. All count the same.
    fn row(&self) -> Result<()> {
        let tally = self.meta.tally();
        let bytes = tally.bytes / tally.total_rows().max(1);
        self.going.advance_a_little(bytes)
    }

    /// Each namespace has two rows, which say the same.
    fn verify_namespaces(&self, report: &mut VerifyReport) -> Result<()> {
        if self.wrong_namespaces()?.is_empty() {
            return Ok(());
        }
        let _still = self.namespaces.lock(self.meta)?;
        for NamespaceId(number) in self.wrong_namespaces()? {
            report.inconsistent.push(format!(
                "namespace number {number}: its two rows do not say the same, or only one of them exists"
            ));
        }
        Ok(())
    }

    fn wrong_namespaces(&self) -> Result<BTreeSet<NamespaceId>> {
        let mut wrong = BTreeSet::new();
        self.meta.namespaces(&mut |name, record| {
            self.row()?;
            let other = self.meta.namespace_by_number(record.id)?;
            if other.is_none_or(|(other, named)| (other, named.as_str()) != (record, name)) {
                wrong.insert(record.id);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.meta
            .namespaces_by_number(&mut |number, name, record| {
                self.row()?;
                if record.id != number || self.meta.namespace(name)? != Some(record) {
                    wrong.insert(number);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(wrong)
    }

    /// Each upload has its metadata, and a name while it is open. An object has the parts and bytes that its row says,
    /// and its parts begin where that says.
    fn verify_uploads(&self, report: &mut VerifyReport) -> Result<()> {
        let mut suspects = Vec::new();
        self.meta.uploads(None, &mut |id, _| {
            self.row()?;
            if self.upload_is_wrong(id)?.is_some() {
                suspects.push(id);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for id in suspects {
            let _still = self.locks.lock(id)?;
            if let Some(wrong) = self.upload_is_wrong(id)? {
                report.inconsistent.push(format!("upload {id}: {wrong}"));
            }
        }
        Ok(())
    }

    fn upload_is_wrong(&self, id: UploadId) -> Result<Option<&'static str>> {
        let Some(upload) = self.meta.upload(id)? else {
            return Ok(None);
        };
        self.meta.metadata(id, &upload)?;
        if !self.namespaces.exists(upload.namespace) {
            return Ok(Some("its namespace does not exist"));
        }
        let is_open = upload.state == UploadState::Open;
        if self.meta.has_name((upload.namespace, &upload.key), id)? != is_open {
            return Ok(Some("it is open and not listed, or listed and not open"));
        }
        let UploadState::Completed(done) = &upload.state else {
            return Ok(None);
        };
        let mut parts = Vec::new();
        self.meta.parts(id, 0, &mut |number, part| {
            parts.push((number, part.size));
            Ok(ControlFlow::Continue(()))
        })?;
        let size: u64 = parts.iter().map(|(_, size)| size).sum();
        if (parts.len(), size) != (done.parts.into(), done.size) {
            return Ok(Some("its row says another number of parts, or of bytes"));
        }
        let is_right = done.marks.is_empty() || done.marks == Marks::of(parts);
        Ok((!is_right).then_some("its parts do not begin where its row says"))
    }

    /// Each name and each piece of metadata belongs to an upload.
    fn verify_belongings(&self, report: &mut VerifyReport) -> Result<()> {
        let (mut names, mut pieces) = (Vec::new(), Vec::new());
        self.meta
            .uploads_in_progress(Bound::Unbounded, &mut |(namespace, key), id| {
                self.row()?;
                if !self.has_key(id, (namespace, key))? {
                    names.push(((namespace, key.to_owned()), id));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        self.meta.all_metadata(&mut |id, number| {
            self.row()?;
            if self.meta.upload(id)?.is_none() {
                pieces.push((id, number));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for ((namespace, key), id) in names {
            let _still = self.locks.lock(id)?;
            let name = (namespace, key.as_str());
            if self.meta.has_name(name, id)? && !self.has_key(id, name)? {
                report.inconsistent.push(format!(
                    "upload {id}: it has a name, but does not exist under this key"
                ));
            }
        }
        for (id, number) in pieces {
            let _still = self.locks.lock(id)?;
            if self.meta.has_metadata(id, number)? && self.meta.upload(id)?.is_none() {
                report
                    .inconsistent
                    .push(format!("upload {id}: it has metadata, but does not exist"));
            }
        }
        Ok(())
    }

    fn has_key(&self, id: UploadId, (namespace, key): (NamespaceId, &str)) -> Result<bool> {
        let upload = self.meta.upload(id)?;
        Ok(
            upload
                .is_some_and(|upload| (upload.namespace, upload.key.as_str()) == (namespace, key)),
        )
    }

    /// Each key has an object, and says the same of it as the object's row.
    fn verify_keys(&self, report: &mut VerifyReport) -> Result<()> {
        let mut suspects = Vec::new();
        self.meta
            .keys(Bound::Unbounded, &mut |(namespace, key), current| {
                self.row()?;
                if self.key_is_wrong((namespace, key), &current)? {
                    suspects.push(self.namespaces.upload(namespace, key, current.id));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        for object in suspects {
            let _still = self.locks.lock_key(object.full_key())?;
            let Ok(space) = self.namespaces.find(object.namespace()) else {
                report.inconsistent.push(format!(
                    "key {}: its namespace does not exist",
                    object.full_key()
                ));
                continue;
            };
            let name = (space.id, object.key());
            let _whole = self.locks.lock(object.id())?;
            if let Some(current) = self.meta.key(name)?
                && current.id == object.id()
                && self.key_is_wrong(name, &current)?
            {
                report.inconsistent.push(format!(
                    "key {}: its object {} does not exist, or is another than it says",
                    object.full_key(),
                    object.id()
                ));
            }
        }
        Ok(())
    }

    fn key_is_wrong(&self, name: (NamespaceId, &str), current: &KeyRecord) -> Result<bool> {
        let Some(upload) = self.meta.upload(current.id)? else {
            return Ok(true);
        };
        let UploadState::Completed(done) = &upload.state else {
            return Ok(true);
        };
        let is_named = (upload.namespace, upload.key.as_str()) == name;
        Ok(!is_named || KeyRecord::of(current.id, done) != *current)
    }

    /// What each namespace is said to hold is what its rows add up to. It is compared only if nothing was
    /// changed in the meantime.
    fn verify_usage(&self, report: &mut VerifyReport) -> Result<()> {
        let before = self.meta.newest();
        // What was appended before has been applied when its lock is free.
        self.locks.pass_uploads()?;
        let (mut said, mut found) = (BTreeMap::new(), BTreeMap::<_, Usage>::new());
        self.meta
            .all_usage(NamespaceId::DEFAULT, &mut |namespace, stripe, usage| {
                self.row()?;
                said.insert((namespace, stripe), usage);
                Ok(ControlFlow::Continue(()))
            })?;
        self.meta.uploads(None, &mut |id, upload| {
            self.row()?;
            let usage = found.entry((upload.namespace, id.spread())).or_default();
            match upload.state {
                UploadState::Open => usage.open_uploads += 1,
                UploadState::Completed(_) => usage.objects += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.meta
            .all_parts_by_namespace(&mut |namespace, id, part| {
                self.row()?;
                found.entry((namespace, id.spread())).or_default().bytes += part.size;
                Ok(ControlFlow::Continue(()))
            })?;
        self.meta
            .keys(Bound::Unbounded, &mut |(namespace, _), current| {
                self.row()?;
                found
                    .entry((namespace, current.id.spread()))
                    .or_default()
                    .keys += 1;
                Ok(ControlFlow::Continue(()))
            })?;
        if self.meta.newest() == before && said != found {
            report.inconsistent.push(
                "a namespace: what it is said to hold is not what its rows add up to".to_owned(),
            );
        }
        Ok(())
    }

    /// Each tombstone stands for the parts that are left of an upload or object that has ended.
    fn verify_tombstones(&self, report: &mut VerifyReport) -> Result<()> {
        let mut suspects = Vec::new();
        self.meta.tombstones(&mut |id, _| {
            self.row()?;
            if self.tombstone_is_wrong(id)? {
                suspects.push(id);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for id in suspects {
            let _still = self.locks.lock(id)?;
            if self.tombstone_is_wrong(id)? {
                report.inconsistent.push(format!(
                    "upload {id}: it has ended and exists, or what is left of it is not what its rows add up to"
                ));
            }
        }
        Ok(())
    }

    fn tombstone_is_wrong(&self, id: UploadId) -> Result<bool> {
        let Some(said) = self.meta.tombstone(id)? else {
            return Ok(false);
        };
        let mut found = Tombstone::default();
        self.meta.parts(id, 0, &mut |_, part| {
            found.add(part.size);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found != said || self.meta.upload(id)?.is_some())
    }

    /// Each part has its upload or a tombstone, its reference, and a blob of its size (I1). Parts that only a
    /// tombstone stands for are not counted.
    fn verify_parts(&self, report: &mut VerifyReport) -> Result<()> {
        let mut suspects = Vec::new();
        self.meta.all_parts_by_namespace(&mut |_, _, _| {
            report.parts += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        self.meta.all_parts(&mut |id, number, _| {
            self.row()?;
            if self.part_is_wrong(id, number)?.is_some() {
                suspects.push((id, number));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (id, number) in suspects {
            let _still = self.locks.lock(id)?;
            if let Some(wrong) = self.part_is_wrong(id, number)? {
                report
                    .inconsistent
                    .push(format!("part {number} of upload {id}: {wrong}"));
            }
        }
        Ok(())
    }

    fn part_is_wrong(&self, id: UploadId, number: PartNumber) -> Result<Option<&'static str>> {
        let Some(part) = self.meta.part(id, number)? else {
            return Ok(None);
        };
        if self.meta.upload(id)?.is_none() && self.meta.tombstone(id)?.is_none() {
            return Ok(Some("its upload does not exist"));
        }
        if !self.meta.has_reference(&part.content, id, number)? {
            return Ok(Some("it does not refer to its blob"));
        }
        let size = self.meta.blob_size(&part.content)?;
        Ok((size != Some(part.size)).then_some("its blob has no record of this size"))
    }

    /// Each reference belongs to a part.
    fn verify_references(&self, report: &mut VerifyReport) -> Result<()> {
        let mut suspects = Vec::new();
        self.meta.all_references(&mut |content, id, number| {
            self.row()?;
            if self.reference_is_wrong(&content, id, number)? {
                suspects.push((content, id, number));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (content, id, number) in suspects {
            let _still = self.locks.lock(id)?;
            let referred = self.meta.has_reference(&content, id, number)?;
            if referred && self.reference_is_wrong(&content, id, number)? {
                report.inconsistent.push(format!(
                    "blob {content}: part {number} of upload {id} does not refer to it"
                ));
            }
        }
        Ok(())
    }

    fn reference_is_wrong(
        &self,
        content: &ContentHash,
        id: UploadId,
        number: PartNumber,
    ) -> Result<bool> {
        Ok(self
            .meta
            .part(id, number)?
            .is_none_or(|part| part.content != *content))
    }
}
