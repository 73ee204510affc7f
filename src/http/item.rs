//! `/items/{id}`: a story whole, and deciding on it.

use crate::http::acts::{self, Outcome, Wish, who};
use crate::http::changes::{self, Change, Line, Part};
use crate::http::page::{Frame, console, html};
use crate::http::story::{self, Seen, possible};
use crate::http::view::View;
use crate::http::visitor::{At, Form, Ticket, Who, local_path};
use crate::http::{HttpError, Note, Shared, Site, body, guard, plain};
use crate::item::{ItemRef, Status, Verdict};
use crate::notify::waiting::Story;
use crate::record::shown;
use crate::report;
use crate::schedule::clock;
use crate::store::items::Listed;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Values that are longer are folded.
const LONG: usize = 240;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/items/{id}", get(look).post(act))
        .route("/items/{id}/body", get(text))
}

/// The item that a path names.
fn number(id: &str) -> Result<i64, HttpError> {
    id.parse().map_err(|_| Note::unknown().into())
}

async fn look(
    State(site): Shared,
    Path(id): Path<String>,
    ticket: Ticket,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let show = move |at: &mut At<'_>| {
        let get = |key: &str| query.get(key).map(String::as_str);
        let asked = Asked {
            view: get("from").and_then(View::read),
            done: get("done").and_then(|done| done.parse().ok()),
            pictures: get("pictures").is_some(),
            outcome: None,
        };
        page(at, number(&id)?, asked)
    };
    site.show(ticket, show).await
}

async fn act(
    State(site): Shared,
    Path(id): Path<String>,
    ticket: Ticket,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let is_script = acts::wants_json(&headers);
    let act = move |at: &mut At<'_>, form: &Form| {
        let item = form
            .get("item")
            .and_then(|item| item.parse::<ItemRef>().ok());
        let id = number(&id)?;
        let item = item.filter(|item| item.id == id && item.version.is_some());
        let item = item.ok_or_else(|| {
            let text = "The form does not say which version of the item it is about.";
            Note::new(StatusCode::BAD_REQUEST, "Nothing was done", &[text])
        })?;
        let wish = Wish::of(form, at)?;
        let outcome = wish.fulfil(at, item)?;
        if is_script {
            let text = outcome.json().to_string();
            return Ok(plain(outcome.status(), "application/json", text));
        }
        let view = form.get("from").and_then(View::read);
        if !outcome.is_done() {
            let asked = Asked {
                view,
                outcome: Some(outcome),
                ..Asked::default()
            };
            return page(at, id, asked);
        }
        if !wish.goes_on() {
            let from = view.map(|view| view.from()).unwrap_or_default();
            return Ok(at.site.redirect(&format!("/items/{id}?{from}")));
        }
        let next = next(at, id, form, view)?;
        let mark = if next.contains('?') { '&' } else { '?' };
        Ok(at.site.redirect(&format!("{next}{mark}done={id}")))
    };
    site.act(ticket, (headers, sent), act).await
}

/// Where she goes on to: what stood next to it, if it still waits, else the first that does.
fn next(at: &mut At<'_>, id: i64, form: &Form, view: Option<View>) -> Result<String, HttpError> {
    let next = local_path(form.get("next"));
    let number = next.strip_prefix("/items/").unwrap_or_default();
    let number = number
        .split('?')
        .next()
        .and_then(|number| number.parse().ok());
    if let Some(number) = number
        && at
            .item(number)
            .is_ok_and(|listed| listed.item.status == Status::Pending)
    {
        return Ok(next.to_owned());
    }
    let view = match view {
        Some(view) => view,
        None => View::of(
            &at.store
                .read(|tx| tx.item(id))?
                .map(|item| item.queue)
                .unwrap_or_default(),
        ),
    };
    if !at.visitor.may_see(&view.queue) {
        return Ok("/".into());
    }
    let first = view
        .rows(at)?
        .rows
        .into_iter()
        .find(|row| row.listed.item.id != id);
    Ok(match first {
        Some(row) => format!("/items/{}?{}", row.listed.item.id, view.from()),
        None => view.path(),
    })
}

#[derive(Default)]
struct Asked {
    /// The list that she came from.
    view: Option<View>,
    /// What she did last.
    done: Option<i64>,
    pictures: bool,
    outcome: Option<Outcome>,
}

#[derive(Template)]
#[template(path = "item.html", config = "src/http/askama.toml")]
struct ItemPage<'a> {
    frame: Frame,
    seen: Seen,
    verdicts: Vec<Verdict>,
    reasons: &'a BTreeMap<String, String>,
    key: String,
    tomorrow: String,
    done: Option<Done>,
    outcome: Option<Outcome>,
    list: View,
    previous: Option<String>,
    next: Option<String>,
    hands: Vec<String>,
    is_claimed: bool,
    is_mine: bool,
    reviewers: Vec<(String, String)>,
    queues: Vec<String>,
    /// The address that shows the pictures, where they are asked for.
    asks: Option<String>,
    /// The address of the body, and how high its frame is.
    body: Option<(String, &'static str)>,
    fields: Vec<(String, String, bool)>,
    near: Vec<String>,
    missing: Vec<String>,
    shadow: Vec<String>,
    is_unexplained: bool,
    changed: Option<(String, Vec<Change>)>,
    lines: Vec<Line>,
    location: Option<String>,
}

