//! Assesses one record: its score as the exact sum of hits, and the queue that takes it.

use crate::item::Verdict;
use crate::record::value::{Map, Value};
use crate::record::{self};
use crate::rules::condition::{Condition, Facts, Need, Trace};
use crate::rules::near::near_miss;
use crate::rules::score::{Axis, Score};
use crate::rules::words::Folded;
use crate::rules::{Order, Own, Place, Queue, Rule, RuleSet, Takes, Topic};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
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
    /// Whether only queues count that take a record with the flag of its file; not once an item
    /// is open, which waits whatever the file says.
    pub as_flagged: bool,
    /// Whether a queue that decides may take it: at a revision's first routing only.
    pub may_decide: bool,
}

impl Occasion {
    /// A record without an item.
    pub const FIRST: Self = Self {
        as_flagged: true,
        may_decide: true,
    };
    /// A new revision of a record that has an item.
    pub const REVISED: Self = Self {
        as_flagged: false,
        may_decide: true,
    };
    /// A record whose item stands where it stands.
    pub const AGAIN: Self = Self {
        as_flagged: false,
        may_decide: false,
    };
    /// A record whose withdrawn item may come back.
    pub const BACK: Self = Self {
        as_flagged: true,
        may_decide: false,
    };
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
        let known = Known::new(&self.topics, subject, now);
        let mut tally = Tally::default();
        for own in &self.scoring.own {
            tally.own(own, subject.fields);
        }
        for topic in &self.topics {
            tally.topic(topic, known.topics.as_deref().unwrap_or_default());
        }
        let facts = known.facts(subject, None);
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.source.as_deref().is_none_or(|s| s == subject.source))
        {
            tally.rule(rule, &facts, explained);
        }
        for (axis, cap, place) in &self.scoring.caps {
            tally.cap(*axis, *cap, place);
        }
        let score = tally.score();
        let facts = known.facts(subject, Some(score));
        let (route, near) = tally.route(&self.queues, &facts, occasion);
        let flips_at = tally.flips_in_hours.and_then(|hours| {
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

/// What the conditions are asked about: the record, and its score once there is one.
pub(super) fn with_facts<T>(
    set: &RuleSet,
    subject: &Subject<'_>,
    score: Option<Score>,
    now: Timestamp,
    work: impl FnOnce(&Facts<'_>) -> T,
) -> T {
    let known = Known::new(&set.topics, subject, now);
    work(&known.facts(subject, score))
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

/// The topics above one, nearest first; ends where the line ends or comes round.
pub(crate) fn lineage<'t>(topics: &'t [Topic], name: &str) -> Vec<&'t str> {
    let parent = |name: &str| topics.iter().find(|t| t.name == name)?.parent.as_deref();
    let mut line: Vec<&str> = Vec::new();
    let mut above = parent(name);
    while let Some(name) = above.filter(|name| !line.contains(name)) {
        line.push(name);
        above = parent(name);
    }
    line
}

/// What is worked out once for a record.
struct Known {
    topics: Option<Vec<String>>,
    folded: Option<Folded>,
    domain: Option<String>,
    age_hours: f64,
}

impl Known {
    fn new(topics: &[Topic], subject: &Subject<'_>, now: Timestamp) -> Self {
        let fields = subject.fields;
        let (title, excerpt) = (
            record::text(fields, "title"),
            record::text(fields, "excerpt"),
        );
        let folded = (title.is_some() || excerpt.is_some()).then(|| Folded::new(title, excerpt));
        let since = record::published_at(fields).unwrap_or(subject.first_seen);
        Self {
            topics: effective_topics(topics, fields, folded.as_ref()),
            folded,
            domain: record::domain(fields),
            age_hours: now.duration_since(since).as_secs_f64() / 3600.0,
        }
    }

    fn facts<'a>(&'a self, subject: &Subject<'a>, score: Option<Score>) -> Facts<'a> {
        Facts {
            fields: subject.fields,
            published: subject.published,
            topics: self.topics.as_deref(),
            folded: self.folded.as_ref(),
            domain: self.domain.as_deref(),
            age_hours: self.age_hours,
            score,
        }
    }
}

/// What the file says, what keywords add, and every topic above those, each once. Missing when the
/// file says nothing and no keyword adds one.
fn effective_topics(topics: &[Topic], fields: &Map, story: Option<&Folded>) -> Option<Vec<String>> {
    let said = fields.get("topics").and_then(Value::as_list);
    let mut about: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        if !about.iter().any(|known| known == name) {
            about.push(name.to_owned());
        }
    };
    for name in said.unwrap_or_default().iter().filter_map(Value::as_text) {
        add(name.trim());
    }
    for topic in topics {
        if story.is_some_and(|story| topic.keywords.iter().any(|word| word.occurs_in(story))) {
            add(&topic.name);
        }
    }
    for name in about.clone() {
        for above in lineage(topics, &name) {
            if !about.iter().any(|known| known == above) {
                about.push(above.to_owned());
            }
        }
    }
    (said.is_some() || !about.is_empty()).then_some(about)
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
    let mut excepting = Trace::default();
    let excepted = unless
        .iter()
        .any(|condition| condition.holds(facts, &mut excepting) == Some(true));
    trace.flips_in_hours = earlier(trace.flips_in_hours, excepting.flips_in_hours);
    if excepted { Some(false) } else { all }
}

fn earlier(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[derive(Default)]
struct Tally {
    hits: Vec<Hit>,
    shadow: Vec<Hit>,
    not_evaluated: Vec<NotEvaluated>,
    /// The axes whose own number was missing, so that their points say nothing.
    unscored: Vec<Axis>,
    flips_in_hours: Option<f64>,
}

impl Tally {
    fn own(&mut self, own: &Own, fields: &Map) {
        let axis = axis_name(own.axis);
        match fields
            .get(&own.field)
            .and_then(Value::as_number)
            .filter(|n| n.abs() <= 1e9)
        {
            Some(value) => {
                #[allow(clippy::cast_possible_truncation)]
                let points = (own.weight * value).round() as i64;
                let why = format!(
                    "{} {} × {}",
                    own.field,
                    Value::Number(value),
                    Value::Number(own.weight)
                );
                self.hits.push(Hit {
                    rule: format!("score.{axis}").into(),
                    axis: own.axis,
                    points,
                    why: why.into(),
                    at: own.place.clone(),
                });
            }
            None => {
                let missing = vec![own.field.clone()];
                self.not_evaluated.push(NotEvaluated {
                    rule: format!("score.{axis}").into(),
                    missing,
                });
                self.unscored.push(own.axis);
            }
        }
    }

    fn topic(&mut self, topic: &Topic, about: &[String]) {
        if topic.points != 0 && about.contains(&topic.name) {
            self.hits.push(Hit {
                rule: format!("topic {}", topic.name).into(),
                axis: Axis::Topic,
                points: topic.points,
                why: format!("about {}", topic.name).into(),
                at: topic.place.clone(),
            });
        }
    }

    fn rule(&mut self, rule: &Rule, facts: &Facts<'_>, explained: bool) {
        let mut trace = Trace::default();
        match holds(&rule.when, &rule.unless, facts, &mut trace) {
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
            None if explained => self.not_evaluated.push(NotEvaluated {
                rule: rule.id.clone(),
                missing: trace.missing,
            }),
            Some(false) | None => {}
        }
        self.flips_in_hours = earlier(self.flips_in_hours, trace.flips_in_hours);
    }

    /// Whether a queue goes by points that a missing number left out.
    fn is_unscored(&self, queue: &Queue) -> bool {
        let mut conditions = queue.when.iter().chain(&queue.unless);
        conditions.any(|condition| {
            self.unscored
                .iter()
                .any(|axis| condition.reads_score(*axis))
        })
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

    fn route(
        &mut self,
        queues: &[Queue],
        facts: &Facts<'_>,
        occasion: Occasion,
    ) -> (Route, Vec<Near>) {
        let mut near = Vec::new();
        let mut in_doubt = false;
        for queue in queues {
            let takes = match queue.takes {
                Takes::All => true,
                Takes::Unpublished => !facts.published,
                Takes::Published => facts.published,
            };
            if !takes && occasion.as_flagged {
                continue;
            }
            let mut trace = Trace::default();
            let held = holds(&queue.when, &queue.unless, facts, &mut trace);
            self.flips_in_hours = earlier(self.flips_in_hours, trace.flips_in_hours);
            if queue.shadow {
                if held == Some(true) {
                    let why = format!("would wait in {}", queue.name);
                    let rule = format!("queue {}", queue.name);
                    self.shadow.push(Hit {
                        rule: rule.into(),
                        axis: Axis::Topic,
                        points: 0,
                        why: why.into(),
                        at: queue.place.clone(),
                    });
                }
                continue;
            }
            match held {
                // What an earlier queue or the score could not judge is not decided without a person.
                Some(true)
                    if queue.decide.is_some()
                        && (in_doubt || !occasion.may_decide || self.is_unscored(queue)) => {}
                Some(true) if queue.skip => return (Route::Skipped(queue.name.clone()), near),
                Some(true) => return (Route::Queue(queue.name.clone(), queue.decide), near),
                Some(false) => near.extend(near_miss(queue, facts)),
                None => {
                    in_doubt = true;
                    let rule = format!("queue {}", queue.name).into();
                    self.not_evaluated.push(NotEvaluated {
                        rule,
                        missing: trace.missing,
                    });
                }
            }
        }
        (Route::Unrouted, near)
    }
}

fn axis_name(axis: Axis) -> &'static str {
    match axis {
        Axis::Quality => "quality",
        Axis::Heat => "heat",
        Axis::Topic => "topic",
    }
}

impl Queue {
    /// Where an item stands in the queue: the highest rank is read first.
    ///
    /// A fresh queue halves the score for every half-life since publication. What ranks is the
    /// logarithm of that, `log2(score) + published / half_life`, which does not change with time.
    #[must_use]
    pub fn rank(&self, total: i64, published: Timestamp) -> f64 {
        let seconds = published
            .duration_since(Timestamp::UNIX_EPOCH)
            .as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        match self.order {
            Order::Score => total as f64,
            Order::Oldest => -seconds,
            Order::Newest => seconds,
            Order::Fresh(half_life) => {
                (total.max(1) as f64).log2() + seconds / half_life.as_secs_f64()
            }
        }
    }
}
