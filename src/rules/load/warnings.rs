//! What is odd in a set that loads: conditions that say nothing, queues that nothing reaches, rules
//! that count for nothing or count twice.
//!
//! Looked for only when nothing is wrong: then every entry of a section is one rule or queue of the
//! set, and each of its conditions is compiled.

mod constants;

use super::{Loading, conditions};
use crate::record::yaml::{Data, Node};
use crate::rules::condition::Condition;
use crate::rules::condition::reason::Policy;
use crate::rules::decode::{File, near};
use crate::rules::{Queue, Rule, RuleSet, Takes};
use std::collections::HashMap;

/// A rule or a queue with where its conditions are written.
struct Entry<'a> {
    file: &'a File<'a>,
    node: &'a Node,
    /// As messages call it.
    what: String,
    policy: Policy<'a>,
    when: Vec<Written<'a>>,
    unless: Vec<Written<'a>>,
}

/// A condition where it is written.
#[derive(Clone, Copy)]
struct Written<'a> {
    node: &'a Node,
    condition: &'a Condition,
}

impl<'a> Loading<'a> {
    /// Tells what is odd.
    pub(super) fn warn(&self, set: &'a RuleSet) {
        let rules = self.written(
            "rules",
            set.rules.iter().map(|rule| {
                (
                    format!("the rule `{}`", rule.id),
                    Policy {
                        when: &rule.when,
                        unless: &rule.unless,
                    },
                )
            }),
        );
        let queues = self.written(
            "queues",
            set.queues.iter().map(|queue| {
                (
                    format!("the queue `{}`", queue.name),
                    Policy {
                        when: &queue.when,
                        unless: &queue.unless,
                    },
                )
            }),
        );
        for entry in rules.iter().chain(&queues) {
            entry.warn_of_constants();
            entry.warn_of_topics(set);
        }
        for (entry, rule) in rules.iter().zip(&set.rules) {
            entry.warn_of_no_points(rule.points);
        }
        warn_of_same_rules(&rules, &set.rules);
        for (entry, queue) in queues.iter().zip(&set.queues) {
            entry.warn_of_counting_twice(queue, set);
        }
        warn_of_unreachable_queues(&queues, &set.queues);
        self.warn_of_no_weight();
    }

    fn written(
        &self,
        section: &'static str,
        policies: impl Iterator<Item = (String, Policy<'a>)>,
    ) -> Vec<Entry<'a>> {
        let entries = self.entries(section).into_iter().zip(policies);
        entries
            .map(|((file, node), (what, policy))| Entry {
                file,
                node,
                what,
                policy,
                when: written(value(node, "when"), policy.when),
                unless: written(value(node, "unless"), policy.unless),
            })
            .collect()
    }

    fn warn_of_no_weight(&self) {
        for section in self.named("score") {
            for (key, axis) in section.node.as_map().unwrap_or_default() {
                let Some(weight) = value(axis, "weight") else {
                    continue;
                };
                if weight.to_value().as_number() == Some(0.0) {
                    let file = section.file;
                    let message = format!("a weight of zero gives no points on `{}`", key.text);
                    let help = Some("take `field` and `weight` away, or give it a weight".into());
                    file.warning("zero-points", &weight.span, message, help);
                }
            }
        }
    }
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let entries = node.as_map().unwrap_or_default();
    entries.iter().find(|(k, _)| k.text == key).map(|(_, n)| n)
}

fn written<'a>(node: Option<&'a Node>, compiled: &'a [Condition]) -> Vec<Written<'a>> {
    let nodes = match node.map(|node| (node, &node.data)) {
        None => &[],
        Some((_, Data::List(nodes))) => nodes.as_slice(),
        Some((node, _)) => std::slice::from_ref(node),
    };
    let pairs = nodes.iter().zip(compiled);
    pairs
        .map(|(node, condition)| Written { node, condition })
        .collect()
}

