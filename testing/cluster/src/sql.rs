//! Statements on a connection of one's own.

use tokio_postgres::{Client, NoTls, Row};

/// Runs a script in which `ps.` stands for the schema.
///
/// # Errors
/// What the database says.
pub fn run(database: &str, schema: &str, script: &str) -> Result<(), tokio_postgres::Error> {
    let script = script.replace("ps.", &format!("{schema}."));
    with(database, async |client| client.batch_execute(&script).await)
}

/// The rows of one query.
pub fn query(database: &str, schema: &str, query: &str) -> Vec<Row> {
    let query = query.replace("ps.", &format!("{schema}."));
    with(database, async |client| {
        client.query(&query, &[]).await.unwrap()
    })
}

/// Works with a connection.
pub fn with<T>(database: &str, work: impl AsyncFnOnce(&Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
        tokio::spawn(connection);
        work(&client).await
    })
}
