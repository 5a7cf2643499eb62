//! Sweeping, verifying, and numbers.

use std::io::Read;

use partstore::backend::{BlobReader, Going, StoredBlob};
use partstore::{
    Compared, ContentHash, DamagedBlob, Error, Key, PartNumber, Result, Scope, Stats, SweepReport,
    Upload, VerifyReport,
};
use tokio_postgres::Row;

use super::ClusterCatalog;
use super::refusal::About;
use crate::blobs::Doomed;
use crate::database::{Arguments, Call, Failure};
use crate::rows;

/// So much garbage is looked at in one transaction, and so many objects are removed by one request.
const LOOKED_AT: i32 = 1000;
const REMOVED: i32 = 500;
/// So many blobs are verified before the database is asked for more.
const VERIFIED: i64 = 500;
/// So many blobs that are held are told to the database one by one.
const MOST_HELD: usize = 20_000;

impl ClusterCatalog {
    /// Calls a function that may be called again, since it does what is left to do.
    pub(super) fn upkeep(&self, name: &str, arguments: Arguments) -> Result<Vec<Row>> {
        let call = Call::function(&self.session.database.schema, name, arguments);
        let rows = self.session.read(call)?;
        rows.map_err(Failure::into_error)
    }

    pub(super) fn sweep_all(&self, going: &Going<'_>) -> Result<SweepReport> {
        going.expect(self.to_sweep()?)?;
        let mut report = SweepReport::default();
        // Hands in what was given up here.
        self.session.publish()?;
        self.upkeep("reap_v1", Arguments::new())?;
        let mut after = 0;
        while going.goes_on() {
            let arguments = Arguments::new().with(self.session.lane).with(after);
            let rows = self.upkeep("sweep_v1", arguments.with(LOOKED_AT))?;
            let last: Option<i64> = rows.first().and_then(|row| row.get(0));
            let Some(last) = last else { break };
            after = last;
        }
        // What is doomed by now gets a stamp; what this store reads is published against it.
        self.stamp(going)?;
        self.session.publish()?;
        let removed = self.remove_doomed(going, &mut report);
        report.in_use = self
            .count("SELECT count(*) FROM ps.doomed WHERE content IS NOT NULL AND NOT removing")?;
        removed?;
        going.finish();
        Ok(report)
    }

    /// Stamps what was doomed. If this store keeps what is removed, it does from now on.
    fn stamp(&self, going: &Going<'_>) -> Result<()> {
        let kept = i64::try_from(self.keep_removed.as_millis()).unwrap_or(i64::MAX);
        let some = |function: &str, after: Vec<u8>| {
            let arguments = Arguments::new().with(after).with(LOOKED_AT).with(kept);
            self.upkeep(function, arguments)
        };
        let mut after = Some(Vec::new());
        while let Some(name) = after.take().filter(|_| going.goes_on()) {
            if let Some(row) = some("stamp_v2", name)?.first() {
                self.session.lease()?.learn(row.get(0));
                after = row.get(1);
            }
        }
        // What a server of before step 4 has stamped.
        let mut after = Some(Vec::new());
        while let Some(name) = after.take().filter(|_| going.goes_on()) {
            after = some("keep_v1", name)?.first().and_then(|row| row.get(0));
        }
        Ok(())
    }

    /// For the progress. Of very much it is a part.
    fn to_sweep(&self) -> Result<u64> {
        self.count(
            "SELECT (SELECT count(DISTINCT content) FROM (SELECT content FROM ps.garbage LIMIT 100000) garbage) \
               + (SELECT count(*) FROM (SELECT 1 FROM ps.doomed WHERE NOT removing LIMIT 100000) doomed)",
        )
    }

    fn count(&self, sql: &str) -> Result<u64> {
        let rows = self.read(sql, Arguments::new(), About::default())?;
        Ok(rows.first().map_or(0, |row| rows::size(row.get(0))))
    }

