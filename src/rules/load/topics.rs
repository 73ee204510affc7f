//! `topics:` and `topic_files:` what stories can be about.
//!
//! A topic file is a feed's own: its name, parent and keywords are taken, the rest is left alone.
//! What `topics:` says of a topic of the same name goes before what the file says.

use super::scoring::phrase;
use super::{Loading, mend};
use crate::record::Hash;
use crate::record::value::Value;
use crate::record::yaml::{self, Budget, Node};

use crate::rules::decode::{Fields, File, near};
use crate::rules::diagnostic::Diagnostic;
use crate::rules::topic_files::Pattern;
use crate::rules::words::Phrase;
use crate::rules::{Topic, topics};
use std::cell::{OnceCell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A topic file is read up to here.
const FILE_BYTES: usize = 256 * 1024;
/// What matches more files than these names no topics.
const MOST_FILES: usize = 1_000;

/// What one entry of `topics:`, or one topic file, says.
struct Said<'f> {
    file: &'f File<'f>,
    name: String,
    at: Range<usize>,
    parent: Option<Parent<'f>>,
    points: i64,
    keywords: Option<Vec<Phrase>>,
}

/// The parent of a topic, and where it is written: in the entry or in the file.
struct Parent<'f> {
    file: &'f File<'f>,
    name: String,
    at: Range<usize>,
}

/// The topic files of a set as they were read.
#[derive(Default)]
pub(super) struct TopicFiles {
    pub(super) patterns: Vec<Pattern>,
    read: Vec<(PathBuf, Vec<u8>)>,
}

impl TopicFiles {
    /// The hash of the rule files and of these; without any, that of the rule files alone.
    pub(super) fn hashed(&self, rules: Hash) -> Hash {
        if self.read.is_empty() {
            return rules;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&rules.0);
        for (path, bytes) in &self.read {
            for part in [
                path.file_name().unwrap_or_default().as_encoded_bytes(),
                bytes,
            ] {
                hasher
                    .update(&(part.len() as u64).to_le_bytes())
                    .update(part);
            }
        }
        Hash(*hasher.finalize().as_bytes())
    }
}

impl<'a> Loading<'a> {
    /// The topics of the rules, then those that only files know.
    pub(super) fn topics(&self) -> (Vec<Topic>, TopicFiles) {
        let found = self.topic_files();
        let files: Vec<(File<'a>, Option<Node>)> = match self.sections.first() {
            Some(section) => parse(&found, section.file.faults),
            None => Vec::new(),
        };
        let mut topics: Vec<Said<'_>> = Vec::new();
        for (file, node) in self.entries("topics") {
            let mut fields = file.fields(node, "a topic");
            topics.extend(said(file, &mut fields));
            fields.finish();
        }
        for topic in &topics {
            self.claim("topic", &topic.name, topic.file, &topic.at);
        }
        let in_files = files.iter().filter_map(|(file, tree)| {
            // Whatever else the file says is the feed's own business.
            said(file, &mut file.fields(tree.as_ref()?, "a topic file"))
        });
        merge(&mut topics, in_files);
        check_parents(&topics);
        (topics.into_iter().map(Said::topic).collect(), found)
    }

    /// Finds and reads the files that `topic_files:` names, each once.
    fn topic_files(&self) -> TopicFiles {
        let mut found = TopicFiles::default();
        for section in self.named("topic_files") {
            let file = section.file;
            for (written, node) in file.texts(section.node, "`topic_files`") {
                match Pattern::new(&file.folder, &written) {
                    Ok(pattern) => {
                        read(file, node, &pattern, &mut found.read);
                        found.patterns.push(pattern);
                    }
                    Err(reason) => {
                        let help = Some("write one like ../content/_data/topics/*.yaml".into());
                        let message = format!("not a pattern: {reason}");
                        file.error("bad-pattern", &node.span, message, help);
                    }
                }
            }
        }
        found
    }
}

fn read(file: &File<'_>, node: &Node, pattern: &Pattern, read: &mut Vec<(PathBuf, Vec<u8>)>) {
    let paths: Vec<PathBuf> = pattern.files().take(MOST_FILES + 1).collect();
    if paths.is_empty() {
        let help = "the path is relative to this file: look for a slip in the name of a folder";
        file.warning(
            "no-topic-file",
            &node.span,
            "no file is there",
            Some(help.into()),
        );
    }
    if paths.len() > MOST_FILES {
        let message = format!("more than {MOST_FILES} files match");
        let help = "name the folder of the topic files alone".to_owned();
        return file.error("bad-pattern", &node.span, message, Some(help));
    }
    for path in paths {
        if read.iter().any(|(known, _)| *known == path) {
            continue;
        }
        match std::fs::read(&path) {
            Ok(bytes) => read.push((path, bytes)),
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                let help = "let the user that runs copydesk read it".to_owned();
                file.error("unreadable", &node.span, message, Some(help));
            }
        }
    }
}

