//! The contract of `partstore::backend`, on both engines of this tree.

mod embedded {
    partstore_contract::contract!(partstore_contract::embedded);
}

mod memory {
    partstore_contract::contract!(partstore_memory::engine);
}
