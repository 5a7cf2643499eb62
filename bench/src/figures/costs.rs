//! What a part costs calls that go over many.

use std::path::Path;
use std::time::Instant;

use partstore::{Background, PartStore, Result, Scope, Upload};
use partstore_bench::machine::processor_time;

use super::Report;
use super::many::{PARTS, UPLOADS, all_parts, filled, forget_the_close, options};

/// Measures each call on a store of 100,000 parts, all different.
pub fn costs(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let root = dir.path().join("data");
    let costs = Costs {
        root: &root,
        report,
    };
    let store = costs.open()?;
    let uploads = filled(&store, UPLOADS)?;
    let (aborted, completed) = uploads.split_at(5);
    costs.complete(&store, completed)?;
    costs.of_all("verify(Scope::Metadata)", || {
        store.verify(Scope::Metadata).map(drop)
    })?;
    store.close()?;
    costs.openings()?;
    let store = costs.open()?;
    for upload in aborted {
        costs.of_one("abort_upload", || store.abort_upload(upload))?;
    }
    for upload in completed {
        costs.of_one("remove_object", || store.remove_object(upload))?;
    }
    costs.of_all("sweep", || store.sweep().map(drop))?;
    store.close()
}

struct Costs<'a> {
    root: &'a Path,
    report: &'a Report,
}

impl Costs<'_> {
    fn open(&self) -> Result<PartStore> {
        options().background(Background::Host).open(self.root)
    }

    fn complete(&self, store: &PartStore, uploads: &[Upload]) -> Result<()> {
        for upload in uploads {
            self.of_one("list_parts", || all_parts(store, upload).map(drop))?;
        }
        for upload in uploads {
            let list = all_parts(store, upload)?;
            self.of_one("complete_upload", || {
                store.complete_upload(upload, &list).map(drop)
            })?;
        }
        for upload in uploads {
            self.of_one("open_object", || store.open_object(upload).map(drop))?;
        }
        Ok(())
    }

    fn openings(&self) -> Result<()> {
        let open = || self.open()?.close();
        self.of_all("open after a clean close, and close", open)?;
        forget_the_close(self.root);
        self.of_all("open with the index rebuilt, and close", open)
    }

    /// A call that goes over the parts of one upload.
    fn of_one(&self, call: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.each(call, PARTS, run)
    }

    /// A call that goes over the parts of all uploads.
    fn of_all(&self, call: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.each(call, PARTS * UPLOADS, run)
    }

    fn each(&self, call: &str, parts: u32, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let (started, used) = (Instant::now(), processor_time());
        run()?;
        let times = [started.elapsed(), processor_time().saturating_sub(used)];
        let [time, used] = times.map(|time| time.as_secs_f64() * 1e6 / f64::from(parts));
        self.report.say(
            call,
            format!("{time:.2} µs a part"),
            format!("{used:.2} µs of a processor"),
        );
        Ok(())
    }
}
