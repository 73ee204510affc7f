//! What cannot wait for a digest: alerts, escalations, and the wishes of the reviewer.

use copydesk::notify::outbox::{Outbox, Way};
use copydesk::notify::{self, When};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use copydesk::store::mails::NewMail;
use copydesk::store::settings::Own;

use crate::desk::{Desk, Mail};

const REVIEWERS: &str = r#"reviewers:
  - {name: Ana Example, email: ana@example.org, role: reviewer, queues: all, digest: "0 9 * * *", alert: [urgent], quiet: "20:00-08:00"}
"#;
const ED: &str = "  - {name: Ed Example, email: ed@example.org, role: editor, queues: all}\n";
const SLOW: &str =
    "queues:\n  - {name: urgent, when: score.total >= 95, due: 9d}\n  - {name: general, due: 9d}\n";

/// What the service does every few seconds: what is owed by schedule is sent. All that is owed by a
/// look at everything is.
pub(crate) fn tick(desk: &Desk) -> Vec<Mail> {
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let outbox = Outbox {
        from: "copydesk@localhost".parse().unwrap(),
        way: Way::Folder(desk.path("state/mail")),
        desk: (desk.path("state"), desk.public_url()),
    };
    let plans = notify::plans(&mut store, &rules, None, (When::Scheduled, desk.now())).unwrap();
    let owed = plans.iter().filter(|plan| plan.owed().is_some()).count();
    let sent = notify::tick(&mut store, &rules, &outbox, When::Scheduled, desk.now()).unwrap();
    assert_eq!((sent.sent.len(), sent.failed.len()), (owed, 0));
    let read = |file| Mail::parse(&std::fs::read(file).unwrap());
    sent.sent
        .iter()
        .map(|mail| read(mail.file.as_ref().unwrap()))
        .collect()
}

/// A desk at 10:00 on a Monday, its empty source looked at and its first digest behind it.
fn desk(reviewers: &str, queues: &str) -> Desk {
    let desk = Desk::new()
        .with_rules("reviewers.yaml", reviewers)
        .with_rules("queues.yaml", queues);
    desk.at("2026-03-02T09:30:00Z").scan();
    assert!(tick(&desk).is_empty());
    desk.at("2026-03-02T10:00:00Z");
    desk
}

fn hot(desk: &Desk, name: &str) {
    desk.story(name)
        .title(&format!("Hot {name}"))
        .quality(99)
        .write();
    desk.scan();
}

fn at(desk: &Desk, time: &str) -> Vec<Mail> {
    desk.at(&format!("2026-03-{time}:00Z"));
    tick(desk)
}

fn set(desk: &Desk, own: Own) {
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    store
        .write(|tx| tx.keep_own_settings("ana@example.org", &own))
        .unwrap();
}

#[test]
fn alerts_are_gathered_sent_once_and_known_to_the_next_digest() {
    let desk = desk(REVIEWERS, SLOW);
    hot(&desk, "a.md");
    assert!(tick(&desk).is_empty());
    assert!(at(&desk, "02T10:01").is_empty());
    hot(&desk, "b.md");
    let mails = at(&desk, "02T10:02");
    assert_eq!(mails.len(), 1, "one mail for what came in two minutes");
    mails[0].lists(&["Hot a.md", "Hot b.md", "cannot wait"]);
    assert_eq!(mails[0].subject, "2 that cannot wait: urgent");
    for later in ["02T10:02", "02T10:09", "02T18:00", "03T09:00"] {
        assert!(at(&desk, later).is_empty(), "told again at {later}");
    }
    hot(&desk, "c.md");
    let mails = at(&desk, "03T09:02");
    assert_eq!(mails[0].subject, "urgent: Hot c.md");
    desk.story("calm.md").title("A calm story").write();
    desk.scan();
    let mails = at(&desk, "04T09:00");
    assert_eq!(mails.len(), 1);
    mails[0].lists(&["A calm story", "Still waiting: 3"]);
    mails[0].leaves_out(&["Hot a.md"]);
}

#[test]
fn an_alert_that_is_given_up_is_left_to_the_next_digest() {
    let desk = desk(REVIEWERS, SLOW);
    hot(&desk, "a.md");
    desk.at("2026-03-02T10:02:00Z");
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let now = desk.now();
    let plans = notify::plans(&mut store, &rules, None, (When::Scheduled, now)).unwrap();
    let told = &plans[0].owed().unwrap().told;
    let given_up = store.write(|tx| {
        let mail = NewMail {
            message_id: "<alert-1@example.org>",
            kind: "alert",
            recipient: "ana@example.org",
            reason: "a test",
            subject: "urgent: Hot a.md",
            bytes: b"",
            items: told,
        };
        let id = tx.queue_mail(&mail, now)?;
        let claim = tx.claim_mail(id, now)?.unwrap();
        tx.mail_failed(claim, "554 5.7.1 spam")
    });
    given_up.unwrap();
    for later in ["02T10:02", "02T10:09", "02T18:00"] {
        assert!(at(&desk, later).is_empty(), "written again at {later}");
    }
    let mails = at(&desk, "03T09:00");
    assert_eq!(mails[0].subject, "1 new: urgent");
}

