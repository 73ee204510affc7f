//! What a backtest says: the page that people and programs read.

use super::suggest::Suggestion;
use super::tally::{Counted, Names, Tally, To};
use crate::item::Verdict;
use crate::rules::score::Axis;
use crate::store::history::Called;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;

/// All that a backtest found.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Records that were tried.
    pub records: usize,
    /// Of them, those whose files are gone; they count in everything but moves.
    pub gone: usize,
    /// Files that cannot be read as records.
    pub broken: usize,
    /// How many records go from which queue to which; `null` is none. What stays is there too.
    pub moves: Vec<Move>,
    /// How many records change their queue; `null` when nothing stood anywhere before.
    pub moved_count: Option<usize>,
    /// Those records, at most 10,000, the most surprising first.
    pub moved: Vec<Moved>,
    /// What would have arrived each day.
    pub load: Load,
    /// How far queues that decide agree with decisions that were made.
    pub agreement: Agreement,
    /// Each rule, in the order of the files.
    pub rules: Vec<RuleLine>,
    /// The rules that held for no record.
    pub never_hit: Vec<String>,
    /// The rules that held and without which every record goes where it goes with them.
    pub moves_nothing: Vec<String>,
    /// Queues in shadow mode.
    pub shadow: Vec<ShadowLine>,
    /// Totals against decisions, from high to low.
    pub bands: Vec<Band>,
    /// The cuts that best tell approved from not, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggest: Option<Suggestion>,
    /// The files that cannot be read, and why.
    #[serde(skip)]
    pub broken_files: Vec<(String, String)>,
}

/// How many records go from one queue to another.
#[derive(Debug, Serialize)]
pub struct Move {
    /// Where they stand; `None` is nowhere.
    pub from: Option<String>,
    /// Where they would go.
    pub to: Option<String>,
    /// How many.
    pub count: usize,
}

/// A record that moves.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// Its title.
    pub title: Option<String>,
    /// Its source.
    pub source: String,
    /// The path of its file.
    pub location: Option<String>,
    /// Where it stands.
    pub from: Option<String>,
    /// Where it would go.
    pub to: Option<String>,
    /// Its total as it was.
    pub before: i64,
    /// Its total as it would be.
    pub after: i64,
    /// What a person decided.
    pub decided: Option<Verdict>,
    /// What the queue it would go to decides by itself.
    pub decides: Option<Verdict>,
    /// Whether that contradicts the person, or nobody would see what the person approved.
    pub contradicts: bool,
}

/// What would have arrived, by day of publication, else by the day it was first seen.
#[derive(Debug, Serialize)]
pub struct Load {
    /// The first day.
    pub from: Option<String>,
    /// The last day.
    pub to: Option<String>,
    /// Days from the first to the last.
    pub days: i64,
    /// Each queue that takes a record, and at the end what none takes.
    pub queues: Vec<QueueLoad>,
}

/// What would have arrived in one queue.
#[derive(Debug, Serialize)]
pub struct QueueLoad {
    /// The queue; `None` is none.
    pub queue: Option<String>,
    /// Records in all.
    pub records: usize,
    /// Records a day, over all days.
    pub per_day: f64,
    /// Its busiest day, the first of several.
    pub busiest: String,
    /// Records on that day.
    pub on_busiest: usize,
}

/// How far queues that decide agree with decisions that were made.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// With people; `None` when nothing can be compared.
    pub people: Option<Agree>,
    /// With what the feed's files say of their own.
    pub feed: Option<Agree>,
}

/// How often two decisions are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Agree {
    /// How often they are.
    pub agree: usize,
    /// How often they could be compared.
    pub of: usize,
}

impl Agree {
    /// The share that agrees.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn share(self) -> f64 {
        self.agree as f64 / self.of as f64
    }
}

