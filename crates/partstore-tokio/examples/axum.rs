//! A server of objects on axum: `PUT /KEY` stores a body, `GET /KEY` reads it. Nothing of either is held in memory.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use partstore::{Error, ObjectOptions, Options};
use partstore_tokio::{AsyncOptions, AsyncPartStore};

type Answer<T> = Result<T, (StatusCode, String)>;

fn refused(error: &Error) -> (StatusCode, String) {
    let status = StatusCode::from_u16(error.http_status()).unwrap_or_default();
    (status, error.one_line())
}

async fn put(store: State<AsyncPartStore>, Path(key): Path<String>, body: Body) -> Answer<String> {
    let stored = store.put_object_stream(key, body.into_data_stream(), ObjectOptions::new());
    Ok(stored.await.map_err(|error| refused(&error))?.etag.quoted())
}

async fn read(store: State<AsyncPartStore>, Path(key): Path<String>) -> Answer<Body> {
    let bytes = store
        .get_key(key, ..)
        .await
        .map_err(|error| refused(&error))?;
    Ok(Body::from_stream(
        bytes.begun().await.map_err(|error| refused(&error))?,
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = AsyncPartStore::open("data", Options::s3(), AsyncOptions::new()).await?;
    let app = Router::new().route("/{*key}", get(read).put(put));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, app.with_state(store)).await?;
    Ok(())
}
