//! The machine that a figure was taken on, and the memory of this process.

use std::path::Path;

/// One line: processor, cores, memory, kernel, file system.
pub fn describe(dir: &Path) -> String {
    let cpu =
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kib = field("/proc/meminfo", "MemTotal").and_then(|text| leading_number(&text));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (memory, kernel) = (memory_kib.unwrap_or(0) / 1024 / 1024, kernel.trim());
    let file_system = file_system(dir);
    format!("machine: {cpu}, {cores} cores, {memory} GiB, Linux {kernel}, {file_system}")
}

/// Type and device of the file system that holds `dir`.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        dir.starts_with(at)
            .then_some((at.len(), format!("{kind} on {device}")))
    });
    holding
        .max()
        .map_or_else(|| "unknown file system".to_owned(), |(_, name)| name)
}

/// Resident memory now and at its peak since [`reset_peak`], MiB.
pub fn resident_mib() -> (u64, u64) {
    let mib = |name| {
        field("/proc/self/status", name)
            .and_then(|text| leading_number(&text))
            .unwrap_or(0)
            / 1024
    };
    (mib("VmRSS"), mib("VmHWM"))
}

/// Makes the peak of the resident memory begin anew.
pub fn reset_peak() {
    // Not everywhere allowed; then the peak is that of the whole run, which is no smaller.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn leading_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
