//! The rules that editors write: loaded, checked, and applied to one record at a time.
//!
//! A [`RuleSet`] is loaded whole from the YAML files of `rules/` or refused whole, with every
//! error at its file, line and column. It says what a record scores and why, and which queue it
//! waits in. Scoring knows no queues: points and thresholds are separate policies. This module
//! knows no database, and no files but those of `rules/` and the topic files that they name.

pub mod assess;
pub mod condition;
mod decode;
pub mod diagnostic;
mod load;
mod near;
mod plan;
pub mod reads;
pub mod route;
pub mod score;
pub mod topic_files;
mod topics;
pub mod types;
pub mod why;
pub mod words;

pub(crate) use decode::near as nearest;

use crate::record::Hash;
use crate::record::source::Source;
use crate::record::value::Value;
use crate::rules::condition::Condition;
use crate::rules::diagnostic::Diagnostic;
use crate::rules::score::Axis;
use crate::rules::types::Schema;
use crate::rules::words::Phrase;
use crate::schedule::cron::Schedule;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What a rule file may hold, as a JSON Schema, for editors that complete and mark it.
pub const SCHEMA: &str = include_str!("../rules/schema.json");

/// Everything that `rules/` says.
#[derive(Debug)]
pub struct RuleSet {
    /// The hash of all its files; every assessment carries it.
    pub hash: Hash,
    /// Where content is.
    pub sources: Vec<Source>,
    /// The fields that conditions may name, and their types.
    pub fields: Schema,
    /// The lists that conditions may name.
    pub lists: BTreeMap<String, Arc<[Value]>>,
    /// What the record's own numbers are worth.
    pub scoring: Scoring,
    /// The topics that are worth points.
    pub topics: Vec<Topic>,
    /// Where the feed's own topic files are: they are part of the set.
    pub topic_files: Vec<topic_files::Pattern>,
    /// The scoring rules, in order.
    pub rules: Vec<Rule>,
    /// The queues, in order: the first that holds takes the record.
    pub queues: Vec<Queue>,
    /// Who is told, and who may decide.
    pub reviewers: Vec<Reviewer>,
    /// What belongs to the whole desk.
    pub desk: Desk,
    /// What is odd though the set loads.
    pub warnings: Vec<Diagnostic>,
    /// Whether any condition reads an age.
    reads_age: bool,
    /// The rules as one plan.
    plan: plan::Plan,
    /// The topics, ready to be looked up.
    about: topics::Topics,
}

