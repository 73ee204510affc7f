//! What is read.

use super::Reply;
use super::asked::Asked;
use super::problem::Problem;
use crate::http::HttpError;
use crate::http::page::Note;
use crate::http::visitor::At;
use crate::report::{self, ItemLine};
use crate::schedule::rfc3339;
use crate::store::pages::{Ask, PageRow, Sort};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// A page of a queue.
#[derive(JsonSchema, Serialize)]
pub(super) struct Items {
    items: Vec<ListLine>,
    /// What leads to the page after it as `after`, if there is more.
    next: Option<String>,
    /// Whether it ends before the queue does because much was looked at in vain: there may be more
    /// that the filters let through.
    goes_on: bool,
}

/// An item, with what it is about.
#[derive(JsonSchema, Serialize)]
struct ListLine {
    #[serde(flatten)]
    line: ItemLine,
    /// The provider's name.
    provider: Option<String>,
    /// The provider's domain.
    domain: Option<String>,
    /// When it was published, as its file says.
    #[schemars(extend("format" = "date-time"))]
    published_at: Option<String>,
    /// What it is about, as its file says.
    topics: Vec<String>,
    /// What it begins with, on one line.
    excerpt: Option<String>,
}

impl ListLine {
    fn of(row: PageRow, now: Timestamp) -> Self {
        Self {
            line: ItemLine::of(row.listed, now),
            provider: row.provider,
            domain: row.domain,
            published_at: row.published_at.map(rfc3339),
            topics: row.topics,
            excerpt: row.excerpt,
        }
    }
}

pub(super) fn items(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let name = asked.text("name").unwrap_or_default();
    let known = at.rules.queue(name).filter(|_| at.visitor.may_see(name));
    let unknown = || Problem::missing(format!("There is no queue `{name}`."));
    let queue = known.ok_or_else(unknown)?;
    let ask = Ask {
        queues: vec![&queue.name],
        sort: asked.text("sort").and_then(Sort::named).unwrap_or_default(),
        size: asked.size(),
        at: asked.text("after"),
        status: asked.parsed("status"),
        topic: asked.text("topic"),
        provider: asked.text("provider"),
        least: asked.parsed("least"),
        most: asked.parsed("most"),
        published_since: asked.parsed("published_since"),
        source: asked.text("source"),
        text: asked.text("text"),
        claimed_by: asked.text("claimed_by"),
        assigned_to: asked.text("assigned_to"),
        overdue: asked.flag("overdue"),
    };
    let page = at.store.read(|tx| tx.page(&ask, at.now))?;
    let rows = page.rows.into_iter();
    let next = page.next.as_deref().map(|next| asked.after(next));
    let items = Items {
        items: rows.map(|row| ListLine::of(row, at.now)).collect(),
        next: page.next,
        goes_on: page.goes_on,
    };
    let reply = Reply::of(&items)?;
    Ok(Reply { next, ..reply })
}

pub(super) fn status(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::status(at.store, Ok(at.rules), at.now)?)
}

pub(super) fn queues(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::queues(at.store, at.rules, at.now)?)
}

pub(super) fn item(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let page = report::item(at.store, Some(at.rules), asked.id(), at.now)?;
    Reply::of(&page.ok_or_else(|| Note::unknown_item(asked.id()))?)
}

pub(super) fn record(at: &mut At<'_>, asked: &Asked) -> Result<Reply, HttpError> {
    let page = report::record(at.store, asked.id())?;
    let unknown = || Problem::missing(format!("There is no record {}.", asked.id()));
    Reply::of(&page.ok_or_else(unknown)?)
}

pub(super) fn broken(at: &mut At<'_>, _: &Asked) -> Result<Reply, HttpError> {
    Reply::of(&report::broken(at.store)?)
}
