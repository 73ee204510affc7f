//! Reads for every face: what waits, one item whole, and whether all is well.

mod again;
pub mod history;
mod post;
mod story;
mod trial;

pub use again::{Again, ShadowHit};
pub use post::{RelayLine, SuspendedLine};
pub use story::{LocationLine, RecordPage, record};
pub use trial::{Rescoring, ShadowLine};

use crate::item::Status;
use crate::record::Hash;
use crate::record::file::Folder;
use crate::record::source::Source;
use crate::record::value::{Map, Value};
use crate::rules::RuleSet;
use crate::rules::assess::Hit;
use crate::rules::score::Score;
use crate::schedule::rfc3339;
use crate::store::decide::Decided;
use crate::store::items::{Event, Listed};
use crate::store::late::{Job, Late};
use crate::store::records::Found;
use crate::store::{Store, StoreError};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::HashSet;

/// An item as listings print it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct ItemLine {
    /// Its number.
    pub id: i64,
    /// Its queue.
    pub queue: String,
    /// Where it stands.
    pub status: Status,
    /// Its version.
    pub version: i64,
    /// The title, if the record has one.
    pub title: Option<String>,
    /// The path below the source, if a file holds it.
    pub location: Option<String>,
    /// The source.
    pub source: String,
    /// The record's identity.
    pub identity: String,
    /// Its score.
    pub score: Score,
    /// When it arrived: RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub arrived: String,
    /// When it is due.
    #[schemars(extend("format" = "date-time"))]
    pub due: Option<String>,
    /// Whether it should have been decided by now.
    pub overdue: bool,
    /// Until when it is held.
    #[schemars(extend("format" = "date-time"))]
    pub held_until: Option<String>,
    /// Whether the story changed after it was approved.
    pub changed_after_approval: bool,
    /// Who has claimed it, while the claim lasts.
    pub claimed_by: Option<String>,
    /// When that claim ends.
    #[schemars(extend("format" = "date-time"))]
    pub claimed_until: Option<String>,
    /// The reviewer whom it was handed to.
    pub assigned_to: Option<String>,
}

impl ItemLine {
    /// The line of an item at a time.
    #[must_use]
    pub fn of(listed: Listed, now: Timestamp) -> Self {
        let item = listed.item;
        let claim = item.claim(now);
        Self {
            claimed_by: claim.map(|(by, _)| by.to_owned()),
            claimed_until: claim.map(|(_, until)| rfc3339(until)),
            overdue: item.is_overdue(now),
            id: item.id,
            queue: item.queue,
            status: item.status,
            version: item.version,
            title: listed.title,
            location: listed.location.map(|location| location.to_string()),
            source: listed.source,
            identity: listed.identity,
            score: listed.score,
            arrived: rfc3339(item.arrived_at),
            due: item.due_at.map(rfc3339),
            held_until: item.held_until.map(rfc3339),
            changed_after_approval: item.changed_after_approval,
            assigned_to: item.assigned_to,
        }
    }

    /// The title, or else where it stands.
    #[must_use]
    pub fn name(&self) -> &str {
        self.title
            .as_deref()
            .or(self.location.as_deref())
            .unwrap_or(&self.identity)
    }
}

/// One item whole.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ItemPage {
    /// The item.
    #[serde(flatten)]
    pub line: ItemLine,
    /// The record's fields.
    #[schemars(with = "serde_json::Map<String, Json>")]
    pub record: Map,
    /// The record's body.
    pub body: String,
    /// Why it scores so.
    pub hits: Vec<Hit>,
    /// What else the rules say of it.
    #[serde(flatten)]
    pub again: Again,
    /// What happened to it.
    pub events: Vec<EventLine>,
    /// What was decided.
    pub decisions: Vec<DecisionLine>,
}

