//! [`ClusterCatalog`]: the verbs, as calls of the database.

mod admitted;
mod blind;
mod committer;
mod condition;
mod held;
mod listings;
mod look_ups;
mod objects;
mod refusal;
mod upkeep;
mod uploads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::backend::{
    Algorithms, Catalog, Completing, Going, HeldObject, HeldPart, Hold, Names, NewBlob, NewObject,
    NewUpload, PartRow, Renaming, StoredBlob,
};
use partstore::{
    Condition, ContentHash, Error, Key, KeyPage, Namespace, NamespacePage, Object, ObjectPage,
    Part, PartNumber, PartPage, Quota, Result, Scope, Stats, SweepReport, Upload, UploadId,
    UploadInfo, UploadPage, VerifyReport,
};
use tokio_postgres::Row;

use crate::blobs::Bucket;
use crate::database::{Arguments, Call};
use crate::rows;
use crate::session::Session;
use admitted::Admitted;
use blind::Blind;
use committer::Committer;
use held::{Held, Pins};
use look_ups::LookUps;
use refusal::About;

/// How long a sweep that nobody asked for waits after the last.
const RESTS: Duration = Duration::from_secs(30);

pub(crate) struct ClusterCatalog {
    session: Arc<Session>,
    committer: Committer,
    look_ups: LookUps,
    admitted: Admitted,
    blind: Blind,
    blobs: Arc<dyn Bucket>,
    pins: Arc<Pins>,
    keep_removed: Duration,
    swept: Mutex<Instant>,
}

impl ClusterCatalog {
    pub fn new(session: Arc<Session>, blobs: Arc<dyn Bucket>, keep_removed: Duration) -> Self {
        let lanes = [64, 128, 192, 256].map(|from| session.lane + from);
        let (database, runtime) = (&session.database, &session.runtime);
        Self {
            committer: Committer::new(database, runtime, &lanes),
            look_ups: LookUps::new(database, runtime),
            admitted: Admitted::default(),
            blind: Blind::default(),
            session,
            blobs,
            pins: Arc::default(),
            keep_removed,
            swept: Mutex::new(Instant::now()),
        }
    }

    fn read(&self, sql: &str, arguments: Arguments, about: About<'_>) -> Result<Vec<Row>> {
        let call = Call::statement(&self.session.database.schema, sql, arguments);
        let rows = self.session.read(call)?;
        rows.map_err(|failure| about.error(failure))
    }

    fn look(&self, content: &ContentHash) -> Result<(Hold, Option<StoredBlob>)> {
        let reader = self.session.reader()?;
        let found = self.look_ups.look_up(content)?;
        let found = found.map_err(|failure| About::default().error(failure))?;
        let stored = found.as_ref().map(|row| rows::stored(row, 1));
        if let (Some(stored), Some(true)) = (&stored, found.map(|row| row.get(4))) {
            self.blobs.distrust(&stored.location);
        }
        Ok((self.pins.hold(reader, vec![*content]), stored))
    }
}

