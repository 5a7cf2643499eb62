//! The machine that a figure was taken on, and what this process takes of it.

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Prints what belongs beside every table: machine, file system, load, date and command.
pub fn state(dir: &Path) {
    let date = humantime::format_rfc3339_seconds(SystemTime::now());
    println!("machine: {}", machine());
    println!("file system: {}", file_system(dir));
    println!("load of the last minute: {}", load());
    println!("date: {date}");
    println!("command: {}", command());
    println!();
}

/// Processor, cores, memory, kernel.
fn machine() -> String {
    let cpu = field("/proc/cpuinfo", "model name");
    let cpu = cpu.unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kib = field("/proc/meminfo", "MemTotal").and_then(|text| leading_number(&text));
    let memory = memory_kib.unwrap_or(0) / 1024 / 1024;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim();
    format!("{cpu}, {cores} cores, {memory} GiB, Linux {kernel}")
}

/// Type and device of the file system that holds `dir`; of ext4 also whether it has a journal.
fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        dir.starts_with(at).then_some((at.len(), kind, device))
    });
    // The longest wins, and of those at one place the last, which lies over the others.
    match holding.max_by_key(|(len, ..)| *len) {
        None => "unknown".to_owned(),
        Some((_, "ext4", device)) => format!("ext4 on {device}, {}", journal(device)),
        Some((_, kind, device)) => format!("{kind} on {device}"),
    }
}

fn journal(device: &str) -> &'static str {
    let name = Path::new(device).file_name().unwrap_or_default();
    let journals = fs::read_dir("/proc/fs/jbd2").into_iter().flatten();
    let of_device = journals.flatten().any(|journal| {
        let journal = journal.file_name();
        let (journal, name) = (journal.to_string_lossy(), name.to_string_lossy());
        journal.rsplit_once('-').is_some_and(|(of, _)| of == name)
    });
    if of_device {
        "with a journal"
    } else {
        "without a journal"
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn command() -> String {
    let mut words = env::args();
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let mut command = name.to_string_lossy().into_owned();
    for word in words {
        command.push(' ');
        command.push_str(&word);
    }
    command
}

/// Resident memory now and at its peak since [`reset_peak`], MiB.
#[must_use]
pub fn resident_mib() -> (u64, u64) {
    let mib = |name| {
        let kib = field("/proc/self/status", name).and_then(|text| leading_number(&text));
        kib.unwrap_or(0) / 1024
    };
    (mib("VmRSS"), mib("VmHWM"))
}

/// Makes the peak of the resident memory begin anew.
pub fn reset_peak() {
    // Not every machine allows it. Then the peak is that of the whole run, which is not lower.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// What all threads of this process have used of the processors.
#[must_use]
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn leading_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