/// One event, as printed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct EventLine {
    /// What happened.
    pub kind: String,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who or what did it.
    pub actor: String,
    /// The item's version afterwards.
    pub version: i64,
    /// More about it.
    pub detail: Option<Json>,
}

/// One decision, as printed.
#[derive(Debug, JsonSchema, Serialize)]
pub struct DecisionLine {
    /// Its UUID.
    pub id: String,
    /// `approve`, `reject`, `hold` or `reopen`.
    pub kind: &'static str,
    /// The version that it was made on.
    pub version: i64,
    /// By whom.
    pub actor: String,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The key of a rejection's reason.
    pub reason: Option<String>,
    /// A note.
    pub note: Option<String>,
    /// Until when the item is held.
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
}

impl From<Event> for EventLine {
    fn from(event: Event) -> Self {
        let Event {
            kind,
            version,
            actor,
            detail,
            at,
        } = event;
        Self {
            kind,
            at: rfc3339(at),
            actor,
            version,
            detail,
        }
    }
}

impl From<Decided> for DecisionLine {
    fn from(decided: Decided) -> Self {
        Self {
            id: decided.id,
            kind: decided.verdict.as_str(),
            version: decided.version,
            actor: decided.actor,
            at: rfc3339(decided.at),
            reason: decided.reason,
            note: decided.note,
            until: decided.until.map(rfc3339),
        }
    }
}

/// What waits, by queue and rank: in the order of the rules' queues.
///
/// # Errors
/// [`StoreError`].
pub fn waiting(
    store: &mut Store,
    rules: &RuleSet,
    queue: Option<&str>,
    now: Timestamp,
) -> Result<Vec<ItemLine>, StoreError> {
    let items = store.read(|tx| tx.open_items())?;
    let items = items
        .into_iter()
        .filter(|listed| queue.is_none_or(|queue| listed.item.queue == queue));
    let mut lines: Vec<ItemLine> = items.map(|listed| ItemLine::of(listed, now)).collect();
    // A stable sort keeps the order by rank within each queue.
    lines.sort_by_key(|line| {
        rules
            .queues
            .iter()
            .position(|queue| queue.name == line.queue)
    });
    Ok(lines)
}

/// One item whole, if there is one of that number, explained by the rules in force.
///
/// # Errors
/// [`StoreError`].
pub fn item(
    store: &mut Store,
    rules: Option<&RuleSet>,
    id: i64,
    now: Timestamp,
) -> Result<Option<ItemPage>, StoreError> {
    store.read(|tx| {
        let Some(listed) = tx.listed(id)? else {
            return Ok(None);
        };
        let record = listed.item.record;
        let (mut fields, body) = tx.contents(record)?;
        let mut again = Again::default();
        if let Some(known) = tx.record(record)? {
            again = again::look(tx, rules, (&known, &fields), &listed.item, now)?;
            fields.set("published", Value::Bool(known.published));
        }
        Ok(Some(ItemPage {
            hits: tx
                .assessment(record)?
                .map(|assessed| assessed.hits)
                .unwrap_or_default(),
            again,
            events: tx.events(id)?.into_iter().map(EventLine::from).collect(),
            decisions: tx
                .decisions(id)?
                .into_iter()
                .map(DecisionLine::from)
                .collect(),
            line: ItemLine::of(listed, now),
            record: fields,
            body,
        }))
    })
}

/// Whether all is well.
#[derive(Debug, JsonSchema, Serialize)]
pub struct StatusPage {
    /// Whether there is no problem.
    pub ok: bool,
    /// The sources.
    pub sources: Vec<SourceLine>,
    /// The queues.
    pub queues: Vec<QueueLine>,
    /// Files that cannot be read as records.
    pub broken: Vec<BrokenLine>,
    /// Mails by status.
    pub mail: MailLine,
    /// The rule set.
    pub rules: RulesLine,
    /// What rules and queues in shadow mode would have done.
    pub shadow: Vec<ShadowLine>,
    /// What needs someone's attention.
    pub problems: Vec<String>,
    /// The last run of each kind of work.
    pub runs: Vec<RunLine>,
    /// The service that runs, or ran last.
    pub service: Option<ServiceLine>,
}

