//! Which pages of other origins may read answers: rules of the whole server, and of each bucket.
//!
//! The rules of a bucket are [`kept`] as XML.

use partstore::{Error, PartStore};
use serde::{Deserialize, Serialize};

use crate::kept;

/// The longest that rules are, bytes of XML.
pub const MAX_LEN: usize = kept::MAX_LEN;

/// The rules of a bucket, as the protocols write them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename = "CORSConfiguration")]
pub struct Configuration {
    #[serde(rename = "CORSRule", default)]
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    #[serde(rename = "ID", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "AllowedOrigin", default)]
    pub origins: Vec<String>,
    #[serde(rename = "AllowedMethod", default)]
    pub methods: Vec<String>,
    #[serde(rename = "AllowedHeader", default)]
    pub headers: Vec<String>,
    #[serde(rename = "ExposeHeader", default)]
    pub exposed: Vec<String>,
    #[serde(
        rename = "MaxAgeSeconds",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub max_age: Option<u32>,
}

impl Rule {
    /// Lets one origin do everything, and read these headers.
    pub fn everything(origin: &str, exposed: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            id: None,
            origins: vec![origin.to_owned()],
            methods: owned(&["GET", "HEAD", "PUT", "POST", "DELETE"]),
            headers: owned(&["*"]),
            exposed: owned(exposed),
            max_age: Some(600),
        }
    }

    /// Whether a page of an origin may make a request of this method.
    pub fn allows(&self, origin: &str, method: &str) -> bool {
        self.origins.iter().any(|allowed| matches(allowed, origin))
            && self.methods.iter().any(|allowed| allowed == method)
    }

    /// Whether such a request may have these headers, in a list with commas.
    pub fn allows_headers(&self, names: &str) -> bool {
        let names = names
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        let mut names = names.filter(|name| !name.is_empty());
        let allowed: Vec<_> = self
            .headers
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        names.all(|name| allowed.iter().any(|allowed| matches(allowed, &name)))
    }

    /// What the answer names as the origin that may read it.
    pub fn answered_origin<'a>(&self, origin: &'a str) -> &'a str {
        if self.origins.iter().any(|allowed| allowed == "*") {
            "*"
        } else {
            origin
        }
    }

    /// Says what is wrong with a rule.
    pub fn check(&self) -> Result<(), &'static str> {
        let stars = |text: &String| text.matches('*').count();
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err("a rule has an AllowedOrigin and an AllowedMethod");
        }
        if self
            .origins
            .iter()
            .chain(&self.headers)
            .any(|text| stars(text) > 1)
        {
            return Err("a text has one * at most");
        }
        let known = ["GET", "PUT", "POST", "DELETE", "HEAD"];
        if !self
            .methods
            .iter()
            .all(|method| known.contains(&method.as_str()))
        {
            return Err("an AllowedMethod is GET, PUT, POST, DELETE or HEAD");
        }
        Ok(())
    }
}

/// Whether `text` is `pattern`, whose one `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, end)) => {
            let rest = text.strip_prefix(begin);
            rest.is_some_and(|rest| rest.ends_with(end))
        }
    }
}

fn parse(text: &str) -> Result<Configuration, String> {
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}

/// The document of a bucket's rules, if it has any.
pub fn load(store: &PartStore, bucket: &str) -> Result<Option<Configuration>, Error> {
    let Some(text) = kept::CORS.load(store, bucket)? else {
        return Ok(None);
    };
    let parsed = parse(&text);
    if let Err(error) = &parsed {
        tracing::error!(error, bucket, "the rules of the bucket cannot be read");
    }
    Ok(parsed.ok())
}

/// Keeps the rules of a bucket, durably. A bucket that was deleted in the meantime leaves no rules to one of its name.
pub fn save(store: &PartStore, bucket: &str, document: String) -> Result<(), Error> {
    kept::CORS.save(store, bucket, document)
}

/// Removes the rules of a bucket, durably.
pub fn remove(store: &PartStore, bucket: &str) -> Result<(), Error> {
    kept::CORS.remove(store, bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("*", "https://a.example"));
        assert!(matches("https://*.example", "https://a.example"));
        assert!(!matches("https://*.example", "https://a.example.org"));
        assert!(!matches("ab*ba", "aba"));
        assert!(matches("a", "a") && !matches("a", "b"));
        let rule = Rule {
            headers: vec!["x-cos-*".into(), "Content-Type".into()],
            ..Rule::default()
        };
        assert!(rule.allows_headers("X-Cos-Acl, content-type"));
        assert!(!rule.allows_headers("X-Cos-Acl, authorization"));
    }
}
