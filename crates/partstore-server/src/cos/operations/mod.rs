//! The operations of the protocol, by what they work on.

pub mod append;
pub mod buckets;
pub mod configurations;
pub mod copies;
pub mod deletes;
mod described;
pub mod forms;
pub mod listings;
pub mod objects;
pub mod uploads;

use std::time::SystemTime;

use bytes::Bytes;
use md5::{Digest, Md5};
use partstore::{ContentMd5, Error};

use crate::cos::body::blocking;
use crate::cos::refusal::Refusal;
use crate::cos::request::cos_header;
use crate::cos::service::Call;

/// The XML of a request. The list of a Complete with 10,000 parts, SHA-512 and escaped quotes has 2.2 MB.
const MAX_DOCUMENT_LEN: usize = 4 * 1024 * 1024;

/// A time as the XML of the protocol has it.
fn iso(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// The XML that a request carries, with the `Content-MD5` that it declares (R7).
async fn received_document(call: Call) -> Result<Bytes, Refusal> {
    let md5 = cos_header(call.headers(), "content-md5")?;
    let md5 = md5.map(str::parse::<ContentMd5>).transpose()?;
    let declared = call.content_length().unwrap_or(0);
    if declared > MAX_DOCUMENT_LEN as u64 {
        return Err(Refusal::xml_size_limit(format!(
            "the body has more than {MAX_DOCUMENT_LEN} bytes"
        )));
    }
    let store = call.service.store.clone();
    let document = call.body().collect(MAX_DOCUMENT_LEN).await?;
    blocking(&store, move |_| {
        check_md5(md5, &document).map(|()| document)
    })
    .await
}

fn check_md5(declared: Option<ContentMd5>, body: &[u8]) -> Result<(), Error> {
    compare_md5(declared, &Md5::digest(body))
}

/// R7.
fn compare_md5(declared: Option<ContentMd5>, found: &[u8]) -> Result<(), Error> {
    match declared.filter(|declared| declared.as_bytes()[..] != *found) {
        None => Ok(()),
        Some(declared) => Err(Error::BadDigest {
            algorithm: "Content-MD5",
            expected: hex::encode(declared.as_bytes()),
            found: hex::encode(found),
        }),
    }
}