    /// What cannot be removed now is left for a later sweep, and keeps nothing else from removal.
    fn remove_doomed(&self, going: &Going<'_>, report: &mut SweepReport) -> Result<()> {
        let (mut after, mut failed) = (("-infinity".to_owned(), Vec::new()), Ok(()));
        loop {
            if !going.goes_on() {
                return failed;
            }
            let mut rows = self.take(&after)?.into_iter();
            let Some(last) = rows.next() else {
                return failed;
            };
            after = (last.get(0), last.get(1));
            let taken: Vec<_> = rows.collect();
            if taken.is_empty() {
                continue;
            }
            let doomed = |row: &Row| Doomed {
                location: partstore::backend::Location(row.get(1)),
                multipart: row.get(4),
            };
            let names: Vec<_> = taken.iter().map(doomed).collect();
            let mut removed = Vec::with_capacity(names.len());
            for (row, found) in taken.iter().zip(self.blobs.remove(&names)?) {
                let content: Option<&[u8]> = row.get(2);
                match found {
                    Ok(_) if content.is_some() => {
                        report.blobs += 1;
                        let size = row.get::<_, Option<i64>>(3).unwrap_or_default();
                        report.bytes += rows::size(size);
                    }
                    Ok(found) => report.orphans += u64::from(found),
                    Err(error) => {
                        failed = failed.and(Err(error));
                        continue;
                    }
                }
                removed.push(row.get::<_, Vec<u8>>(1));
            }
            self.upkeep("removed_v1", Arguments::new().with(removed))?;
            let _ = going.advance(taken.len() as u64);
        }
    }

    /// Of the next names, those that nobody reads, behind a row that says where to go on.
    fn take(&self, (again, after): &(String, Vec<u8>)) -> Result<Vec<Row>> {
        let lease = self.session.lease()?;
        // First from when on, then what: a reader is in one of the two.
        let (reads, opening) = lease.reads();
        let held = self.pins.contents();
        // Too many to send: then they count by their epochs alone.
        let (opening, held) = if held.len() > MOST_HELD {
            (reads, Vec::new())
        } else {
            (opening, held)
        };
        let held = held.iter().map(|content| content.as_bytes().to_vec());
        let arguments = Arguments::new()
            .with(again.clone())
            .with(after.clone())
            .with(REMOVED)
            .with(lease.id.to_vec())
            .with(reads)
            .with(opening)
            .with(held.collect::<Vec<_>>());
        self.upkeep("take_v2", arguments)
    }

