//! What the system knows of a server: memory, threads, open files, and the files in its directory.

use std::fs;
use std::path::Path;

use partstore::{ListNamespaces, ListObjects, ListUploads, Options, PartStore};

use crate::fixture::{Server, until};

/// A figure of `/proc/PID/status`: KiB, or a number.
fn figure(server: &Server, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().nth(1));
    figure.unwrap().parse().unwrap()
}

/// The most memory that it has had so far, MiB.
pub fn peak_mib(server: &Server) -> usize {
    figure(server, "VmHWM") / 1024
}

/// Bytes that it has read and written so far, from and to anywhere.
pub fn transferred(server: &Server) -> usize {
    let io = fs::read_to_string(format!("/proc/{}/io", server.pid())).unwrap();
    let figures = ["rchar: ", "wchar: "].map(|name| {
        let figure = io.lines().find_map(|line| line.strip_prefix(name));
        figure.unwrap().parse::<usize>().unwrap()
    });
    figures.iter().sum()
}

pub fn threads(server: &Server) -> usize {
    figure(server, "Threads")
}

pub fn open_files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid()))
        .unwrap()
        .count()
}

/// All files below a directory of the store.
pub fn files(server: &Server, directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&server.data().join(directory), &mut found);
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
pub fn staging_is_empty(server: &Server) {
    until("staging is empty", || files(server, "staging").is_empty());
}

/// The keys of the uploads that a server has left open. It must have ended.
pub fn open_uploads(server: &Server) -> Vec<String> {
    let store = Options::cos().open(server.data()).unwrap();
    let mut open = Vec::new();
    for namespace in namespaces(&store) {
        let query = ListUploads::new().namespace(namespace);
        open.extend(store.list_uploads(&query).unwrap().uploads);
    }
    store.close().unwrap();
    open.iter()
        .map(|open| open.upload.key().to_owned())
        .collect()
}

/// All namespaces, the default one too.
fn namespaces(store: &PartStore) -> Vec<String> {
    let page = store.list_namespaces(&ListNamespaces::new()).unwrap();
    let names = page.namespaces.into_iter().map(|namespace| namespace.name);
    [String::new()].into_iter().chain(names).collect()
}

/// The keys of all objects in the buckets of a server that has ended.
pub fn objects(server: &Server) -> Vec<String> {
    let store = Options::cos().open(server.data()).unwrap();
    let objects = store.list_objects(&ListObjects::new()).unwrap().objects;
    store.close().unwrap();
    let in_buckets = objects
        .iter()
        .filter(|object| !object.upload.namespace().is_empty());
    in_buckets
        .map(|object| object.upload.key().to_owned())
        .collect()
}