impl ItemPage<'_> {
    fn id(&self) -> &str {
        self.seen.tag.split('@').next().unwrap_or_default()
    }

    fn may(&self, verb: &str) -> bool {
        self.verdicts.iter().any(|verdict| verdict.as_str() == verb)
    }

    fn is_open(&self) -> bool {
        self.seen.status.is_open()
    }
}

/// What she did last, and how it is taken back.
pub(super) struct Done {
    pub(super) said: String,
    pub(super) id: i64,
    /// The item as it stands, if a reopening takes it back.
    pub(super) undo: Option<ItemRef>,
}

impl Done {
    /// What she did last to an item, if nothing has happened to it since.
    pub(super) fn by_her(at: &mut At<'_>, id: i64) -> Result<Option<Self>, HttpError> {
        let (listed, events) = at
            .store
            .read(|tx| Ok::<_, HttpError>((tx.listed(id)?, tx.events(id)?)))?;
        let hers = events.iter().rev().find(|event| is_moved_by(&event.kind));
        let (Some(listed), Some(event)) = (listed, hers) else {
            return Ok(None);
        };
        if event.actor != at.visitor.actor().name() {
            return Ok(None);
        }
        let zone = at.visitor.timezone();
        let verdict = [
            Verdict::Approve,
            Verdict::Reject,
            Verdict::Hold,
            Verdict::Reopen,
        ];
        let verdict = verdict
            .into_iter()
            .find(|verdict| verdict.past() == event.kind);
        let said = match verdict {
            Some(verdict) => acts::decided(verdict, &listed, &zone),
            None => format!("Handed {id} over: {}", story::title(&listed)),
        };
        let undone = verdict.filter(|verdict| *verdict != Verdict::Reopen);
        let version = Some(listed.item.version);
        Ok(Some(Self {
            said,
            id,
            undo: undone.map(|_| ItemRef { id, version }),
        }))
    }
}

/// Whether an event is more than a decision on its way into the file.
fn is_moved_by(kind: &str) -> bool {
    let kinds = [
        "approved",
        "rejected",
        "held",
        "reopened",
        "handed_over",
        "revised",
        "routed",
    ];
    kinds.contains(&kind)
}

fn page(at: &mut At<'_>, id: i64, asked: Asked) -> Result<Response, HttpError> {
    let listed = at.item(id)?;
    let whole = report::item(at.store, Some(at.rules), id, at.now)?;
    let whole = whole.ok_or_else(|| Note::unknown_item(id))?;
    let (events, own) = at.store.read(|tx| {
        let own = match &at.visitor.who {
            Who::Reviewer(reviewer) => tx.own_settings(&reviewer.email)?.pictures,
            _ => false,
        };
        Ok::<_, HttpError>((tx.events(id)?, own))
    })?;
    let view = asked.view.filter(|view| at.visitor.may_see(&view.queue));
    let view = view.unwrap_or_else(|| View::of(&listed.item.queue));
    let (previous, next) = view.beside(at, id)?;
    let zone = at.visitor.timezone();
    let with_pictures = story::with_pictures(at.rules, own || asked.pictures);
    let told = Story::of(&whole.record, whole.hits.clone(), None);
    let has_picture =
        told.picture.is_some() || whole.body.contains("![") || whole.body.contains("<img");
    let seen = Seen::of(&listed, (told, &whole.hits), &zone, with_pictures, at.now);
    let shown_with = if asked.pictures { "&pictures=yes" } else { "" };
    let asks = at.rules.desk.pictures == "ask" && !with_pictures && has_picture;
    let done = asked
        .done
        .map(|done| Done::by_her(at, done))
        .transpose()?
        .flatten();
    let status = asked
        .outcome
        .as_ref()
        .map_or(StatusCode::OK, Outcome::status);
    let title = seen.title.clone();
    let claim = listed.item.claim(at.now);
    let again = &whole.again;
    let page = ItemPage {
        frame: Frame::of(at, "", title),
        verdicts: verdicts(at, &listed, &whole),
        reasons: &at.rules.desk.reject_reasons,
        key: acts::new_key(),
        tomorrow: story::tomorrow(at.now, &zone),
        done,
        outcome: asked.outcome,
        previous,
        next,
        hands: hands(at, &listed, &whole),
        is_claimed: claim.is_some(),
        is_mine: claim.is_some_and(|(by, _)| by == at.visitor.actor().name()),
        reviewers: reviewers(at, &listed.item.queue),
        queues: queues(at, &listed.item.queue),
        asks: asks.then(|| format!("/items/{id}?{}&pictures=yes", view.from())),
        body: frame(id, &whole.body, shown_with),
        fields: fields(&whole),
        near: again.near.iter().map(story::near).collect(),
        missing: again.not_evaluated.iter().map(missing).collect(),
        shadow: again
            .shadow
            .iter()
            .map(|hit| {
                let why = hit.why.as_deref().unwrap_or_default();
                shown::line(&format!("{:+} {} ({why})", hit.points, hit.rule), 200)
            })
            .collect(),
        is_unexplained: !again.current,
        changed: changes::last(&events, at).filter(|_| seen.status.is_open()),
        lines: changes::history(&events, at),
        location: listed
            .location
            .as_ref()
            .map(|it| shown::line(it.as_str(), 200)),
        list: view,
        seen,
    };
    let with_pictures = page.seen.picture.is_some();
    console(status, &page, with_pictures)
}

