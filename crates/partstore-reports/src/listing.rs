//! [`Listing`]: what a store has, page by page.

use partstore::{
    Error, Key, KeyEntry, ListKeys, ListNamespaces, ListObjects, ListParts, ListUploads, Object,
    ObjectReader, Part, PartStore, Result, Upload, UploadInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{namespace, time};

/// Rows of a page.
const ROWS: usize = 1000;

/// What the rows of a listing are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// All namespaces, with what they hold.
    Namespaces,
    /// The keys of a namespace, with their current objects.
    Keys,
    /// The open uploads of a namespace.
    Uploads,
    /// The parts of a key's object, or of the upload or object with an id.
    Parts,
    /// All objects of all namespaces.
    Objects,
}

/// A listing from one of its rows on. It is also the query of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// What is listed.
    pub of: Of,
    /// Of keys, uploads and parts: their namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Of keys and uploads: what their keys begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Of keys and uploads: up to this text, equal keys are one row.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub delimiter: String,
    /// Of parts: their key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Of parts: the id of their upload or object. `None` is the key's current object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the page before this one ended: its [`next`](Page::next).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Some rows of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The rows, in order.
    pub rows: Vec<Value>,
    /// What the [`after`](Listing::after) of the next page is. `None` on the last page.
    pub next: Option<String>,
}

impl Listing {
    /// All rows of this kind, in the default namespace.
    #[must_use]
    pub fn new(of: Of) -> Self {
        Self {
            of,
            namespace: String::new(),
            prefix: String::new(),
            delimiter: String::new(),
            key: String::new(),
            id: None,
            after: None,
        }
    }

    /// The query of a URL.
    ///
    /// # Errors
    /// None: all fields are texts.
    pub fn to_query(&self) -> Result<String, serde_urlencoded::ser::Error> {
        serde_urlencoded::to_string(self)
    }

    /// What the query of a URL asks for.
    ///
    /// # Errors
    /// It is none of a listing. The error says why.
    pub fn of_query(query: &str) -> Result<Self, serde_urlencoded::de::Error> {
        serde_urlencoded::from_str(query)
    }

    /// The page from here on. Pages that are asked for one after the other are no snapshot: what is put or removed in the
    /// meantime may be listed or not.
    ///
    /// # Errors
    /// Those of the store. `InvalidArgument`: [`after`](Self::after) is of no page.
    pub fn page(&self, store: &PartStore) -> Result<Page> {
        match self.of {
            Of::Namespaces => self.namespaces(store),
            Of::Keys => self.keys(store),
            Of::Uploads => self.uploads(store),
            Of::Parts => self.parts(store),
            Of::Objects => self.objects(store),
        }
    }

    /// The default one comes first.
    fn namespaces(&self, store: &PartStore) -> Result<Page> {
        let mut rows = Vec::new();
        let mut query = ListNamespaces::new();
        match &self.after {
            Some(after) => query = query.after(after),
            None => rows.push(namespace(&store.namespace("")?)),
        }
        let page = store.list_namespaces(&query)?;
        rows.extend(page.namespaces.iter().map(namespace));
        let next = page.next;
        Ok(Page { rows, next })
    }

    fn keys(&self, store: &PartStore) -> Result<Page> {
        let mut query = ListKeys::new()
            .namespace(&self.namespace)
            .prefix(&self.prefix)
            .delimiter(&self.delimiter);
        if let Some(after) = &self.after {
            query = query.after(after);
        }
        let page = store.list_keys(&query)?;
        let keys = page.keys.into_iter().map(|entry| {
            let row = key(&self.namespace, &entry);
            (entry.key, row)
        });
        Ok(Page {
            rows: self.by_key(keys, page.common_prefixes),
            next: page.next,
        })
    }

