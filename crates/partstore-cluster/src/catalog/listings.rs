//! The listings. Each page is one query.

use partstore::backend::Names;
use partstore::{
    KeyEntry, KeyPage, Namespace, NamespacePage, ObjectPage, PartPage, Quota, Result, Upload,
    UploadId, UploadMarker, UploadPage, Usage,
};
use tokio_postgres::Row;

use super::ClusterCatalog;
use super::refusal::{About, no_such_namespace};
use super::uploads::{info, named};
use crate::database::Arguments;
use crate::rows;
use crate::session::time_of;

/// One more than a page has, so that it is known whether another follows.
fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts what is one more, and returns the last that stays, if something was cut.
fn cut<T>(entries: &mut Vec<T>, limit: usize) -> Option<&T> {
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    entries.last().filter(|_| is_more)
}

impl ClusterCatalog {
    pub(super) fn list_parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartPage> {
        let found = self.read(
            &format!(
                "SELECT {} FROM ps.uploads u LEFT JOIN LATERAL
                   (SELECT * FROM ps.parts WHERE upload = u.id AND number > $4 ORDER BY number LIMIT $5) p ON true
                 WHERE u.id = $1 AND u.namespace = $2 AND u.key = $3 AND u.completed IS NULL ORDER BY p.number",
                rows::PART
            ),
            named(Arguments::new(), upload)
                .with(i32::from(after))
                .with(one_more(limit)),
            About::upload(upload),
        )?;
        if found.is_empty() {
            return Err(upload.not_found());
        }
        let found = found
            .iter()
            .filter(|row| row.get::<_, Option<i32>>(0).is_some());
        let parts: Result<Vec<_>> = found.map(|row| rows::part(row, 0)).collect();
        let mut parts = parts?;
        let mut page = PartPage::default();
        page.next = cut(&mut parts, limit).map(|last| last.number);
        page.parts = parts;
        Ok(page)
    }

    pub(super) fn list_uploads(&self, names: &Names<'_>) -> Result<UploadPage> {
        let columns = "u.id, u.namespace, u.key, u.initiated, u.metadata, u.wanted, u.composite, g.o_common, g.o_key";
        let mut found = self.page(true, columns, names)?;
        let mut page = UploadPage::default();
        if let Some(last) = cut(&mut found, names.limit) {
            let (is_common, key) = (last.get(7), rows::text(last.get(8))?);
            let id = if is_common {
                None
            } else {
                Some(rows::id(last.get(0))?)
            };
            page.next = Some(UploadMarker::new(&key, id));
        }
        for row in &found {
            if row.get(7) {
                page.common_prefixes.push(rows::text(row.get(8))?);
            } else {
                page.uploads.push(info(row)?);
            }
        }
        Ok(page)
    }

    pub(super) fn list_keys(&self, names: &Names<'_>) -> Result<KeyPage> {
        let columns = format!("{}, g.o_common, g.o_key", rows::OBJECT);
        let mut found = self.page(false, &columns, names)?;
        let common = rows::OBJECT_COLUMNS;
        let mut page = KeyPage::default();
        if let Some(last) = cut(&mut found, names.limit) {
            page.next = Some(rows::text(last.get(common + 1))?);
        }
        for row in &found {
            if row.get(common) {
                page.common_prefixes.push(rows::text(row.get(common + 1))?);
            } else {
                page.keys.push(KeyEntry::of(&rows::object(row)?));
            }
        }
        Ok(page)
    }

