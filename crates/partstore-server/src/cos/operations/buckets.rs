//! Buckets: PUT, HEAD, DELETE, and GET, which lists objects.

use partstore::{Error, Key, KeyPage, ListKeys, PartStore, Quota};

use super::iso;
use crate::cos::answer::{self, Answer};
use crate::cos::body::blocking;
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Encoding, Query};
use crate::cos::service::Call;
use crate::cos::xml;

/// `PUT /`
pub async fn create(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket);
    blocking(move || store.create_namespace(&bucket, Quota::new())).await?;
    Ok(answer::ok())
}

/// `HEAD /`
pub async fn head(call: Call) -> Answer {
    call.require_bucket().await?;
    Ok(answer::ok())
}

/// `DELETE /`. A bucket with open uploads is not empty.
pub async fn delete(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket);
    blocking(move || store.remove_namespace(&bucket)).await?;
    Ok(answer::no_content())
}

/// `GET /`, with `prefix`, `delimiter`, `marker` and `max-keys`
pub async fn list(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-keys")?;
    let (store, bucket, query) = (call.service.store.clone(), call.target.bucket, call.query);
    let asked = asked(&bucket, &query, limit);
    let (bucket, page, contents) = blocking(move || {
        let page = store.list_keys(&asked)?;
        let contents = contents(&store, &bucket, &page, encoding)?;
        Ok::<_, Refusal>((bucket, page, contents))
    })
    .await?;
    let prefixes = page.common_prefixes.iter();
    let prefixes = prefixes.map(|prefix| xml::CommonPrefix {
        prefix: encoding.write(prefix),
    });
    answer::xml(&xml::ListBucketResult {
        name: &bucket,
        encoding_type: encoding.name(),
        prefix: encoding.write(&query.text("prefix")),
        marker: encoding.write(&query.text("marker")),
        max_keys: limit,
        delimiter: encoding.write(&query.text("delimiter")),
        is_truncated: page.next.is_some(),
        next_marker: page.next.as_deref().map(|next| encoding.write(next)),
        contents,
        common_prefixes: prefixes.collect(),
    })
}

/// What is asked for, in the store's words.
fn asked(bucket: &str, query: &Query, limit: u32) -> ListKeys {
    let asked = ListKeys::new()
        .namespace(bucket)
        .prefix(query.text("prefix"))
        .delimiter(query.text("delimiter"))
        .limit(limit);
    match query.filled("marker") {
        Some(marker) => asked.after(marker),
        None => asked,
    }
}

/// The entries of a page, each of the object that the key has now. A key that has lost its object in the meantime is
/// left out. The objects are looked at for their storage class: a page of the store does not have it.
fn contents(
    store: &PartStore,
    bucket: &str,
    page: &KeyPage,
    encoding: Encoding,
) -> Result<Vec<xml::Contents>, Refusal> {
    let mut contents = Vec::with_capacity(page.keys.len());
    for entry in &page.keys {
        let object = match store.object_by_key(Key::new(bucket, &entry.key)) {
            Err(Error::NoSuchKey { .. }) => continue,
            found => found?,
        };
        contents.push(xml::Contents {
            key: encoding.write(&entry.key),
            last_modified: iso(object.modified_at),
            etag: object.etag.quoted(),
            size: object.size,
            owner: xml::Owner::default(),
            storage_class: metadata::storage_class(&object.metadata),
        });
    }
    Ok(contents)
}
