//! Many bodies that stream in at once, and the memory that they take.

use std::path::Path;

use partstore::{PartNumber, PartOptions, PartStore, Result};
use partstore_bench::bodies::body;
use partstore_bench::{at_once, machine};

/// Streams that send one part after the other.
pub struct Crowd {
    pub streams: u32,
    /// Parts of each stream.
    pub parts: u32,
    /// Size of a part.
    pub mib: u64,
    /// Bytes that the store is given at a time.
    pub received: usize,
}

/// Resident memory of this process, MiB. It includes what the senders send from.
pub struct Memory {
    pub before: u64,
    pub peak: u64,
}

impl Crowd {
    pub fn memory(&self, base: &Path) -> Result<Memory> {
        let dir = tempfile::tempdir_in(base).expect("a directory");
        let store = PartStore::open(dir.path().join("data"))?;
        let upload = store.initiate_upload("bench")?;
        machine::reset_peak();
        let (before, _) = machine::resident_mib();
        at_once(self.streams, |stream| {
            let received = body(self.received, u64::from(stream));
            let size = self.mib << 20;
            for part in 0..self.parts {
                let number = PartNumber::new(1 + stream + part * self.streams)?;
                let length = PartOptions::new().content_length(size);
                let mut writer = store.part_writer(&upload, number, length)?;
                for _ in 0..size / self.received as u64 {
                    writer.append(&received)?;
                }
                writer.finish()?;
            }
            Ok(())
        })?;
        let (_, peak) = machine::resident_mib();
        Ok(Memory { before, peak })
    }
}
