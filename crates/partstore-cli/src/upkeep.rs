//! `sweep`, `reconcile`, `expire`, `quota`, `rm` and `abort`: what removes and limits.

use std::ops::ControlFlow;

use partstore::{Condition, Error, PartStore, Quota, Upload};
use serde_json::{Value, json};

use crate::args::{Expire, Name, Place, SetQuota};
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::opening;
use crate::output::{Output, name, size};
use crate::overview::describe;
use crate::server::Server;

pub fn sweep(store: &PartStore, out: &mut Output) -> Done {
    let report = store.sweep_with(|_| {
        if interrupt::is_set() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    tell_sweep(&partstore_reports::sweep(&report), out)?;
    if report.cut_short {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// Has a running server sweep.
pub fn ask_to_sweep(address: &str, out: &mut Output) -> Done {
    let report = Server::at(address).sweep()?;
    tell_sweep(&report, out)?;
    if report["cut_short"] == json!(true) {
        Err(Failure::Incomplete(format!(
            "the server at {address} stopped before it had looked at everything"
        )))
    } else {
        Ok(())
    }
}

fn tell_sweep(report: &Value, out: &mut Output) -> Done {
    let number = |field: &str| report[field].as_u64().unwrap_or_default();
    out.row(
        || report.clone(),
        || {
            format!(
                "removed {} blobs, {}, and {} files without a record",
                number("removed_blobs"),
                size(number("removed_bytes")),
                number("removed_orphans")
            )
        },
    )
}

/// Of a cluster: what its bucket has, and no row names.
pub fn reconcile(place: &Place, yes: bool, out: &mut Output) -> Done {
    let cluster = opening::cluster(place)?.foreign_bytes(yes);
    let report = cluster.reconcile().map_err(|error| match error {
        Error::NotAStore { path, reason } if reason.contains("knows none") => {
            Failure::Refused(format!(
                "{}: {reason}; name the bucket that the servers have as --blobs, or say --yes",
                path.display()
            ))
        }
        error => opening::of_cluster(error),
    })?;
    out.row(
        || json!({ "stored": report.stored, "doomed": report.doomed, "foreign": report.foreign }),
        || {
            format!(
                "{} names are stored; no row named {} of them, and sweeps remove these; {} more are not the store's",
                report.stored, report.doomed, report.foreign
            )
        },
    )
}

pub fn expire(store: &PartStore, expire: &Expire, out: &mut Output) -> Done {
    let expired = match (&expire.namespace, &expire.prefix) {
        (None, None) => store.expire_uploads(expire.age)?,
        (namespace, prefix) => {
            let text = |of: &Option<String>| of.clone().unwrap_or_default();
            // A name that does not exist is a mistake, and no namespace without uploads.
            store.namespace(&text(namespace))?;
            store.expire_uploads_under((text(namespace), text(prefix)), expire.age)?
        }
    };
    out.row(
        || json!({ "aborted_uploads": expired }),
        || format!("aborted {expired} uploads; `partstore sweep` removes their bytes"),
    )
}

pub fn quota(store: &PartStore, set: &SetQuota, out: &mut Output) -> Done {
    let name = &set.namespace;
    let before = store.namespace(name)?.quota;
    let bytes = set.bytes.or(before.max_bytes());
    let keys = set.keys.or(before.max_keys());
    if set.none {
        store.set_quota(name, Quota::new())?;
    } else if set.bytes.or(set.keys).is_some() {
        let quota = bytes.map_or(Quota::new(), |bytes| Quota::new().bytes(bytes));
        store.set_quota(name, keys.map_or(quota, |keys| quota.keys(keys)))?;
    }
    let now = store.namespace(name)?;
    out.row(|| partstore_reports::namespace(&now), || describe(&now))
}

pub fn remove(store: &PartStore, object: &Name, out: &mut Output) -> Done {
    let key = object.key();
    // Also says that the namespace does not exist.
    store.object_by_key(&key)?;
    store.remove_key(&key, Condition::Always)?;
    out.row(
        || json!({ "removed": { "namespace": key.namespace(), "key": key.as_str() } }),
        || {
            format!(
                "removed {}; `partstore sweep` removes its bytes",
                name(&key)
            )
        },
    )
}

pub fn abort(store: &PartStore, object: &Name, id: &str, out: &mut Output) -> Done {
    let upload = Upload::parse(object.key(), id)?;
    store.abort_upload(&upload)?;
    out.row(
        || json!({ "aborted": { "namespace": upload.namespace(), "key": upload.key(), "id": id } }),
        || {
            format!(
                "aborted the upload of {}; `partstore sweep` removes its bytes",
                name(upload.full_key())
            )
        },
    )
}
