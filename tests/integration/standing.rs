//! A decision that stands comes into its files in the end, whatever lay between: files that were
//! half written, rules that changed. What the simulation found is told here step by step.

use std::fs;

use copydesk::intake::{self, Control};
use copydesk::item::Verdict;
use copydesk::record::Hash;
use copydesk::record::edit::Undo;
use copydesk::record::file::replace::Exchange;
use copydesk::review::{self, Actor, Request};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::write_back;
use jiff::{SignedDuration, Timestamp};

use crate::desk::{Desk, SOURCES};

/// A desk in this process.
struct Here {
    desk: Desk,
    rules: RuleSet,
    store: Store,
    now: Timestamp,
}

impl Here {
    fn new() -> Self {
        let desk = Desk::new();
        Self {
            rules: RuleSet::load(&desk.path("rules")).unwrap(),
            store: Store::in_memory().unwrap(),
            now: desk.now(),
            desk,
        }
    }

    fn sources(&mut self, yaml: &str) {
        self.desk.rules("sources.yaml", yaml);
        self.rules = RuleSet::load(&self.desk.path("rules")).unwrap();
    }

    fn scan(&mut self) {
        intake::scan(&mut self.store, &self.rules, self.now, &Control::NONE).unwrap();
    }

    fn decide(&mut self, verdict: Verdict) {
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item: "1".parse().unwrap(),
            verdict,
            actor: &Actor::User("tester".into()),
            reason: None,
            note: None,
            until: None,
        };
        review::decide(&mut self.store, &self.rules, &request, self.now).unwrap();
    }

    /// Writes what is due two hours later.
    fn write_back(&mut self) {
        self.now += SignedDuration::from_hours(2);
        write_back::tick(&mut self.store, &self.rules, self.now).unwrap();
    }

    fn is_published(&self, file: &str) -> bool {
        self.desk.says(file, "published: true")
    }
}

const STORY: &str = "---\ntitle: Story\noriginalUrl: https://www.example.org/a\nkind: news\npublished: false\n---\nText.\n";

#[test]
fn a_file_that_was_half_written_and_is_written_by_us_is_known_as_whole() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.desk.write("a.md", &STORY[..20]);
    here.scan();
    assert_eq!(here.store.read(|tx| tx.broken()).unwrap().len(), 1);
    // Whole again, and written before a pass has read it.
    here.desk.write("a.md", STORY);
    here.write_back();
    assert!(here.is_published("a.md"));
    here.scan();
    assert_eq!(here.store.read(|tx| tx.broken()).unwrap().len(), 0);
}

#[test]
fn a_decision_waits_while_its_source_is_not_written_or_not_named() {
    let never = SOURCES.replace("write: always", "write: never");
    let other = SOURCES
        .replace("name: news", "name: other")
        .replace("../content", "../other");
    for (name, between) in [("never written", never), ("not named", other)] {
        let mut here = Here::new();
        fs::create_dir(here.desk.path("other")).unwrap();
        here.desk.write("a.md", STORY);
        here.scan();
        here.decide(Verdict::Approve);
        here.sources(&between);
        here.write_back();
        assert!(!here.is_published("a.md"), "{name}");
        here.sources(SOURCES);
        here.write_back();
        assert!(here.is_published("a.md"), "{name}");
    }
}

#[test]
fn what_was_decided_while_a_source_was_not_written_or_not_named_is_written_then() {
    let never = SOURCES.replace("write: always", "write: never");
    let other = SOURCES
        .replace("name: news", "name: other")
        .replace("../content", "../other");
    for (name, between, passes) in [("never written", never, true), ("not named", other, false)] {
        let mut here = Here::new();
        fs::create_dir(here.desk.path("other")).unwrap();
        here.desk.write("a.md", STORY);
        here.scan();
        here.sources(&between);
        if passes {
            here.scan();
        }
        here.decide(Verdict::Approve);
        here.write_back();
        assert!(!here.is_published("a.md"), "{name}");
        here.sources(SOURCES);
        here.scan();
        here.write_back();
        assert!(here.is_published("a.md"), "{name}");
    }
}

