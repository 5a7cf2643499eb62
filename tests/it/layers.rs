//! The layers of `docs/architecture.md` are those of the sources: each module uses only what is drawn below it.

use std::collections::{BTreeSet, HashMap};

use crate::modules::uses;

const PAGE: &str = include_str!("../../docs/architecture.md");

/// The modules of one directory, and the picture that has them.
struct Picture {
    heading: &'static str,
    /// The source that declares them.
    declares: &'static str,
    /// The path of that module.
    parent: &'static [&'static str],
}

const PICTURES: [Picture; 2] = [
    Picture {
        heading: "\n## Layers\n",
        declares: include_str!("../../src/lib.rs"),
        parent: &[],
    },
    Picture {
        heading: "\n### The embedded engine\n",
        declares: include_str!("../../src/local/mod.rs"),
        parent: &["local"],
    },
];

impl Picture {
    /// The layer of each module, from the top, as the page draws them.
    fn layers(&self) -> HashMap<&'static str, usize> {
        let (_, section) = PAGE.split_once(self.heading).expect("the section");
        let drawing = section.split("```").nth(1).expect("the picture");
        let mut layers = HashMap::new();
        for (layer, row) in drawing.lines().skip(1).enumerate() {
            // What the row is for follows the modules. Its first word may be that of a module above.
            for module in row.split_whitespace().take_while(|word| self.has(word)) {
                layers.entry(module).or_insert(layer);
            }
        }
        layers
    }

    fn has(&self, name: &str) -> bool {
        self.modules().any(|declared| declared == name)
    }

    fn modules(&self) -> impl Iterator<Item = &'static str> {
        self.declares.lines().filter_map(|line| {
            let line = line.trim().trim_start_matches("pub ");
            let line = line.trim_start_matches("pub(crate) ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        })
    }

    /// The module of this directory that the path is in.
    fn module_of<'a>(&self, path: &'a [String]) -> Option<&'a str> {
        let (parent, rest) = path.split_at_checked(self.parent.len())?;
        let inside = parent.iter().zip(self.parent).all(|(a, b)| a == b);
        rest.first().filter(|_| inside).map(String::as_str)
    }
}

#[test]
fn each_module_uses_only_what_is_drawn_below_it() {
    let (mut wrong, mut edges) = (BTreeSet::new(), 0);
    for picture in PICTURES {
        let layers = picture.layers();
        let is_drawn = |module: &str| layers.contains_key(module) || module == "fuzzing";
        let missing: Vec<_> = picture
            .modules()
            .filter(|module| !is_drawn(module))
            .collect();
        assert_eq!(missing, [""; 0], "the page does not draw these");
        for (from, to) in uses() {
            let ends = (picture.module_of(&from), picture.module_of(&to));
            let (Some(inner), Some(outer)) = ends else {
                continue;
            };
            let (own, target) = (layers.get(inner), layers.get(outer));
            if inner == outer || own.is_none() || target.is_none() {
                continue;
            }
            edges += 1;
            if target <= own {
                wrong.insert(format!("{} uses {outer}", from.join("::")));
            }
        }
    }
    assert!(
        edges > 200,
        "only {edges} uses were found: they are not read"
    );
    assert_eq!(wrong, BTreeSet::new(), "these go up, or sideways");
}
