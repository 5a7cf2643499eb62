//! What calls may have left of an upload, when some ran at the same time and some were cut off.
//!
//! A body is named by anything that tells it from others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

/// What is there of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State<B> {
    /// Its parts, by number.
    Open(BTreeMap<u16, B>),
    /// The object that it became, part by part.
    Object(Vec<(u16, B)>),
}

/// What a call changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<B> {
    /// The upload begins.
    Initiate,
    /// A part takes its place.
    Put {
        /// Its number.
        number: u16,
        /// Its bytes.
        body: B,
    },
    /// The upload becomes an object of these parts.
    Complete(Vec<(u16, B)>),
    /// The upload is ended without an object.
    Abort,
    /// The object is removed.
    Remove,
}

/// A call that was not refused. Moments are numbers that ascend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<B> {
    /// What it changes.
    pub what: What<B>,
    /// Whether it has answered `Ok`.
    pub acknowledged: bool,
    /// When it began.
    pub begun: usize,
    /// When it had ended, if it had: it has no effect after this.
    pub ended: Option<usize>,
}

impl<B> Call<B> {
    fn precedes(&self, other: &Self) -> bool {
        self.ended.is_some_and(|ended| ended < other.begun)
    }
}

/// A completion that was to replace the object of an upload.
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    /// Whether it has answered `Ok`.
    pub acknowledged: bool,
    /// Whether its own object is there.
    pub is_there: bool,
    /// Whether its object is there, or may have been and gone since.
    pub may_have_come: bool,
}

/// What is known of one upload.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a, B> {
    /// What was there before the calls.
    pub before: Option<&'a State<B>>,
    /// The calls since, but for those that were refused.
    pub calls: &'a [Call<B>],
    /// The completions since that were to replace its object.
    pub successors: &'a [Successor],
}

impl<B: Clone + Eq + Debug> Upload<'_, B> {
    /// Whether the upload can be as it is now.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn explain(&self, now: Option<&State<B>>) -> Result<(), String> {
        self.nothing_came_too_late()?;
        match now {
            None => {
                let was_there = self.before.is_some() || self.is_done(is_initiate);
                let may_be_gone = self.has(is_abort)
                    || self.has(is_remove)
                    || self.successors.iter().any(|one| one.may_have_come);
                ensure(!was_there || may_be_gone, "it is lost")
            }
            Some(state) => {
                self.may_be_there()?;
                match state {
                    State::Open(parts) => self.explain_open(parts),
                    State::Object(parts) => self.explain_object(parts),
                }
            }
        }
    }

    fn has(&self, which: impl Fn(&What<B>) -> bool) -> bool {
        self.calls.iter().any(|call| which(&call.what))
    }

    fn is_done(&self, which: impl Fn(&What<B>) -> bool) -> bool {
        let mut done = self.calls.iter().filter(|call| call.acknowledged);
        done.any(|call| which(&call.what))
    }

    fn may_be_there(&self) -> Result<(), String> {
        let replaced = |which: fn(&Successor) -> bool| self.successors.iter().any(which);
        ensure(
            self.before.is_some() || self.has(is_initiate),
            "nobody initiated it",
        )?;
        ensure(
            !replaced(|one| one.is_there),
            "it is there beside the object that replaced it",
        )?;
        ensure(
            !replaced(|one| one.acknowledged),
            "it was replaced and is there",
        )?;
        ensure(!self.is_done(is_abort), "it was aborted and is there")?;
        ensure(!self.is_done(is_remove), "it was removed and is there")
    }

    /// After an upload has ended nothing is put to it.
    fn nothing_came_too_late(&self) -> Result<(), String> {
        let done = || self.calls.iter().filter(|call| call.acknowledged);
        let mut ends = done().filter(|call| is_abort(&call.what) || is_complete(&call.what));
        let too_late = ends.any(|end| {
            let mut puts = done().filter(|call| matches!(call.what, What::Put { .. }));
            puts.any(|put| end.precedes(put))
        });
        ensure(!too_late, "a part came to an upload that had ended")
    }

    /// Its parts are those of an acknowledged completion; of any completion, if none was acknowledged.
    fn explain_object(&self, parts: &[(u16, B)]) -> Result<(), String> {
        let is_this = |what: &What<B>| matches!(what, What::Complete(listed) if listed == parts);
        let was_this = matches!(self.before, Some(State::Object(before)) if before == parts);
        let as_told = if self.is_done(is_complete) {
            self.is_done(is_this)
        } else {
            self.has(is_this)
        };
        ensure(
            was_this || as_told,
            &format!("the object has the parts {parts:?}"),
        )
    }

    fn explain_open(&self, parts: &BTreeMap<u16, B>) -> Result<(), String> {
        let none = BTreeMap::new();
        let before = match self.before {
            Some(State::Open(before)) => Some(before),
            Some(State::Object(_)) => None,
            None => Some(&none),
        };
        let before = before.filter(|_| !self.is_done(is_complete));
        let before = before.ok_or("it was completed and is open")?;
        let put = self.calls.iter().filter_map(|call| match call.what {
            What::Put { number, .. } => Some(number),
            _ => None,
        });
        let mut numbers: BTreeSet<u16> = put.collect();
        numbers.extend(before.keys().chain(parts.keys()));
        for number in numbers {
            let possible = self.possible(number, before.get(&number));
            let found = parts.get(&number);
            ensure(
                possible.contains(&found),
                &format!("part {number} is {found:?} and must be one of {possible:?}"),
            )?;
        }
        Ok(())
    }

    /// What a part can be: the last acknowledged one, or one that began later.
    fn possible<'a>(&'a self, number: u16, before: Option<&'a B>) -> Vec<Option<&'a B>> {
        let puts = || {
            self.calls.iter().filter_map(move |call| match &call.what {
                What::Put { number: to, body } if *to == number => Some((call, body)),
                _ => None,
            })
        };
        let acknowledged = || puts().filter(|(put, _)| put.acknowledged);
        let is_replaced = |put: &Call<B>| acknowledged().any(|(later, _)| put.precedes(later));
        let mut possible = Vec::new();
        if acknowledged().next().is_none() {
            possible.push(before);
        }
        let left = puts().filter(|(put, _)| !is_replaced(put));
        possible.extend(left.map(|(_, body)| Some(body)));
        possible
    }
}