    /// Rows with their keys, and prefixes, in one order. Rows of one key stay in theirs.
    fn by_key(
        &self,
        rows: impl Iterator<Item = (String, Value)>,
        common_prefixes: Vec<String>,
    ) -> Vec<Value> {
        let prefixes = common_prefixes.into_iter().map(|prefix| {
            let row = self.common(&prefix);
            (prefix, row)
        });
        let mut rows = rows.chain(prefixes).collect::<Vec<_>>();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn uploads(&self, store: &PartStore) -> Result<Page> {
        let mut query = ListUploads::new()
            .namespace(&self.namespace)
            .prefix(&self.prefix)
            .delimiter(&self.delimiter);
        if let Some((id, key)) = self.split()? {
            query = query.key_marker(key);
            if !id.is_empty() {
                query = query.upload_id_marker(id.parse().map_err(|_| self.of_no_page())?);
            }
        }
        let page = store.list_uploads(&query)?;
        let uploads = page.uploads.iter().map(|info| {
            let key = info.upload.key().to_owned();
            (key, upload(info))
        });
        let rows = self.by_key(uploads, page.common_prefixes);
        let next = page.next.map(|last| {
            let id = last.id.map_or_else(String::new, |id| id.to_string());
            format!("{id}/{}", last.key)
        });
        Ok(Page { rows, next })
    }

    /// A key may have another object by the next page, so that names the object by its id.
    fn parts(&self, store: &PartStore) -> Result<Page> {
        let after = self.split()?;
        let marker = match after {
            Some((_, number)) => number.parse().map_err(|_| self.of_no_page())?,
            None => 0,
        };
        let full = Key::new(&self.namespace, &self.key);
        let Some(id) = after.map(|(id, _)| id).or(self.id.as_deref()) else {
            return parts_of_object(&store.open_key(full)?, marker);
        };
        let of = Upload::parse(full, id)?;
        match store.list_parts(&of, &ListParts::new().marker(marker)) {
            Ok(page) => {
                let rows = page.parts.iter().map(part).collect();
                let next = page.next.map(|last| format!("{}/{last}", of.id()));
                Ok(Page { rows, next })
            }
            Err(unlisted) => match store.open_object(&of) {
                Ok(object) => parts_of_object(&object, marker),
                Err(_) => Err(unlisted),
            },
        }
    }

    fn objects(&self, store: &PartStore) -> Result<Page> {
        let mut query = ListObjects::new();
        if let Some(after) = &self.after {
            query = query.marker(Some(after.parse().map_err(|_| self.of_no_page())?));
        }
        let page = store.list_objects(&query)?;
        let rows = page.objects.iter().map(object).collect();
        let next = page.next.map(|last| last.to_string());
        Ok(Page { rows, next })
    }

    fn common(&self, prefix: &str) -> Value {
        json!({ "namespace": self.namespace, "prefix": prefix })
    }

    /// An id, which may be empty, and what stands behind it.
    fn split(&self) -> Result<Option<(&str, &str)>> {
        let Some(after) = &self.after else {
            return Ok(None);
        };
        let split = after.split_once('/');
        split.map(Some).ok_or_else(|| self.of_no_page())
    }

    fn of_no_page(&self) -> Error {
        Error::InvalidArgument {
            argument: "after",
            found: self.after.clone().unwrap_or_default(),
            expected: "what the page before has as `next`",
        }
    }
}

/// The parts behind a number.
fn parts_of_object(object: &ObjectReader, marker: u32) -> Result<Page> {
    let is_before = |part: &Part| u32::from(part.number) <= marker;
    let parts = object.parts().map(|placed| Ok(placed?.part));
    let mut parts = parts.skip_while(|part: &Result<Part>| part.as_ref().is_ok_and(is_before));
    let page = parts.by_ref().take(ROWS).collect::<Result<Vec<_>>>()?;
    let more = parts.next().transpose()?;
    let last = more.and(page.last()).map(|last| last.number);
    let id = object.object().upload.id();
    Ok(Page {
        rows: page.iter().map(part).collect(),
        next: last.map(|last| format!("{id}/{last}")),
    })
}

fn part(part: &Part) -> Value {
    json!({ "part": part.number.get(), "size": part.size, "etag": part.etag.to_string(),
        "hash": part.content.to_string(), "stored_at": time(part.stored_at) })
}

fn key(namespace: &str, entry: &KeyEntry) -> Value {
    json!({ "namespace": namespace, "key": entry.key, "id": entry.id.to_string(), "size": entry.size,
        "etag": entry.etag.to_string(), "modified_at": time(entry.modified_at) })
}

fn upload(info: &UploadInfo) -> Value {
    json!({ "namespace": info.upload.namespace(), "key": info.upload.key(), "id": info.upload.id().to_string(),
        "initiated_at": time(info.initiated_at) })
}

fn object(object: &Object) -> Value {
    json!({ "namespace": object.upload.namespace(), "key": object.upload.key(),
        "id": object.upload.id().to_string(), "size": object.size, "etag": object.etag.to_string(),
        "parts": object.parts, "modified_at": time(object.modified_at) })
}