impl Entry<'_> {
    /// Topics that no one declared: a slip of the hand, or a word that only files know.
    fn warn_of_topics(&self, set: &RuleSet) {
        if set.topics.is_empty() {
            return;
        }
        let is_known = |name: &str| set.topics.iter().any(|topic| topic.name == name);
        for written in self.when.iter().chain(&self.unless) {
            for (topic, span) in written.condition.named_topics() {
                if is_known(&topic) {
                    continue;
                }
                let help = match near(&topic, set.topics.iter().map(|t| t.name.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("declare it under `topics:` as `- {{name: {topic}}}`"),
                };
                let span = conditions::place(self.file, written.node, written.condition, &span);
                let message = format!("no topic `{topic}` is declared");
                self.file
                    .warning("unknown-topic", &span, message, Some(help));
            }
        }
    }

    fn warn_of_no_points(&self, points: i64) {
        let Some(node) = value(self.node, "points").filter(|_| points == 0) else {
            return;
        };
        let message = format!("{} gives no points, whatever it finds", self.what);
        let help = "give it points, or take it away; `mode: shadow` tries a rule out".to_owned();
        self.file
            .warning("zero-points", &node.span, message, Some(help));
    }

    /// A number of the record, and the points that are counted from it.
    fn warn_of_counting_twice(&self, queue: &Queue, set: &RuleSet) {
        let conditions = || queue.when.iter().chain(&queue.unless);
        for own in &set.scoring.own {
            let points = format!("score.{:?}", own.axis).to_lowercase();
            let asked = conditions().any(|condition| condition.names_points(own.axis));
            let mut written = self.when.iter().chain(&self.unless);
            let twice = written.find(|written| written.condition.names_field(&own.field));
            if let Some(written) = twice.filter(|_| asked) {
                let span = written.condition.word(&own.field);
                let span = conditions::place(self.file, written.node, written.condition, &span);
                let message = format!(
                    "{} asks for `{}` and for `{points}`, which is counted from it",
                    self.what, own.field
                );
                let help = "ask for one of the two: it is one number counted twice".to_owned();
                self.file
                    .warning("counted-twice", &span, message, Some(help));
            }
        }
    }
}

fn warn_of_same_rules(entries: &[Entry<'_>], rules: &[Rule]) {
    let mut seen: HashMap<_, &Rule> = HashMap::new();
    for (entry, rule) in entries.iter().zip(rules) {
        let says = (
            rule.axis,
            &rule.source,
            rule.shadow,
            entry.policy.normal_form(),
        );
        if let Some(first) = seen.get(&says) {
            let span = value(entry.node, "id").map_or(&entry.node.span, |id| &id.span);
            let message = format!(
                "{} says the same as `{}`, at {}",
                entry.what, first.id, first.place
            );
            let help = "keep one of the two, with the points of both".to_owned();
            entry.file.warning("same-rule", span, message, Some(help));
        } else {
            seen.insert(says, rule);
        }
    }
}

fn warn_of_unreachable_queues(entries: &[Entry<'_>], queues: &[Queue]) {
    for (n, (entry, queue)) in entries.iter().zip(queues).enumerate() {
        // What never holds was told already.
        if !entry.policy.can_hold() {
            continue;
        }
        let mut before = entries[..n].iter().zip(&queues[..n]);
        let first = before
            .find(|(first, other)| other.keeps_from(queue) && entry.policy.implies(first.policy));
        if let Some((_, first)) = first {
            let (name, first_name) = (&queue.name, &first.name);
            let all = first.when.is_empty() && first.unless.is_empty();
            let (takes, help) = if all {
                (
                    "takes all",
                    format!("give `{first_name}` a `when`, or move it to the end"),
                )
            } else {
                let help = format!("move `{name}` before `{first_name}`, or narrow `{first_name}`");
                ("takes all that it would", help)
            };
            let message =
                format!("nothing reaches the queue `{name}`: `{first_name}` before it {takes}");
            entry
                .file
                .warning("unreachable-queue", &entry.node.span, message, Some(help));
        }
    }
}

impl Queue {
    /// Whether a later queue gets nothing of what satisfies this one. A queue that decides passes
    /// over what was decided before; one in shadow mode takes nothing.
    fn keeps_from(&self, later: &Self) -> bool {
        let acts = !self.shadow && self.decide.is_none();
        acts && (self.takes == Takes::All || self.takes == later.takes)
    }
}
