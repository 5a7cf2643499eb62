//! The protocol of Tencent COS.
//!
//! A request passes through [`service`] (what is asked for, by [`request`] and [`signature`]), and one of
//! [`operations`]. From there [`body`] calls the store. Errors come back as [`refusal`]s.

pub mod answer;
pub mod body;
mod bucket;
mod conditions;
mod document;
mod honoured;
mod lifecycle;
pub mod metadata;
pub mod operations;
mod parameters;
mod policy;
pub mod refusal;
mod request;
pub mod service;
pub mod signature;
pub mod spelling;
mod xml;
