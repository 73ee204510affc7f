//! What commands print on: results on standard output, all else on standard error, colour only
//! on a terminal.

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::{self, Stderr, Stdout, Write};

/// Standard output and standard error of one command.
#[derive(Debug)]
pub struct Screen {
    out: AutoStream<Stdout>,
    err: AutoStream<Stderr>,
    json: bool,
}

/// Titles.
pub(super) const STRONG: Style = Style::new().bold();
/// What matters less.
pub(super) const FAINT: Style = Style::new().dimmed();
/// What needs attention.
pub(super) const ALARM: Style = AnsiColor::Red.on_default().bold();
/// What is well.
pub(super) const WELL: Style = AnsiColor::Green.on_default();

impl Default for Screen {
    fn default() -> Self {
        Self {
            out: AutoStream::auto(io::stdout()),
            err: AutoStream::auto(io::stderr()),
            json: false,
        }
    }
}

impl Screen {
    pub(super) fn set_json(&mut self, json: bool) {
        self.json = json;
    }

    /// Whether results are printed as JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether standard error takes colours.
    pub(super) fn is_styled(&self) -> bool {
        self.err.current_choice() != anstream::ColorChoice::Never
    }

    /// Prints a result as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let json = serde_json::to_string(value)?;
        Ok(writeln!(self.out, "{json}")?)
    }

    /// Prints a line of a result for people.
    pub(super) fn line(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.out, "{}", line.as_ref())
    }

    /// Prints a line that is no result.
    pub fn complain(&mut self, line: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.err, "{}", line.as_ref())
    }
}

/// Text in a style.
pub(super) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A count and its noun: `1 file`, `2 files`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// A number that people can read: `1,200`.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 {
        grouped.insert(0, '-');
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (-12_000, "-12,000"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }
}
