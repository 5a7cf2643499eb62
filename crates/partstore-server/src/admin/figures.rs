//! `/metrics`, in the text format of Prometheus.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use partstore::{HousekeepingStep, PartStore, Stats};

use partstore_reports::saved_bytes;

use super::{Admin, Answer, answer, told};
use crate::Failure;

/// Bounds of the times that are told apart, seconds.
const TIMES: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// Bounds of the sizes of groups.
const CHANGES: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0];

/// Name, unit, description, and the figure itself.
type Gauge = (&'static str, Unit, &'static str, fn(&Stats) -> f64);

/// What is said of the store each time.
const GAUGES: [Gauge; 23] = [
    (
        "partstore_open_uploads",
        Unit::Count,
        "Open uploads",
        |stats| float(stats.open_uploads),
    ),
    (
        "partstore_objects",
        Unit::Count,
        "Completed uploads that are not removed",
        |stats| float(stats.objects),
    ),
    (
        "partstore_keys",
        Unit::Count,
        "Keys that have an object",
        |stats| float(stats.keys),
    ),
    (
        "partstore_parts",
        Unit::Count,
        "Parts of open uploads and of objects",
        |stats| float(stats.parts),
    ),
    (
        "partstore_part_bytes",
        Unit::Bytes,
        "Sizes of the parts",
        |stats| float(stats.part_bytes),
    ),
    ("partstore_blobs", Unit::Count, "Blobs on disk", |stats| {
        float(stats.blobs)
    }),
    (
        "partstore_blob_bytes",
        Unit::Bytes,
        "Sizes of the blobs",
        |stats| float(stats.blob_bytes),
    ),
    (
        "partstore_saved_bytes",
        Unit::Bytes,
        "What parts with the same bytes save, less what waits for a sweep",
        |stats| float(saved_bytes(stats)),
    ),
    (
        "partstore_garbage_blobs",
        Unit::Count,
        "Blobs that have lost a reference, and that no sweep has checked since",
        |stats| float(stats.garbage),
    ),
    (
        "partstore_damaged_blobs",
        Unit::Count,
        "Blobs that were found damaged since the start, and not put again",
        |stats| float(stats.damaged_blobs),
    ),
    (
        "partstore_damaged_files",
        Unit::Count,
        "Files of the journal and the layers that were found damaged since the start",
        |stats| float(stats.damaged_files.len() as u64),
    ),
    (
        "partstore_bodies_under_way",
        Unit::Count,
        "Bodies that are being received",
        |stats| float(stats.staged_bodies),
    ),
    (
        "partstore_reserved_bytes",
        Unit::Bytes,
        "Disk that is reserved for those bodies",
        |stats| float(stats.reserved_bytes),
    ),
    (
        "partstore_blobs_in_use",
        Unit::Count,
        "Blobs that are being read or put",
        |stats| float(stats.pinned_blobs),
    ),
    (
        "partstore_journal_bytes",
        Unit::Bytes,
        "The journal on disk",
        |stats| float(stats.journal_bytes),
    ),
    (
        "partstore_index_rows",
        Unit::Count,
        "Rows of the index",
        |stats| float(stats.index_rows),
    ),
    (
        "partstore_index_bytes",
        Unit::Bytes,
        "Keys and values of those rows",
        |stats| float(stats.index_bytes),
    ),
    (
        "partstore_free_bytes",
        Unit::Bytes,
        "What can still be written to the file system",
        |stats| float(stats.free_bytes),
    ),
    (
        "partstore_stopped",
        Unit::Count,
        "1 if the store has stopped and must be opened again",
        |stats| f64::from(u8::from(stats.stopped.is_some())),
    ),
    (
        "partstore_last_checkpoint_timestamp_seconds",
        Unit::Seconds,
        "The last checkpoint since the start, 0 for none",
        |stats| seconds(stats.last_checkpoint),
    ),
    (
        "partstore_last_sweep_timestamp_seconds",
        Unit::Seconds,
        "The last sweep since the start, 0 for none",
        |stats| seconds(stats.last_sweep.as_ref().map(|sweep| sweep.at)),
    ),
    (
        "partstore_next_sweep_timestamp_seconds",
        Unit::Seconds,
        "The next sweep, at the latest, 0 if none is planned",
        |stats| seconds(stats.housekeeping.next_sweep),
    ),
    (
        "partstore_next_expiry_timestamp_seconds",
        Unit::Seconds,
        "The next search for old uploads, at the latest, 0 if none is planned",
        |stats| seconds(stats.housekeeping.next_expiry),
    ),
];

