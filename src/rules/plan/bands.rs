//! Which of many intervals a number lies in: a segment tree (Bentley, 1977), built once.
//!
//! The ends of all intervals cut the line into points and the gaps between them, which are counted
//! from the left: gap 0, point 0 as 1, gap 1 as 2, and so on. An interval is a run of these; it is
//! kept at the few nodes of the tree that together cover it, so that a search meets just those
//! intervals that hold, and building needs `n log n` room whatever the intervals are.

use crate::rules::condition::expr::Comparison;

/// The numbers from one end to another; an open end is not among them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) from: f64,
    pub(super) from_open: bool,
    pub(super) to: f64,
    pub(super) to_open: bool,
}

impl Interval {
    const WHOLE: Self = Self {
        from: f64::NEG_INFINITY,
        from_open: false,
        to: f64::INFINITY,
        to_open: false,
    };

    /// The numbers for which a comparison holds, unless there is a hole in them.
    pub(super) fn of(comparison: Comparison, limit: f64) -> Option<Self> {
        let below = |to_open| Self {
            to: limit,
            to_open,
            ..Self::WHOLE
        };
        let above = |from_open| Self {
            from: limit,
            from_open,
            ..Self::WHOLE
        };
        Some(match comparison {
            Comparison::Less => below(true),
            Comparison::AtMost => below(false),
            Comparison::Greater => above(true),
            Comparison::AtLeast => above(false),
            Comparison::Equal => below(false).and(above(false)),
            Comparison::NotEqual => return None,
        })
    }

    /// The numbers in both.
    pub(super) fn and(self, other: Self) -> Self {
        let mut both = self;
        if other.from > both.from || (other.from == both.from && other.from_open) {
            (both.from, both.from_open) = (other.from, other.from_open);
        }
        if other.to < both.to || (other.to == both.to && other.to_open) {
            (both.to, both.to_open) = (other.to, other.to_open);
        }
        both
    }

    /// The least and the greatest number in it, so that `from <= number && number <= to` asks for
    /// it; no number is between these and an open end.
    pub(super) fn closed(self) -> (f64, f64) {
        let from = if self.from_open {
            self.from.next_up()
        } else {
            self.from
        };
        let to = if self.to_open {
            self.to.next_down()
        } else {
            self.to
        };
        (from, to)
    }

    /// Whether it ends at both sides.
    pub(super) fn is_bounded(self) -> bool {
        self.from.is_finite() && self.to.is_finite()
    }
}

/// Lists of values by key, side by side.
#[derive(Debug)]
pub(super) struct Lists<T> {
    starts: Vec<u32>,
    values: Vec<T>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            starts: Vec::new(),
            values: Vec::new(),
        }
    }
}

impl<T> Lists<T> {
    /// The lists of `count` keys; values keep their order.
    pub(super) fn new(count: usize, mut pairs: Vec<(usize, T)>) -> Self {
        pairs.sort_by_key(|(key, _)| *key);
        let mut starts = vec![0_u32; count + 1];
        for (key, _) in &pairs {
            starts[key + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let values = pairs.into_iter().map(|(_, value)| value).collect();
        Self { starts, values }
    }

    pub(super) fn get(&self, key: usize) -> &[T] {
        match self.starts.get(key..key + 2) {
            Some([start, end]) => self
                .values
                .get(*start as usize..*end as usize)
                .unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Values by the intervals of one number.
#[derive(Debug)]
pub(super) struct Bands<T> {
    /// The ends of the intervals, in order, each once.
    points: Vec<f64>,
    leaves: usize,
    /// The values at each node of the tree; the root is 1, the leaves are the last.
    values: Lists<T>,
}

impl<T: Copy> Bands<T> {
    pub(super) fn new(intervals: &[(Interval, T)]) -> Self {
        let ends = intervals.iter().flat_map(|(i, _)| [i.from, i.to]);
        let mut points: Vec<f64> = ends.filter(|end| end.is_finite()).collect();
        points.sort_by(f64::total_cmp);
        points.dedup();
        let leaves = (2 * points.len() + 1).next_power_of_two();
        let mut bands = Self {
            points,
            leaves,
            values: Lists::default(),
        };
        let mut pairs = Vec::new();
        for (interval, value) in intervals {
            let (first, last) = bands.run(*interval);
            let (mut left, mut right) = (first + leaves, last + leaves + 1);
            while left < right {
                if left & 1 == 1 {
                    pairs.push((left, *value));
                    left += 1;
                }
                if right & 1 == 1 {
                    right -= 1;
                    pairs.push((right, *value));
                }
                (left, right) = (left / 2, right / 2);
            }
        }
        bands.values = Lists::new(2 * leaves, pairs);
        bands
    }

    /// Whether nobody asks for the number.
    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The value of every interval that holds the number.
    pub(super) fn at(&self, number: f64) -> impl Iterator<Item = &T> {
        let mut node = self.place(number) + self.leaves;
        let path = std::iter::from_fn(move || {
            let here = node;
            node /= 2;
            (here > 0).then_some(here)
        });
        path.flat_map(|node| self.values.get(node))
    }

    /// The first and the last place of an interval; the first is after the last if it is empty.
    fn run(&self, interval: Interval) -> (usize, usize) {
        let first = match interval.from {
            from if from == f64::NEG_INFINITY => 0,
            from => self.place(from) + usize::from(interval.from_open),
        };
        let last = match interval.to {
            to if to == f64::INFINITY => 2 * self.points.len(),
            to => self.place(to) - usize::from(interval.to_open),
        };
        (first, last)
    }

    fn place(&self, number: f64) -> usize {
        let at = self.points.partition_point(|point| *point < number);
        2 * at + usize::from(self.points.get(at) == Some(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn comparisons() -> impl Strategy<Value = Vec<(Comparison, i32)>> {
        let comparison = proptest::sample::select(vec![
            Comparison::Less,
            Comparison::AtMost,
            Comparison::Greater,
            Comparison::AtLeast,
            Comparison::Equal,
        ]);
        proptest::collection::vec((comparison, -3..4_i32), 1..4)
    }

    proptest! {
        #[test]
        fn a_search_meets_what_holds(
            rules in proptest::collection::vec(comparisons(), 0..12),
            twice in -8..8_i32,
        ) {
            let number = f64::from(twice) / 2.0;
            let interval = |rule: &[(Comparison, i32)]| {
                rule.iter().fold(Interval::WHOLE, |all, (comparison, limit)| {
                    all.and(Interval::of(*comparison, f64::from(*limit)).unwrap())
                })
            };
            let intervals: Vec<_> = (0_u32..).zip(&rules).map(|(n, rule)| (interval(rule), n)).collect();
            let bands = Bands::new(&intervals);
            let mut found: Vec<u32> = bands.at(number).copied().collect();
            found.sort_unstable();
            let holds = |rule: &[(Comparison, i32)]| {
                rule.iter().all(|(comparison, limit)| comparison.holds(&number, &f64::from(*limit)))
            };
            let expected: Vec<u32> =
                (0_u32..).zip(&rules).filter(|(_, rule)| holds(rule)).map(|(n, _)| n).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
