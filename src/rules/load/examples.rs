//! Examples of rules and queues: records that must be hit or missed, run on every load.

use super::Loading;
use crate::record::shown;
use crate::record::value::{Map, Value};
use crate::record::yaml::Node;
use crate::rules::assess::{self, Occasion, Subject};
use crate::rules::decode::{Fields, File};
use crate::rules::why::Why;
use crate::rules::{Queue, Rule, RuleSet};
use jiff::{SignedDuration, Timestamp};

/// An example, which runs when the whole set is loaded: routing needs all of it.
pub(super) struct Example<'a> {
    file: &'a File<'a>,
    node: &'a Node,
    of: Of,
    hits: bool,
}

/// What it is an example of, by its place in the set.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Rule(usize),
    Queue(usize),
}

/// Lines of an explanation.
const MOST_LINES: usize = 20;

impl<'a> Loading<'a> {
    /// Takes `examples:` of a rule or a queue.
    pub(super) fn examples(
        &self,
        file: &'a File<'a>,
        fields: &mut Fields<'_, 'a>,
        of: Of,
    ) -> Vec<Example<'a>> {
        let mut examples = Vec::new();
        let Some(node) = fields.get("examples") else {
            return examples;
        };
        let mut kinds = file.fields(node, "`examples`");
        for (key, hits) in [("hits", true), ("misses", false)] {
            let nodes = kinds.get(key).map(|node| file.list(node, key));
            examples.extend(nodes.unwrap_or_default().iter().map(|node| Example {
                file,
                node,
                of,
                hits,
            }));
        }
        kinds.finish();
        examples
    }
}

impl Example<'_> {
    /// Runs it: a hit must be hit, a miss may not.
    pub(super) fn run(self, set: &RuleSet) {
        if self.node.as_map().is_none() {
            self.file.map(self.node, "an example");
            return;
        }
        match self.of {
            Of::Rule(at) => {
                if let Some(rule) = set.rules.get(at) {
                    self.run_rule(set, rule);
                }
            }
            Of::Queue(at) => {
                if let Some(queue) = set.queues.get(at) {
                    self.run_queue(set, queue);
                }
            }
        }
    }

    fn run_rule(&self, set: &RuleSet, rule: &Rule) {
        let story = Story::of(self.node);
        let subject = story.subject(rule.source.as_deref().unwrap_or_default());
        let held = assess::rule_holds(set, rule, &subject, story.now) == Some(true);
        if held == self.hits {
            return;
        }
        let message = if held {
            format!(
                "the rule `{}` hits this example, which it should miss",
                rule.id
            )
        } else {
            format!(
                "the rule `{}` misses this example, which it should hit",
                rule.id
            )
        };
        self.tell(message, None, set.why_rule(rule, &subject, story.now).ok());
    }

    /// Routes it by the whole set, as a record that is seen for the first time.
    fn run_queue(&self, set: &RuleSet, queue: &Queue) {
        let story = Story::of(self.node);
        let source = match set.sources.as_slice() {
            [only] => only.name.as_str(),
            _ => "",
        };
        let subject = story.subject(source);
        let assessment = set.assess(&subject, Occasion::FIRST, story.now);
        let taken = queue.took(&assessment);
        if taken == self.hits {
            return;
        }
        let (message, taker) = if taken {
            let message = format!(
                "the queue `{}` takes this example, which it should miss",
                queue.name
            );
            (message, None)
        } else {
            let message = format!(
                "the queue `{}` does not take this example, which it should",
                queue.name
            );
            let taker = match assessment.route.queue() {
                _ if !queue.takes.looks_at(subject.published) => {
                    let reads = if subject.published { "" } else { "un" };
                    format!("it reads as {reads}published, and this queue does not look at such")
                }
                Some(taker) => format!("`{taker}` takes it"),
                None => "no queue takes it".to_owned(),
            };
            (message, Some(taker))
        };
        let why = set.why_queue(queue, &subject, assessment.score, story.now);
        self.tell(message, taker, why.ok());
    }

    /// Tells that it turned out otherwise: how, and what each part of the condition found.
    fn tell(&self, message: String, taker: Option<String>, why: Option<Why>) {
        let mut help = Vec::new();
        // Of a record on several lines the report marks only the first.
        let written = self.file.text.get(self.node.span.clone());
        if written.is_some_and(|written| written.trim_end().contains('\n')) {
            let record = self.node.to_value().to_string();
            help.push(format!("the record is {}", shown::line(&record, 160)));
        }
        help.extend(taker);
        let lines = why.map(|why| why.lines()).unwrap_or_default();
        let more = lines.len().saturating_sub(MOST_LINES);
        help.extend(lines.iter().take(MOST_LINES).map(ToString::to_string));
        if more > 0 {
            help.push(format!("… {more} more: `copydesk explain FILE --rule ID`"));
        }
        if help.is_empty() {
            help.push("change the condition or the example".to_owned());
        }
        let help = Some(help.join("\n"));
        self.file.error("example", &self.node.span, message, help);
    }
}

/// The record of an example: only the fields that matter, and `age_days` or `age_hours` in place
/// of a date, since an example has no today.
struct Story {
    fields: Map,
    published: bool,
    age: SignedDuration,
    now: Timestamp,
}

impl Story {
    fn of(node: &Node) -> Self {
        let mut fields = node.to_map();
        let mut age = |key: &str, unit: f64| {
            let hours = fields.remove(key).as_ref().and_then(Value::as_number)? * unit;
            fields.remove("publishedDateTime");
            SignedDuration::try_from_secs_f64(hours * 3600.0).ok()
        };
        let age = age("age_days", 24.0).or_else(|| age("age_hours", 1.0));
        let published = fields.remove("published");
        Self {
            published: published.as_ref().and_then(Value::as_bool).unwrap_or(false),
            age: age.unwrap_or_default(),
            fields,
            now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 60),
        }
    }

    fn subject<'s>(&'s self, source: &'s str) -> Subject<'s> {
        Subject {
            fields: &self.fields,
            published: self.published,
            first_seen: self.now - self.age,
            source,
        }
    }
}
