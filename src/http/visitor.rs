//! Who asks: a reviewer with a session or behind a trusted proxy, who had the link from the terminal,
//! or a program with a token. What she may see and do is asked of the rules with each request.

use crate::http::api::Problem;
use crate::http::guard::Peer;
use crate::http::limits::Caller;
use crate::http::page::Note;
use crate::http::traffic::Named;
use crate::http::work::Access;
use crate::http::{HttpError, Site, body};
use crate::record::Hash;
use crate::review::Actor;
use crate::rules::{Reviewer, Role, RuleSet};
use crate::store::access::{ApiToken, Scope};
use crate::store::items::Listed;
use crate::store::{Store, StoreError};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

/// What a request says about who sends it.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    session: Option<String>,
    /// Whom a trusted proxy names.
    proxy: Option<String>,
    /// The token of a program.
    program: Option<String>,
    /// What our script adds to what it sends.
    csrf: Option<String>,
    /// Where she goes on once she is signed in.
    path: String,
    is_get: bool,
    /// Where she is.
    peer: Option<IpAddr>,
}

impl FromRequestParts<Arc<Site>> for Ticket {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Infallible> {
        let text = |name: &str| {
            let value = parts.headers.get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let cookies = parts.headers.get_all(header::COOKIE).iter();
        let mut cookies = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let name = site.cookie();
        let session = cookies.find(|(key, _)| *key == name);
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        let is_trusted = peer.is_some_and(|peer| site.proxies.contains(&peer));
        let path = parts.uri.path_and_query();
        Ok(Self {
            session: session.map(|(_, value)| value.to_owned()),
            proxy: text(&site.proxy_header).filter(|_| is_trusted),
            program: text("authorization").and_then(|it| Some(it.strip_prefix("Bearer ")?.into())),
            csrf: text("x-csrf"),
            path: path.map_or("/".into(), ToString::to_string),
            is_get: matches!(parts.method, Method::GET | Method::HEAD),
            peer: site.client(&parts.headers, &parts.extensions),
        })
    }
}

/// Who she is.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Reviewer(Box<Reviewer>),
    /// Who had the one-time link from the terminal, while the rules name no reviewers.
    Terminal,
    /// A program, by its token, and the editor who made it.
    Program(ApiToken),
}

/// Someone who was let in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) who: Who,
    /// What her forms carry, so that no other page can send them.
    pub(super) csrf: String,
    /// Her session, where there is one.
    pub(super) session: Option<Hash>,
}

impl Visitor {
    pub(super) fn actor(&self) -> Actor<'_> {
        match &self.who {
            Who::Reviewer(reviewer) => Actor::Reviewer(reviewer),
            Who::Terminal => Actor::User("console".into()),
            Who::Program(token) => Actor::Program(token.name.clone()),
        }
    }

    /// The name that greets her.
    pub(super) fn name(&self) -> &str {
        match &self.who {
            Who::Reviewer(reviewer) => &reviewer.name,
            Who::Terminal => "Terminal",
            Who::Program(token) => &token.name,
        }
    }

    pub(super) fn timezone(&self) -> TimeZone {
        match &self.who {
            Who::Reviewer(reviewer) => reviewer.timezone.clone(),
            Who::Terminal => TimeZone::system(),
            Who::Program(_) => TimeZone::UTC,
        }
    }

    pub(super) fn is_editor(&self) -> bool {
        match &self.who {
            Who::Reviewer(reviewer) => reviewer.role == Role::Editor,
            Who::Terminal | Who::Program(_) => true,
        }
    }

    /// Whether she may see and decide what is in this queue.
    pub(super) fn may_see(&self, queue: &str) -> bool {
        match &self.who {
            Who::Reviewer(reviewer) => reviewer.may_decide_in(queue),
            Who::Terminal | Who::Program(_) => true,
        }
    }

    /// Whether she may do more than read.
    pub(super) fn may_act(&self) -> bool {
        !matches!(&self.who, Who::Program(token) if token.scope == Scope::Read)
    }

    /// The queues of hers that people decide in, in the order of the rules.
    pub(super) fn queues<'r>(&self, rules: &'r RuleSet) -> Vec<&'r str> {
        let queues = rules.queues.iter().filter(|queue| !queue.skip);
        let names = queues.map(|queue| queue.name.as_str());
        names.filter(|name| self.may_see(name)).collect()
    }
}

