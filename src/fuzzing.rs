//! The decoders of bytes from disk for the fuzz targets, and a store with millions of rows for `just scale`. Not
//! part of the API: this module exists only with `cfg(fuzzing)`, which `cargo fuzz` sets.
//!
//! Bytes from disk are untrusted. Whatever they hold, only the `check_` functions may panic, when decoding
//! and encoding disagree.

use std::path::Path;
use std::sync::Arc;

use crate::buffers::Buffers;
use crate::going::{Closing, Going};
use crate::local::engine::Engine;
use crate::local::file::{Dir, Place};
use crate::local::format::frame;
use crate::local::format::layer::{BlockIndex, Footer, Header, Salt, Span, rows_of};
use crate::local::format::mutation::{self, Batch, Tree};
use crate::local::format::record::{
    self, BlobHead, Fields, KeyRecord, NamespaceRecord, PartRecord, UploadRecord, UploadState,
    Version,
};
use crate::local::format::tally::Tally;
use crate::local::meta::journal::{self, Journal};
use crate::local::meta::layer::{Layer, LayerWriter, rows_left};
use crate::local::meta::rows::{RowReader, RowWriter};
use crate::local::meta::{Change, SpaceUse};
use crate::values::blocks::BlockCrcs;
use crate::values::checksum::Algorithms;
use crate::values::namespace::NamespaceId;
use crate::{Checksum, ContentHash, ETag, Options, PartNumber, Result, UploadId, clock};

/// A row set (`Some`) or removed (`None`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The number of its tree, `1..=10`.
    pub tree: u8,
    /// Its key, at most 1100 bytes.
    pub key: Vec<u8>,
    /// Its value, at most 4000 bytes.
    pub value: Option<Vec<u8>>,
}

impl Row {
    fn of(tree: Tree, key: &[u8], value: Option<&[u8]>) -> Self {
        Self {
            tree: tree as u8,
            key: key.to_vec(),
            value: value.map(<[u8]>::to_vec),
        }
    }
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Sequence number and rows of each batch.
    pub batches: Vec<(u64, Vec<Row>)>,
    /// Bytes behind the last whole frame that are not zero.
    pub torn: u64,
}

/// Permissions of what is made here.
const MODE: u32 = 0o600;

fn place(path: &Path) -> Result<Place> {
    let dir = Dir::open(path.parent().unwrap_or(Path::new(".")), MODE)?;
    Ok(dir.at(path.file_name().unwrap_or_default()))
}

/// Makes the first segment of a journal in `dir`.
///
/// # Errors
/// As for any file.
pub fn create_journal(dir: &Path, segment_len: u64) -> Result<()> {
    Journal::create(&Dir::open(dir, MODE)?, segment_len)
}

/// Reads the segments in `dir`.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged).
pub fn scan_journal(dir: &Path) -> Result<Scanned> {
    let mut batches = Vec::new();
    let found = journal::scan(&Dir::open(dir, MODE)?, &mut |seq, mutations| {
        let rows = mutations
            .iter()
            .map(|row| Row::of(row.tree, row.key, row.value));
        batches.push((seq, rows.collect()));
        Ok(())
    })?;
    Ok(Scanned {
        batches,
        torn: found.tail.torn,
    })
}

/// The frame of a batch with this payload, or of a seal without one, for the segment with this number
/// and salt.
#[must_use]
pub fn frame(
    (number, salt): (u64, u64),
    (seq, durable): (u64, u64),
    payload: Option<&[u8]>,
) -> Vec<u8> {
    let kind = payload.map_or(frame::Kind::Seal, |_| frame::Kind::Batch);
    let mut bytes = Vec::new();
    let payload = payload.unwrap_or_default();
    let stamp = frame::Stamp { number, salt };
    let numbers = frame::Numbers { seq, durable };
    frame::encode(stamp, kind, numbers, payload, &mut bytes);
    bytes
}

