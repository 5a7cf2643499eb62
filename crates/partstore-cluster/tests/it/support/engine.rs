//! A store of the cluster as an engine of the contract.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use partstore::{ContentHash, Options, PartStore, Result};
use partstore_cluster::{Cluster, ObjectStorage};
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
    peers: usize,
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
            let first = [
                format!("INSERT INTO {schema}.namespaces (name) VALUES ('')"),
                // The copy of a store has its id.
                format!("UPDATE {schema}.store SET mark = NULL, id = DEFAULT"),
            ];
            sql::run_all(emptied.chain(first));
            EMPTY.lock().unwrap().push(schema);
        }
    }
}

impl ClusterEngine {
    pub fn new(bytes: Bytes) -> Self {
        super::database();
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
            peers: 0,
        }
    }

    /// With so many other servers on the store.
    pub fn with_peers(self, peers: usize) -> Self {
        Self { peers, ..self }
    }

    /// Every blob that is stored, whoever knows it.
    pub fn stored(&self) -> Vec<Vec<u8>> {
        match &self.bytes {
            Bytes::Files(dir) => {
                let files = files(dir.path()).into_iter();
                files.map(|path| std::fs::read(path).unwrap()).collect()
            }
            Bytes::Bucket(bucket, prefix) => objects(bucket, prefix)
                .into_iter()
                .filter(|(path, _)| !is_mark(path))
                .map(|(_, bytes)| bytes)
                .collect(),
        }
    }
}

impl ClusterEngine {
    /// How many marks of buckets lie beside the blobs.
    pub fn marks(&self) -> usize {
        match &self.bytes {
            Bytes::Files(dir) => {
                let names = partstore_contract::files(dir.path());
                let names = names.iter().map(|name| Path::from(name.as_str()));
                names.filter(is_mark).count()
            }
            Bytes::Bucket(bucket, prefix) => {
                let objects = objects(bucket, prefix);
                objects.iter().filter(|(path, _)| is_mark(path)).count()
            }
        }
    }

    /// Copies the blobs, and no mark.
    pub fn copy_bytes_to(&self, to: &Bytes) {
        copy_bytes(&self.bytes, to);
        if let Bytes::Files(to) = to {
            for name in partstore_contract::files(to.path()) {
                if is_mark(&Path::from(name.as_str())) {
                    std::fs::remove_file(to.path().join(name)).unwrap();
                }
            }
        }
        if let Bytes::Bucket(bucket, to) = to {
            for (path, _) in objects(bucket, to) {
                if is_mark(&path) {
                    block_on(bucket.delete(&path)).unwrap();
                }
            }
        }
    }
}

fn copy_bytes(from: &Bytes, to: &Bytes) {
    match (from, to) {
        (Bytes::Files(from), Bytes::Files(to)) => {
            partstore_contract::copy_tree(from.path(), to.path());
        }
        (Bytes::Bucket(bucket, from), Bytes::Bucket(_, to)) => {
            for (path, bytes) in objects(bucket, from) {
                let name = path.as_ref().strip_prefix(from.as_str()).unwrap();
                put(bucket, &format!("{to}{name}").into(), bytes);
            }
        }
        _ => unreachable!(),
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// The files of blobs in a directory.
pub fn files(root: &std::path::Path) -> Vec<PathBuf> {
    let names = partstore_contract::files(root).into_iter();
    let directories = names
        .map(|name| root.join(name))
        .filter(|path| path.is_dir());
    let files = directories.flat_map(|directory| {
        let names = partstore_contract::files(&directory).into_iter();
        names.map(move |name| directory.join(name))
    });
    files.collect()
}

/// Whether an object says whose bucket it is.
pub fn is_mark(path: &Path) -> bool {
    path.filename()
        .is_some_and(|name| name.starts_with("partstore-"))
}

fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash::from_bytes(*blake3::hash(bytes).as_bytes())
}

impl Engine for ClusterEngine {
    fn open(&self, options: Options) -> Result<PartStore> {
        self.cluster().open(options)
    }

    fn open_peers(&self, options: &Options) -> Result<Vec<PartStore>> {
        (0..self.peers)
            .map(|_| self.open(options.clone()))
            .collect()
    }

    fn contents(&self) -> BTreeSet<ContentHash> {
        self.stored().iter().map(|bytes| hash(bytes)).collect()
    }

    fn damage(&self, content: &ContentHash) {
        let change = |bytes: &mut Vec<u8>| bytes[0] ^= 1;
        match &self.bytes {
            Bytes::Files(dir) => {
                for path in files(dir.path()) {
                    let mut bytes = std::fs::read(&path).unwrap();
                    if hash(&bytes) == *content {
                        change(&mut bytes);
                        std::fs::write(&path, bytes).unwrap();
                    }
                }
            }
            Bytes::Bucket(bucket, prefix) => {
                for (path, mut bytes) in objects(bucket, prefix) {
                    if hash(&bytes) == *content {
                        change(&mut bytes);
                        put(bucket, &path, bytes);
                    }
                }
            }
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
            peers: 0,
        }
    }

    /// Copies the rows as one moment shows them, and then the bytes. No lease is alive there.
    pub fn copy(&self) -> Self {
        let bytes = self.bytes.beside();
        let copy = Self::beside(Arc::clone(&self.made), bytes).with_peers(self.peers);
        copy.open(Options::cos()).unwrap().close().unwrap();
        let (from, to) = (&self.schema, &copy.schema);
        let begin = [
            "BEGIN ISOLATION LEVEL REPEATABLE READ".to_owned(),
            format!(
                "UPDATE {to}.store SET (epoch, id, mark) = (SELECT epoch, id, mark FROM {from}.store)"
            ),
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
        copy_bytes(&self.bytes, &copy.bytes);
        copy
    }
}

/// All objects below a prefix.
fn objects(bucket: &Arc<dyn ObjectStorage>, prefix: &str) -> Vec<(Path, Vec<u8>)> {
    block_on(async {
        let mut found = Vec::new();
        let listed = bucket.list(Some(&prefix.into()));
        for object in listed.try_collect::<Vec<_>>().await.unwrap() {
            let got = bucket.get(&object.location).await.unwrap();
            found.push((object.location, got.bytes().await.unwrap().to_vec()));
        }
        found
    })
}

fn put(bucket: &Arc<dyn ObjectStorage>, path: &Path, bytes: Vec<u8>) {
    block_on(async { bucket.put(path, bytes.into()).await.unwrap() });
}
