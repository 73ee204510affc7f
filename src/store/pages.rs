//! Pages of queues: what is open, in an order, from a mark in the list.
//!
//! No page is found by passing over those before it: a page begins after a key, and each order is an
//! index, so the five hundredth costs what the first does. What an index does not know (topics, text,
//! …) is looked at row by row, so many at most for a page: a page may then be short and say that the
//! search goes on.

mod lanes;
mod mark;
#[cfg(test)]
mod tests;

pub use mark::Sort;

use super::items::{ITEM, LISTED, Listed};
use super::packing::{Own, some_fields};
use super::{Micros, StoreError, Tx};
use crate::item::Status;
use crate::record::shown;
use crate::record::value::{Map, Value};
use crate::record::{domain, provider, published_at, text};
use crate::rules::assess::Hit;
use jiff::Timestamp;
use lanes::Lanes;
use mark::Mark;
use std::collections::BTreeSet;

/// Items on a page, unless it is asked for more or fewer.
pub const SIZE: usize = 50;
/// Items on a page at most.
pub const MOST: usize = 200;
/// Items that are looked at for a page at most, while a filter passes over them.
pub const LOOK: usize = 700;

/// What page of what list is asked for.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    /// The queues.
    pub queues: Vec<&'a str>,
    /// The order.
    pub sort: Sort,
    /// Items on a page; [`SIZE`] if not said, [`MOST`] at most.
    pub size: Option<usize>,
    /// A page's `next` or `previous`; without one it is the first page.
    pub at: Option<&'a str>,
    /// Only those that are pending, or held.
    pub status: Option<Status>,
    /// Only those whose file names this topic, in any case.
    pub topic: Option<&'a str>,
    /// Only those of this provider: its name or domain, in any case.
    pub provider: Option<&'a str>,
    /// Only those with this total or more.
    pub least: Option<i64>,
    /// Only those with this total or less.
    pub most: Option<i64>,
    /// Only those published at this time or later; what does not say when counts from when it was
    /// first seen.
    pub published_since: Option<Timestamp>,
    /// Only those of this source.
    pub source: Option<&'a str>,
    /// Only those with all these words in title or excerpt, in any case.
    pub text: Option<&'a str>,
    /// Only those that this person has claimed.
    pub claimed_by: Option<&'a str>,
    /// Only those that this person was handed.
    pub assigned_to: Option<&'a str>,
    /// Only those that should have been decided by now. Sorted by [`Sort::Due`] they are first.
    pub overdue: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its items.
    pub rows: Vec<PageRow>,
    /// Leads to the page after it, if there is more.
    pub next: Option<String>,
    /// Leads to the page before it, unless this is the first.
    pub previous: Option<String>,
    /// Whether it ends before the list does because [`LOOK`] items were looked at: there may be more
    /// that the filters let through.
    pub goes_on: bool,
}

/// An item as a page shows it.
#[derive(Clone, Debug)]
pub struct PageRow {
    /// The item with its title, place and score.
    pub listed: Listed,
    /// The provider's name.
    pub provider: Option<String>,
    /// The provider's domain.
    pub domain: Option<String>,
    /// When it was published, as its file says.
    pub published_at: Option<Timestamp>,
    /// What it is about, as its file says.
    pub topics: Vec<String>,
    /// What it begins with, on one line.
    pub excerpt: Option<String>,
    /// Why it scores so.
    pub hits: Vec<Hit>,
}

/// How wide the beginning of an excerpt is.
const BEGINNING: usize = 280;

