//! The door for people: every face that decides comes through here.

mod hands;

pub use hands::{HandTo, claim, hand_over, note, release};

use crate::item::{ItemRef, Status, Verdict};
use crate::record::shown;
use crate::rules::{Reviewer, Role, RuleSet};
use crate::store::decide::{Answer, Decision};
use crate::store::items::{Item, Listed};
use crate::store::{Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};

/// What someone wants to decide.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Names the request: asked again under the same one, it is answered as it was the first time,
    /// and nothing is done twice.
    pub id: uuid::Uuid,
    /// The item, with the version that was looked at if it was named.
    pub item: ItemRef,
    /// What is decided.
    pub verdict: Verdict,
    /// By whom.
    pub actor: &'a Actor<'a>,
    /// The key of a rejection's reason.
    pub reason: Option<&'a str>,
    /// A note.
    pub note: Option<&'a str>,
    /// Until when to hold; a day, if it is not said.
    pub until: Option<Timestamp>,
}

/// Who decides.
#[derive(Clone, Debug)]
pub enum Actor<'a> {
    /// A reviewer of the rules.
    Reviewer(&'a Reviewer),
    /// A user of this machine, who may do what an editor may.
    User(String),
    /// A program, by the name of its token; an editor made it, and it may do what she may.
    Program(String),
}

impl Actor<'_> {
    /// The name under which decisions are kept: an address, `cli:USER` or `api:TOKEN`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Reviewer(reviewer) => reviewer.email.clone(),
            Self::User(user) => format!("cli:{user}"),
            Self::Program(name) => format!("api:{name}"),
        }
    }

    /// Whether every queue is theirs, and what others have claimed or decided.
    #[must_use]
    pub fn is_editor(&self) -> bool {
        match self {
            Self::Reviewer(reviewer) => reviewer.role == Role::Editor,
            Self::User(_) | Self::Program(_) => true,
        }
    }
}

/// Makes a decision: all of it is stored when this returns, or nothing is.
///
/// # Errors
/// [`ReviewError`]; nothing was done then.
pub fn decide(
    store: &mut Store,
    rules: &RuleSet,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Listed, ReviewError> {
    let id = request.item.id;
    if let Some(reason) = request.reason {
        if request.verdict != Verdict::Reject {
            return Err(ReviewError::ReasonWithoutReject(request.verdict));
        }
        if !rules.desk.reject_reasons.contains_key(reason) {
            let known = rules
                .desk
                .reject_reasons
                .keys()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            return Err(ReviewError::NoReason {
                reason: reason.to_owned(),
                known,
            });
        }
    }
    let until = match request.verdict {
        Verdict::Hold => Some(request.until.unwrap_or_else(|| {
            now.checked_add(SignedDuration::from_hours(24))
                .unwrap_or(Timestamp::MAX)
        })),
        _ => None,
    };
    let (uuid, actor) = (request.id.to_string(), request.actor.name());
    store.write(|tx| {
        let listed = tx.listed(id)?.ok_or(ReviewError::NoItem(id))?;
        let decision = Decision {
            id: &uuid,
            item: id,
            version: request.item.version,
            verdict: request.verdict,
            actor: &actor,
            reason: request.reason,
            note: request.note,
            until,
            // A source that the rules do not name may be named again.
            writes: rules
                .source(&listed.source)
                .is_none_or(|source| source.write),
        };
        // Before anything else is asked: what was done then may not be allowed now.
        match tx.answered(&decision)? {
            Some(Answer::Repeated(item)) => return Ok(Listed { item, ..listed }),
            Some(_) => return Err(ReviewError::Taken(request.id)),
            None => {}
        }
        if let Some(until) = until.filter(|until| *until <= now) {
            return Err(ReviewError::Past(crate::schedule::rfc3339(until)));
        }
        if let Actor::Reviewer(reviewer) = request.actor {
            may(tx, reviewer, &listed.item, request.verdict)?;
        }
        let gone = listed.location.is_none();
        if gone && request.verdict == Verdict::Reopen {
            return Err(ReviewError::Gone(id));
        }
        match tx.decide(&decision, now)? {
            Answer::Made(item) | Answer::Repeated(item) => Ok(Listed { item, ..listed }),
            Answer::NoItem => Err(ReviewError::NoItem(id)),
            Answer::Taken => Err(ReviewError::Taken(request.id)),
            Answer::Stale(item) => {
                let asked = request.item.version.unwrap_or_default();
                Err(stale(tx, &item, asked)?)
            }
            Answer::NotNow(item) => Err(ReviewError::NotNow {
                id,
                status: item.status,
                verdict: request.verdict,
            }),
        }
    })
}

fn may(tx: &Tx<'_>, reviewer: &Reviewer, item: &Item, verdict: Verdict) -> Result<(), ReviewError> {
    not_hers(reviewer, item)?;
    if verdict == Verdict::Reopen && item.status.is_decided() && reviewer.role != Role::Editor {
        let last = tx.decisions(item.id)?.pop();
        if last.is_none_or(|last| last.actor != reviewer.email) {
            return Err(ReviewError::EditorsOnly {
                email: reviewer.email.clone(),
                id: item.id,
            });
        }
    }
    Ok(())
}

fn not_hers(reviewer: &Reviewer, item: &Item) -> Result<(), ReviewError> {
    if reviewer.may_decide_in(&item.queue) {
        return Ok(());
    }
    let (email, queue) = (reviewer.email.clone(), item.queue.clone());
    Err(ReviewError::NotHers {
        email,
        queue,
        id: item.id,
    })
}

fn stale(tx: &Tx<'_>, item: &Item, asked: i64) -> Result<ReviewError, StoreError> {
    Ok(ReviewError::Stale {
        id: item.id,
        asked,
        stands: item.version,
        since: since(tx, item, asked)?,
    })
}

/// Something that happened to an item, for people.
#[derive(Clone, Debug)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What: `approved by ana@example.org`, `the story changed`.
    pub what: String,
    /// What changed in the story by it, a line each.
    pub changes: Vec<String>,
}

