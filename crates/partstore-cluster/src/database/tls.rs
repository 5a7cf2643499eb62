//! TLS by rustls, for addresses that ask for it (`sslmode=require`, or `prefer` where the server has it).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use partstore::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Makes what secures connections. The server's certificate must be signed by one of the system's
/// authorities, or by one of `more`, a file in PEM.
///
/// # Errors
/// [`Error::Io`]: the file cannot be read, or has no certificate.
pub(crate) fn connector(more: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = more {
        for certificate in read(path)? {
            roots
                .add(certificate)
                .map_err(|error| refuse(path, error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(Path::new("TLS"), error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let file = File::open(path).map_err(|error| refuse(path, error))?;
    let certificates = CertificateDer::pem_reader_iter(BufReader::new(file));
    let certificates: Result<Vec<_>, _> = certificates.collect();
    certificates.map_err(|error| refuse(path, error))
}

fn refuse(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Io {
        op: "read certificates of",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}
