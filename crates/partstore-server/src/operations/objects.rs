//! Objects: PUT, GET, HEAD, DELETE.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, IF_RANGE, RANGE, TRANSFER_ENCODING};
use partstore::{CompletedPart, Error, Object, ObjectReader, PartNumber, PartOptions, Upload};

use super::described::Described;
use super::overwrite;
use super::uploads::{declared, with_digest};
use crate::answer::{self, Answer, set};
use crate::body::{blocking, from_reader};
use crate::conditions::{self, Outcome, Span};
use crate::metadata;
use crate::names::{Origin, Overwrite};
use crate::refusal::Refusal;
use crate::request::{Target, text};
use crate::service::{Call, Service};

/// `PUT /key`: an upload with one part.
pub async fn put(call: Call) -> Answer {
    let options = declared_of_object(&call)?;
    let metadata = metadata::of(&call.headers)?;
    let overwrite = overwrite(&call.headers)?;
    let (service, target) = (call.service.clone(), call.target.clone());
    let (draft, writer) = blocking(move || {
        let draft = Draft::new(service, (target, overwrite), &metadata)?;
        let writer = draft
            .service
            .store
            .part_writer(&draft.upload, PartNumber::MIN, options)?;
        Ok::<_, Refusal>((draft, writer))
    })
    .await?;
    let part = call.body().store(writer).await;
    let part = blocking(move || {
        let part = part?;
        draft.publish(&[CompletedPart::from(&part)])?;
        Ok::<_, Refusal>(part)
    })
    .await?;
    Ok(answer::stored(&part))
}

/// Unlike a part, an object may come in chunks, without a length (436/7749). The Python SDK sends an empty file so.
fn declared_of_object(call: &Call) -> Result<PartOptions, Refusal> {
    if call.headers.contains_key(TRANSFER_ENCODING) {
        with_digest(call, PartOptions::new())
    } else {
        declared(call)
    }
}

/// The upload behind a simple PUT or a copy. Nobody else knows it. Dropping it aborts it.
pub struct Draft {
    pub service: Arc<Service>,
    pub upload: Upload,
    target: Target,
    overwrite: Overwrite,
    published: bool,
}

impl Draft {
    /// Looks for an object that must not be replaced: now, before the body, and again when the draft is
    /// published.
    pub fn new(
        service: Arc<Service>,
        (target, overwrite): (Target, Overwrite),
        metadata: &[u8],
    ) -> Result<Self, Refusal> {
        service.names.check_overwrite(&target, overwrite)?;
        let upload = service.names.initiate(&target, Origin::Direct, metadata)?;
        Ok(Self {
            service,
            upload,
            target,
            overwrite,
            published: false,
        })
    }

    pub fn publish(mut self, list: &[CompletedPart]) -> Result<Object, Refusal> {
        let upload = (&self.upload, Origin::Direct);
        let names = &self.service.names;
        let object = names.complete(&self.target, upload, list, self.overwrite)?;
        self.published = true;
        Ok(object)
    }
}

impl Drop for Draft {
    /// It blocks, and runs on a thread that may.
    fn drop(&mut self) {
        if self.published {
            return;
        }
        match self.service.store.abort_upload(&self.upload) {
            Ok(()) | Err(Error::NoSuchUpload { .. }) => {}
            // The next start aborts what this leaves.
            Err(error) => tracing::warn!(%error, "the upload of a refused PUT stays"),
        }
    }
}

/// What a request wants of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Bytes,
    Headers,
}

/// `GET /key` and `HEAD /key`, with `partNumber`, `Range` and conditions.
pub async fn get(call: Call, wanted: Wanted) -> Answer {
    let service = call.service.clone();
    let (call, (mut reader, origin)) = blocking(move || {
        let opened = service.names.open(&call.target)?;
        let absent = || Refusal::no_such_key(format!("there is no object {:?}", call.target.key));
        let opened = opened.ok_or_else(absent)?;
        Ok::<_, Refusal>((call, opened))
    })
    .await?;
    let described = Described::new(&reader, origin);
    match conditions::check(&call.headers, "", &described.state())? {
        Outcome::Met => {}
        Outcome::NotModified => return Ok(described.not_modified()),
        Outcome::Failed => {
            return Err(Refusal::precondition_failed(
                "a condition of the request is not met",
            ));
        }
    }
    let span = wanted_span(&call, &reader, &described)?;
    let mut response = described.response(&call.query)?;
    let whole = Span {
        first: 0,
        len: described.size,
    };
    let Span { first, len } = span.unwrap_or(whole);
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    // An empty part has no bytes, and a range of no bytes cannot be written.
    if span.is_some() && len > 0 {
        let (last, size) = (first + len - 1, described.size);
        let range = format!("bytes {first}-{last}/{size}");
        set(&mut response, "content-range", range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if wanted == Wanted::Bytes {
        // This sets the place only. Nothing is read yet.
        let sought = reader.seek(SeekFrom::Start(first));
        sought.map_err(|error| Refusal::internal(error.to_string()))?;
        *response.body_mut() = from_reader(reader, len).await?;
    }
    Ok(response)
}

/// The bytes that `partNumber` or `Range` ask for; `None` for all.
fn wanted_span(
    call: &Call,
    reader: &ObjectReader,
    described: &Described,
) -> Result<Option<Span>, Refusal> {
    if let Some(number) = call.query.get("partNumber") {
        let number: PartNumber = number.parse()?;
        let mut parts = reader.parts().iter();
        let placed = parts.find(|placed| placed.part.number == number);
        let placed = placed.ok_or_else(|| Error::NoSuchPart {
            id: reader.object().upload.id().to_string(),
            number,
        })?;
        return Ok(Some(Span {
            first: placed.offset,
            len: placed.part.size,
        }));
    }
    let unchanged = match text(&call.headers, &IF_RANGE)? {
        Some(tag) => tag == described.etag || Some(tag) == described.last_modified().to_str().ok(),
        None => true,
    };
    let range = text(&call.headers, &RANGE)?.filter(|_| unchanged);
    conditions::range(range, described.size)
}

/// `DELETE /key`: 204 whether or not there was an object.
pub async fn delete(call: Call) -> Answer {
    blocking(move || call.service.names.delete(&call.target)).await?;
    Ok(answer::no_content())
}
