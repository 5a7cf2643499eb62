//! [`ObjectBucket`]: an object for each blob, in any store that `object_store` knows.
//!
//! Asked of the store are put, multipart upload, get of a range, head and delete. No condition, renaming or
//! copy is needed, and a listing only by `Cluster::reconcile` and by the first open of a store.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use parking_lot::Mutex;
use partstore::backend::{
    BlobReader, BlobStore, BlobWriter, DurableBlob, Location, Source, StoredBlob, Verified, Witness,
};
use partstore::{ContentHash, Error, Event, Remote, Result, Stats};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::trust::{Staged, Trust};
use super::{Bucket, Doomed, Listed, mark, text_of};
use crate::database::{Arguments, Call, Failure};
use crate::session::{Lease, Token};

/// Pieces of a multipart upload: the smallest that every store takes, so that few bytes are in memory.
const PIECE: usize = 5 << 20;
/// A body up to this size is put at once.
const AT_ONCE: usize = 8 << 20;
/// So many pieces of a body are under way at most, while the next gathers.
const UNDER_WAY: usize = 2;

/// So many names are listed before they are looked up.
const PAGE: usize = 1000;

/// What a bucket must do, of the crate `object_store`.
pub trait ObjectStorage: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> ObjectStorage for T {}

pub(crate) struct ObjectBucket {
    store: Arc<dyn ObjectStorage>,
    prefix: Path,
    trust: Arc<Trust>,
}

impl ObjectBucket {
    pub fn new(store: Arc<dyn ObjectStorage>, prefix: Path, trust: Arc<Trust>) -> Self {
        Self {
            store,
            prefix,
            trust,
        }
    }

    fn path(&self, at: &Location) -> Path {
        self.path_of(&text_of(at))
    }

    fn path_of(&self, name: &str) -> Path {
        let names = name.split('/').map(Into::into);
        self.prefix.parts().chain(names).collect()
    }

    /// The size of an object, if it exists.
    fn size_of(&self, path: &Path) -> Result<object_store::Result<Option<u64>>> {
        let (store, path) = (Arc::clone(&self.store), path.clone());
        let patience = self.trust.session.database.patience;
        self.wait(async move { size_of(&*store, &path, patience).await })
    }

    /// The prefix as a listing wants it.
    fn listed(&self) -> Option<&Path> {
        (!self.prefix.as_ref().is_empty()).then_some(&self.prefix)
    }

    /// Waits for a request that an open makes, not for longer than patience.
    fn asked<T: Send + 'static>(
        &self,
        op: &'static str,
        path: &Path,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T> {
        let patience = self.trust.session.database.patience;
        let answer = self.wait(async move { timeout(patience, request).await })?;
        let answer = answer.unwrap_or_else(|_| Err(broken_off("nothing came in time")));
        answer.map_err(|error| refused(op, path, &error))
    }

    /// Waits for a future of the store.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        self.trust.session.runtime.wait(future)
    }

    fn has_size(&self, blob: &StoredBlob) -> Result<bool> {
        let size = self.size_of(&self.path(&blob.location))?;
        let size = size.map_err(|error| away(&error))?;
        Ok(size == Some(blob.crcs.size))
    }
}

impl BlobStore for ObjectBucket {
    fn name_of(&self, _content: &ContentHash, blob: &StoredBlob) -> String {
        text_of(&blob.location)
    }

    fn begin(&self) -> Result<Box<dyn BlobWriter>> {
        let token = self.trust.session.token()?;
        Ok(Box::new(Body {
            path: self.path(&token.name()),
            store: Arc::clone(&self.store),
            trust: Arc::clone(&self.trust),
            token,
            gathered: BytesMut::new(),
            full: Vec::new(),
            upload: None,
            _staged: self.trust.stage(),
        }))
    }

    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>> {
        let source = Opened {
            store: Arc::clone(&self.store),
            path: self.path(&blob.location),
            trust: Arc::clone(&self.trust),
            lease: self.trust.session.lease()?,
            content: *content,
            at: blob.location,
            size: blob.crcs.size,
            stream: Mutex::default(),
        };
        Ok(Box::new(Verified::new(source, blob.crcs)))
    }

    fn is_sound(&self, _content: &ContentHash, blob: &StoredBlob) -> Result<bool> {
        let look = || self.has_size(blob);
        self.trust.is_sound(&blob.location, look)
    }

    fn require_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<()> {
        let look = || self.has_size(blob);
        self.trust
            .require_sound(content, &blob.location, "object", look)
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        stats.staged_bodies = self.trust.staged();
        Ok(())
    }
}

impl Bucket for ObjectBucket {
    fn remove(&self, names: &[Doomed]) -> Result<Vec<Result<bool>>> {
        let objects = names.iter().map(|doomed| {
            let path = self.path(&doomed.location);
            (path, doomed.multipart.clone())
        });
        let (store, objects): (_, Vec<_>) = (Arc::clone(&self.store), objects.collect());
        self.wait(async move { remove_all(&*store, objects).await })
    }

