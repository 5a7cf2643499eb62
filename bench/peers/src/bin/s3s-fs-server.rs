//! `s3s-fs` behind HTTP, for `partstore-bench objects`: `s3s-fs-server DIR`, on a port of the system's choice.
//!
//! It is the program of that crate without its command line. The key pair is that of the bench.

use std::io::{self, Write};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use partstore_bench::{KEY_ID, SECRET};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

fn main() -> io::Result<()> {
    let root = std::env::args_os().nth(1).expect("a directory");
    let files = FileSystem::new(root).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    let service = service.build();
    Runtime::new()?.block_on(serve(service))
}

async fn serve(service: S3Service) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        // Its program leaves this to the system; the client then waits for 40 ms at times.
        socket.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(socket), service.clone());
        tokio::spawn(async move {
            // A client that leaves is no failure.
            let _ = connection.await;
        });
    }
}
