//! What happened to an item, and what changed in its story, as its page tells it.

use crate::http::acts::who;
use crate::http::story::in_words;
use crate::http::visitor::At;
use crate::record::shown;
use crate::schedule::clock;
use crate::store::items::Event;
use jiff::Timestamp;
use serde_json::Value as Json;
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// A part of a text before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Same(String),
    Gone(String),
    New(String),
}

/// A field that changed.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) field: String,
    pub(super) parts: Vec<Part>,
    /// Whether what is kept of both does not show what changed.
    pub(super) is_beyond: bool,
}

/// A line of an item's history.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: String,
    pub(super) what: String,
    pub(super) note: Option<String>,
    pub(super) changes: Vec<Change>,
}

/// The last change of the story: when, and what.
pub(super) fn last(events: &[Event], at: &At<'_>) -> Option<(String, Vec<Change>)> {
    let zone = at.visitor.timezone();
    let mut revised = events.iter().rev().filter(|event| event.kind == "revised");
    revised
        .next()
        .map(|event| (clock(event.at, &zone), changes(event)))
}

/// The history, the newest first.
pub(super) fn history(events: &[Event], at: &At<'_>) -> Vec<Line> {
    events.iter().rev().map(|event| line(event, at)).collect()
}

fn line(event: &Event, at: &At<'_>) -> Line {
    let detail = |key: &str| event.detail.as_ref()?.get(key)?.as_str();
    let by = who(at, &event.actor);
    let queue = |key| shown::line(detail(key).unwrap_or("?"), 60);
    let mut what = match event.kind.as_str() {
        "queued" => format!("came into {}", queue("queue")),
        "routed" => format!("went from {} to {}", queue("from"), queue("queue")),
        "revised" => "the story changed".into(),
        "noted" => format!("{by} noted"),
        "handed_over" => {
            let to = detail("to").map_or_else(|| queue("queue"), |to| who(at, to));
            format!("{by} handed it over to {to}")
        }
        kind if event.actor == "copydesk" => in_words(kind).trim().replace('_', " "),
        kind => in_words(&format!("{kind} by {by}")).replace('_', " "),
    };
    if let Some(reason) = detail("reason") {
        let reason = at
            .rules
            .desk
            .reject_reasons
            .get(reason)
            .map_or(reason, String::as_str);
        what.push_str(&format!(": {}", shown::line(reason, 80)));
    }
    if let Some(until) = detail("until").and_then(|until| until.parse::<Timestamp>().ok()) {
        what.push_str(&format!(" until {}", clock(until, &at.visitor.timezone())));
    }
    let note = detail("note").or(detail("why")).or(detail("error"));
    Line {
        at: clock(event.at, &at.visitor.timezone()),
        what,
        note: note.map(|note| shown::line(note, 2_000)),
        changes: changes(event),
    }
}

fn changes(event: &Event) -> Vec<Change> {
    let changed = event
        .detail
        .as_ref()
        .and_then(|detail| detail.get("changed")?.as_array());
    let change = |change: &Json| {
        let text = |key: &str| change.get(key).and_then(Json::as_str).unwrap_or_default();
        let parts = diff(text("before"), text("after"));
        Change {
            field: shown::line(text("field"), 60),
            is_beyond: parts.iter().all(|part| matches!(part, Part::Same(_))),
            parts,
        }
    };
    changed.into_iter().flatten().map(change).collect()
}

/// What is gone and what is new, word by word.
fn diff(before: &str, after: &str) -> Vec<Part> {
    let (before, after) = (words(before), words(after));
    let mut parts = Vec::new();
    let mut add = |make: fn(String) -> Part, words: &[&str]| {
        if !words.is_empty() {
            parts.push(make(shown::unescaped(&words.concat())));
        }
    };
    for op in capture_diff_slices(Algorithm::Myers, &before, &after) {
        let (old, new) = (&before[op.old_range()], &after[op.new_range()]);
        if op.tag() == DiffTag::Equal {
            add(Part::Same, old);
        } else {
            add(Part::Gone, old);
            add(Part::New, new);
        }
    }
    parts
}

/// Words, and what stands between them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphanumeric();
        let length = if is_word {
            rest.find(|c: char| !c.is_alphanumeric())
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        words.push(word);
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_its_words() {
        use Part::{Gone, New, Same};
        type Told<'t> = (fn(String) -> Part, &'t str);
        let parts = |parts: &[Told<'_>]| -> Vec<Part> {
            parts
                .iter()
                .map(|(part, text)| part((*text).to_owned()))
                .collect()
        };
        for (before, after, expected) in [
            (
                "Heat pump hums in B flat",
                "Heat pump hums in B",
                parts(&[(Same, "Heat pump hums in B"), (Gone, " flat")]),
            ),
            ("", "new", parts(&[(New, "new")])),
            (
                "[AI, Aws]",
                "[AI]",
                parts(&[(Same, "[AI"), (Gone, ", Aws"), (Same, "]")]),
            ),
            ("same", "same", parts(&[(Same, "same")])),
            (
                "Zürich 1",
                "Zürich 2",
                parts(&[(Same, "Zürich "), (Gone, "1"), (New, "2")]),
            ),
        ] {
            assert_eq!(diff(before, after), expected);
        }
    }
}
