//! The layers of `docs/architecture.md` are those of the sources: each module uses only what is drawn below it.

use std::collections::{BTreeSet, HashMap};

use crate::modules::uses;

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

#[test]
fn each_module_uses_only_what_is_drawn_below_it() {
    let layers = drawn();
    let is_drawn = |module: &str| layers.contains_key(module) || module == "fuzzing";
    let missing: Vec<_> = declared().filter(|module| !is_drawn(module)).collect();
    assert_eq!(missing, [""; 0], "the page does not draw these");
    let (mut wrong, mut edges) = (BTreeSet::new(), 0);
    for (from, to) in uses() {
        let (own, target) = (layers.get(&*from[0]), layers.get(&*to[0]));
        if from[0] == to[0] || own.is_none() || target.is_none() {
            continue;
        }
        edges += 1;
        if target <= own {
            wrong.insert(format!("{} uses {}", from.join("::"), to[0]));
        }
    }
    assert!(
        edges > 200,
        "only {edges} uses were found: they are not read"
    );
    assert_eq!(wrong, BTreeSet::new(), "these go up, or sideways");
}
