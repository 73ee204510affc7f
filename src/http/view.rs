//! A list as someone looks at it: the queue, the order, the filters and the page. Links carry it, so
//! that whoever decides on a story goes on where she was.

use crate::http::HttpError;
use crate::http::visitor::At;
use crate::item::Status;
use crate::schedule;
use crate::store::StoreError;
use crate::store::pages::{Ask, Page, PageRow, Sort};
use url::form_urlencoded::{Serializer, byte_serialize, parse};

/// What may be asked for, in the order in which links name it; the last is the place in the list.
const KEYS: [&str; 10] = [
    "sort", "topic", "provider", "least", "most", "age", "text", "whose", "only", "at",
];
/// Stories on a page: with all that it loads, it stays below 60 KiB.
const SIZE: usize = 40;
/// Characters of a value that are kept.
const VALUE: usize = 200;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) queue: String,
    values: Vec<(&'static str, String)>,
}

impl View {
    /// The whole queue, from its beginning.
    pub(super) fn of(queue: &str) -> Self {
        Self {
            queue: queue.to_owned(),
            values: Vec::new(),
        }
    }

    /// What a query asks for of a queue.
    pub(super) fn asked(queue: &str, query: &str) -> Self {
        let mut view = Self::of(queue);
        for key in KEYS {
            let mut pairs = parse(query.as_bytes()).filter(|(name, _)| *name == key);
            if let Some((_, value)) = pairs.next() {
                let value: String = value.trim().chars().take(VALUE).collect();
                view.set(key, value);
            }
        }
        view
    }

    /// Reads what [`View::path`] wrote.
    pub(super) fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/queues/")?;
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        let name = percent_encoding::percent_decode_str(name);
        let name = name.decode_utf8().ok()?;
        Some(Self::asked(&name, query))
    }

    fn set(&mut self, key: &'static str, value: String) {
        self.values.retain(|(name, _)| *name != key);
        if !value.is_empty() {
            self.values.push((key, value));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let mut values = self.values.iter().filter(|(name, _)| *name == key);
        values.next().map(|(_, value)| value.as_str())
    }

    /// The value of a key, for a form.
    pub(super) fn value(&self, key: &str) -> &str {
        self.get(key).unwrap_or_default()
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.values
            .iter()
            .any(|(key, _)| !["sort", "at"].contains(key))
    }

    /// The same from another place in it.
    pub(super) fn at(&self, place: Option<&str>) -> Self {
        let mut view = self.clone();
        view.set("at", place.unwrap_or_default().to_owned());
        view
    }

    /// The address of the page.
    pub(super) fn path(&self) -> String {
        let name: String = byte_serialize(self.queue.as_bytes()).collect();
        let name = name.replace('+', "%20");
        if self.values.is_empty() {
            return format!("/queues/{name}");
        }
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.values);
        format!("/queues/{name}?{}", query.finish())
    }

    /// It as a part of the query of another page; the whole queue of a story is where it is without.
    pub(super) fn from(&self) -> String {
        if self.values.is_empty() {
            return String::new();
        }
        let path = self.path();
        let path: String = byte_serialize(path.as_bytes()).collect();
        format!("from={path}")
    }

    /// What stands on this page. A place that is none in this list is its beginning.
    pub(super) fn rows(&self, at: &mut At<'_>) -> Result<Page, HttpError> {
        let actor = at.visitor.actor().name();
        let number = |key| self.get(key).and_then(|number| number.parse().ok());
        let age = self.get("age").and_then(|age| schedule::span(age).ok());
        let mine = |whose| {
            self.get("whose")
                .filter(|asked| *asked == whose)
                .map(|_| &*actor)
        };
        let ask = Ask {
            queues: vec![&self.queue],
            sort: self.get("sort").and_then(Sort::named).unwrap_or_default(),
            size: Some(SIZE),
            at: self.get("at"),
            status: self
                .get("only")
                .and_then(|only| only.parse::<Status>().ok()),
            topic: self.get("topic"),
            provider: self.get("provider"),
            least: number("least"),
            most: number("most"),
            published_since: age.and_then(|age| at.now.checked_sub(age).ok()),
            text: self.get("text"),
            claimed_by: mine("claimed"),
            assigned_to: mine("assigned"),
            overdue: self.get("only") == Some("overdue"),
            ..Ask::default()
        };
        let now = at.now;
        let page = match at.store.read(|tx| tx.page(&ask, now)) {
            Err(StoreError::Cursor) => {
                let ask = Ask { at: None, ..ask };
                at.store.read(|tx| tx.page(&ask, now))?
            }
            page => page?,
        };
        Ok(page)
    }

    /// The addresses of what stands before and after an item in the list.
    pub(super) fn beside(
        &self,
        at: &mut At<'_>,
        id: i64,
    ) -> Result<(Option<String>, Option<String>), HttpError> {
        let page = self.rows(at)?;
        let address = |view: &Self, row: Option<&PageRow>| {
            row.map(|row| format!("/items/{}?{}", row.listed.item.id, view.from()))
        };
        let place = page.rows.iter().position(|row| row.listed.item.id == id);
        let Some(place) = place else {
            return Ok((None, address(self, page.rows.first())));
        };
        let before = place.checked_sub(1).and_then(|place| page.rows.get(place));
        let previous = match (before, &page.previous) {
            (None, Some(mark)) => {
                let view = self.at(Some(mark));
                address(&view, view.rows(at)?.rows.last())
            }
            (before, _) => address(self, before),
        };
        let next = match (page.rows.get(place + 1), &page.next) {
            (None, Some(mark)) => {
                let view = self.at(Some(mark));
                address(&view, view.rows(at)?.rows.first())
            }
            (after, _) => address(self, after),
        };
        Ok((previous, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_carries_what_is_looked_at() {
        let query = "topic=AWS+AI&sort=score&least=40&topic=other&evil=1&text=%26%22&at=abc";
        let view = View::asked("ai desk/1", query);
        assert_eq!(
            view.path(),
            "/queues/ai%20desk%2F1?sort=score&topic=AWS+AI&least=40&text=%26%22&at=abc"
        );
        assert_eq!(View::read(&view.path()), Some(view.clone()));
        assert_eq!(view.at(None).get("at"), None);
        assert!(view.is_filtered());
        for (path, queue) in [
            ("/queues/urgent", Some("urgent")),
            ("/queues/urgent?at=x", Some("urgent")),
            ("//evil.example", None),
            ("/items/7", None),
        ] {
            let read = View::read(path);
            assert_eq!(read.as_ref().map(|view| view.queue.as_str()), queue);
            assert!(!read.is_some_and(|view| view.is_filtered()));
        }
        let long = View::asked("q", &format!("text={}", "x".repeat(5_000)));
        assert_eq!(long.value("text").len(), VALUE);
    }
}
