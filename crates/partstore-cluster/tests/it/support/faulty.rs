//! A bucket that fails when a test says so.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

/// A request to the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Put,
    Get,
    Head,
    Delete,
    Create,
    Piece,
    Complete,
    Abort,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and has no effect.
    Before,
    /// It fails, and has had its effect.
    After,
    /// A PUT that fails, and has its effect when [`FaultyStore::release`] says so.
    Late,
    /// It never answers.
    Stalls,
    /// A body ends after so many bytes. It may say that it does.
    BreaksOff { at: usize, says: bool },
}

/// An [`InMemory`] bucket with faults.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<InMemory>,
    faults: Arc<Mutex<Vec<Rule>>>,
    uploads: Mutex<HashSet<MultipartId>>,
    late: Mutex<Vec<(Path, PutPayload)>>,
}

#[derive(Debug)]
struct Rule {
    op: Op,
    fault: Fault,
    /// So many requests pass, and so many fail.
    skip: usize,
    times: usize,
    only: Option<Path>,
}

fn broken() -> Error {
    Error::Generic {
        store: "faulty",
        source: "as the test wants it".into(),
    }
}

fn fault(faults: &Mutex<Vec<Rule>>, op: Op, path: &Path) -> Option<Fault> {
    let mut faults = faults.lock().unwrap();
    let meant = |rule: &&mut Rule| {
        rule.op == op && rule.times > 0 && rule.only.as_ref().is_none_or(|only| only == path)
    };
    let rule = faults.iter_mut().find(meant)?;
    if rule.skip > 0 {
        rule.skip -= 1;
        return None;
    }
    rule.times -= 1;
    Some(rule.fault)
}

impl FaultyStore {
    pub fn on(inner: &Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            faults: Arc::default(),
            uploads: Mutex::default(),
            late: Mutex::default(),
        })
    }

    /// Of the requests of this kind the one with this number fails.
    pub fn fail(&self, op: Op, number: usize, fault: Fault) {
        self.rule(op, fault, (number, 1), None);
    }

    /// All requests of this kind fail, if they are about this object, or any.
    pub fn fail_all(&self, op: Op, fault: Fault, only: Option<Path>) {
        self.rule(op, fault, (0, usize::MAX), only);
    }

    fn rule(&self, op: Op, fault: Fault, (skip, times): (usize, usize), only: Option<Path>) {
        self.faults.lock().unwrap().push(Rule {
            op,
            fault,
            skip,
            times,
            only,
        });
    }

    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Lets the late PUTs have their effect.
    pub fn release(&self) {
        for (path, payload) in self.late.lock().unwrap().drain(..) {
            self.inner
                .put(&path, payload)
                .now_or_never()
                .unwrap()
                .unwrap();
        }
    }

    /// Multipart uploads that are neither complete nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }

    async fn run<T>(
        &self,
        op: Op,
        path: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match fault(&self.faults, op, path) {
            None => work.await,
            Some(Fault::After) => {
                work.await?;
                Err(broken())
            }
            Some(Fault::Stalls) => std::future::pending().await,
            Some(_) => Err(broken()),
        }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        match fault(&self.faults, Op::Put, path) {
            None => self.inner.put_opts(path, payload, opts).await,
            Some(Fault::After) => {
                self.inner.put_opts(path, payload, opts).await?;
                Err(broken())
            }
            Some(Fault::Late) => {
                let mut late = self.late.lock().unwrap();
                late.push((path.clone(), payload));
                Err(broken())
            }
            Some(_) => Err(broken()),
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { Op::Head } else { Op::Get };
        let got = self.inner.get_opts(path, options);
        match fault(&self.faults, op, path) {
            None => got.await,
            Some(Fault::BreaksOff { at, says }) => break_off(got.await?, at, says).await,
            Some(Fault::Stalls) => {
                let mut got = got.await?;
                got.payload = GetResultPayload::Stream(stream::pending().boxed());
                Ok(got)
            }
            Some(_) => Err(broken()),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), Arc::clone(&self.faults));
        let delete = move |path: Result<Path>| {
            let (inner, faults) = (Arc::clone(&inner), Arc::clone(&faults));
            async move {
                let path = path?;
                let fault = fault(&faults, Op::Delete, &path);
                if fault != Some(Fault::Before) {
                    inner.delete(&path).await?;
                }
                fault.map_or(Ok(path), |_| Err(broken()))
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

async fn break_off(got: GetResult, at: usize, says: bool) -> Result<GetResult> {
    let (meta, range) = (got.meta.clone(), got.range.clone());
    let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
    let bytes: Bytes = got.bytes().await?;
    let first = Ok(bytes.slice(..at.min(bytes.len())));
    let rest = says.then(|| Err(broken()));
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream::iter([first].into_iter().chain(rest)).boxed()),
        meta,
        range,
        attributes,
        extensions,
    })
}

#[async_trait]
impl MultipartStore for FaultyStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let create = async {
            let id = self.inner.create_multipart(path).await?;
            self.uploads.lock().unwrap().insert(id.clone());
            Ok(id)
        };
        self.run(Op::Create, path, create).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        at: usize,
        payload: PutPayload,
    ) -> Result<PartId> {
        let put = self.inner.put_part(path, id, at, payload);
        self.run(Op::Piece, path, put).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let complete = async {
            let done = self.inner.complete_multipart(path, id, parts).await?;
            self.uploads.lock().unwrap().remove(id);
            Ok(done)
        };
        self.run(Op::Complete, path, complete).await
    }

    /// As S3 answers it: one that does not exist is not found.
    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let abort = async {
            if !self.uploads.lock().unwrap().remove(id) {
                return Err(Error::NotFound {
                    path: path.to_string(),
                    source: "no such upload".into(),
                });
            }
            self.inner.abort_multipart(path, id).await
        };
        self.run(Op::Abort, path, abort).await
    }
}
