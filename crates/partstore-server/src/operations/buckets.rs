//! Buckets: PUT, HEAD, DELETE, and GET, which lists objects.

use std::ops::Bound;

use super::described::Described;
use super::iso;
use crate::answer::{self, Answer};
use crate::body::blocking;
use crate::names::{Names, Step};
use crate::refusal::Refusal;
use crate::request::Target;
use crate::service::Call;
use crate::xml;

/// `PUT /`
pub async fn create(call: Call) -> Answer {
    blocking(move || call.service.names.create_bucket(&call.target.bucket)).await?;
    Ok(answer::ok())
}

/// `HEAD /`
pub fn head(call: &Call) -> Answer {
    call.service.names.check_bucket(&call.target.bucket)?;
    Ok(answer::ok())
}

/// `DELETE /`
pub async fn delete(call: Call) -> Answer {
    blocking(move || call.service.names.delete_bucket(&call.target.bucket)).await?;
    Ok(answer::no_content())
}

/// `GET /`, with `prefix`, `delimiter`, `marker` and `max-keys`
pub async fn list(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-keys")?;
    let (prefix, delimiter, marker) = (
        call.query.text("prefix"),
        call.query.text("delimiter"),
        call.query.text("marker"),
    );
    let listing = Listing {
        bucket: call.target.bucket.clone(),
        prefix,
        delimiter,
        limit,
    };
    let (listing, marker, page) = blocking(move || {
        let page = listing.page(&call.service.names, &marker)?;
        Ok::<_, Refusal>((listing, marker, page))
    })
    .await?;
    let contents = page.objects.iter().map(|(key, object)| xml::Contents {
        key: encoding.write(key),
        last_modified: iso(object.modified),
        etag: object.etag.clone(),
        size: object.size,
        owner: xml::Owner::default(),
        storage_class: object.storage_class(),
    });
    let prefixes = page.prefixes.iter().map(|prefix| xml::CommonPrefix {
        prefix: encoding.write(prefix),
    });
    answer::xml(&xml::ListBucketResult {
        name: &listing.bucket,
        encoding_type: encoding.name(),
        prefix: encoding.write(&listing.prefix),
        marker: encoding.write(&marker),
        max_keys: limit,
        delimiter: encoding.write(&listing.delimiter),
        is_truncated: page.next.is_some(),
        next_marker: page.next.as_deref().map(|next| encoding.write(next)),
        contents: contents.collect(),
        common_prefixes: prefixes.collect(),
    })
}

struct Listing {
    bucket: String,
    prefix: String,
    delimiter: String,
    limit: u32,
}

#[derive(Default)]
struct Page {
    objects: Vec<(String, Described)>,
    prefixes: Vec<String>,
    /// The last name of this page, when more names follow.
    next: Option<String>,
}

impl Listing {
    /// What stands behind `marker`, a key or a common prefix.
    fn page(&self, names: &Names, marker: &str) -> Result<Page, Refusal> {
        let mut page = Page::default();
        let mut last = None;
        let mut from = self.start(marker);
        let from_next = |names: &Names, from: &Option<Bound<String>>| match from {
            Some(from) => {
                let from = from.as_ref().map(String::as_str);
                names.next(&self.bucket, from, (&self.prefix, &self.delimiter))
            }
            None => Ok(None),
        };
        names.check_bucket(&self.bucket)?;
        while let Some(step) = from_next(names, &from)? {
            if page.objects.len() + page.prefixes.len() == self.limit as usize {
                page.next = last;
                break;
            }
            match step {
                Step::Key(key) => {
                    from = Some(Bound::Excluded(key.clone()));
                    last = Some(key.clone());
                    page.add(names, &self.bucket, key)?;
                }
                Step::Common(prefix) => {
                    from = successor(&prefix).map(Bound::Included);
                    last = Some(prefix.clone());
                    page.prefixes.push(prefix);
                }
            }
        }
        Ok(page)
    }

    /// `None` when nothing can follow.
    fn start(&self, marker: &str) -> Option<Bound<String>> {
        if marker < self.prefix.as_str() {
            return Some(Bound::Included(self.prefix.clone()));
        }
        let behind = marker
            .strip_prefix(self.prefix.as_str())
            .filter(|_| !self.delimiter.is_empty());
        match behind.and_then(|behind| behind.find(&self.delimiter)) {
            // All of it was rolled up.
            Some(at) if self.prefix.len() + at + self.delimiter.len() == marker.len() => {
                successor(marker).map(Bound::Included)
            }
            _ => Some(Bound::Excluded(marker.to_owned())),
        }
    }
}

impl Page {
    fn add(&mut self, names: &Names, bucket: &str, key: String) -> Result<(), Refusal> {
        let target = Target {
            bucket: bucket.to_owned(),
            key,
        };
        // It was deleted in the meantime, so it is not listed.
        if let Some(described) = Described::find(names, &target)? {
            self.objects.push((target.key, described));
        }
        Ok(())
    }
}

/// The first text that does not begin with `prefix`.
fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}