/// The service, in `status`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ServiceLine {
    /// Whether it runs.
    pub running: bool,
    /// Its process.
    pub process: i64,
    /// When it started.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// When it was last heard of.
    #[schemars(extend("format" = "date-time"))]
    pub heard: String,
}

/// A source, in `status`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct SourceLine {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// Records that are there.
    pub records: i64,
    /// Those of them that no queue takes.
    pub unrouted: i64,
    /// Whether decisions can be written into it.
    pub writable: bool,
    /// Why nothing of it is withdrawn.
    pub alarm: Option<String>,
    /// Why the service looks at it now and then, and cannot watch it.
    pub polled: Option<String>,
    /// Why what upstream writes could be lost.
    pub weak: Option<&'static str>,
}

/// Shown of a source once a write found it out.
const WEAK: &str = "its file system cannot exchange names: a rewrite by upstream in the same moment as a decision is written could be lost";

/// A service that has not been heard of for this long does not run.
const SILENT: jiff::SignedDuration = jiff::SignedDuration::from_secs(120);

/// A queue, in `status`.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct QueueLine {
    /// Its name.
    pub name: String,
    /// Items that wait.
    pub pending: i64,
    /// Items that wait and should have been decided.
    pub overdue: i64,
    /// Items put off.
    pub held: i64,
    /// Items approved.
    pub approved: i64,
    /// Items rejected.
    pub rejected: i64,
    /// Items withdrawn.
    pub withdrawn: i64,
    /// Items that nobody decided in time.
    pub expired: i64,
}

/// A file that cannot be read as a record.
#[derive(Debug, JsonSchema, Serialize)]
pub struct BrokenLine {
    /// Its source.
    pub source: String,
    /// The path below it.
    pub location: String,
    /// Line, from 1.
    pub line: i64,
    /// Column, from 1.
    pub column: i64,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// Mails, in `status`.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub struct MailLine {
    /// Sent.
    pub sent: usize,
    /// Written, not sent yet.
    pub queued: usize,
    /// Given up.
    pub failed: usize,
    /// Never sent, since a backup was restored.
    pub held: usize,
    /// That the SMTP server is left alone.
    pub relay: Option<RelayLine>,
    /// Addresses that are sent nothing.
    pub suspended: Vec<SuspendedLine>,
}

/// The rule set, in `status`.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RulesLine {
    /// Whether it loads.
    pub loaded: bool,
    /// The first digits of its hash.
    pub hash: Option<String>,
    /// Scoring rules.
    pub rules: usize,
    /// Reviewers.
    pub reviewers: usize,
    /// Warnings of `check`.
    pub warnings: usize,
    /// How far the records are scored by it, unless they all are.
    pub rescoring: Option<Rescoring>,
}

/// The last run of a kind of work.
#[derive(Debug, JsonSchema, Serialize)]
pub struct RunLine {
    /// `scan`, `notify` or `retention`.
    pub kind: String,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Its counts.
    pub counts: Json,
}