impl Catalog for ClusterCatalog {
    /// Whether the database answers, the verb itself finds out.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.session.end()?;
        self.session.database.close();
        Ok(())
    }

    fn initiate(&self, key: &Key, new: &NewUpload<'_>) -> Result<Upload> {
        self.initiate_upload(key, new)
    }

    fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        self.open_upload(upload)
    }

    fn admit_part(&self, upload: &Upload, bytes: u64) -> Result<Algorithms> {
        self.check_part(upload, bytes)
    }

    fn commit_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        part: &PartRow,
        blob: Option<&NewBlob>,
    ) -> Result<Part> {
        self.put_part(upload, number, part, blob)
    }

    fn complete(&self, upload: &Upload, completing: &Completing<'_>) -> Result<Object> {
        self.complete_upload(upload, completing)
    }

    fn abort(&self, upload: &Upload) -> Result<()> {
        self.end("abort_v1", upload)
    }

    /// By the clock of the database.
    fn expire(
        &self,
        age: Duration,
        spare: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64> {
        self.expire_old(age, spare, going)
    }

    fn rename_upload(&self, upload: &Upload, key: &Key) -> Result<Upload> {
        self.rename(upload, key)
    }

    fn admit_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()> {
        self.check_object(key, condition, bytes)
    }

    fn commit_object(
        &self,
        key: &Key,
        condition: Condition,
        new: &NewObject<'_>,
    ) -> Result<Object> {
        self.put_object(key, condition, new)
    }

    fn make_current(&self, object: &Upload, condition: Condition) -> Result<()> {
        self.take_key(object, condition)
    }

    fn replace_metadata(&self, object: &Upload, metadata: &[u8]) -> Result<Object> {
        self.set_metadata(object, metadata)
    }

    fn rename_object(&self, object: &Upload, key: &Key, renaming: &Renaming<'_>) -> Result<Object> {
        self.rename_to(object, key, renaming)
    }

    fn remove_object(&self, object: &Upload) -> Result<()> {
        self.end("remove_object_v1", object)
    }

    fn remove_key(&self, key: &Key, condition: Condition) -> Result<bool> {
        self.remove_current(key, condition)
    }

    fn object(&self, object: &Upload) -> Result<Object> {
        self.read_object(object)
    }

    fn object_by_key(&self, key: &Key) -> Result<Object> {
        self.current_object(key)
    }

    fn look_up(&self, content: &ContentHash) -> Result<(Hold, Option<StoredBlob>)> {
        self.look(content)
    }

    /// The commit of a small body looks by itself.
    fn look_up_for_body(
        &self,
        content: &ContentHash,
        bytes: Option<u64>,
    ) -> Result<(Hold, Option<StoredBlob>)> {
        if bytes.is_some_and(|bytes| self.blind.allows(bytes)) {
            let reader = self.session.reader()?;
            return Ok((self.pins.hold(reader, vec![*content]), None));
        }
        let found = self.look(content)?;
        if let (Some(bytes), Some(_)) = (bytes, &found.1) {
            self.blind.was_known(bytes);
        }
        Ok(found)
    }

    /// One that is doomed is still there for whoever holds it: the one that was doomed last.
    fn blob(&self, content: &ContentHash, hold: &Hold) -> Result<StoredBlob> {
        if hold
            .get::<Held>()
            .is_some_and(|held| !held.reader.lease.holds())
        {
            return Err(Error::Unavailable {
                cause: "this server lost its lease of the store while it read".to_owned(),
            });
        }
        let rows = self.read(
            "SELECT name, size, crcs FROM (
               SELECT name, size, crcs, 0 AS rank, NULL::bigint AS since FROM ps.blobs WHERE content = $1
               UNION ALL SELECT name, size, crcs, 1, since FROM ps.doomed WHERE content = $1 AND NOT removing) b
             ORDER BY rank, since DESC NULLS FIRST LIMIT 1",
            Arguments::new().with(content.as_bytes().to_vec()),
            About::default(),
        )?;
        let stored = rows.first().map(|row| rows::stored(row, 0));
        stored.ok_or_else(|| Error::DamagedBlob {
            hash: *content,
            reason: "nothing is known of it".to_owned(),
        })
    }

    fn owns(&self, hold: &Hold) -> bool {
        let kept = hold.get::<Held>();
        kept.is_some_and(|kept| self.pins.are(kept))
    }

    /// Whoever was refused has doomed the name.
    fn uncommitted(&self, _content: &ContentHash) {}

    fn hold_part(&self, upload: &Upload, number: PartNumber) -> Result<HeldPart> {
        self.held_part(upload, number)
    }

    fn hold_object(&self, object: &Upload) -> Result<HeldObject> {
        self.held_object(object)
    }

    fn hold_key(&self, key: &Key) -> Result<HeldObject> {
        self.held_key(key)
    }

    fn parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartPage> {
        self.list_parts(upload, after, limit)
    }

    fn uploads(&self, names: &Names<'_>) -> Result<UploadPage> {
        self.list_uploads(names)
    }

    fn keys(&self, names: &Names<'_>) -> Result<KeyPage> {
        self.list_keys(names)
    }

    fn objects(&self, after: Option<UploadId>, limit: usize) -> Result<ObjectPage> {
        self.list_objects(after, limit)
    }

    fn create_namespace(&self, name: &str, quota: Quota) -> Result<()> {
        self.change_namespace("create_namespace_v1", name, Some(quota))
    }

    fn remove_namespace(&self, name: &str) -> Result<()> {
        self.change_namespace("remove_namespace_v1", name, None)
    }

    fn set_quota(&self, name: &str, quota: Quota) -> Result<()> {
        self.admitted.forget_all();
        self.change_namespace("set_quota_v1", name, Some(quota))
    }

    fn namespace(&self, name: &str) -> Result<Namespace> {
        self.read_namespace(name)
    }

    fn namespaces(&self, after: &str, limit: usize) -> Result<NamespacePage> {
        self.list_namespaces(after, limit)
    }

    fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        let report = self.sweep_all(going);
        *self.swept.lock() = Instant::now();
        report
    }

    fn sweep_rests(&self) -> Duration {
        RESTS.saturating_sub(self.swept.lock().elapsed())
    }

    /// Others leave garbage, too.
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
        self.verify_all((scope, behind), going, report)
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        self.numbers(stats)
    }
}
