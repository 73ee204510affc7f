//! The screens: the item that it has come to, what the last key came to, and the keys.

use super::sheet::{Sheet, wrapped};
use super::terminal::{CLEAR, Terminal, control};
use super::{Asked, Mode, Session, reasons};
use crate::cli::screen::{ALARM, FAINT, STRONG, counted, styled};
use crate::item::{ItemRef, Verdict};
use crate::notify::waiting::Story;
use crate::record::shown;
use crate::report::{self, ItemPage};
use crate::store::StoreError;
use jiff::Timestamp;
use std::collections::HashSet;
use unicode_width::UnicodeWidthStr;

const KEYS: &str = "a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit";
const AT_END: &str = "u undo  p back  s look for more  q quit";

impl Session<'_, '_> {
    /// Shows the item that it has come to, and returns it; `None` at the end.
    pub(super) fn draw(&mut self, terminal: &Terminal) -> anyhow::Result<Option<ItemPage>> {
        let (columns, rows) = terminal.size();
        let now = self.now();
        let page = match self.ids.get(self.at) {
            Some(id) => report::item(&mut self.store, Some(self.rules), *id, now)?,
            None => None,
        };
        let shown = page.as_ref().map(|page| ItemRef {
            id: page.line.id,
            version: Some(page.line.version),
        });
        if let (Some(before), Some(shown)) = (self.shown, shown)
            && before.id == shown.id
            && before != shown
        {
            let changed = format!("{before} has changed: it is {shown} now");
            self.said.push(styled(ALARM, changed));
        }
        self.shown = shown;
        let mut lines = match &page {
            Some(page) => self.sheet(page, now, columns)?,
            None => self.end()?,
        };
        let mut below = vec![String::new()];
        below.extend(self.said.iter().cloned());
        below.extend(self.footer(page.is_some(), columns));
        // The last row stays empty, so that nothing scrolls.
        let taken: usize = below.iter().map(|line| rows_of(line, columns)).sum();
        let room = rows.saturating_sub(1 + taken);
        if lines.len() > room {
            lines.truncate(room.saturating_sub(1));
            lines.push(styled(FAINT, "…"));
        }
        lines.extend(below);
        if terminal.is_live() {
            control(CLEAR)?;
        } else {
            lines.push(String::new());
        }
        self.desk.screen.line(lines.join("\n"))?;
        Ok(page)
    }

    fn sheet(
        &mut self,
        page: &ItemPage,
        now: Timestamp,
        columns: usize,
    ) -> Result<Vec<String>, StoreError> {
        let events = self.store.read(|tx| tx.events(page.line.id))?;
        let sheet = Sheet {
            page,
            events: &events,
            story: Story::of(&page.record, Vec::new(), None),
            zone: &self.zone,
            now,
            columns,
        };
        Ok(sheet.lines(&format!("{} of {}", self.at + 1, self.ids.len())))
    }

    fn end(&mut self) -> Result<Vec<String>, StoreError> {
        let waiting = self.store.read(|tx| tx.pending_in_order())?;
        let waiting: HashSet<i64> = waiting.iter().map(|(id, _)| *id).collect();
        let left = self.ids.iter().filter(|id| waiting.contains(id)).count();
        Ok(vec![match left {
            0 => styled(STRONG, "nothing waits"),
            left => format!(
                "{}; {} you skipped: p goes back",
                styled(STRONG, "nothing more waits"),
                counted(left, "item")
            ),
        }])
    }

    fn footer(&self, has_item: bool, columns: usize) -> Vec<String> {
        let (text, most) = match &self.mode {
            Mode::Keys if has_item && columns >= KEYS.len() => return vec![styled(FAINT, KEYS)],
            Mode::Keys if has_item => (KEYS.to_owned(), 2),
            Mode::Keys => return vec![styled(FAINT, AT_END)],
            Mode::Reason(_) => {
                let reasons: Vec<String> = reasons(self.rules)
                    .map(|(label, _, text)| format!("{label} {text} · "))
                    .collect();
                let text = format!(
                    "rejected, why? {}Enter: not said · Escape: not at all",
                    reasons.concat()
                );
                (text, 4)
            }
            Mode::Line(asked, _, text) => {
                let asked = match asked {
                    Asked::Until => "until when (3d, a date, a time)",
                    Asked::Note => "note",
                };
                return wrapped(&format!("{asked}, Enter; Escape: not"), columns, 2)
                    .into_iter()
                    .chain([format!("> {}_", tail(text, columns.saturating_sub(3)))])
                    .collect();
            }
        };
        let lines = wrapped(&text, columns, most).into_iter();
        lines.map(|line| styled(FAINT, line)).collect()
    }

    pub(super) fn say_goodbye(&mut self) -> anyhow::Result<()> {
        let kinds = [Verdict::Approve, Verdict::Reject, Verdict::Hold];
        let counts = kinds.map(|kind| {
            (
                kind,
                self.made.iter().filter(|made| made.verdict == kind).count(),
            )
        });
        let told: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{count} {}", kind.past()))
            .collect();
        let told = if told.is_empty() {
            "nothing was decided".to_owned()
        } else {
            told.join(", ")
        };
        Ok(self.desk.screen.line(told)?)
    }
}

/// How many rows of the screen a line takes.
fn rows_of(line: &str, columns: usize) -> usize {
    let plain = anstream::adapter::strip_str(line).to_string();
    plain.width().div_ceil(columns).max(1)
}

/// The end of what is typed, when it is longer than the line.
fn tail(text: &str, columns: usize) -> String {
    let cut = text.chars().count().saturating_sub(columns / 2);
    let end: String = text
        .chars()
        .skip(if cut > columns / 2 { cut } else { 0 })
        .collect();
    shown::line(&end, columns)
}
