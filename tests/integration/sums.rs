//! A score is the sum of its hits, and its hits are what the rules say: random sets of rules on
//! random records, against the model of `model.rs`, in one set and split into small ones.

use crate::model::{
    self, Cond, DECLARED, Dice, Story, age_hours, all, any, cond, first_seen, now, policy,
};
use copydesk::record::value::{Map, Value};
use copydesk::rules::RuleSet;
use copydesk::rules::assess::{Assessment, Hit, Occasion, Subject};
use copydesk::rules::score::Axis;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use tempfile::TempDir;

const AXES: [(&str, Axis); 3] = [
    ("quality", Axis::Quality),
    ("heat", Axis::Heat),
    ("topic", Axis::Topic),
];

/// A rule as the model has it.
struct Rule {
    axis: usize,
    points: i64,
    when: Vec<Cond>,
    unless: Vec<Cond>,
    source: Option<&'static str>,
    shadow: bool,
}

/// What a set says beside its rules.
struct Scoring {
    /// The weight of the record's own number, by axis.
    weights: [Option<f64>; 2],
    caps: [Option<i64>; 3],
    /// The points of the declared topics.
    topics: Vec<i64>,
}

fn points(dice: &mut Dice) -> i64 {
    let points = i64::try_from(dice.below(40)).unwrap() - 15;
    if points == 0 { 1 } else { points }
}

fn conditions(dice: &mut Dice, least: usize) -> Vec<Cond> {
    let n = least + dice.below(2);
    (0..n)
        .map(|_| match dice.below(4) {
            0 => policy(dice),
            _ => {
                let depth = dice.below(3);
                cond(dice, &Vec::new(), depth)
            }
        })
        .collect()
}

fn rule(dice: &mut Dice) -> Rule {
    Rule {
        axis: dice.below(3),
        points: points(dice),
        when: conditions(dice, 1),
        unless: conditions(dice, 0),
        source: dice.pick(&[None, None, Some("news"), Some("other")]),
        shadow: dice.one_in(6),
    }
}

fn scoring(dice: &mut Dice) -> Scoring {
    let weights = [Some(1.0), Some(0.5), Some(-0.25), Some(1.5), None];
    let caps = [None, None, Some(0), Some(7), Some(40)];
    Scoring {
        weights: [dice.pick(&weights), dice.pick(&weights)],
        caps: [dice.pick(&caps), dice.pick(&caps), dice.pick(&caps)],
        topics: DECLARED
            .iter()
            .map(|_| dice.pick(&[0, 5, 10, -3]))
            .collect(),
    }
}

fn yaml(conditions: &[Cond]) -> String {
    let written: Vec<String> = conditions.iter().map(|c| c.written().0).collect();
    serde_json::to_string(&written).unwrap()
}

/// Loads a set of these rules, each named by its number.
fn load(scoring: &Scoring, rules: &[(usize, &Rule)], previous: Option<&RuleSet>) -> RuleSet {
    let mut text = String::from(
        "sources:\n  - name: news\n    path: ../content\n    types: {members: number, levels: [string], ratings: {value: number}}\n  - {name: other, path: ../other}\nlists:\n  trusted: [example.org, AI, video]\n  sizes: [1, 3, 44]\nqueues:\n  - {name: general}\n",
    );
    let mut axes: Vec<String> = Vec::new();
    for (at, (axis, _)) in AXES.iter().enumerate() {
        let weight = scoring.weights.get(at).copied().flatten();
        let mut entries: Vec<String> = Vec::new();
        entries.extend(weight.map(|weight| format!("field: {axis}, weight: {weight}")));
        entries.extend(scoring.caps[at].map(|cap| format!("cap: {cap}")));
        if !entries.is_empty() {
            axes.push(format!("{axis}: {{{}}}", entries.join(", ")));
        }
    }
    if !axes.is_empty() {
        let _ = writeln!(text, "score: {{{}}}", axes.join(", "));
    }
    text += "topics:\n";
    for ((name, parent, keywords), points) in DECLARED.iter().zip(&scoring.topics) {
        let parent = parent.map_or_else(String::new, |parent| format!(", parent: {parent}"));
        let keywords = serde_json::to_string(keywords).unwrap();
        let _ = writeln!(
            text,
            "  - {{name: {name}{parent}, points: {points}, keywords: {keywords}}}"
        );
    }
    text += "rules:\n";
    for (n, rule) in rules {
        let (axis, points) = (AXES[rule.axis].0, rule.points);
        let _ = writeln!(
            text,
            "  - id: r{n}\n    axis: {axis}\n    points: {points}\n    why: Number {n}\n    when: {}",
            yaml(&rule.when)
        );
        if !rule.unless.is_empty() {
            let _ = writeln!(text, "    unless: {}", yaml(&rule.unless));
        }
        if let Some(source) = rule.source {
            let _ = writeln!(text, "    source: {source}");
        }
        if rule.shadow {
            text += "    mode: shadow\n";
        }
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), &text).unwrap();
    let set = match previous {
        Some(previous) => RuleSet::reload(dir.path(), previous),
        None => RuleSet::load(dir.path()),
    };
    set.unwrap_or_else(|refused| panic!("{text}{:?}", refused.first_fault()))
}

