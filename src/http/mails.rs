//! A reviewer's own mails: paused, stopped, started again, with pictures or without.

use crate::http::links::{Guest, admit};
use crate::http::page::{Note, html};
use crate::http::work::Access;
use crate::http::{HttpError, Shared, Site, body, guard};

use crate::record::shown;
use crate::schedule::{self, clock};
use crate::store::settings::Own;
use crate::store::{Store, StoreError};
use crate::token::Purpose;
use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// `GET /mails/TOKEN`.
pub(super) async fn look(State(site): Shared, Path(token): Path<String>) -> Response {
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| show(&at, store, &token, None, Timestamp::now());
    site.answer(site.work.run(Access::Read, work).await)
}

/// `POST /mails/TOKEN`.
pub(super) async fn act(
    State(site): Shared,
    Path(token): Path<String>,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let form = match body(&headers, sent).await {
        Ok(bytes) => url::form_urlencoded::parse(&bytes).into_owned().collect(),
        Err(note) => return note.show(&site.base),
    };
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| change(&at, store, &token, &form, Timestamp::now());
    site.answer(site.work.run(Access::Write, work).await)
}

/// `GET /unsubscribe/TOKEN`: who follows it by hand is asked first, and so is a scanner of mails.
pub(super) async fn ask(State(site): Shared, Path(token): Path<String>) -> Response {
    let at = Arc::clone(&site);
    let work = move |_: &mut Store| {
        let rules = (at.rules)();
        let guest = admit(&at, &rules, &token, &[Purpose::Settings], Timestamp::now())?;
        let mut answer = html(
            StatusCode::OK,
            &Ask {
                base: &at.base,
                title: "Stop your mails?",
                email: &guest.reviewer.email,
                token: &token,
            },
        )?;
        guard::allow_forms(&mut answer);
        Ok(answer)
    };
    site.answer(site.work.run(Access::Read, work).await)
}

/// `POST /unsubscribe/TOKEN`: one click in a mail program (RFC 8058).
pub(super) async fn stop(
    State(site): Shared,
    Path(token): Path<String>,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let bytes = match body(&headers, sent).await {
        Ok(bytes) => bytes,
        Err(note) => return note.show(&site.base),
    };
    // As a form of either kind.
    let holds = |word: &[u8]| memchr::memmem::find(&bytes, word).is_some();
    if !holds(b"List-Unsubscribe") || !holds(b"One-Click") {
        let text = "A mail program sends `List-Unsubscribe=One-Click`. Nothing was changed.";
        return Note::new(StatusCode::BAD_REQUEST, "Not understood", &[text]).show(&site.base);
    }
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| {
        let rules = (at.rules)();
        let guest = admit(&at, &rules, &token, &[Purpose::Settings], Timestamp::now())?;
        let email = &guest.reviewer.email;
        keep(store, email, |own| own.stopped = true)?;
        let text = format!("Nothing is mailed to {email} any more.");
        let note = Note::new(StatusCode::OK, "Your mails are stopped", &[&text]);
        let note = note.link(format!("{}/mails/{token}", at.base), "Start them again");
        Ok(note.show(&at.base))
    };
    site.answer(site.work.run(Access::Write, work).await)
}

#[derive(Template)]
#[template(path = "unsubscribe.html", config = "src/http/askama.toml")]
struct Ask<'a> {
    base: &'a str,
    title: &'a str,
    email: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "mails.html", config = "src/http/askama.toml")]
struct MailsPage<'a> {
    base: &'a str,
    title: &'a str,
    token: &'a str,
    name: String,
    email: &'a str,
    /// What was just changed.
    said: Option<&'a str>,
    /// How it stands, a sentence each.
    stands: Vec<String>,
    goes: bool,
    pictures: Option<bool>,
    tomorrow: String,
}

