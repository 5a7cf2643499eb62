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

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let rules = self.0.get();
        for domain in &rules.domains {
            let before = name.len().checked_sub(domain.len());
            let Some((labels, own)) = before.and_then(|at| name.split_at_checked(at)) else {
                continue;
            };
            if let (true, Some(bucket)) = (
                own.eq_ignore_ascii_case(domain),
                labels.strip_suffix('.').filter(|bucket| !bucket.is_empty()),
            ) {
                return Ok(VirtualHost::new(own).with_bucket(bucket));
            }
        }
        Ok(VirtualHost::new(host))
    }
}
