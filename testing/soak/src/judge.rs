//! Whether anything grows without bound: the levels at the quiet moments of one long life of a server.
//!
//! The first two levels are its warm-up. Of the others, the median of the last third may be half as high again as the
//! median of the first third, and a slack above it.

use crate::sample::Level;

const WARM_UP: usize = 2;
const LEAST: usize = 6;
const FACTOR: f64 = 1.5;

type Figure = fn(&Level) -> f64;

/// What is judged, and the slack of it. A server's journal and layers swing by a checkpoint's size.
const FIGURES: [(&str, f64, Figure); 6] = [
    ("memory, MiB", 16.0, |level| level.rss_mib),
    ("descriptors", 16.0, |level| level.descriptors),
    ("threads", 16.0, |level| level.threads),
    ("journal, MiB", 48.0, |level| level.journal_mib),
    ("all metadata, MiB", 64.0, |level| level.metadata_mib),
    ("disk, MiB", 128.0, |level| level.disk_mib),
];

/// A line for each figure, and whether it has grown. `None` if there are too few levels to tell.
pub fn judge(levels: &[Level]) -> Option<Vec<(String, bool)>> {
    let levels = levels
        .get(WARM_UP..)
        .filter(|levels| levels.len() >= LEAST)?;
    let third = levels.len() / 3;
    let (first, last) = (&levels[..third], &levels[levels.len() - third..]);
    let judged = FIGURES.iter().map(|(name, slack, figure)| {
        let (before, after) = (median(first, *figure), median(last, *figure));
        let has_grown = after > before * FACTOR + slack;
        let verdict = if has_grown { "HAS GROWN" } else { "steady" };
        (
            format!("{name}: {before:.1}, then {after:.1}: {verdict}"),
            has_grown,
        )
    });
    Some(judged.collect())
}

fn median(levels: &[Level], figure: Figure) -> f64 {
    let mut figures: Vec<f64> = levels.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(rss_mib: impl Fn(u32) -> f64) -> Vec<Level> {
        let level = |at| Level {
            rss_mib: rss_mib(at),
            ..Level::default()
        };
        (0..20).map(level).collect()
    }

    fn has_grown(levels: &[Level]) -> bool {
        judge(levels)
            .unwrap()
            .iter()
            .any(|(_, has_grown)| *has_grown)
    }

    #[test]
    fn what_rises_by_and_by_is_found() {
        assert!(has_grown(&levels(|at| 100.0 + 20.0 * f64::from(at))));
    }

    #[test]
    fn what_swings_or_warms_up_is_steady() {
        assert!(!has_grown(&levels(|at| 100.0 + 30.0 * f64::from(at % 2))));
        assert!(!has_grown(&levels(|at| if at < 2 { 10.0 } else { 200.0 })));
    }

    #[test]
    fn a_few_levels_say_nothing() {
        assert!(judge(&levels(|_| 1.0)[..7]).is_none());
    }
}
