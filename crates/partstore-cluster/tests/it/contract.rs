//! The contract of `partstore::backend`, whole, on PostgreSQL: with files, with a bucket in memory, and with one
//! of an S3 server.

mod files {
    partstore_contract::contract!(crate::support::files);
}

mod bucket {
    partstore_contract::contract!(crate::support::bucket);
}

mod s3 {
    partstore_contract::contract!(crate::support::s3);
}

/// The model, on three servers that take turns.
#[test]
fn three_servers_that_take_turns_answer_as_a_map_would() {
    use partstore_contract::cases::model;
    partstore_contract::run(
        crate::support::three,
        model::any_sequence_of_calls_answers_as_a_map_would,
    );
}