#[test]
fn a_second_place_is_written_though_a_key_changes_its_class_in_the_same_pass() {
    let mut here = Here::new();
    here.desk.write("b.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.write_back();
    assert!(here.is_published("b.md"));
    // Read before the file that leads, whose content has another hash from now on.
    here.desk.write("a.md", STORY);
    here.sources(&SOURCES.replace("signal: [quality", "signal: [kind, quality"));
    here.scan();
    here.write_back();
    assert!(here.is_published("a.md"));
}

#[test]
fn a_reopening_comes_to_a_file_that_moved_before_any_pass_saw_it() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.write_back();
    fs::rename(here.desk.content("a.md"), here.desk.content("b.md")).unwrap();
    here.decide(Verdict::Reopen);
    here.write_back();
    here.scan();
    here.write_back();
    assert!(!here.is_published("b.md"));
    // Once: what upstream publishes after that is upstream's.
    let published = STORY.replace("published: false", "published: true");
    here.desk.write("b.md", published);
    here.scan();
    here.write_back();
    assert!(here.is_published("b.md"));
}

#[test]
fn a_reopening_takes_back_what_was_written_beside_a_second_place_that_was_not() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.write_back();
    fs::rename(here.desk.content("a.md"), here.desk.content("c.md")).unwrap();
    here.desk.write("b.md", STORY);
    here.scan();
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("b.md") && !here.is_published("c.md"));
}

#[test]
fn a_reopening_takes_back_what_was_written_where_another_copy_stands_now() {
    // Both at once, or the copy later and the file with other noise in it.
    for later in [false, true] {
        let mut here = Here::new();
        here.desk.write("a.md", STORY);
        here.scan();
        here.decide(Verdict::Approve);
        here.write_back();
        fs::rename(here.desk.content("a.md"), here.desk.content("b.md")).unwrap();
        if later {
            here.scan();
            here.now += SignedDuration::from_hours(1);
            here.scan();
            let written = fs::read_to_string(here.desk.content("b.md")).unwrap();
            let noise = written.replace("kind: news", "kind: news\nsecured: again");
            here.desk.write("b.md", noise);
        }
        here.decide(Verdict::Reopen);
        here.desk.write("a.md", STORY);
        here.scan();
        here.write_back();
        assert!(
            !here.is_published("a.md") && !here.is_published("b.md"),
            "{later}"
        );
    }
}

#[test]
fn a_reopening_takes_back_what_a_write_cut_short_has_left_in_a_file_that_moved_since() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    // The file is written, and nothing is noted of it.
    let written = STORY.replace("published: false", "published: true");
    let undo = Undo {
        key: "published".into(),
        before: Some("false".into()),
        after: "true".into(),
    };
    let [old, new] = [STORY, &written].map(|text| Hash::of(text.as_bytes()));
    let planned = here
        .store
        .write(|tx| tx.plan_write_back(1, &[undo], &Exchange::new(old, new)))
        .unwrap();
    assert!(planned);
    here.desk.write("b.md", written);
    fs::remove_file(here.desk.content("a.md")).unwrap();
    here.scan();
    here.write_back();
    assert!(here.is_published("b.md"));
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("b.md"));
}

#[test]
fn a_reopening_takes_back_what_has_moved_over_a_copy_since_the_last_pass() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.write_back();
    here.desk.write("b.md", STORY);
    here.scan();
    fs::rename(here.desk.content("a.md"), here.desk.content("b.md")).unwrap();
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("b.md"));
}

#[test]
fn a_rejection_of_a_file_that_moved_is_taken_back_to_what_upstream_wrote() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.decide(Verdict::Approve);
    here.write_back();
    fs::rename(here.desk.content("a.md"), here.desk.content("b.md")).unwrap();
    here.scan();
    here.decide(Verdict::Reject);
    here.write_back();
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("b.md"));
}

