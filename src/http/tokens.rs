//! `/tokens`: what programs are let in by. A token is shown once, on the page that answers.

use crate::http::page::{Frame, Note, console};
use crate::http::visitor::{At, Form, Ticket, Who};
use crate::http::{HttpError, Shared, Site};
use crate::record::{Hash, shown};
use crate::rules::Role;
use crate::schedule::clock;
use crate::store::access::{ApiToken, Scope};
use crate::token::unguessable;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::SignedDuration;
use std::sync::Arc;

/// How long a token may hold, in days.
const DAYS: [i64; 3] = [30, 90, 365];
/// What tells scanners of leaked secrets that it is one of ours.
const PREFIX: &str = "cd_";

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/tokens", get(list).post(make))
        .route("/tokens/{id}/revoke", post(revoke))
}

async fn list(State(site): Shared, ticket: Ticket) -> Response {
    let show = |at: &mut At<'_>| page(at, StatusCode::OK, None, &Form::default(), None);
    site.show(ticket, show).await
}

/// `POST /tokens`.
async fn make(State(site): Shared, ticket: Ticket, headers: HeaderMap, sent: Body) -> Response {
    let make = |at: &mut At<'_>, form: &Form| {
        at.only_editors()?;
        let wrong = |at: &mut At<'_>, text: &str| {
            page(at, StatusCode::BAD_REQUEST, Some(text.into()), form, None)
        };
        let name = form.get("name").unwrap_or_default().to_owned();
        if !is_name(&name) {
            let text = "A name has 1 to 40 letters, digits, `-`, `_` or `.`. No token was made.";
            return wrong(at, text);
        }
        let scope = match form.get("scope") {
            Some("read") => Scope::Read,
            Some("decide") => Scope::Decide,
            _ => return wrong(at, "Say what it may do. No token was made."),
        };
        let days = form.get("days").and_then(|days| days.parse().ok());
        let Some(days) = days.filter(|days| DAYS.contains(days)) else {
            return wrong(at, "Say how long it holds. No token was made.");
        };
        let secret = unguessable().map_err(|error| HttpError::Ended(error.to_string()))?;
        let token = format!("{PREFIX}{secret}");
        let (hash, made_by) = (Hash::of(token.as_bytes()), maker(at));
        let ends_at = at.now + SignedDuration::from_hours(24 * days);
        let made = at
            .store
            .write(|tx| tx.add_api_token((&name, hash, scope), &made_by, ends_at, at.now))?;
        if made.is_none() {
            let text = format!(
                "There is a token {name} already, and decisions may stand under its name. Choose another."
            );
            return page(at, StatusCode::CONFLICT, Some(text), form, None);
        }
        tracing::info!(
            "{} made the token {name} of the API",
            at.visitor.actor().name()
        );
        let made = Some((name, token));
        page(at, StatusCode::OK, None, &Form::default(), made)
    };
    site.act(ticket, (headers, sent), make).await
}

/// `POST /tokens/ID/revoke`.
async fn revoke(
    State(site): Shared,
    ticket: Ticket,
    Path(id): Path<String>,
    headers: HeaderMap,
    sent: Body,
) -> Response {
    let revoke = move |at: &mut At<'_>, _: &Form| {
        at.only_editors()?;
        let id = id.parse().map_err(|_| Note::unknown())?;
        let now = at.now;
        let (known, done) = at.store.write(|tx| {
            let known = tx.api_tokens()?.into_iter().any(|token| token.id == id);
            Ok::<_, HttpError>((known, tx.revoke_api_token(id, now)?))
        })?;
        if !known {
            return Err(Note::unknown().into());
        }
        if done {
            let whom = at.visitor.actor().name();
            tracing::info!("{whom} took the token {id} of the API back");
        }
        Ok(at.site.redirect("/tokens"))
    };
    site.act(ticket, (headers, sent), revoke).await
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=40).contains(&name.len()) && name.bytes().all(plain)
}

/// Under whom a token is kept: nobody, for who stands at the terminal.
fn maker(at: &At<'_>) -> String {
    match &at.visitor.who {
        Who::Reviewer(reviewer) => reviewer.email.clone(),
        Who::Terminal | Who::Program(_) => String::new(),
    }
}

#[derive(Template)]
#[template(path = "tokens.html", config = "src/http/askama.toml")]
struct TokensPage<'f> {
    frame: Frame,
    tokens: Vec<Line>,
    /// Why none was made.
    wrong: Option<String>,
    /// What the form holds already.
    form: &'f Form,
    /// The name of a new token, and the token.
    made: Option<(String, String)>,
}

struct Line {
    id: i64,
    name: String,
    scope: &'static str,
    made: String,
    ends: String,
    used: String,
    state: String,
    holds: bool,
}

impl TokensPage<'_> {
    fn has(&self, key: &str, value: &str) -> bool {
        self.form.get(key) == Some(value)
    }

    fn days(&self) -> [(i64, bool); 3] {
        let asked = self.form.get("days").unwrap_or("90");
        DAYS.map(|days| (days, days.to_string() == asked))
    }
}

fn page(
    at: &mut At<'_>,
    status: StatusCode,
    wrong: Option<String>,
    form: &Form,
    made: Option<(String, String)>,
) -> Result<Response, HttpError> {
    at.only_editors()?;
    let tokens = at.store.read(|tx| tx.api_tokens())?;
    let page = TokensPage {
        frame: Frame::of(at, "tokens", "Tokens of the API"),
        tokens: tokens.into_iter().map(|token| line(at, token)).collect(),
        wrong,
        form,
        made,
    };
    console(status, &page, false)
}

fn line(at: &At<'_>, token: ApiToken) -> Line {
    let zone = at.visitor.timezone();
    let day = |time: jiff::Timestamp| {
        let day = time.to_zoned(zone.clone()).strftime("%-d %b %Y");
        day.to_string()
    };
    let is_terminal = token.made_by.is_empty() && at.rules.reviewers.is_empty();
    let maker = at.rules.reviewer(&token.made_by);
    let is_let = maker.map_or(is_terminal, |maker| maker.role == Role::Editor);
    let state = match token.revoked_at {
        Some(when) => format!("taken back {}", day(when)),
        None if token.ends_at <= at.now => "ended".into(),
        None if !is_let => "does not hold: its maker is no editor".into(),
        None => "holds".into(),
    };
    let made_by = match token.made_by.as_str() {
        "" => "the terminal",
        email => maker.map_or(email, |maker| &maker.name),
    };
    Line {
        holds: state == "holds",
        made: format!("{}, {}", shown::line(made_by, 60), day(token.made_at)),
        ends: day(token.ends_at),
        used: token.used_at.map_or("never".into(), |at| clock(at, &zone)),
        id: token.id,
        name: token.name,
        scope: token.scope.as_str(),
        state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain() {
        for (name, plain) in [
            ("news-bot_2.test", true),
            (&"a".repeat(40), true),
            (&"a".repeat(41), false),
            ("", false),
            ("two words", false),
            ("é", false),
            ("a:b", false),
            ("a\nb", false),
        ] {
            assert_eq!(is_name(name), plain, "{name:?}");
        }
    }
}