impl Tx<'_> {
    /// A page of what is open.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] if `at` is no place in this list, and else as all methods here.
    pub fn page(&self, ask: &Ask<'_>, now: Timestamp) -> Result<Page, StoreError> {
        let size = ask.size.unwrap_or(SIZE).clamp(1, MOST);
        let from = ask.at.map(|text| Mark::read(text, ask)).transpose()?;
        let back = from.is_some_and(|(_, back)| back);
        let from = from.map(|(mark, _)| mark);
        let mut lanes = Lanes::new(ask, from, back, size + 1);
        let mut filter = Filter::of(ask, now);
        let (mut found, mut looked, mut last) = (Vec::new(), 0, None);
        let (more, goes_on) = loop {
            let Some(mark) = lanes.next(self)? else {
                break (false, false);
            };
            let is_looked_at = filter.looks();
            if is_looked_at && looked == LOOK {
                break (true, true);
            }
            looked += 1;
            if !is_looked_at || self.lets_through(&mut filter, mark.id)? {
                if found.len() == size {
                    break (true, false);
                }
                found.push(mark.id);
            }
            last = Some(mark);
        };
        if back {
            found.reverse();
        }
        let rows = found.into_iter().map(|id| self.page_row(id));
        let on = last.filter(|_| more);
        let (start, end) = match back {
            false => (from, on),
            true => (on.map(|mark| mark.before(ask.sort)), from),
        };
        Ok(Page {
            rows: rows.collect::<Result<_, _>>()?,
            next: end.map(|mark| mark.written(ask, false)),
            previous: start.map(|mark| mark.written(ask, true)),
            goes_on,
        })
    }

    /// An item as a page shows it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn page_row(&self, id: i64) -> Result<PageRow, StoreError> {
        let sql = format!(
            "SELECT {ITEM}, {LISTED}, r.fields, r.identity, a.hits FROM items i JOIN records r ON r.id = i.record
             JOIN assessments a ON a.record = r.id WHERE i.id = ?1"
        );
        let keys = ["provider", "publishedDateTime", "topics", "excerpt"];
        let keys = keys.map(str::to_owned).into();
        let row = self.one(&sql, [id], |row| {
            let packed = row.get_ref("fields")?.as_blob()?;
            let own = Own {
                identity: row.get_ref("identity")?.as_str()?,
                title: row.get_ref("title")?.as_str_or_null()?,
            };
            let fields = some_fields(packed, own, &keys, &mut Vec::new());
            Ok((Listed::of(row)?, fields, row.get::<_, String>("hits")?))
        })?;
        let odd = |why: String| StoreError::Odd(format!("item {id}: {why}"));
        let (listed, fields, hits) = row.ok_or_else(|| odd("it was never assessed".into()))?;
        let fields = fields.map_err(odd)?;
        let excerpt = text(&fields, "excerpt").map(shown::unescaped);
        Ok(PageRow {
            listed,
            provider: provider(&fields).map(shown::unescaped),
            domain: domain(&fields).map(Into::into),
            published_at: published_at(&fields),
            topics: topics(&fields).collect(),
            excerpt: excerpt.map(|text| shown::line(&text, BEGINNING)),
            hits: self.hits_of(&hits)?,
        })
    }

    fn lets_through(&self, filter: &mut Filter<'_>, id: i64) -> Result<bool, StoreError> {
        let sql =
            "SELECT i.status, i.due_at, i.score, i.claimed_by, i.claimed_until, i.assigned_to,
                          r.source, r.first_seen, r.title, r.identity, r.fields
                   FROM items i JOIN records r ON r.id = i.record WHERE i.id = ?1";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        match rows.next()? {
            Some(row) => filter.lets_through(row),
            None => Ok(false),
        }
    }
}

/// The filters of an [`Ask`], ready to be held against rows.
struct Filter<'a> {
    ask: &'a Ask<'a>,
    now: Timestamp,
    topic: Option<String>,
    provider: Option<String>,
    words: Vec<String>,
    /// The fields that they read.
    keys: BTreeSet<String>,
    /// Room that is used again.
    json: Vec<u8>,
}

impl<'a> Filter<'a> {
    fn of(ask: &'a Ask<'a>, now: Timestamp) -> Self {
        let text = ask.text.unwrap_or_default().to_lowercase();
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let read = [
            ("topics", ask.topic.is_some()),
            ("provider", ask.provider.is_some()),
            ("publishedDateTime", ask.published_since.is_some()),
            ("excerpt", !words.is_empty()),
        ];
        let keys = read.into_iter().filter(|(_, reads)| *reads);
        Self {
            ask,
            now,
            topic: ask.topic.map(str::to_lowercase),
            provider: ask.provider.map(str::to_lowercase),
            words,
            keys: keys.map(|(key, _)| key.to_owned()).collect(),
            json: Vec::new(),
        }
    }

