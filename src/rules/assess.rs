//! Assesses one record: its score as the exact sum of hits, and the queue that takes it.

use crate::item::Verdict;
use crate::record::value::{Map, Value};
use crate::record::{self};
use crate::rules::condition::{Condition, Facts, Need, Trace};
use crate::rules::plan::{Look, Tell};
use crate::rules::score::{Axis, Score};
use crate::rules::words::Folded;
use crate::rules::{Own, Place, Rule, RuleSet};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

/// The record as the rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Content and signal fields.
    pub fields: &'a Map,
    /// Whether the file reads as published.
    pub published: bool,
    /// When copydesk first saw it: its age, when it gives no date.
    pub first_seen: Timestamp,
    /// The name of its source.
    pub source: &'a str,
}

/// On which occasion a record is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// Whether queues take the record as published, whatever its file says: an item waits as what
    /// it was taken for.
    pub taken_as: Option<bool>,
    /// Whether a queue that decides may take it: at a revision's first routing only.
    pub may_decide: bool,
}

impl Occasion {
    /// A record without an item.
    pub const FIRST: Self = Self {
        taken_as: None,
        may_decide: true,
    };
    /// A record whose withdrawn item may come back.
    pub const BACK: Self = Self {
        taken_as: None,
        may_decide: false,
    };

    /// A new revision of a record whose item is in this queue.
    #[must_use]
    pub fn revised(rules: &RuleSet, queue: &str) -> Self {
        Self {
            taken_as: rules.taken_as(queue),
            may_decide: true,
        }
    }

    /// A record whose item stands where it stands, in this queue.
    #[must_use]
    pub fn again(rules: &RuleSet, queue: &str) -> Self {
        Self {
            taken_as: rules.taken_as(queue),
            may_decide: false,
        }
    }
}

/// What the rules say of one record as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The sum of the hits.
    pub score: Score,
    /// Why: every rule that held.
    pub hits: Vec<Hit>,
    /// What rules and queues in shadow mode would have done.
    pub shadow: Vec<Hit>,
    /// What could not be evaluated, and for want of which fields; of rules, only when explained.
    pub not_evaluated: Vec<NotEvaluated>,
    /// Where it goes.
    pub route: Route,
    /// The earlier queues that it only just missed.
    pub near: Vec<Near>,
    /// When a comparison with an age next turns out differently.
    pub flips_at: Option<Timestamp>,
}

/// A rule that held.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// The rule, or `score.AXIS`, or `topic NAME`.
    pub rule: Arc<str>,
    /// The axis that the points count on.
    pub axis: Axis,
    /// Whole points.
    pub points: i64,
    /// The reason that people read.
    pub why: Arc<str>,
    /// Where the rule is written.
    pub at: Place,
}

/// What had no value for want of fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotEvaluated {
    /// The rule, or `score.AXIS`, or `queue NAME`.
    pub rule: Arc<str>,
    /// The fields that were missing.
    pub missing: Vec<String>,
}

/// Where a record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a queue; which decides by itself, if it does.
    Queue(String, Option<Verdict>),
    /// A queue took it that opens no item.
    Skipped(String),
    /// No queue takes it.
    Unrouted,
}

/// An earlier queue that only numbers kept a record out of.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Near {
    /// The queue.
    pub queue: String,
    /// What it lacks.
    pub needs: Vec<Need>,
}

impl Route {
    /// The queue that took it, skipping ones included.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        match self {
            Self::Queue(name, _) | Self::Skipped(name) => Some(name),
            Self::Unrouted => None,
        }
    }
}

impl RuleSet {
    /// Scores a record and routes it.
    #[must_use]
    pub fn assess(&self, subject: &Subject<'_>, occasion: Occasion, now: Timestamp) -> Assessment {
        self.judge(subject, occasion, now, false)
    }

