//! What calls that were made at the same time may have left of a key, or of a namespace with its one key.
//!
//! Some order of them must explain it: one in which each call that was acknowledged has taken place, and could,
//! and each that was not may have; and a call that had ended before another began stands before it.

use std::collections::{BTreeMap, HashSet};

use super::history::Action;
use super::keys::{self, State};

/// A call that may have had an effect.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub action: &'a Action,
    pub acknowledged: bool,
    pub begun: usize,
    pub ended: Option<usize>,
}

/// Says what is seen that no order explains.
pub fn judge(events: &[Event], seen: impl Fn(&str) -> State) -> Result<(), String> {
    let mut groups = BTreeMap::<String, Vec<Event>>::new();
    for event in events {
        if let Some(group) = keys::group_of(event.action) {
            groups.entry(group).or_default().push(*event);
        }
    }
    for (group, events) in groups {
        let possible = outcomes(&events, keys::at_first(&group))?;
        let now = seen(&group);
        if !possible.contains(&now) {
            let told: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
            return Err(format!(
                "{group} is {now:?} and must be one of {possible:?}\n  {}",
                told.join("\n  ")
            ));
        }
    }
    Ok(())
}

/// What may be left of all calls, in some order.
fn outcomes(events: &[Event], first: State) -> Result<HashSet<State>, String> {
    let all = u64::try_from(events.len()).ok().filter(|count| *count < 64);
    let all = (1 << all.ok_or("too many calls for one key")?) - 1;
    let (mut left, mut met) = (vec![(0_u64, first)], HashSet::new());
    let mut possible = HashSet::new();
    while let Some((passed, state)) = left.pop() {
        if passed == all {
            possible.insert(state.clone());
        }
        for (at, event) in events.iter().enumerate() {
            if passed & 1 << at != 0 || !may_be_next(events, passed, event) {
                continue;
            }
            let taken = keys::applied(event.action, &state);
            let skipped = (!event.acknowledged).then(|| state.clone());
            for state in taken.into_iter().chain(skipped) {
                let next = (passed | 1 << at, state);
                if met.insert(next.clone()) {
                    left.push(next);
                }
            }
        }
    }
    Ok(possible)
}

/// Whether all calls that had ended before this one began are passed.
fn may_be_next(events: &[Event], passed: u64, next: &Event) -> bool {
    events.iter().enumerate().all(|(at, event)| {
        let before = event.ended.is_some_and(|ended| ended < next.begun);
        !before || passed & 1 << at != 0
    })
}
