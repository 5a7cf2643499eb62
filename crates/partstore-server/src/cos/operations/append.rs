//! APPEND Object: bytes behind the end of an object that began with an append.
//!
//! An object of the store does not change. So an append makes a new one, which replaces the one before if that is still the
//! current object of the key. The new object refers to the large parts of the one before. Its last, smaller parts are written
//! once more, together with the new bytes. So an object has some 100 parts at most, however often it is appended to, and
//! each byte is written a few times only.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};
use partstore::{
    CompleteOptions, CompletedPart, Condition, ContentMd5, Error, Key, ListNamespaces, Object,
    ObjectOptions, ObjectPart, PartNumber, PartOptions, PartStore, Upload, UploadInfo,
};
use partstore_tokio::{AsyncObjectReader, AsyncPartStore};

use super::compare_md5;
use crate::cos::answer::{self, Answer, set};
use crate::cos::body::{self, Upstream, blocking};
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{cos_header, digits};
use crate::cos::service::Call;

/// COS: the longest that an object becomes by appends, bytes.
const MAX_LEN: u64 = 5 << 30;
/// Shorter parts are always written once more, bytes. So an object that is shorter is replaced in one commit.
const SHORT: u64 = 8 << 20;
/// Longer parts never are.
const LONG: u64 = 64 << 20;

/// `POST /key?append&position=N`
pub async fn append(call: Call) -> Answer {
    let position = call.query.filled("position").and_then(digits);
    let position = position
        .ok_or_else(|| Refusal::invalid_argument("position must be an integer of at least 0"))?;
    let length = call.content_length()?;
    let md5 = cos_header(call.headers(), "content-md5")?;
    let md5 = md5.map(str::parse::<ContentMd5>).transpose()?;
    if length.saturating_add(position) > MAX_LEN {
        return Err(Refusal::entity_too_large(format!(
            "an object has at most {MAX_LEN} bytes by appends"
        )));
    }
    let first = metadata::of_appendable(call.headers())?;
    let (service, key) = (call.service.clone(), call.target.store_key());
    let appending = Appending {
        store: service.store.clone(),
        key,
        position,
    };
    let before = appending.before().await?;
    let body = checked(call.body(), md5);
    let object = match before {
        Some(before) if length == 0 => {
            body.try_for_each(async |_| Ok(())).await?;
            before.object().clone()
        }
        before => {
            let _turn = service.copies.acquire().await;
            let stored = appending.store((before, first), (body, length)).await;
            match stored {
                Ok(object) => object,
                Err(refusal) => return Err(appending.explain(refusal).await),
            }
        }
    };
    let mut response = answer::stored(&object.etag.quoted(), &object.checksums);
    set(&mut response, NEXT_POSITION, object.size.to_string());
    Ok(response)
}

pub const NEXT_POSITION: &str = "x-cos-next-append-position";

/// The bytes of a body, which are those that it declares.
fn checked(
    body: Upstream,
    md5: Option<ContentMd5>,
) -> impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static {
    let state = (body.into_stream(), Md5::new());
    stream::try_unfold(state, move |(mut body, mut digest)| async move {
        match body.try_next().await? {
            Some(bytes) => {
                if md5.is_some() {
                    digest.update(&bytes);
                }
                Ok(Some((bytes, (body, digest))))
            }
            None => Ok(compare_md5(md5, &digest.finalize()).map(|()| None)?),
        }
    })
}

/// What is appended to.
struct Appending {
    store: AsyncPartStore,
    key: Key,
    position: u64,
}

impl Appending {
    /// The object that ends where the new bytes begin; `None` if they are the first ones.
    async fn before(&self) -> Result<Option<AsyncObjectReader>, Refusal> {
        let elsewhere = |size: u64| {
            let ends = format!("the object ends at {size}, not at {}", self.position);
            Refusal::append_position(ends).with(NEXT_POSITION, size.to_string())
        };
        let reader = match self.store.open_key(self.key.clone()).await {
            Err(Error::NoSuchKey { .. }) if self.position == 0 => return Ok(None),
            Err(Error::NoSuchKey { .. }) => return Err(elsewhere(0)),
            opened => opened?,
        };
        let object = reader.object();
        if !metadata::is_appendable(&object.metadata) {
            return Err(Refusal::not_appendable(
                "the object did not begin with an append",
            ));
        }
        if object.size != self.position {
            return Err(elsewhere(object.size));
        }
        Ok(Some(reader))
    }

    /// Another object may have taken the name in the meantime. Then this says what the request would be answered now.
    async fn explain(&self, refusal: Refusal) -> Refusal {
        if !["PreconditionFailed", "NoSuchKey"].contains(&refusal.code) {
            return refusal;
        }
        let conflict = |_| Refusal::path_conflict("another object got this name in the meantime");
        self.before().await.map_or_else(|refusal| refusal, conflict)
    }

