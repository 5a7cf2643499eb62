//! Calls in any order against a store and a plain map, with openings after a clean close, after a
//! kill, and without the index.
#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use partstore::{
    Background, CompletedPart, ListObjects, ListParts, ListUploads, Numbering, Options, Part,
    PartNumber, PartOptions, PartStore, Scope, Upload,
};
use partstore_fuzz::scratch;
use partstore_model::map::Map;

#[derive(Arbitrary, Debug)]
enum Call {
    Initiate {
        key: u8,
        metadata: u16,
    },
    Put {
        slot: u8,
        number: u8,
        body: Body,
    },
    Write {
        slot: u8,
        number: u8,
        body: Body,
        split: u16,
        finish: bool,
    },
    Complete {
        slot: u8,
        mask: u8,
    },
    Abort {
        slot: u8,
    },
    Remove {
        slot: u8,
    },
    Sweep,
    Maintain,
    Reopen {
        killed: bool,
        without_index: bool,
    },
}

/// Equal bytes often.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Body {
    fill: u8,
    len: u8,
    large: bool,
}

impl Body {
    fn bytes(self) -> Vec<u8> {
        let len = if self.large {
            262_143 + usize::from(self.len % 4)
        } else {
            self.len.into()
        };
        vec![self.fill % 4; len]
    }
}

struct Run {
    dir: tempfile::TempDir,
    root: PathBuf,
    copies: u32,
    store: PartStore,
    expected: Map<Vec<u8>>,
}

fn options() -> Options {
    Options::cos()
        .min_part_size(0)
        .numbering(Numbering::Ascending)
        .background(Background::Host)
        .journal_sizes(4096, 0)
}

impl Run {
    fn new() -> Self {
        let dir = scratch();
        let root = dir.path().join("data");
        let store = options().open(&root).expect("open");
        Self {
            dir,
            root,
            copies: 0,
            store,
            expected: Map::default(),
        }
    }

    fn call(&mut self, call: &Call) {
        match *call {
            Call::Initiate { key, metadata } => {
                let key = ["a", "a/b", "b/"][usize::from(key % 3)];
                let metadata = vec![7; usize::from(metadata % 8193)];
                let upload = self
                    .store
                    .initiate_upload_with(key, &metadata)
                    .expect("initiate");
                let info = self.store.upload(&upload).expect("upload");
                assert_eq!((&info.upload, &info.metadata), (&upload, &metadata));
                self.expected.initiate(info);
            }
            Call::Put { slot, number, body } => {
                let Some((upload, number)) = self.target(slot, number) else {
                    return;
                };
                let answer = self.store.put_part(&upload, number, body.bytes());
                self.keep(&upload, answer, body.bytes());
            }
            Call::Write {
                slot,
                number,
                body,
                split,
                finish,
            } => {
                let Some((upload, number)) = self.target(slot, number) else {
                    return;
                };
                self.write(&upload, number, &body.bytes(), split.into(), finish);
            }
            Call::Sweep => drop(self.store.sweep().expect("sweep")),
            Call::Maintain => drop(self.store.maintain().expect("maintain")),
            Call::Reopen {
                killed,
                without_index,
            } => self.reopen(killed, without_index),
            Call::Complete { slot, .. } | Call::Abort { slot } | Call::Remove { slot } => {
                let Some((upload, _)) = self.target(slot, 1) else {
                    return;
                };
                self.end(&upload, call);
            }
        }
    }

    fn target(&self, slot: u8, number: u8) -> Option<(Upload, PartNumber)> {
        let names = &self.expected.names;
        let upload = names.get(usize::from(slot) % names.len().max(1))?;
        Some((
            upload.clone(),
            PartNumber::new(u32::from(number % 5) + 1).expect("a number"),
        ))
    }

    fn is_open(&self, upload: &Upload) -> bool {
        self.expected.open(upload).is_some()
    }

    fn keep(&mut self, upload: &Upload, answer: partstore::Result<Part>, bytes: Vec<u8>) {
        assert_eq!(answer.is_ok(), self.is_open(upload));
        if let Ok(part) = answer {
            self.expected.put(upload, part, bytes);
        }
    }

