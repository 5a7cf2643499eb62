//! `completions` and `man`: they need no store.

use std::process::Command;

use crate::fixture::{Fixture, PROGRAM, Ran, names};

#[test]
fn completions_and_man_pages_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Ran::of(
            Command::new(PROGRAM)
                .args(["completions", shell])
                .output()
                .unwrap(),
        );
        assert!(ran.ok().contains("salvage"), "{shell}");
    }
    let page = Ran::of(Command::new(PROGRAM).arg("man").output().unwrap()).ok();
    assert!(
        page.contains("Exit codes") && page.contains("damage was found"),
        "{page}"
    );
    let fixture = Fixture::without_store();
    fixture.run(["man", "--dir", "man"]).ok();
    let pages = names(&fixture.path("man"));
    assert!(
        pages.contains(&"partstore.1".into()) && pages.contains(&"partstore-verify.1".into()),
        "{pages:?}"
    );
}
