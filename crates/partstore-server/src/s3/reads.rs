//! Objects, read and described. GET and HEAD get the same head.

use std::sync::Arc;

use hyper::{HeaderMap, StatusCode};
use partstore::{Error, Key, Object, ObjectPart, ObjectReader, PartNumber, PartStore};
use s3s::dto::{
    ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, Range,
    Timestamp,
};
use s3s::{S3Error, S3Request, S3Response, S3Result};

use super::body::{self, blocking};
use super::checksums::{self, Named, with_checksums};
use super::conditions::{OnRead, etag};
use super::objects::no_versions;
use super::wanted::Wanted;
use super::{Objects, error, headers, key};

/// What a GET or a HEAD asks.
struct Asked {
    name: Key,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
    range: Option<Range>,
    part: Option<i32>,
    wants_checksums: bool,
    /// Headers that the answer has instead of the object's own.
    instead: Vec<(&'static str, Option<String>)>,
}

/// Both requests have the same fields.
macro_rules! asked {
    ($input:expr) => {{
        let input = $input;
        no_versions(input.version_id.as_deref())?;
        Asked {
            name: key(&input.bucket, &input.key),
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
            range: input.range,
            part: input.part_number,
            wants_checksums: input.checksum_mode.is_some(),
            instead: vec![
                ("cache-control", input.response_cache_control),
                ("content-disposition", input.response_content_disposition),
                ("content-encoding", input.response_content_encoding),
                ("content-language", input.response_content_language),
                ("content-type", input.response_content_type),
                (
                    "expires",
                    input.response_expires.as_ref().and_then(in_a_header),
                ),
            ],
        }
    }};
}

fn in_a_header(time: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(s3s::dto::TimestampFormat::HttpDate, &mut text)
        .ok()?;
    String::from_utf8(text).ok()
}

impl Asked {
    fn check(&self, object: &Object) -> S3Result<()> {
        OnRead {
            matching: self.if_match.as_ref(),
            not_matching: self.if_none_match.as_ref(),
            modified_since: self.if_modified_since.as_ref(),
            unmodified_since: self.if_unmodified_since.as_ref(),
        }
        .check(object)
    }

    fn open(&self, store: &PartStore) -> S3Result<ObjectReader> {
        let reader = store.open_key(self.name.clone()).map_err(error::of)?;
        self.check(reader.object())?;
        Ok(reader)
    }

    /// The part that is asked for. An object that was put as a whole has part 1 only.
    fn named_part(&self, reader: &ObjectReader) -> S3Result<Option<ObjectPart>> {
        let Some(number) = self.part else {
            return Ok(None);
        };
        if self.range.is_some() {
            return Err(error::new(
                "InvalidRequest",
                "a range and a part number exclude each other",
            ));
        }
        let number = u32::try_from(number).ok().map(PartNumber::new);
        let Some(Ok(number)) = number else {
            return Err(no_such_part());
        };
        match reader.placed_part(number) {
            Err(Error::NoSuchPart { .. }) => Err(no_such_part()),
            found => found.map(Some).map_err(error::of),
        }
    }

    /// The object, and the part of it that is asked for.
    fn find(&self, store: &PartStore) -> S3Result<(Object, Option<ObjectPart>)> {
        if self.part.is_some() {
            let reader = self.open(store)?;
            return Ok((reader.object().clone(), self.named_part(&reader)?));
        }
        let object = store.object_by_key(self.name.clone());
        let object = object.map_err(error::of)?;
        self.check(&object)?;
        Ok((object, None))
    }

    fn describe(&self, object: &Object, part: Option<ObjectPart>) -> S3Result<Head> {
        let wanted = Wanted::of(object.size, self.range.as_ref(), part)?;
        let mut headers = headers::answered(&object.metadata);
        for (name, value) in &self.instead {
            if let Some(value) = value.as_ref().and_then(|value| value.parse().ok()) {
                headers.insert(*name, value);
            }
        }
        let named = if self.wants_checksums {
            wanted.checksums(object)
        } else {
            Named::default()
        };
        Ok(Head {
            headers,
            named,
            parts_count: self.part.map(|_| i32::from(object.parts)),
            wanted,
        })
    }
}

fn no_such_part() -> S3Error {
    let mut refused = error::new("InvalidPartNumber", "the object has no such part");
    refused.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    refused
}

/// The head of an answer.
struct Head {
    wanted: Wanted,
    headers: HeaderMap,
    named: Named,
    parts_count: Option<i32>,
}

/// Both answers have the same fields, too.
macro_rules! answer {
    ($head:expr, $object:expr, $output:ident { $($field:ident: $value:expr)? }) => {{
        let (head, object) = ($head, $object);
        let content_range = head.wanted.content_range(object.size);
        let status = content_range.is_some().then_some(StatusCode::PARTIAL_CONTENT);
        let kind = head.named.any().then(|| checksums::type_of(object));
        let mut response = S3Response::new(with_checksums!(
            head.named,
            $output {
                accept_ranges: Some("bytes".to_owned()),
                content_length: i64::try_from(head.wanted.len()).ok(),
                content_range,
                e_tag: Some(etag(object.etag)),
                last_modified: Some(Timestamp::from(object.modified_at)),
                parts_count: head.parts_count,
                checksum_type: kind,
                $($field: $value,)?
                ..$output::default()
            }
        ));
        response.headers = head.headers;
        response.status = status;
        response
    }};
}

pub async fn get_object(
    objects: &Objects,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let asked = Arc::new(asked!(request.input));
    let opening = asked.clone();
    let reader = objects.store.reader_by(move |store| opening.open(store));
    let (mut reader, mut part) = (reader.await?, None);
    if asked.part.is_some() {
        let asking = asked.clone();
        (reader, part) = reader.ask(move |reader| asking.named_part(reader)).await?;
    }
    let head = asked.describe(reader.object(), part)?;
    let object = reader.object().clone();
    let body = body::read(reader, head.wanted.bytes.clone()).await?;
    Ok(answer!(head, &object, GetObjectOutput { body: Some(body) }))
}

pub async fn head_object(
    objects: &Objects,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let asked = asked!(request.input);
    let store = objects.store.clone();
    let (object, head) = blocking(&store, move |store| {
        let (object, part) = asked.find(store)?;
        let head = asked.describe(&object, part)?;
        Ok((object, head))
    })
    .await?;
    Ok(answer!(head, &object, HeadObjectOutput {}))
}
