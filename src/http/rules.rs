//! `GET /rules`: the rules in force, as they are written and as they fare; and why a changed set is
//! not in force.

use crate::http::page::{Frame, console};
use crate::http::visitor::{At, Form, Ticket};
use crate::http::{HttpError, Shared, Site};
use crate::record::shown;
use crate::rules::condition::Condition;
use crate::rules::score::Axis;
use crate::rules::{Order, Queue, Rule, RuleSet, Takes};
use crate::schedule::{clock, rough};
use askama::Template;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;

/// Rules on a page.
const SHOWN: usize = 200;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new().route("/rules", get(rules))
}

async fn rules(State(site): Shared, ticket: Ticket, RawQuery(query): RawQuery) -> Response {
    let form = Form::of(query.unwrap_or_default().as_bytes());
    site.show(ticket, move |at| page(at, &form)).await
}

#[derive(Template)]
#[template(path = "rules.html", config = "src/http/askama.toml")]
struct RulesPage<'r> {
    frame: Frame,
    /// Why a changed set is not in force: in a line, its errors, and since when.
    refused: Option<(String, Vec<String>, String)>,
    warnings: Vec<String>,
    hash: String,
    all: usize,
    topics: usize,
    /// What the rules are looked through for.
    asked: String,
    found: usize,
    rules: Vec<RuleLine<'r>>,
    /// The pages before and after this one.
    before: Option<String>,
    after: Option<String>,
    own: Vec<String>,
    queues: Vec<QueueLine<'r>>,
}

/// A rule and how it fares.
struct RuleLine<'r> {
    rule: &'r Rule,
    axis: &'static str,
    points: String,
    hits: i64,
    /// Which part of what it hit was approved, in a hundred.
    approved: Option<String>,
}

struct QueueLine<'r> {
    queue: &'r Queue,
    says: Vec<String>,
}

fn page(at: &mut At<'_>, form: &Form) -> Result<Response, HttpError> {
    let (rules, zone) = (at.rules, at.visitor.timezone());
    let refused = at.store.read(|tx| tx.rules_failure())?;
    let refused = refused.map(|(lines, since)| {
        let mut lines = lines.iter().map(|line| shown::line(line, 400));
        let first = lines.next().unwrap_or_default();
        (first, lines.collect(), clock(since, &zone))
    });
    let asked = form.get("q").unwrap_or_default().to_owned();
    let found = rules.rules.iter().filter(|rule| is_about(rule, &asked));
    let found: Vec<&Rule> = found.collect();
    let from = form.get("from").and_then(|from| from.parse().ok());
    let from: usize = from.unwrap_or(0);
    let shown = found.iter().skip(from).take(SHOWN);
    let queues = at.visitor.queues(rules);
    let tallies = at.store.read(|tx| tx.hits_by_rule(&queues))?;
    let lines = shown.map(|rule| {
        let tally = tallies.get(&*rule.id).copied().unwrap_or_default();
        RuleLine {
            rule,
            axis: axis(rule.axis),
            points: format!("{:+}", rule.points),
            hits: tally.open + tally.approved + tally.rejected,
            approved: tally
                .share_approved()
                .map(|share| format!("{:.0}%", 100.0 * share)),
        }
    });
    let before = Some(from.saturating_sub(SHOWN)).filter(|_| from > 0);
    let after = Some(from.saturating_add(SHOWN)).filter(|next| *next < found.len());
    let link = |from: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("from", &from.to_string());
        if !asked.is_empty() {
            query.append_pair("q", &asked);
        }
        format!("{}/rules?{}", at.site.base, query.finish())
    };
    let page = RulesPage {
        frame: Frame::of(at, "rules", "Rules"),
        refused,
        warnings: warnings(rules),
        hash: format!("{:?}", rules.hash),
        all: rules.rules.len(),
        topics: rules.topics.len(),
        found: found.len(),
        rules: lines.collect(),
        before: before.map(link),
        after: after.map(link),
        own: own(rules),
        queues: rules.queues.iter().map(queue_line).collect(),
        asked,
    };
    console(StatusCode::OK, &page, false)
}

/// Whether a rule is named so, or says so.
fn is_about(rule: &Rule, asked: &str) -> bool {
    let asked = asked.to_lowercase();
    let conditions = rule.when.iter().chain(&rule.unless);
    let sources = conditions.map(|condition| &*condition.source);
    let mut texts = [&*rule.id, &*rule.why].into_iter().chain(sources);
    texts.any(|text| text.to_lowercase().contains(&asked))
}

fn warnings(rules: &RuleSet) -> Vec<String> {
    let warnings = rules.warnings.iter().map(|warning| {
        let (file, line, column) = (&warning.file, warning.line, warning.column);
        let text = format!("{file}:{line}:{column}: {}", warning.message);
        shown::line(&text, 400)
    });
    warnings.collect()
}

fn axis(axis: Axis) -> &'static str {
    match axis {
        Axis::Quality => "quality",
        Axis::Heat => "heat",
        Axis::Topic => "topic",
    }
}

/// What the record's own numbers are worth.
fn own(rules: &RuleSet) -> Vec<String> {
    let own = rules.scoring.own.iter().map(|own| {
        let (axis, field, times, place) = (axis(own.axis), &own.field, &own.times, &own.place);
        format!("{axis}: the record's {field}{times} ({place})")
    });
    let caps = rules.scoring.caps.iter();
    let caps = caps.map(|(on, most, place)| format!("{}: at most {most} ({place})", axis(*on)));
    own.chain(caps).collect()
}

fn queue_line(queue: &Queue) -> QueueLine<'_> {
    let mut says = Vec::new();
    match queue.takes {
        Takes::Unpublished => {}
        Takes::Published => says.push("takes what is published".to_owned()),
        Takes::All => says.push("takes what is published and what is not".to_owned()),
    }
    if queue.over_budget {
        says.push("takes what would cost the rules too much to score".to_owned());
    }
    if queue.skip {
        says.push("opens no item".to_owned());
    }
    if let Some(verdict) = queue.decide {
        says.push(format!("decides by itself: {}", verdict.as_str()));
    }
    if queue.shadow {
        says.push("on trial: takes nothing".to_owned());
    }
    if !queue.skip && queue.decide.is_none() {
        says.push(match queue.order {
            Order::Score => "the highest score first".to_owned(),
            Order::Oldest => "the oldest story first".to_owned(),
            Order::Newest => "the newest story first".to_owned(),
            Order::Fresh(half) => {
                format!("the highest score first, halved every {}", rough(half))
            }
        });
        says.extend(queue.due.map(|due| format!("due after {}", rough(due))));
        let expire = queue.expire.map(rough);
        says.extend(expire.map(|after| format!("closed unread after {after}")));
    }
    if queue.ignores_quiet {
        says.push("its alerts break into quiet hours".to_owned());
    }
    QueueLine { queue, says }
}

impl RulesPage<'_> {
    /// The conditions as they are written, with the word before each.
    fn conditions<'c>(
        &self,
        when: &'c [Condition],
        unless: &'c [Condition],
    ) -> Vec<(&'static str, &'c str)> {
        let word = |first: &'static str| {
            move |(at, condition): (usize, &'c Condition)| {
                let word = if at == 0 { first } else { "and" };
                (word, &*condition.source)
            }
        };
        let when = when.iter().enumerate().map(word("when"));
        let unless = unless.iter();
        let unless = unless.map(|it| ("unless", &*it.source));
        when.chain(unless).collect()
    }
}