/// What a page is made of and for whom.
pub(super) struct At<'a> {
    pub(super) site: &'a Site,
    pub(super) store: &'a mut Store,
    pub(super) rules: &'a RuleSet,
    pub(super) visitor: &'a Visitor,
    pub(super) now: Timestamp,
}

impl At<'_> {
    /// An item that she may see. One that she may not is no more to her than one that is not there.
    pub(super) fn item(&mut self, id: i64) -> Result<Listed, HttpError> {
        let listed = self.store.read(|tx| tx.listed(id))?;
        let hers = listed.filter(|listed| self.visitor.may_see(&listed.item.queue));
        hers.ok_or_else(|| Note::unknown_item(id).into())
    }

    /// For pages that are for editors alone.
    pub(super) fn only_editors(&self) -> Result<(), HttpError> {
        if self.visitor.is_editor() {
            return Ok(());
        }
        Err(Note::only_editors().into())
    }
}

/// What a form sent, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let pairs = url::form_urlencoded::parse(bytes);
        let pairs = pairs.map(|(key, value)| (key.into_owned(), value.trim().to_owned()));
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The last value of a key that is not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let pairs = self.0.iter().rev();
        let mut pairs = pairs.filter(|(name, _)| name == key);
        pairs.next().map(|(_, value)| value.as_str())
    }

    /// Every value of a key.
    pub(super) fn all<'f>(&'f self, key: &'f str) -> impl Iterator<Item = &'f str> {
        let pairs = self.0.iter().filter(move |(name, _)| name == key);
        pairs.map(|(_, value)| value.as_str())
    }
}

impl Site {
    /// The name of the session's cookie. Over TLS it is bound to this host (RFC 6265bis, 4.1.3.2).
    pub(super) fn cookie(&self) -> &'static str {
        if self.is_secure() {
            "__Host-copydesk"
        } else {
            "copydesk"
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        let url = self.url.as_deref();
        url.is_some_and(|url| url.starts_with("https:"))
    }

