//! `s3s-fs`: an S3 server over files, called below HTTP.
//!
//! In 0.14.1, `upload_part` of `src/s3.rs` copies the body to a temporary file, flushes the writer and
//! renames (`copy_bytes` of `src/utils.rs`, `FileWriter::done` of `src/fs.rs`). Nothing in the crate calls
//! a sync. The MD5 goes into the answer and is not kept.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use futures::stream;
use http::{Extensions, HeaderMap, Method, Uri};
use partstore_bench::{Taker, Way};
use s3s::dto::{CreateBucketInput, CreateMultipartUploadInput, StreamingBlob, UploadPartInput};
use s3s::{S3, S3Request};
use s3s_fs::FileSystem;
use tokio::runtime::Runtime;

use super::{Class, Peer};

pub fn upload_part() -> Peer {
    Peer {
        name: "s3s-fs 0.14.1 `upload_part`",
        class: Class::D,
        durable: "nothing",
        hashes: "MD5",
        is_disk: false,
        way: Way::new(|dir, _| Server::open(dir)),
    }
}

const BUCKET: &str = "bench";
const KEY: &str = "object";

struct Server {
    files: FileSystem,
    upload: String,
    runtime: Runtime,
}

impl Server {
    fn open(dir: &Path) -> Self {
        let files = FileSystem::new(dir).expect("a store");
        let runtime = Runtime::new().expect("a runtime");
        let bucket = CreateBucketInput {
            bucket: BUCKET.to_owned(),
            ..CreateBucketInput::default()
        };
        let upload = CreateMultipartUploadInput {
            bucket: BUCKET.to_owned(),
            key: KEY.to_owned(),
            ..CreateMultipartUploadInput::default()
        };
        let upload = runtime.block_on(async {
            files.create_bucket(request(bucket)).await?;
            files.create_multipart_upload(request(upload)).await
        });
        let upload = upload.expect("an upload").output.upload_id;
        Self {
            files,
            upload: upload.expect("an id"),
            runtime,
        }
    }
}

impl Taker for Server {
    /// The thread that asks drives the call, so that the hashing of so many streams is on so many
    /// threads; the files are written on those that the runtime keeps for blocking.
    fn take(&self, number: u32, part: &Bytes) {
        let part = UploadPartInput {
            bucket: BUCKET.to_owned(),
            key: KEY.to_owned(),
            upload_id: self.upload.clone(),
            part_number: number.cast_signed(),
            content_length: i64::try_from(part.len()).ok(),
            body: Some(body(part)),
            ..UploadPartInput::default()
        };
        let answer = self.files.upload_part(request(part));
        self.runtime.block_on(answer).expect("a part");
    }
}

/// Pieces of 1 MiB, so that one is hashed while the one before is written; with the whole part at once, or
/// with pieces as small as a socket gives, the store is no faster.
fn body(part: &Bytes) -> StreamingBlob {
    const PIECE: usize = 1 << 20;
    let part = part.clone();
    let pieces = (0..part.len()).step_by(PIECE).map(move |at| {
        let end = part.len().min(at + PIECE);
        Ok::<_, Infallible>(part.slice(at..end))
    });
    StreamingBlob::wrap(stream::iter(pieces))
}

fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::PUT,
        uri: Uri::default(),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}
