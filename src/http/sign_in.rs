//! Signing in by a link that is mailed, and out again.

use crate::http::page::{Note, html};
use crate::http::visitor::{At, Form, Ticket, Who, local_path};
use crate::http::work::Access;
use crate::http::{HttpError, Shared, Site, body, guard};
use crate::notify;
use crate::record::Hash;
use crate::store::{Store, StoreError};
use crate::token::unguessable;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/sign-in", get(ask).post(send))
        .route("/sign-in/{link}", get(confirm).post(enter))
        .route("/sign-out", post(leave))
}

/// Keeps a link that signs someone in, once, within ten minutes: a reviewer by her address, or, with
/// none, whoever stands at the terminal. `None` when too many were asked for.
///
/// # Errors
/// When there is no random number, or the database fails.
pub fn link(
    store: &mut Store,
    url: &str,
    reviewer: &str,
    now: Timestamp,
) -> Result<Option<String>, HttpError> {
    let secret = unguessable().map_err(|error| HttpError::Ended(error.to_string()))?;
    let hash = Hash::of(secret.as_bytes());
    let kept = store.write(|tx| tx.add_sign_in(hash, reviewer, now))?;
    Ok(kept.then(|| format!("{url}/sign-in/{secret}")))
}

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/http/askama.toml")]
struct AskPage<'a> {
    base: &'a str,
    title: &'a str,
    next: &'a str,
}

/// `GET /sign-in`.
async fn ask(
    State(site): Shared,
    ticket: Ticket,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let next = local_path(query.get("next").map(String::as_str)).to_owned();
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| {
        let rules = (at.rules)();
        let entered = at.enter(store, &rules, &ticket, Timestamp::now())?;
        // A token is for the API, and would be sent back here.
        if entered.is_some_and(|(visitor, _)| !matches!(visitor.who, Who::Program(_))) {
            return Ok(at.redirect(&next));
        }
        let page = AskPage {
            base: &at.base,
            title: "Sign in",
            next: &next,
        };
        let mut answer = html(StatusCode::OK, &page)?;
        guard::allow_forms(&mut answer);
        Ok(answer)
    };
    site.answer(site.work.run(Access::Read, work).await)
}

/// `POST /sign-in`: the answer is the same whether the rules know the address or not.
async fn send(State(site): Shared, headers: HeaderMap, sent: Body) -> Response {
    let form = match body(&headers, sent).await {
        Ok(bytes) => Form::of(&bytes),
        Err(note) => return note.show(&site.base),
    };
    let email = form.get("email").unwrap_or_default().to_ascii_lowercase();
    if site.url.is_none() {
        return Note::no_address().show(&site.base);
    }
    let next = local_path(form.get("next")).to_owned();
    let at = Arc::clone(&site);
    tokio::spawn(async move {
        let site = Arc::clone(&at);
        let mailed = at.work.run(Access::Write, move |store| {
            mail(&site, store, &email, &next, Timestamp::now())
        });
        if let Err(error) = mailed.await {
            tracing::error!("A link to sign in could not be mailed: {error}");
        }
    });
    let text = [
        "If this is the address of a reviewer, a link is on its way to it. It holds for ten minutes, once.",
        "No mail? Look at the address, and among what your mail program calls spam; then ask again.",
    ];
    Note::new(StatusCode::OK, "Look into your mail", &text)
        .link(format!("{}/sign-in", site.base), "Ask again")
        .show(&site.base)
}

fn mail(
    site: &Site,
    store: &mut Store,
    email: &str,
    next: &str,
    now: Timestamp,
) -> Result<(), HttpError> {
    let rules = (site.rules)();
    let reviewer = rules.reviewers.iter().find(|r| r.email == email);
    let (Some(reviewer), Some(url)) = (reviewer, &site.url) else {
        tracing::info!("Someone who is no reviewer asked for a link to sign in");
        return Ok(());
    };
    let Some(mut link) = link(store, url, email, now)? else {
        tracing::warn!(
            "{email} asks for links to sign in again and again; none is sent for a while"
        );
        return Ok(());
    };
    if next != "/" {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        link.push_str(&format!("?next={next}"));
    }
    notify::sign_in(&site.outbox, reviewer, &link, now)?;
    tracing::info!("A link to sign in was mailed to {email}");
    Ok(())
}

#[derive(Template)]
#[template(path = "confirm.html", config = "src/http/askama.toml")]
struct ConfirmPage<'a> {
    base: &'a str,
    title: &'a str,
    link: &'a str,
    next: &'a str,
    whom: &'a str,
}

/// `GET /sign-in/LINK`: asks, since scanners of mails follow what they find.
async fn confirm(
    State(site): Shared,
    Path(secret): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let next = local_path(query.get("next").map(String::as_str)).to_owned();
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| {
        let hash = Hash::of(secret.as_bytes());
        let found = store.read(|tx| tx.sign_in(hash, Timestamp::now()))?;
        let whom = found.ok_or_else(Note::old_sign_in)?;
        let page = ConfirmPage {
            base: &at.base,
            title: "Sign in",
            link: &secret,
            next: &next,
            whom: &whom,
        };
        let mut answer = html(StatusCode::OK, &page)?;
        guard::allow_forms(&mut answer);
        Ok(answer)
    };
    site.answer(site.work.run(Access::Read, work).await)
}

/// `POST /sign-in/LINK`: a session of its own, whatever the browser held before.
async fn enter(
    State(site): Shared,
    Path(secret): Path<String>,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let form = match body(&headers, sent).await {
        Ok(bytes) => Form::of(&bytes),
        Err(note) => return note.show(&site.base),
    };
    let at = Arc::clone(&site);
    let work = move |store: &mut Store| {
        let now = Timestamp::now();
        let link = Hash::of(secret.as_bytes());
        let session = unguessable().map_err(|error| HttpError::Ended(error.to_string()))?;
        let hash = Hash::of(session.as_bytes());
        let whom = store.write(|tx| {
            let Some(whom) = tx.sign_in(link, now)? else {
                return Ok::<_, StoreError>(None);
            };
            tx.use_sign_in(link, now)?;
            tx.add_session(hash, &whom, now)?;
            Ok(Some(whom))
        })?;
        let whom = whom.ok_or_else(Note::old_sign_in)?;
        let whom = if whom.is_empty() {
            "Who stands at the terminal"
        } else {
            &whom
        };
        tracing::info!("{whom} signed in");
        let mut answer = at.redirect(local_path(form.get("next")));
        let cookie = at.set_cookie(Some(&session));
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(answer)
    };
    site.answer(site.work.run(Access::Write, work).await)
}

/// `POST /sign-out`.
async fn leave(State(site): Shared, ticket: Ticket, headers: HeaderMap, sent: Body) -> Response {
    let leave = |at: &mut At<'_>, _: &_| {
        if let Some(session) = at.visitor.session {
            at.store.write(|tx| tx.end_session(session))?;
        }
        let (title, text) = match (&at.visitor.who, at.visitor.session) {
            (Who::Reviewer(_), None) => (
                "Signed in by the proxy",
                "Who you are is said by the proxy in front of the desk. Sign out there.",
            ),
            _ => ("Signed out", "This browser is signed out."),
        };
        let note = Note::new(StatusCode::OK, title, &[text]);
        let note = note.link(format!("{}/sign-in", at.site.base), "Sign in again");
        let mut answer = note.show(&at.site.base);
        let cookie = at.site.set_cookie(None);
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(answer)
    };
    site.act(ticket, (headers, sent), leave).await
}
