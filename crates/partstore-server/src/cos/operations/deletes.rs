//! Delete Multiple Objects.

use partstore::{Condition, Key, PartStore};

use super::received_document;
use crate::cos::answer::{self, Answer};
use crate::cos::body::blocking;
use crate::cos::document;
use crate::cos::refusal::Refusal;
use crate::cos::request::check_key;
use crate::cos::service::Call;
use crate::cos::xml;

/// `POST /?delete`: up to 1,000 objects, which need not exist. The answer has an entry for each.
pub async fn delete_objects(call: Call) -> Answer {
    if !call.headers().contains_key("content-md5") {
        return Err(Refusal::missing_content_md5(
            "this request needs a Content-MD5",
        ));
    }
    call.require_bucket().await?;
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    let list = received_document(call).await?;
    let result = blocking(&store, move |store| {
        let list = document::parse_deletion(&list)?;
        let mut result = xml::DeleteResult::default();
        for key in list.keys {
            match delete(store, &bucket, &key) {
                Ok(()) if list.quiet => {}
                Ok(()) => result.deleted.push(xml::Deleted { key }),
                Err(refusal) => result.error.push(xml::NotDeleted {
                    key,
                    code: refusal.code,
                    message: refusal.message,
                }),
            }
        }
        Ok::<_, Refusal>(result)
    })
    .await?;
    answer::xml(&result)
}

fn delete(store: &PartStore, bucket: &str, key: &str) -> Result<(), Refusal> {
    check_key(key)?;
    store.remove_key(Key::new(bucket, key), Condition::Always)?;
    Ok(())
}