    /// Whether a row must be looked at to know.
    fn looks(&self) -> bool {
        let ask = self.ask;
        ask.overdue
            || ask.status.is_some()
            || ask.least.is_some()
            || ask.most.is_some()
            || ask.source.is_some()
            || ask.claimed_by.is_some()
            || ask.assigned_to.is_some()
            || !self.keys.is_empty()
    }

    fn lets_through(&mut self, row: &rusqlite::Row<'_>) -> Result<bool, StoreError> {
        let ask = self.ask;
        let text = |at: &str| {
            let text = row.get_ref(at)?.as_str_or_null();
            text.map_err(rusqlite::Error::from)
        };
        let time = |at: &str| row.get::<_, Option<i64>>(at);
        let now = self.now.as_microsecond();
        let (status, score) = (text("status")?, row.get::<_, i64>("score")?);
        let is_pending = status == Some(Status::Pending.as_str());
        let claim = time("claimed_until")?.filter(|until| *until > now);
        let by_columns = (is_pending || status == Some(Status::Held.as_str()))
            && ask
                .status
                .is_none_or(|asked| status == Some(asked.as_str()))
            && ask.least.is_none_or(|least| score >= least)
            && ask.most.is_none_or(|most| score <= most)
            && (!ask.overdue || is_pending && time("due_at")?.is_some_and(|due| due <= now))
            && (ask.source.is_none() || text("source")? == ask.source)
            && (ask.assigned_to.is_none() || text("assigned_to")? == ask.assigned_to)
            && (ask.claimed_by.is_none()
                || claim.is_some() && text("claimed_by")? == ask.claimed_by);
        if !by_columns || self.keys.is_empty() {
            return Ok(by_columns);
        }
        let packed = row.get_ref("fields")?;
        let packed = packed.as_blob().map_err(rusqlite::Error::from)?;
        let title = text("title")?;
        let own = Own {
            identity: text("identity")?.unwrap_or_default(),
            title,
        };
        let fields = some_fields(packed, own, &self.keys, &mut self.json);
        let fields = fields.map_err(StoreError::Odd)?;
        let first_seen = row.get::<_, Micros>("first_seen")?.0;
        Ok(self.holds(&fields, title, first_seen))
    }

    fn holds(&self, fields: &Map, title: Option<&str>, first_seen: Timestamp) -> bool {
        let topic = self.topic.as_ref();
        let provider = self.provider.as_ref();
        let since = self.ask.published_since;
        topic.is_none_or(|asked| topics(fields).any(|topic| topic.to_lowercase() == *asked))
            && provider.is_none_or(|asked| is_of(fields, asked))
            && since.is_none_or(|since| published_at(fields).unwrap_or(first_seen) >= since)
            && self.has_words(fields, title)
    }

    fn has_words(&self, fields: &Map, title: Option<&str>) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let excerpt = text(fields, "excerpt").unwrap_or_default();
        let all = format!("{}\n{excerpt}", title.unwrap_or_default());
        let all = shown::unescaped(&all).to_lowercase();
        self.words.iter().all(|word| all.contains(word))
    }
}

/// Whether the provider is called so, in lower case.
fn is_of(fields: &Map, asked: &str) -> bool {
    let name = provider(fields).map(|name| shown::unescaped(name).to_lowercase());
    name.as_deref() == Some(asked) || domain(fields).as_deref() == Some(asked)
}

fn topics(fields: &Map) -> impl Iterator<Item = String> {
    let list = fields.get("topics").and_then(Value::as_list);
    let texts = list.unwrap_or_default().iter().filter_map(Value::as_text);
    texts.map(shown::unescaped)
}
