//! Charts of bars as SVG, drawn here and coloured by the stylesheet; `chart.html` adds the same
//! numbers as a table.

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 190.0;
/// Room above the bars, and below them for the names of groups.
const ABOVE: f64 = 8.0;
const BELOW: f64 = 22.0;
/// About as wide as a digit is.
const DIGIT: f64 = 7.0;
/// Names of groups that fit side by side.
const NAMES: usize = 7;
/// The bars of a group, as the stylesheet knows them.
const CLASSES: [&str; 3] = ["a", "b", "c"];

/// A chart: groups of bars side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    /// Names it on its page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What it shows, in a sentence.
    pub(super) about: String,
    /// What each group stands for.
    pub(super) of: &'static str,
    /// What the bars of a group stand for: one to three.
    pub(super) series: Vec<&'static str>,
    /// The groups: name, and what each bar counts.
    pub(super) groups: Vec<(String, Vec<i64>)>,
}

/// A bar, with what it says.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) says: String,
}

impl Chart {
    pub(super) fn is_empty(&self) -> bool {
        self.most() == 0
    }

    pub(super) fn size(&self) -> (f64, f64) {
        (WIDTH, HEIGHT)
    }

    /// Each series with its class.
    pub(super) fn legend(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        CLASSES.into_iter().zip(self.series.iter().copied())
    }

    /// Lines across with their numbers: height, where they begin, number.
    pub(super) fn lines(&self) -> Vec<(f64, f64, i64)> {
        let (step, top) = self.scale();
        let numbers = (0..=top / step).map(|n| n * step);
        let line = |number| (self.y(number), self.left(), number);
        numbers.map(line).collect()
    }

    pub(super) fn bars(&self) -> Vec<Bar> {
        let group = self.group();
        let width = (group * 0.8 / self.series.len().max(1) as f64).min(24.0);
        let mut bars = Vec::new();
        for (at, (name, counts)) in self.groups.iter().enumerate() {
            let middle = self.middle(at);
            let left = middle - width * counts.len() as f64 / 2.0;
            for (nth, (count, (class, series))) in counts.iter().zip(self.legend()).enumerate() {
                if *count <= 0 {
                    continue;
                }
                // Whatever is there is seen.
                let height = (self.y(0) - self.y(*count)).max(1.0);
                bars.push(Bar {
                    class,
                    x: tenths(left + width * nth as f64),
                    y: tenths(self.y(0) - height),
                    width: tenths(width * 0.92),
                    height: tenths(height),
                    says: format!("{name}: {count} {series}"),
                });
            }
        }
        bars
    }

    /// The names below the bars, as many as fit: middle, height, name. The last group is named.
    pub(super) fn names(&self) -> Vec<(f64, f64, &str)> {
        let every = self.groups.len().div_ceil(NAMES).max(1);
        let last = self.groups.len().saturating_sub(1);
        let named = self.groups.iter().enumerate();
        let named = named.filter(|(at, _)| (last - at).is_multiple_of(every));
        let named = named.map(|(at, (name, _))| {
            let half = (DIGIT * name.chars().count() as f64).min(WIDTH) / 2.0;
            let middle = self.middle(at).clamp(half, WIDTH - half);
            (tenths(middle), HEIGHT - 6.0, name.as_str())
        });
        named.collect()
    }

    fn most(&self) -> i64 {
        let counts = self.groups.iter().flat_map(|(_, counts)| counts);
        counts.copied().max().unwrap_or_default().max(0)
    }

    /// The step between lines, a round number, and the number at the top: at most four steps.
    fn scale(&self) -> (i64, i64) {
        let most = self.most().max(1);
        let round = (0..18).flat_map(|zeros| [1, 2, 5].map(|n| n * 10_i64.pow(zeros)));
        let mut round = round.skip_while(|step| step.saturating_mul(4) < most);
        let step = round.next().unwrap_or(most);
        (step, (most - 1) / step * step + step)
    }

    fn left(&self) -> f64 {
        DIGIT * self.scale().1.to_string().len() as f64 + 6.0
    }

    fn group(&self) -> f64 {
        (WIDTH - self.left()) / self.groups.len().max(1) as f64
    }

    fn middle(&self, at: usize) -> f64 {
        self.left() + self.group() * (at as f64 + 0.5)
    }

    fn y(&self, number: i64) -> f64 {
        let high = HEIGHT - ABOVE - BELOW;
        tenths(ABOVE + high * (1.0 - number as f64 / self.scale().1 as f64))
    }
}

fn tenths(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(groups: &[&[i64]]) -> Chart {
        let groups = groups.iter().enumerate();
        Chart {
            series: vec!["came", "went"],
            groups: groups
                .map(|(at, counts)| (format!("day {at}"), counts.to_vec()))
                .collect(),
            ..Chart::default()
        }
    }

    #[test]
    fn lines_stand_at_round_numbers_and_reach_above_the_highest_bar() {
        for (most, numbers) in [
            (0, &[0, 1][..]),
            (1, &[0, 1]),
            (3, &[0, 1, 2, 3]),
            (5, &[0, 2, 4, 6]),
            (40, &[0, 10, 20, 30, 40]),
            (41, &[0, 20, 40, 60]),
            (1_000_000, &[0, 500_000, 1_000_000]),
        ] {
            let lines = chart(&[&[most, 0]]).lines();
            let found: Vec<i64> = lines.iter().map(|(_, _, number)| *number).collect();
            assert_eq!(found, numbers, "{most}");
        }
        assert!(!chart(&[&[i64::MAX, 0]]).lines().is_empty());
    }

    #[test]
    fn bars_are_as_long_as_their_numbers_and_stay_within() {
        let chart = chart(&[&[10, 5], &[0, 20], &[-1, 1]]);
        let bars = chart.bars();
        let says: Vec<&str> = bars.iter().map(|bar| bar.says.as_str()).collect();
        assert_eq!(
            says,
            [
                "day 0: 10 came",
                "day 0: 5 went",
                "day 1: 20 went",
                "day 2: 1 went"
            ]
        );
        assert_eq!(bars[0].height, 2.0 * bars[1].height);
        assert_eq!(bars[2].height, 2.0 * bars[0].height);
        for bar in &bars {
            assert!(
                bar.x >= chart.left() && bar.x + bar.width <= WIDTH,
                "{bar:?}"
            );
            assert!(bar.y >= ABOVE && bar.y + bar.height <= HEIGHT, "{bar:?}");
        }
        for pair in bars.windows(2) {
            assert!(pair[0].x + pair[0].width <= pair[1].x, "{pair:?}");
        }
    }

    #[test]
    fn of_many_groups_a_few_are_named_and_the_last_always() {
        let month = vec![&[1, 1][..]; 30];
        let month = chart(&month);
        let names = month.names();
        assert!((4..=NAMES).contains(&names.len()), "{names:?}");
        assert_eq!(names.last().unwrap().2, "day 29");
        assert!(chart(&[]).is_empty() && chart(&[]).names().is_empty());
        assert!(chart(&[]).bars().is_empty());
    }
}