    /// The header that gives a browser its session, or takes it away.
    pub(super) fn set_cookie(&self, session: Option<&str>) -> HeaderValue {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        let ends = if session.is_some() { "" } else { "; Max-Age=0" };
        let (name, value) = (self.cookie(), session.unwrap_or_default());
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{ends}");
        // Nothing but letters of base64.
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Who has come with a ticket, if that lets anyone in.
    pub(super) fn enter(
        &self,
        store: &mut Store,
        rules: &RuleSet,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<Option<(Visitor, bool)>, StoreError> {
        let named = |email: &str| {
            let reviewer = rules.reviewer(&email.to_ascii_lowercase());
            reviewer.cloned().map(Box::new)
        };
        // Who stands at the terminal is let in while the rules name nobody.
        let is_terminal = |email: &str| email.is_empty() && rules.reviewers.is_empty();
        if let Some(program) = &ticket.program {
            let hash = Hash::of(program.as_bytes());
            let found = store.read(|tx| tx.api_token(hash, now))?;
            // It may do what its maker may, and nothing once she may not.
            let found = found.filter(|(token, _)| {
                let maker = named(&token.made_by);
                maker.map_or(is_terminal(&token.made_by), |maker| {
                    maker.role == Role::Editor
                })
            });
            return Ok(found.map(|(token, is_unnoted)| {
                let who = Who::Program(token);
                let csrf = String::new();
                let session = None;
                (Visitor { who, csrf, session }, is_unnoted)
            }));
        }
        if let Some(email) = &ticket.proxy {
            let mac = blake3::keyed_hash(&self.secret, email.to_ascii_lowercase().as_bytes());
            let csrf = csrf(*mac.as_bytes());
            let session = None;
            let who = named(email).map(Who::Reviewer);
            return Ok(who.map(|who| (Visitor { who, csrf, session }, false)));
        }
        let Some(held) = &ticket.session else {
            return Ok(None);
        };
        let hash = Hash::of(held.as_bytes());
        let Some(session) = store.read(|tx| tx.session(hash, now))? else {
            return Ok(None);
        };
        let who = match session.reviewer.as_str() {
            email if is_terminal(email) => Some(Who::Terminal),
            email => named(email).map(Who::Reviewer),
        };
        Ok(who.map(|who| {
            // It follows from what nobody guesses, so that a page outlives a restart of the service.
            let csrf = csrf(blake3::derive_key(
                "copydesk 2026 forms of a session",
                held.as_bytes(),
            ));
            let is_unnoted = session.is_unnoted;
            let session = Some(hash);
            (Visitor { who, csrf, session }, is_unnoted)
        }))
    }

    /// Makes a page that only reads.
    pub(super) async fn show(
        self: &Arc<Self>,
        ticket: Ticket,
        make: impl FnOnce(&mut At<'_>) -> Result<Response, HttpError> + Send + 'static,
    ) -> Response {
        self.let_in(ticket, Access::Read, None, make).await
    }

    /// Does what a form of ours asks for.
    pub(super) async fn act(
        self: &Arc<Self>,
        ticket: Ticket,
        (headers, sent): (HeaderMap, Body),
        act: impl FnOnce(&mut At<'_>, &Form) -> Result<Response, HttpError> + Send + 'static,
    ) -> Response {
        let form = match body(&headers, sent).await {
            Ok(bytes) => Form::of(&bytes),
            Err(note) => return note.show(&self.base),
        };
        let csrf = form.get("csrf").or(ticket.csrf.as_deref());
        let csrf = csrf.unwrap_or_default().to_owned();
        let make = move |at: &mut At<'_>| act(at, &form);
        self.let_in(ticket, Access::Write, Some(csrf), make).await
    }

    async fn let_in(
        self: &Arc<Self>,
        ticket: Ticket,
        access: Access,
        csrf: Option<String>,
        make: impl FnOnce(&mut At<'_>) -> Result<Response, HttpError> + Send + 'static,
    ) -> Response {
        let made = self.made(ticket, access, move |site, ticket, at| {
            // A token is for the API.
            let person = at.filter(|at| !matches!(at.visitor.who, Who::Program(_)));
            let Some(at) = person else {
                return Ok(site.to_sign_in(ticket));
            };
            // Of one length, and compared by its hash, which tells nothing by its time.
            let sent = csrf.map(|csrf| Hash::of(csrf.as_bytes()));
            if sent.is_some_and(|sent| sent != Hash::of(at.visitor.csrf.as_bytes())) {
                return Err(Note::old_form().into());
            }
            make(at)
        });
        self.answer(made.await)
    }

    /// Answers a program, which comes with a token. What acts, by [`Access::Write`], needs one that may
    /// decide.
    pub(super) async fn api(
        self: &Arc<Self>,
        ticket: Ticket,
        access: Access,
        make: impl FnOnce(&mut At<'_>) -> Result<Response, HttpError> + Send + 'static,
    ) -> Response {
        let made = self.made(ticket, access, move |site, ticket, at| {
            let (at, token) = match at {
                Some(at) if let Who::Program(token) = &at.visitor.who => (at, token.id),
                _ => return Err(site.no_entry(ticket, Timestamp::now()).into()),
            };
            if let Err(seconds) = site.limits.take(Caller::Program(token), at.now) {
                return Ok(Problem::too_often(seconds).into_response());
            }
            if matches!(access, Access::Write) && !at.visitor.may_act() {
                return Ok(Problem::only_reads().into_response());
            }
            make(at)
        });
        let made = made.await;
        made.unwrap_or_else(|error| Problem::from(error).into_response())
    }

    /// Makes an answer for whoever has come, and notes that her session or token is used.
    async fn made(
        self: &Arc<Self>,
        ticket: Ticket,
        access: Access,
        make: impl FnOnce(&Self, &Ticket, Option<&mut At<'_>>) -> Result<Response, HttpError>
        + Send
        + 'static,
    ) -> Result<Response, HttpError> {
        let site = Arc::clone(self);
        let (answer, unnoted) = self
            .work
            .run(access, move |store| {
                let (rules, now) = ((site.rules)(), Timestamp::now());
                let Some((visitor, is_unnoted)) = site.enter(store, &rules, &ticket, now)? else {
                    return Ok((make(&site, &ticket, None)?, None));
                };
                let mut at = At {
                    site: &site,
                    store,
                    rules: &rules,
                    visitor: &visitor,
                    now,
                };
                let mut answer = make(&site, &ticket, Some(&mut at))?;
                let named = Named(visitor.actor().name());
                answer.extensions_mut().insert(named);
                Ok((answer, is_unnoted.then_some(visitor)))
            })
            .await?;
        if let Some(visitor) = unnoted {
            let noted = self.work.run(Access::Write, move |store| {
                let now = Timestamp::now();
                Ok(store.write(|tx| match (&visitor.who, visitor.session) {
                    (Who::Program(token), _) => tx.api_token_used(token.id, now),
                    (_, Some(session)) => tx.session_seen(session, now),
                    _ => Ok(()),
                })?)
            });
            if let Err(error) = noted.await {
                tracing::warn!("That someone is here could not be noted: {error}");
            }
        }
        Ok(answer)
    }

    /// Why who comes without a token is told nothing.
    pub(super) fn without_token(&self, ticket: &Ticket) -> Option<Problem> {
        let has_token = ticket.program.is_some();
        (!has_token).then(|| self.no_entry(ticket, Timestamp::now()))
    }

    fn no_entry(&self, ticket: &Ticket, now: Timestamp) -> Problem {
        let caller = ticket.peer.map(Caller::stranger);
        let taken = caller.map(|caller| self.limits.take(caller, now));
        match taken {
            Some(Err(seconds)) => Problem::too_often(seconds),
            _ => Problem::no_token(ticket.program.is_some()),
        }
    }

    /// The address of who asks: behind a trusted proxy, the one that it names.
    pub(super) fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = extensions.get::<Peer>().map(|peer| peer.0)?;
        let named = headers.get_all("x-forwarded-for").iter().next_back();
        let named = named.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        let named = named.and_then(|named| named.trim().parse().ok());
        let named = named.filter(|_| self.proxies.contains(&peer));
        Some(named.unwrap_or(peer))
    }

    /// For who is not signed in.
    fn to_sign_in(&self, ticket: &Ticket) -> Response {
        if !ticket.is_get || ticket.csrf.is_some() {
            return Note::signed_out(&self.base).show(&self.base);
        }
        let next: String = url::form_urlencoded::byte_serialize(ticket.path.as_bytes()).collect();
        self.redirect(&format!("/sign-in?next={next}"))
    }

    /// Sends a browser on to a page of ours.
    pub(super) fn redirect(&self, path: &str) -> Response {
        let to = HeaderValue::from_str(&format!("{}{path}", self.base));
        let to = to.unwrap_or_else(|_| HeaderValue::from_static("/"));
        (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
    }
}

/// A path of ours to go on to, of what someone sent as one: a single slash, and no host.
pub(super) fn local_path(asked: Option<&str>) -> &str {
    let asked = asked.unwrap_or("/");
    let plain = asked.bytes().all(|byte| byte.is_ascii_graphic());
    let local = asked.starts_with('/') && !asked.starts_with("//") && !asked.contains('\\');
    if plain && local { asked } else { "/" }
}

/// What forms carry, of a secret.
fn csrf(secret: [u8; 32]) -> String {
    BASE64.encode(&secret[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_ours_are_gone_on_to() {
        for (asked, goes) in [
            (Some("/queues/urgent?sort=due"), "/queues/urgent?sort=due"),
            (None, "/"),
            (Some(""), "/"),
            (Some("//evil.example"), "/"),
            (Some("/\\evil.example"), "/"),
            (Some("https://evil.example"), "/"),
            (Some("/a\r\nSet-Cookie: x"), "/"),
        ] {
            assert_eq!(local_path(asked), goes);
        }
    }

    #[test]
    fn a_form_keeps_what_is_not_empty() {
        let form = Form::of(b"a=1&b=&a=+2+&c=%20");
        assert_eq!(form.get("a"), Some("2"));
        assert_eq!(form.all("a").count(), 2);
        assert_eq!((form.get("b"), form.get("c")), (None, None));
    }
}
