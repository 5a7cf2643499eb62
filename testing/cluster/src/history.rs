//! What uploads and keys are, call by call, and whether the logs can be explained by it.

use std::collections::BTreeMap;

use crate::linear::{Model, Timed, check};
use crate::log::{Answer, Call, Piece, Verb, Wanted};

/// An upload, from when it was initiated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Upload {
    Open(BTreeMap<u16, u8>),
    Object(Vec<Piece>),
    Aborted,
}

/// A verb and its answer, if it had one.
type Answered = (Verb, Option<Answer>);

impl Model for Upload {
    type Call = Answered;

    fn after(&self, (verb, answer): &Answered) -> Option<Self> {
        let answer = answer.as_ref();
        let Self::Open(parts) = self else {
            let again = matches!((self, verb), (Self::Object(is), Verb::Complete { parts, .. }) if is == parts);
            // The object may have been replaced or removed since.
            let explained = is_refused(answer, "NoSuchUpload") || (again && done(answer));
            return explained.then(|| self.clone());
        };
        match verb {
            Verb::Put {
                number, content, ..
            } => done(answer).then(|| {
                let mut parts = parts.clone();
                parts.insert(*number, *content);
                Self::Open(parts)
            }),
            Verb::Get { number, .. } => {
                let found = match parts.get(number) {
                    Some(content) => answer == Some(&Answer::Content(*content)),
                    None => is_refused(answer, "InvalidPartNumber"),
                };
                found.then(|| self.clone())
            }
            Verb::List { .. } => {
                let parts = parts.iter().map(|(number, content)| (*number, *content));
                (answer == Some(&Answer::Parts(parts.collect()))).then(|| self.clone())
            }
            Verb::Complete { parts: listed, .. } => {
                let fits = listed
                    .iter()
                    .all(|(number, content)| parts.get(number) == Some(content));
                if fits {
                    done(answer).then(|| Self::Object(listed.clone()))
                } else {
                    is_refused(answer, "InvalidPart").then(|| self.clone())
                }
            }
            Verb::Abort { .. } => done(answer).then_some(Self::Aborted),
            _ => None,
        }
    }
}

fn done(answer: Option<&Answer>) -> bool {
    matches!(answer, None | Some(Answer::Done))
}

fn is_refused(answer: Option<&Answer>, code: &str) -> bool {
    matches!(answer, Some(Answer::Refused(found)) if found == code)
}

/// A key, and the tag of its object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Option<u64>);

/// A call as a key sees it.
#[derive(Clone, Debug)]
pub enum OnKey {
    Set(u64, Wanted),
    NotSet(Wanted),
    Remove(Option<bool>),
    Read(Option<u64>),
}

impl Model for Key {
    type Call = OnKey;

    fn after(&self, call: &OnKey) -> Option<Self> {
        let holds = |wanted: &Wanted| match wanted {
            Wanted::Anything => true,
            Wanted::Absent => self.0.is_none(),
            Wanted::Current(tag) => self.0 == Some(*tag),
        };
        match call {
            OnKey::Set(tag, wanted) => holds(wanted).then_some(Self(Some(*tag))),
            OnKey::NotSet(wanted) => (!holds(wanted)).then(|| self.clone()),
            OnKey::Remove(had) => had
                .is_none_or(|had| had == self.0.is_some())
                .then_some(Self(None)),
            OnKey::Read(tag) => (*tag == self.0).then(|| self.clone()),
        }
    }
}

/// The key of an upload: so many that follow each other share two.
pub fn key_of(upload: u64) -> u64 {
    upload / 8 * 2 + upload % 2
}

/// What an upload's completion asks of its key.
pub fn wanted_of(upload: u64) -> Wanted {
    if upload.is_multiple_of(3) {
        Wanted::Absent
    } else {
        Wanted::Anything
    }
}

/// Uploads are told from other objects by their tags.
pub const FIRST_TAG: u64 = 1 << 40;

