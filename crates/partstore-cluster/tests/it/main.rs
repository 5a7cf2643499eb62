//! Tests of the cluster engine. They need a PostgreSQL server: `PARTSTORE_PG` is the address of a database in
//! which they may make schemas. Without it each is skipped.

mod backends;
mod backups;
mod buckets;
mod contract;
mod cuts;
mod late;
mod leases;
mod marks;
mod moments;
mod observed;
mod servers;
mod setup;
mod small;
mod support;
mod sweeps;
