//! The async front, through its public API.

mod fixture;
mod hand_over;

mod backpressure;
mod bodies;
mod cancelling;
mod reads;
mod silence;
mod verbs;