#[test]
fn who_is_only_alerted_is_reminded_all_the_same() {
    let alerted = "alert: [urgent], remind: 3d, digest: \"0 9 5 * *\"";
    let reviewers = REVIEWERS.replace("digest: \"0 9 * * *\", alert: [urgent]", alerted);
    let desk = desk(&reviewers, SLOW);
    hot(&desk, "a.md");
    assert_eq!(at(&desk, "02T10:02").len(), 1);
    assert!(at(&desk, "04T09:00").is_empty());
    let mails = at(&desk, "05T10:03");
    assert_eq!(mails[0].subject, "1 waiting: urgent");
}

#[test]
fn what_stood_there_at_the_first_look_raises_no_alert() {
    let desk = Desk::new();
    desk.rules(
        "reviewers.yaml",
        &REVIEWERS.replace(" digest: \"0 9 * * *\",", ""),
    );
    hot(&desk, "a.md");
    assert!(at(&desk, "02T10:30").is_empty());
    hot(&desk, "b.md");
    let mails = at(&desk, "02T10:32");
    assert_eq!(mails[0].subject, "urgent: Hot b.md");
    assert!(at(&desk, "03T10:30").is_empty());
}

#[test]
fn quiet_hours_hold_an_alert_unless_the_queue_says_otherwise() {
    for (loud, told) in [(false, 0), (true, 1)] {
        let queues = SLOW.replace("score.total >= 95", "score.total >= 95, quiet: ignore");
        let desk = desk(REVIEWERS, if loud { &queues } else { SLOW });
        desk.at("2026-03-02T21:00:00Z");
        hot(&desk, "a.md");
        assert_eq!(at(&desk, "02T21:05").len(), told);
        assert!(at(&desk, "03T07:59").is_empty());
        assert_eq!(at(&desk, "03T08:00").len(), 1 - told);
        assert!(at(&desk, "03T08:05").is_empty());
    }
}

#[test]
fn what_is_overdue_for_long_reaches_the_editors_once_and_once_more() {
    let reviewers = REVIEWERS.replace(", digest: \"0 9 * * *\", alert: [urgent]", "");
    let queues = SLOW.replace("due: 9d", "due: 2h");
    let desk = desk(&(reviewers + ED), &queues);
    hot(&desk, "a.md");
    assert!(at(&desk, "03T11:59").is_empty());
    for (time, subject) in [
        ("03T12:00", "overdue for 24h: Hot a.md"),
        ("05T12:00", "overdue for 3d: Hot a.md"),
    ] {
        let mails = at(&desk, time);
        let seen: Vec<_> = mails
            .iter()
            .map(|mail| (&*mail.to, &*mail.subject))
            .collect();
        assert_eq!(seen, [("ed@example.org", subject)]);
        assert!(tick(&desk).is_empty(), "again");
    }
    for later in ["05T12:05", "08T09:00", "30T09:00"] {
        assert!(at(&desk, later).is_empty(), "a third time at {later}");
    }
}

#[test]
fn what_an_editors_digest_says_is_overdue_is_not_said_again_by_an_escalation() {
    let ed = ED.replace("queues: all", "queues: all, digest: \"0 13 * * *\"");
    let queues = SLOW.replace("due: 9d", "due: 2h");
    let desk = desk(&format!("reviewers:\n{ed}"), &queues);
    hot(&desk, "a.md");
    desk.at("2026-03-03T13:00:00Z");
    let mails = tick(&desk);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject, "1 overdue: urgent");
    assert!(at(&desk, "03T13:01").is_empty());
    assert_eq!(at(&desk, "05T12:00")[0].subject, "overdue for 3d: Hot a.md");
}

#[test]
fn a_paused_or_stopped_reviewer_gets_nothing_and_midnight_makes_nothing_up() {
    let desk = desk(&REVIEWERS.replace(", alert: [urgent]", ""), SLOW);
    let paused_until = Some("2026-03-05T00:00:00Z".parse().unwrap());
    set(
        &desk,
        Own {
            paused_until,
            ..Own::default()
        },
    );
    hot(&desk, "a.md");
    for silent in ["03T09:00", "04T09:00", "05T00:00", "05T08:59"] {
        assert!(at(&desk, silent).is_empty(), "{silent}");
    }
    let mails = at(&desk, "05T09:00");
    assert_eq!(mails.len(), 1, "her next time tells all");
    mails[0].lists(&["Hot a.md"]);
    set(
        &desk,
        Own {
            stopped: true,
            ..Own::default()
        },
    );
    hot(&desk, "b.md");
    assert!(at(&desk, "06T09:00").is_empty());
    desk.run(&["notify", "--dry-run"])
        .done()
        .says(&["she has stopped her mails"]);
    assert!(desk.notify().is_empty(), "not even when asked by hand");
    set(&desk, Own::default());
    assert!(at(&desk, "06T10:00").is_empty());
    assert_eq!(at(&desk, "07T09:00").len(), 1);
}

#[test]
fn a_paused_reviewer_is_not_alerted() {
    let desk = desk(REVIEWERS, SLOW);
    let paused_until = Some("2026-03-04T12:00:00Z".parse().unwrap());
    set(
        &desk,
        Own {
            paused_until,
            ..Own::default()
        },
    );
    hot(&desk, "a.md");
    assert!(at(&desk, "02T10:30").is_empty());
    assert!(at(&desk, "04T11:59").is_empty());
}
