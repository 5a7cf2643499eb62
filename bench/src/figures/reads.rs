//! Reads: of one object from its first byte to its last, of small pieces, and of the first byte of an object with many
//! parts. Each floor reads the same files.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use memmap2::{Advice as Pages, MmapMut};
use partstore::{CompletedPart, Object, ObjectPart, PartNumber, PartStore, Result, Scope, Upload};
use partstore_bench::bodies::body;
use partstore_bench::{at_once, machine, median};
use rustix::fs::{Advice, OFlags, fadvise};

use super::Report;
use super::many::{all_parts, fill, options};

const PART_LEN: usize = 8 << 20;
const PARTS: u32 = 64;
const BYTES: f64 = 8_388_608.0 * 64.0;
/// Long reads are checked in such pieces, and small ones in blocks.
const PIECE: usize = 256 << 10;
const BLOCK: usize = 32 << 10;
const REQUEST: usize = 2 << 20;
const IN_FLIGHT: u32 = 4;
const ROUNDS: usize = 7;
const PICKS: u32 = 2000;
const READERS: u32 = 200;

/// All figures about reading.
pub fn reads(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let root = dir.path().join("data");
    let store = options().open(&root)?;
    let object = large(&store)?;
    let files = Files::of(&root, &store, &object)?;
    let reads = Reads {
        store: &store,
        object: &object.upload,
        files: &files,
        report,
    };
    reads.right_after()?;
    reads.cold()?;
    reads.verified()?;
    reads.hot()?;
    reads.small_pieces()?;
    first_byte(&store, report)?;
    store.close()
}

/// An object of 512 MiB.
fn large(store: &PartStore) -> Result<Object> {
    let upload = store.initiate_upload("bench/large")?;
    let mut list = Vec::new();
    for number in 1..=PARTS {
        let body = body(PART_LEN, number.into());
        let part = store.put_part(&upload, PartNumber::new(number)?, body)?;
        list.push(CompletedPart::from(&part));
    }
    store.complete_upload(&upload, &list)
}

struct Reads<'a> {
    store: &'a PartStore,
    object: &'a Upload,
    files: &'a Files,
    report: &'a Report,
}

