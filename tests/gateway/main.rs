//! The example `cos_gateway`, as a process, spoken to over its socket.

mod calls;
mod client;
mod fixture;
mod watch;

mod completions;
mod cut;
mod expect;
mod heads;
mod names;
mod reads;
mod refusals;
mod upload_part;