/// The payload of a batch of these rows. Rows of an unknown tree are left out.
#[must_use]
pub fn encode_batch(rows: &[Row]) -> Vec<u8> {
    let mut batch = Batch::default();
    for row in rows {
        match (Tree::from_number(row.tree), &row.value) {
            (Some(tree), Some(value)) => batch.put(tree, &row.key, value),
            (Some(tree), None) => batch.remove(tree, &row.key),
            (None, _) => {}
        }
    }
    batch.payload().to_vec()
}

/// The rows of a payload, if it is one.
#[must_use]
pub fn decode_batch(payload: &[u8]) -> Option<Vec<Row>> {
    let rows = mutation::mutations(payload)?;
    Some(
        rows.iter()
            .map(|row| Row::of(row.tree, row.key, row.value))
            .collect(),
    )
}

/// Writes a row file, such as a snapshot. Rows of an unknown tree are left out.
///
/// # Errors
/// As for any file.
pub fn write_rows(path: &Path, seq: u64, rows: &[Row]) -> Result<()> {
    let mut writer = RowWriter::create(&place(path)?, seq)?;
    for row in rows {
        if let Some(tree) = Tree::from_number(row.tree) {
            writer.push(tree, &row.key, row.value.as_deref())?;
        }
    }
    writer.finish().map(drop)
}

/// Reads a row file: its sequence number and its rows.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged).
pub fn read_rows(path: &Path) -> Result<(u64, Vec<Row>)> {
    let mut reader = RowReader::open(&place(path)?)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next()? {
        rows.push(Row::of(row.tree, &row.key, row.value.as_deref()));
    }
    Ok((reader.seq(), rows))
}

/// Writes a layer of batches `1..=through`. The rows ascend by tree and key. Rows of an unknown tree are left
/// out.
///
/// # Errors
/// As for any file.
pub fn write_layer(path: &Path, through: u64, rows: &[Row]) -> Result<()> {
    let span = Span { after: 0, through };
    let mut writer = LayerWriter::create(&place(path)?, span, rows.len() as u64)?;
    for row in rows {
        if let Some(tree) = Tree::from_number(row.tree) {
            writer.push(tree, &row.key, row.value.as_deref())?;
        }
    }
    writer.finish(&Tally::default()).map(drop)
}

/// All rows of a layer.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged).
pub fn read_layer(path: &Path) -> Result<Vec<Row>> {
    let mut scan = Layer::open(&place(path)?)?.all();
    let mut rows = Vec::new();
    while let Some(row) = scan.next()? {
        rows.push(Row::of(row.tree, &row.key, row.value.as_deref()));
    }
    Ok(rows)
}

/// What a layer says of a row. `None` if it says nothing.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged).
pub fn ask_layer(path: &Path, tree: u8, key: &[u8]) -> Result<Option<Row>> {
    let Some(tree) = Tree::from_number(tree) else {
        return Ok(None);
    };
    let said = Layer::open(&place(path)?)?.get(tree, key)?;
    Ok(said.map(|value| Row::of(tree, key, value.as_deref())))
}

/// The rows that a damaged layer still proves.
///
/// # Errors
/// As for any file.
pub fn rows_left_of_layer(path: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    rows_left(&place(path)?, &mut |row| {
        rows.push(Row::of(row.tree, &row.key, row.value.as_deref()));
        Ok(())
    })?;
    Ok(rows)
}

/// Reads bytes as each piece of a layer. Returns how many pieces they could be. Those that have a seal get one
/// that fits.
#[must_use]
pub fn decode_layer_pieces(salt: u64, offset: u64, bytes: &[u8]) -> usize {
    let salt = Salt(salt);
    let sealed = [bytes, &salt.seal(offset, bytes)].concat();
    let footer = Footer::decode(offset, &sealed);
    let index = footer.and_then(|footer| BlockIndex::decode(&footer, &sealed));
    let claimed = Footer {
        header: Header {
            span: Span {
                after: 0,
                through: 1,
            },
            salt,
        },
        filter: offset,
        index: offset,
        end: offset,
        blocks: bytes.len() as u64 / 8,
        rows: 0,
        removals: 0,
        tally: Tally::default(),
    };
    let could = [
        Header::decode(bytes).is_some(),
        footer.is_some(),
        index.is_some(),
        BlockIndex::decode(&claimed, &sealed).is_some(),
        rows_of(salt, offset, &sealed).is_some_and(|rows| mutation::mutations(rows).is_some()),
    ];
    could.into_iter().filter(|could| *could).count()
}

