//! Rules of a bucket that abort uploads, as COS writes them. What other rules would do is refused.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::cos::refusal::Refusal;
use crate::lifecycle::{self, Prefix};

#[derive(Serialize, Deserialize)]
#[serde(rename = "LifecycleConfiguration")]
pub struct Configuration {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    #[serde(rename = "ID", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    status: String,
    abort_incomplete_multipart_upload: Option<Abort>,
    #[serde(skip_serializing)]
    expiration: Option<IgnoredAny>,
    #[serde(skip_serializing, default)]
    transition: Vec<IgnoredAny>,
    #[serde(skip_serializing)]
    noncurrent_version_expiration: Option<IgnoredAny>,
    #[serde(skip_serializing, default)]
    noncurrent_version_transition: Vec<IgnoredAny>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing)]
    and: Option<IgnoredAny>,
    #[serde(skip_serializing, default)]
    tag: Vec<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Abort {
    days_after_initiation: String,
}

impl From<lifecycle::Fault> for Refusal {
    fn from(fault: lifecycle::Fault) -> Self {
        match fault {
            lifecycle::Fault::Malformed(message) => Self::malformed_xml(message),
            lifecycle::Fault::Invalid(message) => Self::invalid_argument(message),
            lifecycle::Fault::Store(error) => error.into(),
        }
    }
}

impl Configuration {
    /// The rules that a client has sent.
    pub fn into_rules(self) -> Result<Vec<lifecycle::Rule>, Refusal> {
        self.rules.into_iter().map(Rule::into_rule).collect()
    }

    /// What is answered of rules.
    pub fn of(rules: Vec<lifecycle::Rule>) -> Self {
        Self {
            rules: rules.into_iter().map(Rule::of).collect(),
        }
    }
}

impl Rule {
    fn into_rule(self) -> Result<lifecycle::Rule, Refusal> {
        let others = self.expiration.is_some()
            || !self.transition.is_empty()
            || self.noncurrent_version_expiration.is_some()
            || !self.noncurrent_version_transition.is_empty();
        if others {
            return Err(Refusal::not_supported(
                "a lifecycle rule can only abort uploads here",
            ));
        }
        let prefix = match (self.filter, self.prefix) {
            (Some(filter), None) => Prefix::Filtered(filter.into_prefix()?),
            (None, Some(prefix)) => Prefix::Bare(prefix),
            _ => {
                return Err(Refusal::malformed_xml(
                    "a rule has a Filter, or else a Prefix",
                ));
            }
        };
        let is_enabled = match self.status.as_str() {
            "Enabled" => true,
            "Disabled" => false,
            _ => {
                return Err(Refusal::malformed_xml("a Status is Enabled or Disabled"));
            }
        };
        let days = self.abort_incomplete_multipart_upload;
        let days = days.ok_or_else(|| Refusal::malformed_xml("a rule has an action"))?;
        let days = days.days_after_initiation.parse().unwrap_or_default();
        Ok(lifecycle::Rule {
            id: self.id,
            prefix,
            is_enabled,
            days,
        })
    }

    fn of(rule: lifecycle::Rule) -> Self {
        let (filter, prefix) = match rule.prefix {
            Prefix::Filtered(prefix) => (
                Some(Filter {
                    prefix,
                    ..Filter::default()
                }),
                None,
            ),
            Prefix::Bare(prefix) => (None, Some(prefix)),
        };
        let status = if rule.is_enabled {
            "Enabled"
        } else {
            "Disabled"
        };
        Self {
            id: rule.id,
            filter,
            prefix,
            status: status.to_owned(),
            abort_incomplete_multipart_upload: Some(Abort {
                days_after_initiation: rule.days.to_string(),
            }),
            ..Self::default()
        }
    }
}

impl Filter {
    /// An upload has no tags yet.
    fn into_prefix(self) -> Result<Option<String>, Refusal> {
        if self.and.is_some() || !self.tag.is_empty() {
            return Err(Refusal::not_supported("a lifecycle rule for tags"));
        }
        Ok(self.prefix)
    }
}
