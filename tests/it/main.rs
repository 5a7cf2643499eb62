//! All tests of the crate's behaviour, as one binary.

mod fixture;
mod lifecycle;
mod list_parts;
mod model;
mod put;
