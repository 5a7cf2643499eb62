//! The policy of a form: what whoever signed it allows to be uploaded.
//!
//! ```json
//! {"expiration": "2026-11-28T12:00:00Z", "conditions": [
//!   {"q-ak": "AKID"}, {"bucket": "films-1250000000"}, ["starts-with", "$key", "trailers/"],
//!   ["content-length-range", 1, 1048576]]}
//! ```

use std::ops::RangeInclusive;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use crate::cos::refusal::Refusal;

#[derive(Deserialize)]
struct Document {
    expiration: String,
    #[serde(default)]
    conditions: Vec<Value>,
}

/// Checks the fields of a form, and gives the lengths that its file may have. `field` gives a field by its name in lower
/// case.
pub fn check(
    policy: &[u8],
    now: SystemTime,
    field: impl Fn(&str) -> Option<String>,
) -> Result<RangeInclusive<u64>, Refusal> {
    let malformed = |error: String| Refusal::malformed_post(format!("the policy: {error}"));
    let document: Document =
        serde_json::from_slice(policy).map_err(|error| malformed(error.to_string()))?;
    let expiration = humantime::parse_rfc3339(&document.expiration);
    if now > expiration.map_err(|error| malformed(error.to_string()))? {
        return Err(Refusal::access_denied("Policy expired"));
    }
    let mut lengths = 0..=u64::MAX;
    for condition in &document.conditions {
        let failed = || Refusal::access_denied(format!("the form does not meet {condition}"));
        match Condition::of(condition).ok_or_else(|| malformed(condition.to_string()))? {
            Condition::Lengths(allowed) => lengths = allowed,
            Condition::Is(name, value) => {
                let found = field(&name).filter(|found| *found == value);
                found.ok_or_else(failed)?;
            }
            Condition::BeginsWith(name, value) => {
                let found = field(&name).filter(|found| found.starts_with(&value));
                found.ok_or_else(failed)?;
            }
        }
    }
    Ok(lengths)
}

enum Condition {
    Is(String, String),
    BeginsWith(String, String),
    Lengths(RangeInclusive<u64>),
}

impl Condition {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Object(pair) => {
                let (name, value) = pair.iter().next().filter(|_| pair.len() == 1)?;
                Some(Self::Is(
                    name.to_ascii_lowercase(),
                    value.as_str()?.to_owned(),
                ))
            }
            Value::Array(words) => {
                let [what, first, second] = &words[..] else {
                    return None;
                };
                let what = what.as_str()?.to_ascii_lowercase();
                if what == "content-length-range" {
                    return Some(Self::Lengths(first.as_u64()?..=second.as_u64()?));
                }
                let name = first.as_str()?.strip_prefix('$')?.to_ascii_lowercase();
                let value = second.as_str()?.to_owned();
                match what.as_str() {
                    "eq" => Some(Self::Is(name, value)),
                    "starts-with" => Some(Self::BeginsWith(name, value)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn code(conditions: &str) -> Result<RangeInclusive<u64>, &'static str> {
        let policy =
            format!(r#"{{"expiration":"1970-01-02T00:00:00Z","conditions":{conditions}}}"#);
        let field = |name: &str| (name == "key").then(|| "a/b".to_owned());
        check(policy.as_bytes(), UNIX_EPOCH, field).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_form_meets_all_conditions_or_is_refused() {
        assert_eq!(code("[]"), Ok(0..=u64::MAX));
        assert_eq!(
            code(r#"[["content-length-range",1,9],{"key":"a/b"}]"#),
            Ok(1..=9)
        );
        assert!(code(r#"[["starts-with","$Key","a/"],["eq","$key","a/b"]]"#).is_ok());
        for failed in [
            r#"[{"key":"a"}]"#,
            r#"[["starts-with","$key","b"]]"#,
            r#"[{"acl":"x"}]"#,
        ] {
            assert_eq!(code(failed), Err("AccessDenied"), "{failed}");
        }
        for malformed in [
            "[1]",
            r#"[["about","$key","b"]]"#,
            r#"[{"a":"b","c":"d"}]"#,
            "{}",
        ] {
            assert_eq!(code(malformed), Err("MalformedPOSTRequest"), "{malformed}");
        }
        let late = UNIX_EPOCH + Duration::from_secs(100_000);
        let policy = br#"{"expiration":"1970-01-02T00:00:00Z"}"#;
        assert!(check(policy, late, |_| None).is_err());
    }
}