    fn list(&self, visit: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        let mut stream = Some(self.store.list(self.listed()));
        while let Some(mut objects) = stream.take() {
            // The stream goes to the runtime and comes back, so it is not the caller's thread that waits in it.
            let (rest, page) = self
                .wait(async move {
                    let mut page = Vec::new();
                    while page.len() < PAGE {
                        match objects.try_next().await? {
                            Some(object) => page.push(object.location),
                            None => return Ok((None, page)),
                        }
                    }
                    Ok((Some(objects), page))
                })?
                .map_err(|error: object_store::Error| away(&error))?;
            let mut listed = Listed::default();
            for path in &page {
                listed.add(&text_behind(&self.prefix, path));
            }
            visit(listed)?;
            stream = rest;
        }
        Ok(())
    }

    fn has(&self, name: &str) -> Result<bool> {
        let path = self.path_of(name);
        let size = self.size_of(&path)?;
        let size = size.map_err(|error| refused("look at", &path, &error))?;
        Ok(size.is_some())
    }

    fn marks(&self) -> Result<Vec<String>> {
        let (from, prefix) = (self.path_of(mark::PREFIX), self.prefix.clone());
        let mut objects = self.store.list_with_offset(self.listed(), &from);
        let list = async move {
            let mut marks = Vec::new();
            while let Some(object) = objects.try_next().await? {
                let name = text_behind(&prefix, &object.location);
                // A bucket lists in order.
                if name.as_str() >= mark::BEHIND {
                    break;
                }
                if mark::is_mark(&name) {
                    marks.push(name);
                }
            }
            Ok(marks)
        };
        self.asked("list", &from, list)
    }

    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    fn write_mark(&self, name: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path_of(name));
        let target = path.clone();
        let put = async move { store.put(&target, mark::TEXT.into()).await };
        self.asked("write", &path, put).map(drop)
    }

    fn remove_mark(&self, name: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), self.path_of(name));
        let target = path.clone();
        self.asked("remove", &path, async move { store.delete(&target).await })
    }

    fn distrust(&self, location: &Location) {
        let _ = self.trust.distrust(location);
    }
}

/// What of a path stands behind the prefix. Nothing, if it is not below that.
fn text_behind(prefix: &Path, path: &Path) -> String {
    let parts = path.prefix_match(prefix).into_iter().flatten();
    let parts: Vec<_> = parts.map(|part| part.as_ref().to_owned()).collect();
    parts.join("/")
}

/// Removes objects, and what is under way to their names. What cannot be removed keeps nothing else from it.
async fn remove_all(
    store: &dyn ObjectStorage,
    objects: Vec<(Path, Option<String>)>,
) -> Vec<Result<bool>> {
    let mut aborted = Vec::with_capacity(objects.len());
    for (path, upload) in &objects {
        aborted.push(match upload {
            Some(id) => store.abort_multipart(path, id).await,
            None => Ok(()),
        });
    }
    let paths: Vec<_> = objects.iter().map(|(path, _)| Ok(path.clone())).collect();
    let removed = store.delete_stream(stream::iter(paths).boxed());
    let removed: HashSet<Path> = removed.filter_map(async |path| path.ok()).collect().await;
    let mut answers = Vec::with_capacity(objects.len());
    for ((path, _), aborted) in objects.iter().zip(aborted) {
        let found = match aborted {
            Err(error) if !is_missing(&error) => Err(error),
            _ if removed.contains(path) => Ok(true),
            // One that fails may have ended the removal of those behind it.
            _ => match store.delete(path).await {
                Err(error) if is_missing(&error) => Ok(false),
                deleted => deleted.map(|()| true),
            },
        };
        answers.push(found.map_err(|error| away(&error)));
    }
    answers
}

fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}

/// The size of an object, if it exists.
async fn size_of(
    store: &dyn ObjectStorage,
    path: &Path,
    patience: Duration,
) -> object_store::Result<Option<u64>> {
    match timeout(patience, store.head(path)).await {
        Err(_) => Err(broken_off("nothing came in time")),
        Ok(Err(error)) if is_missing(&error) => Ok(None),
        Ok(found) => found.map(|found| Some(found.size)),
    }
}

fn broken_off(why: &'static str) -> object_store::Error {
    object_store::Error::Generic {
        store: "bucket",
        source: why.into(),
    }
}

/// Makes a request that sends so many bytes, and tells the observer.
async fn told<T>(
    witness: &Witness,
    len: usize,
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    let began = witness.begin();
    let answer = request.await;
    let sent = (len as u64, answer.is_ok());
    witness.tell(began, |took| Event::request(Remote::Bucket, sent, took));
    answer
}