impl Reads<'_> {
    fn right_after(&self) -> Result<()> {
        let took = timed(|| self.whole(REQUEST))?;
        let (ours, floor) = (rate(took), rate(clocked(|| self.files.in_flight())));
        self.say("cold, right after the put", ours, "`O_DIRECT` × 4", floor);
        Ok(())
    }

    fn cold(&self) -> Result<()> {
        let [mut copied, mut chunks, mut direct, mut cached] = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            self.files.forget();
            copied.push(timed(|| self.whole(REQUEST))?);
            self.files.forget();
            chunks.push(timed(|| self.chunks())?);
            self.files.forget();
            direct.push(clocked(|| self.files.in_flight()));
            self.files.forget();
            cached.push(clocked(|| self.files.cached()));
        }
        let [copied, chunks, direct, cached] =
            [copied, chunks, direct, cached].map(|took| rate(median(took)));
        self.say("cold, in order, `read`", copied, "`O_DIRECT` × 4", direct);
        self.say("cold, in order, chunks", chunks, "`O_DIRECT` × 4", direct);
        self.say("cold, in order, chunks", chunks, "page cache", cached);
        Ok(())
    }

    /// All blobs, with their hashes. The floor only reads.
    fn verified(&self) -> Result<()> {
        let [mut ours, mut floor] = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            self.files.forget();
            ours.push(timed(|| self.store.verify(Scope::Everything).map(drop))?);
            self.files.forget();
            floor.push(clocked(|| self.files.in_flight()));
        }
        let [ours, floor] = [ours, floor].map(|took| rate(median(took)));
        self.say("`verify`, cold", ours, "`O_DIRECT` × 4", floor);
        Ok(())
    }

    /// Each floor reads into a buffer as long as that of the reader beside it: a short one stays in the processor's cache.
    fn hot(&self) -> Result<()> {
        self.files.with_crc(PIECE);
        let [mut short, mut long, mut chunks] = [const { Vec::new() }; 3];
        let [mut short_floor, mut long_floor] = [const { Vec::new() }; 2];
        for _ in 0..ROUNDS {
            short_floor.push(clocked(|| self.files.with_crc(PIECE)));
            short.push(timed(|| self.whole(PIECE))?);
            chunks.push(timed(|| self.chunks())?);
            long_floor.push(clocked(|| self.files.with_crc(REQUEST)));
            long.push(timed(|| self.whole(REQUEST))?);
        }
        for (name, ours, floor) in [
            ("`read`, 256 KiB", short, &short_floor),
            ("`read`, 2 MiB", long, &long_floor),
            ("chunks", chunks, &short_floor),
        ] {
            let [ours, floor] = [ours, floor.clone()].map(|took| rate(median(took)));
            self.say(
                &format!("hot, in order, {name}"),
                ours,
                "read and CRC",
                floor,
            );
        }
        Ok(())
    }

    /// 4 KiB at random places of one part, and of all parts. The floor reads and checks the block around each.
    fn small_pieces(&self) -> Result<()> {
        let micros = |took: f64| took * 1e6 / f64::from(PICKS);
        let mut reader = self.store.open_object(self.object)?;
        let mut part = reader.part(PartNumber::MIN)?;
        let [mut one, mut all, mut floor] = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            one.push(clocked(|| picks(&mut part, PART_LEN)));
            all.push(clocked(|| picks(&mut reader, PART_LEN * PARTS as usize)));
            floor.push(clocked(|| self.files.blocks()));
        }
        let [one, all, floor] = [one, all, floor].map(|took| micros(median(took)));
        for (name, took) in [("of a part", one), ("of an object", all)] {
            self.report.say(
                &format!("4 KiB at random places {name}, hot"),
                format!("{took:.1} µs"),
                format!("block and CRC: {floor:.1} µs; × {:.2}", took / floor),
            );
        }
        Ok(())
    }

    /// Reads all of it into one buffer, again and again.
    fn whole(&self, len: usize) -> Result<()> {
        let mut reader = self.store.open_object(self.object)?;
        let mut buffer = vec![0; len];
        while reader.read(&mut buffer).expect("sound bytes") > 0 {
            black_box(&buffer);
        }
        Ok(())
    }

    fn chunks(&self) -> Result<()> {
        let mut reader = self.store.open_object(self.object)?;
        while !black_box(reader.next_chunk(usize::MAX)?).is_empty() {}
        Ok(())
    }

    fn say(&self, figure: &str, ours: f64, beside: &str, floor: f64) {
        self.report.say(
            figure,
            format!("{ours:.2} GB/s"),
            format!("{beside}: {floor:.2} GB/s; × {:.2}", ours / floor),
        );
    }
}

fn picks(reader: &mut (impl Read + Seek), size: usize) {
    let mut piece = [0; 4096];
    for _ in 0..PICKS {
        let at = fastrand::usize(..size / piece.len()) * piece.len();
        reader.seek(SeekFrom::Start(at as u64)).expect("a place");
        reader.read_exact(&mut piece).expect("sound bytes");
        black_box(&piece);
    }
}

/// The time from the call until the first byte, and what a reader takes of the memory.
fn first_byte(store: &PartStore, report: &Report) -> Result<()> {
    let upload = store.initiate_upload("bench/many")?;
    fill(store, &upload, 0)?;
    let object = store
        .complete_upload(&upload, &all_parts(store, &upload)?)?
        .upload;
    let open = || {
        let mut reader = store.open_object(&object)?;
        reader.read_exact(&mut [0]).expect("sound bytes");
        Ok(reader)
    };
    let mut took = Vec::new();
    for _ in 0..50 {
        took.push(timed(|| open().map(drop))?);
    }
    let (before, _) = machine::resident_mib();
    let readers = (0..READERS).map(|_| open()).collect::<Result<Vec<_>>>()?;
    let (after, _) = machine::resident_mib();
    drop(readers);
    report.say(
        "first byte of an object of 10,000 parts",
        format!("{:.2} ms", median(took) * 1e3),
        format!(
            "{} KiB a reader",
            (after.saturating_sub(before) << 10) / u64::from(READERS)
        ),
    );
    Ok(())
}