    /// As [`RuleSet::assess`], and names the rules that could not be evaluated.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>, occasion: Occasion, now: Timestamp) -> Assessment {
        self.judge(subject, occasion, now, true)
    }

    fn judge(
        &self,
        subject: &Subject<'_>,
        occasion: Occasion,
        now: Timestamp,
        explained: bool,
    ) -> Assessment {
        let mut trace = Trace::default();
        let known = Known::new(subject, now, self.reads_age);
        let facts = known.facts(subject, None, None);
        let mut look = Look::new(&self.plan, &facts, &mut trace);
        let by_keyword = look.keyword_topics(&facts, &mut trace);
        let said = subject.fields.get("topics");
        let topics = self.about.effective(&self.topics, said, &by_keyword);
        let facts = known.facts(subject, topics.as_deref(), None);

        let mut tally = Tally {
            hits: Vec::with_capacity(12),
            ..Tally::default()
        };
        for own in &self.scoring.own {
            tally.own(own, subject.fields);
        }
        let topic_hits = self.about.hits(topics.as_deref().unwrap_or_default());
        tally.hits.extend(topic_hits.cloned());
        let what = if explained {
            Tell::Valueless
        } else {
            Tell::Held
        };
        look.rules(&facts, &mut trace, what, |rule, held| {
            let rule = self
                .rules
                .get(rule)
                .filter(|rule| rule.looks_at(subject.source));
            if let Some(rule) = rule {
                tally.rule(rule, held, &facts);
            }
        });
        for (axis, cap, place) in &self.scoring.caps {
            tally.cap(*axis, *cap, place);
        }
        let score = tally.score();
        let facts = known.facts(subject, topics.as_deref(), Some(score));
        let (mut route, mut near) = tally.route(&self.queues, &facts, occasion, &mut trace);
        if trace.is_exhausted() {
            (route, near) = (
                tally.over_budget(&self.queues, &facts, occasion),
                Vec::new(),
            );
        }
        let flips_at = trace.flips_in_hours.and_then(|hours| {
            // The comparison has turned out differently one second after its edge at the latest.
            let span = SignedDuration::try_from_secs_f64(hours * 3600.0 + 1.0).ok()?;
            now.checked_add(span).ok()
        });
        Assessment {
            score,
            hits: tally.hits,
            shadow: tally.shadow,
            not_evaluated: tally.not_evaluated,
            route,
            near,
            flips_at,
        }
    }
}

impl Rule {
    /// Whether it is about the records of a source.
    fn looks_at(&self, source: &str) -> bool {
        self.source.as_deref().is_none_or(|only| only == source)
    }
}

/// What the conditions are asked about: the record, and its score once there is one.
pub(super) fn with_facts<T>(
    set: &RuleSet,
    subject: &Subject<'_>,
    score: Option<Score>,
    now: Timestamp,
    work: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let known = Known::new(subject, now, true);
    let facts = known.facts(subject, None, None);
    let mut trace = Trace::default();
    let by_keyword = Look::new(&set.plan, &facts, &mut trace).keyword_topics(&facts, &mut trace);
    let said = subject.fields.get("topics");
    let topics = set.about.effective(&set.topics, said, &by_keyword);
    work(&known.facts(subject, topics.as_deref(), score))
}

/// Whether a rule holds for a record.
pub(super) fn rule_holds(
    set: &RuleSet,
    rule: &Rule,
    subject: &Subject<'_>,
    now: Timestamp,
) -> Option<bool> {
    with_facts(set, subject, None, now, |facts| {
        holds(&rule.when, &rule.unless, facts, &mut Trace::default())
    })
}

fn missing(rule: &Rule, facts: &Facts<'_>) -> Vec<String> {
    let mut trace = Trace::default();
    match holds(&rule.when, &rule.unless, facts, &mut trace) {
        None => trace.missing,
        Some(_) => Vec::new(),
    }
}

/// What is worked out once for a record.
struct Known<'a> {
    folded: Option<Folded<'a>>,
    domain: Option<Cow<'a, str>>,
    age_hours: f64,
}

impl<'s> Known<'s> {
    /// Reading a date takes a while, so that a set in which no condition reads an age says so.
    fn new(subject: &Subject<'s>, now: Timestamp, reads_age: bool) -> Self {
        let fields = subject.fields;
        let (title, excerpt) = (
            record::text(fields, "title"),
            record::text(fields, "excerpt"),
        );
        let folded = (title.is_some() || excerpt.is_some()).then(|| Folded::new(title, excerpt));
        let published_at = reads_age.then(|| record::published_at(fields)).flatten();
        let since = published_at.unwrap_or(subject.first_seen);
        Self {
            folded,
            domain: record::domain(fields),
            age_hours: now.duration_since(since).as_secs_f64() / 3600.0,
        }
    }

