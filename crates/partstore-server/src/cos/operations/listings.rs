//! List Parts, List Multipart Uploads.

use partstore::{ListParts, ListUploads, UploadId, UploadPage};

use super::iso;
use super::uploads::upload_of;
use crate::cos::answer::{self, Answer};
use crate::cos::body::blocking;
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Query, digits};
use crate::cos::service::Call;
use crate::cos::xml;

/// `GET /key?uploadId=ID`
pub async fn list_parts(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-parts", 1)?;
    let marker = call
        .query
        .filled("part-number-marker")
        .map_or(Some(0), digits::<u32>);
    let marker = marker.ok_or_else(|| {
        Refusal::invalid_argument("part-number-marker must be an integer of at least 0")
    })?;
    let upload = upload_of(&call).await?;
    let Call {
        service, target, ..
    } = call;
    let (upload, class, page) = blocking(&service.store, move |store| {
        let class = metadata::storage_class(&store.upload(&upload)?.metadata);
        let page = store.list_parts(&upload, &ListParts::new().marker(marker).limit(limit))?;
        Ok::<_, Refusal>((upload, class, page))
    })
    .await?;
    let part = |part: &partstore::Part| xml::Part {
        part_number: part.number.get(),
        last_modified: iso(part.stored_at),
        etag: part.etag.quoted(),
        size: part.size,
    };
    answer::xml(&xml::ListPartsResult {
        bucket: &target.bucket,
        encoding_type: encoding.name(),
        key: encoding.write(&target.key),
        upload_id: upload.id().to_string(),
        initiator: xml::Owner::default(),
        owner: xml::Owner::default(),
        storage_class: class,
        part_number_marker: marker,
        next_part_number_marker: page.next.map(u32::from),
        max_parts: limit,
        is_truncated: page.next.is_some(),
        part: page.parts.iter().map(part).collect(),
    })
}

/// `GET /?uploads`
pub async fn list_uploads(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-uploads", 1)?;
    call.require_bucket().await?;
    let Call {
        service,
        target,
        query,
        ..
    } = call;
    let bucket = target.bucket;
    let asked = asked(&query, &bucket, limit)?;
    let page = service.store.list_uploads(asked).await?;
    let key = |key: &str| encoding.write(key);
    let (upload, common_prefixes) = entries(&page, &key);
    let next = page.next.as_ref();
    let next_id = |id: Option<UploadId>| id.map(|id| id.to_string()).unwrap_or_default();
    answer::xml(&xml::ListMultipartUploadsResult {
        bucket: &bucket,
        encoding_type: encoding.name(),
        key_marker: encoding.write(&query.text("key-marker")),
        upload_id_marker: query.text("upload-id-marker"),
        next_key_marker: next.map(|next| key(&next.key)),
        next_upload_id_marker: next.map(|next| next_id(next.id)),
        max_uploads: limit,
        is_truncated: next.is_some(),
        prefix: encoding.write(&query.text("prefix")),
        delimiter: encoding.write(&query.text("delimiter")),
        upload,
        common_prefixes,
    })
}

/// What is asked for, in the store's words.
fn asked(query: &Query, bucket: &str, limit: u32) -> Result<ListUploads, Refusal> {
    let mut asked = ListUploads::new()
        .namespace(bucket)
        .prefix(query.text("prefix"))
        .delimiter(query.text("delimiter"))
        .limit(limit);
    if let Some(key) = query.filled("key-marker") {
        asked = asked.key_marker(key);
        if let Some(id) = query.filled("upload-id-marker") {
            let malformed = |_| Refusal::invalid_argument("upload-id-marker is no upload id");
            asked = asked.upload_id_marker(id.parse().map_err(malformed)?);
        }
    }
    Ok(asked)
}

fn entries(
    page: &UploadPage,
    key: &impl Fn(&str) -> String,
) -> (Vec<xml::Upload>, Vec<xml::CommonPrefix>) {
    let uploads = page.uploads.iter().map(|open| xml::Upload {
        key: key(open.upload.key()),
        upload_id: open.upload.id().to_string(),
        storage_class: metadata::storage_class(&open.metadata),
        initiator: xml::Owner::default(),
        owner: xml::Owner::default(),
        initiated: iso(open.initiated_at),
    });
    let prefixes = page.common_prefixes.iter().map(|prefix| xml::CommonPrefix {
        prefix: key(prefix),
    });
    (uploads.collect(), prefixes.collect())
}
