//! Copies: Upload Part - Copy, PUT Object - Copy. What is copied whole is not read: its bytes get one more reference.

use std::io::{Read, Seek, SeekFrom};

use hyper::HeaderMap;
use partstore::{
    Error, ObjectOptions, ObjectReader, Part, PartNumber, PartOptions, PartStore, Upload,
};

use super::described::Described;
use super::iso;
use super::uploads::{part_number, upload_of};
use crate::cos::answer::{self, Answer, set_crc64};
use crate::cos::body::blocking;
use crate::cos::conditions::{self, Before, Outcome, Span, copy_range};
use crate::cos::metadata;
use crate::cos::parameters::check_version;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, Query, Target, cos_header};
use crate::cos::service::Call;
use crate::cos::xml;

/// `PUT /key?partNumber=N&uploadId=ID` with `x-cos-copy-source`
pub async fn copy_part(call: Call) -> Answer {
    let number = part_number(&call)?;
    let upload = upload_of(&call).await?;
    let service = call.service.clone();
    let _turn = service.copies.acquire().await;
    let part = blocking(&service.store, move |store| {
        let source = Source::open(store, &call)?;
        let size = source.described.size;
        let span = match cos_header(call.headers(), "x-cos-copy-source-range")? {
            Some(range) => copy_range(range, size)?,
            None => Span {
                first: 0,
                len: size,
            },
        };
        source.copy(store, span, (&upload, number))
    })
    .await?;
    let copied = xml::Copied {
        etag: part.etag.quoted(),
        crc64: part.checksums.crc64_xz(),
        last_modified: iso(part.stored_at),
    };
    let mut response = answer::xml(&xml::CopyResult::CopyPartResult(copied))?;
    set_crc64(&mut response, &part.checksums);
    Ok(response)
}

/// `PUT /key` with `x-cos-copy-source`
pub async fn copy_object(call: Call) -> Answer {
    let before = Before::of(call.headers())?;
    let service = call.service.clone();
    let _turn = service.copies.acquire().await;
    let object = blocking(&service.store, move |store| {
        let key = call.target.store_key();
        let source = Source::open(store, &call)?;
        let metadata = source.metadata(call.headers())?;
        let options = ObjectOptions::new().metadata(metadata).whole_etag();
        before.hold(store, &key, |condition| {
            let options = options.clone().only(condition);
            store.copy_object(&source.reader, &key, &options)
        })
    })
    .await?;
    let copied = xml::Copied {
        etag: object.etag.quoted(),
        crc64: object.checksums.crc64_xz(),
        last_modified: iso(object.modified_at),
    };
    let mut response = answer::xml(&xml::CopyResult::CopyObjectResult(copied))?;
    set_crc64(&mut response, &object.checksums);
    Ok(response)
}

/// What is copied from.
struct Source {
    reader: ObjectReader,
    described: Described,
}

impl Source {
    /// The object that the headers name, if it meets their conditions.
    fn open(store: &PartStore, call: &Call) -> Result<Self, Refusal> {
        let headers = call.headers();
        let named = cos_header(headers, "x-cos-copy-source")?.unwrap_or_default();
        let (named, version) = named.split_once('?').unwrap_or((named, ""));
        check_version(Query::parse(version)?.get("versionId").unwrap_or_default())?;
        let (host, path) = named.split_once('/').unwrap_or((named, ""));
        let target = Target::parse(&Host::parse(host, &call.rules.domains)?, path)?;
        let reader = match store.open_key(target.store_key()) {
            Err(Error::NoSuchKey { .. } | Error::NoSuchNamespace { .. }) => {
                let absent = format!("there is no object {named}");
                return Err(Refusal::no_such_copy_source(absent));
            }
            opened => opened?,
        };
        let described = Described::of(reader.object());
        match conditions::check(headers, "x-cos-copy-source-", &described.state())? {
            Outcome::Met => Ok(Self { reader, described }),
            // A copy has no 304.
            Outcome::NotModified | Outcome::Failed => Err(Refusal::precondition_failed(
                "a condition on the source is not met",
            )),
        }
    }

    fn metadata(&self, headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
        match cos_header(headers, "x-cos-metadata-directive")? {
            None => Ok(metadata::of_copy(self.described.metadata())),
            Some(copy) if copy.eq_ignore_ascii_case("copy") => {
                Ok(metadata::of_copy(self.described.metadata()))
            }
            Some(replaced) if is_replaced(replaced) => metadata::of(headers),
            Some(_) => Err(Refusal::invalid_argument(
                "x-cos-metadata-directive is Copy or Replaced",
            )),
        }
    }

    /// Copies some bytes to a part. A span that is a whole part of the source is not read.
    fn copy(
        mut self,
        store: &PartStore,
        span: Span,
        (upload, number): (&Upload, PartNumber),
    ) -> Result<Part, Refusal> {
        let own = |first, len| span == Span { first, len };
        let first = self.reader.part_at(span.first)?;
        if let Some(whole) = first.filter(|placed| own(placed.offset, placed.part.size)) {
            let part = self.reader.part(whole.part.number)?;
            return Ok(store.copy_part(&part, upload, number)?);
        }
        let sought = self.reader.seek(SeekFrom::Start(span.first));
        sought.map_err(|error| Refusal::internal(error.to_string()))?;
        let declared = PartOptions::new().content_length(span.len);
        let bytes = self.reader.take(span.len);
        let copied = store.put_part_from(upload, number, bytes, declared);
        copied.map_err(source_unreadable)
    }
}

/// COS says `Replaced`, and clients of S3 `REPLACE`.
fn is_replaced(directive: &str) -> bool {
    ["replaced", "replace"].contains(&directive.to_ascii_lowercase().as_str())
}

/// The body of a copy is read from the store. If that fails, the client's request is not at fault.
fn source_unreadable(error: Error) -> Refusal {
    match error {
        Error::BodyUnreadable { source, .. } => match Error::from_io(source) {
            Ok(error) => error.into(),
            Err(error) => Refusal::internal(error.to_string()),
        },
        error => error.into(),
    }
}
