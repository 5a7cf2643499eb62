//! Multipart uploads: Initiate, Upload Part, List Parts, List Multipart Uploads, Complete, Abort.

use partstore::{ListUploads, PartNumber, PartOptions, Upload, UploadPage};

use super::{check_unconditional, iso, overwrite, received_document};
use crate::answer::{self, Answer, set_crc64};
use crate::body::blocking;
use crate::document;
use crate::gateway::Call;
use crate::metadata;
use crate::names::Origin;
use crate::refusal::Refusal;
use crate::request::{Host, Target, cos_header, digits, encode};
use crate::xml;

/// `POST /key?uploads`
pub async fn initiate(call: Call) -> Answer {
    let metadata = metadata::of(&call.headers)?;
    let Call {
        gateway, target, ..
    } = call;
    let (target, upload) = blocking(move || {
        let upload = gateway
            .names
            .initiate(&target, Origin::Multipart, &metadata)?;
        Ok::<_, Refusal>((target, upload))
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
    check_unconditional(&call.headers)?;
    let number = part_number(&call)?;
    let options = declared(&call)?;
    let upload = upload_of(&call)?;
    let gateway = call.gateway.clone();
    let writer = blocking(move || gateway.store.part_writer(&upload, number, options)).await?;
    let part = call.body().store(writer).await?;
    Ok(answer::stored(&part))
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
    Ok(match cos_header(&call.headers, "content-md5")? {
        Some(md5) => options.content_md5(md5)?,
        None => options,
    })
}

/// R9: the upload that the request names, which may not exist.
pub fn upload_of(call: &Call) -> Result<Upload, Refusal> {
    call.gateway.names.check_bucket(&call.target.bucket)?;
    let id = call.query.get("uploadId");
    let id = id.ok_or_else(|| Refusal::invalid_argument("uploadId is missing"))?;
    Ok(Upload::parse(
        Origin::Multipart.store_key(&call.target),
        id,
    )?)
}

/// `GET /key?uploadId=ID`
pub async fn list_parts(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-parts")?;
    let marker = call
        .query
        .filled("part-number-marker")
        .map_or(Some(0), digits::<u32>);
    let marker = marker.ok_or_else(|| {
        Refusal::invalid_argument("part-number-marker must be an integer of at least 0")
    })?;
    let upload = upload_of(&call)?;
    let Call {
        gateway, target, ..
    } = call;
    let (upload, class, page) = blocking(move || {
        let class = metadata::storage_class(&gateway.store.upload(&upload)?.metadata);
        let page = gateway.store.list_parts(&upload, marker, limit)?;
        Ok::<_, Refusal>((upload, class, page))
    })
    .await?;
    let part = |part: &partstore::Part| xml::Part {
        part_number: part.number.get(),
        last_modified: iso(part.stored_at),
        etag: part.etag.quoted(),
        size: part.size,
    };
    answer::xml(&xml::ListPartsResult {
        bucket: &target.bucket,
        encoding_type: encoding.name(),
        key: encoding.write(&target.key),
        upload_id: upload.id().to_string(),
        initiator: xml::Owner::default(),
        owner: xml::Owner::default(),
        storage_class: class,
        part_number_marker: marker,
        next_part_number_marker: page.next.map(u32::from),
        max_parts: limit,
        is_truncated: page.next.is_some(),
        part: page.parts.iter().map(part).collect(),
    })
}

/// `GET /?uploads`
pub async fn list(call: Call) -> Answer {
    let encoding = call.query.encoding()?;
    let limit = call.query.page_length("max-uploads")?;
    let filled = |name| call.query.filled(name).unwrap_or_default().to_owned();
    let (prefix, delimiter) = (filled("prefix"), filled("delimiter"));
    let (key_marker, id_marker) = (filled("key-marker"), filled("upload-id-marker"));
    // The keys of the store begin with the bucket.
    let bucket = call.target.bucket.clone();
    let mut query = ListUploads::new()
        .prefix(format!("{bucket}/{prefix}"))
        .delimiter(&delimiter)
        .limit(limit);
    if !key_marker.is_empty() {
        query = query.key_marker(format!("{bucket}/{key_marker}"));
    }
    if !key_marker.is_empty() && !id_marker.is_empty() {
        let id = id_marker.parse();
        query = query.upload_id_marker(
            id.map_err(|_| Refusal::invalid_argument("upload-id-marker is no upload id"))?,
        );
    }
    let gateway = call.gateway;
    let page = blocking(move || {
        gateway.names.check_bucket(&call.target.bucket)?;
        Ok::<_, Refusal>(gateway.store.list_uploads(&query)?)
    })
    .await?;
    let key = |key: &str| {
        encoding.write(
            key.strip_prefix(&bucket)
                .and_then(|key| key.strip_prefix('/'))
                .unwrap_or(key),
        )
    };
    let (upload, common_prefixes) = entries(&page, &key);
    let next = page.next.as_ref();
    answer::xml(&xml::ListMultipartUploadsResult {
        bucket: &bucket,
        encoding_type: encoding.name(),
        key_marker: encoding.write(&key_marker),
        upload_id_marker: id_marker,
        next_key_marker: next.map(|next| key(&next.key)),
        next_upload_id_marker: next
            .map(|next| next.id.map(|id| id.to_string()).unwrap_or_default()),
        max_uploads: limit,
        is_truncated: next.is_some(),
        prefix: encoding.write(&prefix),
        delimiter: encoding.write(&delimiter),
        upload,
        common_prefixes,
    })
}

fn entries(
    page: &UploadPage,
    key: &impl Fn(&str) -> String,
) -> (Vec<xml::Upload>, Vec<xml::CommonPrefix>) {
    let uploads = page.uploads.iter().map(|open| xml::Upload {
        key: key(open.upload.key()),
        upload_id: open.upload.id().to_string(),
        storage_class: metadata::storage_class(&open.metadata),
        initiator: xml::Owner::default(),
        owner: xml::Owner::default(),
        initiated: iso(open.initiated_at),
    });
    let prefixes = page.common_prefixes.iter().map(|prefix| xml::CommonPrefix {
        prefix: key(prefix),
    });
    (uploads.collect(), prefixes.collect())
}

/// `POST /key?uploadId=ID`
pub async fn complete(call: Call) -> Answer {
    let upload = upload_of(&call)?;
    let overwrite = overwrite(&call.headers)?;
    let (gateway, target, host) = (call.gateway.clone(), call.target.clone(), call.host.clone());
    let list = received_document(call).await?;
    let (target, object) = blocking(move || {
        let list = document::parse_completion(&list)?;
        let object =
            gateway
                .names
                .complete(&target, (&upload, Origin::Multipart), &list, overwrite)?;
        Ok::<_, Refusal>((target, object))
    })
    .await?;
    let mut response = answer::xml(&xml::CompleteMultipartUploadResult {
        location: location(&host, &target),
        bucket: &target.bucket,
        key: &target.key,
        etag: object.etag.quoted(),
    })?;
    set_crc64(&mut response, object.crc64);
    Ok(response)
}

/// Where the object is, for a client that reached the gateway by `host`.
fn location(host: &Host, target: &Target) -> String {
    let path = target.key.split('/').map(encode).collect::<Vec<_>>();
    let (host, bucket, path) = (&host.text, host.bucket(), path.join("/"));
    match bucket {
        Some(_) => format!("http://{host}/{path}"),
        None => format!("http://{host}/{}/{path}", target.bucket),
    }
}

/// `DELETE /key?uploadId=ID`
pub async fn abort(call: Call) -> Answer {
    check_unconditional(&call.headers)?;
    let upload = upload_of(&call)?;
    let gateway = call.gateway;
    blocking(move || gateway.store.abort_upload(&upload)).await?;
    Ok(answer::no_content())
}
