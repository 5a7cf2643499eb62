//! Salvage: gives back all that can still be proven of a store whose journal or layers are damaged, and
//! lists what cannot. It is done only when the caller asks for it.
//!
//! [`evidence`] gathers the rows that prove themselves. [`judge`] keeps those that fit together.
//! [`contents`] adds the rows of the blobs. [`switch`] puts the result in place, and moves the old files
//! aside. Memory is bounded, as in a [fold](super::fold).

mod contents;
mod evidence;
mod judge;
mod snapshot;
mod streams;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Places;
use super::change::Change;
use super::fold::Fold;
use super::index::Index;
use super::journal;
use super::layer::{Layer, LayerWriter};
use super::layers::{self, Layers, Making, STAGED};
use super::pulse::Pulse;
use crate::going::Closing;
use crate::local::file::{self, Dir};
use crate::local::format::layer::Span;
use crate::local::format::marker::Marker;
use crate::local::format::mutation::{Mutation, Tree, mutations};
use crate::local::format::record::{self, Fields, KeyRecord, NamespaceRecord, UploadRecord};
use crate::local::format::tally::Tally;
use crate::values::digest::ProvenBlob;
use crate::values::namespace::NamespaceId;
use crate::values::options::JournalOptions;
use crate::{
    ContentHash, DamagedFile, Key, Loss, PartNumber, Quota, Result, SalvageReport, Upload,
    UploadId, clock,
};
use evidence::{Gathered, gather};
use judge::Judge;
use streams::Streams;

/// What salvage asks of the files of blobs, which prove themselves by their hash.
pub(crate) trait Blobs {
    /// Whether the blob has a file of at least this length.
    fn has(&self, content: &ContentHash, len: u64) -> Result<bool>;

    /// What the bytes of its file say. `None` if it is missing or has other bytes.
    fn prove(&self, content: &ContentHash) -> Result<Option<ProvenBlob>>;

    /// Writes the file of a blob anew, and syncs nothing. The caller does not know whether its bytes have this hash.
    fn restore(&self, content: &ContentHash, bytes: &[u8]) -> Result<()>;

    /// Makes all files durable that were restored.
    fn sync_restored(&self) -> Result<()>;

    /// Moves the files of blobs that are not `kept` to `aside`, durably. `kept` is asked in ascending
    /// order.
    fn put_aside(
        &self,
        kept: &mut dyn FnMut(&ContentHash) -> Result<bool>,
        aside: &Dir,
    ) -> Result<()>;
}

pub(super) struct Salvage<'a> {
    /// `meta/`.
    pub meta: &'a Dir,
    pub marker: Option<&'a Marker>,
    pub options: &'a JournalOptions,
    /// Bytes of memory for the index.
    pub cache: u64,
    pub blobs: &'a dyn Blobs,
}

/// Finishes a salvage that was decided on and interrupted. Returns where the old files are.
pub(super) fn finish(meta: &Dir, blobs: &dyn Blobs) -> Result<Option<SalvageReport>> {
    let aside = switch::finish(meta, blobs)?;
    Ok(aside.map(|aside| SalvageReport::of(aside.path(), Vec::new(), Vec::new())))
}