/// A body on its way into the bucket.
struct Body {
    store: Arc<dyn ObjectStorage>,
    path: Path,
    trust: Arc<Trust>,
    token: Token,
    gathered: BytesMut,
    /// Pieces that are full while it is not yet known whether the body is put at once.
    full: Vec<Bytes>,
    upload: Option<Multipart>,
    _staged: Staged,
}

/// A multipart upload to the bucket.
struct Multipart {
    id: String,
    next: usize,
    under_way: VecDeque<JoinHandle<object_store::Result<PartId>>>,
    done: Vec<PartId>,
}

impl Body {
    /// A piece is full.
    fn flush(&mut self) -> Result<()> {
        let piece = self.gathered.split().freeze();
        self.full.push(piece);
        let gathered: usize = self.full.iter().map(Bytes::len).sum();
        if self.upload.is_none() && gathered <= AT_ONCE {
            return Ok(());
        }
        for piece in std::mem::take(&mut self.full) {
            self.send(piece)?;
        }
        Ok(())
    }

    /// Sends a piece, when there are not too many under way.
    fn send(&mut self, piece: Bytes) -> Result<()> {
        if self.upload.is_none() {
            self.upload = Some(self.begin_upload()?);
        }
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let Some(upload) = &mut self.upload else {
            return Err(Error::Closed);
        };
        let (id, at) = (upload.id.clone(), upload.next);
        upload.next += 1;
        let mut under_way = std::mem::take(&mut upload.under_way);
        let witness = self.witness();
        let settled = self.trust.session.runtime.wait(async move {
            let mut done = Vec::new();
            while under_way.len() >= UNDER_WAY {
                let Some(first) = under_way.pop_front() else {
                    break;
                };
                done.push(first.await??);
            }
            under_way.push_back(tokio::spawn(async move {
                let len = piece.len();
                let put = store.put_part(&path, &id, at, piece.into());
                told(&witness, len, put).await
            }));
            Ok((under_way, done))
        })?;
        let settled = settled.map_err(|error: object_store::Error| self.failed(&error))?;
        if let Some(upload) = &mut self.upload {
            upload.under_way = settled.0;
            upload.done.extend(settled.1);
        }
        Ok(())
    }

    /// Begins a multipart upload, and writes its id down: so it can be aborted whatever happens here.
    fn begin_upload(&mut self) -> Result<Multipart> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let database = Arc::clone(&self.trust.session.database);
        let (session, seq) = (self.token.session(), self.token.seq());
        let runtime = Arc::clone(&self.trust.session.runtime);
        let witness = self.witness();
        let request = async move { told(&witness, 0, store.create_multipart(&path)).await };
        let begun = runtime.wait(request)?;
        let id = begun.map_err(|error| self.failed(&error))?;
        let arguments = Arguments::new().with(session).with(seq).with(id.clone());
        let call = Call::function(&database.schema, "note_multipart_v1", arguments);
        let noted = runtime.wait(async move { database.read(&call).await })?;
        if let Err(failure) = noted {
            let (store, path, id) = (Arc::clone(&self.store), self.path.clone(), id.clone());
            runtime.spawn(async move {
                let _ = store.abort_multipart(&path, &id).await;
            });
            return Err(Failure::into_error(failure));
        }
        Ok(Multipart {
            id,
            next: 0,
            under_way: VecDeque::new(),
            done: Vec::new(),
        })
    }

    /// What tells the observer.
    fn witness(&self) -> Witness {
        self.trust.session.database.witness.clone()
    }

    /// A request failed, and may have its effect later all the same.
    fn failed(&mut self, error: &object_store::Error) -> Error {
        self.token.may_be_late();
        away(error)
    }
}

impl Drop for Body {
    /// Pieces that are under way may arrive behind the abort of their upload: a later one is wanted.
    fn drop(&mut self) {
        let Some(upload) = &self.upload else {
            return;
        };
        for piece in &upload.under_way {
            piece.abort();
            self.token.may_be_late();
        }
    }
}

impl BlobWriter for Body {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(PIECE - self.gathered.len()));
            self.gathered.extend_from_slice(taken);
            bytes = rest;
            if self.gathered.len() == PIECE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn sync(mut self: Box<Self>) -> Result<Box<dyn DurableBlob>> {
        let last = self.gathered.split().freeze();
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let runtime = Arc::clone(&self.trust.session.runtime);
        if self.upload.is_none() {
            let pieces = std::mem::take(&mut self.full).into_iter();
            let payload: PutPayload = pieces.chain([last]).collect();
            let (witness, len) = (self.witness(), payload.content_length());
            let put = async move { told(&witness, len, store.put(&path, payload)).await };
            let put = runtime.wait(put)?;
            put.map_err(|error| self.failed(&error))?;
            return Ok(self);
        }
        if !last.is_empty() {
            self.send(last)?;
        }
        let Some(upload) = self.upload.take() else {
            return Err(Error::Closed);
        };
        let witness = self.witness();
        let completed = runtime.wait(async move {
            let mut done = upload.done;
            for piece in upload.under_way {
                done.push(piece.await??);
            }
            let complete = store.complete_multipart(&path, &upload.id, done);
            told(&witness, 0, complete).await
        })?;
        completed.map_err(|error| self.failed(&error))?;
        Ok(self)
    }
}

