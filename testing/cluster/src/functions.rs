//! The functions of the catalog, changed: with naps between their statements, or without one of their steps.

/// The functions as they are. `ps.` stands for the schema.
pub const FUNCTIONS: &str = concat!(
    include_str!("../../../crates/partstore-cluster/sql/functions-v1.sql"),
    include_str!("../../../crates/partstore-cluster/sql/functions-v2.sql"),
    include_str!("../../../crates/partstore-cluster/sql/functions-v3.sql")
);

/// A nap that leaves `FOUND` as it is: mostly none, up to 30 ms.
const NAP: &str = " IF (SELECT count(*) FROM pg_sleep(CASE WHEN random() < 0.2 THEN random() * 0.03 ELSE 0 END)) < 0 THEN NULL; END IF;";

/// Functions that only list, whose naps would widen nothing.
const WITHOUT_NAPS: [&str; 3] = ["page_v1", "inconsistent_v1", "inconsistent_v2"];

/// Behind each statement of a function that stands on lines of its own, a nap.
pub fn with_naps(functions: &str) -> String {
    let (mut napping, mut in_body, mut listed) = (String::new(), false, false);
    for line in functions.lines() {
        if let Some(declared) = line.strip_prefix("CREATE OR REPLACE FUNCTION ps.") {
            listed = WITHOUT_NAPS.iter().any(|name| declared.starts_with(name));
        }
        in_body = !listed && (in_body || line.trim() == "BEGIN") && !line.starts_with("END $$");
        napping.push_str(line);
        if in_body && line.ends_with(';') {
            napping.push_str(NAP);
        }
        napping.push('\n');
    }
    napping
}

/// The functions with one text of one of them replaced.
///
/// # Panics
/// It is not there, or more than once.
pub fn with_change(functions: &str, function: &str, from: &str, to: &str) -> String {
    let begin = functions.find(&format!("FUNCTION ps.{function}("));
    let begin = begin.unwrap_or_else(|| panic!("there is no function {function}"));
    let end = functions[begin..]
        .find("\nCREATE OR REPLACE")
        .map_or(functions.len(), |len| begin + len);
    let body = &functions[begin..end];
    assert_eq!(
        body.matches(from).count(),
        1,
        "{function} has `{from}` once"
    );
    [
        &functions[..begin],
        &body.replace(from, to),
        &functions[end..],
    ]
    .concat()
}