    pub(super) fn verify_all(
        &self,
        (scope, behind): (Scope, Option<&ContentHash>),
        going: &Going<'_>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        if behind.is_none() {
            self.verify_rows(report)?;
        }
        // Bytes if they are read, else rows.
        let reads = scope == Scope::Everything;
        let all = self.count(if reads {
            "SELECT coalesce(sum(bytes), 0)::bigint FROM ps.tally"
        } else {
            "SELECT coalesce(sum(blobs), 0)::bigint FROM ps.tally"
        })?;
        match behind {
            None => going.expect(all)?,
            Some(behind) => going.expect_behind(behind, all)?,
        }
        let mut after = behind.map_or_else(Vec::new, |hash| hash.as_bytes().to_vec());
        loop {
            // What is read stays while it is read.
            let _reader = self.session.reader()?;
            let page = self.read(
                "SELECT content, name, size, crcs FROM ps.blobs WHERE content > $1 ORDER BY content LIMIT $2",
                Arguments::new().with(after.clone()).with(VERIFIED),
                About::default(),
            )?;
            let Some(last) = page.last() else {
                going.finish();
                return Ok(());
            };
            after = last.get(0);
            for row in &page {
                let content = rows::content(row.get(0))?;
                let (damaged, bytes) = (report.damaged.len(), report.bytes);
                going.check()?;
                let mut done = 1;
                if reads {
                    let blob = rows::stored(row, 1);
                    done = blob.crcs.size;
                    self.verify_blob(&content, blob, report)?;
                }
                report.blobs += 1;
                going.reach(Compared {
                    through: content,
                    blobs: 1,
                    bytes: report.bytes - bytes,
                    found: (report.damaged.len() - damaged) as u64,
                });
                going.advance(done)?;
            }
        }
    }

    /// Compares rows with each other.
    fn verify_rows(&self, report: &mut VerifyReport) -> Result<()> {
        report.parts = self.count("SELECT coalesce(sum(parts), 0)::bigint FROM ps.usage")?;
        let call = Call::function(
            &self.session.database.schema,
            "inconsistent_v2",
            Arguments::new(),
        );
        let found = self.session.read_long(call)?.map_err(Failure::into_error)?;
        report
            .inconsistent
            .extend(found.iter().map(|row| row.get::<_, String>(0)));
        Ok(())
    }

    fn verify_blob(
        &self,
        content: &ContentHash,
        blob: StoredBlob,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let size = blob.crcs.size;
        let read = self.blobs.open(content, blob).and_then(hash);
        let reason = match read {
            Ok(hash) if hash == *content => {
                report.bytes += size;
                return Ok(());
            }
            Ok(_) => "its bytes do not have its hash".to_owned(),
            Err(Error::DamagedBlob { reason, .. }) => reason,
            Err(error) => return Err(error),
        };
        let parts = self.references(content)?;
        report
            .damaged
            .push(DamagedBlob::new(*content, reason, parts));
        Ok(())
    }

    fn references(&self, content: &ContentHash) -> Result<Vec<(Upload, PartNumber)>> {
        let found = self.read(
            "SELECT u.id, u.namespace, u.key, p.number FROM ps.parts p JOIN ps.uploads u ON u.id = p.upload
             WHERE p.content = $1 ORDER BY u.id, p.number",
            Arguments::new().with(content.as_bytes().to_vec()),
            About::default(),
        )?;
        let reference = |row: &Row| {
            let key = Key::new(rows::text(row.get(1))?, rows::text(row.get(2))?);
            let number: i32 = row.get(3);
            let number = PartNumber::new(u32::try_from(number).unwrap_or_default())?;
            Ok((Upload::new(key, rows::id(row.get(0))?), number))
        };
        found.iter().map(reference).collect()
    }

    pub(super) fn numbers(&self, stats: &mut Stats) -> Result<()> {
        let found = self.read(
            "SELECT coalesce(sum(uploads), 0)::bigint, coalesce(sum(objects), 0)::bigint, coalesce(sum(keys), 0)::bigint,
               coalesce(sum(parts), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
               (SELECT coalesce(sum(blobs), 0)::bigint FROM ps.tally) + (SELECT count(*) FROM ps.doomed WHERE content IS NOT NULL),
               (SELECT coalesce(sum(bytes), 0)::bigint FROM ps.tally) + (SELECT coalesce(sum(size), 0)::bigint FROM ps.doomed WHERE content IS NOT NULL),
               (SELECT count(DISTINCT content) FROM ps.garbage), (SELECT count(*) FROM ps.blobs WHERE damaged)
             FROM ps.usage",
            Arguments::new(),
            About::default(),
        )?;
        let Some(row) = found.first() else {
            return Ok(());
        };
        let number = |at: usize| rows::size(row.get(at));
        stats.open_uploads = number(0);
        stats.objects = number(1);
        stats.keys = number(2);
        stats.parts = number(3);
        stats.part_bytes = number(4);
        stats.blobs = number(5);
        stats.blob_bytes = number(6);
        stats.garbage = number(7);
        stats.damaged_blobs = number(8);
        stats.pinned_blobs = self.pins.count() as u64;
        Ok(())
    }
}

/// Reads a blob whole, and hashes it.
fn hash(blob: Box<dyn BlobReader>) -> Result<ContentHash> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Bytes { blob, position: 0 };
    let copied = hasher.update_reader(&mut bytes);
    copied.map_err(|error| match Error::from_io(error) {
        Ok(error) => error,
        Err(source) => Error::Io {
            op: "read",
            path: "a blob".into(),
            source,
        },
    })?;
    Ok(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
}

/// A blob from its first byte on.
struct Bytes {
    blob: Box<dyn BlobReader>,
    position: u64,
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.blob.read_at(self.position, into);
        let len = read.map_err(std::io::Error::other)?;
        self.position += len as u64;
        Ok(len)
    }
}
