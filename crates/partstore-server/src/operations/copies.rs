//! Copies: Upload Part - Copy, PUT Object - Copy. A part that is copied whole is not read: its bytes get one more reference.

use std::io::{self, Read, Seek, SeekFrom};

use hyper::HeaderMap;
use partstore::{
    CompletedPart, Error, Object, ObjectPart, ObjectReader, Part, PartNumber, PartOptions, Upload,
};
use tokio_util::sync::CancellationToken;

use super::described::Described;
use super::objects::Draft;
use super::uploads::{part_number, upload_of};
use super::{iso, overwrite};
use crate::answer::{self, Answer, set_crc64};
use crate::body::blocking;
use crate::conditions::{self, Outcome, Span, copy_range};
use crate::metadata;
use crate::refusal::Refusal;
use crate::request::{Host, Target, cos_header};
use crate::service::{Call, Service};
use crate::xml;

/// `PUT /key?partNumber=N&uploadId=ID` with `x-cos-copy-source`
pub async fn copy_part(call: Call) -> Answer {
    let number = part_number(&call)?;
    let upload = upload_of(&call)?;
    let service = call.service.clone();
    let _turn = service.copies.acquire().await;
    let part = blocking(move || {
        let source = Source::open(&call.service, &call.headers)?;
        let size = source.described.size;
        let span = match cos_header(&call.headers, "x-cos-copy-source-range")? {
            Some(range) => copy_range(range, size)?,
            None => Span {
                first: 0,
                len: size,
            },
        };
        source.copy(&call.service, span, (&upload, number))
    })
    .await?;
    let copied = xml::Copied {
        etag: part.etag.quoted(),
        crc64: part.crc64,
        last_modified: iso(part.stored_at),
    };
    let mut response = answer::xml(&xml::CopyResult::CopyPartResult(copied))?;
    set_crc64(&mut response, part.crc64);
    Ok(response)
}

/// `PUT /key` with `x-cos-copy-source`
pub async fn copy_object(call: Call) -> Answer {
    let overwrite = overwrite(&call.headers)?;
    let service = call.service.clone();
    let _turn = service.copies.acquire().await;
    let (etag, object) = blocking(move || {
        let source = Source::open(&call.service, &call.headers)?;
        let metadata = source.metadata(&call.headers)?;
        let draft = Draft::new(call.service, (call.target, overwrite), &metadata)?;
        let parts = source.copy_all(&draft.service, &draft.upload)?;
        let list: Vec<_> = parts.iter().map(CompletedPart::from).collect();
        let object = draft.publish(&list)?;
        Ok::<_, Refusal>((etag(&object, &parts), object))
    })
    .await?;
    let copied = xml::Copied {
        etag,
        crc64: object.crc64,
        last_modified: iso(object.completed_at),
    };
    let mut response = answer::xml(&xml::CopyResult::CopyObjectResult(copied))?;
    set_crc64(&mut response, object.crc64);
    Ok(response)
}

/// What is copied from.
struct Source {
    reader: ObjectReader,
    described: Described,
}

impl Source {
    /// The object that the headers name, if it meets their conditions.
    fn open(service: &Service, headers: &HeaderMap) -> Result<Self, Refusal> {
        let named = cos_header(headers, "x-cos-copy-source")?.unwrap_or_default();
        let (named, version) = named.split_once('?').unwrap_or((named, ""));
        if !version.is_empty() {
            return Err(Refusal::not_implemented("this server has no versions"));
        }
        let (host, path) = named.split_once('/').unwrap_or((named, ""));
        let target = Target::parse(&Host::parse(host)?, path)?;
        let absent = || Refusal::no_such_copy_source(format!("there is no object {named}"));
        let bucket = service.names.check_bucket(&target.bucket);
        bucket.map_err(|_| absent())?;
        let opened = service.names.open(&target)?;
        let (reader, origin) = opened.ok_or_else(absent)?;
        let described = Described::new(&reader, origin);
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
            None | Some("Copy") => Ok(self.described.metadata().to_vec()),
            Some("Replaced") => metadata::of(headers),
            Some(_) => Err(Refusal::invalid_argument(
                "x-cos-metadata-directive is Copy or Replaced",
            )),
        }
    }

    /// Copies some bytes to a part. A span that is a whole part of the source is not read.
    fn copy(
        mut self,
        service: &Service,
        span: Span,
        (upload, number): (&Upload, PartNumber),
    ) -> Result<Part, Refusal> {
        let own = |first, len| span == Span { first, len };
        let mut parts = self.reader.parts().iter();
        if let Some(whole) = parts.find(|placed| own(placed.offset, placed.part.size)) {
            let part = self.reader.part(whole.part.number)?;
            return Ok(service.store.copy_part(&part, upload, number)?);
        }
        let sought = self.reader.seek(SeekFrom::Start(span.first));
        sought.map_err(|error| Refusal::internal(error.to_string()))?;
        let declared = PartOptions::new().content_length(span.len);
        let bytes = UntilTheEnd {
            reader: self.reader.take(span.len),
            break_off: &service.break_off,
        };
        let copied = service.store.put_part_from(upload, number, bytes, declared);
        copied.map_err(source_unreadable)
    }

    /// Copies all parts under their numbers: one sync of the journal for each.
    fn copy_all(&self, service: &Service, upload: &Upload) -> Result<Vec<Part>, Refusal> {
        let copy = |placed: &ObjectPart| {
            if service.break_off.is_cancelled() {
                return Err(Refusal::internal(ENDING));
            }
            let number = placed.part.number;
            let part = self.reader.part(number)?;
            Ok(service.store.copy_part(&part, upload, number)?)
        };
        self.reader.parts().iter().map(copy).collect()
    }
}

const ENDING: &str = "the server ends";

/// A reader that fails when the server's grace is over, because a copy may take long.
struct UntilTheEnd<'a, R> {
    reader: R,
    break_off: &'a CancellationToken,
}

impl<R: Read> Read for UntilTheEnd<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.break_off.is_cancelled() {
            return Err(io::Error::other(ENDING));
        }
        self.reader.read(into)
    }
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

/// As GET will answer it.
fn etag(object: &Object, parts: &[Part]) -> String {
    match parts {
        [only] => only.etag.quoted(),
        _ => object.etag.quoted(),
    }
}
