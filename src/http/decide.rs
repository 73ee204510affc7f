//! The page of a story, and deciding on it by its buttons.

use crate::http::acts;
use crate::http::links::{DECIDING, Guest, VERDICTS, admit};
use crate::http::page::{Note, html};
use crate::http::story::{self, Seen, possible};
use crate::http::work::Access;
use crate::http::{HttpError, Shared, Site, body, guard, links};
use crate::intake;
use crate::item::{ItemRef, Status, Verdict};
use crate::notify::waiting;
use crate::record::shown;
use crate::review::{self, Actor, Happened, Request, ReviewError};
use crate::rules::RuleSet;
use crate::schedule::{self, clock};
use crate::store::items::Listed;
use crate::store::{Store, StoreError};
use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Characters of a body that are shown, and of a note that are taken.
const BODY: usize = 2_500;
const NOTE: usize = 2_000;

/// `GET /d/TOKEN`.
pub(super) async fn look(State(site): Shared, Path(token): Path<String>) -> Response {
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| page(&at, store, &token, Timestamp::now());
    site.answer(site.work.run(Access::Read, work).await)
}

/// `POST /d/TOKEN`.
pub(super) async fn act(
    State(site): Shared,
    Path(token): Path<String>,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let form = match body(&headers, sent).await {
        Ok(bytes) => Form::of(&bytes),
        Err(note) => return note.show(&site.base),
    };
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| decide(&at, store, &token, &form, Timestamp::now());
    site.answer(site.work.run(Access::Write, work).await)
}

/// What the buttons of the page send.
#[derive(Debug, Default)]
struct Form {
    verb: String,
    reason: Option<String>,
    note: Option<String>,
    until: Option<String>,
}

impl Form {
    fn of(bytes: &[u8]) -> Self {
        let mut form = Self::default();
        let mut date = None;
        for (key, value) in url::form_urlencoded::parse(bytes) {
            let value = value.trim();
            let said = || (!value.is_empty()).then(|| value.to_owned());
            match &*key {
                "verb" => value.clone_into(&mut form.verb),
                "reason" => form.reason = said(),
                "note" => form.note = said(),
                "until" => form.until = said(),
                "date" => date = said(),
                _ => {}
            }
        }
        if form.until.as_deref() == Some("date") {
            form.until = date;
        }
        form
    }
}

#[derive(Template)]
#[template(path = "story.html", config = "src/http/askama.toml")]
struct StoryPage<'a> {
    base: &'a str,
    title: &'a str,
    seen: Seen,
    body: Vec<String>,
    is_cut: bool,
    near: Option<String>,
    /// What keeps her from deciding here, or what she should know first.
    notice: Option<Note>,
    verdicts: Vec<Verdict>,
    reasons: &'a BTreeMap<String, String>,
    token: &'a str,
    /// Where the other decisions are made.
    other: Option<String>,
    /// The first day that it can be held until.
    tomorrow: String,
}

impl StoryPage<'_> {
    fn may(&self, verb: &str) -> bool {
        self.verdicts.iter().any(|verdict| verdict.as_str() == verb)
    }
}

fn page(
    site: &Site,
    store: &mut Store,
    token: &str,
    now: Timestamp,
) -> Result<Response, HttpError> {
    let rules = (site.rules)();
    let guest = admit(site, &rules, token, &DECIDING, now)?;
    let listed = guest.item(store)?;
    let (item, asked) = (&listed.item, guest.token.claims.version);
    let (told, hits, text, happened, own) = store.read(|tx| {
        let story = waiting::story_of(tx, &rules, (item.record, &item.queue), now)?;
        let hits = tx.assessment(item.record)?.map(|a| a.hits);
        let (_, text) = tx.contents(item.record)?;
        let happened = review::happened_since(tx, item.id, asked)?;
        let own = tx.own_settings(&guest.reviewer.email)?;
        Ok::<_, StoreError>((story, hits.unwrap_or_default(), text, happened, own))
    })?;
    let notice = notice(&guest, &rules, &listed, happened);
    let verdicts = match &notice {
        Some(_) => Vec::new(),
        None => possible(item.status, guest.verdicts()),
    };
    let with_pictures = story::with_pictures(&rules, own.pictures);
    let near = told.near.as_ref().map(story::near);
    let zone = &guest.reviewer.timezone;
    let (body, is_cut) = beginning(&text);
    let seen = Seen::of(&listed, (told, &hits), zone, with_pictures, now);
    let is_bound = guest.verdicts().len() == 1 && !verdicts.is_empty();
    let page = StoryPage {
        base: &site.base,
        title: &seen.title.clone(),
        seen,
        body,
        is_cut,
        near,
        notice,
        reasons: &rules.desk.reject_reasons,
        token,
        other: is_bound.then(|| guest.open(item.version)),
        verdicts,
        tomorrow: story::tomorrow(now, zone),
    };
    let mut answer = html(StatusCode::OK, &page)?;
    guard::allow_forms(&mut answer);
    if page.seen.picture.is_some() {
        guard::allow_pictures(&mut answer);
    }
    Ok(answer)
}