/// What one rule did.
#[derive(Debug, Serialize)]
pub struct RuleLine {
    /// The rule.
    pub rule: String,
    /// The axis that its points count on.
    pub axis: Axis,
    /// Its points.
    pub points: i64,
    /// `live` or `shadow`.
    pub mode: &'static str,
    /// Where it is written.
    pub at: String,
    /// Records that it held for.
    pub hits: usize,
    /// Of those, the ones that a person decided on.
    pub decided: usize,
    /// Of those, the share that was approved; `None` where nothing was decided.
    pub approved_share: Option<f64>,
    /// Records that it could not be evaluated on.
    pub not_evaluated: usize,
    /// Records that go elsewhere without it; in shadow mode, that would go elsewhere with it.
    pub moves: usize,
}

/// What one queue in shadow mode would have done.
#[derive(Debug, Serialize)]
pub struct ShadowLine {
    /// The queue.
    pub queue: String,
    /// What it would decide.
    pub decide: Option<Verdict>,
    /// Records that it would take where it stands.
    pub takes: usize,
    /// Records that it holds for, whatever the queues before it take.
    pub holds: usize,
}

/// What was decided on the records of some scores.
#[derive(Debug, Serialize)]
pub struct Band {
    /// The lowest total.
    pub from: i64,
    /// The highest total.
    pub to: i64,
    /// Approved, by a person or else by the feed.
    pub approved: usize,
    /// Not approved.
    pub not_approved: usize,
    /// Not decided.
    pub undecided: usize,
}

impl Page {
    pub(super) fn of<E>(
        mut tally: Tally<'_>,
        broken_files: Vec<(String, String)>,
        mut name: impl FnMut(i64) -> Result<Called, E>,
    ) -> Result<Self, E> {
        let moves = moves(&tally);
        let stood = tally.compared > 0;
        let count = |moves: &[Move]| {
            let away = moves.iter().filter(|line| line.from != line.to);
            away.map(|line| line.count).sum()
        };
        let rules = rule_lines(&tally);
        let named = |is: fn(&&RuleLine) -> bool| {
            let chosen = rules.iter().filter(is);
            chosen.map(|line| line.rule.clone()).collect()
        };
        let samples = tally.samples.take();
        Ok(Self {
            records: tally.records,
            gone: tally.gone,
            broken: broken_files.len(),
            moved_count: stood.then(|| count(&moves)),
            moves,
            moved: moved(&mut tally, &mut name)?,
            load: load(&tally.days, &tally.names),
            agreement: Agreement {
                people: agree(tally.people),
                feed: agree(tally.feed),
            },
            never_hit: named(|line| line.hits == 0),
            moves_nothing: named(|line| line.hits > 0 && line.moves == 0),
            rules,
            shadow: shadow_lines(&tally),
            bands: bands(&tally.bands),
            suggest: samples
                .map(|samples| samples.suggestion(&mut name))
                .transpose()?,
            broken_files,
        })
    }
}

fn agree(counted: Counted) -> Option<Agree> {
    let Counted { agree, of } = counted;
    (of > 0).then_some(Agree { agree, of })
}

fn verdict(approved: bool) -> Verdict {
    if approved {
        Verdict::Approve
    } else {
        Verdict::Reject
    }
}

fn owned(names: &Names, to: To) -> Option<String> {
    names.name(to).map(str::to_owned)
}

/// Queues in the order of the set, and what is in none at the end.
fn in_order(to: To) -> (bool, To) {
    (to.is_none(), to)
}

fn moves(tally: &Tally<'_>) -> Vec<Move> {
    let mut moves: Vec<_> = tally.moves.iter().collect();
    moves.sort_by_key(|((from, to), _)| (in_order(*from), in_order(*to)));
    let line = |(route, count): (&(To, To), &usize)| Move {
        from: owned(&tally.names, route.0),
        to: owned(&tally.names, route.1),
        count: *count,
    };
    moves.into_iter().map(line).collect()
}

fn moved<E>(
    tally: &mut Tally<'_>,
    name: &mut impl FnMut(i64) -> Result<Called, E>,
) -> Result<Vec<Moved>, E> {
    let moved = std::mem::take(&mut tally.moved).into_sorted_vec();
    let lines = moved.into_iter().map(|Reverse(line)| {
        let name = name(line.key.0)?;
        Ok(Moved {
            location: name.path(),
            title: name.title,
            source: name.source,
            from: owned(&tally.names, line.route.0),
            to: owned(&tally.names, line.route.1),
            before: line.totals.0,
            after: line.totals.1,
            decided: line.person.map(verdict),
            decides: line.decides.map(verdict),
            contradicts: line.contradicts,
        })
    });
    lines.collect()
}

