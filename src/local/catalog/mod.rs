//! The verbs of the [`Catalog`], on rows and under locks. Each file has some of them.
//!
//! A verb reads what it depends on under the locks of its keys and uploads. It then commits one batch, gives
//! up the locks, and waits until the batch is durable. So commits gather into groups.

mod answers;
mod complete;
mod current;
mod end;
mod hold;
mod initiate;
mod list;
mod put;
mod rename;
mod roll_up;
mod whole;

#[cfg(not(shuttle))]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::format::mutation::Tree;
use crate::backend::{
    Algorithms, Catalog, Checkpoint, Completing, Going, HeldObject, HeldPart, Hold, Names, NewBlob,
    NewObject, NewUpload, PartRow, PartsFrom, Renaming, StoredBlob, Watch,
};
#[cfg(not(shuttle))]
use crate::{BackupReport, Transfer};
use crate::{
    Condition, ContentHash, Key, KeyPage, Namespace, NamespacePage, Object, ObjectPage, ObjectPart,
    Part, PartNumber, PartPage, Quota, Result, Scope, Stats, SweepReport, Upload, UploadId,
    UploadInfo, UploadPage, VerifyReport,
};

use end::UploadKind;

impl Catalog for Engine {
    fn check(&self) -> Result<()> {
        self.meta.check()
    }

    fn watch(&self) -> Watch {
        let pulse = Arc::clone(self.meta.pulse());
        Box::new(move || pulse.check())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Engine::close(*self)
    }

    fn initiate(&self, key: &Key, new: &NewUpload<'_>) -> Result<Upload> {
        initiate::initiate(self, key, new)
    }

    fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        let record = self.record_if_open(upload)?;
        answers::upload(self, upload, &record)
    }

    fn admit_part(&self, upload: &Upload, bytes: u64) -> Result<Algorithms> {
        put::admit(self, upload, bytes)
    }

    fn commit_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        part: &PartRow,
        blob: Option<&NewBlob>,
    ) -> Result<Part> {
        put::commit(self, (upload, number), part, blob)
    }

    fn complete(&self, upload: &Upload, completing: &Completing<'_>) -> Result<Object> {
        complete::complete(self, upload, completing)
    }

    fn abort(&self, upload: &Upload) -> Result<()> {
        end::end(self, upload, UploadKind::Open)
    }

    fn expire(
        &self,
        age: Duration,
        spare: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64> {
        end::expire(self, age, spare, going)
    }

    fn rename_upload(&self, upload: &Upload, key: &Key) -> Result<Upload> {
        rename::upload(self, upload, key)
    }

    fn admit_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()> {
        whole::admit(self, key, condition, bytes)
    }

    fn commit_object(
        &self,
        key: &Key,
        condition: Condition,
        new: &NewObject<'_>,
    ) -> Result<Object> {
        whole::commit(self, key, condition, new)
    }

    fn make_current(&self, object: &Upload, condition: Condition) -> Result<()> {
        whole::make_current(self, object, condition)
    }

    fn replace_metadata(&self, object: &Upload, metadata: &[u8]) -> Result<Object> {
        whole::replace_metadata(self, object, metadata)
    }

    fn rename_object(&self, object: &Upload, key: &Key, renaming: &Renaming<'_>) -> Result<Object> {
        rename::object(self, object, key, renaming)
    }

    fn remove_object(&self, object: &Upload) -> Result<()> {
        end::end(self, object, UploadKind::Completed)
    }

    fn remove_key(&self, key: &Key, condition: Condition) -> Result<bool> {
        whole::remove_key(self, key, condition)
    }

    fn object(&self, object: &Upload) -> Result<Object> {
        answers::object(self, object)
    }

    fn object_by_key(&self, key: &Key) -> Result<Object> {
        current::find(self, key, |object| answers::object(self, object))
    }

    fn look_up(&self, content: &ContentHash) -> Result<(Hold, Option<StoredBlob>)> {
        hold::look_up(self, content)
    }

    fn blob(&self, content: &ContentHash, _hold: &Hold) -> Result<StoredBlob> {
        hold::blob(self, content)
    }

    fn owns(&self, hold: &Hold) -> bool {
        hold::is_of(self, hold)
    }

    fn uncommitted(&self, content: &ContentHash) {
        // A store that has stopped may have the row in the journal only. The next open finds that out.
        if self.meta.health().cause().is_none() {
            self.suspects.add(*content);
        }
    }

    fn hold_part(&self, upload: &Upload, number: PartNumber) -> Result<HeldPart> {
        hold::part(self, upload, number)
    }

    fn hold_object(&self, object: &Upload) -> Result<HeldObject> {
        hold::object(self, object)
    }

    fn hold_key(&self, key: &Key) -> Result<HeldObject> {
        current::find(self, key, |object| hold::object(self, object))
    }

    fn held_parts(&self, hold: &Hold, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        hold::parts(self, hold, from, most)
    }

    fn parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartPage> {
        list::parts(self, upload, after, limit)
    }

    fn uploads(&self, names: &Names<'_>) -> Result<UploadPage> {
        list::uploads(self, names)
    }

    fn keys(&self, names: &Names<'_>) -> Result<KeyPage> {
        list::keys(self, names)
    }

    fn objects(&self, after: Option<UploadId>, limit: usize) -> Result<ObjectPage> {
        list::objects(self, after, limit)
    }

    fn create_namespace(&self, name: &str, quota: Quota) -> Result<()> {
        let ticket = self.namespaces.create(&self.meta, name, quota)?;
        self.meta.wait(ticket)
    }

    fn remove_namespace(&self, name: &str) -> Result<()> {
        let ticket = self.namespaces.remove(&self.meta, name)?;
        self.meta.wait(ticket)
    }

    fn set_quota(&self, name: &str, quota: Quota) -> Result<()> {
        let ticket = self.namespaces.set_quota(&self.meta, name, quota)?;
        self.meta.wait(ticket)
    }

    fn namespace(&self, name: &str) -> Result<Namespace> {
        self.namespaces.describe(&self.meta, name)
    }

    fn namespaces(&self, after: &str, limit: usize) -> Result<NamespacePage> {
        list::namespaces(self, after, limit)
    }

    fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        Engine::sweep(self, going)
    }

    fn sweep_rests(&self) -> Duration {
        Engine::sweep_rests(self)
    }

    fn has_work(&self) -> bool {
        let tally = self.meta.tally();
        let left = [Tree::Garbage, Tree::Tombstones].map(|tree| tally.rows_of(tree) > 0);
        left.contains(&true) || self.suspects.any_known() || self.meta.wants_checkpoint()
    }

    fn checkpoint(&self, going: &Going<'_>) -> Result<Checkpoint> {
        self.checkpoint(going)
    }

    fn verify(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        going: &Going<'_>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        Engine::verify(self, scope, behind, going, report)
    }

    #[cfg(not(shuttle))]
    fn back_up(
        &self,
        into: &Path,
        transfer: Transfer,
        going: &Going<'_>,
        report: &mut BackupReport,
    ) -> Result<()> {
        Engine::back_up(self, into, transfer, going, report)
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        Engine::stats(self, stats);
        Ok(())
    }
}
