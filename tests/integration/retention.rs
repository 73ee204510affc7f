//! Three years of a feed that changes: the database comes to a size and stays at it, nobody is told
//! twice, and every decision is known and can be taken back.

use std::collections::BTreeMap;

use copydesk::intake::{self, Control};
use copydesk::item::{ItemRef, Status, Verdict};
use copydesk::notify::outbox::{Outbox, Way};
use copydesk::notify::{self, When};
use copydesk::report::history;
use copydesk::review::{self, Actor, Request};
use copydesk::rules::RuleSet;
use copydesk::store::past::PastAsk;
use copydesk::store::{Store, retention};
use copydesk::write_back;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use crate::desk::{Desk, SCORING, SOURCES, Story, memory};
use crate::simulation::tells_of;

/// The desk is looked at every third day.
const STEP: SignedDuration = SignedDuration::from_hours(72);
const STEPS_A_YEAR: i64 = 365 / 3;
const YEARS: i64 = 3;

const RULES: &str = r#"queues:
  - {name: general, due: 3d}
desk:
  retention: {events: 60d, sent_mail: 30d}
reviewers:
  - {name: Ana, email: ana@example.org, role: reviewer, queues: all, digest: "0 9 * * *", remind: 7d}
  - {name: Bo, email: bo@example.org, role: reviewer, queues: all, alert: [general]}
  - {name: Ed, email: ed@example.org, role: editor, queues: all, digest: "0 9 * * MON"}
"#;

const TABLES: [&str; 4] = ["events", "mail_log", "mails", "write_backs"];

/// A desk in this process.
struct Years {
    desk: Desk,
    rules: RuleSet,
    store: Store,
    side: Connection,
    outbox: Outbox,
    now: Timestamp,
    decided: usize,
}

impl Years {
    fn new() -> Self {
        let desk = Desk::below(&memory())
            .with_rules("sources.yaml", SOURCES)
            .with_rules("scoring.yaml", SCORING)
            .with_rules("queues.yaml", RULES);
        std::fs::remove_file(desk.path("rules/reviewers.yaml")).unwrap();
        let database = desk.path("state/copydesk.db");
        let outbox = Outbox {
            from: "desk@example.org".parse().unwrap(),
            way: Way::Folder(desk.path("state/mail")),
            desk: (desk.path("state"), None),
        };
        Self {
            rules: RuleSet::load(&desk.path("rules")).unwrap(),
            store: Store::open(&database).unwrap(),
            side: Connection::open(&database).unwrap(),
            outbox,
            now: desk.now() + SignedDuration::from_mins(30),
            decided: 0,
            desk,
        }
    }

    fn scan(&mut self) {
        intake::scan(&mut self.store, &self.rules, self.now, &Control::NONE).unwrap();
    }

    /// What the service does in between.
    fn works(&mut self) {
        let (store, rules, now) = (&mut self.store, &self.rules, self.now);
        write_back::tick(store, rules, now).unwrap();
        // What a mail begins to gather goes out a little later.
        for now in [now, now + SignedDuration::from_mins(3)] {
            notify::tick(store, rules, &self.outbox, When::Scheduled, now).unwrap();
        }
        let forgot = retention::tick(store, rules, now, &|| false).unwrap();
        assert!(forgot.is_some(), "{now}");
    }

    fn decide(&mut self, location: &str, verdict: Verdict) {
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item: ItemRef {
                id: self.desk.id_of(location),
                version: None,
            },
            verdict,
            actor: &Actor::User("tester".into()),
            reason: None,
            note: None,
            until: None,
        };
        review::decide(&mut self.store, &self.rules, &request, self.now).unwrap();
        self.decided += 1;
    }

    fn status(&mut self, location: &str) -> Status {
        let id = self.desk.id_of(location);
        self.store
            .read(|tx| tx.item(id))
            .unwrap()
            .map_or_else(|| panic!("no item {id}"), |item| item.status)
    }

    fn counts(&self) -> [i64; 4] {
        TABLES.map(|table| {
            let sql = format!("SELECT count(*) FROM {table}");
            self.side.query_row(&sql, (), |row| row.get(0)).unwrap()
        })
    }
}

/// A mail is a part of what reviewers were told; each part by whom it was, and how often.
fn tellings(years: &Years) -> BTreeMap<(String, &'static str, String), usize> {
    let mut told_of = BTreeMap::new();
    for mail in years.desk.mails() {
        let (all, news) = tells_of(&mail.text);
        let late = mail.text.contains("been overdue for");
        let (kind, names) = match (late, mail.text.contains("cannot wait for your next")) {
            (true, _) => ("late", all),
            (_, true) => ("alert", all),
            _ => ("news", news),
        };
        for name in names {
            *told_of.entry((mail.to.clone(), kind, name)).or_default() += 1;
        }
    }
    told_of
}

