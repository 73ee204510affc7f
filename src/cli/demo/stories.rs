//! The sample newsroom: its rules, its stories, and the order in which they arrive.
//!
//! A story says when it was published as `{now-5h}`; that is filled in when it is dropped, so that
//! the newsroom is always of today.

use crate::schedule;
use jiff::Timestamp;

/// A rule file: its name and its text.
pub(super) const RULES: [(&str, &str); 4] = [
    ("sources.yaml", include_str!("rules/sources.yaml")),
    ("scoring.yaml", include_str!("rules/scoring.yaml")),
    ("queues.yaml", include_str!("rules/queues.yaml")),
    ("reviewers.yaml", include_str!("rules/reviewers.yaml")),
];

/// A story as a feed drops it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Story {
    /// Where it is dropped, below `content/`.
    pub(super) location: &'static str,
    text: &'static str,
}

/// What the feed does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Drops a story, over an earlier version of it if there is one.
    Drop(Story),
    /// Writes the story there again with nothing new but noise.
    Reseal(&'static str),
}

impl Story {
    /// Its text, with every time filled in.
    pub(super) fn text(self, now: Timestamp) -> String {
        let mut parts = self.text.split("{now-");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let filled = part.split_once('}').and_then(|(span, rest)| {
                let moment = now.checked_sub(schedule::span(span).ok()?).ok()?;
                Some((schedule::rfc3339(moment), rest))
            });
            match filled {
                Some((moment, rest)) => text.extend([&moment, rest]),
                None => text.extend(["{now-", part]),
            }
        }
        text
    }
}

/// The text with another opaque blob, as if encrypted afresh.
pub(super) fn resealed(text: &str) -> String {
    text.replacen("secured: \"", "secured: \"Rk9SIFlPVVIgRVlFUyBPTkxZ", 1)
}

macro_rules! story {
    ($folder:literal, $name:literal) => {
        story!($folder, $name, $name)
    };
    ($folder:literal, $name:literal, $file:literal) => {
        Story {
            location: concat!($folder, "/", $name, ".md"),
            text: include_str!(concat!("records/", $file, ".md")),
        }
    };
}

/// What is there when the desk opens.
pub(super) const OPENING: [Story; 8] = [
    story!("city", "strawberry-water"),
    story!("ai", "statue-cameras"),
    story!("climate", "tide-gauge"),
    story!("culture", "museum-of-keys"),
    story!("science", "octopus-cupboard"),
    story!("business", "queue-tickets"),
    story!("city", "library-fine"),
    story!("culture", "ferry-choir"),
];

