//! Whole listings as streams. A page of 1,000 entries is fetched when its first entry is asked for.

use futures_util::stream::{self, Stream, TryStreamExt};
#[cfg(doc)]
use partstore::PartStore;
use partstore::{
    Key, KeyEntry, ListKeys, ListObjects, ListParts, ListUploads, Object, Part, Result, Upload,
    UploadInfo,
};

use crate::AsyncPartStore;

/// The entries of pages. `fetch` answers a query with a page, and with the query of the next one.
fn pages<Q, T, F>(first: Q, fetch: impl Fn(Q) -> F) -> impl Stream<Item = Result<T>>
where
    F: Future<Output = Result<(Vec<T>, Option<Q>)>>,
{
    let pages = stream::try_unfold(Some(first), move |asked| {
        let page = asked.map(&fetch);
        async move {
            match page {
                Some(page) => page.await.map(Some),
                None => Ok(None),
            }
        }
    });
    pages
        .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
        .try_flatten()
}

impl AsyncPartStore {
    /// Lists all parts of an open upload, ascending, as [`PartStore::parts`] does. After an error the stream ends.
    ///
    /// # Errors
    /// As for [`PartStore::list_parts`].
    pub fn parts(&self, upload: &Upload) -> impl Stream<Item = Result<Part>> + Send + use<> {
        let (store, upload) = (self.clone(), upload.clone());
        pages(ListParts::new(), move |asked| {
            let (store, upload) = (store.clone(), upload.clone());
            async move {
                let page = store.list_parts(&upload, asked).await?;
                let next = page.next.map(|last| asked.marker(last.into()));
                Ok((page.parts, next))
            }
        })
    }

    /// Lists all open uploads whose keys begin with `prefix`, as [`PartStore::uploads`] does. After an error the stream
    /// ends.
    ///
    /// # Errors
    /// As for [`PartStore::list_uploads`].
    pub fn uploads<K: Into<Key>>(
        &self,
        prefix: K,
    ) -> impl Stream<Item = Result<UploadInfo>> + Send + use<K> {
        let (store, prefix) = (self.clone(), prefix.into());
        let first = ListUploads::new()
            .namespace(prefix.namespace())
            .prefix(prefix.as_str());
        pages(first, move |asked| {
            let store = store.clone();
            async move {
                let page = store.list_uploads(asked.clone()).await?;
                let next = page.next.map(|last| {
                    let asked = asked.key_marker(last.key);
                    match last.id {
                        Some(id) => asked.upload_id_marker(id),
                        None => asked,
                    }
                });
                Ok((page.uploads, next))
            }
        })
    }

    /// Lists all keys that begin with `prefix`, as [`PartStore::keys`] does. After an error the stream ends.
    ///
    /// # Errors
    /// As for [`PartStore::list_keys`].
    pub fn keys<K: Into<Key>>(
        &self,
        prefix: K,
    ) -> impl Stream<Item = Result<KeyEntry>> + Send + use<K> {
        let (store, prefix) = (self.clone(), prefix.into());
        let first = ListKeys::new()
            .namespace(prefix.namespace())
            .prefix(prefix.as_str());
        pages(first, move |asked| {
            let store = store.clone();
            async move {
                let page = store.list_keys(asked.clone()).await?;
                let next = page.next.map(|last| asked.after(last));
                Ok((page.keys, next))
            }
        })
    }

    /// Lists all objects, as [`PartStore::objects`] does. After an error the stream ends.
    ///
    /// # Errors
    /// As for [`PartStore::list_objects`].
    pub fn objects(&self) -> impl Stream<Item = Result<Object>> + Send + use<> {
        let store = self.clone();
        pages(ListObjects::new(), move |asked| {
            let store = store.clone();
            async move {
                let page = store.list_objects(asked).await?;
                let next = page.next.map(|last| asked.marker(last));
                Ok((page.objects, next))
            }
        })
    }
}
