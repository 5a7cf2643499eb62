//! Objects: PUT, GET, HEAD, DELETE.

use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, IF_RANGE, RANGE, TRANSFER_ENCODING};
use partstore::{Condition, ObjectOptions, PartNumber, PartOptions};
use partstore_tokio::AsyncObjectReader;

use super::described::Described;
use super::uploads::{declared, with_digest};
use crate::cos::answer::{self, Answer, set};
use crate::cos::body::answered;
use crate::cos::conditions::{self, Before, Outcome, Span};
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::text;
use crate::cos::service::Call;

/// `PUT /key`
///
/// As for a part, all that can be refused without the body is refused before its first byte is asked for.
pub async fn put(call: Call) -> Answer {
    let options = ObjectOptions::new()
        .body(declared_of_object(&call)?)
        .metadata(metadata::of(call.headers())?);
    let before = Before::of(call.headers())?;
    let (store, key, wanted) = (
        call.service.store.clone(),
        call.target.store_key(),
        before.clone(),
    );
    let writer = store.writer_by(move |store| {
        let condition = wanted.decide(store, &key)?;
        let writer = store.object_writer(key, options.only(condition));
        writer.map_err(|error| wanted.explain(error.into()))
    });
    let stored = call.body().store(writer.await?).await;
    let object = stored.map_err(|refusal| before.explain(refusal))?;
    Ok(answer::stored(&object.etag.quoted(), &object.checksums))
}

/// Unlike a part, an object may come in chunks, without a length (436/7749). The Python SDK sends an empty file so.
fn declared_of_object(call: &Call) -> Result<PartOptions, Refusal> {
    if call.headers().contains_key(TRANSFER_ENCODING) {
        with_digest(call, PartOptions::new())
    } else {
        declared(call)
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
    let (store, key) = (call.service.store.clone(), call.target.store_key());
    let reader = store.open_key(key).await?;
    let described = Described::of(reader.object());
    match conditions::check(call.headers(), "", &described.state())? {
        Outcome::Met => {}
        Outcome::NotModified => return Ok(described.not_modified()),
        Outcome::Failed => {
            return Err(Refusal::precondition_failed(
                "a condition of the request is not met",
            ));
        }
    }
    let (reader, span) = wanted_span(&call, reader, &described).await?;
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
        *response.body_mut() = answered(reader, first..first + len).await?;
    }
    Ok(response)
}

/// The bytes that `partNumber` or `Range` ask for; `None` for all.
async fn wanted_span(
    call: &Call,
    reader: AsyncObjectReader,
    described: &Described,
) -> Result<(AsyncObjectReader, Option<Span>), Refusal> {
    if let Some(number) = call.query.get("partNumber") {
        let number: PartNumber = number.parse()?;
        let (reader, placed) = reader.ask(move |reader| reader.placed_part(number)).await?;
        let span = Span {
            first: placed.offset,
            len: placed.part.size,
        };
        return Ok((reader, Some(span)));
    }
    let unchanged = match text(call.headers(), &IF_RANGE)? {
        Some(tag) => tag == described.etag || Some(tag) == described.last_modified().to_str().ok(),
        None => true,
    };
    let range = text(call.headers(), &RANGE)?.filter(|_| unchanged);
    Ok((reader, conditions::range(range, described.size)?))
}

/// `DELETE /key`: 204 whether or not there was an object.
pub async fn delete(call: Call) -> Answer {
    let (store, key) = (call.service.store.clone(), call.target.store_key());
    store.remove_key(key, Condition::Always).await?;
    Ok(answer::no_content())
}
