//! Statements of a test on its own connection.

use tokio_postgres::{NoTls, Row};

/// Runs statements.
pub fn run_all(statements: impl IntoIterator<Item = String>) {
    let script: Vec<_> = statements.into_iter().collect();
    run(&script.join(";"));
}

/// Runs a script.
pub fn run(script: &str) {
    with(async |client| client.batch_execute(script).await.unwrap());
}

/// The rows of one query.
pub fn query(sql: &str) -> Vec<Row> {
    with(async |client| client.query(sql, &[]).await.unwrap())
}

/// Runs a script on a database that is not the tests' common one.
pub fn run_at(address: &str, script: &str) {
    with_at(address, async |client| {
        client.batch_execute(script).await.unwrap();
    });
}

/// The rows of one query there.
pub fn query_at(address: &str, sql: &str) -> Vec<Row> {
    with_at(address, async |client| {
        client.query(sql, &[]).await.unwrap()
    })
}

fn with<T>(work: impl AsyncFnOnce(&tokio_postgres::Client) -> T) -> T {
    with_at(&super::database(), work)
}

fn with_at<T>(address: &str, work: impl AsyncFnOnce(&tokio_postgres::Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(address, NoTls).await.unwrap();
        tokio::spawn(connection);
        work(&client).await
    })
}
