//! [`Cluster`]: the addresses of a store, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use partstore::backend::Witness;
use partstore::{Error, Options, PartStore, Result};
use url::Url;

use crate::blobs::{Bucket, Candidate, ObjectBucket, ObjectStorage, SharedDirectory, Trust};
use crate::catalog::ClusterCatalog;
use crate::database::{Address, Database};
use crate::runtime::Runtime;
use crate::session::Session;

/// Where a store is, and how this server works on it.
#[derive(Clone)]
pub struct Cluster {
    catalog: String,
    blobs: Blobs,
    schema: String,
    create: bool,
    lease: Duration,
    patience: Duration,
    connections: usize,
    threads: usize,
    keep_removed: Duration,
    foreign_bytes: bool,
    adopt_bucket: bool,
    root_certificates: Option<PathBuf>,
}

#[derive(Clone)]
enum Blobs {
    Url(String),
    Storage(Arc<dyn ObjectStorage>, String),
}

impl Cluster {
    /// Names a store: the address of its database (`postgres://user:password@host/name?sslmode=require`), and
    /// where its bytes are: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
    /// `file:///directory`.
    ///
    /// A password that the address lacks is `PGPASSWORD` in the environment.
    ///
    /// Keys of a bucket, its region and its endpoint come from the environment, by the names of the bucket's
    /// own tools (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`).
    #[must_use]
    pub fn new(catalog: &str, blobs: &str) -> Self {
        Self::on(catalog, Blobs::Url(blobs.to_owned()))
    }

    /// Names a store whose bytes are in an object store that is made already, below a prefix.
    #[must_use]
    pub fn with_storage(catalog: &str, storage: Arc<dyn ObjectStorage>, prefix: &str) -> Self {
        Self::on(catalog, Blobs::Storage(storage, prefix.to_owned()))
    }

    fn on(catalog: &str, blobs: Blobs) -> Self {
        Self {
            catalog: catalog.to_owned(),
            blobs,
            schema: "partstore".to_owned(),
            create: true,
            lease: Duration::from_secs(60),
            patience: Duration::from_secs(30),
            connections: 16,
            threads: 2,
            keep_removed: Duration::ZERO,
            foreign_bytes: false,
            adopt_bucket: false,
            root_certificates: None,
        }
    }

    /// The schema of the database that has the tables. By default `partstore`.
    #[must_use]
    pub fn schema(mut self, name: &str) -> Self {
        name.clone_into(&mut self.schema);
        self
    }

