//! The number that best parts two kinds of values.

/// A value, and whether what it stands for was approved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// The value.
    pub(super) value: f64,
    /// Whether it was approved.
    pub(super) approved: bool,
    /// Whose value it is.
    pub(super) key: i64,
}

impl Point {
    /// Whether approving from `cut` upwards does to this one what was done.
    pub(super) fn agrees(&self, cut: f64) -> bool {
        (self.value >= cut) == self.approved
    }
}

/// The cut that most values agree with, approved from it upwards, and how many do. It leaves
/// values on both sides; of cuts that are equally good, it is the roundest, then the highest.
/// `None` unless there are two values to part. The points are put in order.
pub(super) fn best(points: &mut [Point]) -> Option<(f64, usize)> {
    points.sort_by(|a, b| a.value.total_cmp(&b.value));
    // Below every value all is approved; each value that falls below the cut changes sides.
    let mut agree = points.iter().filter(|point| point.approved).count();
    let mut best: Option<(usize, i32, f64)> = None;
    let mut lower: Option<f64> = None;
    for same in points.chunk_by(|a, b| a.value == b.value) {
        let value = same.first()?.value;
        if let Some(lower) = lower
            && best.is_none_or(|(most, ..)| agree >= most)
        {
            let (cut, zeros) = roundest(lower, value);
            let is_better =
                |(most, rounder, _): (usize, i32, f64)| (agree, zeros) >= (most, rounder);
            if best.is_none_or(is_better) {
                best = Some((agree, zeros, cut));
            }
        }
        let approved = same.iter().filter(|point| point.approved).count();
        agree = agree + (same.len() - approved) - approved;
        lower = Some(value);
    }
    best.map(|(agree, _, cut)| (cut, agree))
}

/// The number above `low` and not above `high` that ends in the most zeros, and how many those are
/// (fewer than none: digits after the point). Of several, the one nearest to the middle.
fn roundest(low: f64, high: f64) -> (f64, i32) {
    if low < 0.0 && high >= 0.0 {
        return (0.0, 18);
    }
    let middle = low / 2.0 + high / 2.0;
    for zeros in (-17..=17).rev() {
        let unit = decimal(1.0, zeros);
        let nearest = (middle / unit).round();
        // Around the middle, since a step may lie outside on one side and inside on the other.
        for multiple in [nearest, nearest + 1.0, nearest - 1.0] {
            let cut = decimal(multiple, zeros);
            if cut > low && cut <= high {
                return (cut, zeros);
            }
        }
    }
    (high, -18)
}

/// `multiple` times ten to the power of `zeros`, as exactly as a float can be.
fn decimal(multiple: f64, zeros: i32) -> f64 {
    format!("{multiple:.0}e{zeros}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points(values: &[(f64, bool)]) -> Vec<Point> {
        let point = |(&(value, approved), key)| Point {
            value,
            approved,
            key,
        };
        values.iter().zip(0..).map(point).collect()
    }

    fn agreeing(points: &[Point], cut: f64) -> usize {
        points.iter().filter(|point| point.agrees(cut)).count()
    }

    #[test]
    fn the_roundest_cut_between_two_values_is_taken() {
        for (low, high, cut) in [
            (68.0, 71.0, 70.0),
            (69.0, 70.0, 70.0),
            (70.0, 71.0, 71.0),
            (40.0, 160.0, 100.0),
            (12.0, 58.0, 40.0),
            (-3.0, 5.0, 0.0),
            (-1.0, 0.0, 0.0),
            (-58.0, -12.0, -40.0),
            (0.0, 1.0, 1.0),
            (0.25, 0.75, 0.5),
            (1.2, 1.3, 1.3),
            (1.21, 1.29, 1.25),
            (1_000_000.0, 1_000_001.0, 1_000_001.0),
            (
                9_007_199_254_740_991.0,
                9_007_199_254_740_992.0,
                9_007_199_254_740_992.0,
            ),
        ] {
            assert_eq!(roundest(low, high).0, cut, "({low}, {high}]");
        }
    }

    #[test]
    fn what_cannot_be_parted_has_no_cut() {
        assert_eq!(best(&mut points(&[])), None);
        assert_eq!(best(&mut points(&[(1.0, true), (1.0, false)])), None);
        let mut one = points(&[(1.0, false), (2.0, true)]);
        assert_eq!(best(&mut one), Some((2.0, 2)));
    }

    #[test]
    fn equally_good_cuts_go_by_roundness_and_then_by_height() {
        let values = [(11.0, false), (13.0, true), (18.0, false), (22.0, true)];
        assert_eq!(best(&mut points(&values)), Some((20.0, 3)));
        let values = [(11.0, false), (12.0, true), (13.0, false), (14.0, true)];
        assert_eq!(best(&mut points(&values)), Some((14.0, 3)));
    }

    proptest! {
        #[test]
        fn no_other_cut_agrees_more_often(values in prop::collection::vec(((-60_i32..60).prop_map(|n| f64::from(n) / 4.0), any::<bool>()), 0..40)) {
            let mut points = points(&values);
            let found = best(&mut points);
            let parts = |cut: f64| points.iter().any(|p| p.value < cut) && points.iter().any(|p| p.value >= cut);
            let cuts = points.iter().map(|point| point.value).filter(|cut| parts(*cut));
            let most = cuts.map(|cut| agreeing(&points, cut)).max();
            prop_assert_eq!(found.map(|(_, agree)| agree), most);
            if let Some((cut, agree)) = found {
                prop_assert!(parts(cut));
                prop_assert_eq!(agreeing(&points, cut), agree);
            }
        }

        #[test]
        fn no_rounder_number_lies_between(low in -2_000_i32..2_000, more in 1_i32..600) {
            let (cut, zeros) = roundest(f64::from(low), f64::from(low + more));
            let between = (low + 1)..=(low + more);
            let trailing = |n: i32| if n == 0 { 18 } else { (0..).take_while(|z| n % 10_i32.pow(z + 1) == 0).count() };
            let most = between.clone().map(trailing).max().unwrap();
            prop_assert!(between.contains(&(cut as i32)) && cut.fract() == 0.0);
            prop_assert_eq!(trailing(cut as i32), most);
            prop_assert_eq!(usize::try_from(zeros).unwrap(), most);
        }
    }
}
