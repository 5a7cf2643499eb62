//! The example `cos_gateway`, as a process, spoken to over its socket.

mod calls;
mod client;
mod fixture;
mod readme;
mod watch;

mod expect;
mod upload_part;
mod sdk;
