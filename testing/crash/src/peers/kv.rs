//! One workload for every key-value store, and what must be left of it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::Peer;
use crate::shim;
use crate::subject::{Moment, PROBED, SEEN, Stage, Subject};

/// Keys are `k00` to `k15`.
const KEYS: u32 = 16;
/// The key by which the check itself sees that the store works.
const PROBE: &str = "probe";
const PROBE_VALUE: [u8; 3000] = [7; 3000];

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An open key-value store; a change is durable when its call returns.
pub trait Kv {
    fn put(&mut self, key: &str, value: &[u8]) -> Result<()>;
    fn delete(&mut self, key: &str) -> Result<()>;
    /// All that it holds.
    fn all(&self) -> Result<BTreeMap<String, Vec<u8>>>;
    fn close(self: Box<Self>) -> Result<()>;
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Call {
    Open,
    Put { key: String, len: usize },
    Delete { key: String },
    Close,
}

impl Call {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => Some(key),
            Self::Open | Self::Close => None,
        }
    }

    /// What the key holds after this call, the `at`th: bytes that name the key and the call.
    fn value(&self, at: usize) -> Option<Vec<u8>> {
        let Self::Put { key, len } = self else {
            return None;
        };
        let mut random = Rng::with_seed(at as u64);
        let mut value = format!("{key} v{at:04} ").into_bytes();
        value.resize_with(*len, || random.u8(..));
        Some(value)
    }
}

impl Subject for Peer {
    type History = Vec<Call>;

    fn run(&self, root: &Path, seed: u64) -> Vec<Call> {
        let mut random = Rng::with_seed(seed);
        let mut calls = Vec::new();
        let mut kv = step(&mut calls, Call::Open, || (self.open)(root));
        for _ in 0..random.u32(40..=80) {
            let key = format!("k{:02}", random.u32(0..KEYS));
            match random.u32(0..100) {
                0..5 => {
                    step(&mut calls, Call::Close, || kv.close());
                    kv = step(&mut calls, Call::Open, || (self.open)(root));
                }
                5..20 => {
                    let call = Call::Delete { key: key.clone() };
                    step(&mut calls, call, || kv.delete(&key));
                }
                _ => {
                    let most = if random.bool() { 200 } else { 6000 };
                    let call = Call::Put {
                        key: key.clone(),
                        len: random.usize(10..=most),
                    };
                    let value = call.value(calls.len()).expect("a put has a value");
                    step(&mut calls, call, || kv.put(&key, &value));
                }
            }
        }
        step(&mut calls, Call::Close, || kv.close());
        calls
    }

    fn check(
        &self,
        root: &Path,
        calls: &Vec<Call>,
        moment: &Moment,
    ) -> std::result::Result<String, String> {
        let mut kv = told("it does not open", (self.open)(root))?;
        let found = told("it cannot be read", kv.all())?;
        let view = judge(calls, moment, &found)?;
        told("a further put", kv.put(PROBE, &PROBE_VALUE))?;
        shim::ack(PROBED);
        // What nobody was told of may be shown after a `kill -9` and still be lost, as long as nothing
        // behind it is acknowledged.
        shim::ack(SEEN);
        same("after a further put", &found, kv.all())?;
        told("close", kv.close())?;
        let kv = told("it does not open again", (self.open)(root))?;
        same("after the second open", &found, kv.all())?;
        told("second close", kv.close())?;
        Ok(view)
    }
}

/// Makes a call and notes it.
fn step<T>(calls: &mut Vec<Call>, call: Call, run: impl FnOnce() -> Result<T>) -> T {
    let at = calls.len();
    shim::begin(at);
    let done = run().unwrap_or_else(|error| panic!("{call:?}: {error}"));
    shim::ack(at);
    calls.push(call);
    done
}

fn told<T>(what: &str, result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Each key holds what the last call that had returned gave it, or one that had begun later. Gives
/// which call that is, key by key.
fn judge(
    calls: &[Call],
    moment: &Moment,
    found: &BTreeMap<String, Vec<u8>>,
) -> std::result::Result<String, String> {
    let known: Vec<String> = (0..KEYS).map(|key| format!("k{key:02}")).collect();
    if let Some(key) = found
        .keys()
        .find(|key| *key != PROBE && !known.contains(key))
    {
        return Err(format!("nobody put {key}"));
    }
    if moment.stage == Stage::Probed && found.get(PROBE).is_none_or(|value| *value != PROBE_VALUE) {
        return Err("the further put is lost".to_owned());
    }
    let mut view = Vec::new();
    for key in known {
        let of_key = |(at, call): &(usize, &Call)| call.key() == Some(&key) && moment.begun(*at);
        let begun: Vec<_> = calls.iter().enumerate().filter(of_key).collect();
        let acked = begun.iter().rposition(|(at, _)| moment.acked(*at));
        let held = found.get(&key);
        let writer = begun
            .iter()
            .rposition(|(at, call)| call.value(*at).as_ref() == held);
        let number = |place: Option<usize>| place.map(|place| begun[place].0);
        if (writer, held) != (None, None) && writer.is_none() {
            return Err(format!("{key} holds what nobody put there"));
        }
        if writer < acked {
            return Err(format!(
                "{key} is as call {:?} left it; call {:?} had returned",
                number(writer),
                number(acked)
            ));
        }
        view.push(format!("{key}={:?}", number(writer)));
    }
    Ok(view.join(" "))
}

/// The same is there, and the check's own key.
fn same(
    when: &str,
    before: &BTreeMap<String, Vec<u8>>,
    after: Result<BTreeMap<String, Vec<u8>>>,
) -> std::result::Result<(), String> {
    let mut expected = before.clone();
    expected.insert(PROBE.to_owned(), PROBE_VALUE.to_vec());
    if told(when, after)? == expected {
        Ok(())
    } else {
        Err(format!("{when} it shows something else"))
    }
}