    fn page(&self, open: bool, columns: &str, names: &Names<'_>) -> Result<Vec<Row>> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        self.read(
            &format!(
                "SELECT {columns} FROM ps.page_v1($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
                   g (o_common, o_key, o_id, at) LEFT JOIN ps.uploads u ON u.id = g.o_id ORDER BY g.at"
            ),
            Arguments::new()
                .with(open)
                .with(bytes(names.namespace))
                .with(bytes(names.prefix))
                .with(names.delimiter.map(bytes))
                .with(names.after.map(bytes))
                .with(names.after_id.map(|id| id.to_bytes().to_vec()))
                .with(i32::try_from(one_more(names.limit)).unwrap_or(i32::MAX)),
            About::namespace(names.namespace),
        )
    }

    pub(super) fn list_objects(&self, after: Option<UploadId>, limit: usize) -> Result<ObjectPage> {
        let found = self.read(
            &format!(
                "SELECT {} FROM ps.uploads u WHERE completed IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
                rows::OBJECT
            ),
            Arguments::new()
                .with(after.map_or_else(Vec::new, |id| id.to_bytes().to_vec()))
                .with(one_more(limit)),
            About::default(),
        )?;
        let objects: Result<Vec<_>> = found.iter().map(rows::object).collect();
        let mut objects = objects?;
        let mut page = ObjectPage::default();
        page.next = cut(&mut objects, limit).map(|last| last.upload.id());
        page.objects = objects;
        Ok(page)
    }

    pub(super) fn read_namespace(&self, name: &str) -> Result<Namespace> {
        let rows = self.read(
            &format!("{NAMESPACES} WHERE n.name = $1"),
            Arguments::new().with(name.as_bytes().to_vec()),
            About::namespace(name),
        )?;
        let row = rows.first().ok_or_else(|| no_such_namespace(name))?;
        namespace(row)
    }

    pub(super) fn list_namespaces(&self, after: &str, limit: usize) -> Result<NamespacePage> {
        let found = self.read(
            &format!("{NAMESPACES} WHERE n.name > $1 ORDER BY n.name LIMIT $2"),
            Arguments::new()
                .with(after.as_bytes().to_vec())
                .with(one_more(limit)),
            About::default(),
        )?;
        let spaces: Result<Vec<_>> = found.iter().map(namespace).collect();
        let mut spaces = spaces?;
        let mut page = NamespacePage::default();
        page.next = cut(&mut spaces, limit).map(|last| last.name.clone());
        page.namespaces = spaces;
        Ok(page)
    }

    pub(super) fn change_namespace(
        &self,
        verb: &str,
        name: &str,
        quota: Option<Quota>,
    ) -> Result<()> {
        let done = self.session.verb(verb, |token| {
            let arguments = Arguments::new()
                .with(token.session())
                .with(token.seq())
                .with(name.as_bytes().to_vec());
            match quota {
                Some(quota) => arguments
                    .with(quota.max_bytes().map(rows::signed))
                    .with(quota.max_keys().map(rows::signed)),
                None => arguments,
            }
        })?;
        done.map_err(|failure| About::namespace(name).error(failure))?;
        Ok(())
    }
}

const NAMESPACES: &str = "SELECT n.name, n.created, n.quota_bytes, n.quota_keys, s.keys, s.objects, s.bytes, s.uploads
    FROM ps.namespaces n CROSS JOIN LATERAL (SELECT coalesce(sum(keys), 0)::bigint AS keys, coalesce(sum(objects), 0)::bigint AS objects,
      coalesce(sum(bytes), 0)::bigint AS bytes, coalesce(sum(uploads), 0)::bigint AS uploads
      FROM ps.usage WHERE namespace = n.name) s";

fn namespace(row: &Row) -> Result<Namespace> {
    let mut quota = Quota::new();
    if let Some(bytes) = row.get::<_, Option<i64>>(2) {
        quota = quota.bytes(rows::size(bytes));
    }
    if let Some(keys) = row.get::<_, Option<i64>>(3) {
        quota = quota.keys(rows::size(keys));
    }
    let mut usage = Usage::default();
    usage.keys = rows::size(row.get(4));
    usage.objects = rows::size(row.get(5));
    usage.bytes = rows::size(row.get(6));
    usage.open_uploads = rows::size(row.get(7));
    let created: Option<i64> = row.get(1);
    let name = rows::text(row.get(0))?;
    Ok(Namespace::new(&name, created.map(time_of), quota, usage))
}
