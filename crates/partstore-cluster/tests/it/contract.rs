//! The contract of `partstore::backend`, whole, on PostgreSQL with files and with a bucket in memory.

mod files {
    partstore_contract::contract!(crate::support::files);
}

mod bucket {
    partstore_contract::contract!(crate::support::bucket);
}
