//! What calls may have left of a value that each call sets as a whole, such as what a key finds.

use std::fmt::Debug;

/// A call that was not refused. Moments are numbers that ascend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<V> {
    /// The value that it sets.
    pub value: V,
    /// Whether it has answered `Ok`.
    pub acknowledged: bool,
    /// When it began.
    pub begun: usize,
    /// When it had ended, if it had: it has no effect after this.
    pub ended: Option<usize>,
}

impl<V> Call<V> {
    fn precedes(&self, other: &Self) -> bool {
        self.ended.is_some_and(|ended| ended < other.begun)
    }
}

/// Whether the value can be as it is `now`, after these calls: that of the last acknowledged one, or of one
/// that began before that had ended, or later.
///
/// # Errors
/// Why it cannot.
pub fn explain<V: PartialEq + Debug>(before: &V, calls: &[Call<V>], now: &V) -> Result<(), String> {
    let acknowledged = || calls.iter().filter(|call| call.acknowledged);
    let is_replaced = |call: &Call<V>| acknowledged().any(|later| call.precedes(later));
    let left = calls.iter().filter(|call| !is_replaced(call));
    let mut possible: Vec<&V> = left.map(|call| &call.value).collect();
    if acknowledged().next().is_none() {
        possible.push(before);
    }
    if possible.contains(&now) {
        return Ok(());
    }
    Err(format!("it is {now:?} and must be one of {possible:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(value: u8, acknowledged: bool, from: usize, to: usize) -> Call<u8> {
        Call {
            value,
            acknowledged,
            begun: from,
            ended: Some(to),
        }
    }

    #[test]
    fn the_last_acknowledged_value_or_one_that_came_later_is_explained_and_no_other() {
        let calls = [
            call(1, true, 0, 1),
            call(2, true, 2, 5),
            call(3, true, 4, 6),
            call(4, false, 7, 8),
        ];
        for now in 0..6 {
            let explained = explain(&0, &calls, &now);
            assert_eq!(explained.is_ok(), (2..=4).contains(&now), "{now}");
        }
        assert!(explain(&0, &calls[3..], &0).is_ok());
        assert!(explain(&0, &[], &1).is_err());
    }
}
