//! Namespaces: their names and quotas in memory, and what each holds. A quota is checked, and what a change
//! adds is counted, before the change is committed. What it takes away is counted afterwards. So the sum
//! that quotas are compared with is never below what the rows add up to.
//!
//! Rows by stripe are the durable form of the sum: each stands in the batch that changes it. They are added
//! up when a namespace is first used.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::backend::check_quota;
use crate::local::format::record::NamespaceRecord;
use crate::local::meta::{Change, MetaStore, SpaceUse, Ticket};
use crate::sync::{Mutex, MutexGuard, RwLock};
use crate::values::namespace::{NamespaceId, UsageChange};
use crate::{Error, Key, Namespace, Quota, Result, Upload, UploadId, Usage, clock};

/// All namespaces. They take about 200 bytes each, and their names.
pub(crate) struct Namespaces {
    known: RwLock<Known>,
    /// One change of the set at a time. The greatest number that a namespace has had: a number is given once,
    /// because a call may have found a namespace that was removed since.
    changing: Mutex<NamespaceId>,
}

#[derive(Default)]
struct Known {
    by_name: BTreeMap<String, Arc<Space>>,
    by_id: BTreeMap<NamespaceId, Arc<Space>>,
}

/// A namespace.
pub(crate) struct Space {
    pub id: NamespaceId,
    pub name: String,
    created_ms: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quota: Quota,
    /// `None` until it is first used.
    usage: Option<Usage>,
    removed: bool,
}

impl Space {
    fn new(name: &str, record: &NamespaceRecord) -> Self {
        let state = State {
            quota: record.quota,
            ..State::default()
        };
        Self {
            id: record.id,
            name: name.to_owned(),
            created_ms: record.created_ms,
            state: Mutex::new(state),
        }
    }

    fn record(&self, quota: Quota) -> NamespaceRecord {
        NamespaceRecord {
            id: self.id,
            created_ms: self.created_ms,
            quota,
        }
    }

    fn missing(&self) -> Error {
        Error::NoSuchNamespace {
            name: self.name.clone(),
        }
    }

    /// Its state and what it holds.
    fn counted(&self, meta: &MetaStore) -> Result<(MutexGuard<'_, State>, Usage)> {
        let mut state = meta.pulse().lock(&self.state)?;
        let usage = match state.usage {
            Some(usage) => usage,
            // Whoever changes the rows has counted first, and so waits here.
            None => *state.usage.insert(meta.usage(self.id)?),
        };
        Ok((state, usage))
    }

    /// Passes if the namespace may hold so much more now.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], [`Error::NoSuchNamespace`].
    pub(crate) fn check(&self, meta: &MetaStore, adds: UsageChange) -> Result<()> {
        let (state, usage) = self.counted(meta)?;
        self.check_state(&state, usage, adds)
    }

    fn check_state(&self, state: &State, usage: Usage, adds: UsageChange) -> Result<()> {
        if state.removed {
            return Err(self.missing());
        }
        check_quota(&self.name, state.quota, usage, adds.applied_to(usage))
    }

    /// Counts what a change adds.
    fn charge(&self, meta: &MetaStore, change: UsageChange) -> Result<()> {
        let (mut state, usage) = self.counted(meta)?;
        // A change that takes away as much as it adds fits.
        self.check_state(&state, usage, change)?;
        state.usage = Some(change.split().0.applied_to(usage));
        Ok(())
    }

    fn apply(&self, change: UsageChange) {
        let mut state = self.state.lock();
        state.usage = state.usage.map(|usage| change.applied_to(usage));
    }

    fn describe(&self, meta: &MetaStore) -> Result<Namespace> {
        let (state, usage) = self.counted(meta)?;
        if state.removed {
            return Err(self.missing());
        }
        let is_default = self.id == NamespaceId::DEFAULT;
        Ok(Namespace {
            name: self.name.clone(),
            created_at: (!is_default).then(|| clock::time_of(self.created_ms)),
            quota: state.quota,
            usage,
        })
    }
}