    /// Whether tables, functions and the directory of `file:///` are made where they are missing. By default they are. A role that may not
    /// make them needs a store that another role has opened once.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// For how long the others leave to this server what it reads, when they hear nothing from it. By default
    /// 60 seconds, at least 2. A server that crashed delays removals for so long.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_secs(2));
        self
    }

    /// How long a call waits for a database that is away, before it answers
    /// [`Error::Unavailable`] or [`Error::OutcomeUnknown`], and how long a read waits for a bucket that sends
    /// nothing, before it asks again. By default 30 seconds.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The most connections to the database. By default 16.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(4);
        self
    }

    /// How long bytes stay after a sweep has found that nothing refers to them. Zero by default. It must be
    /// longer than a backup of the database may be old when it is restored, since that refers to them again.
    #[must_use]
    pub fn keep_removed(mut self, keep: Duration) -> Self {
        self.keep_removed = keep;
        self
    }

    /// Whether [`reconcile`](Self::reconcile) believes that all bytes of the bucket are this database's, also if it knows none
    /// of them. By default it does not.
    #[must_use]
    pub fn foreign_bytes(mut self, own: bool) -> Self {
        self.foreign_bytes = own;
        self
    }

    /// Whether a bucket becomes the store's alone, whatever is there. By default it is refused unless it has the store's mark.
    ///
    /// The first server that opens a store writes a small object beside the bytes, the mark, and the database knows its
    /// name. Each open looks for it. So no server writes into another bucket, or into a directory that is not mounted. A
    /// new store takes no bucket with the bytes of another. Adopt a bucket whose contents were lost, or were copied
    /// without the mark, or the bucket of before when an older database was restored. The store gets another id, and the
    /// marks of others are removed. While anybody else has the store open, it is [`Error::Unavailable`].
    #[must_use]
    pub fn adopt_bucket(mut self, adopt: bool) -> Self {
        self.adopt_bucket = adopt;
        self
    }

    /// A file in PEM with certificates of authorities that may sign the database's, beside the system's.
    #[must_use]
    pub fn root_certificates(mut self, path: impl AsRef<Path>) -> Self {
        self.root_certificates = Some(path.as_ref().to_owned());
        self
    }

    /// Opens the store. Makes its tables, if they are missing.
    ///
    /// Of the [`Options`] those about limits, checksums and housekeeping count.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: an address is none.
    /// - [`Error::Unavailable`]: the database or the bucket does not answer.
    /// - [`Error::NotAStore`]: the database runs with `fsync` or `full_page_writes` off, or behind a pooler that does not keep
    ///   sessions. Or the bucket is [not the store's](Self::adopt_bucket).
    /// - [`Error::NewerFormat`]: a newer version of this crate made the tables, and this one would not
    ///   understand them.
    /// - [`Error::NoSuchStore`]: there are no tables, or no directory for the bytes, and none [may be made](Self::create).
    /// - [`Error::Io`]: a directory, a bucket or a certificate cannot be used, or this role may not make the tables.
    pub fn open(&self, options: Options) -> Result<PartStore> {
        let session = self.begin(options.witness())?;
        let blobs = self.bucket(&session)?;
        let catalog = ClusterCatalog::new(session, Arc::clone(&blobs), self.keep_removed);
        options.open_on(Box::new(catalog), blobs)
    }

    /// Lists all that is stored, and dooms what no row names, so that the next sweeps remove it. Servers may run
    /// meanwhile.
    ///
    /// It is for a database that was restored from a backup: what was stored after that has no rows there. Without
    /// such an event there is nothing to find, so nothing calls it by itself.
    ///
    /// It removes what belongs to another database. So a bucket with the mark of another store is refused. So is one that
    /// has bytes, none of which this database knows, unless [`foreign_bytes`](Self::foreign_bytes) says that they are its own.
    ///
    /// # Cost
    /// Two listings of the bucket. A statement for each 1,000 names.
    ///
    /// # Errors
    /// - As for [`open`](Self::open). What was doomed before the error, stays so.
    /// - [`Error::NotAStore`]: the bucket seems to be another database's. Nothing is doomed.
    pub fn reconcile(&self) -> Result<ReconcileReport> {
        let session = self.begin(Witness::default())?;
        let blobs = self.bucket(&session)?;
        let reconciled = self.reconcile_in(&session, &*blobs);
        session.give_up();
        reconciled
    }

    fn reconcile_in(&self, session: &Session, blobs: &dyn Bucket) -> Result<ReconcileReport> {
        let mut report = ReconcileReport::default();
        self.require_own(session, blobs)?;
        blobs.list(&mut |listed| {
            report.stored += listed.names.len() as u64;
            report.foreign += listed.foreign;
            report.doomed += session.reconcile(&listed.names)?;
            Ok(())
        })?;
        Ok(report)
    }

    /// Refuses a bucket that has the mark of another store, or names, none of which a blob has. Nothing of it is doomed
    /// before all of it was looked at.
    fn require_own(&self, session: &Session, blobs: &dyn Bucket) -> Result<()> {
        let (mut stored, mut known, mut marks) = (0, self.foreign_bytes, Vec::new());
        blobs.list(&mut |listed| {
            stored += listed.names.len();
            marks.extend(listed.marks);
            known = known || session.knows_any(&listed.names)?;
            Ok(())
        })?;
        let candidate = self.candidate(blobs);
        candidate.refuse_others(&session.store()?, &marks)?;
        if known || stored == 0 {
            return Ok(());
        }
        Err(candidate.refused(
            "it has bytes, and the database knows none of them; they may be another database's"
                .to_owned(),
        ))
    }

    /// Opens the database, and begins a lease.
    fn begin(&self, witness: Witness) -> Result<Arc<Session>> {
        let runtime = Arc::new(Runtime::new(self.threads)?);
        let database = Arc::new(Database::new(&Address {
            url: &self.catalog,
            schema: &self.schema,
            root_certificates: self.root_certificates.as_deref(),
            connections: self.connections,
            patience: self.patience,
            witness,
        })?);
        let (migrated, create) = (Arc::clone(&database), self.create);
        runtime.wait(async move { migrated.migrate(create).await })??;
        Session::begin(database, runtime, self.lease)
    }

    /// Where the bytes are, for a person.
    fn address(&self) -> &str {
        match &self.blobs {
            Blobs::Url(address) => address,
            Blobs::Storage(_, prefix) => prefix,
        }
    }

    /// Opens the bucket, which is the store's.
    fn bucket(&self, session: &Arc<Session>) -> Result<Arc<dyn Bucket>> {
        let bucket = self.addressed(Trust::new(Arc::clone(session)))?;
        match self.candidate(&*bucket).require_mark(session) {
            Ok(()) => Ok(bucket),
            Err(error) => {
                // Nobody waits for a lease of a server that has not opened.
                session.give_up();
                Err(error)
            }
        }
    }

    fn candidate<'a>(&'a self, bucket: &'a dyn Bucket) -> Candidate<'a> {
        Candidate {
            bucket,
            address: self.address(),
            create: self.create,
            adopt: self.adopt_bucket,
        }
    }

    fn addressed(&self, trust: Arc<Trust>) -> Result<Arc<dyn Bucket>> {
        let address = match &self.blobs {
            Blobs::Storage(storage, prefix) => {
                let storage = Arc::clone(storage);
                return Ok(Arc::new(ObjectBucket::new(
                    storage,
                    prefix.as_str().into(),
                    trust,
                )));
            }
            Blobs::Url(address) => address,
        };
        let url = Url::parse(address).map_err(|error| refuse(address, &error))?;
        if url.query().is_some() || url.fragment().is_some() {
            let why = "a `?` or a `#` ends an address; write them as %3F and %23";
            return Err(refuse(address, &why));
        }
        if url.scheme() == "file" {
            let path = url.to_file_path();
            let path = path.map_err(|()| refuse(address, &"it is not a path of this machine"))?;
            return Ok(Arc::new(SharedDirectory::new(path, self.create, trust)));
        }
        let storage = storage(&url).map_err(|error| refuse(address, &error))?;
        let prefix = url.path().trim_matches('/');
        Ok(Arc::new(ObjectBucket::new(storage, prefix.into(), trust)))
    }
}

