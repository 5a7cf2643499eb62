//! What was measured, as Markdown.

use std::fmt;

use crate::measure::Case;
use crate::peers::PEERS;

/// All rates, by store and case.
pub struct Table {
    cases: Vec<Case>,
    rates: Vec<Vec<Vec<f64>>>,
}

impl Table {
    pub fn new(cases: Vec<Case>) -> Self {
        let rates = vec![vec![Vec::new(); cases.len()]; PEERS.len()];
        Self { cases, rates }
    }

    /// Takes down one run of the store `row` in the case `column`.
    pub fn add(&mut self, row: usize, column: usize, rate: f64) {
        self.rates[row][column].push(rate);
    }

    /// The better of the floors that are only files and syncs.
    fn disk(&self, column: usize) -> f64 {
        let floors = PEERS.iter().zip(&self.rates);
        floors
            .filter(|(peer, _)| peer.is_disk)
            .map(|(_, rates)| median(&rates[column]))
            .fold(0.0, f64::max)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "GB/s, in parentheses as part of the better `disk`. Durable before the answer: \
             A data, names and metadata; B data; C metadata; D nothing."
        )?;
        writeln!(f)?;
        write!(f, "| store | class | durable before the answer | hashes |")?;
        for case in &self.cases {
            write!(f, " {case} |")?;
        }
        writeln!(f)?;
        writeln!(f, "|---|---|---|---|{}", "--:|".repeat(self.cases.len()))?;
        for (peer, rates) in PEERS.iter().zip(&self.rates) {
            write!(
                f,
                "| {} | {:?} | {} | {} |",
                peer.name, peer.class, peer.durable, peer.hashes
            )?;
            for (column, rates) in rates.iter().enumerate() {
                let rate = median(rates);
                write!(f, " {rate:.2} ({:.2}) |", rate / self.disk(column))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