impl Namespaces {
    /// Reads the rows of all namespaces.
    pub(crate) fn open(meta: &MetaStore) -> Result<Self> {
        let default = NamespaceRecord {
            id: NamespaceId::DEFAULT,
            created_ms: 0,
            quota: Quota::new(),
        };
        let mut known = Known::default();
        known.add(Space::new("", &default));
        meta.namespaces(&mut |name, record| {
            known.add(Space::new(name, &record));
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let greatest = known.by_id.keys().next_back().copied();
        Ok(Self {
            known: RwLock::new(known),
            changing: Mutex::new(greatest.unwrap_or_default()),
        })
    }

    /// # Errors
    /// [`Error::NoSuchNamespace`].
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Space>> {
        let found = self.known.read_recursive().by_name.get(name).cloned();
        found.ok_or_else(|| Error::NoSuchNamespace {
            name: name.to_owned(),
        })
    }

    /// The namespace with this number. A row that names a number without a namespace is damaged, and nothing
    /// but a report needs the name then.
    fn by_id(&self, id: NamespaceId) -> Result<Arc<Space>> {
        let found = self.known.read_recursive().by_id.get(&id).cloned();
        found.ok_or_else(|| Error::NoSuchNamespace {
            name: format!("number {}", id.0),
        })
    }

    pub(crate) fn exists(&self, id: NamespaceId) -> bool {
        self.known.read_recursive().by_id.contains_key(&id)
    }

    /// The name of an upload with this key.
    pub(crate) fn upload(&self, namespace: NamespaceId, key: &str, id: UploadId) -> Upload {
        let name = self.by_id(namespace);
        let name = name.map_or_else(
            |_| format!("number {}", namespace.0),
            |space| space.name.clone(),
        );
        Upload::new(Key::new(name, key), id)
    }

    /// Commits a change, if the quotas of its namespaces allow it.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], [`Error::NoSuchNamespace`]: nothing was changed. Others as for
    /// [`MetaStore::commit`].
    pub(crate) fn commit(
        &self,
        meta: &MetaStore,
        change: Change,
        space: SpaceUse,
    ) -> Result<Ticket> {
        let mut charged = Charged(Vec::new());
        for (id, change) in change.usage() {
            let space = self.by_id(id)?;
            space.charge(meta, change)?;
            charged.0.push((space, change));
        }
        let ticket = meta.commit(change, space)?;
        charged.settle();
        Ok(ticket)
    }

    /// Passes if the namespace may hold so much more now.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], [`Error::NoSuchNamespace`].
    pub(crate) fn check(&self, meta: &MetaStore, id: NamespaceId, adds: UsageChange) -> Result<()> {
        self.by_id(id)?.check(meta, adds)
    }

    pub(crate) fn describe(&self, meta: &MetaStore, name: &str) -> Result<Namespace> {
        self.find(name)?.describe(meta)
    }

    /// The names after this one, ascending, at most `limit`, and whether there are more.
    pub(crate) fn names(&self, after: &str, limit: usize) -> (Vec<String>, bool) {
        let known = self.known.read_recursive();
        let from = (
            std::ops::Bound::Excluded(after.to_owned()),
            std::ops::Bound::Unbounded,
        );
        let mut names: Vec<_> = known
            .by_name
            .range(from)
            .map(|(name, _)| name.clone())
            .take(limit + 1)
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        (names, more)
    }

    /// Lets nobody create, remove or change a namespace for as long as the value lives.
    pub(crate) fn lock(&self, meta: &MetaStore) -> Result<MutexGuard<'_, NamespaceId>> {
        meta.pulse().lock(&self.changing)
    }

    /// Creates a namespace. It is durable with the ticket.
    pub(crate) fn create(&self, meta: &MetaStore, name: &str, quota: Quota) -> Result<Ticket> {
        let mut greatest = meta.pulse().lock(&self.changing)?;
        if self.known.read_recursive().by_name.contains_key(name) {
            return Err(Error::NamespaceExists {
                name: name.to_owned(),
            });
        }
        *greatest = NamespaceId(greatest.0.checked_add(1).ok_or_else(too_many)?);
        let record = NamespaceRecord {
            id: *greatest,
            created_ms: clock::now_ms(),
            quota,
        };
        let mut change = Change::default();
        change.put_namespace(name, &record);
        let ticket = meta.commit(change, SpaceUse::Grows)?;
        self.known.write().add(Space::new(name, &record));
        Ok(ticket)
    }

    /// Removes an empty namespace.
    pub(crate) fn remove(&self, meta: &MetaStore, name: &str) -> Result<Ticket> {
        let _alone = meta.pulse().lock(&self.changing)?;
        let space = self.find(name)?;
        {
            let (mut state, usage) = space.counted(meta)?;
            if !usage.is_empty() {
                return Err(Error::NamespaceNotEmpty {
                    name: name.to_owned(),
                });
            }
            // From here on no change counts in it, so none is committed.
            state.removed = true;
        }
        let mut change = Change::default();
        change.remove_namespace(name, space.id);
        let ticket = meta
            .commit(change, SpaceUse::Frees)
            .inspect_err(|_| space.state.lock().removed = false)?;
        let mut known = self.known.write();
        known.by_name.remove(name);
        known.by_id.remove(&space.id);
        Ok(ticket)
    }

    /// Sets the quota of a namespace.
    pub(crate) fn set_quota(&self, meta: &MetaStore, name: &str, quota: Quota) -> Result<Ticket> {
        let _alone = meta.pulse().lock(&self.changing)?;
        let space = self.find(name)?;
        let mut change = Change::default();
        change.put_namespace(name, &space.record(quota));
        let ticket = meta.commit(change, SpaceUse::Grows)?;
        space.state.lock().quota = quota;
        Ok(ticket)
    }
}

fn too_many() -> Error {
    Error::InvalidArgument {
        argument: "namespace",
        found: "one more".to_owned(),
        expected: "at most 4,294,967,295 namespaces in the life of a store",
    }
}

impl Known {
    fn add(&mut self, space: Space) {
        let space = Arc::new(space);
        self.by_name.insert(space.name.clone(), Arc::clone(&space));
        self.by_id.insert(space.id, space);
    }
}

/// What was counted for a change. If the change is not committed, what it would have added is taken back.
struct Charged(Vec<(Arc<Space>, UsageChange)>);

impl Charged {
    /// Counts what the committed change has taken away.
    fn settle(mut self) {
        for (space, change) in std::mem::take(&mut self.0) {
            space.apply(change.split().1);
        }
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        for (space, change) in &self.0 {
            space.apply(change.split().0.reversed());
        }
    }
}
