//! Objects: PUT, GET, HEAD, DELETE.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;
use std::time::SystemTime;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, Response, StatusCode};
use partstore::{CompletedPart, Error, Object, ObjectReader, PartNumber, PartOptions, Upload};

use super::uploads::{declared, with_digest};
use super::{check_unconditional, overwrite};
use crate::answer::{self, Answer, Body, set, set_crc64};
use crate::body::{blocking, from_reader};
use crate::conditions::{self, Outcome, Span, State};
use crate::gateway::{Call, Gateway};
use crate::metadata;
use crate::names::{Names, Origin, Overwrite};
use crate::refusal::Refusal;
use crate::request::{Query, Target, text};

/// `PUT /key`: an upload with one part.
pub async fn put(call: Call) -> Answer {
    let options = declared_of_object(&call)?;
    let metadata = metadata::of(&call.headers)?;
    let overwrite = overwrite(&call.headers)?;
    let (gateway, target) = (call.gateway.clone(), call.target.clone());
    let (draft, writer) = blocking(move || {
        let draft = Draft::new(gateway, (target, overwrite), &metadata)?;
        let writer = draft
            .gateway
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

/// Unlike a part, an object may come in chunks, without a length (436/7749): so the Python SDK sends an empty file.
fn declared_of_object(call: &Call) -> Result<PartOptions, Refusal> {
    if call.headers.contains_key(TRANSFER_ENCODING) {
        with_digest(call, PartOptions::new())
    } else {
        declared(call)
    }
}

/// The upload behind a simple PUT or a copy. Nobody else knows of it: dropped, it is aborted.
pub struct Draft {
    pub gateway: Arc<Gateway>,
    pub upload: Upload,
    target: Target,
    overwrite: Overwrite,
    published: bool,
}

impl Draft {
    /// An object that must not be replaced is looked for now, before the body, and again when the draft is
    /// published.
    pub fn new(
        gateway: Arc<Gateway>,
        (target, overwrite): (Target, Overwrite),
        metadata: &[u8],
    ) -> Result<Self, Refusal> {
        gateway.names.check_overwrite(&target, overwrite)?;
        let upload = gateway.names.initiate(&target, Origin::Direct, metadata)?;
        Ok(Self {
            gateway,
            upload,
            target,
            overwrite,
            published: false,
        })
    }

    pub fn publish(mut self, list: &[CompletedPart]) -> Result<Object, Refusal> {
        let upload = (&self.upload, Origin::Direct);
        let names = &self.gateway.names;
        let object = names.complete(&self.target, upload, list, self.overwrite)?;
        self.published = true;
        Ok(object)
    }
}

impl Drop for Draft {
    /// Runs where the draft was made and published: on a thread that may block.
    fn drop(&mut self) {
        if self.published {
            return;
        }
        match self.gateway.store.abort_upload(&self.upload) {
            Ok(()) | Err(Error::NoSuchUpload { .. }) => {}
            // The next start looks for what is left.
            Err(error) => tracing::warn!(%error, "the upload of a refused PUT stays"),
        }
    }
}

/// What of an object is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Bytes,
    Headers,
}

/// `GET /key` and `HEAD /key`, with `partNumber`, `Range` and conditions.
pub async fn get(call: Call, wanted: Wanted) -> Answer {
    let gateway = call.gateway.clone();
    let (call, (mut reader, origin)) = blocking(move || {
        let opened = gateway.names.open(&call.target)?;
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
    // A range of no bytes, that of an empty part, can not be written down.
    if span.is_some() && len > 0 {
        let (last, size) = (first + len - 1, described.size);
        let range = format!("bytes {first}-{last}/{size}");
        set(&mut response, "content-range", range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if wanted == Wanted::Bytes {
        // A place only: nothing is read yet.
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
    check_unconditional(&call.headers)?;
    blocking(move || call.gateway.names.delete(&call.target)).await?;
    Ok(answer::no_content())
}

/// What answers say of an object.
pub struct Described {
    /// Quoted.
    pub etag: String,
    pub size: u64,
    pub modified: SystemTime,
    pub crc64: u64,
    pub parts: u16,
    metadata: Vec<u8>,
}

impl Described {
    /// The ETag of an object that was put at once is the MD5 of its bytes.
    pub fn new(reader: &ObjectReader, origin: Origin) -> Self {
        let described = Self::of(reader.object());
        match (origin, reader.parts()) {
            (Origin::Direct, [only]) => Self {
                etag: only.part.etag.quoted(),
                ..described
            },
            _ => described,
        }
    }

    fn of(object: &Object) -> Self {
        Self {
            etag: object.etag.quoted(),
            size: object.size,
            modified: object.completed_at,
            crc64: object.crc64,
            parts: object.parts,
            metadata: object.metadata.clone(),
        }
    }

    /// Of the object of a name, if there is one. Parts are only looked at where the ETag is that of a part.
    pub fn find(names: &Names, target: &Target) -> Result<Option<Self>, Refusal> {
        Ok(match names.look_at(target)? {
            Some((object, Origin::Direct)) if object.parts == 1 => {
                let opened = names.open(target)?;
                opened.map(|(reader, origin)| Self::new(&reader, origin))
            }
            found => found.map(|(object, _)| Self::of(&object)),
        })
    }

    pub fn state(&self) -> State<'_> {
        State {
            etag: &self.etag,
            modified: self.modified,
        }
    }

    pub fn storage_class(&self) -> String {
        metadata::storage_class(&self.metadata)
    }

    pub fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    fn last_modified(&self) -> HeaderValue {
        let text = httpdate::fmt_http_date(self.modified);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    fn not_modified(&self) -> Response<Body> {
        let mut response = answer::ok();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set(&mut response, "etag", &self.etag);
        response
            .headers_mut()
            .insert(LAST_MODIFIED, self.last_modified());
        response
    }

    /// The headers of GET and HEAD; `response-*` parameters replace what the object has.
    fn response(&self, query: &Query) -> Answer {
        let mut response = answer::ok();
        *response.headers_mut() = metadata::headers(&self.metadata);
        let headers = response.headers_mut();
        let default = HeaderValue::from_static("application/octet-stream");
        headers.entry(CONTENT_TYPE).or_insert(default);
        replace(headers, query)?;
        headers.insert(LAST_MODIFIED, self.last_modified());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        set(&mut response, "etag", &self.etag);
        set_crc64(&mut response, self.crc64);
        if query.has("partNumber") {
            set(
                &mut response,
                "x-cos-mp-parts-count",
                self.parts.to_string(),
            );
        }
        Ok(response)
    }
}

fn replace(headers: &mut HeaderMap, query: &Query) -> Result<(), Refusal> {
    const REPLACED: [&str; 6] = [
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    ];
    for (parameter, value) in query.pairs() {
        let name = parameter.strip_prefix("response-");
        let Some(name) = name.and_then(|name| REPLACED.iter().find(|known| **known == name)) else {
            continue;
        };
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| {
            Refusal::invalid_argument(format!("{parameter} is not the value of a header"))
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}
