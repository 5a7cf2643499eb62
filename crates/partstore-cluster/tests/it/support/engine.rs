//! A store of the cluster as an engine of the contract.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use partstore::{ContentHash, Options, PartStore, Result};
use partstore_cluster::Cluster;
use partstore_contract::Engine;

use super::{Bytes, fresh_schema, sql};

/// Tables in the order in which rows can be copied.
const TABLES: [&str; 11] = [
    "sessions",
    "tokens",
    "namespaces",
    "usage",
    "uploads",
    "keys",
    "blobs",
    "tally",
    "parts",
    "garbage",
    "doomed",
];

/// One store. Its schema and those of its copies are emptied with the last of them: a case may use the store of a copy
/// longer than the copy.
pub struct ClusterEngine {
    pub schema: String,
    pub bytes: Bytes,
    made: Arc<Made>,
}

/// What a store and its copies have made.
#[derive(Default)]
struct Made(Mutex<Vec<(String, Bytes)>>);

/// Schemas that are empty again. To make one takes a tenth of a second.
static EMPTY: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Drop for Made {
    fn drop(&mut self) {
        for (schema, _) in std::mem::take(self.0.get_mut().unwrap()) {
            let emptied = TABLES.iter().rev();
            let emptied = emptied.map(|table| format!("DELETE FROM {schema}.{table}"));
            let first = format!("INSERT INTO {schema}.namespaces (name) VALUES ('')");
            sql::run_all(emptied.chain([first]));
            EMPTY.lock().unwrap().push(schema);
        }
    }
}

impl ClusterEngine {
    pub fn new(bytes: Bytes) -> Self {
        Self::beside(Arc::default(), bytes)
    }

    fn beside(made: Arc<Made>, bytes: Bytes) -> Self {
        let empty = EMPTY.lock().unwrap().pop();
        let schema = empty.unwrap_or_else(fresh_schema);
        made.0.lock().unwrap().push((schema.clone(), bytes.clone()));
        Self {
            schema,
            bytes,
            made,
        }
    }

    /// Every object that is stored, whoever knows it.
    pub fn stored(&self) -> Vec<Vec<u8>> {
        match &self.bytes {
            Bytes::Files(dir) => files(dir.path()),
            Bytes::Memory(memory) => block_on(async {
                let mut found = Vec::new();
                for object in memory.list(None).try_collect::<Vec<_>>().await.unwrap() {
                    let got = memory.get(&object.location).await.unwrap();
                    found.push(got.bytes().await.unwrap().to_vec());
                }
                found
            }),
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn files(root: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for name in partstore_contract::files(root) {
        let directory = root.join(name);
        for name in partstore_contract::files(&directory) {
            found.push(std::fs::read(directory.join(name)).unwrap());
        }
    }
    found
}

fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash::from_bytes(*blake3::hash(bytes).as_bytes())
}

impl Engine for ClusterEngine {
    fn open(&self, options: Options) -> Result<PartStore> {
        self.cluster().open(options)
    }

    fn contents(&self) -> BTreeSet<ContentHash> {
        self.stored().iter().map(|bytes| hash(bytes)).collect()
    }

    fn damage(&self, content: &ContentHash) {
        let change = |bytes: &mut Vec<u8>| bytes[0] ^= 1;
        match &self.bytes {
            Bytes::Files(dir) => {
                for first in partstore_contract::files(dir.path()) {
                    let directory = dir.path().join(first);
                    for name in partstore_contract::files(&directory) {
                        let path = directory.join(name);
                        let mut bytes = std::fs::read(&path).unwrap();
                        if hash(&bytes) == *content {
                            change(&mut bytes);
                            std::fs::write(&path, bytes).unwrap();
                        }
                    }
                }
            }
            Bytes::Memory(memory) => block_on(async {
                for object in memory.list(None).try_collect::<Vec<_>>().await.unwrap() {
                    let got = memory.get(&object.location).await.unwrap();
                    let mut bytes = got.bytes().await.unwrap().to_vec();
                    if hash(&bytes) == *content {
                        change(&mut bytes);
                        memory.put(&object.location, bytes.into()).await.unwrap();
                    }
                }
            }),
        }
    }

    fn crashed(&self) -> Box<dyn Engine> {
        Box::new(self.copy())
    }
}

impl ClusterEngine {
    pub fn cluster(&self) -> Cluster {
        self.bytes.cluster(&self.schema)
    }

    /// The same database, with other bytes.
    pub fn with_bytes(&self, bytes: &Bytes) -> Self {
        Self {
            schema: self.schema.clone(),
            bytes: bytes.clone(),
            made: Arc::clone(&self.made),
        }
    }

    /// Copies the rows as one moment shows them, and then the bytes. No lease is alive there.
    pub fn copy(&self) -> Self {
        let bytes = match &self.bytes {
            Bytes::Files(_) => Bytes::files(),
            Bytes::Memory(_) => Bytes::memory(),
        };
        let copy = Self::beside(Arc::clone(&self.made), bytes);
        copy.open(Options::cos()).unwrap().close().unwrap();
        let (from, to) = (&self.schema, &copy.schema);
        let begin = [
            "BEGIN ISOLATION LEVEL REPEATABLE READ".to_owned(),
            format!("UPDATE {to}.store SET epoch = (SELECT epoch FROM {from}.store)"),
            format!("DELETE FROM {to}.namespaces"),
        ];
        let copied = TABLES.iter().map(|table| {
            format!("INSERT INTO {to}.{table} OVERRIDING SYSTEM VALUE SELECT * FROM {from}.{table}")
        });
        let end = [
            format!("UPDATE {to}.sessions SET expires = now() - interval '1 hour'"),
            format!(
                "SELECT setval(pg_get_serial_sequence('{to}.garbage', 'seq'),
                   (SELECT coalesce(max(seq), 0) + 1 FROM {to}.garbage))"
            ),
            "COMMIT".to_owned(),
        ];
        sql::run_all(begin.into_iter().chain(copied).chain(end));
        match (&self.bytes, &copy.bytes) {
            (Bytes::Files(from), Bytes::Files(to)) => {
                partstore_contract::copy_tree(from.path(), to.path());
            }
            (Bytes::Memory(from), Bytes::Memory(to)) => copy_objects(from, to),
            _ => unreachable!(),
        }
        copy
    }
}

fn copy_objects(from: &Arc<InMemory>, to: &Arc<InMemory>) {
    block_on(async {
        for object in from.list(None).try_collect::<Vec<_>>().await.unwrap() {
            let got = from.get(&object.location).await.unwrap();
            let bytes = got.bytes().await.unwrap();
            to.put(&object.location, bytes.into()).await.unwrap();
        }
    });
}
