//! Loads a folder of rule files into a rule set, or says everything that is wrong with it.
//!
//! Every `*.yaml` file may hold any section; sections of one name are read together, in the order
//! of file names. What other sections refer to is read first.

mod conditions;
mod examples;
mod queues;
mod reviewers;
mod scoring;
mod sources;
mod topics;
mod warnings;

use crate::record::Hash;
use crate::record::value::Value;
use crate::record::yaml::{self, Budget, Data, Key, Node};
use crate::rules::condition::{self, BUILT_IN, Condition};
use crate::rules::decode::{File, listed, near};
use crate::rules::diagnostic::Diagnostic;
use crate::rules::plan::Plan;
use crate::rules::topics::Topics;
use crate::rules::types::Schema;
use crate::rules::{Desk, Place, Refused, RuleSet, Scoring};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECTIONS: [&str; 9] = [
    "sources",
    "score",
    "topics",
    "topic_files",
    "lists",
    "rules",
    "queues",
    "reviewers",
    "desk",
];
const FILE_BYTES: usize = 16 * 1024 * 1024;

/// A section of one file.
#[derive(Clone, Copy)]
struct Section<'a> {
    file: &'a File<'a>,
    key: &'a Key,
    node: &'a Node,
}

/// What the sections have in common while they are read.
struct Loading<'a> {
    sections: Vec<Section<'a>>,
    fields: Schema,
    lists: BTreeMap<String, Arc<[Value]>>,
    /// What became of each condition.
    compiled: HashMap<conditions::Written, conditions::Compiled>,
    named: RefCell<HashMap<(&'static str, String), Place>>,
}

pub(super) fn load(folder: &Path, previous: Option<&RuleSet>) -> Result<RuleSet, Refused> {
    let shown = folder.display().to_string();
    let files = read_files(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Refused::NoFolder(shown.clone()),
        _ => Refused::Unreadable(shown.clone(), error),
    })?;
    // A folder without rules would read as "there are no sources" and withdraw all that waits.
    if files.is_empty() {
        let error = std::io::Error::other("there is no `*.yaml` file in it");
        return Err(Refused::Unreadable(shown, error));
    }
    let loaded = condition::on_large_stack(|| load_files(folder, files, previous));
    loaded
        .map_err(|error| Refused::Unreadable(shown, error))?
        .map_err(Refused::Wrong)
}

fn read_files(folder: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if yaml && !hidden && path.is_file() {
            let bytes = std::fs::read(&path)?;
            files.push((path, bytes));
        }
    }
    files.sort();
    Ok(files)
}

fn load_files(
    folder: &Path,
    files: Vec<(PathBuf, Vec<u8>)>,
    previous: Option<&RuleSet>,
) -> Result<RuleSet, Vec<Diagnostic>> {
    let faults = RefCell::new(Vec::new());
    let mut hasher = blake3::Hasher::new();
    for (path, bytes) in &files {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        hasher
            .update(&(name.len() as u64).to_le_bytes())
            .update(name);
        hasher
            .update(&(bytes.len() as u64).to_le_bytes())
            .update(bytes);
    }
    let short = match folder.file_name() {
        Some(name) => format!("{}/", name.to_string_lossy()),
        None => String::new(),
    };
    let files: Vec<(File<'_>, Option<Node>)> = files
        .into_iter()
        .map(|(path, bytes)| parse_file(folder, &short, &path, bytes, &faults))
        .collect();
    // A file that is no YAML leaves names undefined: what refers to them is not looked at.
    let readable = !faults.borrow().iter().any(Diagnostic::is_error);
    let mut loading = Loading {
        sections: sections(&files),
        fields: Schema::seed(),
        lists: BTreeMap::new(),
        compiled: HashMap::new(),
        named: RefCell::default(),
    };
    let hash = Hash(*hasher.finalize().as_bytes());
    let set = readable.then(|| loading.rule_set(hash, previous));
    let mut faults = faults.into_inner();
    faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    // A section that several others refer to is looked at several times.
    faults.dedup_by(|a, b| {
        (&a.file, a.line, a.column, &a.message) == (&b.file, b.line, b.column, &b.message)
    });
    match set {
        Some(mut set) if !faults.iter().any(Diagnostic::is_error) => {
            set.warnings = faults;
            Ok(set)
        }
        _ => Err(faults),
    }
}

fn parse_file<'f>(
    folder: &Path,
    short: &str,
    path: &Path,
    bytes: Vec<u8>,
    faults: &'f RefCell<Vec<Diagnostic>>,
) -> (File<'f>, Option<Node>) {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let whole = String::from_utf8_lossy(&bytes);
    let file = File {
        shown: path.display().to_string(),
        short: format!("{short}{name}").into(),
        folder: folder.to_owned(),
        text: whole.trim_start_matches('\u{feff}').into(),
        breaks: OnceCell::new(),
        faults,
    };
    if let std::borrow::Cow::Owned(_) = whole {
        let at = file.text.find('\u{fffd}').unwrap_or_default();
        file.error(
            "not-utf-8",
            &(at..at + 1),
            "the file is not UTF-8",
            Some("save it as UTF-8".to_owned()),
        );
        return (file, None);
    }
    if path.extension().is_some_and(|extension| extension == "yml") {
        let help = Some("rename it to end in `.yaml`".to_owned());
        file.warning(
            "not-read",
            &(0..0),
            "only files that end in `.yaml` are read",
            help,
        );
        return (file, None);
    }
    if bytes.len() > FILE_BYTES {
        file.error(
            "too-large",
            &(0..1),
            "the file is larger than 16 MiB",
            Some("split it into several files".to_owned()),
        );
        return (file, None);
    }
    match yaml::read(&file.text, Budget::RULES) {
        Ok(tree) => (file, tree),
        Err(fault) => {
            let help = conditions::quoted_form(&file.text, fault.at)
                .unwrap_or_else(|| mend(&fault.message).to_owned());
            file.error("yaml", &(fault.at..fault.at + 1), fault.message, Some(help));
            (file, None)
        }
    }
}