/// The blobs of the object, in order.
struct Files {
    paths: Vec<PathBuf>,
    open: Vec<File>,
}

impl Files {
    fn of(root: &Path, store: &PartStore, object: &Object) -> Result<Self> {
        let reader = store.open_object(&object.upload)?;
        let name = |hash: String| root.join("blobs").join(&hash[..2]).join(&hash);
        let path = |placed: ObjectPart| name(placed.part.content.to_string());
        let paths: Vec<_> = reader
            .parts()
            .map(|placed| placed.map(path))
            .collect::<Result<_>>()?;
        let open = paths.iter().map(|path| File::open(path).expect("a blob"));
        Ok(Self {
            open: open.collect(),
            paths,
        })
    }

    /// Takes them out of the page cache.
    fn forget(&self) {
        rustix::fs::sync();
        for file in &self.open {
            fadvise(file, 0, None, Advice::DontNeed).expect("advice");
        }
    }

    /// Past the page cache, with four requests in flight.
    fn in_flight(&self) {
        let next = AtomicUsize::new(0);
        let read = at_once(IN_FLIGHT, |_| {
            let mut memory = MmapMut::map_anon(2 * REQUEST).expect("memory");
            // The kernel refuses the advice if it has no huge pages at all.
            let _ = memory.advise(Pages::HugePage);
            let start = memory.as_ptr().align_offset(REQUEST);
            let buffer = &mut memory[start..start + REQUEST];
            let mut open = OpenOptions::new();
            open.read(true)
                .custom_flags(OFlags::DIRECT.bits().cast_signed());
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = self.paths.get(at * REQUEST / PART_LEN) else {
                    return Ok::<(), Infallible>(());
                };
                let file = open.open(path).expect("a blob");
                let within = at * REQUEST % PART_LEN;
                file.read_exact_at(buffer, within as u64).expect("bytes");
            }
        });
        let Ok(_) = read;
    }

    /// Through the page cache, in one thread.
    fn cached(&self) {
        self.each_piece(REQUEST, REQUEST, |_| ());
    }

    /// The same in pieces, each with its CRC.
    fn with_crc(&self, buffer_len: usize) {
        self.each_piece(buffer_len, PIECE, |piece| {
            black_box(crc32fast::hash(piece));
        });
    }

    /// Reads pieces one after the other into a buffer, from its start to its end and again.
    fn each_piece(&self, buffer_len: usize, piece_len: usize, mut take: impl FnMut(&[u8])) {
        let mut buffer = vec![0; buffer_len];
        for path in &self.paths {
            let file = File::open(path).expect("a blob");
            for start in (0..PART_LEN).step_by(buffer_len) {
                let places = (start..).step_by(piece_len);
                for (at, piece) in places.zip(buffer.chunks_mut(piece_len)) {
                    file.read_exact_at(piece, at as u64).expect("bytes");
                    take(piece);
                }
            }
        }
    }

    /// Random blocks of open files, each with its CRC.
    fn blocks(&self) {
        let mut block = vec![0; BLOCK];
        for _ in 0..PICKS {
            let file = &self.open[fastrand::usize(..self.open.len())];
            let at = fastrand::usize(..PART_LEN / BLOCK) * BLOCK;
            file.read_exact_at(&mut block, at as u64).expect("bytes");
            black_box(crc32fast::hash(&block));
        }
    }
}

fn clocked(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64()
}

fn timed(run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    run()?;
    Ok(started.elapsed().as_secs_f64())
}

/// 10^9 bytes a second, for a time that all of it took.
fn rate(took: f64) -> f64 {
    BYTES / took / 1e9
}
