//! `salvage`: gives back what can be proven of a store whose journal or layers are damaged. `rebuild-index`: the index anew.

use partstore::{Error, IndexRecovery, PartStore, SalvageReport};
use serde_json::json;

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::opening;
use crate::output::{Output, damaged_as_text};

pub fn run(place: &Place, yes: bool, out: &mut Output) -> Done {
    let path = opening::directory(place)?;
    opening::check(place, path)?;
    let options = opening::options().must_exist();
    let store = match (options.clone().open(path), yes) {
        (Ok(store), _) => store,
        (
            Err(Error::Damaged {
                path,
                offset,
                reason,
            }),
            false,
        ) => {
            return Err(Failure::Damage(format!(
                "{} is damaged at byte {offset}: {reason}; copy the store's directory first, then `partstore salvage --yes` \
                 gives back what can be proven",
                path.display()
            )));
        }
        (Err(Error::Damaged { .. }), true) => options.salvage().open(path)?,
        (Err(error), _) => return Err(error.into()),
    };
    let told = tell(&store, out);
    let closed = store.close().map_err(Failure::from);
    told.and(closed)
}

/// Opens the store with a new index.
pub fn rebuild_index(place: &Place, out: &mut Output) -> Done {
    let path = opening::directory(place)?;
    opening::check(place, path)?;
    let options = opening::options().must_exist().rebuild_index();
    let store = options.open(path)?;
    let is_new = matches!(store.recovery().index, IndexRecovery::Rebuilt { .. });
    let told = store.stats().map_err(Failure::from).and_then(|stats| {
        out.row(
            || json!({ "rebuilt": is_new, "parts": stats.parts, "blobs": stats.blobs }),
            || {
                let (parts, blobs) = (stats.parts, stats.blobs);
                format!("the index is new: {parts} parts, {blobs} blobs; `partstore verify` compares it with the rest")
            },
        )
    });
    let closed = store.close().map_err(Failure::from);
    told.and(closed)
}

fn tell(store: &PartStore, out: &mut Output) -> Done {
    let Some(report) = &store.recovery().salvaged else {
        return out.row(
            || json!({ "salvaged": false, "lost": [] }),
            || "the store opens; nothing needs to be salvaged".into(),
        );
    };
    out.row(|| as_json(report), || as_text(report))?;
    match report.lost.len() {
        0 => Ok(()),
        lost => Err(Failure::Damage(format!(
            "the store works again, and {lost} losses are listed in {}; run `partstore verify` next",
            report.aside.join("lost.txt").display()
        ))),
    }
}

fn as_json(report: &SalvageReport) -> serde_json::Value {
    let damaged = report.damaged.iter().map(partstore_reports::damaged_file);
    json!({
        "salvaged": true,
        "aside": report.aside.display().to_string(),
        "damaged_files": damaged.collect::<Vec<_>>(),
        "lost": report.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn as_text(report: &SalvageReport) -> String {
    let mut lines = vec![format!("the old files are in {}", report.aside.display())];
    for file in &report.damaged {
        lines.push(format!("damaged: {}", damaged_as_text(file)));
    }
    lines.extend(report.lost.iter().map(|loss| format!("lost: {loss}")));
    lines.join("\n")
}
