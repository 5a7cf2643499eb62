//! The server as a process, spoken to over its socket.

mod calls;
mod client;
mod fixture;
mod process;
mod process_stats;
mod readme;
mod skipped;

mod appends;
mod clients;
mod completions;
mod copies;
mod cos_clients;
mod damage;
mod deletions;
mod expect;
mod heads;
mod kills;
mod large_lists;
mod layout;
mod load;
mod logs;
mod many_keys;
mod names;
mod pages;
mod parameters;
mod protocol;
mod reads;
mod refusals;
mod s3;
mod sdk;
mod shutdown;
mod starts;
mod truncated_requests;
mod upload_part;
mod writes;
