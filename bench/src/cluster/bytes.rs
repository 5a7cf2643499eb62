//! Large parts: into a directory and into an S3 server, beside the embedded store.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ClientOptions;
use object_store::aws::AmazonS3Builder;
use partstore::{PartNumber, PartStore, Upload};
use partstore_bench::{Bench, KEY_ID, SECRET, Taker, Way, store};
use partstore_cluster::Cluster;

use super::postgres::Postgres;
use super::{Clustered, Report, Schema, open};
use crate::server::{Protocol, Server};

const BUCKET: &str = "bench-1250000000";

pub fn measure(clustered: &Clustered, postgres: &Postgres, report: &Report) {
    let binary = crate::programs::server();
    let (one, two) = (postgres.clone(), postgres.clone());
    let ways = [
        store::put(),
        Way::new(move |dir, _| Parts::in_directory(&one, dir)),
        Way::new(move |dir, _| Parts::in_bucket(&two, dir, &binary)),
    ];
    let bench = Bench::new(&clustered.load);
    bench.warm_up(&ways);
    for case in clustered.load.cases() {
        let [embedded, directory, bucket] = bench.medians(&ways, case);
        for (name, way) in [("`file://`", directory), ("S3 of this server", bucket)] {
            report.compare(
                &format!("{case} into {name}"),
                format!(
                    "{:.2} GB/s, p50 {:.1} ms, p99 {:.1} ms",
                    way.rate, way.p50, way.p99
                ),
                format!("embedded: {:.2} GB/s", embedded.rate),
                way.rate / embedded.rate,
            );
        }
    }
}

/// An upload to a cluster's store.
struct Parts {
    store: PartStore,
    upload: Upload,
    _schema: Schema,
    _server: Option<Server>,
}

impl Parts {
    fn in_directory(postgres: &Postgres, dir: &Path) -> Self {
        let schema = Schema::fresh(postgres);
        let cluster = schema.in_directory(dir);
        Self::open(&cluster, schema, None)
    }

    /// The bucket is this project's own server, which syncs each part, too.
    fn in_bucket(postgres: &Postgres, dir: &Path, binary: &Path) -> Self {
        let data = dir.join("data");
        store::settled(&data).close().expect("a clean close");
        let server = Server::start(binary, &data, Protocol::S3);
        server.clients().send(&format!("PUT /{BUCKET}/"), &[]);
        let bucket = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", server.address()))
            .with_region("local")
            .with_bucket_name(BUCKET)
            .with_access_key_id(KEY_ID)
            .with_secret_access_key(SECRET)
            .with_client_options(ClientOptions::new().with_allow_http(true));
        let bucket = Arc::new(bucket.build().expect("a client of the bucket"));
        let schema = Schema::fresh(postgres);
        let cluster = Cluster::with_storage(&postgres.address, bucket, "parts");
        Self::open(&cluster.schema(&schema.name), schema, Some(server))
    }

    fn open(cluster: &Cluster, schema: Schema, server: Option<Server>) -> Self {
        let store = open(cluster).expect("a store");
        let upload = store.initiate_upload("bench").expect("an upload");
        Self {
            store,
            upload,
            _schema: schema,
            _server: server,
        }
    }
}

impl Taker for Parts {
    fn take(&self, number: u32, part: &Bytes) {
        let number = PartNumber::new(number).expect("a number");
        let put = self.store.put_part(&self.upload, number, part.clone());
        put.expect("a part");
    }
}

impl Drop for Parts {
    /// The store ends before its schema goes.
    fn drop(&mut self) {
        self.store.close().expect("a clean close");
    }
}
