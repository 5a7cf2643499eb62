//! What the system knows of a gateway: memory, threads, open files, what lies in its directory.

use std::fs;
use std::path::Path;

use partstore::{ListUploads, Options};

use crate::fixture::{Gateway, until};

/// A figure of `/proc/PID/status`: KiB, or a number.
fn figure(gateway: &Gateway, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().nth(1));
    figure.unwrap().parse().unwrap()
}

/// The most memory that it has had so far, MiB.
pub fn peak_mib(gateway: &Gateway) -> usize {
    figure(gateway, "VmHWM") / 1024
}

/// Bytes that it has read and written so far, wherever they came from and went.
pub fn transferred(gateway: &Gateway) -> usize {
    let io = fs::read_to_string(format!("/proc/{}/io", gateway.pid())).unwrap();
    let figures = ["rchar: ", "wchar: "].map(|name| {
        let figure = io.lines().find_map(|line| line.strip_prefix(name));
        figure.unwrap().parse::<usize>().unwrap()
    });
    figures.iter().sum()
}

pub fn threads(gateway: &Gateway) -> usize {
    figure(gateway, "Threads")
}

pub fn open_files(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.pid()))
        .unwrap()
        .count()
}

/// All files below a directory of the store.
pub fn files(gateway: &Gateway, directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&gateway.data().join(directory), &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), found);
        } else {
            found.push(entry.path().display().to_string());
        }
    }
}

/// Waits until nothing is being received.
pub fn staging_is_empty(gateway: &Gateway) {
    until("staging is empty", || files(gateway, "staging").is_empty());
}

/// The keys of the uploads that a gateway, which must not run any more, has left open.
pub fn open_uploads(gateway: &Gateway) -> Vec<String> {
    let store = Options::cos().open(gateway.data()).unwrap();
    let uploads = store.list_uploads(&ListUploads::new()).unwrap().uploads;
    store.close().unwrap();
    uploads
        .iter()
        .map(|open| open.upload.key().to_owned())
        .collect()
}

/// The keys of all objects in the store of a gateway that does not run any more.
pub fn objects(gateway: &Gateway) -> Vec<String> {
    let store = Options::cos().open(gateway.data()).unwrap();
    let objects = store.list_objects(None, 1000).unwrap().objects;
    store.close().unwrap();
    objects
        .iter()
        .map(|object| object.upload.key().to_owned())
        .collect()
}
