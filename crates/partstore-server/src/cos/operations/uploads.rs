//! Multipart uploads: Initiate, Upload Part, Complete, Abort.

use partstore::{Checksum, CompleteOptions, PartNumber, PartOptions, Upload};

use super::received_document;
use crate::cos::answer::{self, Answer, set_crc64};
use crate::cos::body::blocking;
use crate::cos::conditions::Before;
use crate::cos::document;
use crate::cos::honoured::CONTENT_SHA1;
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, Target, cos_header, encode};
use crate::cos::service::Call;
use crate::cos::xml;

/// `POST /key?uploads`
pub async fn initiate(call: Call) -> Answer {
    let metadata = metadata::of_upload(call.headers())?;
    let Call {
        service, target, ..
    } = call;
    let key = target.store_key();
    let upload = blocking(&service.store, move |store| {
        // The completion asks again. This spares the parts of one that would be refused.
        if metadata::upload_forbids_overwrite(&metadata) && store.object_by_key(&key).is_ok() {
            return Err(Refusal::file_already_exists(
                "an object of this name exists",
            ));
        }
        Ok(store.initiate_upload_with(key, &metadata)?)
    })
    .await?;
    answer::xml(&xml::InitiateMultipartUploadResult {
        bucket: &target.bucket,
        key: &target.key,
        upload_id: upload.id().to_string(),
    })
}

/// `PUT /key?partNumber=N&uploadId=ID`
///
/// All that can be refused without the body is refused before its first byte is asked for: hyper sends
/// `100 Continue` when a body is first read, and never for one that is not.
pub async fn put_part(call: Call) -> Answer {
    let number = part_number(&call)?;
    let options = declared(&call)?;
    let upload = upload_of(&call).await?;
    let service = call.service.clone();
    let writer = service.store.part_writer(&upload, number, options).await?;
    let part = call.body().store(writer).await?;
    Ok(answer::stored(&part.etag.quoted(), &part.checksums))
}

/// R1.
pub fn part_number(call: &Call) -> Result<PartNumber, Refusal> {
    Ok(call.query.get("partNumber").unwrap_or_default().parse()?)
}

/// R2 and R6: what the request declares about its body.
pub fn declared(call: &Call) -> Result<PartOptions, Refusal> {
    with_digest(
        call,
        PartOptions::new().content_length(call.content_length()?),
    )
}

/// R6.
pub fn with_digest(call: &Call, options: PartOptions) -> Result<PartOptions, Refusal> {
    let options = match cos_header(call.headers(), "content-md5")? {
        Some(md5) => options.content_md5(md5)?,
        None => options,
    };
    Ok(match cos_header(call.headers(), CONTENT_SHA1)? {
        Some(sha1) => options.checksum(parse_sha1(sha1)?),
        None => options,
    })
}

fn parse_sha1(text: &str) -> Result<Checksum, Refusal> {
    let mut sha1 = [0; 20];
    hex::decode_to_slice(text, &mut sha1).map_err(|_| {
        Refusal::invalid_sha1(format!("{CONTENT_SHA1} must be 40 hexadecimal digits"))
    })?;
    Ok(Checksum::Sha1(sha1))
}

/// R9: the upload that the request names, which may not exist.
pub async fn upload_of(call: &Call) -> Result<Upload, Refusal> {
    call.require_bucket().await?;
    let id = call.query.get("uploadId");
    let id = id.ok_or_else(|| Refusal::invalid_argument("uploadId is missing"))?;
    Ok(Upload::parse(call.target.store_key(), id)?)
}

/// `POST /key?uploadId=ID`
pub async fn complete(call: Call) -> Answer {
    let upload = upload_of(&call).await?;
    let scheme = scheme(&call);
    let before = Before::of(call.headers())?;
    let (service, target, host) = (call.service.clone(), call.target.clone(), call.host.clone());
    let list = received_document(call).await?;
    let (target, object) = blocking(&service.store, move |store| {
        let list = document::parse_completion(&list)?;
        let before = match store.upload(&upload) {
            Ok(open) => before.of_completion(&open.metadata),
            // It may have been completed already.
            Err(_) => before,
        };
        let complete = |condition| {
            let options = CompleteOptions::new().make_current(condition);
            store.complete_upload_with(&upload, &list, &options)
        };
        let object = before.hold(store, upload.full_key(), complete)?;
        Ok::<_, Refusal>((target, object))
    })
    .await?;
    let mut response = answer::xml(&xml::CompleteMultipartUploadResult {
        location: location(scheme, &host, &target),
        bucket: &target.bucket,
        key: &target.key,
        etag: object.etag.quoted(),
    })?;
    set_crc64(&mut response, &object.checksums);
    Ok(response)
}

/// What the client speaks. A proxy that ends TLS says so.
pub fn scheme(call: &Call) -> &'static str {
    let proto = call.headers().get("x-forwarded-proto");
    // Each of several proxies may have added its own; the client's is the first.
    let first = proto.and_then(|proto| proto.to_str().ok()?.split(',').next());
    match first {
        Some(proto) if proto.trim().eq_ignore_ascii_case("https") => "https",
        _ => "http",
    }
}

/// Where the object is, for a client that reached the server by `host`.
pub fn location(scheme: &str, host: &Host, target: &Target) -> String {
    let path = target.key.split('/').map(encode).collect::<Vec<_>>();
    let (host, bucket, path) = (&host.text, host.bucket(), path.join("/"));
    match bucket {
        Some(_) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}/{}/{path}", target.bucket),
    }
}

/// `DELETE /key?uploadId=ID`
pub async fn abort(call: Call) -> Answer {
    let upload = upload_of(&call).await?;
    let service = call.service;
    service.store.abort_upload(&upload).await?;
    Ok(answer::no_content())
}