#[test]
fn a_rejection_that_was_taken_back_is_not_taken_back_again() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    for verdict in [Verdict::Approve, Verdict::Reject, Verdict::Reopen] {
        here.decide(verdict);
        here.write_back();
    }
    assert!(!here.is_published("a.md"));
    here.decide(Verdict::Approve);
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("a.md"), "upstream never published it");
}

#[test]
fn a_rejection_is_not_taken_back_in_a_second_place_that_reads_like_it() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.desk.write("b.md", STORY);
    here.scan();
    here.decide(Verdict::Reject);
    here.write_back();
    let published = STORY.replace("published: false", "published: true");
    here.desk.write("b.md", published);
    here.scan();
    here.write_back();
    assert!(!here.is_published("b.md"));
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("a.md"), "upstream never published it");
    assert!(here.is_published("b.md"), "as upstream wrote it");
}

#[test]
fn a_file_that_could_never_be_read_does_not_go_before_the_one_that_leads() {
    let mut here = Here::new();
    here.desk.write("a.md", STORY);
    here.scan();
    here.desk.write("b.md", &STORY[..20]);
    here.scan();
    fs::rename(here.desk.content("a.md"), here.desk.content("0.md")).unwrap();
    let other = STORY.replace("title: Story", "title: Another");
    here.desk.write("b.md", other);
    here.now += SignedDuration::from_hours(1);
    here.scan();
    let item = here.store.read(|tx| tx.item(1)).unwrap().unwrap();
    assert_eq!(item.version, 1, "the same story leads");
}

#[test]
fn a_heat_that_changed_under_a_decision_counts_once_the_decision_is_written() {
    let mut here = Here::new();
    let story = |heat: u32| STORY.replace("kind: news", &format!("heat: {heat}"));
    here.desk.write("a.md", story(10));
    here.scan();
    let lock = here.desk.content(".git/index.lock");
    fs::create_dir(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    here.decide(Verdict::Approve);
    here.write_back();
    here.desk.write("a.md", story(50));
    fs::remove_file(&lock).unwrap();
    here.write_back();
    assert!(here.is_published("a.md"));
    let heat = |here: &mut Here| {
        here.store
            .read(|tx| tx.listed(1))
            .unwrap()
            .unwrap()
            .score
            .heat
    };
    let before = heat(&mut here);
    here.scan();
    assert!(heat(&mut here) > before, "{before}");
}

/// A story that is published, and waits all the same.
fn published() -> Here {
    let mut here = Here::new();
    let all = "queues:\n  - {name: audit, takes: all, due: 3d}\n";
    here.desk.rules("queues.yaml", all);
    here.rules = RuleSet::load(&here.desk.path("rules")).unwrap();
    let text = STORY.replace("published: false", "published: true");
    here.desk.write("a.md", text);
    here.scan();
    here
}

#[test]
fn a_rejection_is_taken_back_however_often_its_file_was_touched() {
    let mut here = published();
    here.decide(Verdict::Reject);
    here.write_back();
    assert!(!here.is_published("a.md"));
    here.desk.write("a.md", here.desk.read("a.md"));
    here.scan();
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(here.is_published("a.md"), "as upstream wrote it");
}

#[test]
fn what_a_rejection_was_about_to_write_and_upstream_wrote_is_never_taken_back() {
    let mut here = published();
    here.decide(Verdict::Reject);
    // A process that planned the write and died before it began.
    let undo = Undo {
        key: "published".into(),
        before: Some("true".into()),
        after: "false".into(),
    };
    let exchange = Exchange::new(Hash::of(b"old"), Hash::of(b"new"));
    let plan = here
        .store
        .write(|tx| tx.plan_write_back(1, &[undo], &exchange));
    assert!(plan.unwrap());
    here.store.write(|tx| tx.end_write(1)).unwrap();
    here.desk.write("a.md", STORY);
    here.scan();
    here.write_back();
    here.decide(Verdict::Reopen);
    here.write_back();
    assert!(!here.is_published("a.md"), "upstream has unpublished it");
}
