//! The program as a process, on real stores: what it prints, what it leaves, and its exit codes.

mod fixture;

mod asked;
mod backup;
mod cluster;
mod export;
mod generated;
mod import;
mod listings;
mod migrate;
mod objects;
mod read_only;
mod reader;
mod refusals;
mod served;
mod upkeep;
mod verify;
