//! The verbs of objects.

use partstore::backend::{HeldObject, HeldPart, NewObject, Renaming, Times, check_condition};
use partstore::{
    Condition, Error, Key, Object, ObjectETag, ObjectPart, Part, PartNumber, Result, Upload,
};

use super::ClusterCatalog;
use super::blind::Blind;
use super::condition::with_condition;
use super::refusal::{About, no_such_namespace, over_quota};
use super::uploads::{current, keyed, named};
use crate::database::{Arguments, Call};
use crate::rows;
use crate::session::{Reader, time_of};

impl ClusterCatalog {
    pub(super) fn check_object(&self, key: &Key, condition: Condition, bytes: u64) -> Result<()> {
        let rows = self.read(
            "SELECT k.object, o.etag, ps.over_quota_v1(n.name, $3 - coalesce(o.size, 0),
                 CASE WHEN k.object IS NULL THEN 1 ELSE 0 END, false)
             FROM ps.namespaces n LEFT JOIN ps.keys k ON k.namespace = n.name AND k.key = $2
               LEFT JOIN ps.uploads o ON o.id = k.object
             WHERE n.name = $1",
            keyed(Arguments::new(), key).with(rows::signed(bytes)),
            About::key(key),
        )?;
        let row = rows
            .first()
            .ok_or_else(|| no_such_namespace(key.namespace()))?;
        check_condition(condition, key, current(row, 0)?)?;
        let over: Option<&str> = row.get(2);
        let over = over.and_then(|over| over_quota(key.namespace(), over));
        over.map_or(Ok(()), Err)
    }

    pub(super) fn put_object(
        &self,
        key: &Key,
        wanted: Condition,
        new: &NewObject<'_>,
    ) -> Result<Object> {
        let token = self.token_for(new.blob)?;
        let mut repairs = new.blob.is_some_and(|blob| blob.repairs);
        let _held;
        if let (Some(stored), Some((_, part))) = (new.blob, new.parts.first())
            && Blind::may_have_stored(stored)
        {
            (_held, repairs) = self.look_behind(&part.content)?;
        }
        let upload = Upload::new(key.clone(), self.session.next_id(token.lease())?);
        let parts = || new.parts.iter().map(|(_, part)| part);
        let numbers = new.parts.iter().map(|(number, _)| i32::from(number.get()));
        let sums = |part: &partstore::backend::PartRow| {
            rows::bytes_of_checksums(&part.checksums, Some(&part.etag))
        };
        let arguments = named(self.begin(&token), &upload).with(new.metadata.to_vec());
        let arguments = with_condition(arguments, Some(wanted))
            .with(rows::signed(new.row.size))
            .with(new.row.etag.to_string())
            .with(rows::bytes_of_checksums(&new.row.checksums, None))
            .with(rows::bytes_of_checksums(&new.row.composite, None))
            .with(numbers.collect::<Vec<i32>>())
            .with(
                parts()
                    .map(|part| part.content.as_bytes().to_vec())
                    .collect::<Vec<_>>(),
            )
            .with(
                parts()
                    .map(|part| rows::signed(part.size))
                    .collect::<Vec<_>>(),
            )
            .with(
                parts()
                    .map(|part| part.etag.as_bytes().to_vec())
                    .collect::<Vec<_>>(),
            )
            .with(parts().map(sums).collect::<Vec<_>>())
            .with(new.blob.map(|blob| blob.stored.location.0.clone()))
            .with(new.blob.map(|blob| rows::bytes_of_crcs(&blob.stored.crcs)))
            .with(repairs);
        let call = Call::function(&self.session.database.schema, "put_object_v2", arguments);
        let done = self.session.settle(token, call)?;
        let at = done.map_err(|failure| About::key(key).error(failure))?;
        let times = Times::all(time_of(at));
        Ok(new.row.object(&upload, times, new.metadata.to_vec()))
    }

    pub(super) fn take_key(&self, object: &Upload, wanted: Condition) -> Result<()> {
        let done = self.session.verb("make_current_v1", |token| {
            with_condition(named(self.begin(token), object), Some(wanted))
        })?;
        done.map_err(|failure| About::upload(object).error(failure))?;
        Ok(())
    }

    pub(super) fn set_metadata(&self, object: &Upload, metadata: &[u8]) -> Result<Object> {
        let done = self.session.verb("replace_metadata_v1", |token| {
            let arguments = Arguments::new().with(token.session()).with(token.seq());
            named(arguments, object).with(metadata.to_vec())
        })?;
        done.map_err(|failure| About::upload(object).error(failure))?;
        self.changed(object)
    }

    pub(super) fn rename_to(
        &self,
        object: &Upload,
        key: &Key,
        renaming: &Renaming<'_>,
    ) -> Result<Object> {
        let whole = if renaming.whole_etag {
            self.whole_etag(object)?
        } else {
            None
        };
        let done = self.session.verb("rename_object_v1", |token| {
            let arguments = keyed(named(self.begin(token), object), key);
            with_condition(arguments, Some(renaming.condition))
                .with(renaming.metadata.map(<[u8]>::to_vec))
                .with(whole.map(|etag| etag.to_string()))
        })?;
        let about = About {
            upload: Some(object),
            ..About::key(key)
        };
        done.map_err(|failure| about.error(failure))?;
        self.changed(&Upload::new(key.clone(), object.id()))
    }

    /// The ETag that an object of one part gets if it counts as put as a whole.
    fn whole_etag(&self, object: &Upload) -> Result<Option<ObjectETag>> {
        let parts = self.parts_of(object, 2)?;
        Ok(match parts.as_slice() {
            [only] => Some(ObjectETag::from(only.etag)),
            _ => None,
        })
    }

    /// Reads what a verb has just changed. The change was made, whatever keeps it from being read now.
    fn changed(&self, object: &Upload) -> Result<Object> {
        self.read_object(object)
            .map_err(|error| Error::OutcomeUnknown {
                cause: match error {
                    Error::NoSuchObject { .. } => {
                        "it was changed, and removed right behind that".to_owned()
                    }
                    Error::Unavailable { cause } => {
                        format!("it was changed, and cannot be read now: {cause}")
                    }
                    other => other.to_string(),
                },
            })
    }

    pub(super) fn remove_current(&self, key: &Key, wanted: Condition) -> Result<bool> {
        let done = self.session.verb("remove_key_v1", |token| {
            with_condition(keyed(self.begin(token), key), Some(wanted))
        })?;
        let had = done.map_err(|failure| About::key(key).error(failure))?;
        Ok(had == 1)
    }

    pub(super) fn read_object(&self, object: &Upload) -> Result<Object> {
        let rows = self.read(
            &format!(
                "SELECT {} FROM ps.uploads u WHERE id = $1 AND namespace = $2 AND key = $3 AND completed IS NOT NULL",
                rows::OBJECT
            ),
            named(Arguments::new(), object),
            About::upload(object),
        )?;
        let row = rows.first().ok_or_else(|| object.object_not_found())?;
        rows::object(row)
    }

    pub(super) fn current_object(&self, key: &Key) -> Result<Object> {
        let rows = self.read(
            &format!(
                "SELECT {}, k.object FROM ps.namespaces n LEFT JOIN ps.keys k ON k.namespace = n.name AND k.key = $2
                   LEFT JOIN ps.uploads u ON u.id = k.object WHERE n.name = $1",
                rows::OBJECT
            ),
            keyed(Arguments::new(), key),
            About::key(key),
        )?;
        let row = rows
            .first()
            .ok_or_else(|| no_such_namespace(key.namespace()))?;
        let found: Option<&[u8]> = row.get(rows::OBJECT_COLUMNS);
        found.ok_or_else(|| key.not_found())?;
        rows::object(row)
    }

    /// The first parts of an upload or object.
    fn parts_of(&self, upload: &Upload, limit: i64) -> Result<Vec<Part>> {
        let rows = self.read(
            &format!(
                "SELECT {} FROM ps.parts p WHERE upload = $1 ORDER BY number LIMIT $2",
                rows::PART
            ),
            Arguments::new()
                .with(upload.id().to_bytes().to_vec())
                .with(limit),
            About::upload(upload),
        )?;
        rows.iter().map(|row| rows::part(row, 0)).collect()
    }

    pub(super) fn held_part(&self, upload: &Upload, number: PartNumber) -> Result<HeldPart> {
        let reader = self.session.reader()?;
        let rows = self.read(
            &format!(
                "SELECT {}, b.name, b.size, b.crcs FROM ps.uploads u
                   LEFT JOIN ps.parts p ON p.upload = u.id AND p.number = $4 LEFT JOIN ps.blobs b ON b.content = p.content
                 WHERE u.id = $1 AND u.namespace = $2 AND u.key = $3 AND u.completed IS NULL",
                rows::PART
            ),
            named(Arguments::new(), upload).with(i32::from(number.get())),
            About::upload(upload),
        )?;
        let row = rows.first().ok_or_else(|| upload.not_found())?;
        let found: Option<i32> = row.get(0);
        found.ok_or_else(|| upload.part_not_found(number))?;
        let part = rows::part(row, 0)?;
        Ok(HeldPart {
            blob: rows::stored(row, 6),
            hold: self.pins.hold(reader, vec![part.content]),
            part,
        })
    }

    pub(super) fn held_object(&self, object: &Upload) -> Result<HeldObject> {
        let reader = self.session.reader()?;
        let found = self.read_object(object)?;
        self.with_parts(reader, found)?
            .ok_or_else(|| object.object_not_found())
    }

    pub(super) fn held_key(&self, key: &Key) -> Result<HeldObject> {
        loop {
            let reader = self.session.reader()?;
            let found = self.current_object(key)?;
            // Another object has taken the key since.
            if let Some(held) = self.with_parts(reader, found)? {
                return Ok(held);
            }
        }
    }

    /// Parts of an object do not change, but they go with it.
    fn with_parts(&self, reader: Reader, object: Object) -> Result<Option<HeldObject>> {
        let parts = self.parts_of(&object.upload, i64::from(object.parts))?;
        if parts.len() != usize::from(object.parts) {
            return Ok(None);
        }
        let contents = parts.iter().map(|part| part.content).collect();
        Ok(Some(HeldObject {
            parts: ObjectPart::all(parts),
            hold: self.pins.hold(reader, contents),
            object,
        }))
    }
}