/// Looks at everything; a rule set that does not load is itself a problem.
///
/// # Errors
/// [`StoreError`].
pub fn status(
    store: &mut Store,
    rules: Result<&RuleSet, String>,
    now: Timestamp,
) -> Result<StatusPage, StoreError> {
    let mut problems = Vec::new();
    if let Err(error) = &rules {
        problems.push(format!(
            "the rules do not load: {error}; `copydesk check` says more"
        ));
    }
    let rules = rules.ok();
    store.read(|tx| {
        let mut sources = Vec::new();
        for source in rules.map(|rules| rules.sources.as_slice()).unwrap_or_default() {
            let (records, unrouted) = tx.record_counts(&source.name)?;
            let alarm = tx.alarm(&source.name)?.map(|(alarm, _)| alarm);
            let line = source_line(source, records, unrouted, alarm, &mut problems);
            let weak = tx.is_weak(&source.name)?.then_some(WEAK);
            sources.push(SourceLine { polled: tx.polled(&source.name)?, weak, ..line });
        }
        for stuck in tx.stuck_write_backs()? {
            let (item, location) = (stuck.item, &stuck.location);
            problems.push(match stuck.status.as_str() {
                "stopped" => format!("item {item}: {location}: {}", stuck.error),
                "refused" => format!("item {item}: its decision is not written into {location}: {}", stuck.error),
                _ => format!("item {item}: its decision is not yet written into {location}: {}", stuck.error),
            });
        }
        for (source, location, identity) in tx.contradicting()? {
            problems.push(format!(
                "source {source}: {location} holds another version of {identity} than the file seen first; it is never written"
            ));
        }
        let mails = tx.mails(None)?;
        let count = |status: &str| mails.iter().filter(|mail| mail.status == status).count();
        // Newest first: what was sent since mends an older failure.
        let mut reached = HashSet::new();
        for mail in &mails {
            let to = &mail.recipient;
            match (mail.status.as_str(), &mail.answer) {
                ("sent", _) => drop(reached.insert(to)),
                ("failed" | "held", _) if reached.contains(to) => {}
                ("uncertain", Some(answer)) => problems.push(format!("the mail to {to} may not have arrived: {answer}")),
                ("held", Some(why)) => problems.push(format!("the mail to {to} is {why}")),
                ("failed", Some(answer)) => problems.push(format!("the mail to {to} is given up: {answer}")),
                (_, Some(answer)) => problems.push(format!("the mail to {to} is not sent: {answer}")),
                (_, None) => {}
            }
        }
        let (relay, suspended) = post::look(tx, now, &mut problems)?;
        let runs = tx.runs()?.into_iter().map(|(kind, at, counts)| {
            let counts = serde_json::from_str(&counts).unwrap_or_default();
            RunLine { kind, at: rfc3339(at), counts }
        });
        for failure in tx.failing_loops()? {
            let since = rfc3339(failure.since);
            problems.push(format!("the {} loop of the service fails since {since}: {}", failure.name, failure.error));
        }
        if let (Some(error), Some(_)) = (tx.refused_rules()?, rules) {
            problems.push(format!("the service keeps to the last good rules: {error}"));
        }
        let late = rules.map(|rules| tx.late(rules, now)).transpose()?;
        let named = |late: &Late| !matches!(late.job, Job::Rules | Job::Loops);
        problems.extend(late.into_iter().flatten().filter(named).map(|late| late.to_string()));
        let service = tx.service()?.map(|service| ServiceLine {
            running: !service.stopped && now.duration_since(service.beat_at) < SILENT,
            process: service.process,
            started: rfc3339(service.started_at),
            heard: rfc3339(service.beat_at),
        });
        if let Some(service) = service.as_ref().filter(|s| !s.running)
            && !tx.service()?.is_some_and(|service| service.stopped)
        {
            problems.push(format!(
                "the service (process {}) ended without saying so; it was last heard of at {}",
                service.process, service.heard
            ));
        }
        let page = StatusPage {
            service,
            ok: problems.is_empty(),
            sources,
            queues: queue_lines(tx, rules, now)?,
            broken: broken_lines(tx)?,
            mail: MailLine {
                sent: count("sent"),
                queued: mails.len() - count("sent") - count("failed") - count("held"),
                failed: count("failed"),
                held: count("held"),
                relay,
                suspended,
            },
            rules: RulesLine {
                loaded: rules.is_some(),
                hash: rules.map(|rules| short(rules.hash)),
                rules: rules.map_or(0, |rules| rules.rules.len()),
                reviewers: rules.map_or(0, |rules| rules.reviewers.len()),
                warnings: rules.map_or(0, |rules| rules.warnings.len()),
                rescoring: rules.map(|rules| trial::rescoring(tx, rules)).transpose()?.flatten(),
            },
            shadow: rules.map(|rules| trial::shadow(tx, rules)).transpose()?.unwrap_or_default(),
            problems,
            runs: runs.collect(),
        };
        Ok(page)
    })
}

