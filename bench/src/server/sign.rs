//! Signature v4, of heads only.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use partstore_bench::{KEY_ID, SECRET};
use sha2::{Digest, Sha256};

const SCOPE: &str = "us-east-1/s3/aws4_request";
const NAMES: &str = "host;x-amz-content-sha256;x-amz-date";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The headers that sign a request such as `PUT /bucket/key?uploads`. Path and query are as they are signed: encoded, and
/// in order.
pub fn headers(request: &str, host: &str) -> String {
    let (method, target) = request.split_once(' ').expect("a method and a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<_> = query.split('&').map(with_value).collect();
    let query = query.join("&");
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let time = now.replace(['-', ':'], "");
    let day = &time[..8];
    let signed = format!("host:{host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{time}\n");
    let canonical = format!("{method}\n{path}\n{query}\n{signed}\n{NAMES}\n{UNSIGNED}");
    let hash = hex::encode(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{day}/{SCOPE}\n{hash}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for word in [day].into_iter().chain(SCOPE.split('/')) {
        key = mac(&key, word);
    }
    let signature = hex::encode(mac(&key, &text));
    format!(
        "x-amz-content-sha256: {UNSIGNED}\r\nx-amz-date: {time}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential={KEY_ID}/{day}/{SCOPE}, SignedHeaders={NAMES}, Signature={signature}\r\n"
    )
}

fn with_value(parameter: &str) -> String {
    if parameter.is_empty() || parameter.contains('=') {
        parameter.to_owned()
    } else {
        format!("{parameter}=")
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
