//! [`Remembered`]: a set of blobs with a limit. It forgets those that nobody has asked for longest.

use std::collections::HashSet;

use crate::ContentHash;

/// How many blobs each of two generations holds. All 65,536 take about 4 MiB.
const GENERATION: usize = 32_768;

/// A set that forgets gradually. When the young generation is full, it becomes the old one, and the
/// previous old one is forgotten. So the last 32,768 that were added or found are always known.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    young: HashSet<ContentHash>,
    old: HashSet<ContentHash>,
}

impl Remembered {
    pub(super) fn insert(&mut self, content: ContentHash) {
        if self.young.len() >= GENERATION && !self.young.contains(&content) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(content);
    }

    pub(super) fn contains(&mut self, content: &ContentHash) -> bool {
        if self.young.contains(content) {
            return true;
        }
        let is_old = self.old.remove(content);
        if is_old {
            self.insert(*content);
        }
        is_old
    }

    pub(super) fn remove(&mut self, content: &ContentHash) {
        self.young.remove(content);
        self.old.remove(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> ContentHash {
        ContentHash::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes())
    }

    #[test]
    fn blobs_are_forgotten_gradually_and_those_in_use_are_not() {
        let mut remembered = Remembered::default();
        let all: Vec<_> = (0..5 * GENERATION).map(hash).collect();
        let in_use = hash(usize::MAX);
        remembered.insert(in_use);
        for (at, content) in all.iter().enumerate() {
            remembered.insert(*content);
            assert!(!at.is_multiple_of(1000) || remembered.contains(&in_use));
            let recent = at.saturating_sub(GENERATION - 1000);
            assert!(
                remembered.young.contains(&all[recent]) || remembered.old.contains(&all[recent])
            );
            assert!(remembered.young.len() + remembered.old.len() <= 2 * GENERATION);
        }
        assert!(!remembered.contains(&all[0]));
        remembered.remove(&in_use);
        assert!(!remembered.contains(&in_use));
    }
}
