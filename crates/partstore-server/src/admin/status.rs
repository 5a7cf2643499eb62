//! `/status.json`: what the page shows.

use std::time::SystemTime;

use hyper::StatusCode;
use partstore::{
    Error, ListNamespaces, ListParts, ListUploads, Namespace, PartStore, Result, Stats, UploadInfo,
};
use partstore_reports::saved_bytes;
use serde::Serialize;

use super::told::SinceStart;
use super::{Admin, Answer, answer, figures, health};
use crate::traffic::{SPAN, Span, unix_seconds};

/// The most namespaces and uploads that are shown.
const NAMESPACES: u32 = 200;
const UPLOADS: u32 = 25;
/// The most parts of an upload that are counted.
const PARTS: u32 = 1000;

#[derive(Serialize)]
struct Status {
    version: &'static str,
    place: String,
    /// Seconds since 1970.
    now: u64,
    up_seconds: u64,
    /// Why the server is not ready. `None` if it is.
    trouble: Option<String>,
    /// `None` if the store does not answer.
    store: Option<Store>,
    since_start: SinceStart,
    requests_under_way: u64,
    span_seconds: u64,
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Store {
    open_uploads: u64,
    objects: u64,
    keys: u64,
    parts: u64,
    part_bytes: u64,
    blobs: u64,
    blob_bytes: u64,
    saved_bytes: u64,
    garbage: u64,
    bodies_under_way: u64,
    free_bytes: u64,
    headroom: u64,
    journal_bytes: u64,
    damaged_blobs: u64,
    damaged_files: Vec<String>,
    housekeeping_failure: Option<String>,
    /// Seconds since 1970.
    last_checkpoint: Option<u64>,
    last_sweep: Option<u64>,
    last_sweep_removed_bytes: u64,
    /// What the housekeeping does now.
    housekeeping: Option<&'static str>,
    /// Seconds since 1970.
    next_sweep: Option<u64>,
    next_expiry: Option<u64>,
    /// `None` also while it is not known yet.
    oldest_upload: Option<u64>,
    namespaces: Vec<Usage>,
    /// Whether there are more.
    more_namespaces: bool,
    uploads: Vec<Upload>,
    more_uploads: bool,
}

#[derive(Serialize)]
struct Usage {
    name: String,
    keys: u64,
    objects: u64,
    bytes: u64,
    open_uploads: u64,
    max_bytes: Option<u64>,
    max_keys: Option<u64>,
}

#[derive(Serialize)]
struct Upload {
    namespace: String,
    key: String,
    id: String,
    /// Seconds since 1970.
    initiated: u64,
    parts: usize,
    bytes: u64,
    /// Whether it has more parts than were counted.
    more_parts: bool,
}

pub(super) async fn status(admin: &Admin) -> Answer {
    let headroom = admin.headroom;
    let asked = admin.ask(move |store| Store::of(store, headroom)).await;
    let traffic = admin.told.traffic();
    let (store, trouble) = match asked {
        Ok((mut store, trouble)) => {
            let oldest = admin.oldest().await.and_then(|found| found.initiated);
            store.oldest_upload = oldest.map(unix_seconds);
            (Some(store), trouble)
        }
        Err(error) => (None, Some(error.to_string())),
    };
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        place: admin.place.clone(),
        now: unix_seconds(SystemTime::now()),
        up_seconds: admin.began.elapsed().as_secs(),
        trouble,
        store,
        since_start: admin.told.since_start(),
        requests_under_way: traffic.under_way(),
        span_seconds: SPAN.as_secs(),
        spans: traffic.last_minutes(),
    };
    match serde_json::to_vec(&status) {
        Ok(json) => answer(StatusCode::OK, "application/json", json),
        Err(error) => super::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

impl Store {
    /// What it holds, and why it is not ready.
    fn of(store: &PartStore, headroom: u64) -> Result<(Self, Option<String>)> {
        let stats = store.stats()?;
        let trouble = health::why_not_ready(&stats, headroom);
        let namespaces = store.list_namespaces(&ListNamespaces::new().limit(NAMESPACES))?;
        let uploads = uploads_in(store, &namespaces.namespaces)?;
        let more_namespaces = namespaces.next.is_some();
        let store = Self {
            more_uploads: more_namespaces || (uploads.len() as u64) < stats.open_uploads,
            namespaces: namespaces.namespaces.into_iter().map(Usage::of).collect(),
            more_namespaces,
            uploads,
            ..Self::numbers(&stats, headroom)
        };
        Ok((store, trouble))
    }

    fn numbers(stats: &Stats, headroom: u64) -> Self {
        let sweep = stats.last_sweep.as_ref();
        Self {
            open_uploads: stats.open_uploads,
            objects: stats.objects,
            keys: stats.keys,
            parts: stats.parts,
            part_bytes: stats.part_bytes,
            blobs: stats.blobs,
            blob_bytes: stats.blob_bytes,
            saved_bytes: saved_bytes(stats),
            garbage: stats.garbage,
            bodies_under_way: stats.staged_bodies,
            free_bytes: stats.free_bytes,
            headroom,
            journal_bytes: stats.journal_bytes,
            damaged_blobs: stats.damaged_blobs,
            damaged_files: stats
                .damaged_files
                .iter()
                .map(|file| format!("{}: {}", file.path.display(), file.reason))
                .collect(),
            housekeeping_failure: stats.background_failure.clone(),
            last_checkpoint: stats.last_checkpoint.map(unix_seconds),
            last_sweep: sweep.map(|sweep| unix_seconds(sweep.at)),
            last_sweep_removed_bytes: sweep.map_or(0, |sweep| sweep.report.bytes),
            housekeeping: stats.housekeeping.now.map(figures::name_of),
            next_sweep: stats.housekeeping.next_sweep.map(unix_seconds),
            next_expiry: stats.housekeeping.next_expiry.map(unix_seconds),
            oldest_upload: None,
            namespaces: Vec::new(),
            more_namespaces: false,
            uploads: Vec::new(),
            more_uploads: false,
        }
    }
}

/// Open uploads of these namespaces, some of each.
fn uploads_in(store: &PartStore, namespaces: &[Namespace]) -> Result<Vec<Upload>> {
    let mut uploads = Vec::new();
    let some = namespaces.iter().filter(|one| one.usage.open_uploads > 0);
    for namespace in some {
        let left = UPLOADS.saturating_sub(u32::try_from(uploads.len()).unwrap_or(UPLOADS));
        if left == 0 {
            break;
        }
        let query = ListUploads::new().namespace(&namespace.name).limit(left);
        let page = match store.list_uploads(&query) {
            Err(Error::NoSuchNamespace { .. }) => continue,
            page => page?,
        };
        for info in page.uploads {
            match Upload::of(store, &info) {
                Ok(upload) => uploads.push(upload),
                // It has ended since.
                Err(Error::NoSuchUpload { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(uploads)
}

impl Usage {
    fn of(namespace: Namespace) -> Self {
        Self {
            name: namespace.name,
            keys: namespace.usage.keys,
            objects: namespace.usage.objects,
            bytes: namespace.usage.bytes,
            open_uploads: namespace.usage.open_uploads,
            max_bytes: namespace.quota.max_bytes(),
            max_keys: namespace.quota.max_keys(),
        }
    }
}

impl Upload {
    fn of(store: &PartStore, info: &UploadInfo) -> Result<Self> {
        let page = store.list_parts(&info.upload, &ListParts::new().limit(PARTS))?;
        Ok(Self {
            namespace: info.upload.full_key().namespace().to_owned(),
            key: info.upload.key().to_owned(),
            id: info.upload.id().to_string(),
            initiated: unix_seconds(info.initiated_at),
            parts: page.parts.len(),
            bytes: page.parts.iter().map(|part| part.size).sum(),
            more_parts: page.next.is_some(),
        })
    }
}