/// The steps of the housekeeping, by name.
const STEPS: [(HousekeepingStep, &str); 3] = [
    (HousekeepingStep::Expiry, "expiry"),
    (HousekeepingStep::Sweep, "sweep"),
    (HousekeepingStep::Checkpoint, "checkpoint"),
];

pub(super) fn name_of(step: HousekeepingStep) -> &'static str {
    let named = STEPS.iter().find(|(known, _)| *known == step);
    named.map_or("other", |(_, name)| name)
}

/// Records what requests do from now on.
pub(super) fn record() -> Result<PrometheusHandle, Failure> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let changes = Matcher::Full("partstore_group_changes".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &TIMES)?
        .set_buckets_for_metric(changes, &CHANGES)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    describe_counter!("partstore_requests_total", "Requests that have ended");
    describe_histogram!(
        "partstore_request_seconds",
        Unit::Seconds,
        "From the head of a request to the last byte of its answer"
    );
    describe_counter!(
        "partstore_received_bytes_total",
        Unit::Bytes,
        "Bytes of bodies that came in"
    );
    describe_counter!(
        "partstore_sent_bytes_total",
        Unit::Bytes,
        "Bytes of bodies that went out"
    );
    describe_gauge!(
        "partstore_requests_under_way",
        "Requests whose answer has not ended"
    );
    describe_gauge!("partstore_up", "1 if the store answers");
    describe_gauge!(
        "partstore_oldest_upload_age_seconds",
        Unit::Seconds,
        "How long ago the oldest open upload was initiated, 0 if none is open"
    );
    describe_gauge!(
        "partstore_housekeeping",
        "1 for the step that the housekeeping does now"
    );
    told::describe();
    for (name, unit, what, _) in GAUGES {
        describe_gauge!(name, unit, what);
    }
    Ok(handle)
}

/// All figures. A store that does not answer is one of them: the others of the store are those of the last time.
pub(super) async fn figures(admin: &Admin) -> Answer {
    let traffic = admin.told.traffic();
    let (received, sent) = traffic.bytes();
    counter!("partstore_received_bytes_total").absolute(received);
    counter!("partstore_sent_bytes_total").absolute(sent);
    gauge!("partstore_requests_under_way").set(float(traffic.under_way()));
    let stats = admin.ask(PartStore::stats).await;
    gauge!("partstore_up").set(f64::from(u8::from(stats.is_ok())));
    if let Ok(stats) = stats {
        if let Some(oldest) = admin.oldest().await {
            gauge!("partstore_oldest_upload_age_seconds").set(age(oldest.initiated));
        }
        for (step, name) in STEPS {
            let is_now = stats.housekeeping.now == Some(step);
            gauge!("partstore_housekeeping", "step" => name).set(f64::from(u8::from(is_now)));
        }
        for (name, _, _, figure) in GAUGES {
            gauge!(name).set(figure(&stats));
        }
    }
    admin.recorded.run_upkeep();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    answer(StatusCode::OK, kind, admin.recorded.render())
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floats only")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

/// How long ago that was, seconds.
fn age(at: Option<SystemTime>) -> f64 {
    let since = at.and_then(|at| at.elapsed().ok());
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn seconds(at: Option<SystemTime>) -> f64 {
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0.0, |since| since.as_secs_f64())
}
