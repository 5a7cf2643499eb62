//! Stores on a database of their own schema, with their bytes in a directory or in a bucket in memory.

mod engine;
pub mod faulty;
pub mod own;
pub mod proxy;
mod s3;
pub mod sql;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use object_store::memory::InMemory;
use partstore::{PartStore, Scope};
use partstore_cluster::{Cluster, ObjectStorage};
use partstore_contract::Engine;
use partstore_contract::support::free_options;

pub use engine::{ClusterEngine, files as blob_files, is_mark};

/// Where the bytes are.
#[derive(Clone)]
pub enum Bytes {
    Files(Arc<tempfile::TempDir>),
    /// A bucket, and the prefix of the store in it.
    Bucket(Arc<dyn ObjectStorage>, String),
}

/// The address of the database. Ends the test, as one that passed, if there is none.
pub fn database() -> String {
    std::env::var("PARTSTORE_PG").unwrap_or_else(|_| {
        partstore_contract::skip(
            "PARTSTORE_PG does not name a PostgreSQL database (postgres://user@host/name)",
        )
    })
}

/// A schema that no other test uses.
pub fn fresh_schema() -> String {
    static COUNTED: AtomicU32 = AtomicU32::new(0);
    let at = COUNTED.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{at}", std::process::id())
}

pub fn files() -> Box<dyn Engine> {
    database();
    Box::new(ClusterEngine::new(Bytes::files()))
}

pub fn bucket() -> Box<dyn Engine> {
    database();
    Box::new(ClusterEngine::new(Bytes::memory()))
}

pub fn s3() -> Box<dyn Engine> {
    database();
    Box::new(ClusterEngine::new(Bytes::s3()))
}

/// Three servers that take turns.
pub fn three() -> Box<dyn Engine> {
    database();
    Box::new(ClusterEngine::new(Bytes::memory()).with_peers(2))
}

impl Bytes {
    pub fn files() -> Self {
        Self::Files(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub fn memory() -> Self {
        Self::Bucket(Arc::new(InMemory::new()), "parts".to_owned())
    }

    /// In the bucket of an S3 server that all tests share.
    pub fn s3() -> Self {
        Self::Bucket(s3::bucket(), fresh_schema())
    }

    /// Other bytes of the same kind.
    pub fn beside(&self) -> Self {
        match self {
            Self::Files(_) => Self::files(),
            Self::Bucket(bucket, prefix) => {
                Self::Bucket(Arc::clone(bucket), format!("{prefix}-{}", fresh_schema()))
            }
        }
    }

    /// The store of this schema, with these bytes.
    pub fn cluster(&self, schema: &str) -> Cluster {
        self.cluster_at(&database(), schema)
    }

    /// The same, if the database has this address.
    pub fn cluster_at(&self, database: &str, schema: &str) -> Cluster {
        let cluster = match self {
            Self::Files(dir) => {
                let address = format!("file://{}", dir.path().display());
                Cluster::new(database, &address)
            }
            Self::Bucket(bucket, prefix) => {
                Cluster::with_storage(database, Arc::clone(bucket), prefix)
            }
        };
        cluster.schema(schema)
    }
}

/// One store that several servers have open.
pub struct Servers {
    pub engine: ClusterEngine,
    pub stores: Vec<PartStore>,
}

impl Servers {
    pub fn new(count: usize, bytes: Bytes) -> Self {
        let engine = ClusterEngine::new(bytes);
        let stores = (0..count).map(|_| engine.open(free_options()).unwrap());
        Self {
            stores: stores.collect(),
            engine,
        }
    }
}

/// What must hold at any quiet moment: after sweeps nothing is stored to which nothing refers, and everything
/// verifies.
pub fn assert_tidy(servers: &Servers) {
    for store in servers.stores.iter().chain(&servers.stores) {
        store.sweep().unwrap();
    }
    let report = servers.stores[0].verify(Scope::Everything).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let stats = servers.stores[0].stats().unwrap();
    assert_eq!(stats.garbage, 0);
    assert_eq!(stats.blobs, servers.engine.stored().len() as u64);
}

/// As if a day had passed for what is to be removed then.
pub fn later(schema: &str) {
    sql::run(&format!(
        "UPDATE {schema}.doomed SET again = now() - interval '1 second' WHERE again IS NOT NULL"
    ));
}

/// Runs one case, if there is a database.
pub fn case(run: fn()) {
    partstore_contract::run(files, run);
}
