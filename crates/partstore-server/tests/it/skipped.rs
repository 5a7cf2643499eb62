//! Tests that need what this machine does not have.

use std::fmt::Display;
use std::io::{self, Write};

/// Says that a test is skipped, past the capture of the test harness: who runs the tests shall see it.
pub fn skipped(why: impl Display) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}
