//! Whatever a body's length, however it comes in and whoever else is at work: the bytes, the ETag and
//! the checksums are its own.

use crate::fixture::{Fixture, bytes, number, own_process_with_files, role};
use crate::skipped::skipped;
use partstore::PartOptions;
pub use partstore_contract::cases::ingest::{MIB, assert_is};

/// Memory of this process that is in use, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[test]
fn the_memory_of_all_bodies_together_is_bounded() {
    const NAME: &str = "ingest::the_memory_of_all_bodies_together_is_bounded";
    const BODIES: u32 = 1500;
    if role().is_none() {
        let output = own_process_with_files(NAME, "many bodies", 4096)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        if said.is_empty() {
            skipped("no process may have 4,096 files open here");
            return;
        }
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = bytes(1, 250_000);
    let before = resident();
    let stalled: Vec<_> = (1..=BODIES)
        .map(|at| {
            let writer = fixture
                .store
                .part_writer(&upload, number(at), PartOptions::new());
            let mut writer = writer.unwrap();
            writer.append(&body).unwrap();
            writer
        })
        .collect();
    let taken = resident() - before;
    // 192 MiB, 8 KiB for each of 1,180, and what a hasher and a file take.
    assert!(taken < 220 * MIB, "{taken} bytes");
    let part = fixture
        .store
        .put_part(&upload, number(2000), body.clone())
        .unwrap();
    assert_is(&fixture, &upload, &part, &body);
    drop(stalled);
    fixture.assert_tidy();
}