impl Salvage<'_> {
    /// Puts a truth made of what is proven in place of one in which `damage` was found.
    ///
    /// # Errors
    /// [`Error::StorageFull`](crate::Error::StorageFull), [`Error::Io`](crate::Error::Io): everything is as
    /// it was, or the next open finishes the work.
    pub(super) fn run(&self, damage: DamagedFile) -> Result<SalvageReport> {
        for name in ["journal", "snapshot"] {
            self.meta.create_dir(name)?;
        }
        // I1: the new journal carries no bodies.
        let journal = self.meta.dir("journal")?;
        journal::bodies_left(&journal, &mut |content, bytes| {
            self.blobs.restore(content, bytes)
        })?;
        self.blobs.sync_restored()?;
        let mut losses = Losses::default();
        let (seq, damaged) = self.write_anew(&mut losses)?;
        let mut files = vec![damage];
        files.extend(damaged);
        files.dedup_by(|later, earlier| later.path == earlier.path);
        let lost = losses.named(&self.meta.dir("snapshot.new")?)?;
        let aside = switch::make_aside(self.meta, seq)?;
        let lines = lost.iter().map(ToString::to_string).collect::<Vec<_>>();
        switch::note(&aside, "lost.txt", &lines)?;
        switch::decide(self.meta, &aside)?;
        switch::finish(self.meta, self.blobs)?;
        Ok(SalvageReport::of(aside.path(), files, lost))
    }

    /// Writes journal and layer beside the old ones. Returns the layer's batch, and what was damaged.
    fn write_anew(&self, losses: &mut Losses) -> Result<(u64, Vec<DamagedFile>)> {
        let work = self.meta.at("salvage.tmp");
        file::remove_tree_if_present(&work)?;
        self.meta.create_dir("salvage.tmp")?;
        let gathered = self.write_layer(&self.meta.dir("salvage.tmp")?, losses);
        file::remove_tree_if_present(&work)?;
        let Gathered {
            newest, damaged, ..
        } = gathered?;
        let journal = switch::prepare(self.meta, "journal")?;
        journal::restart(&journal, newest, self.options.segment_len)?;
        self.meta.sync()?;
        Ok((newest, damaged))
    }

    fn write_layer(&self, work: &Dir, losses: &mut Losses) -> Result<Gathered> {
        let places = Places::below(self.meta)?;
        let mut rows = self.begin(work, "gathered")?;
        let indexes = self.open_indexes(work)?;
        let mut gathered = gather(&places, indexes, self.marker, &mut rows.fold)?;
        // A layer through batch 0 would count as none.
        gathered.newest = gathered.newest.max(1);
        let mut by_upload = self.begin(work, "by-upload")?;
        let known = Streams::of(rows.fold, &rows.dir, &mut |tree, key, value| {
            add_by_upload(&mut by_upload.fold, tree, key, value)
        })?;
        let by_upload = Streams::of(by_upload.fold, &by_upload.dir, &mut |_, _, _| Ok(false))?;
        let (mut kept, mut keys) = (self.begin(work, "kept")?, self.begin(work, "keys")?);
        let mut spaces = Spaces::read(&known)?;
        losses.list.append(&mut gathered.lost);
        Judge {
            blobs: self.blobs,
            indexes: &gathered.indexes,
            batches_lost: gathered.batches_lost,
            losses: &mut *losses,
            spaces: &mut spaces,
        }
        .run((&known, &by_upload), (&mut kept.fold, &mut keys.fold))?;
        keys.fold.finish_rows(&mut |tree, key, value| {
            let value = Some(value);
            kept.fold.add(&Mutation { tree, key, value })
        })?;
        let given = spaces.given.iter().cloned();
        let given = given.map(|name| Loss::Namespace { name });
        losses.list.extend(given);
        let kept = Streams::of(kept.fold, &kept.dir, &mut |_, _, _| Ok(false))?;
        // sled must be closed before its directory is removed.
        gathered.indexes.clear();
        let new = Layers::new(switch::prepare(self.meta, "snapshot")?, 0);
        let making = Making {
            staged: STAGED,
            span: Span {
                after: 0,
                through: gathered.newest,
            },
            most_rows: gathered.rows,
        };
        let layer = new.publish(making, &mut |writer| {
            let mut writer = Counting {
                writer,
                tally: Tally::default(),
            };
            self.write_rows((&kept, &known), &spaces, losses, &mut writer)?;
            Ok(writer.tally)
        })?;
        layers::check_newest(&[layer], u64::MAX)?;
        Ok(gathered)
    }

    /// Copies of the indexes that can be opened, because sled changes the files that it opens.
    fn open_indexes(&self, work: &Dir) -> Result<Vec<Index>> {
        let mut opened = Vec::new();
        for place in super::indexes(self.meta)? {
            let index = match self.meta.dir(place.name()) {
                Err(error) if error.is_not_found() || error.is_not_a_directory() => continue,
                index => index?,
            };
            let copy = work.at(place.name());
            match file::copy_tree(&index, &copy) {
                Err(error) if error.tells_of_damage() => continue,
                copied => copied?,
            }
            let pulse = Arc::<Pulse>::default();
            opened.extend(Index::open(&copy, self.cache, &pulse).ok());
        }
        Ok(opened)
    }

    /// Writes the rows by tree, as a layer has them.
    fn write_rows(
        &self,
        (kept, known): (&Streams, &Streams),
        spaces: &Spaces,
        losses: &mut Losses,
        writer: &mut Counting<'_>,
    ) -> Result<()> {
        for tree in Tree::ALL {
            match tree {
                Tree::Blobs => contents::write((kept, known), self.blobs, losses, writer)?,
                // The open adds up what each namespace holds. What has ended is left out, so nothing is to
                // be released.
                Tree::Garbage | Tree::Usage | Tree::Tombstones => {}
                Tree::Namespaces => spaces.write(writer)?,
                _ => {
                    let mut rows = kept.open(tree)?;
                    while let Some(row) = rows.next()? {
                        writer.push(tree, &row.key, row.value.as_deref().unwrap_or_default())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&self, work: &Dir, name: &str) -> Result<Begun> {
        work.create_dir(name)?;
        let dir = work.dir(name)?;
        let fold = Fold::new(dir.clone(), self.options.spill_at, Closing::default());
        Ok(Begun { dir, fold })
    }
}

/// Writes rows, and adds them up.
pub(super) struct Counting<'a> {
    writer: &'a mut LayerWriter,
    tally: Tally,
}

impl Counting<'_> {
    fn push(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<()> {
        self.tally.add_row(tree, key, value);
        self.writer.push(tree, key, Some(value))
    }
}

struct Begun {
    dir: Dir,
    fold: Fold,
}

/// Adds names, keys and references under keys that begin with the upload's id. So the name of an upload,
/// whether it is the current object of its key, and what refers to which blob, come with the upload.
fn add_by_upload(fold: &mut Fold, tree: Tree, key: &[u8], value: &[u8]) -> Result<bool> {
    let moved = match tree {
        Tree::UploadNames => record::parse_name_key(key).map(|(namespace, name, id)| {
            let name = record::object_key(namespace, name);
            (id.to_bytes().to_vec(), name)
        }),
        Tree::Keys => record::unseal(tree, key, value)
            .and_then(KeyRecord::decode)
            .map(|current| (current.id.to_bytes().to_vec(), key.to_vec())),
        Tree::Refs => record::parse_ref_key(key).map(|(content, id, number)| {
            let part = record::part_key(id, number);
            ([part.as_slice(), content.as_bytes()].concat(), Vec::new())
        }),
        _ => return Ok(false),
    };
    let whole = record::unseal(tree, key, value).and(moved);
    if let Some((key, value)) = whole {
        let (key, value) = (key.as_slice(), Some(value.as_slice()));
        fold.add(&Mutation { tree, key, value })?;
    }
    Ok(true)
}

/// The namespaces of the result.
#[derive(Default)]
pub(super) struct Spaces {
    by_id: BTreeMap<NamespaceId, (String, NamespaceRecord)>,
    /// The names that were given to those without one.
    given: Vec<String>,
}

impl Spaces {
    fn read(known: &Streams) -> Result<Self> {
        let mut spaces = Self::default();
        let mut rows = known.open(Tree::Namespaces)?;
        while let Some(row) = rows.next()? {
            let value = row.value.as_deref().unwrap_or_default();
            spaces.add(&row.key, record::unseal(row.tree, &row.key, value));
        }
        spaces.forget_removed();
        Ok(spaces)
    }

    /// Forgets the older one of two with one name: the batch that removed it is lost. What is proven to be
    /// in it makes it exist again, under another name.
    fn forget_removed(&mut self) {
        let numbers = self.by_id.iter();
        let newest: BTreeMap<String, NamespaceId> =
            numbers.map(|(id, (name, _))| (name.clone(), *id)).collect();
        self.by_id
            .retain(|id, (name, _)| newest.get(name) == Some(id));
    }

    fn add(&mut self, name: &[u8], fields: Option<Fields<'_>>) {
        let whole = if record::parse_namespace_key(name).is_some() {
            fields.and_then(NamespaceRecord::decode_with)
        } else {
            let record = fields.and_then(NamespaceRecord::decode);
            record.zip(std::str::from_utf8(name).ok())
        };
        if let Some((record, name)) = whole {
            self.by_id.insert(record.id, (name.to_owned(), record));
        }
    }

    /// The key of an upload. If the row of its namespace is lost, the namespace gets another name.
    fn key_of(&mut self, upload: &UploadRecord) -> Key {
        let id = upload.namespace;
        if id == NamespaceId::DEFAULT {
            return Key::from(&upload.key);
        }
        let name = match self.by_id.get(&id) {
            Some((name, _)) => name.clone(),
            None => self.give_name(id),
        };
        Key::new(name, upload.key.as_str())
    }

    fn give_name(&mut self, id: NamespaceId) -> String {
        let mut name = format!("salvaged-{}", id.0);
        for number in 2.. {
            if !self.by_id.values().any(|(other, _)| *other == name) {
                break;
            }
            name = format!("salvaged-{}-{number}", id.0);
        }
        let record = NamespaceRecord {
            id,
            created_ms: clock::now_ms(),
            quota: Quota::new(),
        };
        self.given.push(name.clone());
        self.by_id.insert(id, (name.clone(), record));
        name
    }

    fn write(&self, writer: &mut Counting<'_>) -> Result<()> {
        let mut change = Change::default();
        for (name, record) in self.by_id.values() {
            change.put_namespace(name, record);
        }
        let mut rows = mutations(change.batch().payload()).unwrap_or_default();
        rows.sort_unstable_by_key(|row| row.key);
        rows.iter()
            .try_for_each(|row| writer.push(row.tree, row.key, row.value.unwrap_or_default()))
    }
}

/// What cannot be given back.
#[derive(Default)]
pub(super) struct Losses {
    list: Vec<Loss>,
    parts: BTreeSet<(UploadId, PartNumber)>,
    /// Parts for which nobody knows when they were put.
    times: BTreeSet<(UploadId, PartNumber)>,
}

impl Losses {
    fn add(&mut self, loss: Loss) {
        self.list.push(loss);
    }

    fn part(&mut self, id: UploadId, number: PartNumber) {
        self.parts.insert((id, number));
    }

    fn time(&mut self, id: UploadId, number: PartNumber) {
        self.times.insert((id, number));
    }

    /// Adds the keys of the uploads, which the layer in `dir` has.
    fn named(self, dir: &Dir) -> Result<Vec<Loss>> {
        let all = self.parts.iter().chain(&self.times);
        let ids: BTreeSet<UploadId> = all.map(|(id, _)| *id).collect();
        let mut keys = BTreeMap::new();
        let opened = Layers::new(dir.clone(), 0).open()?;
        let Some(mut rows) = opened.first().map(Layer::all) else {
            return Ok(self.list);
        };
        let mut spaces = Spaces::default();
        while let Some(row) = rows.next()? {
            let value = row.value.as_deref().unwrap_or_default();
            let fields = record::unseal(row.tree, &row.key, value);
            match row.tree {
                Tree::Uploads => {
                    let id = UploadId::from_bytes(&row.key).filter(|id| ids.contains(id));
                    keys.extend(id.zip(fields.and_then(UploadRecord::decode)));
                }
                Tree::Namespaces => spaces.add(&row.key, fields),
                _ => {}
            }
        }
        let mut names = BTreeMap::new();
        for (id, record) in keys {
            names.insert(id, spaces.key_of(&record));
        }
        let name = |id| Upload::new(names.get(&id).cloned().unwrap_or(Key::from("")), id);
        let mut list = self.list;
        list.extend(self.parts.into_iter().map(|(id, number)| Loss::Part {
            upload: name(id),
            number,
        }));
        list.extend(self.times.into_iter().map(|(id, number)| Loss::StoredAt {
            upload: name(id),
            number,
        }));
        Ok(list)
    }
}