/// What arrives while it works, one by one.
pub(super) const ARRIVING: [Step; 27] = [
    Step::Drop(story!("climate", "bench-parasols")),
    Step::Drop(story!("ai", "soup-chatbot")),
    Step::Drop(story!("city", "night-bus")),
    Step::Drop(story!("climate", "heat-pump-choir")),
    Step::Drop(story!("city", "ferry-outage")),
    Step::Drop(story!("city", "tram-cat")),
    Step::Drop(story!("science", "asteroid-cleaner")),
    Step::Reseal("ai/statue-cameras.md"),
    Step::Drop(story!("business", "proud-lid")),
    Step::Drop(story!("city", "flood-drill")),
    Step::Drop(story!("ai", "goose-translation")),
    Step::Drop(story!("culture", "no-headline")),
    Step::Drop(story!("business", "umbrella-rental")),
    Step::Drop(story!("science", "wall-moss")),
    Step::Drop(story!("ai", "mower-help")),
    Step::Drop(story!("climate", "heat-pump-choir", "heat-pump-choir.v2")),
    Step::Drop(story!("city", "council-clock")),
    Step::Drop(story!("climate", "solar-scarecrow")),
    Step::Drop(story!("ai", "spreadsheet-audit")),
    Step::Drop(story!("climate", "kite-accord")),
    Step::Drop(story!("culture", "opera-rain")),
    Step::Drop(story!("business", "left-shoes")),
    Step::Drop(story!("business", "coffee-index")),
    Step::Drop(story!("science", "telescope-spider")),
    Step::Drop(story!("culture", "poster-thief")),
    Step::Drop(story!("city", "bell-recall")),
    Step::Drop(story!("culture", "pigeon-novel")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Broken, Record};
    use crate::rules::RuleSet;
    use crate::rules::assess::{Occasion, Subject};
    use std::collections::{BTreeMap, BTreeSet};

    fn now() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    fn rules() -> RuleSet {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in RULES {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let rules = RuleSet::load(folder.path()).unwrap();
        assert!(rules.warnings.is_empty(), "{:?}", rules.warnings);
        rules
    }

    fn all() -> Vec<Story> {
        let arriving = ARRIVING.iter().filter_map(|step| match step {
            Step::Drop(story) => Some(*story),
            Step::Reseal(_) => None,
        });
        OPENING.into_iter().chain(arriving).collect()
    }

    fn read(rules: &RuleSet, story: Story) -> Result<Record, Broken> {
        let text = story.text(now());
        Record::read(text.as_bytes(), story.location, &rules.sources[0])
    }

    #[test]
    fn every_record_of_the_folder_is_used_once() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/demo/records");
        let files = std::fs::read_dir(folder).unwrap().count();
        let texts: BTreeSet<&str> = all().iter().map(|story| story.text).collect();
        assert_eq!((files, all().len(), texts.len()), (34, 34, 34));
        let locations: BTreeSet<&str> = all().iter().map(|story| story.location).collect();
        assert_eq!(locations.len(), 33, "one story comes twice");
    }

    #[test]
    fn two_are_broken_and_the_rest_go_where_they_should() {
        let rules = rules();
        let mut broken = Vec::new();
        let mut queues: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for story in all() {
            match read(&rules, story) {
                Err(fault) => broken.push((story.location, fault.to_string())),
                Ok(record) => {
                    assert!(record.warnings.is_empty(), "{:?}", record.warnings);
                    let subject = Subject {
                        fields: &record.fields,
                        published: record.published,
                        first_seen: now(),
                        source: &rules.sources[0].name,
                    };
                    let assessed = rules.assess(&subject, Occasion::FIRST, now());
                    let queue = assessed.route.queue().unwrap_or("none").to_owned();
                    queues.entry(queue).or_default().push(story.location);
                }
            }
        }
        let (unclosed, twice) = (&broken[0], &broken[1]);
        assert_eq!((broken.len(), unclosed.0), (2, "city/night-bus.md"));
        assert!(unclosed.1.contains("not closed"), "{}", unclosed.1);
        assert_eq!(twice.0, "business/umbrella-rental.md");
        assert!(twice.1.starts_with("4:1:"), "{}", twice.1);
        let counts: Vec<(&str, usize)> = queues
            .iter()
            .map(|(queue, stories)| (queue.as_str(), stories.len()))
            .collect();
        let expected = [
            ("ai-desk", 4),
            ("climate", 5),
            ("general", 15),
            ("none", 5),
            ("urgent", 3),
        ];
        assert_eq!(counts, expected, "{queues:#?}");
    }

    #[test]
    fn no_date_is_left_open_and_all_are_past() {
        let rules = rules();
        for story in all() {
            assert!(!story.text(now()).contains("{now"), "{}", story.location);
            if let Ok(record) = read(&rules, story) {
                let at = crate::record::published_at(&record.fields).unwrap();
                assert!(at < now(), "{}", story.location);
            }
        }
    }

    #[test]
    fn the_second_version_is_a_revision_of_the_first_and_noise_is_none() {
        let rules = rules();
        let versions: Vec<Story> = all()
            .into_iter()
            .filter(|story| story.location == "climate/heat-pump-choir.md")
            .collect();
        let [first, second] = versions.as_slice() else {
            panic!("{versions:?}")
        };
        let (one, two) = (
            read(&rules, *first).unwrap(),
            read(&rules, *second).unwrap(),
        );
        assert_eq!(one.identity, two.identity);
        assert_ne!(one.revision, two.revision);

        let text = first.text(now());
        let noise = resealed(&text);
        assert_ne!(noise, text);
        let noise = Record::read(noise.as_bytes(), first.location, &rules.sources[0]).unwrap();
        assert_eq!((noise.revision, noise.signal), (one.revision, one.signal));
    }

    #[test]
    fn the_odd_ones_are_among_them() {
        let rules = rules();
        let crlf = all().iter().filter(|s| s.text.contains("\r\n")).count();
        let keyless = |story: &&Story| !story.text.contains("\npublished:");
        let untitled = |story: &&Story| read(&rules, **story).is_ok_and(|r| r.title().is_none());
        assert_eq!(crlf, 1, "a file with CRLF: was it converted?");
        assert_eq!(all().iter().filter(keyless).count(), 2);
        assert_eq!(all().iter().filter(untitled).count(), 1);
    }
}