fn is_initiate<B>(what: &What<B>) -> bool {
    matches!(what, What::Initiate)
}

fn is_complete<B>(what: &What<B>) -> bool {
    matches!(what, What::Complete(_))
}

fn is_abort<B>(what: &What<B>) -> bool {
    matches!(what, What::Abort)
}

fn is_remove<B>(what: &What<B>) -> bool {
    matches!(what, What::Remove)
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(
        what: What<&'static str>,
        acknowledged: bool,
        from: usize,
        to: usize,
    ) -> Call<&'static str> {
        Call {
            what,
            acknowledged,
            begun: from,
            ended: Some(to),
        }
    }

    fn put(body: &'static str, acknowledged: bool, from: usize, to: usize) -> Call<&'static str> {
        call(What::Put { number: 1, body }, acknowledged, from, to)
    }

    fn open(body: &'static str) -> State<&'static str> {
        State::Open(BTreeMap::from([(1, body)]))
    }

    fn explain(calls: &[Call<&str>], now: Option<&State<&str>>) -> Result<(), String> {
        let upload = Upload {
            before: None,
            calls,
            successors: &[],
        };
        upload.explain(now)
    }

    #[test]
    fn a_part_is_the_last_acknowledged_one_or_one_that_began_later() {
        let initiate = call(What::Initiate, true, 0, 1);
        let calls = [
            initiate,
            put("old", true, 2, 3),
            put("new", true, 4, 6),
            put("beside", false, 5, 7),
        ];
        assert!(explain(&calls, Some(&open("new"))).is_ok());
        assert!(explain(&calls, Some(&open("beside"))).is_ok());
        assert!(explain(&calls, Some(&open("old"))).is_err());
        assert!(explain(&calls, Some(&open("nobody's"))).is_err());
        assert!(explain(&calls, Some(&State::Open(BTreeMap::new()))).is_err());
    }

    #[test]
    fn what_was_acknowledged_is_neither_lost_nor_back() {
        let initiate = || call(What::Initiate, true, 0, 1);
        assert!(explain(&[initiate()], None).is_err());
        let cut_off = [initiate(), call(What::Abort, false, 2, 3)];
        let ended = [initiate(), call(What::Abort, true, 2, 3)];
        let there = State::Open(BTreeMap::new());
        assert!(explain(&cut_off, None).is_ok() && explain(&cut_off, Some(&there)).is_ok());
        assert!(explain(&ended, None).is_ok() && explain(&ended, Some(&there)).is_err());
    }

    #[test]
    fn an_object_is_as_it_was_completed() {
        let complete =
            |body, acknowledged| call(What::Complete(vec![(1, body)]), acknowledged, 4, 5);
        let calls = |complete| {
            [
                call(What::Initiate, true, 0, 1),
                put("a", true, 2, 3),
                complete,
            ]
        };
        let object = |body| State::Object(vec![(1, body)]);
        assert!(explain(&calls(complete("a", true)), Some(&object("a"))).is_ok());
        assert!(explain(&calls(complete("a", false)), Some(&object("a"))).is_ok());
        assert!(explain(&calls(complete("a", true)), Some(&object("b"))).is_err());
        assert!(explain(&calls(complete("a", true)), Some(&open("a"))).is_err());
        assert!(explain(&calls(complete("a", false)), Some(&open("a"))).is_ok());
    }

    #[test]
    fn nothing_is_put_to_an_upload_that_has_ended() {
        let calls = [
            call(What::Initiate, true, 0, 1),
            call(What::Abort, true, 2, 3),
            put("late", true, 4, 5),
        ];
        assert!(explain(&calls, None).is_err());
    }
}