/// The value of a row with these fields. `None` for an unknown tree.
#[must_use]
pub fn seal(tree: u8, key: &[u8], fields: &[u8]) -> Option<Vec<u8>> {
    Some(record::seal(Tree::from_number(tree)?, key, fields))
}

/// The fields of a row's value, if it is whole.
#[must_use]
pub fn unseal<'a>(tree: u8, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    Some(record::unseal(Tree::from_number(tree)?, key, value)?.bytes)
}

/// Reads fields as those of each kind of record, in both versions. Returns how many kinds they could be.
///
/// # Panics
/// If a record of the newest version does not encode to the fields from which it was read, or one of an
/// older version does not read the same once it is encoded.
#[must_use]
pub fn check_fields(fields: &[u8]) -> usize {
    let of = |version| Fields {
        version,
        bytes: fields,
    };
    let found = [Version::One, Version::Two].map(|version| check_version(of(version)));
    let mut crcs = Vec::new();
    let read = record::read_crcs(fields, &mut crcs);
    if read.is_some() {
        assert_eq!(crcs.len() * 4, fields.len());
    }
    found.into_iter().sum::<usize>() + usize::from(read.is_some())
}

fn check_version(fields: Fields<'_>) -> usize {
    let upload = UploadRecord::decode(fields);
    if let Some(upload) = &upload {
        let _ = record::metadata_row_count(upload.metadata_len);
        check_encoded(fields, &upload.encode());
        assert_eq!(
            UploadRecord::decode(newest(&upload.encode())).as_ref(),
            Some(upload)
        );
    }
    let part = PartRecord::decode(fields);
    if let Some(part) = &part {
        check_encoded(fields, &part.encode());
        assert_eq!(
            PartRecord::decode(newest(&part.encode())).as_ref(),
            Some(part)
        );
    }
    let head = BlobHead::decode(fields);
    if let Some((head, crcs)) = &head {
        let _ = record::blob_row_count(head.size, crcs.len() / 4);
    }
    let key = KeyRecord::decode(fields);
    if let Some(key) = &key {
        check_encoded(newest(fields.bytes), &key.encode());
    }
    let namespace = NamespaceRecord::decode(fields);
    if let Some(namespace) = &namespace {
        check_encoded(newest(fields.bytes), &namespace.encode());
    }
    let usage = record::read_usage(fields);
    if let Some(usage) = &usage {
        check_encoded(newest(fields.bytes), &record::usage_fields(usage));
    }
    let could = [
        upload.is_some(),
        part.is_some(),
        head.is_some(),
        key.is_some(),
        namespace.is_some(),
        usage.is_some(),
    ];
    could.into_iter().filter(|could| *could).count()
}

fn newest(bytes: &[u8]) -> Fields<'_> {
    Fields {
        version: Version::NEWEST,
        bytes,
    }
}

fn check_encoded(fields: Fields<'_>, encoded: &[u8]) {
    if fields.version == Version::NEWEST {
        assert_eq!(encoded, fields.bytes);
    }
}