/// What [`Cluster::reconcile`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcileReport {
    /// Names of the store's that have an object or a file.
    pub stored: u64,
    /// Of these, the ones that no row named. They are doomed now.
    pub doomed: u64,
    /// What has no name that a store gives. It is left alone.
    pub foreign: u64,
}

/// The client of a bucket.
fn storage(url: &Url) -> object_store::Result<Arc<dyn ObjectStorage>> {
    let client = ClientOptions::new()
        .with_allow_http(true)
        .with_timeout(Duration::from_secs(120));
    let _ = &client;
    match url.scheme() {
        #[cfg(feature = "s3")]
        "s3" => {
            let host = url.host_str().unwrap_or_default();
            let builder = object_store::aws::AmazonS3Builder::from_env()
                .with_bucket_name(host)
                .with_client_options(client);
            Ok(Arc::new(builder.build()?))
        }
        #[cfg(feature = "gcs")]
        "gs" => {
            let host = url.host_str().unwrap_or_default();
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(host)
                .with_client_options(client);
            Ok(Arc::new(builder.build()?))
        }
        #[cfg(feature = "azure")]
        "az" => {
            let host = url.host_str().unwrap_or_default();
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env()
                .with_container_name(host)
                .with_client_options(client);
            Ok(Arc::new(builder.build()?))
        }
        scheme => Err(object_store::Error::NotSupported {
            source: format!("{scheme}:// is not built in").into(),
        }),
    }
}

fn refuse(address: &str, why: &dyn std::fmt::Display) -> Error {
    Error::InvalidArgument {
        argument: "blobs",
        found: format!("{address}: {why}"),
        expected: "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory",
    }
}

impl std::fmt::Debug for Cluster {
    /// Without the address of the database, which may have a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
