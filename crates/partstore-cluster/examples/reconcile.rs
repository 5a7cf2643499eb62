//! After a restore: finds what the database does not know, and what the bucket does not have.
//!
//! `cargo run -p partstore-cluster --example reconcile -- postgres://user@host/name s3://bucket/prefix`

use partstore::{Options, Scope};
use partstore_cluster::Cluster;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [catalog, blobs] = &arguments[..] else {
        return Err("usage: reconcile CATALOG BLOBS".into());
    };
    let cluster = Cluster::new(catalog, blobs).create(false);
    let found = cluster.reconcile()?;
    println!(
        "{} objects are stored; {} of them no row named, and the next sweep removes them; {} are not the store's",
        found.stored, found.doomed, found.foreign
    );
    let store = cluster.open(Options::cos())?;
    let report = store.verify(Scope::Everything)?;
    println!("{} parts, {} blobs", report.parts, report.blobs);
    for text in &report.inconsistent {
        println!("inconsistent: {text}");
    }
    for damaged in &report.damaged {
        println!("damaged: {}: {}", damaged.hash, damaged.reason);
        for (upload, number) in &damaged.parts {
            println!("  part {number} of {:?} {}", upload.key(), upload.id());
        }
    }
    store.close()?;
    if report.is_clean() {
        return Ok(());
    }
    Err("some bytes are missing or damaged".into())
}
