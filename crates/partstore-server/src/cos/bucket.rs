//! Buckets and keys, in the store's words: a bucket is a namespace.

use partstore::Key;

use crate::cos::refusal::Refusal;
use crate::cos::request::Target;
use crate::cos::service::Call;

impl Target {
    /// The key of an object, in its bucket.
    pub fn store_key(&self) -> Key {
        Key::new(&self.bucket, &self.key)
    }
}

impl Call {
    /// Refuses a request to a bucket that does not exist.
    pub async fn require_bucket(&self) -> Result<(), Refusal> {
        self.service.store.namespace(&self.target.bucket).await?;
        Ok(())
    }
}
