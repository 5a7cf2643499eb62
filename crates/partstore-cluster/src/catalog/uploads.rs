//! The verbs of open uploads.

use std::time::{Duration, Instant};

use partstore::backend::{
    Algorithms, Completing, Going, NewBlob, NewUpload, PartRow, Times, check_condition,
};
use partstore::{
    Error, Key, Object, ObjectETag, Part, PartNumber, Result, Upload, UploadId, UploadInfo,
};
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::ClusterCatalog;
use super::blind::Blind;
use super::committer::Put;
use super::condition::with_condition;
use super::refusal::{About, over_quota};
use crate::database::{Arguments, Failure};
use crate::rows;
use crate::session::{Token, time_of};

/// So often a completion begins again, because parts were put while it was judged.
const TRIES: usize = 100;

/// So many old uploads are looked at by one query.
const EXPIRED: i64 = 100;

/// Id, namespace and key.
pub(super) fn named(arguments: Arguments, upload: &Upload) -> Arguments {
    let id = upload.id().to_bytes().to_vec();
    keyed(arguments.with(id), upload.full_key())
}

/// Namespace and key.
pub(super) fn keyed(arguments: Arguments, key: &Key) -> Arguments {
    let (namespace, key) = (key.namespace(), key.as_str());
    arguments
        .with(namespace.as_bytes().to_vec())
        .with(key.as_bytes().to_vec())
}

/// What an upload was when a completion looked.
struct Seen {
    initiated: i64,
    metadata: Vec<u8>,
    composite: Algorithms,
    parts: Vec<(PartNumber, PartRow)>,
    digest: Vec<u8>,
}

impl ClusterCatalog {
    /// What a verb with a token begins with.
    pub(super) fn begin(&self, token: &Token) -> Arguments {
        Arguments::new()
            .with(token.session())
            .with(token.seq())
            .with(self.session.lane)
    }

    pub(super) fn initiate_upload(&self, key: &Key, new: &NewUpload<'_>) -> Result<Upload> {
        let lease = self.session.lease()?;
        let upload = Upload::new(key.clone(), self.session.next_id(&lease)?);
        let done = self.session.verb("initiate_v1", |token| {
            named(self.begin(token), &upload)
                .with(new.metadata.to_vec())
                .with(rows::mask(new.wanted))
                .with(rows::mask(new.composite))
        })?;
        done.map_err(|failure| About::key(key).error(failure))?;
        Ok(upload)
    }

    pub(super) fn open_upload(&self, upload: &Upload) -> Result<UploadInfo> {
        let rows = self.read(
            "SELECT u.id, u.namespace, u.key, u.initiated, u.metadata, u.wanted, u.composite FROM ps.uploads u
             WHERE id = $1 AND namespace = $2 AND key = $3 AND completed IS NULL",
            named(Arguments::new(), upload),
            About::upload(upload),
        )?;
        rows.first().map_or_else(|| Err(upload.not_found()), info)
    }

    pub(super) fn check_part(&self, upload: &Upload, bytes: u64) -> Result<Algorithms> {
        if let Some(wanted) = self.admitted.wanted(upload) {
            return Ok(wanted);
        }
        let asked = Instant::now();
        let rows = self.read(
            "SELECT u.wanted, ps.over_quota_v1(u.namespace, $4, 0, false), n.quota_bytes IS NULL AND n.quota_keys IS NULL
             FROM ps.uploads u JOIN ps.namespaces n ON n.name = u.namespace
             WHERE u.id = $1 AND u.namespace = $2 AND u.key = $3 AND u.completed IS NULL",
            named(Arguments::new(), upload).with(rows::signed(bytes)),
            About::upload(upload),
        )?;
        let row = rows.first().ok_or_else(|| upload.not_found())?;
        let over: Option<&str> = row.get(1);
        if let Some(error) = over.and_then(|over| over_quota(upload.namespace(), over)) {
            return Err(error);
        }
        let wanted = rows::algorithms(row.get(0))?;
        if row.get(2) {
            self.admitted.remember(upload, wanted, asked);
        }
        Ok(wanted)
    }

