//! What the forms of the console do to items: decisions, claims, handing over, notes.

use crate::http::story;
use crate::http::visitor::{At, Form};
use crate::http::{HttpError, Note};
use crate::intake;
use crate::item::{ItemRef, Status, Verdict};
use crate::record::shown;
use crate::review::{self, HandTo, Request, ReviewError};
use crate::schedule::{self, clock};
use crate::store::items::Listed;
use crate::token::uuid_of;
use axum::http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

/// Characters of a note that are taken.
const NOTE: usize = 2_000;

/// What a form asks for, of whatever items.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'f> {
    does: Does,
    /// Made with the page: what is sent twice is done once.
    key: &'f str,
    reason: Option<&'f str>,
    note: Option<&'f str>,
    until: Option<Timestamp>,
    to: &'f str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Decides(Verdict),
    Claims,
    Releases,
    HandsOver,
    Notes,
}

/// What came of a wish for one item.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The item as it stands.
    pub(super) item: ItemRef,
    pub(super) became: Became,
    /// What was done, or why it was not.
    pub(super) said: String,
    /// What happened since the version that was looked at.
    pub(super) happened: Vec<(String, String, Vec<String>)>,
    /// Whether a reopening takes it back.
    pub(super) is_undone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    Done,
    /// It is not what it was when she looked.
    Stale,
    Refused(StatusCode),
}

impl Outcome {
    pub(super) fn status(&self) -> StatusCode {
        match self.became {
            Became::Done => StatusCode::OK,
            Became::Stale => StatusCode::CONFLICT,
            Became::Refused(status) => status,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.became == Became::Done
    }

    /// Of an item that is not hers.
    pub(super) fn unknown(item: ItemRef, note: &Note) -> Self {
        Self {
            item,
            became: Became::Refused(note.status),
            said: format!("{}: {}", item.id, note.text.join(" ")),
            happened: Vec::new(),
            is_undone: false,
        }
    }

    /// For our script.
    pub(super) fn json(&self) -> Json {
        let happened = self.happened.iter();
        let happened =
            happened.map(|(at, what, changes)| json!({"at": at, "what": what, "changes": changes}));
        json!({
            "item": self.item.to_string(),
            "done": self.is_done(),
            "stale": self.became == Became::Stale,
            "said": self.said,
            "happened": happened.collect::<Vec<_>>(),
            "undo": self.is_undone,
        })
    }
}

/// Whether who asks is our script.
pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with("application/json"))
}