/// What is wrong with a history.
pub fn explain(calls: &[Call]) -> Vec<String> {
    let mut wrong: Vec<String> = calls.iter().filter_map(nonsense).collect();
    wrong.extend(bodies(calls));
    let (mut uploads, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for call in calls {
        match &call.verb {
            Verb::Put { upload, .. }
            | Verb::Get { upload, .. }
            | Verb::List { upload }
            | Verb::Complete { upload, .. }
            | Verb::Abort { upload } => uploads
                .entry(*upload)
                .or_insert_with(Vec::new)
                .extend(on_upload(call)),
            Verb::PutObject { key, .. } | Verb::RemoveKey { key } | Verb::ReadKey { key } => {
                keys.entry(*key)
                    .or_insert_with(Vec::new)
                    .extend(on_key(call));
            }
            Verb::Sweep => {}
        }
    }
    for (upload, completed) in completions(calls) {
        keys.entry(key_of(upload)).or_default().extend(completed);
    }
    for (upload, calls) in uploads {
        let explained = check(Upload::Open(BTreeMap::new()), &calls);
        wrong.extend(explained.err().map(|why| format!("upload {upload}: {why}")));
    }
    for (key, calls) in keys {
        let explained = check(Key(None), &calls);
        wrong.extend(explained.err().map(|why| format!("key {key}: {why}")));
    }
    wrong
}

/// What no call may ever answer.
fn nonsense(call: &Call) -> Option<String> {
    let known = [
        "NoSuchUpload",
        "InvalidPartNumber",
        "InvalidPart",
        "NoSuchKey",
        "PreconditionFailed",
        "ServiceUnavailable",
        "OutcomeUnknown",
    ];
    match &call.ended {
        Some((_, Answer::Wrong(what))) => Some(format!("{:?} answered {what}", call.verb)),
        Some((_, Answer::Refused(code))) if !known.contains(&code.as_str()) => {
            Some(format!("{:?} answered {code}", call.verb))
        }
        _ => None,
    }
}

/// A call that has happened or may have. `None`: it has changed nothing.
fn happened(call: &Call) -> Option<(Option<u64>, Option<Answer>)> {
    match &call.ended {
        None => Some((None, None)),
        Some((_, Answer::Refused(code))) if code == "OutcomeUnknown" => Some((None, None)),
        Some((_, Answer::Refused(code))) if code == "ServiceUnavailable" => None,
        Some((_, Answer::Wrong(_))) => None,
        Some((at, answer)) => Some((Some(*at), Some(answer.clone()))),
    }
}

fn on_upload(call: &Call) -> Option<Timed<Answered>> {
    let (ended, answer) = happened(call)?;
    if is_refused(answer.as_ref(), "PreconditionFailed") || (ended.is_none() && is_read(&call.verb))
    {
        return None;
    }
    Some(Timed {
        call: (call.verb.clone(), answer),
        begun: call.begun,
        ended,
    })
}

fn is_read(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Get { .. } | Verb::List { .. } | Verb::ReadKey { .. } | Verb::Sweep
    )
}

fn on_key(call: &Call) -> Option<Timed<OnKey>> {
    let (ended, answer) = happened(call)?;
    let seen = match (&call.verb, &answer) {
        (Verb::PutObject { tag, wanted, .. }, None | Some(Answer::Done)) => {
            OnKey::Set(*tag, *wanted)
        }
        (Verb::PutObject { wanted, .. }, Some(_)) => OnKey::NotSet(*wanted),
        (Verb::RemoveKey { .. }, Some(Answer::Had(had))) => OnKey::Remove(Some(*had)),
        (Verb::RemoveKey { .. }, None) => OnKey::Remove(None),
        (Verb::ReadKey { .. }, Some(Answer::Object { tag, .. })) => OnKey::Read(Some(*tag)),
        (Verb::ReadKey { .. }, Some(Answer::Refused(_))) => OnKey::Read(None),
        _ => return None,
    };
    Some(Timed {
        call: seen,
        begun: call.begun,
        ended,
    })
}

/// Completions as their keys see them. Of those of one upload that say the same, one has happened, before the first of
/// them was answered.
fn completions(calls: &[Call]) -> Vec<(u64, Vec<Timed<OnKey>>)> {
    let mut found: BTreeMap<(u64, Vec<Piece>), Timed<OnKey>> = BTreeMap::new();
    let mut refused = Vec::new();
    for call in calls {
        let Verb::Complete { upload, parts } = &call.verb else {
            continue;
        };
        let wanted = wanted_of(*upload);
        match happened(call) {
            Some((ended, Some(Answer::Refused(code)))) if code == "PreconditionFailed" => {
                refused.push((
                    *upload,
                    vec![Timed {
                        call: OnKey::NotSet(wanted),
                        begun: call.begun,
                        ended,
                    }],
                ));
            }
            Some((ended, None | Some(Answer::Done))) => {
                let one = found.entry((*upload, parts.clone())).or_insert(Timed {
                    call: OnKey::Set(*upload, wanted),
                    begun: call.begun,
                    ended,
                });
                one.begun = one.begun.min(call.begun);
                one.ended = one.ended.into_iter().chain(ended).min();
            }
            _ => {}
        }
    }
    let found = found
        .into_iter()
        .map(|((upload, _), timed)| (upload, vec![timed]));
    found.chain(refused).collect()
}

/// Objects that have other bytes than what was put, or completed.
fn bodies(calls: &[Call]) -> Vec<String> {
    let mut known: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for call in calls {
        match &call.verb {
            Verb::PutObject { tag, content, .. } => {
                known.entry(*tag).or_default().push(vec![*content]);
            }
            Verb::Complete { upload, parts } => {
                let contents = parts.iter().map(|(_, content)| *content);
                known.entry(*upload).or_default().push(contents.collect());
            }
            _ => {}
        }
    }
    let wrong = calls.iter().filter_map(|call| match &call.ended {
        Some((_, Answer::Object { tag, contents }))
            if !known.get(tag).is_some_and(|known| known.contains(contents)) =>
        {
            Some(format!(
                "{:?} has found the object {tag} with the contents {contents:?}",
                call.verb
            ))
        }
        _ => None,
    });
    wrong.collect()
}