/// Why she cannot decide here.
fn notice(
    guest: &Guest<'_>,
    rules: &RuleSet,
    listed: &Listed,
    happened: Vec<Happened>,
) -> Option<Note> {
    let item = &listed.item;
    if listed.score.total > rules.desk.link_threshold {
        return Some(too_high(rules, listed));
    }
    if item.version != guest.token.claims.version {
        return Some(moved_on(guest, listed, happened));
    }
    possible(item.status, guest.verdicts())
        .is_empty()
        .then(|| not_now(item.status))
}

/// Above the desk's threshold a link only opens the page.
fn too_high(rules: &RuleSet, listed: &Listed) -> Note {
    let (score, threshold) = (listed.score.total, rules.desk.link_threshold);
    let (id, version) = (listed.item.id, listed.item.version);
    let text = format!(
        "It scores {score}. What scores above {threshold} is not decided by the link of a mail."
    );
    let how = format!("At the desk: copydesk approve {id}@{version}, or reject, or hold.");
    Note::new(
        StatusCode::FORBIDDEN,
        "To be decided at the desk",
        &[&text, &how],
    )
}

/// Someone decided, or the story changed, since the link was made.
fn moved_on(guest: &Guest<'_>, listed: &Listed, happened: Vec<Happened>) -> Note {
    let status = &listed.item.status;
    let zone = &guest.reviewer.timezone;
    let text = format!("It is {status} now. This has happened since:");
    let text = if happened.is_empty() {
        "It is not what it was when the link was made."
    } else {
        &text
    };
    let mut note = Note::new(
        StatusCode::CONFLICT,
        "It has moved on since your mail",
        &[text],
    );
    note.happened = story::told(happened, zone);
    if possible(*status, &VERDICTS).is_empty() {
        return note;
    }
    let words = if status.is_decided() {
        "Decide otherwise"
    } else {
        "Decide on it as it is now"
    };
    note.link(guest.open(listed.item.version), words)
}

/// Nothing that the link lets her do can be done.
fn not_now(status: Status) -> Note {
    Note::new(
        StatusCode::CONFLICT,
        "Nothing to decide",
        &[acts::not_now(status)],
    )
}

/// The first paragraphs of a body, as plain text, and whether there is more.
fn beginning(body: &str) -> (Vec<String>, bool) {
    let mut left = BODY;
    let mut paragraphs = Vec::new();
    let mut lines = body.lines().peekable();
    while lines.peek().is_some() {
        let paragraph: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !line.trim().is_empty())
            .collect();
        let paragraph = shown::line(&paragraph.join(" "), left + 1);
        if paragraph.is_empty() {
            continue;
        }
        let is_last = paragraph.ends_with('…') || paragraph.chars().count() >= left;
        left = left.saturating_sub(paragraph.chars().count());
        paragraphs.push(paragraph);
        if is_last {
            return (paragraphs, true);
        }
    }
    (paragraphs, false)
}