    fn facts<'a>(
        &'a self,
        subject: &Subject<'a>,
        topics: Option<&'a [String]>,
        score: Option<Score>,
    ) -> Facts<'a> {
        Facts {
            fields: subject.fields,
            published: subject.published,
            topics,
            folded: self.folded.as_ref(),
            domain: self.domain.as_deref(),
            age_hours: self.age_hours,
            score,
        }
    }
}

/// Whether all of `when` and none of `unless` hold; `None` when the first has no value.
pub(super) fn holds(
    when: &[Condition],
    unless: &[Condition],
    facts: &Facts<'_>,
    trace: &mut Trace,
) -> Option<bool> {
    let mut all = Some(true);
    for condition in when {
        match condition.holds(facts, trace) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    // An exception without a value excepts nothing, so its missing fields are of no interest.
    let known = trace.missing.len();
    let excepted = unless
        .iter()
        .any(|condition| condition.holds(facts, trace) == Some(true));
    trace.missing.truncate(known);
    if excepted { Some(false) } else { all }
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) hits: Vec<Hit>,
    pub(super) shadow: Vec<Hit>,
    pub(super) not_evaluated: Vec<NotEvaluated>,
    /// The axes whose own number was missing, so that their points say nothing.
    pub(super) unscored: Vec<Axis>,
}

impl Tally {
    pub(super) fn own(&mut self, own: &Own, fields: &Map) {
        let value = fields.get(&own.field).and_then(Value::as_number);
        let Some(value) = value.filter(|n| n.abs() <= 1e9) else {
            self.not_evaluated.push(NotEvaluated {
                rule: own.label.clone(),
                missing: vec![own.field.clone()],
            });
            self.unscored.push(own.axis);
            return;
        };
        #[allow(clippy::cast_possible_truncation)]
        let points = (own.weight * value).round() as i64;
        self.hits.push(Hit {
            rule: own.label.clone(),
            axis: own.axis,
            points,
            why: own.why(value).into(),
            at: own.place.clone(),
        });
    }

    fn rule(&mut self, rule: &Rule, held: Option<bool>, facts: &Facts<'_>) {
        match held {
            Some(true) => {
                let hits = if rule.shadow {
                    &mut self.shadow
                } else {
                    &mut self.hits
                };
                hits.push(Hit {
                    rule: rule.id.clone(),
                    axis: rule.axis,
                    points: rule.points,
                    why: rule.why.clone(),
                    at: rule.place.clone(),
                });
            }
            Some(false) => {}
            None => self.not_evaluated.push(NotEvaluated {
                rule: rule.id.clone(),
                missing: missing(rule, facts),
            }),
        }
    }

    fn cap(&mut self, axis: Axis, cap: i64, at: &Place) {
        let over = self.sum(axis).saturating_sub(cap);
        if over > 0 {
            let name = axis_name(axis);
            let why = format!("{name} is capped at {cap}");
            self.hits.push(Hit {
                rule: format!("score.{name}").into(),
                axis,
                points: -over,
                why: why.into(),
                at: at.clone(),
            });
        }
    }

    fn sum(&self, axis: Axis) -> i64 {
        let points = self
            .hits
            .iter()
            .filter(|hit| hit.axis == axis)
            .map(|hit| hit.points);
        points.fold(0, i64::saturating_add)
    }

    fn score(&self) -> Score {
        Score::new(
            self.sum(Axis::Quality),
            self.sum(Axis::Heat),
            self.sum(Axis::Topic),
        )
    }
}

impl Own {
    /// `heat 44 × 0.5`. Most numbers are whole, and those are written faster.
    fn why(&self, value: f64) -> String {
        let mut why = String::with_capacity(32);
        why.push_str(&self.field);
        why.push(' ');
        #[allow(clippy::cast_possible_truncation)]
        let whole = (value.fract() == 0.0).then_some(value as i64);
        // Writing into text cannot fail.
        let _ = match whole {
            Some(whole) => write!(why, "{whole}"),
            None => write!(why, "{value}"),
        };
        why.push_str(&self.times);
        why
    }
}

fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Quality => "quality",
        Axis::Heat => "heat",
        Axis::Topic => "topic",
    }
}
