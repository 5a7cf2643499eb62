//! Objects, keys and namespaces.

#[cfg(doc)]
use partstore::PartStore;
use partstore::{
    Condition, Key, KeyPage, ListKeys, ListNamespaces, ListObjects, Namespace, NamespacePage,
    Object, ObjectOptions, ObjectPage, Quota, Result, Upload,
};

use crate::{AsyncObjectReader, AsyncPartStore};

impl AsyncPartStore {
    /// Returns an object's size, ETag, checksums and metadata.
    ///
    /// # Errors
    /// As for [`PartStore::object`].
    pub async fn object(&self, object: &Upload) -> Result<Object> {
        let object = object.clone();
        self.run(move |store| store.object(&object)).await
    }

    /// Returns the current object of a key.
    ///
    /// # Errors
    /// As for [`PartStore::object_by_key`].
    pub async fn object_by_key(&self, key: impl Into<Key>) -> Result<Object> {
        let key = key.into();
        self.run(move |store| store.object_by_key(key)).await
    }

    /// Removes an object. Open readers of it continue.
    ///
    /// # Errors
    /// As for [`PartStore::remove_object`].
    pub async fn remove_object(&self, object: &Upload) -> Result<()> {
        let object = object.clone();
        self.run(move |store| store.remove_object(&object)).await
    }

    /// Removes the current object of a key. Says whether the key had one.
    ///
    /// # Errors
    /// As for [`PartStore::remove_key`].
    pub async fn remove_key(&self, key: impl Into<Key>, condition: Condition) -> Result<bool> {
        let key = key.into();
        self.run(move |store| store.remove_key(key, condition))
            .await
    }

    /// Makes an object the current one of its key.
    ///
    /// # Errors
    /// As for [`PartStore::make_current`].
    pub async fn make_current(&self, object: &Upload, condition: Condition) -> Result<()> {
        let object = object.clone();
        self.run(move |store| store.make_current(&object, condition))
            .await
    }

    /// Replaces the metadata of an object, and nothing else of it.
    ///
    /// # Errors
    /// As for [`PartStore::replace_metadata`].
    pub async fn replace_metadata(
        &self,
        object: &Upload,
        metadata: impl Into<Vec<u8>>,
    ) -> Result<Object> {
        let (object, metadata) = (object.clone(), metadata.into());
        self.run(move |store| store.replace_metadata(&object, metadata))
            .await
    }

    /// Gives an object another key, and makes it the current one of that key.
    ///
    /// # Errors
    /// As for [`PartStore::rename_object`].
    pub async fn rename_object(
        &self,
        object: &Upload,
        key: impl Into<Key>,
        options: ObjectOptions,
    ) -> Result<Object> {
        let (object, key) = (object.clone(), key.into());
        self.run(move |store| store.rename_object(&object, key, &options))
            .await
    }

    /// Lists a page of the objects.
    ///
    /// # Errors
    /// As for [`PartStore::list_objects`].
    pub async fn list_objects(&self, query: ListObjects) -> Result<ObjectPage> {
        self.run(move |store| store.list_objects(&query)).await
    }

    /// Lists a page of the keys of a namespace that have a current object.
    ///
    /// # Errors
    /// As for [`PartStore::list_keys`].
    pub async fn list_keys(&self, query: ListKeys) -> Result<KeyPage> {
        self.run(move |store| store.list_keys(&query)).await
    }

    /// Creates a namespace, such as a bucket.
    ///
    /// # Errors
    /// As for [`PartStore::create_namespace`].
    pub async fn create_namespace(&self, name: impl Into<String>, quota: Quota) -> Result<()> {
        let name = name.into();
        self.run(move |store| store.create_namespace(&name, quota))
            .await
    }

    /// Removes a namespace that holds nothing.
    ///
    /// # Errors
    /// As for [`PartStore::remove_namespace`].
    pub async fn remove_namespace(&self, name: impl Into<String>) -> Result<()> {
        let name = name.into();
        self.run(move |store| store.remove_namespace(&name)).await
    }

    /// Sets what a namespace may hold. An empty name means the default one.
    ///
    /// # Errors
    /// As for [`PartStore::set_quota`].
    pub async fn set_quota(&self, name: impl Into<String>, quota: Quota) -> Result<()> {
        let name = name.into();
        self.run(move |store| store.set_quota(&name, quota)).await
    }

    /// Returns what a namespace holds, and may hold. An empty name means the default one.
    ///
    /// # Errors
    /// As for [`PartStore::namespace`].
    pub async fn namespace(&self, name: impl Into<String>) -> Result<Namespace> {
        let name = name.into();
        self.run(move |store| store.namespace(&name)).await
    }

    /// Lists a page of the namespaces.
    ///
    /// # Errors
    /// As for [`PartStore::list_namespaces`].
    pub async fn list_namespaces(&self, query: ListNamespaces) -> Result<NamespacePage> {
        self.run(move |store| store.list_namespaces(&query)).await
    }

    /// Makes a copy of the object that `source` reads the current object of a key. No byte is copied.
    ///
    /// # Errors
    /// As for [`PartStore::copy_object`].
    pub async fn copy_object(
        &self,
        source: AsyncObjectReader,
        key: impl Into<Key>,
        options: ObjectOptions,
    ) -> Result<Object> {
        let (source, key) = (source.into_held(), key.into());
        self.run(move |store| {
            let source = source.into_inner();
            store.copy_object(&source, key, &options)
        })
        .await
    }
}