/// What she may decide on it as it stands.
fn verdicts(at: &At<'_>, listed: &Listed, whole: &report::ItemPage) -> Vec<Verdict> {
    let all = [
        Verdict::Approve,
        Verdict::Reject,
        Verdict::Hold,
        Verdict::Reopen,
    ];
    let mut verdicts = possible(listed.item.status, &all);
    let last = whole.decisions.last().map(|last| last.actor.as_str());
    let hers = at.visitor.is_editor() || last == Some(&*at.visitor.actor().name());
    if listed.location.is_none() || (listed.item.status.is_decided() && !hers) {
        verdicts.retain(|verdict| *verdict != Verdict::Reopen);
    }
    verdicts
}

/// Who else is at it, or was.
fn hands(at: &At<'_>, listed: &Listed, whole: &report::ItemPage) -> Vec<String> {
    let zone = at.visitor.timezone();
    let me = at.visitor.actor().name();
    let mut hands = Vec::new();
    if let Some((by, until)) = listed.item.claim(at.now) {
        let until = clock(until, &zone);
        hands.push(match by == me {
            true => format!("You have claimed it until {until}"),
            false => format!("{} has claimed it until {until}", who(at, by)),
        });
    }
    if let Some(to) = &listed.item.assigned_to {
        hands.push(match *to == me {
            true => "It was handed over to you".into(),
            false => format!("It was handed over to {}", who(at, to)),
        });
    }
    let decided = whole.decisions.iter().rev().take(3).map(|decision| {
        let verdict = decision
            .kind
            .parse::<Verdict>()
            .map_or(decision.kind, Verdict::past);
        let when = decision
            .at
            .parse()
            .map(|when| clock(when, &zone))
            .unwrap_or_default();
        let (by, version) = (who(at, &decision.actor), decision.version);
        format!("{by} {verdict} version {version}, {when}")
    });
    hands.extend(decided);
    hands
}

/// To whom it can be handed: address and name.
pub(super) fn reviewers(at: &At<'_>, queue: &str) -> Vec<(String, String)> {
    let me = at.visitor.actor().name();
    let others = at.rules.reviewers.iter();
    let others = others.filter(|other| other.may_decide_in(queue) && other.email != me);
    others
        .map(|other| (other.email.clone(), shown::line(&other.name, 60)))
        .collect()
}

/// The other queues in which people decide.
pub(super) fn queues(at: &At<'_>, queue: &str) -> Vec<String> {
    let others = at.rules.queues.iter().filter(|other| {
        other.name != queue && !other.skip && !other.shadow && other.decide.is_none()
    });
    others.map(|other| other.name.clone()).collect()
}

fn frame(id: i64, body: &str, query: &str) -> Option<(String, &'static str)> {
    let height = match body.trim().len() {
        0 => return None,
        1..200 => "low",
        200..900 => "middle",
        _ => "high",
    };
    Some((format!("/items/{id}/body?{query}"), height))
}

/// Every field: name, value, and whether it is long.
fn fields(whole: &report::ItemPage) -> Vec<(String, String, bool)> {
    let fields = whole.record.iter().map(|(key, value)| {
        let value = shown::line(&value.to_string(), 20_000);
        let is_long = value.chars().count() > LONG;
        (shown::line(key, 80), value, is_long)
    });
    fields.collect()
}

fn missing(it: &crate::rules::assess::NotEvaluated) -> String {
    let text = format!("{}: the record has no {}", it.rule, it.missing.join(", "));
    shown::line(&text, 200)
}

#[derive(Template)]
#[template(path = "body.html", config = "src/http/askama.toml")]
struct BodyPage<'a> {
    base: &'a str,
    body: String,
}

/// `GET /items/{id}/body`: what stands in the frame.
async fn text(
    State(site): Shared,
    Path(id): Path<String>,
    ticket: Ticket,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let show = move |at: &mut At<'_>| {
        let listed = at.item(number(&id)?)?;
        let (body, own) = at.store.read(|tx| {
            let own = match &at.visitor.who {
                Who::Reviewer(reviewer) => tx.own_settings(&reviewer.email)?.pictures,
                _ => false,
            };
            Ok::<_, HttpError>((tx.contents(listed.item.record)?.1, own))
        })?;
        let asked = own || query.contains_key("pictures");
        let with_pictures = story::with_pictures(at.rules, asked);
        let page = BodyPage {
            base: &at.site.base,
            body: body::safe(&body, with_pictures),
        };
        let mut answer = html(StatusCode::OK, &page)?;
        guard::frame(&mut answer, with_pictures);
        Ok(answer)
    };
    site.show(ticket, show).await
}