    fn write(&mut self, upload: &Upload, at: PartNumber, bytes: &[u8], split: usize, finish: bool) {
        let Ok(mut writer) = self.store.part_writer(upload, at, PartOptions::new()) else {
            assert!(!self.is_open(upload));
            return;
        };
        let (first, rest) = bytes.split_at(split.min(bytes.len()));
        writer.write_all(first).expect("write");
        writer.write_all(rest).expect("write");
        if finish {
            let answer = writer.finish();
            self.keep(upload, answer, bytes.to_vec());
        }
    }

    /// Completes, aborts or removes.
    fn end(&mut self, upload: &Upload, call: &Call) {
        let open = self.is_open(upload);
        match *call {
            Call::Complete { mask, .. } if open => {
                let entry = self.expected.entries.get_mut(upload).expect("open");
                let is_listed = |number: &PartNumber| mask >> (number.get() % 8) & 1 == 1;
                let parts = entry.parts.iter().filter(|(number, _)| is_listed(number));
                let list: Vec<CompletedPart> = parts.map(|(_, (part, _))| part.into()).collect();
                let answer = self.store.complete_upload(upload, &list);
                assert_eq!(answer.is_ok(), !list.is_empty());
                if let Ok(object) = answer {
                    assert!(self.store.complete_upload(upload, &list).is_ok());
                    entry.complete(list, object);
                }
            }
            Call::Abort { .. } => {
                let answer = self.store.abort_upload(upload);
                assert_eq!(answer.is_ok(), self.expected.abort(upload));
            }
            Call::Remove { .. } => {
                let answer = self.store.remove_object(upload);
                assert_eq!(answer.is_ok(), self.expected.remove(upload));
            }
            _ => {}
        }
    }

    fn reopen(&mut self, killed: bool, without_index: bool) {
        self.copies += 1;
        let copy = self.dir.path().join(format!("copy-{}", self.copies));
        if killed {
            copy_tree(&self.root, &copy);
        }
        self.store.close().expect("close");
        if killed {
            fs::remove_dir_all(&self.root).expect("remove");
            self.root = copy;
        }
        if without_index {
            fs::remove_dir_all(self.root.join("meta/index")).expect("remove");
        }
        self.store = options().open(&self.root).expect("open again");
    }

    fn compare(&self) {
        let listed = self
            .store
            .list_uploads(&ListUploads::new())
            .expect("list")
            .uploads;
        assert!(
            listed
                .iter()
                .eq(self.expected.open_uploads().map(|entry| &entry.info))
        );
        let objects = self
            .store
            .list_objects(&ListObjects::new())
            .expect("list")
            .objects;
        assert!(objects.iter().eq(self.expected.objects()));
        for (upload, entry) in &self.expected.entries {
            let mut read = Vec::new();
            let bytes: Vec<u8> = entry
                .parts
                .values()
                .flat_map(|(_, bytes)| bytes.clone())
                .collect();
            if entry.object.is_some() {
                let mut reader = self.store.open_object(upload).expect("an object");
                reader.read_to_end(&mut read).expect("read");
            } else {
                let page = self
                    .store
                    .list_parts(upload, &ListParts::new())
                    .expect("list");
                assert!(
                    page.parts
                        .iter()
                        .eq(entry.parts.values().map(|(part, _)| part))
                );
                for number in entry.parts.keys() {
                    let mut reader = self.store.open_part(upload, *number).expect("a part");
                    reader.read_to_end(&mut read).expect("read");
                }
            }
            assert!(read == bytes);
        }
        self.store.sweep().expect("sweep");
        assert_eq!(blob_files(&self.root), self.expected.contents());
        assert!(
            self.store
                .verify(Scope::Everything)
                .expect("verify")
                .is_clean()
        );
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("create");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("list");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

fn blob_files(root: &Path) -> BTreeSet<String> {
    let list = |dir: &Path| {
        fs::read_dir(dir)
            .expect("list")
            .map(|entry| entry.expect("list"))
    };
    list(&root.join("blobs"))
        .flat_map(|dir| list(&dir.path()))
        .map(|file| file.file_name().into_string().expect("hex"))
        .collect()
}

fuzz_target!(|calls: Vec<Call>| {
    let mut run = Run::new();
    for call in calls.iter().take(40) {
        run.call(call);
    }
    run.compare();
    run.reopen(true, false);
    run.compare();
});