/// A place in a rule file: `rules/scoring.yaml:12`, which is also how it is stored and sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", from = "String")]
#[schemars(with = "String")]
pub struct Place {
    /// The folder's and the file's name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl From<String> for Place {
    /// What was stored as its text.
    fn from(text: String) -> Self {
        let (file, line) = text.rsplit_once(':').unwrap_or((&text, ""));
        Self {
            file: file.into(),
            line: line.parse().unwrap_or(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What the record's own numbers are worth, and the most that each axis can reach.
#[derive(Debug, Default)]
pub struct Scoring {
    /// Points from a field of the record.
    pub own: Vec<Own>,
    /// The most that an axis can reach, rules included.
    pub caps: Vec<(Axis, i64, Place)>,
}

/// Points from a number of the record: weight times value.
#[derive(Debug)]
pub struct Own {
    /// The axis that the points count on.
    pub axis: Axis,
    /// `score.AXIS`, as its hits are named.
    pub label: Arc<str>,
    /// The field.
    pub field: String,
    /// Points for each unit of the field.
    pub weight: f64,
    /// The weight as its hits show it: ` × 0.5`.
    pub times: String,
    /// Where it is written.
    pub place: Place,
}

/// A topic that is worth points.
#[derive(Debug)]
pub struct Topic {
    /// Its name, as in the records' `topics`.
    pub name: String,
    /// The topic above it: what is about this one is about that one too.
    pub parent: Option<String>,
    /// Points for a record that is about it.
    pub points: i64,
    /// Words that make a record be about it.
    pub keywords: Vec<Phrase>,
    /// Where it is written.
    pub place: Place,
}

/// A scoring rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique in the set.
    pub id: Arc<str>,
    /// The axis that its points count on.
    pub axis: Axis,
    /// Must all hold.
    pub when: Vec<Condition>,
    /// May none hold.
    pub unless: Vec<Condition>,
    /// Points of a hit.
    pub points: i64,
    /// The reason that is shown for a hit.
    pub why: Arc<str>,
    /// The only source whose records it looks at.
    pub source: Option<String>,
    /// Whether it only records what it would have done.
    pub shadow: bool,
    /// Where it is written.
    pub place: Place,
}

/// A queue: who goes there, in which order it is read, and when what waits is late.
#[derive(Debug)]
pub struct Queue {
    /// Its name, unique in the set.
    pub name: String,
    /// Must all hold; none means every record.
    pub when: Vec<Condition>,
    /// May none hold.
    pub unless: Vec<Condition>,
    /// Which records it takes.
    pub takes: Takes,
    /// In which order it is read.
    pub order: Order,
    /// An item is overdue this long after it arrived.
    pub due: Option<SignedDuration>,
    /// An item that nobody decided is closed this long after it arrived.
    pub expire: Option<SignedDuration>,
    /// Opens no item; what it takes is counted.
    pub skip: bool,
    /// Decides by itself at a revision's first routing.
    pub decide: Option<crate::item::Verdict>,
    /// Whether it only records what it would have taken.
    pub shadow: bool,
    /// Whether it takes what would cost the rules too much to score.
    pub over_budget: bool,
    /// Whether its alerts break into quiet hours.
    pub ignores_quiet: bool,
    /// Where it is written.
    pub place: Place,
}

/// Which records a queue takes, by what their file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takes {
    /// Those that read as unpublished.
    #[default]
    Unpublished,
    /// Those that read as published: an audit.
    Published,
    /// All.
    All,
}

impl Takes {
    /// Whether a record is looked at whose file reads so.
    #[must_use]
    pub fn includes(self, published: bool) -> bool {
        match self {
            Self::All => true,
            Self::Unpublished => !published,
            Self::Published => published,
        }
    }
}

/// In which order a queue is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The highest score first.
    Score,
    /// The oldest story first.
    Oldest,
    /// The newest story first.
    Newest,
    /// The highest score first, halved for every half-life since publication.
    Fresh(SignedDuration),
}

/// Someone who decides.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// The name that greets her.
    pub name: String,
    /// Her address, which also names her: unique in the set, in lower case.
    pub email: String,
    /// What she may do.
    pub role: Role,
    /// The queues that she is mailed about.
    pub queues: Queues,
    /// Her time zone.
    pub timezone: TimeZone,
    /// When she gets a digest: cron, in her zone. Without it she gets none.
    pub digest: Option<Schedule>,
    /// The queues whose new items cannot wait for the digest.
    pub alert: Vec<String>,
    /// When no alert may reach her, in her zone: from, to.
    pub quiet: Option<(jiff::civil::Time, jiff::civil::Time)>,
    /// After this long without news the whole list is sent again.
    pub remind: Option<SignedDuration>,
}

/// What a reviewer may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Decides in her queues.
    #[default]
    Reviewer,
    /// Decides in every queue and takes back what others decided.
    Editor,
}

/// The queues that a reviewer is mailed about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queues {
    /// Every queue.
    All,
    /// These.
    Named(Vec<String>),
}

impl Reviewer {
    /// Whether she is mailed about this queue.
    #[must_use]
    pub fn reads(&self, queue: &str) -> bool {
        match &self.queues {
            Queues::All => true,
            Queues::Named(names) => names.iter().any(|name| name == queue),
        }
    }

    /// Whether she may decide on items of this queue.
    #[must_use]
    pub fn may_decide_in(&self, queue: &str) -> bool {
        self.role == Role::Editor || self.reads(queue)
    }
}

/// What belongs to the whole desk.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The reasons that a rejection may name: key and text.
    pub reject_reasons: BTreeMap<String, String>,
    /// How long after an item was due the editors are told, and told again.
    pub escalate: (SignedDuration, SignedDuration),
    /// Above this total a mailed link only opens the page.
    pub link_threshold: i64,
    /// Whether pages show pictures: `show`, `ask` or `never`.
    pub pictures: &'static str,
    /// How long events and sent mails are kept: see `store::retention`.
    pub retention: (SignedDuration, SignedDuration),
    /// How often a decision is written again over an upstream that takes it back.
    pub reassert: Reassert,
}

