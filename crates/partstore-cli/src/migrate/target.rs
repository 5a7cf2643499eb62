//! [`Target`]: the cluster, open for objects that are put as another store has them.

use std::sync::Mutex;

use partstore::{ETag, ETagKind, Options, PartStore};

use super::lock;
use crate::args::{Migrate, Place};
use crate::failure::{Done, Failure};
use crate::opening;

/// Connections beside those of the jobs.
const MORE: u16 = 4;
/// Hex digits of an [opaque](ETagKind::Opaque) ETag. An MD5 has 32.
const OPAQUE_LEN: usize = 40;

/// The cluster. It is opened once more if parts have opaque ETags, because each open has one kind.
pub struct Target<'a> {
    store: PartStore,
    opaque: Mutex<Option<PartStore>>,
    place: &'a Place,
    connections: usize,
}

impl<'a> Target<'a> {
    pub fn open(place: &'a Place, migrate: &Migrate) -> Done<Self> {
        let connections = usize::from(migrate.jobs.saturating_add(MORE));
        let store = opening::open_cluster(place, migrate.create, connections, options())?;
        Ok(Self {
            store,
            opaque: Mutex::default(),
            place,
            connections,
        })
    }

    pub fn store(&self) -> &PartStore {
        &self.store
    }

    /// The store that gives a part an ETag of this kind.
    pub fn giving(&self, etag: ETag) -> Done<PartStore> {
        if etag.to_string().len() != OPAQUE_LEN {
            return Ok(self.store.clone());
        }
        let mut opaque = lock(&self.opaque);
        if let Some(store) = &*opaque {
            return Ok(store.clone());
        }
        let options = options().etag(ETagKind::Opaque);
        let store = opening::open_cluster(self.place, false, self.connections, options)?;
        Ok(opaque.insert(store).clone())
    }

    pub fn close(&self) -> Done {
        let opaque = lock(&self.opaque).take();
        let opaque = opaque.map_or(Ok(()), |store| store.close());
        self.store.close().and(opaque).map_err(Failure::from)
    }
}

/// No limit: the directory's server has allowed what is there.
fn options() -> Options {
    opening::options()
        .min_part_size(0)
        .max_part_size(u64::MAX)
        .max_metadata_len(usize::MAX)
}
