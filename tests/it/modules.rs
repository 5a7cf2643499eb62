//! Arrows between modules point one way: the modules of a directory use each other without a cycle.
//!
//! Read from the sources: each path that begins with `crate::`, `super::` or `self::` is an arrow. Uses of a
//! parent by its children, and of children by their parent, are one concept and no arrows. Tests and links of
//! the documentation do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub type Module = Vec<String>;

/// Values know each other: an error names a part number, and parsing one gives an error.
const ONE_CONCEPT: &str = "values";

#[test]
fn modules_use_each_other_without_a_cycle() {
    let mut arrows: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, to) in uses() {
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if shared < from.len() && shared < to.len() && (shared == 0 || from[0] != ONE_CONCEPT) {
            let (from, to) = (from[..=shared].to_vec(), to[..=shared].to_vec());
            arrows.entry(from).or_default().insert(to);
        }
    }
    let edges: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(
        edges > 100,
        "{edges} arrows: the sources are not understood"
    );
    // What uses nothing any more is taken away, until nothing is left.
    loop {
        let users: BTreeSet<Module> = arrows.keys().cloned().collect();
        let before = edges_of(&arrows);
        for to in arrows.values_mut() {
            to.retain(|module| users.contains(module));
        }
        arrows.retain(|_, to| !to.is_empty());
        if edges_of(&arrows) == before {
            break;
        }
    }
    assert!(arrows.is_empty(), "a cycle is among these: {arrows:#?}");
}

fn edges_of(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> usize {
    arrows.values().map(BTreeSet::len).sum()
}

/// Which module names which, once for each place in the code.
pub fn uses() -> Vec<(Module, Module)> {
    let sources = sources();
    assert!(sources.len() > 50, "{} modules", sources.len());
    let exported = exported(&sources[&Module::new()]);
    let mut uses = Vec::new();
    for (from, code) in sources.iter().filter(|(from, _)| !from.is_empty()) {
        for mut to in paths(from, code) {
            if let Some(at) = to.first().and_then(|name| exported.get(name)) {
                to.clone_from(at);
            }
            while !to.is_empty() && !sources.contains_key(&to) {
                to.pop();
            }
            uses.extend((!to.is_empty()).then(|| (from.clone(), to)));
        }
    }
    uses
}

/// All modules of the crate with their code; the root is the empty path.
fn sources() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut directories) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                directories.push(path);
            } else if !["tests", "fuzzing"].contains(&&*name) {
                let code = std::fs::read_to_string(&path).unwrap();
                found.insert(module_of(&root, &path), without_tests(&code));
            }
        }
    }
    found
}

fn module_of(root: &Path, file: &Path) -> Module {
    let path: PathBuf = file.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = path
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    if module == ["lib"] || module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// The code without comments, unit tests, and what only the documentation names.
fn without_tests(code: &str) -> String {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut kept = String::new();
    for (at, part) in code.split("#[cfg(doc)]\n").enumerate() {
        let part = match part.split_once(';') {
            Some((_, behind)) if at > 0 => behind,
            _ => part,
        };
        for line in part.lines().filter(|line| !line.trim().starts_with("//")) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Which module each name comes from that the root exports: other modules use it as `crate::Name`.
fn exported(root: &str) -> BTreeMap<String, Module> {
    let mut names = BTreeMap::new();
    for line in root.split("pub use ").skip(1) {
        for mut path in tree(line.split(';').next().unwrap()) {
            let name = path.pop().unwrap();
            names.insert(name, path);
        }
    }
    names
}

/// The modules and items that the code of a module names.
fn paths(from: &Module, code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_word =
                |end: &str| end.ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
            if is_word(&code[..at]) {
                continue;
            }
            found.extend(
                tree(&code[at..])
                    .into_iter()
                    .map(|path| absolute(from, path)),
            );
        }
    }
    found
}

fn absolute(from: &Module, path: Module) -> Module {
    let mut absolute = match path.first().map(String::as_str) {
        Some("crate") => Module::new(),
        _ => from.clone(),
    };
    for name in path {
        match &*name {
            "crate" | "self" => {}
            "super" => drop(absolute.pop()),
            _ => absolute.push(name),
        }
    }
    absolute
}

/// The paths of a `use` tree, or of a path in code, that the text begins with.
fn tree(text: &str) -> Vec<Module> {
    let (mut done, mut open, mut path) = (Vec::new(), Vec::new(), Module::new());
    let mut rest = text;
    loop {
        let (name, behind) = word(rest);
        if name == "as" {
            // An alias is no name of a module.
            rest = word(behind).1;
        } else {
            path.extend((!name.is_empty()).then(|| name.to_owned()));
            rest = behind.trim_start();
        }
        match rest.chars().next() {
            Some(':') if rest.starts_with("::") => rest = &rest[2..],
            Some('{') if path.len() > open.last().map_or(0, Vec::len) => {
                open.push(path.clone());
                rest = &rest[1..];
            }
            Some(end @ (',' | '}')) if !open.is_empty() => {
                let prefix = open.last().cloned().unwrap();
                let named = std::mem::replace(&mut path, prefix);
                // Behind a closed list nothing is named.
                done.extend((named.len() > path.len()).then_some(named));
                if end == '}' {
                    open.pop();
                    path = open.last().cloned().unwrap_or_default();
                }
                rest = &rest[1..];
            }
            _ => {
                done.extend((!path.is_empty()).then_some(path));
                return done;
            }
        }
    }
}

/// The name that the text begins with, which may be empty, and what is behind it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text.split_at(end.unwrap_or(text.len()))
}

/// The other two layer laws, that only `local::file` names `std::fs` and only the index names sled, are clippy's.
#[test]
fn only_the_file_layer_names_rustix() {
    let names_it = |code: &String| code.contains("rustix::");
    let sources = sources().into_iter().filter(|(_, code)| names_it(code));
    let modules: BTreeSet<String> = sources.map(|(module, _)| module[..2].join("::")).collect();
    assert_eq!(modules, BTreeSet::from(["local::file".to_owned()]));
}