/// The key of a page's forms.
pub(super) fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl<'f> Wish<'f> {
    /// What a form asks for.
    pub(super) fn of(form: &'f Form, at: &At<'_>) -> Result<Self, HttpError> {
        let wrong = |text| {
            HttpError::from(Note::new(
                StatusCode::BAD_REQUEST,
                "Nothing was done",
                &[text],
            ))
        };
        let verb = form.get("verb").unwrap_or_default();
        let does = match verb {
            "claim" => Does::Claims,
            "release" => Does::Releases,
            "hand-over" => Does::HandsOver,
            "note" => Does::Notes,
            _ => Does::Decides(verb.parse().map_err(|_| wrong("What is to be done?"))?),
        };
        let note = form.get("note");
        if note.is_some_and(|note| note.chars().count() > NOTE) {
            return Err(wrong("A note holds up to 2,000 characters."));
        }
        let until = match form.get("until") {
            Some("date") => form.get("date"),
            until => until,
        };
        let until = until.filter(|_| does == Does::Decides(Verdict::Hold));
        let until = until.map(|text| schedule::moment(text, at.now, &at.visitor.timezone()));
        let until = until
            .transpose()
            .map_err(|_| wrong("Choose a day to hold it until."))?;
        Ok(Self {
            does,
            key: form.get("key").unwrap_or_default(),
            reason: form
                .get("reason")
                .filter(|_| does == Does::Decides(Verdict::Reject)),
            note,
            until,
            to: form.get("to").unwrap_or_default(),
        })
    }

    /// Whether she has done with the item by it.
    pub(super) fn goes_on(&self) -> bool {
        match self.does {
            Does::Decides(verdict) => verdict != Verdict::Reopen,
            does => does == Does::HandsOver,
        }
    }

    /// Does it to one item that she may see.
    pub(super) fn fulfil(&self, at: &mut At<'_>, item: ItemRef) -> Result<Outcome, HttpError> {
        let listed = at.item(item.id)?;
        let actor = at.visitor.actor();
        let (rules, now) = (at.rules, at.now);
        let done = match self.does {
            Does::Claims => review::claim(at.store, item, &actor, now),
            Does::Releases => review::release(at.store, item, &actor, now),
            Does::HandsOver => {
                let to = HandTo::of(self.to, rules);
                review::hand_over(at.store, rules, item, to, self.note, &actor, now)
            }
            Does::Notes => review::note(at.store, item, self.note.unwrap_or_default(), &actor, now),
            Does::Decides(verdict) => {
                // What stands in the file now is what is decided on.
                intake::look_again(at.store, rules, listed.item.record, now)?;
                let request = Request {
                    id: self.decision(item, verdict),
                    item,
                    verdict,
                    actor: &actor,
                    reason: self.reason,
                    note: self.note,
                    until: self.until,
                };
                review::decide(at.store, rules, &request, now)
            }
        };
        match done {
            Ok(listed) => Ok(self.done(at, &listed)),
            Err(ReviewError::Store(error)) => Err(error.into()),
            Err(error) => self.refused(at, item, &error),
        }
    }

    /// The UUID of the decision: of the same form on the same item always the same.
    fn decision(&self, item: ItemRef, verdict: Verdict) -> uuid::Uuid {
        if self.key.is_empty() {
            return uuid::Uuid::now_v7();
        }
        let of = format!("{} {item} {}", self.key, verdict.as_str());
        uuid_of("copydesk 2026 decision by form", &[of.as_bytes()])
    }

    fn done(&self, at: &At<'_>, listed: &Listed) -> Outcome {
        let item = &listed.item;
        let (id, title, zone) = (item.id, story::title(listed), at.visitor.timezone());
        let said = match self.does {
            Does::Claims => match item.claim(at.now) {
                Some((_, until)) => format!("{id} is yours until {}: {title}", clock(until, &zone)),
                None => format!("Claimed {id}: {title}"),
            },
            Does::Releases => format!("Released {id}: {title}"),
            Does::HandsOver => format!("Handed {id} over to {}: {title}", shown::line(self.to, 80)),
            Does::Notes => format!("Noted with {id}: {title}"),
            Does::Decides(verdict) => decided(verdict, listed, &zone),
        };
        Outcome {
            item: ItemRef {
                id,
                version: Some(item.version),
            },
            became: Became::Done,
            said,
            happened: Vec::new(),
            is_undone: matches!(self.does, Does::Decides(verdict) if verdict != Verdict::Reopen),
        }
    }

    fn refused(
        &self,
        at: &mut At<'_>,
        asked: ItemRef,
        error: &ReviewError,
    ) -> Result<Outcome, HttpError> {
        // By looking at its file it may have gone to a queue that is not hers.
        let listed = at.item(asked.id)?;
        let (id, zone) = (asked.id, at.visitor.timezone());
        let item = ItemRef {
            id,
            version: Some(listed.item.version),
        };
        let refused = |status, said: String| Outcome {
            item,
            became: Became::Refused(status),
            said,
            happened: Vec::new(),
            is_undone: false,
        };
        let title = story::title(&listed);
        Ok(match error {
            ReviewError::Stale { .. } | ReviewError::Taken(_) => {
                let since = asked.version.unwrap_or(listed.item.version);
                let happened = at.store.read(|tx| review::happened_since(tx, id, since))?;
                Outcome {
                    happened: story::told(happened, &zone),
                    became: Became::Stale,
                    ..refused(
                        StatusCode::CONFLICT,
                        format!(
                            "{id} has moved on and is {} now: {title}",
                            listed.item.status
                        ),
                    )
                }
            }
            ReviewError::NotNow { status, .. } => {
                refused(StatusCode::CONFLICT, format!("{id}: {}", not_now(*status)))
            }
            ReviewError::Claimed { by, .. } => {
                let until = listed
                    .item
                    .claim(at.now)
                    .map(|(_, until)| clock(until, &zone));
                let until = until
                    .map(|until| format!(" until {until}"))
                    .unwrap_or_default();
                let by = who(at, by);
                refused(
                    StatusCode::CONFLICT,
                    format!("{by} has claimed {id}{until}: {title}"),
                )
            }
            ReviewError::EditorsOnly { .. } => refused(
                StatusCode::FORBIDDEN,
                format!("Someone else decided {id}, and only an editor takes that back: {title}"),
            ),
            ReviewError::Closed { .. } => refused(StatusCode::CONFLICT, sentence(error)),
            ReviewError::Past(_) => refused(
                StatusCode::BAD_REQUEST,
                "That day has begun; choose a later one.".into(),
            ),
            error => refused(StatusCode::BAD_REQUEST, sentence(error)),
        })
    }
}

/// What was decided, for who decided it.
pub(super) fn decided(verdict: Verdict, listed: &Listed, zone: &jiff::tz::TimeZone) -> String {
    let (id, title) = (listed.item.id, story::title(listed));
    match (verdict, listed.item.held_until) {
        (Verdict::Approve, _) => format!("Approved {id}: {title}"),
        (Verdict::Reject, _) => format!("Rejected {id}: {title}"),
        (Verdict::Hold, Some(until)) => format!("Held {id} until {}: {title}", clock(until, zone)),
        (Verdict::Hold, None) => format!("Held {id}: {title}"),
        (Verdict::Reopen, _) => format!("{id} waits again: {title}"),
    }
}

/// Why nothing can be decided as it stands.
pub(super) fn not_now(status: Status) -> &'static str {
    match status {
        Status::Withdrawn => {
            "There is nothing to decide: its file is gone, or someone else has published it."
        }
        Status::Expired => "It was closed, since nobody decided in time.",
        Status::Held => "It is held already.",
        Status::Approved => "It is approved already.",
        Status::Rejected => "It is rejected already.",
        Status::Pending => "It waits for a decision of another kind.",
    }
}

/// Who did something, as people call her.
pub(super) fn who(at: &At<'_>, actor: &str) -> String {
    let reviewer = at.rules.reviewer(actor);
    shown::line(reviewer.map_or(actor, |reviewer| &reviewer.name), 60)
}

fn sentence(error: &ReviewError) -> String {
    let text = shown::line(&error.to_string(), 400);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str() + "."
}