#[test]
fn three_years_of_a_changing_feed_leave_what_is_needed_and_no_more() {
    let mut years = Years::new();
    // What comes after the first pass is news that can be alerted of.
    years.scan();
    years.now += STEP;
    let (waits, fought, flits) = (
        years.desk.story("waits.md").write(),
        years.desk.story("fought.md").write(),
        years.desk.story("flits.md").write(),
    );
    let edited = |desk: &Desk, edition: i64| -> Story {
        let title = format!("Edition {edition}");
        desk.story("edited.md").title(&title).write()
    };
    edited(&years.desk, 0);
    let mut most = Vec::new();
    for year in 0..YEARS {
        let mut highest = [0; 4];
        for step in 0..STEPS_A_YEAR {
            let n = year * STEPS_A_YEAR + step;
            // The feed takes back what was approved, and does so for ever.
            years.desk.write("fought.md", fought.bytes());
            match n % 10 {
                3 => drop(edited(&years.desk, n)),
                4 => years.desk.remove("flits.md"),
                8 => years.desk.write("flits.md", flits.bytes()),
                _ => {}
            }
            years.scan();
            if n == 0 {
                years.decide("fought.md", Verdict::Approve);
            }
            if n % 10 == 6 {
                years.decide("edited.md", Verdict::Approve);
            }
            years.works();
            assert!(years.desk.says("fought.md", "published: true"), "{n}");
            for (high, count) in highest.iter_mut().zip(years.counts()) {
                *high = count.max(*high);
            }
            years.now += STEP;
        }
        most.push(highest);
    }
    println!("{TABLES:?} at most, by year: {most:?}");

    // Each edition was decided on once, and a write-back belongs to each of these.
    let (second, third) = (most[1], most[2]);
    assert!(third[0] <= second[0] + 3, "events: {most:?}");
    assert!(third[1] <= second[1] + 3, "what was told: {most:?}");
    assert!(third[2] <= second[2] + 3, "mails: {most:?}");
    assert!(third[3] <= second[3] + STEPS_A_YEAR / 10 + 1, "{most:?}");
    let events = years.store.read(|tx| tx.newest_event()).unwrap();
    assert!(events > 5 * third[0], "little has happened: {events}");

    let tellings = tellings(&years);
    for kind in ["news", "alert", "late"] {
        let of = tellings.iter().filter(|((_, known, _), _)| *known == kind);
        let of: Vec<_> = of.collect();
        let at_most = if kind == "late" { 2 } else { 1 };
        assert!(!of.is_empty(), "nobody was told: {kind}");
        for (telling, times) in of {
            assert!(*times <= at_most, "{telling:?} {times} times");
        }
    }

    // The whole history of decisions is there, and what waits has all that happened to it.
    let mut decisions = 0;
    let counted = history::each_decision(&mut years.store, &PastAsk::default(), |_| {
        decisions += 1;
        Ok::<_, copydesk::store::StoreError>(())
    });
    counted.unwrap();
    assert_eq!(decisions, years.decided);
    let waiting = years.desk.id_of("waits.md");
    let events = years.store.read(|tx| tx.events(waiting)).unwrap();
    assert_eq!(events[0].kind, "queued");
    assert_eq!(years.status("waits.md"), Status::Pending);
    assert_eq!(years.desk.read("waits.md"), waits.bytes());

    // What was approved three years ago is taken back as if it had been yesterday.
    years.decide("fought.md", Verdict::Reopen);
    write_back::tick(&mut years.store, &years.rules, years.now).unwrap();
    assert_eq!(years.desk.read("fought.md"), fought.bytes());
    years.scan();
    assert_eq!(years.status("fought.md"), Status::Pending);
}

#[test]
fn a_pass_forgets_once_a_day_and_status_says_when() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let status = desk.json(&["status"]);
    let of = |status: &serde_json::Value| {
        let runs = status["runs"].as_array().unwrap().iter();
        let run = runs.filter(|run| run["kind"] == "retention");
        run.map(|run| run["at"].clone()).collect::<Vec<_>>()
    };
    let first = of(&status);
    assert_eq!(first, ["2026-03-02T09:00:00Z"]);
    desk.later("23h").scan();
    assert_eq!(of(&desk.json(&["status"])), first);
    desk.later("1h").scan();
    assert_eq!(of(&desk.json(&["status"])), ["2026-03-03T09:00:00Z"]);
    let lines = desk.run(&["status"]).done().stdout;
    assert!(
        lines.contains("last retention 2026-03-03T09:00:00Z"),
        "{lines}"
    );
}
