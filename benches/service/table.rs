//! The one table that is printed: what was measured, beside what cannot be passed.

use std::fmt;
use std::time::Duration;

/// Something measured.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    Time(Duration),
    Bytes(u64),
    /// So much of a core.
    Core(f64),
    Number(f64),
}

impl Measure {
    #[allow(clippy::cast_precision_loss)]
    fn value(self) -> f64 {
        match self {
            Self::Time(time) => time.as_secs_f64(),
            Self::Bytes(bytes) => bytes as f64,
            Self::Core(number) | Self::Number(number) => number,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value();
        match self {
            Self::Time(_) if value < 1e-3 => write!(f, "{:.1} us", value * 1e6),
            Self::Time(_) if value < 1.0 => write!(f, "{:.2} ms", value * 1e3),
            Self::Time(_) => write!(f, "{value:.2} s"),
            Self::Bytes(_) => write!(f, "{:.1} MiB", value / f64::from(1 << 20)),
            Self::Core(_) => write!(f, "{:.3} %", value * 100.0),
            Self::Number(_) => write!(f, "{value:.2}"),
        }
    }
}

pub(crate) fn head() {
    println!("| figure | limit, measured beside it | ours | ratio | goal |");
    println!("|---|---|---|---|---|");
}

/// One line: the limit is what it is called, and how much of it was measured.
pub(crate) fn line(figure: &str, limit: Option<(&str, Measure)>, ours: Measure, goal: &str) {
    let (limit, ratio) = match limit {
        Some((what, limit)) => (
            format!("{limit}: {what}"),
            format!("{:.2}", ours.value() / limit.value()),
        ),
        None => Default::default(),
    };
    println!("| {figure} | {limit} | {ours} | {ratio} | {goal} |");
}

/// A line that says why there is no figure.
pub(crate) fn without(figure: &str, why: &str, goal: &str) {
    println!("| {figure} | {why} | | | {goal} |");
}

/// What is being done, for whoever waits.
#[allow(clippy::print_stderr)]
pub(crate) fn doing(what: &str) {
    eprintln!("… {what}");
}

pub(crate) fn median(times: Vec<Duration>) -> Duration {
    at(times, 50)
}

/// The time that so many of a hundred do not pass.
pub(crate) fn at(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = (times.len() * percent / 100).min(last);
    times.get(at).copied().unwrap_or_default()
}

pub(crate) fn each(all: Duration, count: usize) -> Duration {
    all / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

pub(crate) fn share(of: Duration, all: Duration) -> f64 {
    of.as_secs_f64() / all.as_secs_f64()
}

/// A count with a comma before every three digits.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