/// What to do about a message of the YAML parser that does not say so itself.
fn mend(message: &str) -> &'static str {
    const MENDS: [(&str, &str); 13] = [
        ("stands twice", "keep one of the two"),
        ("nested deeper", "nest it less deeply"),
        ("more than", "split it into several files"),
        ("second YAML document", "take the `---` away"),
        ("merge keys", "take the `<<` away"),
        ("aliases", "write out what the name stands for"),
        ("anchors", "take the `&` and its name away"),
        ("tag", "put text that begins with `!` in quotes"),
        ("tabs", "indent by spaces"),
        (
            "unclosed bracket",
            "close it, or put text that begins with it in quotes",
        ),
        (
            "illegal placement",
            "close the bracket or the quote that is open above this line",
        ),
        (
            "did not find expected",
            "look for a bracket, a comma or a quote that is missing on this line or above it",
        ),
        (
            "mapping values",
            "put text that holds `: ` in quotes, and begin each key on a line of its own",
        ),
    ];
    MENDS
        .into_iter()
        .find(|(part, _)| message.contains(part))
        .map_or(
            "look for a quote, a bracket or an indent that is wrong on this line or above it",
            |(_, mend)| mend,
        )
}

fn sections<'a>(files: &'a [(File<'a>, Option<Node>)]) -> Vec<Section<'a>> {
    let mut sections = Vec::new();
    for (file, tree) in files {
        let Some(tree) = tree else { continue };
        for (key, node) in file.map(tree, "a rule file") {
            if SECTIONS.contains(&key.text.as_str()) {
                sections.push(Section { file, key, node });
            } else {
                let help = match near(&key.text, SECTIONS.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the sections are {}", listed(&SECTIONS)),
                };
                file.error(
                    "unknown-section",
                    &key.span,
                    format!("there is no section `{}`", key.text),
                    Some(help),
                );
            }
        }
    }
    sections
}

impl<'a> Loading<'a> {
    fn rule_set(&mut self, hash: Hash, previous: Option<&RuleSet>) -> RuleSet {
        let (sources, fields) = self.sources();
        self.fields = fields;
        self.lists = self.read_lists();
        let (topics, topic_files) = self.topics();
        self.compile_all(previous);
        let mut set = RuleSet {
            hash: topic_files.hashed(hash),
            sources,
            fields: self.fields.clone(),
            lists: self.lists.clone(),
            scoring: Scoring::default(),
            topics,
            topic_files: topic_files.patterns,
            rules: Vec::new(),
            queues: Vec::new(),
            reviewers: Vec::new(),
            desk: Desk::default(),
            warnings: Vec::new(),
            reads_age: false,
            plan: Plan::default(),
            about: Topics::default(),
        };
        set.about = Topics::new(&set.topics);
        set.scoring = self.scoring();
        let mut examples = self.rules(&mut set);
        let (queues, of_queues) = self.queues();
        set.queues = queues;
        examples.extend(of_queues);
        set.reviewers = self.reviewers(&set.queues);
        set.desk = self.desk();
        // What a faulty condition does is of no interest: it was told already.
        if !self.is_faulty() {
            let reads_age = set.conditions().any(Condition::reads_age);
            set.reads_age = reads_age;
            set.plan = std::thread::scope(|scope| {
                let plan = scope.spawn(|| Plan::new(&set.rules, &set.topics));
                self.warn(&set);
                plan.join()
            })
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            examples.into_iter().for_each(|example| example.run(&set));
        }
        set
    }

    /// Whether something wrong was told already.
    fn is_faulty(&self) -> bool {
        let faulty = |section: &Section<'_>| {
            section
                .file
                .faults
                .borrow()
                .iter()
                .any(Diagnostic::is_error)
        };
        self.sections.first().is_some_and(faulty)
    }

    /// Whether a fault of this kind was told already.
    fn told(&self, code: &str) -> bool {
        let told = |section: &Section<'_>| {
            section
                .file
                .faults
                .borrow()
                .iter()
                .any(|fault| fault.code == code)
        };
        self.sections.first().is_some_and(told)
    }

    /// The sections of one name.
    fn named(&self, name: &str) -> impl Iterator<Item = Section<'a>> {
        self.sections
            .iter()
            .filter(move |section| section.key.text == name)
            .copied()
    }

    /// Every entry of the lists that stand under one section's name.
    fn entries(&self, name: &'static str) -> Vec<(&'a File<'a>, &'a Node)> {
        let entries = self.named(name).flat_map(|section| {
            let what = format!("`{name}`");
            section
                .file
                .list(section.node, &what)
                .iter()
                .map(move |node| (section.file, node))
        });
        entries.collect()
    }

    /// Remembers a name; a name given twice is an error that names both places.
    fn claim(&self, kind: &'static str, name: &str, file: &File<'_>, span: &Range<usize>) {
        let place = file.place(span.start);
        let first = self
            .named
            .borrow_mut()
            .insert((kind, name.to_owned()), place);
        if let Some(first) = first {
            let message = format!("the {kind} `{name}` is there already, at {first}");
            let help = match kind {
                "axis" | "desk setting" | "reviewer" => "keep one of the two",
                _ => "give one of the two another name",
            };
            file.error("name-twice", span, message, Some(help.to_owned()));
            self.named
                .borrow_mut()
                .insert((kind, name.to_owned()), first);
        }
    }

    fn read_lists(&self) -> BTreeMap<String, Arc<[Value]>> {
        let mut lists = BTreeMap::new();
        for section in self.named("lists") {
            let file = section.file;
            for (key, node) in file.map(section.node, "`lists`") {
                self.claim("list", &key.text, file, &key.span);
                let word = key
                    .text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !key.text.starts_with(|c: char| c.is_ascii_digit());
                if !word {
                    let help = Some("use letters, digits and `_`, and begin with a letter".into());
                    file.error(
                        "bad-name",
                        &key.span,
                        format!("conditions cannot name a list `{}`", key.text),
                        help,
                    );
                } else if self.fields.get(&key.text).is_some()
                    || BUILT_IN.contains(&key.text.as_str())
                {
                    let help = Some("give the list a name that no field has".into());
                    file.error(
                        "bad-name",
                        &key.span,
                        format!("`{}` is a field of the records", key.text),
                        help,
                    );
                }
                let values: Vec<Value> = file
                    .list(node, "a list")
                    .iter()
                    .map(Node::to_value)
                    .collect();
                let odd = values.iter().position(|v| {
                    !matches!(v, Value::Text(_) | Value::Number(_))
                        || Some(v.kind()) != values.first().map(Value::kind)
                });
                if let Some(odd) = odd.and_then(|n| node.as_list()?.get(n)) {
                    let message = "a list holds text only or numbers only";
                    file.error(
                        "wrong-type",
                        &odd.span,
                        message,
                        Some("put what is text in quotes".into()),
                    );
                }
                lists.insert(key.text.clone(), values.into());
            }
        }
        lists
    }

    /// Compiles `when` or `unless`: one condition or a list of them.
    fn conditions(
        &self,
        file: &File<'_>,
        node: Option<&Node>,
        key: &str,
        score: bool,
    ) -> Vec<Condition> {
        let Some(node) = node else { return Vec::new() };
        let parts = match &node.data {
            Data::List(nodes) => nodes.iter().collect(),
            _ => vec![node],
        };
        parts
            .into_iter()
            .filter_map(|node| self.condition(file, node, key, score))
            .collect()
    }
}