fn show(
    site: &Site,
    store: &mut Store,
    token: &str,
    said: Option<&str>,
    now: Timestamp,
) -> Result<Response, HttpError> {
    let rules = (site.rules)();
    let guest = admit(site, &rules, token, &[Purpose::Settings], now)?;
    let reviewer = guest.reviewer;
    let own = store.read(|tx| tx.own_settings(&reviewer.email))?;
    let paused = own.paused_until.filter(|until| *until > now);
    let here = now.to_zoned(reviewer.timezone.clone());
    let page = MailsPage {
        base: &site.base,
        title: "Your mails from the copy desk",
        token,
        name: shown::line(&reviewer.name, 80),
        email: &reviewer.email,
        said,
        stands: stands(&guest, &own, now),
        goes: !own.stopped && paused.is_none(),
        pictures: (rules.desk.pictures != "never").then_some(own.pictures),
        tomorrow: here
            .date()
            .tomorrow()
            .map(|day| day.to_string())
            .unwrap_or_default(),
    };
    let mut answer = html(StatusCode::OK, &page)?;
    guard::allow_forms(&mut answer);
    Ok(answer)
}

/// What she gets, and when.
fn stands(guest: &Guest<'_>, own: &Own, now: Timestamp) -> Vec<String> {
    let reviewer = guest.reviewer;
    let zone = &reviewer.timezone;
    if own.stopped {
        return vec!["You have stopped your mails: nothing is sent to you.".into()];
    }
    let paused = own.paused_until.filter(|until| *until > now);
    let mut stands = Vec::new();
    if let Some(until) = paused {
        stands.push(format!(
            "Your mails are paused until {}.",
            clock(until, zone)
        ));
    }
    let next = reviewer
        .digest
        .as_ref()
        .map(|s| s.next_after(paused.unwrap_or(now), zone));
    let zone_name = zone.iana_name().unwrap_or("UTC");
    stands.push(match next {
        Some(Some(next)) => format!(
            "Your next digest comes {} ({zone_name}), if there is news.",
            clock(next, zone)
        ),
        Some(None) => "Your schedule has no time to come.".into(),
        None => "You get no digest: the desk's rules give you none.".into(),
    });
    if !reviewer.alert.is_empty() {
        stands.push(format!(
            "Alerts reach you at once from: {}.",
            reviewer.alert.join(", ")
        ));
    }
    stands
}

fn change(
    site: &Site,
    store: &mut Store,
    token: &str,
    form: &HashMap<String, String>,
    now: Timestamp,
) -> Result<Response, HttpError> {
    let rules = (site.rules)();
    let guest = admit(site, &rules, token, &[Purpose::Settings], now)?;
    let email = &guest.reviewer.email;
    let value = |key: &str| form.get(key).map_or("", |value| value.trim());
    let wrong = |text: &str| {
        let note = Note::new(StatusCode::BAD_REQUEST, "Nothing was changed", &[text]);
        note.link(format!("{}/mails/{token}", site.base), "Back to your mails")
            .show(&site.base)
    };
    let said = match value("do") {
        "pause" => {
            let until = match value("until") {
                "date" => value("date"),
                until => until,
            };
            let until = schedule::moment(until, now, &guest.reviewer.timezone).ok();
            let Some(until) = until.filter(|until| *until > now) else {
                return Ok(wrong("Choose a day to come until which nothing is sent."));
            };
            keep(store, email, |own| {
                own.paused_until = Some(until);
                own.stopped = false;
            })?;
            "Your mails are paused."
        }
        "stop" => {
            keep(store, email, |own| own.stopped = true)?;
            "Your mails are stopped."
        }
        "start" => {
            keep(store, email, |own| {
                own.paused_until = None;
                own.stopped = false;
            })?;
            "Your mails are started again."
        }
        "pictures" => {
            let shows = value("show") == "yes";
            keep(store, email, |own| own.pictures = shows)?;
            if shows {
                "Your mails show pictures."
            } else {
                "Your mails show no pictures."
            }
        }
        _ => return Ok(wrong("This is nothing that the page offers.")),
    };
    show(site, store, token, Some(said), now)
}

fn keep(store: &mut Store, email: &str, change: impl FnOnce(&mut Own)) -> Result<(), StoreError> {
    store.write(|tx| {
        let mut own = tx.own_settings(email)?;
        change(&mut own);
        tx.keep_own_settings(email, &own)
    })
}
