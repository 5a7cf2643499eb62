//! A case that is not in the list would be a test that nobody runs.

use std::path::Path;

#[test]
fn each_case_is_listed() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let list = std::fs::read_to_string(sources.join("list.rs")).unwrap();
    let mut cases = 0;
    for entry in std::fs::read_dir(sources.join("cases")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let case = line
                .strip_prefix("pub fn ")
                .and_then(|rest| rest.strip_suffix("() {"));
            if let Some(case) = case {
                cases += 1;
                assert!(list.contains(&format!("{case},")), "{case} is not listed");
            }
        }
    }
    assert!(cases > 150, "only {cases} cases were found");
}
