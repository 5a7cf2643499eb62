//! The lines of the README.

use std::process::{Command, Stdio};

use crate::fixture::Server;
use crate::skipped::skipped;

const README: &str = include_str!("../../README.md");

/// The lines for a shell, each with what the README says that it prints.
fn lines() -> Vec<(&'static str, &'static str)> {
    // Those before start the server, or need programs that not everybody has.
    let (_, requests) = README
        .split_once("\n## Requests of COS\n")
        .expect("the section");
    let blocks: Vec<_> = requests.split("```").collect();
    // Text and blocks take turns.
    let blocks: Vec<_> = blocks.chunks(2).filter_map(|pair| pair.get(1)).collect();
    let mut lines = Vec::new();
    for block in blocks {
        match (block.strip_prefix("sh\n"), block.strip_prefix("text\n")) {
            (Some(sh), _) => lines.push((sh, "")),
            (_, Some(text)) => lines.last_mut().expect("lines before what they print").1 = text,
            _ => {}
        }
    }
    lines
}

/// Whether `line` is `expected`, where `…` stands for anything.
fn matches(line: &str, expected: &str) -> bool {
    let mut pieces = expected.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let at = if pieces.peek().is_none() {
            rest.rfind(piece)
        } else {
            rest.find(piece)
        };
        match at {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn the_lines_of_the_readme_print_what_they_say() {
    if Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        skipped("curl is not installed");
        return;
    }
    let server = Server::start(&[]);
    let scratch = tempfile::tempdir().unwrap();
    let lines = lines();
    let script = lines.iter().map(|(sh, _)| *sh).chain([""]);
    let script = script.collect::<Vec<_>>().join("echo '-- end'\n");
    let run = Command::new("bash")
        .args(["-c", &script])
        .env("COS", format!("http://{}", server.address))
        .current_dir(scratch.path())
        .output()
        .unwrap();
    let (printed, said) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert_eq!(said, "");
    let printed: Vec<_> = printed.split("-- end\n").collect();
    assert_eq!(printed.len(), lines.len() + 1);
    for ((sh, expected), printed) in lines.iter().zip(printed) {
        let printed: Vec<_> = printed.lines().map(str::trim_end).collect();
        let expected: Vec<_> = expected.lines().collect();
        let same = printed.len() == expected.len()
            && printed.iter().zip(&expected).all(|(a, b)| matches(a, b));
        assert!(
            same,
            "{sh}printed\n{}\ninstead of\n{}",
            printed.join("\n"),
            expected.join("\n")
        );
    }
}
