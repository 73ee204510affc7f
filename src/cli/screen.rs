//! What commands print on: results on standard output, all else on standard error, colour only
//! on a terminal.

use crate::record::shown;
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::{self, Stderr, Stdout, Write};
use unicode_width::UnicodeWidthStr;

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
    /// The title of a part, after an empty line.
    pub(super) fn heading(&mut self, title: &str) -> io::Result<()> {
        self.line(format!("\n{}", styled(STRONG, title)))
    }

    /// Rows in columns that are as wide as they need to be: `l` and `r` say to which side.
    pub(super) fn table(
        &mut self,
        sides: &str,
        head: Option<&[&str]>,
        rows: Vec<Vec<String>>,
    ) -> io::Result<()> {
        let head: Vec<String> = head
            .unwrap_or_default()
            .iter()
            .map(|&cell| cell.to_owned())
            .collect();
        let widths: Vec<usize> = (0..sides.len())
            .map(|at| {
                let cells = rows.iter().chain([&head]).filter_map(|row| row.get(at));
                cells.map(|cell| cell.width()).max().unwrap_or_default()
            })
            .collect();
        let line = |row: &[String]| {
            let cells = row
                .iter()
                .zip(sides.chars().zip(&widths))
                .map(|(cell, (side, width))| {
                    let room = " ".repeat(width.saturating_sub(cell.width()));
                    if side == 'r' {
                        format!("{room}{cell}")
                    } else {
                        format!("{cell}{room}")
                    }
                });
            let cells: Vec<String> = cells.collect();
            format!("  {}", cells.join("  ")).trim_end().to_owned()
        };
        if !head.is_empty() {
            self.line(styled(FAINT, line(&head)))?;
        }
        rows.iter().try_for_each(|row| self.line(line(row)))
    }

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

/// A title, or else the place of the file.
pub(super) fn called(title: Option<&String>, location: Option<&String>, columns: usize) -> String {
    let named = title.or(location).map(|text| shown::line(text, columns));
    named.unwrap_or_else(|| "?".to_owned())
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
