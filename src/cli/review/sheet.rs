//! One item on one screen: what a decision needs, and nothing that acts.

use crate::cli::queue;
use crate::cli::screen::{ALARM, FAINT, STRONG, styled};
use crate::notify::waiting::Story;
use crate::record::shown;
use crate::report::ItemPage;
use crate::schedule::{self, rough};
use crate::store::items::Event;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

/// The hits that are told of one by one.
const HITS: usize = 7;
/// Lines of the excerpt, and of what changed.
const EXCERPT: usize = 5;
const CHANGES: usize = 4;

/// An item with its history, for the screen.
pub(super) struct Sheet<'a> {
    pub(super) page: &'a ItemPage,
    pub(super) events: &'a [Event],
    pub(super) story: Story,
    pub(super) zone: &'a TimeZone,
    pub(super) now: Timestamp,
    pub(super) columns: usize,
}

impl Sheet<'_> {
    /// What is shown of it, a line each; `at` says how far through the queue it is.
    pub(super) fn lines(&self, at: &str) -> Vec<String> {
        let mut lines = self.head(at);
        lines.push(String::new());
        lines.extend(self.score());
        let excerpt = self.story.excerpt.as_deref().unwrap_or_default();
        let excerpt = wrapped(excerpt, self.columns, EXCERPT);
        if !excerpt.is_empty() {
            lines.push(String::new());
            lines.extend(excerpt);
        }
        let said = self.said();
        if !said.is_empty() {
            lines.push(String::new());
            lines.extend(said);
        }
        lines
    }

    fn head(&self, at: &str) -> Vec<String> {
        let line = &self.page.line;
        let left = format!("{}  {at}", shown::line(&line.queue, 30));
        let due = line.due.as_ref().and_then(|due| due.parse().ok());
        let due = due.map(|due| self.now.duration_since(due)).map(rough_due);
        let due = due.map(|due| format!("  {due}")).unwrap_or_default();
        let right = format!("{}@{}{due}", line.id, line.version);
        let gap = self
            .columns
            .saturating_sub(left.width() + right.width())
            .max(2);
        let style = if line.overdue { ALARM } else { FAINT };
        let mut lines = vec![format!("{left}{}{}", " ".repeat(gap), styled(style, right))];
        let title = shown::unescaped(line.name());
        let title = wrapped(&title, self.columns, 2);
        lines.extend(title.iter().map(|part| styled(STRONG, part)));
        let Story {
            provider,
            published_at,
            topics,
            ..
        } = &self.story;
        let age = published_at.map(|at| {
            let date = schedule::clock(at, self.zone);
            format!("{} old, {date}", rough(self.now.duration_since(at)))
        });
        let topics = (!topics.is_empty()).then(|| format!("about {}", topics.join(", ")));
        let about: Vec<String> = [provider.clone(), age, topics]
            .into_iter()
            .flatten()
            .collect();
        lines.extend(wrapped(&about.join("; "), self.columns, 2));
        for (holds, word) in [
            (
                line.changed_after_approval,
                "changed after approval".to_owned(),
            ),
            (true, queue::hands(line, self.now)),
        ] {
            if holds && !word.is_empty() {
                lines.push(styled(ALARM, shown::line(&word, self.columns)));
            }
        }
        lines
    }

    fn score(&self) -> Vec<String> {
        let score = self.page.line.score;
        let (quality, heat, topic) = (score.quality, score.heat, score.topic);
        let sum = format!(
            "score {} = quality {quality} + heat {heat} + topic {topic}",
            score.total
        );
        let mut lines = vec![sum];
        let mut hits: Vec<_> = self.page.hits.iter().collect();
        hits.sort_by_key(|hit| std::cmp::Reverse(hit.points.abs()));
        let room = self.columns.saturating_sub(9);
        let told = hits.iter().take(HITS);
        lines.extend(
            told.map(|hit| format!("  {:>+5}  {}", hit.points, shown::line(&hit.why, room))),
        );
        let rest: i64 = hits.iter().skip(HITS).map(|hit| hit.points).sum();
        if let Some(more) = hits.len().checked_sub(HITS).filter(|more| *more > 0) {
            lines.push(format!("  {rest:>+5}  by {more} more"));
        }
        for near in self.page.again.near.iter().take(2) {
            let needs: Vec<String> = near.needs.iter().map(ToString::to_string).collect();
            let near = format!("near miss: {}: {}", needs.join(", "), near.queue);
            lines.push(format!(
                "  {}",
                shown::line(&near, self.columns.saturating_sub(2))
            ));
        }
        lines
    }

    /// What changed since someone last decided, and what was noted.
    fn said(&self) -> Vec<String> {
        let is_decision = |event: &Event| matches!(&*event.kind, "approved" | "rejected" | "held");
        let decided = self.events.iter().rposition(is_decision);
        let since = self
            .events
            .get(decided.unwrap_or_default()..)
            .unwrap_or_default();
        let changes: Vec<String> = since.iter().filter_map(Event::changes).flatten().collect();
        let mut lines = Vec::new();
        if !changes.is_empty() {
            lines.push(styled(ALARM, "changed"));
            let told = changes.iter().rev().take(CHANGES);
            lines.extend(told.flat_map(|change| indented(change, self.columns, 2)));
        }
        for event in self.events.iter().rev().take(20) {
            let note = event
                .detail
                .as_ref()
                .and_then(|detail| detail.get("note")?.as_str());
            if let Some(note) = note {
                let said = format!("{} {}: {note}", event.actor, event.kind.replace('_', " "));
                lines.extend(indented(&said, self.columns, 2));
            }
        }
        lines
    }
}

fn rough_due(overdue_by: jiff::SignedDuration) -> String {
    if overdue_by.is_negative() {
        format!("due in {}", rough(overdue_by))
    } else {
        format!("overdue by {}", rough(overdue_by))
    }
}

fn indented(text: &str, columns: usize, most: usize) -> Vec<String> {
    let lines = wrapped(text, columns.saturating_sub(2), most);
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// Text of others, harmless and broken into lines, `most` of them.
pub(super) fn wrapped(text: &str, columns: usize, most: usize) -> Vec<String> {
    let text = shown::line(text, columns * (most + 1));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = shown::line(word, columns);
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = shown::line(&format!("{last} …"), columns);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_cut_in_the_end() {
        assert_eq!(wrapped("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(
            wrapped("one two three four five", 7, 2),
            ["one two", "three …"]
        );
        assert_eq!(wrapped("abcdefghij", 5, 2), ["abcd…"]);
        assert_eq!(wrapped("\u{1b}[2J \n x", 20, 2), ["␛[2J x"]);
        assert_eq!(wrapped("", 20, 2), [""; 0]);
    }
}
