//! Buckets: PUT, HEAD, DELETE, and GET, which lists objects; and the list of all buckets.

use hyper::Response;
use partstore::{Error, Key, ListKeys, ListNamespaces, Object, PartStore, Quota};

use super::iso;
use crate::cos::answer::{self, Answer, Body, set};
use crate::cos::body::blocking;
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Encoding, Query};
use crate::cos::service::Call;
use crate::cos::xml;
use crate::kept;

/// `GET /` of the host of all buckets, or of no bucket
pub async fn list_all(call: Call) -> Answer {
    let (store, region) = (call.service.store.clone(), call.rules.region.clone());
    let bucket = blocking(&store, move |store| all(store, &region)).await?;
    answer::xml(&xml::ListAllMyBucketsResult {
        owner: xml::Owner::default(),
        buckets: xml::Buckets { bucket },
    })
}

fn all(store: &PartStore, region: &str) -> Result<Vec<xml::Bucket>, Refusal> {
    let (mut buckets, mut query) = (Vec::new(), ListNamespaces::new());
    loop {
        let page = store.list_namespaces(&query)?;
        // The default namespace, which is no bucket, has no date.
        let dated = page.namespaces.into_iter().filter_map(|namespace| {
            Some(xml::Bucket {
                location: region.to_owned(),
                creation_date: iso(namespace.created_at?),
                name: namespace.name,
            })
        });
        buckets.extend(dated);
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(buckets),
        }
    }
}

/// `PUT /`
pub async fn create(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    let created = blocking(&store, move |store| {
        kept::remove_stale(store, &bucket)?;
        match store.create_namespace(&bucket, Quota::new()) {
            Err(Error::NamespaceExists { .. }) => Err(Refusal::already_owned(
                "this bucket exists, and belongs to everybody",
            )),
            created => Ok(created?),
        }
    });
    created.await?;
    Ok(in_region(&call, answer::ok()))
}

/// `HEAD /`
pub async fn head(call: Call) -> Answer {
    call.require_bucket().await?;
    Ok(in_region(&call, answer::ok()))
}

fn in_region(call: &Call, mut response: Response<Body>) -> Response<Body> {
    let region = call.host.region().unwrap_or(&call.rules.region);
    set(&mut response, "x-cos-bucket-region", region);
    response
}

/// `DELETE /`. A bucket with open uploads is not empty.
pub async fn delete(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket);
    blocking(&store, move |store| {
        store.remove_namespace(&bucket)?;
        kept::remove_all(store, &bucket)
    })
    .await?;
    Ok(answer::no_content())
}

/// `GET /`, with `prefix`, `delimiter`, `marker` and `max-keys`
pub async fn list(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-keys", 0)?;
    let (store, bucket, query) = (call.service.store.clone(), call.target.bucket, call.query);
    let marker = query.filled("marker").map(str::to_owned);
    let asked = asked(&query, marker, limit);
    let name = bucket.clone();
    let page = blocking(&store, move |store| page(store, &name, asked)).await?;
    let contents = page.entries.iter().map(|entry| entry.contents(encoding));
    answer::xml(&xml::ListBucketResult {
        name: &bucket,
        encoding_type: encoding.name(),
        prefix: encoding.write(&query.text("prefix")),
        marker: encoding.write(&query.text("marker")),
        max_keys: limit,
        delimiter: encoding.write(&query.text("delimiter")),
        is_truncated: page.next.is_some(),
        next_marker: page.next.as_deref().map(|next| encoding.write(next)),
        contents: contents.collect(),
        common_prefixes: page.common_prefixes(encoding),
    })
}

/// `GET /?versions`: each object has one version, `null`.
pub async fn list_versions(call: Call) -> Answer {
    const NULL: &str = "null";
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-keys", 0)?;
    let (store, bucket, query) = (call.service.store.clone(), call.target.bucket, call.query);
    let marker = query.filled("key-marker").map(str::to_owned);
    let asked = asked(&query, marker, limit);
    let name = bucket.clone();
    let page = blocking(&store, move |store| page(store, &name, asked)).await?;
    let versions = page.entries.iter().map(|entry| {
        let contents = entry.contents(encoding);
        xml::Version {
            key: contents.key,
            version_id: NULL,
            is_latest: true,
            last_modified: contents.last_modified,
            etag: contents.etag,
            size: contents.size,
            storage_class: contents.storage_class,
            owner: contents.owner,
        }
    });
    answer::xml(&xml::ListVersionsResult {
        name: &bucket,
        encoding_type: encoding.name(),
        prefix: encoding.write(&query.text("prefix")),
        key_marker: encoding.write(&query.text("key-marker")),
        version_id_marker: "",
        max_keys: limit,
        delimiter: encoding.write(&query.text("delimiter")),
        is_truncated: page.next.is_some(),
        next_key_marker: page.next.as_deref().map(|next| encoding.write(next)),
        next_version_id_marker: page.next.as_ref().map(|_| NULL),
        version: versions.collect(),
        common_prefixes: page.common_prefixes(encoding),
    })
}

/// What is asked for, in the store's words, but for the bucket. `None` for nothing.
fn asked(query: &Query, marker: Option<String>, limit: u32) -> Option<ListKeys> {
    let asked = ListKeys::new()
        .prefix(query.text("prefix"))
        .delimiter(query.text("delimiter"))
        .limit(limit);
    let asked = match marker {
        Some(marker) => asked.after(marker),
        None => asked,
    };
    Some(asked).filter(|_| limit > 0)
}

/// A page, each entry with the object that the key has now.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    prefixes: Vec<String>,
    next: Option<String>,
}

struct Entry {
    key: String,
    object: Object,
}

/// A key that has lost its object in the meantime is left out. The objects are looked at for their storage class: a page
/// of the store does not have it.
fn page(store: &PartStore, bucket: &str, asked: Option<ListKeys>) -> Result<Page, Error> {
    let Some(asked) = asked else {
        return store.namespace(bucket).map(|_| Page::default());
    };
    let found = store.list_keys(&asked.namespace(bucket))?;
    let mut entries = Vec::with_capacity(found.keys.len());
    for entry in found.keys {
        match store.object_by_key(Key::new(bucket, &entry.key)) {
            Err(Error::NoSuchKey { .. }) => {}
            object => entries.push(Entry {
                object: object?,
                key: entry.key,
            }),
        }
    }
    Ok(Page {
        entries,
        prefixes: found.common_prefixes,
        next: found.next,
    })
}

impl Entry {
    fn contents(&self, encoding: Encoding) -> xml::Contents {
        xml::Contents {
            key: encoding.write(&self.key),
            last_modified: iso(self.object.modified_at),
            etag: self.object.etag.quoted(),
            size: self.object.size,
            owner: xml::Owner::default(),
            storage_class: metadata::storage_class(&self.object.metadata),
        }
    }
}

impl Page {
    fn common_prefixes(&self, encoding: Encoding) -> Vec<xml::CommonPrefix> {
        let prefixes = self.prefixes.iter();
        let prefixes = prefixes.map(|prefix| xml::CommonPrefix {
            prefix: encoding.write(prefix),
        });
        prefixes.collect()
    }
}