/// How often a decision may be written again over an upstream that takes it back.
#[derive(Clone, Copy, Debug)]
pub struct Reassert {
    /// In any 24 hours.
    pub per_day: u32,
    /// In any ten minutes.
    pub per_10_minutes: u32,
}

impl Default for Desk {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        let reasons = [
            ("off-topic", "Not our subject"),
            ("duplicate", "We have it"),
            ("quality", "Too weak"),
            ("rights", "Rights unclear"),
            ("other", "Other"),
        ];
        Self {
            reject_reasons: reasons
                .map(|(key, text)| (key.to_owned(), text.to_owned()))
                .into(),
            escalate: (days(1), days(3)),
            link_threshold: 120,
            pictures: "show",
            retention: (days(2 * 365), days(90)),
            reassert: Reassert {
                per_day: 24,
                per_10_minutes: 3,
            },
        }
    }
}

impl RuleSet {
    /// Loads every `*.yaml` file of a folder.
    ///
    /// # Errors
    /// Everything that is wrong with the set, warnings included, in the order of files and lines.
    pub fn load(folder: &Path) -> Result<Self, Refused> {
        load::load(folder, None)
    }

    /// As [`RuleSet::load`]; of what stands in `previous` just the same, nothing is compiled again.
    ///
    /// # Errors
    /// As [`RuleSet::load`].
    pub fn reload(folder: &Path, previous: &Self) -> Result<Self, Refused> {
        load::load(folder, Some(previous))
    }

    /// Every condition of its rules and queues.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let rules = self.rules.iter().map(|rule| (&rule.when, &rule.unless));
        let queues = self.queues.iter().map(|queue| (&queue.when, &queue.unless));
        let all = rules.chain(queues);
        all.flat_map(|(when, unless)| when.iter().chain(unless))
    }

    /// The source of that name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// The queue of that name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    /// What a queue takes its records as: published or not. What was in a queue that is gone waits
    /// as unpublished.
    fn taken_as(&self, queue: &str) -> Option<bool> {
        match self.queue(queue).map(|queue| queue.takes) {
            Some(Takes::Published) => Some(true),
            Some(Takes::All) => None,
            Some(Takes::Unpublished) | None => Some(false),
        }
    }

    /// The reviewer with that address.
    #[must_use]
    pub fn reviewer(&self, email: &str) -> Option<&Reviewer> {
        self.reviewers
            .iter()
            .find(|reviewer| reviewer.email.eq_ignore_ascii_case(email))
    }
}

/// Why a rule set is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such folder.
    #[error(
        "there is no rules folder at `{0}`: `copydesk init` makes one, --rules DIR names another"
    )]
    NoFolder(String),
    /// The folder cannot be read.
    #[error("the rules in `{0}` cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    /// The files say something wrong.
    #[error("{} in the rules", errors(.0))]
    Wrong(Vec<Diagnostic>),
}

impl Refused {
    /// The first error with its place, and how many more there are: `rules/queues.yaml:12:3: …`.
    #[must_use]
    pub fn first_fault(&self) -> Option<String> {
        let faults = self.faults();
        let first = faults.first()?;
        let more = match faults.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        Some(format!("{first}{more}"))
    }

    /// Every error with its place, a line each.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let Self::Wrong(faults) = self else {
            return Vec::new();
        };
        let errors = faults.iter().filter(|fault| fault.is_error());
        let line = |fault: &Diagnostic| {
            let (file, line, column) = (&fault.file, fault.line, fault.column);
            let message = fault.message.replace('\n', " ");
            format!("{file}:{line}:{column}: {message}")
        };
        errors.map(line).collect()
    }
}

fn errors(diagnostics: &[Diagnostic]) -> String {
    let count = diagnostics.iter().filter(|d| d.is_error()).count();
    if count == 1 {
        "1 error".to_owned()
    } else {
        format!("{count} errors")
    }
}
