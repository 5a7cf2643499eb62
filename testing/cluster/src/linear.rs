//! Whether calls that ran at the same time can have happened one after the other: the search of Wing and Gong,
//! with Lowe's memory of what was tried.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// What happens one call after the other.
pub trait Model: Clone + Eq + Hash + Debug {
    type Call: Debug;

    /// What is there behind the call, if it can have been answered so.
    fn after(&self, call: &Self::Call) -> Option<Self>;
}

/// A call in time. One without end may happen at any time behind its begin, or never.
#[derive(Debug)]
pub struct Timed<C> {
    pub call: C,
    pub begun: u64,
    pub ended: Option<u64>,
}

/// So many steps are tried.
const MOST: usize = 3_000_000;

/// # Errors
/// Why there is no order that explains all answers.
pub fn check<M: Model>(start: M, calls: &[Timed<M::Call>]) -> Result<(), String> {
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|at| (calls[*at].ended.unwrap_or(u64::MAX), calls[*at].begun));
    let needed = calls.iter().filter(|call| call.ended.is_some()).count();
    let none = vec![0_u64; calls.len().div_ceil(64)];
    let mut seen = HashSet::new();
    let mut stack = vec![(none, start, 0)];
    let (mut steps, mut furthest) = (0, (0, String::new()));
    while let Some((done, state, count)) = stack.pop() {
        if count == needed {
            return Ok(());
        }
        steps += 1;
        if steps > MOST {
            eprintln!("undecided: {needed} calls took too many steps");
            return Ok(());
        }
        let is_done = |at: usize| done[at / 64] >> (at % 64) & 1 == 1;
        let left = || order.iter().copied().filter(|at| !is_done(*at));
        let first_end = left().find_map(|at| calls[at].ended).unwrap_or(u64::MAX);
        if count >= furthest.0 {
            let next: Vec<_> = left()
                .filter(|at| calls[*at].begun <= first_end)
                .map(|at| &calls[at])
                .collect();
            furthest = (
                count,
                format!("{count} of {needed} calls explain {state:?}, and then none of {next:#?}"),
            );
        }
        // The last that is pushed is tried first: of those that must happen, the one that ended first.
        let next: Vec<_> = left().filter(|at| calls[*at].begun <= first_end).collect();
        for at in next.into_iter().rev() {
            let Some(after) = state.after(&calls[at].call) else {
                continue;
            };
            let mut done = done.clone();
            done[at / 64] |= 1 << (at % 64);
            if seen.insert((done.clone(), after.clone())) {
                stack.push((done, after, count + usize::from(calls[at].ended.is_some())));
            }
        }
    }
    Err(furthest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: what is written, or what a read must find.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    struct Register(u8);

    #[derive(Debug)]
    enum Call {
        Write(u8),
        Read(u8),
    }

    impl Model for Register {
        type Call = Call;

        fn after(&self, call: &Call) -> Option<Self> {
            match call {
                Call::Write(value) => Some(Self(*value)),
                Call::Read(value) => (*value == self.0).then(|| self.clone()),
            }
        }
    }

    fn timed(call: Call, begun: u64, ended: impl Into<Option<u64>>) -> Timed<Call> {
        Timed {
            call,
            begun,
            ended: ended.into(),
        }
    }

    #[test]
    fn a_read_behind_a_write_finds_it() {
        let good = [timed(Call::Write(1), 0, 1), timed(Call::Read(1), 2, 3)];
        check(Register(0), &good).unwrap();
        let stale = [timed(Call::Write(1), 0, 1), timed(Call::Read(0), 2, 3)];
        check(Register(0), &stale).unwrap_err();
        let beside = [timed(Call::Write(1), 0, 5), timed(Call::Read(0), 2, 3)];
        check(Register(0), &beside).unwrap();
    }

    #[test]
    fn a_write_without_answer_may_have_happened_late_or_never() {
        let reads = |values: [u8; 3]| {
            let reads = values.into_iter().zip([2, 4, 6]);
            let reads = reads.map(|(value, at)| timed(Call::Read(value), at, at + 1));
            reads
                .chain([timed(Call::Write(1), 0, None)])
                .collect::<Vec<_>>()
        };
        check(Register(0), &reads([0, 0, 0])).unwrap();
        check(Register(0), &reads([0, 1, 1])).unwrap();
        check(Register(0), &reads([0, 1, 0])).unwrap_err();
    }
}
