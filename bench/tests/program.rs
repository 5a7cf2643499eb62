//! Each subcommand on small sizes: it ends well, and its table has the rows that were asked for.

use std::process::Command;

/// Runs the program in a directory of its own; the rows of its table, as cells.
fn rows(words: &[&str]) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut program = Command::new(env!("CARGO_BIN_EXE_partstore-bench"));
    program.args(words).arg("--dir").arg(dir.path());
    let ended = program.output().expect("the program");
    let printed = String::from_utf8_lossy(&ended.stdout);
    let failure = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{printed}{failure}");
    assert!(printed.starts_with("machine: "), "{printed}");
    let left = dir.path().read_dir().expect("the directory").count();
    assert_eq!(left, 0, "files were left behind");
    let table = printed.lines().filter(|line| line.starts_with('|'));
    // After the head and the dashes below it.
    table.skip(2).map(cells).collect()
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim_matches('|');
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// A row's rate must be one; which one depends on the machine.
fn is_rate(cell: &str) -> bool {
    cell.parse().is_ok_and(|rate: f64| rate > 0.0)
}

#[test]
fn ingest_has_a_row_for_each_size_and_number_of_streams() {
    let load = "ingest --rounds 1 --mib 4 --sizes 1,2 --streams 3";
    let rows = rows(&load.split(' ').collect::<Vec<_>>());
    let cases: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(cases, ["1 MiB × 3", "2 MiB × 3"]);
    assert!(rows.iter().all(|row| row.len() == 25 && is_rate(&row[1])));
}

#[test]
fn figures_name_what_they_measure() {
    let rows = rows(&["figures", "bodies", "--body-mib", "1"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][0], "32 bodies of 1 MiB at once");
    assert!(rows[0][1].ends_with("MiB resident at the peak"));
}

#[test]
fn pages_of_keys_and_starts_of_the_server_are_timed() {
    let rows = rows(&["keys", "--keys", "4000"]);
    let figures: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    let expected = [
        "`put_object`, 4000 keys, 64 threads",
        "`list_keys`, a page of 1,000 keys",
        "a page of one common prefix, half of all keys",
        "a page of 1,000 common prefixes",
        "`open` after a clean close",
        "start of the server to its first answer",
    ];
    assert_eq!(figures, expected);
    let timed = rows.iter().map(|row| row[1].split(' ').next());
    assert!(timed.flatten().all(|figure| figure.parse::<f64>().is_ok()));
}

#[test]
fn the_server_stands_beside_the_store_and_a_sink() {
    let load = "server --rounds 1 --mib 4 --sizes 1 --streams 2";
    let rows = rows(&load.split(' ').collect::<Vec<_>>());
    let ways: Vec<_> = rows.iter().map(|row| row[1].as_str()).collect();
    let expected = [
        "store, `put_part`",
        "store, as streams",
        "server, S3",
        "server, COS",
        "`sink`",
        "floor: `sink`, then the store",
    ];
    assert_eq!(ways, expected);
    assert!(rows.iter().all(|row| is_rate(&row[2])));
}
