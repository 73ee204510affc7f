//! The sums that are kept while records pass.

use super::Trial;
use super::removal::Removal;
use super::suggest::Samples;
use crate::item::Verdict;
use crate::record;
use crate::record::value::Map;
use crate::rules::assess::{Assessment, Hit, Occasion, Route, Subject};
use crate::rules::route;
use crate::rules::{Queue, RuleSet};
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Records that are named among those that move.
const NAMED: usize = 10_000;

/// A record as it is tried.
#[derive(Debug)]
pub(super) struct Look<'a> {
    /// Names it, until it has to be called by its title.
    pub(super) key: i64,
    pub(super) fields: &'a Map,
    pub(super) source: &'a str,
    /// Whether its file read as published before we wrote into it.
    pub(super) published: bool,
    pub(super) first_seen: Timestamp,
    /// The queue that its item is in, if it has one.
    pub(super) waits_in: Option<&'a str>,
    /// Whether a person approved it, if one decided.
    pub(super) person: Option<bool>,
    /// What the feed itself says.
    pub(super) feed: Option<bool>,
    pub(super) before: Before<'a>,
}

/// Where a record stood before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Before<'a> {
    /// It was never assessed.
    Nothing,
    /// No file holds it any more, so it cannot move.
    Gone,
    /// In a queue, or in none.
    Stood { total: i64, queue: Option<&'a str> },
}

/// A place that records go to: a number for a queue's name, or none.
pub(super) type To = Option<u32>;

/// Everything that is counted.
pub(super) struct Tally<'r> {
    pub(super) trial: Trial<'r>,
    keys: BTreeSet<String>,
    removal: Removal<'r>,
    rule_numbers: HashMap<&'r str, usize>,
    shadow_queues: bool,
    pub(super) names: Names,
    pub(super) records: usize,
    pub(super) gone: usize,
    /// Records that stood somewhere before, or in no queue.
    pub(super) compared: usize,
    pub(super) moves: HashMap<(To, To), usize>,
    pub(super) moved: BinaryHeap<Reverse<Move>>,
    pub(super) rules: Vec<RuleCounts>,
    pub(super) queues: Vec<QueueCounts>,
    /// Records by queue and day since 1970.
    pub(super) days: HashMap<(To, i64), usize>,
    pub(super) people: Counted,
    pub(super) feed: Counted,
    /// By tens of the total: approved, not approved, undecided.
    pub(super) bands: HashMap<i64, [usize; 3]>,
    pub(super) samples: Option<Samples<'r>>,
}

/// How often two decisions could be compared, and how often they were the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) agree: usize,
    pub(super) of: usize,
}

impl Counted {
    fn add(&mut self, decided: Option<bool>, was: Option<bool>) {
        if let (Some(decided), Some(was)) = (decided, was) {
            self.of += 1;
            self.agree += usize::from(decided == was);
        }
    }
}

/// What was counted of one rule.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RuleCounts {
    pub(super) hits: usize,
    /// Of its hits, those that a person decided on, and those approved.
    pub(super) decided: usize,
    pub(super) approved: usize,
    pub(super) not_evaluated: usize,
    /// Records that would go elsewhere without it.
    pub(super) moves: usize,
}

/// What was counted of one queue in shadow mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueCounts {
    /// Records that it would take where it stands.
    pub(super) takes: usize,
    /// Records that it holds for, whatever other queues do.
    pub(super) holds: usize,
}

/// A record that moves; the greatest is the most surprising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Move {
    /// Whether people decided otherwise than the set does, or approved what it shows to nobody.
    pub(super) contradicts: bool,
    /// By how much the total changes.
    change: u64,
    pub(super) key: Reverse<i64>,
    pub(super) route: (To, To),
    pub(super) totals: (i64, i64),
    pub(super) person: Option<bool>,
    pub(super) decides: Option<bool>,
}

/// Names of queues by number, those that the set does not have included.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: Option<&str>) -> To {
        let name = name?;
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.names.len()).ok()?;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    pub(super) fn name(&self, number: To) -> Option<&str> {
        let at = usize::try_from(number?).ok()?;
        self.names.get(at).map(String::as_str)
    }
}

impl<'r> Tally<'r> {
    pub(super) fn new(trial: &Trial<'r>) -> Self {
        let rules = trial.rules;
        let samples = trial.suggest.then(|| Samples::new(rules));
        let mut keys = rules.keys();
        keys.extend(samples.iter().flat_map(Samples::fields).map(str::to_owned));
        let ids = rules.rules.iter().map(|rule| &*rule.id);
        let mut names = Names::default();
        for queue in &rules.queues {
            names.number(Some(&queue.name));
        }
        Self {
            trial: *trial,
            keys,
            removal: Removal::new(rules),
            rule_numbers: ids.zip(0..).collect(),
            shadow_queues: rules.queues.iter().any(|queue| queue.shadow),
            names,
            records: 0,
            gone: 0,
            compared: 0,
            moves: HashMap::new(),
            moved: BinaryHeap::new(),
            rules: vec![RuleCounts::default(); rules.rules.len()],
            queues: vec![QueueCounts::default(); rules.queues.len()],
            days: HashMap::new(),
            people: Counted::default(),
            feed: Counted::default(),
            bands: HashMap::new(),
            samples,
        }
    }

    /// The keys that a record must come with.
    pub(super) fn keys(&self) -> &BTreeSet<String> {
        &self.keys
    }