fn rule_lines(tally: &Tally<'_>) -> Vec<RuleLine> {
    let rules = tally.trial.rules.rules.iter();
    let line = rules.zip(&tally.rules).map(|(rule, counts)| {
        let decided = Agree {
            agree: counts.approved,
            of: counts.decided,
        };
        RuleLine {
            rule: rule.id.to_string(),
            axis: rule.axis,
            points: rule.points,
            mode: if rule.shadow { "shadow" } else { "live" },
            at: rule.place.to_string(),
            hits: counts.hits,
            decided: counts.decided,
            approved_share: (counts.decided > 0).then(|| decided.share()),
            not_evaluated: counts.not_evaluated,
            moves: counts.moves,
        }
    });
    line.collect()
}

fn shadow_lines(tally: &Tally<'_>) -> Vec<ShadowLine> {
    let queues = tally.trial.rules.queues.iter().zip(&tally.queues);
    let shadow = queues.filter(|(queue, _)| queue.shadow);
    let line = shadow.map(|(queue, counts)| ShadowLine {
        queue: queue.name.clone(),
        decide: queue.decide,
        takes: counts.takes,
        holds: counts.holds,
    });
    line.collect()
}

#[allow(clippy::cast_precision_loss)]
fn load(days: &HashMap<(To, i64), usize>, names: &Names) -> Load {
    let first = days.keys().map(|(_, day)| *day).min();
    let last = days.keys().map(|(_, day)| *day).max();
    let span = first.zip(last).map_or(0, |(first, last)| last - first + 1);
    // Of each queue: records, and its busiest day with its records.
    let mut queues: HashMap<To, (usize, i64, usize)> = HashMap::new();
    for ((queue, day), count) in days {
        let (records, busiest, most) = queues.entry(*queue).or_insert((0, *day, 0));
        *records += count;
        if (*count, Reverse(*day)) > (*most, Reverse(*busiest)) {
            (*busiest, *most) = (*day, *count);
        }
    }
    let mut queues: Vec<_> = queues.into_iter().collect();
    queues.sort_by_key(|(queue, _)| in_order(*queue));
    let line = |(queue, (records, busiest, most))| QueueLoad {
        queue: owned(names, queue),
        records,
        per_day: (records as f64 / span as f64 * 100.0).round() / 100.0,
        busiest: date(busiest),
        on_busiest: most,
    };
    Load {
        from: first.map(date),
        to: last.map(date),
        days: span,
        queues: queues.into_iter().map(line).collect(),
    }
}

/// The date of a day since 1970.
fn date(day: i64) -> String {
    let moment = jiff::Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or_default();
    moment.strftime("%Y-%m-%d").to_string()
}

/// Bands of ten points, widened until there are few enough to be looked at.
fn bands(tens: &HashMap<i64, [usize; 3]>) -> Vec<Band> {
    const MOST: i64 = 12;
    let (Some(lowest), Some(highest)) = (tens.keys().min(), tens.keys().max()) else {
        return Vec::new();
    };
    let widths = (0..).flat_map(|zeros| [1, 2, 5].map(|n| n * 10_i64.pow(zeros)));
    let fits = |width: &i64| highest.div_euclid(*width) - lowest.div_euclid(*width) < MOST;
    let width = widths.take(20).find(fits).unwrap_or(i64::MAX);
    let mut sums = std::collections::BTreeMap::<i64, [usize; 3]>::new();
    for at in lowest.div_euclid(width)..=highest.div_euclid(width) {
        sums.insert(at, [0; 3]);
    }
    for (ten, counts) in tens {
        let sum = sums.entry(ten.div_euclid(width)).or_default();
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let line = |(at, [approved, not_approved, undecided]): (i64, [usize; 3])| Band {
        from: at * width * 10,
        to: (at + 1) * width * 10 - 1,
        approved,
        not_approved,
        undecided,
    };
    sums.into_iter().rev().map(line).collect()
}
