//! Rules of buckets that abort uploads which nobody completes: how they are [`kept`], and how they are done.

use std::collections::HashSet;
use std::time::Duration;

use partstore::{Error, Key, PartStore};
use partstore_tokio::AsyncPartStore;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::kept;

/// How often the rules are done in each of their days.
const A_DAY: u32 = 24;

/// The rules of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    pub rules: Vec<Rule>,
}

/// Aborts the uploads of a bucket under a prefix that were initiated so long ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub id: Option<String>,
    pub prefix: Prefix,
    pub is_enabled: bool,
    /// Since the initiation.
    pub days: u32,
}

/// A prefix, and how the rule had it. The answer has it in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prefix {
    /// In a `Filter`. `None`: the filter was empty.
    Filtered(Option<String>),
    /// Without one, as old clients do.
    Bare(String),
}

impl Prefix {
    fn as_str(&self) -> &str {
        match self {
            Self::Filtered(prefix) => prefix.as_deref().unwrap_or_default(),
            Self::Bare(prefix) => prefix,
        }
    }
}

/// The rules of a bucket, if it has any.
pub fn load(store: &PartStore, bucket: &str) -> Result<Option<Rules>, Error> {
    let Some(text) = kept::LIFECYCLE.load(store, bucket)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_str(&text);
    if let Err(error) = &parsed {
        tracing::error!(%error, bucket, "the lifecycle rules of the bucket cannot be read");
    }
    Ok(parsed.ok())
}

/// The most rules of a bucket, and the longest ID of one, bytes.
const MAX_RULES: usize = 1000;
const MAX_ID: usize = 255;

/// Why rules are not kept.
pub enum Fault {
    /// They are no configuration.
    Malformed(String),
    /// One of them says what it may not.
    Invalid(String),
    /// The store has failed.
    Store(Error),
}

/// Keeps the rules of a bucket, durably.
pub fn save(store: &PartStore, bucket: &str, rules: Vec<Rule>) -> Result<(), Fault> {
    if rules.is_empty() || rules.len() > MAX_RULES {
        let message = format!("a configuration has 1 to {MAX_RULES} rules");
        return Err(Fault::Malformed(message));
    }
    let mut named = rules.iter().filter_map(|rule| rule.id.as_ref());
    if named.clone().any(|id| id.len() > MAX_ID) {
        let message = format!("the ID of a rule has at most {MAX_ID} bytes");
        return Err(Fault::Invalid(message));
    }
    let mut ids = HashSet::new();
    if !named.all(|id| ids.insert(id)) {
        return Err(Fault::Invalid("two rules have the same ID".to_owned()));
    }
    if rules.iter().any(|rule| rule.days == 0) {
        let message = "DaysAfterInitiation is a positive number";
        return Err(Fault::Invalid(message.to_owned()));
    }
    let text = serde_json::to_string(&Rules { rules });
    let text = text.map_err(|error| Fault::Malformed(error.to_string()))?;
    if text.len() > kept::MAX_LEN {
        return Err(Fault::Malformed("the rules are too long".to_owned()));
    }
    let saved = kept::LIFECYCLE.save(store, bucket, text);
    saved.map_err(Fault::Store)
}

/// Does the rules of all buckets, again and again, until the server stops.
pub async fn keep(store: AsyncPartStore, day: Duration, stop: CancellationToken) {
    let every = (day / A_DAY).max(Duration::from_millis(10));
    let rounds = async {
        loop {
            let (store, stop) = (store.clone(), stop.clone());
            let round = async move { store.run(move |store| round(store, day, &stop)).await };
            // A panic ends this round only.
            match tokio::spawn(round).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = error.one_line(), "lifecycle rules were not done");
                }
                Err(error) => tracing::error!(%error, "lifecycle rules were not done"),
            }
            tokio::time::sleep(every).await;
        }
    };
    stop.run_until_cancelled(rounds).await;
}

fn round(store: &PartStore, day: Duration, stop: &CancellationToken) -> Result<(), Error> {
    for bucket in kept::LIFECYCLE.buckets(store) {
        let bucket = bucket?;
        let rules = load(store, &bucket)?.unwrap_or_default().rules;
        for rule in rules.iter().filter(|rule| rule.is_enabled) {
            if stop.is_cancelled() {
                return Ok(());
            }
            let aborted = abort(store, &bucket, (rule, day))?;
            if aborted > 0 {
                let prefix = rule.prefix.as_str();
                tracing::info!(aborted, bucket, prefix, "uploads were aborted by a rule");
            }
        }
    }
    Ok(())
}

fn abort(store: &PartStore, bucket: &str, (rule, day): (&Rule, Duration)) -> Result<u64, Error> {
    let under = Key::new(bucket, rule.prefix.as_str());
    let aborted = store.expire_uploads_under(under, day.saturating_mul(rule.days));
    match aborted {
        // Its rules are removed soon, by the call that has removed it, or by the one that makes it again.
        Err(Error::NoSuchNamespace { .. }) => Ok(0),
        aborted => aborted,
    }
}