/// Events of a decision on its way into the file, which tell a reviewer nothing new.
const ON_ITS_WAY: [&str; 7] = [
    "written",
    "write_stale",
    "write_refused",
    "moved_out",
    "moved_back",
    "reasserted",
    "reassert_stopped",
];

/// What happened to an item since a version.
///
/// # Errors
/// [`StoreError`].
pub fn happened_since(tx: &Tx<'_>, item: i64, version: i64) -> Result<Vec<Happened>, StoreError> {
    let events = tx.events(item)?.into_iter();
    let events =
        events.filter(|event| event.version > version && !ON_ITS_WAY.contains(&&*event.kind));
    let happened = events.map(|event| {
        let changes = event.changes();
        let what = match &changes {
            Some(_) => "the story changed".to_owned(),
            None => format!("{} by {}", event.kind, event.actor),
        };
        let (at, changes) = (event.at, changes.unwrap_or_default());
        Happened { at, what, changes }
    });
    Ok(happened.collect())
}

/// The same, a line each.
fn since(tx: &Tx<'_>, item: &Item, version: i64) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    for Happened { at, what, changes } in happened_since(tx, item.id, version)? {
        lines.push(format!("{}  {what}", crate::schedule::rfc3339(at)));
        lines.extend(changes.iter().map(|change| format!("    {change}")));
    }
    Ok(lines)
}

/// Why a decision was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// There is no such item.
    #[error("there is no item {0}; `copydesk queue` lists what waits")]
    NoItem(i64),
    /// The item has moved on.
    #[error("{id}@{asked} has changed: it is {id}@{stands} now\n{}\nlook at it with `copydesk show {id}`, then decide on {id}@{stands}", .since.join("\n"))]
    Stale {
        /// The item.
        id: i64,
        /// The version that was named.
        asked: i64,
        /// The version that stands.
        stands: i64,
        /// What happened in between.
        since: Vec<String>,
    },
    /// The name of the request is that of another one.
    #[error("something else was decided under {0}; a new decision needs a new UUID")]
    Taken(uuid::Uuid),
    /// Its status does not allow it.
    #[error("item {id} is {status}, and cannot be {} now", .verdict.past())]
    NotNow {
        /// The item.
        id: i64,
        /// Where it stands.
        status: Status,
        /// What was asked.
        verdict: Verdict,
    },
    /// No file holds it.
    #[error("the file of item {0} is gone; it comes back when the file does")]
    Gone(i64),
    /// The queue is not hers.
    #[error("{email} does not review the queue `{queue}`, where item {id} is")]
    NotHers {
        /// The reviewer.
        email: String,
        /// The queue.
        queue: String,
        /// The item.
        id: i64,
    },
    /// Taking back what someone else decided is for editors.
    #[error(
        "someone else decided item {id}, and only an editor takes that back; {email} is a reviewer"
    )]
    EditorsOnly {
        /// The reviewer.
        email: String,
        /// The item.
        id: i64,
    },
    /// Someone else is at it.
    #[error("item {id} is claimed by {by} until {until}")]
    Claimed {
        /// The item.
        id: i64,
        /// Who has claimed it.
        by: String,
        /// When the claim ends.
        until: String,
    },
    /// It does not wait.
    #[error("item {id} is {status}: only what waits can be {what}")]
    Closed {
        /// The item.
        id: i64,
        /// Where it stands.
        status: Status,
        /// What was asked.
        what: &'static str,
    },
    /// The reviewer is not known.
    #[error("there is no reviewer {} in the rules{near}", shown::line(.email, 80))]
    NoReviewer {
        /// The address.
        email: String,
        /// What may have been meant.
        near: String,
    },
    /// The queue is not known.
    #[error("there is no queue `{}`{near}", shown::line(.queue, 80))]
    NoQueue {
        /// The name.
        queue: String,
        /// What may have been meant.
        near: String,
    },
    /// What is handed to the queue would wait for nobody.
    #[error("nothing waits in the queue `{queue}`: {why}")]
    NothingWaits {
        /// The queue.
        queue: String,
        /// Why.
        why: &'static str,
    },
    /// A note says something.
    #[error("the note is empty")]
    EmptyNote,
    /// The reason is not known.
    #[error("there is no reason `{reason}`; the desk's are: {known}")]
    NoReason {
        /// What was said.
        reason: String,
        /// What could be said.
        known: String,
    },
    /// A reason belongs to a rejection.
    #[error("a reason belongs to a rejection, not to {0}; use --note")]
    ReasonWithoutReject(Verdict),
    /// The time has passed.
    #[error("{0} has passed; name a time to come")]
    Past(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