/// What the model says of a rule that looks at the record.
fn holds(rule: &Rule, story: &mut Story<'_>) -> Option<bool> {
    let when: Vec<_> = rule.when.iter().map(|c| story.cond(c)).collect();
    let unless: Vec<_> = rule.unless.iter().map(|c| story.cond(c)).collect();
    // An exception without a value excepts nothing.
    let excepted = any(unless.into_iter()) == Some(true);
    all([all(when.into_iter()), Some(!excepted)].into_iter())
}

/// The points on each axis, as the model adds them up from the rules that held.
fn sums(scoring: &Scoring, story: &Story<'_>, fields: &Map, held: &[&Rule]) -> [i64; 3] {
    let mut sums = [0; 3];
    for (at, weight) in scoring.weights.iter().enumerate() {
        let value = fields.get(AXES[at].0).and_then(Value::as_number);
        if let (Some(weight), Some(value)) = (weight, value) {
            let exact = weight * value;
            #[allow(clippy::cast_possible_truncation)]
            let away = (exact.abs() + 0.5).floor() as i64;
            sums[at] += if exact < 0.0 { -away } else { away };
        }
    }
    let topics = story.topics.clone().unwrap_or_default();
    for ((name, _, _), points) in DECLARED.iter().zip(&scoring.topics) {
        if topics.iter().any(|topic| topic == name) {
            sums[2] += points;
        }
    }
    for rule in held {
        sums[rule.axis] += rule.points;
    }
    for (sum, cap) in sums.iter_mut().zip(scoring.caps) {
        *sum = cap.map_or(*sum, |cap| cap.min(*sum));
    }
    sums
}

/// The numbers of the rules among some hits.
fn numbers(hits: &[Hit]) -> BTreeSet<usize> {
    let number = |hit: &Hit| hit.rule.strip_prefix('r')?.parse().ok();
    hits.iter().filter_map(number).collect()
}

fn unknown(explained: &Assessment) -> BTreeSet<usize> {
    let names = explained.not_evaluated.iter().map(|not| &not.rule);
    names
        .filter_map(|name| name.strip_prefix('r')?.parse().ok())
        .collect()
}

/// Whether conditions name what an explanation calls missing.
fn name(conditions: &[Cond], missing: &str) -> bool {
    let written = yaml(conditions);
    let end = missing.find(['.', '[']).unwrap_or(missing.len());
    let also = match &missing[..end] {
        "title" | "excerpt" => "mentions(",
        "topics" => "about(",
        "provider" => "domain",
        "record" => "odd-key",
        root => root,
    };
    let by_text = matches!(also, "mentions(") && written.contains("text");
    by_text || written.contains(&missing[..end]) || written.contains(also)
}

const SETS: usize = 200;
const RECORDS: usize = 4;
/// Rules of a set that is looked at one by one.
const FEW: usize = 4;