    async fn store(
        &self,
        (before, first): (Option<AsyncObjectReader>, Vec<u8>),
        (body, length): (
            impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static,
            u64,
        ),
    ) -> Result<Object, Refusal> {
        let Some(before) = before else {
            let body = Upstream::of(body);
            return self.put((Condition::IfAbsent, first), (body, length)).await;
        };
        let (before, parts) = before.with_parts().await?;
        let object = before.object().clone();
        let kept = kept(&parts, length);
        let (kept, again) = parts.split_at(kept);
        let from = again.first().map_or(object.size, |placed| placed.offset);
        let condition = Condition::IfCurrent(object.upload.id());
        let new = (object.metadata, object.size - from + length);
        if kept.is_empty() {
            let body = behind(before, from, body).await?;
            return self.put((condition, new.0), (body, new.1)).await;
        }
        let (key, kept) = (self.key.clone(), kept.to_vec());
        let upload = blocking(&self.store, move |store| {
            let upload = store.initiate_upload_with(key, &new.0)?;
            let copied = copy(store, (&object.upload, &kept), &upload);
            abandon_unless(store, &upload, copied).map(|()| upload)
        })
        .await?;
        let stored = match behind(before, from, body).await {
            Ok(body) => self.put_last((&upload, condition), (body, new.1)).await,
            Err(refusal) => Err(refusal),
        };
        blocking(&self.store, move |store| {
            abandon_unless(store, &upload, stored)
        })
        .await
    }

    /// Makes an object of one body, in one commit.
    async fn put(
        &self,
        (condition, metadata): (Condition, Vec<u8>),
        (body, length): (Upstream, u64),
    ) -> Result<Object, Refusal> {
        let options = ObjectOptions::new()
            .body(PartOptions::new().content_length(length))
            .metadata(metadata)
            .only(condition);
        let writer = self.store.object_writer(self.key.clone(), options);
        body.store(writer.await?).await
    }

    /// Makes an object of the parts of an upload, and a body behind them.
    async fn put_last(
        &self,
        (upload, condition): (&Upload, Condition),
        (body, length): (Upstream, u64),
    ) -> Result<Object, Refusal> {
        let last = upload.clone();
        let writer = self.store.writer_by(move |store| {
            let behind = store.parts(&last).count() + 1;
            let options = PartOptions::new().content_length(length);
            store.part_writer(&last, number(behind)?, options)
        });
        body.store(writer.await?).await?;
        let upload = upload.clone();
        blocking(&self.store, move |store| {
            let parts = store.parts(&upload).collect::<Result<Vec<_>, _>>()?;
            let listed: Vec<_> = parts.iter().map(CompletedPart::from).collect();
            let options = CompleteOptions::new().make_current(condition);
            store.complete_upload_with(&upload, &listed, &options.min_part_size(0))
        })
        .await
    }
}

/// Aborts the uploads of appends that ended with the process before this one. Their objects are as they were. No client can
/// initiate an upload that seems to be one of these. Those that are younger than `age` may be another server's.
pub fn abandon_left(store: &PartStore, age: Duration) -> Result<(), Error> {
    let mut query = ListNamespaces::new();
    let is_old = |open: &UploadInfo| {
        age.is_zero() || open.initiated_at.elapsed().is_ok_and(|since| since >= age)
    };
    loop {
        let page = store.list_namespaces(&query)?;
        for namespace in page.namespaces {
            for open in store.uploads(Key::new(namespace.name, "")) {
                let open = open?;
                if metadata::is_appendable(&open.metadata) && is_old(&open) {
                    store.abort_upload(&open.upload)?;
                }
            }
        }
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(()),
        }
    }
}

/// How many parts stay as they are. The others are not much longer, together, than what is behind them.
fn kept(parts: &[ObjectPart], length: u64) -> usize {
    let mut again = length;
    let is_kept = |placed: &ObjectPart| {
        let len = placed.part.size;
        let is_kept = len >= LONG || (len >= SHORT && len > again);
        again += len;
        is_kept
    };
    parts.iter().rposition(is_kept).map_or(0, |last| last + 1)
}

fn number(at: usize) -> Result<PartNumber, Error> {
    at.to_string().parse()
}

/// Copies parts, in their order. No byte is moved.
fn copy(
    store: &PartStore,
    (before, parts): (&Upload, &[ObjectPart]),
    upload: &Upload,
) -> Result<(), Error> {
    let before = store.open_object(before)?;
    for (at, placed) in parts.iter().enumerate() {
        let part = before.part(placed.part.number)?;
        store.copy_part(&part, upload, number(at + 1)?)?;
    }
    Ok(())
}

/// Aborts the upload, if what was to be done with it has failed.
fn abandon_unless<T, E: Into<Refusal>>(
    store: &PartStore,
    upload: &Upload,
    done: Result<T, E>,
) -> Result<T, Refusal> {
    done.map_err(|error| {
        if let Err(error) = store.abort_upload(upload) {
            tracing::warn!(%error, "the upload of an append is left");
        }
        error.into()
    })
}

/// The bytes of an object from a place on, and others behind them.
async fn behind(
    object: AsyncObjectReader,
    from: u64,
    body: impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static,
) -> Result<Upstream, Refusal> {
    let end = object.object().size;
    let unreadable = |error: std::io::Error| Refusal::internal(error.to_string());
    let bytes = body::read(object, from..end).await?;
    Ok(Upstream::of(bytes.map_err(unreadable).chain(body)))
}
