//! The layers of `docs/architecture.md` are those of the sources: each module uses only what is drawn below it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/architecture.md");
const LIB: &str = include_str!("../../src/lib.rs");

/// The layer of each module, from the top, as the page draws them.
fn drawn() -> HashMap<&'static str, usize> {
    let (_, section) = PAGE.split_once("\n## Layers\n").expect("the section");
    let picture = section.split("```").nth(1).expect("the picture");
    let mut layers = HashMap::new();
    for (layer, row) in picture.lines().skip(1).enumerate() {
        // What the row is for follows the modules. Its first word may be that of a module above.
        for module in row.split_whitespace().take_while(|word| is_module(word)) {
            layers.entry(module).or_insert(layer);
        }
    }
    layers
}

fn is_module(name: &str) -> bool {
    declared().any(|declared| declared == name)
}

/// The modules that `lib.rs` declares.
fn declared() -> impl Iterator<Item = &'static str> {
    let lines = LIB.lines().map(|line| line.trim_start_matches("pub "));
    lines.filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
}

/// The module of each name that `lib.rs` exports.
fn exported() -> HashMap<&'static str, &'static str> {
    let exports = LIB.split("\npub use ").skip(1);
    exports
        .flat_map(|export| {
            let (module, rest) = export.split_once("::").expect("a module");
            let names = rest.split(';').next().unwrap_or_default();
            words(names).map(move |name| (name, module))
        })
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The code that users get: without comments, tests, and what only the documentation or a fuzzer needs.
fn code(path: &Path) -> String {
    let source = fs::read_to_string(path).expect("a source file");
    let mut code = String::new();
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        match line {
            "#[cfg(test)]" if lines.clone().next().is_some_and(|next| next.ends_with('{')) => break,
            "#[cfg(test)]" | "#[cfg(doc)]" | "#[cfg(fuzzing)]" => {
                // The whole item, when it is an import.
                while lines.next().is_some_and(|line| !line.ends_with(';')) {}
            }
            _ if line.starts_with("//") => {}
            _ => {
                code.push_str(line);
                code.push('\n');
            }
        }
    }
    code
}

/// The first names of all paths of the code that begin with `crate::`.
fn used(code: &str) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let Some(group) = path.strip_prefix('{') else {
            used.extend(words(path).next());
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !c.is_whitespace() => {
                    used.extend(words(&group[at..]).next());
                    begins = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_module_uses_only_what_is_drawn_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (layers, exported) = (drawn(), exported());
    let is_drawn = |module: &str| layers.contains_key(module) || module == "fuzzing";
    let missing: Vec<_> = declared().filter(|module| !is_drawn(module)).collect();
    assert_eq!(missing, [""; 0], "the page does not draw these");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut edges) = (BTreeSet::new(), 0);
    for path in files {
        let inside = path.strip_prefix(&root).expect("a path below src");
        let first = inside.iter().next().and_then(|name| name.to_str());
        let module = first.unwrap_or_default().trim_end_matches(".rs");
        let Some(own) = layers.get(module) else {
            continue;
        };
        for name in used(&code(&path)) {
            let target = exported.get(name).copied().unwrap_or(name);
            let Some(layer) = layers.get(target) else {
                continue;
            };
            edges += 1;
            if target != module && layer <= own {
                wrong.insert(format!("{} uses {target}", inside.display()));
            }
        }
    }
    assert!(
        edges > 200,
        "only {edges} uses were found: they are not read"
    );
    assert_eq!(wrong, BTreeSet::new(), "these go up, or sideways");
}