/// Reads a key as that of each tree. Returns how many trees it could belong to.
///
/// # Panics
/// If its parts do not encode to the same key.
#[must_use]
pub fn check_key(key: &[u8]) -> usize {
    let part = record::parse_part_key(key);
    if let Some((id, number)) = part {
        assert_eq!(record::part_key(id, number), key);
    }
    let reference = record::parse_ref_key(key);
    if let Some((content, id, number)) = &reference {
        assert_eq!(record::ref_key(content, *id, *number), key);
    }
    let name = record::parse_name_key(key);
    if let Some((namespace, name, id)) = name {
        assert_eq!(record::name_key(namespace, name, id), key);
    }
    let object = record::parse_object_key(key);
    if let Some((namespace, name)) = object {
        assert_eq!(record::object_key(namespace, name), key);
    }
    let usage = record::parse_usage_key(key);
    if let Some((namespace, stripe)) = usage {
        assert_eq!(record::usage_key(namespace, stripe), key);
    }
    let namespace = record::parse_namespace_key(key);
    if let Some(id) = namespace {
        assert_eq!(record::namespace_key(id), key);
    }
    let content = record::parse_content_key(key);
    if let Some(content) = &content {
        assert_eq!(content.as_bytes().as_slice(), key);
    }
    [
        part.is_some(),
        reference.is_some(),
        name.is_some(),
        object.is_some(),
        usage.is_some(),
        namespace.is_some(),
        content.is_some(),
    ]
    .into_iter()
    .filter(|could| *could)
    .count()
}

/// How many parts a grown upload has, and how many stand in one batch.
const PARTS: u16 = 1000;
const AT_ONCE: u16 = 50;

/// Adds so many uploads with 1,000 parts of 1 MiB each, through the store's own batches and checkpoints. Each
/// part has bytes of its own, whose files do not exist. `told` is called after each upload with its number.
///
/// # Errors
/// As for any open and any put.
pub fn grow(path: &Path, options: &Options, uploads: u32, told: &mut dyn FnMut(u32)) -> Result<()> {
    let closing = Closing::default();
    let buffers = Arc::new(Buffers::with(options.body_memory));
    let (engine, _) = Engine::open(path, options, &closing, &buffers)?;
    let mut random = blake3::Hasher::new().finalize_xof();
    for number in 0..uploads {
        let id = engine.ids.next()?;
        let upload = UploadRecord {
            namespace: NamespaceId::DEFAULT,
            key: format!("grown/{number:08}/some-object-with-a-name"),
            initiated_ms: clock::now_ms(),
            metadata_len: 0,
            wanted: Algorithms::default(),
            composite: Algorithms::default(),
            state: UploadState::Open,
        };
        let mut change = Change::default();
        change.initiate(id, &upload, &[]);
        let _ = engine.commit(change, SpaceUse::Grows)?;
        for first in (1..=PARTS).step_by(AT_ONCE.into()) {
            let mut change = Change::default();
            for number in first..first + AT_ONCE {
                let number = PartNumber::new(number.into())?;
                add_part(&mut change, (id, number), &mut random);
            }
            let ticket = engine.commit(change, SpaceUse::Grows)?;
            if first == 1 {
                engine.meta.wait(ticket)?;
            }
        }
        engine.checkpoint(&Going::until(&closing))?;
        told(number);
    }
    engine.close()
}

fn add_part(
    change: &mut Change,
    (id, number): (UploadId, PartNumber),
    random: &mut blake3::OutputReader,
) {
    let (mut content, mut md5, mut crcs) = ([0; 32], [0; 16], [0; 128]);
    random.fill(&mut content);
    random.fill(&mut md5);
    random.fill(&mut crcs);
    let crcs = crcs.as_chunks::<4>().0.iter().copied();
    let content = ContentHash::from_bytes(content);
    let sums = BlockCrcs {
        size: 1 << 20,
        crcs: crcs.map(u32::from_ne_bytes).collect(),
    };
    let part = PartRecord {
        size: sums.size,
        etag: ETag::from_md5(md5),
        content,
        stored_ms: clock::now_ms(),
        checksums: [Checksum::Crc32(7), Checksum::Crc64Xz(8)]
            .into_iter()
            .collect(),
    };
    change.add_blob(&content, &sums);
    change.put_part((NamespaceId::DEFAULT, id, number), &part, None);
}
