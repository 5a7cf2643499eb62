//! A disk that crashes: the [log] of what was asked of it, and what a crash may leave under a
//! [loss policy](loss::Policy).

pub mod image;
pub mod log;
pub mod loss;