    pub(super) fn put_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        part: &PartRow,
        blob: Option<&NewBlob>,
    ) -> Result<Part> {
        let token = self.token_for(blob)?;
        let mut put = Put {
            session: token.session(),
            seq: token.seq(),
            upload: upload.id().to_bytes().to_vec(),
            namespace: upload.namespace().as_bytes().to_vec(),
            key: upload.key().as_bytes().to_vec(),
            number: number.get().into(),
            content: part.content.as_bytes().to_vec(),
            size: rows::signed(part.size),
            etag: part.etag.as_bytes().to_vec(),
            sums: rows::bytes_of_checksums(&part.checksums, Some(&part.etag)),
            blob: blob.map(|blob| {
                let crcs = rows::bytes_of_crcs(&blob.stored.crcs);
                (blob.stored.location.0.clone(), crcs)
            }),
            repairs: blob.is_some_and(|blob| blob.repairs),
            is_blind: blob.is_some_and(Blind::may_have_stored),
            is_again: false,
        };
        let mut answer = self.committer.commit(put.clone())?;
        let _held;
        if matches!(&answer, Err(failure) if failure.is_known_already()) {
            (_held, put.repairs) = self.look_behind(&part.content)?;
            (put.is_blind, put.is_again) = (false, true);
            answer = self.committer.commit(put)?;
        }
        let stored = token.settle(answer);
        let stored = stored.map_err(|failure| About::upload(upload).error(failure))?;
        Ok(part.part(number, time_of(stored)))
    }

    /// The token of a blob that was stored, or one for a verb that only refers.
    pub(super) fn token_for(&self, blob: Option<&NewBlob>) -> Result<Token> {
        let Some(blob) = blob else {
            return self.session.token();
        };
        let lease = self.session.lease()?;
        Token::of(&lease, &blob.stored.location).ok_or_else(|| Error::Unavailable {
            cause: "this server lost its lease of the store while the body came".to_owned(),
        })
    }

    pub(super) fn complete_upload(
        &self,
        upload: &Upload,
        completing: &Completing<'_>,
    ) -> Result<Object> {
        let about = About {
            replaced: completing.replaced(),
            ..About::upload(upload)
        };
        self.admitted.forget(upload.id());
        for _ in 0..TRIES {
            let Some(seen) = self.see(upload, completing)? else {
                return self.read_object(upload);
            };
            let verdict = match completing.judge(seen.composite, seen.parts) {
                Ok(verdict) => verdict,
                Err(refusal) if self.is_still(upload, &seen.digest)? => return Err(refusal),
                // It was looked at while somebody changed it.
                Err(_) => continue,
            };
            let object = &verdict.object;
            let unlisted = verdict
                .unlisted
                .iter()
                .map(|number| i32::from(number.get()));
            let unlisted: Vec<i32> = unlisted.collect();
            let done = self.session.verb("complete_v1", |token| {
                let arguments = named(self.begin(token), upload)
                    .with(seen.digest.clone())
                    .with(unlisted.clone())
                    .with(completing.identity().to_vec())
                    .with(rows::signed(object.size))
                    .with(i32::from(object.parts))
                    .with(object.etag.to_string())
                    .with(rows::bytes_of_checksums(&object.checksums, None))
                    .with(rows::bytes_of_checksums(&object.composite, None));
                let arguments = with_condition(arguments, completing.condition());
                match completing.replaced() {
                    Some(replaced) => named(arguments, replaced),
                    None => arguments
                        .with(None::<Vec<u8>>)
                        .with(None::<Vec<u8>>)
                        .with(None::<Vec<u8>>),
                }
            })?;
            let completed_at = match done {
                Ok(at) => time_of(at),
                Err(Failure::Refused { code, .. }) if code == "PS011" => continue,
                Err(failure) => return Err(about.error(failure)),
            };
            let times = Times {
                initiated_at: time_of(seen.initiated),
                completed_at,
                modified_at: completed_at,
            };
            return Ok(object.object(upload, times, seen.metadata));
        }
        Err(Error::Unavailable {
            cause: "parts were put all the time while the upload was completed".to_owned(),
        })
    }

    /// Sees an open upload, and whether the condition on its key holds. `None` if it was completed so
    /// before.
    fn see(&self, upload: &Upload, completing: &Completing<'_>) -> Result<Option<Seen>> {
        let about = About::upload(upload);
        let rows = self.read(
            "SELECT u.completed, u.identity, u.initiated, u.metadata, u.composite, k.object, o.etag
             FROM ps.uploads u LEFT JOIN ps.keys k ON k.namespace = u.namespace AND k.key = u.key
               LEFT JOIN ps.uploads o ON o.id = k.object
             WHERE u.id = $1 AND u.namespace = $2 AND u.key = $3",
            named(Arguments::new(), upload),
            about,
        )?;
        let row = rows.first().ok_or_else(|| upload.not_found())?;
        if row.get::<_, Option<i64>>(0).is_some() {
            let identity: Option<&[u8]> = row.get(1);
            let is_same = identity == Some(&completing.identity());
            return if is_same {
                Ok(None)
            } else {
                Err(upload.not_found())
            };
        }
        if let Some(condition) = completing.condition() {
            check_condition(condition, upload.full_key(), current(row, 5)?)?;
        }
        let mut digest = Sha256::new();
        let found = self.read(
            &format!(
                "SELECT {} FROM ps.parts p WHERE upload = $1 ORDER BY number",
                rows::PART
            ),
            Arguments::new().with(upload.id().to_bytes().to_vec()),
            about,
        )?;
        let mut parts = Vec::with_capacity(found.len());
        for row in &found {
            digest_part(&mut digest, row);
            let part = rows::part(row, 0)?;
            parts.push((part.number, PartRow::from(&part)));
        }
        Ok(Some(Seen {
            initiated: row.get(2),
            metadata: row.get(3),
            composite: rows::algorithms(row.get(4))?,
            parts,
            digest: digest.finalize().to_vec(),
        }))
    }

    /// Whether an upload is open, and has these parts.
    fn is_still(&self, upload: &Upload, digest: &[u8]) -> Result<bool> {
        let rows = self.read(
            "SELECT completed IS NULL AND ps.digest_v1(id) = $4 FROM ps.uploads
             WHERE id = $1 AND namespace = $2 AND key = $3",
            named(Arguments::new(), upload).with(digest.to_vec()),
            About::upload(upload),
        )?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    pub(super) fn end(&self, verb: &str, upload: &Upload) -> Result<()> {
        let done = self
            .session
            .verb(verb, |token| named(self.begin(token), upload))?;
        self.admitted.forget(upload.id());
        done.map_err(|failure| About::upload(upload).error(failure))?;
        Ok(())
    }

    pub(super) fn expire_old(
        &self,
        age: Duration,
        spare: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64> {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let mut expired = 0;
        let mut after = (i64::MIN, Vec::new());
        loop {
            let old = self.read(
                "SELECT initiated, id FROM ps.uploads WHERE completed IS NULL AND initiated <= ps.now_ms_v1() - $1
                   AND (initiated, id) > ($2, $3) ORDER BY initiated, id LIMIT $4",
                Arguments::new().with(age).with(after.0).with(after.1.clone()).with(EXPIRED),
                About::default(),
            )?;
            for row in &old {
                let id: Vec<u8> = row.get(1);
                if !going.goes_on() {
                    return Ok(expired);
                }
                after = (row.get(0), id.clone());
                let upload = rows::id(&id)?;
                if spare(upload) {
                    continue;
                }
                self.admitted.forget(upload);
                let arguments = Arguments::new().with(self.session.lane).with(id).with(age);
                let rows = self.upkeep("expire_v1", arguments)?;
                expired += u64::from(rows.first().is_some_and(|row| row.get(0)));
            }
            if old.is_empty() {
                return Ok(expired);
            }
        }
    }

    pub(super) fn rename(&self, upload: &Upload, key: &Key) -> Result<Upload> {
        self.admitted.forget(upload.id());
        let done = self.session.verb("rename_upload_v1", |token| {
            keyed(named(self.begin(token), upload), key)
        })?;
        let about = About {
            upload: Some(upload),
            ..About::key(key)
        };
        done.map_err(|failure| about.error(failure))?;
        Ok(Upload::new(key.clone(), upload.id()))
    }
}

/// The columns `id, namespace, key, initiated, metadata, wanted, composite`.
pub(super) fn info(row: &Row) -> Result<UploadInfo> {
    let key = Key::new(rows::text(row.get(1))?, rows::text(row.get(2))?);
    let upload = Upload::new(key, rows::id(row.get(0))?);
    let new = NewUpload {
        metadata: row.get(4),
        wanted: rows::algorithms(row.get(5))?,
        composite: rows::algorithms(row.get(6))?,
    };
    Ok(new.info(&upload, time_of(row.get(3))))
}

/// The columns `object, etag` of a key, from the given one on.
pub(super) fn current(row: &Row, from: usize) -> Result<Option<(UploadId, ObjectETag)>> {
    let (id, etag): (Option<&[u8]>, Option<&str>) = (row.get(from), row.get(from + 1));
    let (Some(id), Some(etag)) = (id, etag) else {
        return Ok(None);
    };
    Ok(Some((rows::id(id)?, etag.parse()?)))
}

/// As `digest_v1` does it in SQL.
fn digest_part(digest: &mut Sha256, row: &Row) {
    let (number, content): (i32, &[u8]) = (row.get(0), row.get(1));
    let (etag, sums): (&[u8], &[u8]) = (row.get(3), row.get(4));
    digest.update(number.to_be_bytes());
    digest.update(content);
    for text in [etag, sums] {
        digest.update(u32::try_from(text.len()).unwrap_or_default().to_be_bytes());
        digest.update(text);
    }
}
