//! Who signs a request, and which bucket its host names.

use std::sync::Arc;

use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};

use crate::rules::Current;

/// Secrets, by the rules that hold now.
pub struct Secrets(pub Arc<Current>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let rules = self.0.get();
        let keys = rules.keys.as_ref();
        let secret = keys.and_then(|keys| keys.secret(access_key));
        let unknown = || s3_error!(InvalidAccessKeyId, "there is no such access key");
        secret.map(SecretKey::from).ok_or_else(unknown)
    }
}

/// Hosts of the server's own domains: the labels before one are a bucket. In all other hosts the path begins with it.
pub struct Domains(pub Arc<Current>);

impl Domains {
    /// The labels of a host before one of the domains.
    pub fn bucket_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let rules = self.0.get();
        rules.domains.iter().find_map(|domain| {
            let before = name.len().checked_sub(domain.len())?;
            let (labels, own) = name.split_at_checked(before)?;
            let bucket = labels.strip_suffix('.')?;
            (own.eq_ignore_ascii_case(domain) && !bucket.is_empty()).then_some(bucket)
        })
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.bucket_of(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}