fn short(hash: Hash) -> String {
    format!("{hash:?}")
}

fn source_line(
    source: &Source,
    records: i64,
    unrouted: i64,
    alarm: Option<String>,
    problems: &mut Vec<String>,
) -> SourceLine {
    let folder = Folder::open(&source.path);
    let writable = folder.as_ref().is_ok_and(Folder::is_writable);
    match (&folder, &alarm) {
        (Err(error), _) => problems.push(format!(
            "source {}: its folder `{}` cannot be opened: {error}",
            source.name,
            source.path.display()
        )),
        (Ok(_), Some(alarm)) => problems.push(format!("source {} is frozen: {alarm}", source.name)),
        (Ok(_), None) if source.write && !writable => problems.push(format!(
            "source {}: this user may not write in `{}`, so decisions stay out of its files",
            source.name,
            source.path.display()
        )),
        _ => {}
    }
    let path = source.path.display().to_string();
    SourceLine {
        name: source.name.clone(),
        path,
        records,
        unrouted,
        writable,
        alarm,
        polled: None,
        weak: None,
    }
}

fn queue_lines(
    tx: &crate::store::Tx<'_>,
    rules: Option<&RuleSet>,
    now: Timestamp,
) -> Result<Vec<QueueLine>, StoreError> {
    let names = rules.map(|rules| {
        rules
            .queues
            .iter()
            .map(|queue| queue.name.clone())
            .collect::<Vec<_>>()
    });
    let mut lines: Vec<QueueLine> = names
        .unwrap_or_default()
        .into_iter()
        .map(|name| QueueLine {
            name,
            ..QueueLine::default()
        })
        .collect();
    for (queue, status, count) in tx.item_counts()? {
        if !lines.iter().any(|line| line.name == queue) {
            lines.push(QueueLine {
                name: queue.clone(),
                ..QueueLine::default()
            });
        }
        let Some(line) = lines.iter_mut().find(|line| line.name == queue) else {
            continue;
        };
        match status.as_str() {
            "pending" => line.pending = count,
            "held" => line.held = count,
            "approved" => line.approved = count,
            "rejected" => line.rejected = count,
            "withdrawn" => line.withdrawn = count,
            _ => line.expired = count,
        }
    }
    for line in &mut lines {
        line.overdue = tx.overdue_count(&line.name, now)?;
    }
    Ok(lines)
}

fn broken_lines(tx: &crate::store::Tx<'_>) -> Result<Vec<BrokenLine>, StoreError> {
    let found = tx.broken()?.into_iter();
    let lines = found.filter_map(|(source, found)| BrokenLine::of(source, found));
    Ok(lines.collect())
}

impl BrokenLine {
    fn of(source: String, found: Found) -> Option<Self> {
        let (broken, since) = found.broken?;
        Some(Self {
            source,
            location: found.location.to_string(),
            line: broken.line,
            column: broken.column,
            reason: broken.reason,
            since: rfc3339(since),
        })
    }
}

/// The queues, in the order of the rules, and what is in them.
///
/// # Errors
/// [`StoreError`].
pub fn queues(
    store: &mut Store,
    rules: &RuleSet,
    now: Timestamp,
) -> Result<Vec<QueueLine>, StoreError> {
    store.read(|tx| queue_lines(tx, Some(rules), now))
}

/// The files that cannot be read as records.
///
/// # Errors
/// [`StoreError`].
pub fn broken(store: &mut Store) -> Result<Vec<BrokenLine>, StoreError> {
    store.read(broken_lines)
}
