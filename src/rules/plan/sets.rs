//! What is known of a record, as sets of small numbers.

use super::Plan;

/// The sets that are kept for a record.
#[derive(Clone, Copy)]
pub(super) enum Set {
    /// Of atoms: those that hold.
    Found,
    /// Of atoms: those that were asked.
    Asked,
    /// Of atoms: those that were asked and have no value.
    Valueless,
    /// Of rules: those to be looked at.
    Triggered,
    /// Of rules: those whose trigger may have no value.
    Lacking,
    /// Of numbers: those that were asked.
    NumbersAsked,
}

/// Sets of small numbers, a bit for each, side by side in memory.
pub(super) struct Sets {
    words: Vec<u64>,
    /// Where each set starts, and where the last ends.
    starts: [usize; 7],
}

impl Sets {
    pub(super) fn new(plan: &Plan) -> Self {
        let (atoms, rules) = (plan.atoms.len(), plan.programs.len());
        let counts = [atoms, atoms, atoms, rules, rules, plan.numbers.len()];
        let mut starts = [0; 7];
        for (at, count) in counts.into_iter().enumerate() {
            starts[at + 1] = starts[at] + count.div_ceil(64);
        }
        Self {
            words: vec![0; starts[6]],
            starts,
        }
    }

    pub(super) fn has(&self, set: Set, at: usize) -> bool {
        let word = self.words.get(self.starts[set as usize] + at / 64);
        word.is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// Adds a number; whether it was not there yet.
    pub(super) fn add(&mut self, set: Set, at: usize) -> bool {
        let Some(word) = self.words.get_mut(self.starts[set as usize] + at / 64) else {
            return false;
        };
        let bit = 1 << (at % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// The first number of a set from one on.
    pub(super) fn next(&self, set: Set, from: usize) -> Option<usize> {
        let (start, end) = (self.starts[set as usize], self.starts[set as usize + 1]);
        let words = self.words.get(start..end)?;
        let mut at = from / 64;
        let mut word = words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *words.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize)
    }
}
