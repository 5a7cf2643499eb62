//! What is seen while the work goes on: a bar on a terminal, and a line for each step.

use std::fmt::Display;

use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

/// The bar. On anything but a terminal it is not drawn.
pub fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = "{msg:<12} {wide_bar} {binary_bytes} of {binary_total_bytes} {eta:>4}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// Begins a step that goes over so many bytes.
pub fn begin(bar: &ProgressBar, step: &'static str, bytes: u64) {
    bar.reset();
    bar.set_length(bytes);
    bar.set_message(step);
}

/// Prints a line above the bar.
pub fn say(bar: &ProgressBar, line: impl Display) {
    bar.suspend(|| println!("{line}"));
}

/// One line with the error and its causes.
pub fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}

/// A size for people: `8 MiB`.
pub fn size(bytes: u64) -> String {
    BinaryBytes(bytes).to_string().replace(".00 ", " ")
}
