//! What a store must hold, by the calls that were made and what they answered.
//!
//! [`map`] is for calls that come one after the other: what each must answer is known. [`history`] is for calls
//! that run at the same time or are cut off: of what they may have left, more than one thing is right.

pub mod history;
pub mod map;