fn decide(
    site: &Site,
    store: &mut Store,
    token: &str,
    form: &Form,
    now: Timestamp,
) -> Result<Response, HttpError> {
    let rules = (site.rules)();
    let guest = admit(site, &rules, token, &DECIDING, now)?;
    let verdict = guest
        .verdicts()
        .iter()
        .find(|verdict| verdict.as_str() == form.verb);
    let verdict = *verdict.ok_or(links::Refused::Purpose)?;
    let back = |note: Note| note.link(format!("{}/d/{token}", site.base), "Back to the story");
    let wrong = |text: &str| {
        let note = Note::new(StatusCode::BAD_REQUEST, "Nothing was decided", &[text]);
        back(note).show(&site.base)
    };
    if form
        .note
        .as_ref()
        .is_some_and(|note| note.chars().count() > NOTE)
    {
        return Ok(wrong("A note holds up to 2,000 characters."));
    }
    let until = match form.until.as_deref().filter(|_| verdict == Verdict::Hold) {
        None if verdict == Verdict::Hold => return Ok(wrong("Until when is it to be held?")),
        None => None,
        Some(text) => match schedule::moment(text, now, &guest.reviewer.timezone) {
            Ok(until) => Some(until),
            Err(_) => return Ok(wrong("Choose a day to hold it until.")),
        },
    };
    // What stands in the file now is what is decided on.
    let record = guest.item(store)?.item.record;
    intake::look_again(store, &rules, record, now)?;
    let listed = guest.item(store)?;
    let (claims, id) = (guest.token.claims, guest.token.decision(verdict.as_str()));
    // What was done already is answered as it was.
    let decided = store.read(|tx| tx.decisions(claims.item))?;
    let is_repeated = decided.iter().any(|made| made.id == id.to_string());
    if listed.score.total > rules.desk.link_threshold && !is_repeated {
        return Ok(too_high(&rules, &listed).show(&site.base));
    }
    let request = Request {
        id,
        item: ItemRef {
            id: claims.item,
            version: Some(claims.version),
        },
        verdict,
        actor: &Actor::Reviewer(guest.reviewer),
        reason: form
            .reason
            .as_deref()
            .filter(|_| verdict == Verdict::Reject),
        note: form.note.as_deref(),
        until,
    };
    let note = match review::decide(store, &rules, &request, now) {
        Ok(listed) => done(&guest, &rules, &listed, verdict),
        Err(ReviewError::Stale { .. } | ReviewError::Taken(_)) => {
            let listed = guest.item(store)?;
            let happened =
                store.read(|tx| review::happened_since(tx, claims.item, claims.version))?;
            moved_on(&guest, &listed, happened)
        }
        Err(ReviewError::NotNow { status, .. }) => not_now(status),
        Err(ReviewError::Past(_)) => return Ok(wrong("That day has begun; choose a later one.")),
        Err(ReviewError::NoReason { .. }) => {
            return Ok(wrong("The desk does not know this reason any more."));
        }
        Err(ReviewError::NoItem(id)) => return Err(links::Refused::Item(id).into()),
        Err(ReviewError::NotHers { email, queue, id }) => {
            return Err(links::Refused::Queue {
                email,
                queue,
                item: id,
            }
            .into());
        }
        Err(ReviewError::Store(error)) => return Err(error.into()),
        Err(error) => return Ok(wrong(&error.to_string())),
    };
    Ok(note.show(&site.base))
}

/// What was done. It is the same when it is asked for again, so that it tells nothing of what the
/// write-back has come to.
fn done(guest: &Guest<'_>, rules: &RuleSet, listed: &Listed, verdict: Verdict) -> Note {
    let item = &listed.item;
    let title = story::title(listed);
    let writes = rules
        .source(&listed.source)
        .is_some_and(|source| source.write);
    let (head, what) = match (verdict, item.held_until) {
        (Verdict::Approve, _) => ("Approved", "may be published".to_owned()),
        (Verdict::Reject, _) => ("Rejected", "stays unpublished".to_owned()),
        (_, Some(until)) => {
            let until = clock(until, &guest.reviewer.timezone);
            (
                "Held",
                format!("is held until {until}, and waits again then"),
            )
        }
        (_, None) => ("Held", "is held".to_owned()),
    };
    let what = format!("“{title}” {what}.");
    let file = match verdict {
        Verdict::Hold => "Its file is left as it is.",
        _ if writes => {
            "Your decision is stored. It is being written into the story's file, within moments."
        }
        _ => "Your decision is stored. The files of this source are not written by the desk.",
    };
    let note = Note::new(StatusCode::OK, head, &[&what, file]);
    note.link(guest.open(item.version), "Changed your mind?")
}