impl DurableBlob for Body {
    fn publish(mut self: Box<Self>, _content: &ContentHash) -> Result<Location> {
        Ok(self.token.hand_over())
    }
}

/// An object that is read. The stream goes on from where it was, until somebody reads elsewhere.
struct Opened {
    store: Arc<dyn ObjectStorage>,
    path: Path,
    trust: Arc<Trust>,
    lease: Arc<Lease>,
    content: ContentHash,
    at: Location,
    size: u64,
    /// Only this reader has it. A stream alone could not be shared between threads.
    stream: Mutex<Option<Streaming>>,
}

struct Streaming {
    position: u64,
    /// What has come, and was not asked for yet.
    left: Bytes,
    rest: BoxStream<'static, object_store::Result<Bytes>>,
}

/// So often a read goes on after the store has broken off.
const TRIES: usize = 3;

impl Source for Opened {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        let mut tries = 0;
        loop {
            let error = match self.fill(position, into)? {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            *self.stream.get_mut() = None;
            tries += 1;
            if tries == TRIES || is_missing(&error) {
                return Err(self.failed(&error));
            }
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        self.trust
            .damaged(&self.lease, &self.content, &self.at, reason)
    }
}

impl Opened {
    fn fill(&self, position: u64, into: &mut [u8]) -> Result<object_store::Result<()>> {
        let stream = self.stream.lock().take();
        let stream = stream.filter(|stream| stream.position == position);
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let (size, len) = (self.size, into.len());
        let patience = self.trust.session.database.patience;
        let read = self.trust.session.runtime.wait(async move {
            let read = async {
                let mut stream = match stream {
                    Some(stream) => stream,
                    None => Streaming::open(&*store, &path, position..size).await?,
                };
                let bytes = stream.take(len).await?;
                Ok((stream, bytes))
            };
            let read = timeout(patience, read).await;
            read.unwrap_or_else(|_| Err(broken_off("nothing came in time")))
        })?;
        let (stream, pieces) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let mut at = 0;
        for piece in &pieces {
            let Some(place) = into.get_mut(at..at + piece.len()) else {
                break;
            };
            place.copy_from_slice(piece);
            at += piece.len();
        }
        if at < len {
            return Ok(Err(broken_off("the body ended early")));
        }
        *self.stream.lock() = Some(stream);
        Ok(Ok(()))
    }

    /// Whether the object is damaged, or only cannot be read now: its size tells.
    fn failed(&self, error: &object_store::Error) -> Error {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let patience = self.trust.session.database.patience;
        let runtime = &self.trust.session.runtime;
        let size = runtime.wait(async move { size_of(&*store, &path, patience).await });
        match size {
            Ok(Ok(None)) => self.damaged("its object is missing"),
            Ok(Ok(Some(size))) if size != self.size => {
                self.damaged(&format!("its object has {size} bytes"))
            }
            _ => away(error),
        }
    }
}

impl Streaming {
    async fn open(
        store: &dyn ObjectStorage,
        path: &Path,
        range: std::ops::Range<u64>,
    ) -> object_store::Result<Self> {
        let position = range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let got = store.get_opts(path, options).await?;
        Ok(Self {
            position,
            left: Bytes::new(),
            rest: got.into_stream(),
        })
    }

    /// So many bytes, fewer at the end.
    async fn take(&mut self, len: usize) -> object_store::Result<Vec<Bytes>> {
        let (mut pieces, mut missing) = (Vec::new(), len);
        while missing > 0 {
            if self.left.is_empty() {
                match self.rest.try_next().await? {
                    Some(bytes) => self.left = bytes,
                    None => break,
                }
            }
            let piece = self.left.split_to(missing.min(self.left.len()));
            missing -= piece.len();
            self.position += piece.len() as u64;
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

/// The error of a request of an open. What only somebody can mend is told from a bucket that is away.
fn refused(op: &'static str, path: &Path, error: &object_store::Error) -> Error {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    let kind = match error {
        NotFound { .. } => io::ErrorKind::NotFound,
        PermissionDenied { .. } | Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        _ => return away(error),
    };
    Error::Io {
        op,
        path: path.to_string().into(),
        source: io::Error::new(kind, error.to_string()),
    }
}

fn away(error: &object_store::Error) -> Error {
    Error::Unavailable {
        cause: format!("the bucket: {error}"),
    }
}
