//! The example `cos_gateway`, as a process, spoken to over its socket.

mod fixture;
mod readme;
