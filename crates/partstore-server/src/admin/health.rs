//! `/health`: whether the server should get requests.

use hyper::StatusCode;
use partstore::{PartStore, Stats};

use super::{Admin, Answer, text};

/// 200, or 503 with the reason in a line.
pub(super) async fn ready(admin: &Admin) -> Answer {
    match admin.ask(PartStore::stats).await {
        Ok(stats) => match why_not_ready(&stats, admin.headroom) {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => not_ready(&why),
        },
        Err(error) => not_ready(&error.to_string()),
    }
}

fn not_ready(why: &str) -> Answer {
    text(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready: {why}\n"),
    )
}

/// Why the store does not do all that it is for.
pub(super) fn why_not_ready(stats: &Stats, headroom: u64) -> Option<String> {
    if let Some(why) = &stats.stopped {
        return Some(format!(
            "the store has stopped, and must be opened again: {why}"
        ));
    }
    if let Some(damaged) = stats.damaged_files.first() {
        return Some(format!(
            "a file of the store is damaged, and changes are refused: {}",
            damaged.path.display()
        ));
    }
    (stats.free_bytes < headroom).then(|| {
        format!(
            "the disk is full: {} bytes are free, and {headroom} stay so",
            stats.free_bytes
        )
    })
}