fn parse<'f>(
    found: &TopicFiles,
    faults: &'f RefCell<Vec<Diagnostic>>,
) -> Vec<(File<'f>, Option<Node>)> {
    let parse = |(path, bytes): &(PathBuf, Vec<u8>)| {
        let whole = String::from_utf8_lossy(bytes);
        let file = File {
            breaks: OnceCell::new(),
            shown: path.display().to_string(),
            short: short(path),
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            text: whole.trim_start_matches('\u{feff}').into(),
            faults,
        };
        let tree = tree(&file, bytes);
        (file, tree)
    };
    found.read.iter().map(parse).collect()
}

/// The name of the file and of its folder, as places are printed.
fn short(path: &Path) -> Arc<str> {
    let name = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let folder = path.parent().map(name).unwrap_or_default();
    format!("{folder}/{}", name(path)).into()
}

fn tree(file: &File<'_>, bytes: &[u8]) -> Option<Node> {
    if bytes.len() > FILE_BYTES {
        let help = Some("take it out of `topic_files`: a topic needs a few lines".into());
        file.error(
            "too-large",
            &(0..1),
            "the topic file is larger than 256 KiB",
            help,
        );
        return None;
    }
    if std::str::from_utf8(bytes).is_err() {
        let at = file.text.find('\u{fffd}').unwrap_or_default();
        let help = Some("save it as UTF-8".into());
        file.error("not-utf-8", &(at..at + 1), "the file is not UTF-8", help);
        return None;
    }
    match yaml::read(&file.text, Budget::RECORD) {
        Ok(Some(tree)) => Some(tree),
        Ok(None) => {
            let help = Some("name: AI".into());
            file.error("missing-key", &(0..1), "a topic file needs `name`", help);
            None
        }
        Err(fault) => {
            let help = Some(mend(&fault.message).to_owned());
            file.error("yaml", &(fault.at..fault.at + 1), fault.message, help);
            None
        }
    }
}

/// What stands in an entry or a file; `None` without a name, which is told.
fn said<'f>(file: &'f File<'f>, fields: &mut Fields<'_, '_>) -> Option<Said<'f>> {
    let is_there = |node: &&Node| node.as_scalar() != Some(&Value::Null);
    let name = fields
        .need("name", "name: AI")
        .and_then(|n| Some((file.text(n, "`name`")?, n)));
    let parent = fields
        .get("parent")
        .filter(is_there)
        .and_then(|n| Some((file.text(n, "`parent`")?, n)));
    let keywords = fields.get("keywords").filter(is_there);
    let keywords = keywords.map(|n| {
        let words = file.texts(n, "`keywords`").into_iter();
        words
            .filter_map(|(word, n)| phrase(file, &word, n))
            .collect()
    });
    let points = fields.get("points").and_then(|n| file.whole(n, "`points`"));
    let (name, node) = name?;
    Some(Said {
        file,
        name,
        at: node.span.clone(),
        parent: parent.map(|(name, node)| Parent {
            file,
            name,
            at: node.span.clone(),
        }),
        points: points.unwrap_or(0),
        keywords,
    })
}

/// Adds the topics of files, and to those of the rules what they leave open.
fn merge<'f>(topics: &mut Vec<Said<'f>>, in_files: impl Iterator<Item = Said<'f>>) {
    let mut from_files: Vec<Said<'f>> = Vec::new();
    for topic in in_files {
        if let Some(first) = from_files.iter().find(|first| first.name == topic.name) {
            let place = first.file.place(first.at.start);
            let message = format!(
                "the topic `{}` is in another file already, at {place}",
                topic.name
            );
            let help = Some("keep one of the two files in `topic_files`".into());
            topic.file.error("name-twice", &topic.at, message, help);
            continue;
        }
        from_files.push(topic);
    }
    for topic in from_files {
        match topics.iter_mut().find(|said| said.name == topic.name) {
            Some(said) => {
                said.parent = said.parent.take().or(topic.parent);
                said.keywords = said.keywords.take().or(topic.keywords);
            }
            None => topics.push(topic),
        }
    }
}

fn check_parents(said: &[Said<'_>]) {
    let line = |topic: &Said<'_>| Topic {
        parent: topic.parent.as_ref().map(|parent| parent.name.clone()),
        name: topic.name.clone(),
        points: 0,
        keywords: Vec::new(),
        place: topic.file.place(0),
    };
    let topics: Vec<Topic> = said.iter().map(line).collect();
    for topic in said {
        let Some(Parent { file, name, at }) = &topic.parent else {
            continue;
        };
        if !topics.iter().any(|known| known.name == *name) {
            let help = match near(name, topics.iter().map(|t| t.name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it: `- {{name: {name}}}`"),
            };
            let message = format!("there is no topic `{name}`");
            file.error("unknown-topic", at, message, Some(help));
        } else if topics::is_own_parent(&topics, &topic.name) {
            let message = format!("`{}` is its own parent, by way of `{name}`", topic.name);
            file.error(
                "topic-cycle",
                at,
                message,
                Some("take one `parent` away".into()),
            );
        }
    }
}

impl Said<'_> {
    fn topic(self) -> Topic {
        Topic {
            place: self.file.place(self.at.start),
            name: self.name,
            parent: self.parent.map(|parent| parent.name),
            points: self.points,
            keywords: self.keywords.unwrap_or_default(),
        }
    }
}