    /// Tries the rules on one record.
    pub(super) fn take(&mut self, look: &Look<'_>) {
        let Trial { rules, now, .. } = self.trial;
        let subject = Subject {
            fields: look.fields,
            published: look.published,
            first_seen: look.first_seen,
            source: look.source,
        };
        let (occasion, assessment) = assessed(rules, &subject, look.waits_in, now);
        let to = self.names.number(assessment.route.queue());
        self.records += 1;
        self.count_rules(look, &subject, occasion, &assessment);
        let day = record::published_at(look.fields).unwrap_or(look.first_seen);
        *self
            .days
            .entry((to, day.as_second().div_euclid(86_400)))
            .or_default() += 1;
        let truth = look.person.or(look.feed);
        let total = assessment.score.total;
        let band = self
            .bands
            .entry(total.clamp(-1_000_000, 1_000_000).div_euclid(10));
        band.or_default()[truth.map_or(2, |approved| usize::from(!approved))] += 1;
        let shadow = self.count_shadow(&subject, &assessment);
        let decides = decided(rules, &assessment, &shadow);
        self.people.add(decides, look.person);
        self.feed.add(decides, look.feed);
        self.count_move(look, to, &assessment);
        if let (Some(samples), Some(approved)) = (&mut self.samples, truth) {
            samples.take(look.key, look.fields, &assessment, approved);
        }
    }

    fn count_rules(
        &mut self,
        look: &Look<'_>,
        subject: &Subject<'_>,
        occasion: Occasion,
        assessment: &Assessment,
    ) {
        for hit in assessment.hits.iter().chain(&assessment.shadow) {
            if let Some(rule) = self.rule(&hit.rule) {
                rule.hits += 1;
                rule.decided += usize::from(look.person.is_some());
                rule.approved += usize::from(look.person == Some(true));
            }
        }
        for not in &assessment.not_evaluated {
            if let Some(rule) = self.rule(&not.rule) {
                rule.not_evaluated += 1;
            }
        }
        let numbers = &self.rule_numbers;
        let number = |hit: &Hit| numbers.get(&*hit.rule).copied();
        let now = self.trial.now;
        for rule in self
            .removal
            .movers(subject, occasion, assessment, now, number)
        {
            self.rules[rule].moves += 1;
        }
    }

    fn rule(&mut self, id: &str) -> Option<&mut RuleCounts> {
        let number = *self.rule_numbers.get(id)?;
        self.rules.get_mut(number)
    }

    /// Counts what queues in shadow mode would take, and tells for which they hold.
    fn count_shadow(
        &mut self,
        subject: &Subject<'_>,
        assessment: &Assessment,
    ) -> Vec<(&'r Queue, Option<bool>)> {
        if !self.shadow_queues {
            return Vec::new();
        }
        let Trial { rules, now, .. } = self.trial;
        let judged = route::shadow_queues(rules, subject, assessment.score, now);
        let standing = |queue: &Queue| {
            let at = rules
                .queues
                .iter()
                .position(|other| std::ptr::eq(other, queue));
            at.unwrap_or_default()
        };
        let taken_at = assessment
            .route
            .queue()
            .and_then(|name| rules.queues.iter().position(|queue| queue.name == name));
        for (queue, held) in &judged {
            if *held == Some(true) {
                let at = standing(queue);
                self.queues[at].holds += 1;
                self.queues[at].takes += usize::from(taken_at.is_none_or(|taken| at < taken));
            }
        }
        judged
    }

    fn count_move(&mut self, look: &Look<'_>, to: To, assessment: &Assessment) {
        let (before, from) = match look.before {
            Before::Gone => {
                self.gone += 1;
                return;
            }
            Before::Nothing => (None, None),
            Before::Stood { total, queue } => (Some(total), self.names.number(queue)),
        };
        *self.moves.entry((from, to)).or_default() += 1;
        self.compared += usize::from(before.is_some());
        let Some(before) = before.filter(|_| from != to) else {
            return;
        };
        let decides = match &assessment.route {
            Route::Queue(_, Some(verdict)) => Some(*verdict == Verdict::Approve),
            _ => None,
        };
        let hidden = !matches!(assessment.route, Route::Queue(..));
        let contradicts = look.person.is_some_and(|approved| {
            decides.is_some_and(|decides| decides != approved) || (approved && hidden)
        });
        let after = assessment.score.total;
        self.moved.push(Reverse(Move {
            contradicts,
            change: before.abs_diff(after),
            key: Reverse(look.key),
            route: (from, to),
            totals: (before, after),
            person: look.person,
            decides,
        }));
        if self.moved.len() > NAMED {
            self.moved.pop();
        }
    }
}

/// What the set does to a record as it came. One that waits is not sent away by a flag that its
/// file has got since.
fn assessed(
    rules: &RuleSet,
    subject: &Subject<'_>,
    waits_in: Option<&str>,
    now: Timestamp,
) -> (Occasion, Assessment) {
    let first = rules.explain(subject, Occasion::FIRST, now);
    match waits_in {
        Some(queue) if first.route == Route::Unrouted => {
            let occasion = Occasion::revised(rules, queue);
            (occasion, rules.explain(subject, occasion, now))
        }
        _ => (Occasion::FIRST, first),
    }
}

/// What the first queue that decides on a record decides: a live one decides what it takes, one in
/// shadow mode what it holds for, as if no live queue stood before it. Where it could not be
/// evaluated, no later one in shadow mode decides either.
fn decided(
    rules: &RuleSet,
    assessment: &Assessment,
    shadow: &[(&Queue, Option<bool>)],
) -> Option<bool> {
    let mut shadow = shadow.iter();
    let mut in_doubt = false;
    for queue in &rules.queues {
        let held = if queue.shadow {
            shadow.next().and_then(|(_, held)| *held)
        } else {
            Some(assessment.route.queue() == Some(&queue.name))
        };
        let Some(verdict) = queue.decide else {
            continue;
        };
        match held {
            Some(true) if !(queue.shadow && in_doubt) => return Some(verdict == Verdict::Approve),
            None => in_doubt = true,
            _ => {}
        }
    }
    None
}
