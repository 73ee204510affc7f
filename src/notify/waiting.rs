//! What waits for a decision, as mails show it.

use crate::record::shown;
use crate::record::value::{Map, Value};
use crate::rules::RuleSet;
use crate::rules::assess::{Hit, Near, Occasion, Subject};
use crate::rules::score::Score;
use crate::store::{StoreError, Tx};
use jiff::Timestamp;
use std::collections::HashMap;

/// An item that waits, as mails show it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its number.
    pub id: i64,
    /// Its version.
    pub version: i64,
    /// Its queue.
    pub queue: String,
    /// Whether it should have been decided by now.
    pub overdue: bool,
    /// Whether the story changed after it was approved.
    pub changed_after_approval: bool,
    /// When it was opened.
    pub arrived_at: Timestamp,
    /// Whether it was opened after its source was first looked at whole.
    pub arrived_since: bool,
    /// Whether its queue's alerts break into quiet hours.
    pub ignores_quiet: bool,
    /// When it is, or was, due.
    pub due_at: Option<Timestamp>,
    /// The title, or else where it stands.
    pub title: String,
    /// The reviewer whom it was handed to.
    pub assigned_to: Option<String>,
    /// Its record.
    pub record: i64,
    /// Its score.
    pub score: Score,
}

/// What a mail says of an item beyond the line.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Where it can be read: an address of the web.
    pub url: Option<String>,
    /// Who published it, with the domain.
    pub provider: Option<String>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// What it is about, as its file says.
    pub topics: Vec<String>,
    /// What it begins with.
    pub excerpt: Option<String>,
    /// The titles of its related stories, with their publishers.
    pub related: Vec<String>,
    /// A picture: an address of the web.
    pub picture: Option<String>,
    /// The two hits that weigh most.
    pub reasons: Vec<Hit>,
    /// The queue that it missed by the least, if only numbers kept it out.
    pub near: Option<Near>,
}

impl Waiting {
    /// Since when there is something to tell of it.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        // Overdue at once, so that its due time is when it changed.
        let changed = self.due_at.filter(|_| self.changed_after_approval);
        changed.map_or(self.arrived_at, |at| at.max(self.arrived_at))
    }
}

/// Every pending item, in the order of the rules' queues and by rank.
///
/// # Errors
/// [`StoreError`].
pub fn waiting(tx: &Tx<'_>, rules: &RuleSet, now: Timestamp) -> Result<Vec<Waiting>, StoreError> {
    let first_passes: HashMap<String, Timestamp> = tx.first_passes()?.into_iter().collect();
    let mut waiting = Vec::new();
    for listed in tx.open_items()? {
        let title = shown::unescaped(listed.name());
        let item = listed.item;
        if item.status != crate::item::Status::Pending {
            continue;
        }
        let first_pass = first_passes.get(&listed.source);
        waiting.push(Waiting {
            overdue: item.is_overdue(now),
            arrived_since: first_pass.is_some_and(|pass| item.arrived_at > *pass),
            ignores_quiet: rules.queue(&item.queue).is_some_and(|q| q.ignores_quiet),
            id: item.id,
            version: item.version,
            changed_after_approval: item.changed_after_approval,
            arrived_at: item.arrived_at,
            due_at: item.due_at,
            assigned_to: item.assigned_to,
            record: item.record,
            queue: item.queue,
            title,
            score: listed.score,
        });
    }
    let place = |queue: &str| rules.queues.iter().position(|known| known.name == queue);
    // A stable sort keeps the order by rank within each queue.
    waiting.sort_by_key(|item| place(&item.queue));
    Ok(waiting)
}

/// What there is to say of one of them.
///
/// # Errors
/// [`StoreError`].
pub fn story(
    tx: &Tx<'_>,
    rules: &RuleSet,
    item: &Waiting,
    now: Timestamp,
) -> Result<Story, StoreError> {
    story_of(tx, rules, (item.record, &item.queue), now)
}

/// What there is to say of a record whose item is in a queue.
///
/// # Errors
/// [`StoreError`].
pub fn story_of(
    tx: &Tx<'_>,
    rules: &RuleSet,
    (record, queue): (i64, &str),
    now: Timestamp,
) -> Result<Story, StoreError> {
    let (fields, _) = tx.contents(record)?;
    let assessed = tx.assessment(record)?;
    let current = assessed.as_ref().is_some_and(|a| a.rules == rules.hash);
    let near = match tx.record(record)?.filter(|_| current) {
        None => None,
        Some(known) => {
            let subject = Subject {
                fields: &fields,
                published: known.published,
                first_seen: known.first_seen,
                source: &known.source,
            };
            let again = rules.assess(&subject, Occasion::again(rules, queue), now);
            again.near.into_iter().find(is_near)
        }
    };
    let hits = assessed.map(|a| a.hits).unwrap_or_default();
    Ok(Story::of(&fields, hits, near))
}

impl Story {
    /// What a record's fields and its assessment say.
    #[must_use]
    pub fn of(fields: &Map, hits: Vec<Hit>, near: Option<Near>) -> Self {
        let web = |keys: &[&str]| keys.iter().find_map(|key| web(fields.get(key)?));
        Self {
            url: web(&["originalUrl", "webUrl"]),
            provider: provider(fields),
            published_at: crate::record::published_at(fields),
            topics: texts(fields, "topics"),
            excerpt: crate::record::text(fields, "excerpt").map(shown::unescaped),
            related: related(fields),
            picture: picture(fields),
            reasons: best(hits),
            near,
        }
    }
}

/// Worth saying: what lacks much is not near.
fn is_near(near: &Near) -> bool {
    /// In the unit of what is compared; for scores these are points.
    const NEAR: f64 = 20.0;
    near.needs.iter().all(|need| need.by.abs() <= NEAR)
}

/// An address of the web, written as browsers do; anything else is no link in a mail.
fn web(value: &Value) -> Option<String> {
    let url = url::Url::parse(value.as_text()?.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}

fn provider(fields: &Map) -> Option<String> {
    match (
        crate::record::provider(fields),
        crate::record::domain(fields),
    ) {
        (Some(name), Some(domain)) if name.to_lowercase() == domain => Some(domain.into_owned()),
        (Some(name), Some(domain)) => Some(format!("{name} ({domain})")),
        (name, domain) => name
            .map(str::to_owned)
            .or(domain.map(std::borrow::Cow::into_owned)),
    }
}

fn list<'f>(fields: &'f Map, key: &str) -> &'f [Value] {
    let list = fields.get(key).and_then(Value::as_list);
    list.unwrap_or_default()
}

fn texts(fields: &Map, key: &str) -> Vec<String> {
    let texts = list(fields, key).iter().filter_map(Value::as_text);
    texts.map(shown::unescaped).collect()
}

fn related(fields: &Map) -> Vec<String> {
    let stories = list(fields, "related").iter().filter_map(Value::as_map);
    stories
        .filter_map(|story| {
            let title = shown::unescaped(story.get("title")?.as_text()?);
            Some(match provider(story) {
                Some(provider) => format!("{title}, {provider}"),
                None => title,
            })
        })
        .collect()
}

fn picture(fields: &Map) -> Option<String> {
    let of_list = list(fields, "images").iter().filter_map(Value::as_map);
    let of_list = of_list.filter_map(|image| web(image.get("url")?)).next();
    of_list.or_else(|| web(fields.get("featuredImage")?))
}

/// The two hits that weigh most.
#[must_use]
pub fn best(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| std::cmp::Reverse(hit.points.abs()));
    hits.truncate(2);
    hits
}