#[test]
fn a_score_is_the_sum_of_its_hits_and_the_hits_are_the_same_in_small_sets() {
    let mut dice = Dice(1999);
    let (mut cases, mut hits_seen, mut shadow_seen, mut cut_seen) = (0, 0, 0, 0);
    for _ in 0..SETS {
        let scoring = scoring(&mut dice);
        let n = 1 + dice.below(60);
        let rules: Vec<Rule> = (0..n).map(|_| rule(&mut dice)).collect();
        let numbered: Vec<(usize, &Rule)> = rules.iter().enumerate().collect();
        let whole = load(&scoring, &numbered, None);
        let small: Vec<RuleSet> = numbered
            .chunks(FEW)
            .map(|rules| load(&scoring, rules, Some(&whole)))
            .collect();
        for _ in 0..RECORDS {
            let fields = model::record(&mut dice);
            let published = dice.one_in(2);
            let source = dice.pick(&["news", "other"]);
            let subject = Subject {
                fields: &fields,
                published,
                first_seen: first_seen(),
                source,
            };
            let explain = |set: &RuleSet| set.explain(&subject, Occasion::FIRST, now());
            let explained = explain(&whole);

            for (_, axis) in AXES {
                let hits = explained.hits.iter().filter(|hit| hit.axis == axis);
                let sum: i64 = hits.map(|hit| hit.points).sum();
                assert_eq!(explained.score.on(axis), sum, "{axis:?} of {explained:#?}");
            }
            let total: i64 = explained.hits.iter().map(|hit| hit.points).sum();
            assert_eq!(explained.score.total, total);

            let mut story = Story::new(&fields, published, age_hours(&fields));
            let (mut held, mut live, mut shadow, mut valueless) =
                (vec![], BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
            for (n, rule) in &numbered {
                if rule.source.is_some_and(|only| only != source) {
                    continue;
                }
                match holds(rule, &mut story) {
                    Some(true) if rule.shadow => drop(shadow.insert(*n)),
                    Some(true) => {
                        live.insert(*n);
                        held.push(*rule);
                    }
                    Some(false) => {}
                    None => drop(valueless.insert(*n)),
                }
            }
            assert_eq!(numbers(&explained.hits), live);
            assert_eq!(numbers(&explained.shadow), shadow);
            assert_eq!(unknown(&explained), valueless);
            for not in &explained.not_evaluated {
                let Some(n) = not.rule.strip_prefix('r') else {
                    continue;
                };
                let rule = &rules[n.parse::<usize>().unwrap()];
                assert!(!not.missing.is_empty(), "{not:?}");
                for missing in &not.missing {
                    assert!(model::lacks(&story, missing), "{not:?}");
                    // What an exception lacks is of no interest.
                    assert!(name(&rule.when, missing), "{not:?}");
                }
            }
            let sums = sums(&scoring, &story, &fields, &held);
            let axes = AXES.map(|(_, axis)| explained.score.on(axis));
            assert_eq!(axes, sums, "{explained:#?}");

            let parts: Vec<Assessment> = small.iter().map(explain).collect();
            let mut together = BTreeSet::new();
            for part in &parts {
                together.extend(numbers(&part.hits));
            }
            assert_eq!(together, live);
            let shadows = parts.iter().flat_map(|part| numbers(&part.shadow));
            assert_eq!(shadows.collect::<BTreeSet<_>>(), shadow);
            let missing = parts.iter().flat_map(|part| &part.not_evaluated);
            let missing = missing.filter(|not| not.rule.starts_with('r'));
            let of_whole = explained.not_evaluated.iter();
            let of_whole = of_whole.filter(|not| not.rule.starts_with('r'));
            assert!(missing.eq(of_whole), "{explained:#?}");

            cases += n;
            hits_seen += live.len();
            shadow_seen += shadow.len();
            cut_seen += explained
                .hits
                .iter()
                .filter(|h| h.why.contains("cap"))
                .count();
        }
    }
    assert!(cases >= 10_000, "{cases}");
    assert!(hits_seen > cases / 20, "{hits_seen} of {cases}");
    assert!(shadow_seen > cases / 100, "{shadow_seen} of {cases}");
    assert!(cut_seen > SETS * RECORDS / 20, "{cut_seen}");
}
