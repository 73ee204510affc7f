use super::*;
use crate::item::{Cause, Status, Verdict};
use crate::record::Hash;
use crate::store::decide::Decision;
use crate::store::items::Place;
use crate::store::mails::{Claim, Last, NewMail, Telling, Told};
use std::collections::BTreeSet;

const ANA: &str = "ana@example.org";
const BEN: &str = "ben@example.org";
const NEVER: &dyn Fn() -> bool = &|| false;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn at(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + days(day)
}

/// A desk with so many items, all pending at version 1 since day 0.
fn desk(items: i64) -> Store {
    let mut store = Store::in_memory().unwrap();
    let opened = store.write(|tx| {
        tx.0.execute_batch(
            "INSERT INTO field_classes (id, classes) VALUES (1, '{}');
             INSERT INTO sources (name, first_pass_at) VALUES ('news', -1);",
        )?;
        for id in 1..=items {
            let record = "INSERT INTO records (id, source, identity, revision, signal, classes, published, first_seen, changed_at, fields, body)
                          VALUES (?1, 'news', ?1, zeroblob(32), zeroblob(32), 1, 0, 0, 0, ?2, ?2)";
            tx.run(record, (id, lz4_flex::compress_prepend_size(b"{}")))?;
            let place = Place { queue: "general", rank: 1.0, due_at: Some(at(1)), expires_at: None };
            tx.open_item(id, Hash([0; 32]), &place, at(0))?;
        }
        Ok::<_, StoreError>(())
    });
    opened.unwrap();
    store
}

fn decide(tx: &Tx<'_>, item: i64, verdict: Verdict, now: Timestamp) {
    let decision = Decision {
        id: &uuid::Uuid::now_v7().to_string(),
        item,
        version: None,
        verdict,
        actor: "cli:test",
        reason: None,
        note: None,
        until: Some(now + days(9)),
        writes: false,
    };
    tx.decide(&decision, now).unwrap();
}

fn happens(tx: &Tx<'_>, item: i64, cause: Cause, now: Timestamp) {
    let stands = tx.item(item).unwrap().unwrap();
    tx.advance(&stands, cause, None, now).unwrap();
}

fn adds(tx: &Tx<'_>, item: i64, kind: &str, now: Timestamp) {
    let stands = tx.item(item).unwrap().unwrap();
    tx.add_event(&stands, kind, "copydesk", None, now).unwrap();
}

/// Writes a mail that tells of these items as they stand, and lets it end so.
fn mails(tx: &Tx<'_>, to: &str, told: &[(i64, i64)], end: &str, now: Timestamp) -> i64 {
    let telling = |(item, escalation): &(i64, i64)| {
        let stands = tx.item(*item).unwrap().unwrap();
        Telling {
            item: *item,
            version: stands.version,
            overdue: stands.is_overdue(now),
            escalation: *escalation,
        }
    };
    let mail = NewMail {
        message_id: &uuid::Uuid::now_v7().to_string(),
        kind: if told.len() == 1 { "alert" } else { "digest" },
        recipient: to,
        reason: "news",
        subject: "1 new",
        bytes: b"a whole mail",
        items: &told.iter().map(telling).collect::<Vec<_>>(),
    };
    let id = tx.queue_mail(&mail, now).unwrap();
    let claim = Claim { id, tries: 1 };
    match end {
        "sent" => tx.mail_sent(claim, "250 ok", now).unwrap(),
        "failed" => {
            tx.claim_mail(id, now).unwrap();
            tx.mail_failed(claim, "550 no").unwrap();
        }
        _ => {}
    }
    id
}

fn count(store: &mut Store, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let count = store.read(|tx| tx.one(&sql, (), |row| row.get(0)));
    count.unwrap().unwrap_or_default()
}

fn kinds(store: &mut Store, item: i64) -> Vec<String> {
    let events = store.read(|tx| tx.events(item)).unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

fn rules() -> RuleSet {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "sources: [{name: news, path: news}]\nqueues: [{name: general}]\n";
    std::fs::write(folder.path().join("a.yaml"), yaml).unwrap();
    RuleSet::load(folder.path()).unwrap()
}

#[test]
fn what_is_closed_keeps_how_it_came_to_be_so_and_what_is_open_all() {
    let mut store = desk(2);
    let lives = |tx: &Tx<'_>| {
        for item in [1, 2] {
            happens(tx, item, Cause::Revised, at(1));
            happens(tx, item, Cause::Revised, at(2));
            adds(tx, item, "claimed", at(3));
            decide(tx, item, Verdict::Approve, at(3));
            adds(tx, item, "written", at(4));
            decide(tx, item, Verdict::Reopen, at(5));
            decide(tx, item, Verdict::Reject, at(6));
            adds(tx, item, "written", at(7));
            adds(tx, item, "reasserted", at(8));
        }
        happens(tx, 2, Cause::Revised, at(9));
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    let all = kinds(&mut store, 2);
    let old = (days(20), days(20));
    // At day 28 only what is not older than 20 days stays for its youth.
    let gone = forget(&mut store, old, at(28), NEVER).unwrap().unwrap();
    assert_eq!(gone.events, 6);
    assert_eq!(
        kinds(&mut store, 1),
        ["revised", "reopened", "rejected", "reasserted"]
    );
    assert_eq!(kinds(&mut store, 2), all);
    let since = store.read(|tx| tx.waiting_since(1)).unwrap();
    assert_eq!(since, Some(at(5)));
    assert_eq!(store.read(|tx| tx.decisions(1)).unwrap().len(), 3);
    let again = forget(&mut store, old, at(900), NEVER).unwrap().unwrap();
    assert_eq!(again, Forgotten::default());
}

#[test]
fn what_is_young_stays_and_seven_days_are_always_young() {
    let mut store = desk(1);
    let lives = |tx: &Tx<'_>| {
        adds(tx, 1, "routed", at(1));
        decide(tx, 1, Verdict::Approve, at(2));
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    let minute = SignedDuration::from_mins(1);
    for (spans, day, gone) in [
        ((days(20), minute), 21, 0),
        ((minute, minute), 8, 0),
        ((minute, minute), 9, 1),
    ] {
        let now = at(day) + SignedDuration::from_secs(i64::from(gone > 0));
        let forgotten = forget(&mut store, spans, now, NEVER).unwrap().unwrap();
        assert_eq!(forgotten.events, gone, "{spans:?} at day {day}");
    }
}

#[test]
fn a_number_is_never_given_out_twice() {
    let mut store = desk(1);
    let lives = |tx: &Tx<'_>| {
        decide(tx, 1, Verdict::Approve, at(1));
        for day in 1..9 {
            adds(tx, 1, "written", at(day));
            mails(tx, ANA, &[], "sent", at(day));
        }
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    let newest = store.read(|tx| tx.newest_event()).unwrap();
    let spans = (days(30), days(30));
    let gone = forget(&mut store, spans, at(900), NEVER).unwrap().unwrap();
    assert_eq!((gone.events, gone.mails), (7, 7));
    let next = |tx: &Tx<'_>| {
        adds(tx, 1, "written", at(901));
        Ok::<_, StoreError>((tx.newest_event()?, mails(tx, ANA, &[], "sent", at(901))))
    };
    assert_eq!(store.write(next).unwrap(), (newest + 1, 9));
    // A program that has read up to here goes on from here.
    let since = store.read(|tx| tx.events_since(newest, 9)).unwrap();
    assert_eq!(since.len(), 1);
}

#[test]
fn a_mail_is_forgotten_but_for_what_must_not_be_told_again() {
    let mut store = desk(4);
    let lives = |tx: &Tx<'_>| {
        // 1 waits, 2 is approved, 3 is away and may be back, 4 has expired.
        mails(tx, ANA, &[(1, 1), (2, 0), (3, 0), (4, 0)], "sent", at(1));
        mails(tx, ANA, &[(1, 0), (2, 0), (3, 0), (4, 0)], "sent", at(2));
        mails(tx, ANA, &[(1, 0), (2, 0), (3, 0), (4, 0)], "sent", at(3));
        mails(tx, BEN, &[(1, 0), (2, 0)], "failed", at(3));
        mails(tx, BEN, &[(1, 0), (2, 0)], "queued", at(3));
        decide(tx, 2, Verdict::Approve, at(4));
        happens(tx, 3, Cause::Gone, at(4));
        happens(tx, 4, Cause::Expire, at(4));
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    let old = (days(30), days(30));
    // Nothing has happened to what is closed for less than 30 days.
    let gone = forget(&mut store, old, at(33), NEVER).unwrap().unwrap();
    assert_eq!(gone.mails, 0);
    assert_eq!(count(&mut store, "mail_log WHERE item IN (2, 4)"), 8);
    let gone = forget(&mut store, old, at(40), NEVER).unwrap().unwrap();
    assert_eq!(gone.mails, 1);
    let left = "SELECT l.mail * 100 + l.item * 10 + l.escalation, length(m.bytes) FROM mail_log l
                JOIN mails m ON m.id = l.mail ORDER BY l.mail, l.item";
    let left = store.read(|tx| tx.all(left, (), |row| Ok((row.get(0)?, row.get(1)?))));
    let whole = i64::try_from(b"a whole mail".len()).unwrap();
    assert_eq!(
        left.unwrap(),
        [
            (111_i64, 0), // that 1 is long overdue
            (310, 0),     // 1 and 3, as they were last told
            (330, 0),     //
            (410, 0),     // that 1 was given up
            (510, whole), // what is still to be sent
            (520, whole), //
        ]
    );
    let told = store.read(|tx| tx.told(ANA)).unwrap();
    let items: Vec<i64> = told.0.iter().map(|told| told.item).collect();
    assert_eq!((items, told.1.digest), (vec![1, 3], Some(at(3))));
}

#[test]
fn it_is_done_once_a_day_and_not_by_a_clock_that_has_leapt() {
    let (mut store, rules) = (desk(1), rules());
    let lives = |tx: &Tx<'_>| {
        decide(tx, 1, Verdict::Approve, at(1));
        for day in [2, 3, 11, 12, 13] {
            adds(tx, 1, "written", at(day));
        }
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    // Two years are kept.
    for (day, gone) in [
        (735, Some(2)),
        (735, None),
        (736, Some(0)),
        (742, Some(1)),
        (3_000, Some(0)),
        (743, Some(0)),
        (744, Some(1)),
    ] {
        let forgotten = tick(&mut store, &rules, at(day), NEVER).unwrap();
        assert_eq!(forgotten.map(|forgotten| forgotten.events), gone, "{day}");
    }
    let runs = store.read(|tx| tx.runs()).unwrap();
    let counts = r#"{"events":1,"mails":0,"write_backs":0}"#;
    assert_eq!(runs, [("retention".to_owned(), at(744), counts.to_owned())]);
}

#[test]
fn what_was_stopped_goes_on_the_next_time() {
    let (mut store, rules) = (desk(1), rules());
    let lives = |tx: &Tx<'_>| {
        decide(tx, 1, Verdict::Approve, at(0));
        for _ in 0..3 * LOOK {
            adds(tx, 1, "written", at(0));
        }
        Ok::<_, StoreError>(())
    };
    store.write(lives).unwrap();
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    assert_eq!(tick(&mut store, &rules, at(900), &stop).unwrap(), None);
    let left = count(&mut store, "events");
    assert!(3 < left && left < 3 * 500, "{left}");
    assert_eq!(store.read(|tx| tx.forgot_at()).unwrap(), None);
    let gone = tick(&mut store, &rules, at(900), NEVER).unwrap().unwrap();
    assert_eq!(i64::try_from(gone.events).unwrap(), left - 3);
    assert_eq!(kinds(&mut store, 1), ["queued", "approved", "written"]);
}

/// Numbers below others, as a seed gives them.
fn drawing(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    }
}

/// All that the desk asks of what may be forgotten.
#[derive(Debug, PartialEq)]
struct Answers {
    items: Vec<(i64, Status, Option<Timestamp>, Vec<String>)>,
    reviewers: Vec<Asked>,
    newest: (i64, i64),
    decisions: i64,
}

#[derive(Debug, PartialEq)]
struct Asked {
    told: Vec<Told>,
    last: Last,
    given_up: BTreeSet<(i64, i64)>,
    escalated: Vec<Option<i64>>,
    has_untold: bool,
    has_unescalated: [bool; 2],
}

fn answers(store: &mut Store, items: i64, now: Timestamp) -> Answers {
    let answers = store.read(|tx| {
        let stands: Vec<_> = (1..=items)
            .map(|id| tx.item(id).unwrap().unwrap())
            .collect();
        let of = |id: i64| &stands[usize::try_from(id - 1).unwrap()];
        let may_wait = |id: i64| {
            let status = of(id).status;
            status.is_open() || status == Status::Withdrawn
        };
        let asked = |to: &str| {
            let (told, last) = tx.told(to)?;
            let given_up = tx.given_up(to)?.into_iter();
            let escalated = tx.escalated(to)?;
            let by_now =
                |item: &crate::store::items::Item| escalated.get(&(item.id, item.version)).copied();
            let late = |level| tx.has_unescalated(to, level, now);
            Ok::<_, StoreError>(Asked {
                told: told
                    .into_iter()
                    .filter(|told| may_wait(told.item))
                    .collect(),
                last,
                given_up: given_up
                    .filter(|(id, version)| may_wait(*id) && of(*id).version == *version)
                    .collect(),
                escalated: stands
                    .iter()
                    .filter(|i| may_wait(i.id))
                    .map(by_now)
                    .collect(),
                has_untold: tx.has_untold("general", to)?,
                has_unescalated: [late(1)?, late(2)?],
            })
        };
        let came = |id: i64| {
            let events = tx.events(id)?;
            let newest = |kinds: &[&str]| {
                let mut events = events.iter().rev();
                let event = events.find(|event| kinds.contains(&&*event.kind));
                event.map(|event| format!("{} {}", event.kind, event.version))
            };
            let moved = ["approved", "rejected", "held", "gone", "outside", "expired"];
            let newest = [newest(&["revised"]), newest(&moved)].into_iter().flatten();
            let last = events.last().map(|event| event.kind.clone());
            Ok::<_, StoreError>(newest.chain(last).collect::<Vec<_>>())
        };
        let item = |id: i64| Ok((id, of(id).status, tx.waiting_since(id)?, came(id)?));
        let max = "SELECT coalesce(max(id), 0) FROM mails";
        let newest_mail = tx.one(max, (), |row| row.get(0))?.unwrap_or_default();
        Ok::<_, StoreError>(Answers {
            items: (1..=items).map(item).collect::<Result<_, StoreError>>()?,
            reviewers: vec![asked(ANA)?, asked(BEN)?],
            newest: (tx.newest_event()?, newest_mail),
            decisions: tx
                .one("SELECT count(*) FROM decisions", (), |row| row.get(0))?
                .unwrap_or_default(),
        })
    });
    answers.unwrap()
}

#[test]
fn whatever_has_happened_what_is_forgotten_is_asked_by_nobody() {
    const ITEMS: i64 = 5;
    let causes = [
        Cause::HoldOver,
        Cause::Gone,
        Cause::Back,
        Cause::Outside,
        Cause::Expire,
        Cause::Revised,
    ];
    let verdicts = [
        Verdict::Approve,
        Verdict::Reject,
        Verdict::Hold,
        Verdict::Reopen,
    ];
    let mut went = Forgotten::default();
    for seed in 1..=16_u64 {
        let mut any = drawing(seed);
        let mut draw = |below: i64| i64::try_from(any(usize::try_from(below).unwrap())).unwrap();
        let of = |n: i64| usize::try_from(n).unwrap();
        let (mut store, mut now) = (desk(ITEMS), at(0));
        for _ in 0..120 {
            now += SignedDuration::from_hours(draw(24 * 12));
            let item = 1 + draw(ITEMS);
            let step = |tx: &Tx<'_>| {
                match draw(9) {
                    0 | 1 => happens(tx, item, causes[of(draw(6))], now),
                    2 | 3 => decide(tx, item, verdicts[of(draw(4))], now),
                    4 => adds(tx, item, ["written", "routed", "claimed"][of(draw(3))], now),
                    5 => {
                        let handed = tx.item(item)?.unwrap();
                        tx.hand_to_reviewer(handed, ANA, None, ("cli:test", now))?;
                    }
                    _ => {
                        let is_open = |id: &i64| tx.item(*id).unwrap().unwrap().status.is_open();
                        let mut told = Vec::new();
                        for id in (1..=ITEMS).filter(is_open) {
                            if draw(3) > 0 {
                                told.push((id, [0, 0, 0, 1, 2][of(draw(5))]));
                            }
                        }
                        let end = ["sent", "sent", "sent", "failed", "queued"][of(draw(5))];
                        mails(tx, [ANA, BEN][of(draw(2))], &told, end, now);
                    }
                }
                Ok::<_, StoreError>(())
            };
            store.write(step).unwrap();
            let before = answers(&mut store, ITEMS, now);
            let gone = forget(&mut store, (days(30), days(20)), now, NEVER)
                .unwrap()
                .unwrap();
            went.events += gone.events;
            went.mails += gone.mails;
            assert_eq!(before, answers(&mut store, ITEMS, now), "seed {seed}");
        }
        // When all is closed and long at rest, little is left, however much has happened.
        for item in 1..=ITEMS {
            let closes = |tx: &Tx<'_>| {
                decide(tx, item, Verdict::Reopen, now);
                decide(tx, item, Verdict::Approve, now);
                Ok::<_, StoreError>(())
            };
            store.write(closes).unwrap();
        }
        forget(&mut store, (days(30), days(20)), now + days(99), NEVER).unwrap();
        assert!(count(&mut store, "events") <= 4 * ITEMS);
        assert_eq!(
            count(
                &mut store,
                "mail_log l JOIN mails m ON m.id = l.mail WHERE m.status <> 'queued'"
            ),
            0
        );
        assert!(count(&mut store, "mails WHERE status <> 'queued'") <= 8);
    }
    assert!(went.events > 50 && went.mails > 50, "{went:?}");
}

#[test]
fn a_reopening_takes_back_the_same_whatever_write_backs_are_forgotten() {
    const UNDOS: [&str; 3] = [
        r#"[{"key":"p","before":"false","after":"true"}]"#,
        r#"[{"key":"p","before":"true","after":"false"}]"#,
        r#"[{"key":"p","before":null,"after":"true"},{"key":"q","before":"1","after":"2"}]"#,
    ];
    let mut went = 0;
    for seed in 1..=150_u64 {
        let mut draw = drawing(seed);
        let mut store = desk(1);
        let (mut undo, mut path) = (0, 0);
        for step in 1..=8 {
            let now = at(step);
            let verdict = [Verdict::Approve, Verdict::Reject, Verdict::Reopen][draw(3)];
            let decides = |tx: &Tx<'_>| {
                decide(tx, 1, verdict, now);
                let sql = "SELECT id, kind FROM decisions ORDER BY version DESC LIMIT 1";
                let decision = tx.one(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
                let Some((decision, verb)): Option<(String, String)> = decision else {
                    return Ok(());
                };
                for _ in 0..draw(9) {
                    // Most are as the one before: what a feed takes back that is always the same.
                    undo = if draw(5) == 0 { draw(3) } else { undo };
                    path = if draw(9) == 0 { draw(2) } else { path };
                    let status = ["done", "done", "done", "stopped", "stale"][draw(5)];
                    let undone = (status == "done" && draw(6) > 0).then_some(UNDOS[undo]);
                    let sql = "INSERT INTO write_backs (decision, item, source, path, verb, status, next_at, undo, created_at, closed_at, new)
                               VALUES (?1, 1, 'news', ?2, ?3, ?4, 0, ?5, ?6, ?6, ?7)";
                    let (new, path) = (Hash([draw(6) as u8; 32]), ["a.md", "b.md"][path]);
                    tx.run(
                        sql,
                        (
                            decision.as_str(),
                            path,
                            verb.as_str(),
                            status,
                            undone,
                            Micros(now),
                            new,
                        ),
                    )?;
                }
                if draw(4) == 0 {
                    happens(tx, 1, Cause::Revised, now);
                }
                Ok::<_, StoreError>(())
            };
            store.write(decides).unwrap();
        }
        let stands = |tx: &Tx<'_>| {
            for path in ["a.md", "b.md"].into_iter().take(1 + draw(2)) {
                let sql =
                    "INSERT INTO locations (source, path, record, revision, raw, stat, first_seen)
                           VALUES ('news', ?1, 1, zeroblob(32), ?2, x'', ?3)";
                let first_seen = at(i64::try_from(draw(9)).unwrap());
                tx.run(sql, (path, Hash([draw(6) as u8; 32]), Micros(first_seen)))?;
            }
            Ok::<_, StoreError>(())
        };
        store.write(stands).unwrap();
        let mut taken_back = || {
            let mut said = Vec::new();
            let read = store.read(|tx| {
                for found in tx.locations_of(1)? {
                    let writes = tx.writes(1, "news", &found.location)?;
                    said.extend(
                        [found.raw.unwrap(), Hash([9; 32])].map(|raw| writes.standing(raw)),
                    );
                }
                tx.each_seen(None, &BTreeSet::new(), |seen| {
                    said.push(seen.written.clone())
                })
            });
            read.unwrap();
            (
                said,
                forget(&mut store, (days(30), days(30)), at(60), NEVER)
                    .unwrap()
                    .unwrap(),
            )
        };
        let (before, mut gone) = taken_back();
        // What has gone may leave more that repeats what is next to it.
        while gone.write_backs > 0 {
            went += gone.write_backs;
            let (after, again) = taken_back();
            assert_eq!(before, after, "seed {seed}");
            gone = again;
        }
    }
    assert!(went > 150, "{went}");
}

/// What bounds each table, so that none grows for ever unseen.
const BOUNDS: [(&str, &str); 29] = [
    ("api_tokens", "what editors make"),
    ("assessments", "records"),
    ("backup", "one row"),
    ("decisions", "kept for good: the audit"),
    ("events", "retention"),
    ("failures", "the loops of the service"),
    ("field_classes", "what editors write in the rules"),
    (
        "hits",
        "the rules in force: what no assessment names is forgotten",
    ),
    ("items", "records"),
    ("locations", "files: those that are gone are dropped"),
    ("mail_log", "retention"),
    ("mails", "retention"),
    ("moved", "files in the folders of `move`"),
    ("records", "stories: each has one for good"),
    ("relay", "one row"),
    ("restores", "what operators do"),
    ("rule_sets", "those that have assessed what is there"),
    ("runs", "kinds of work"),
    ("schedules", "reviewers"),
    ("schema_version", "versions"),
    ("service", "one row"),
    ("sessions", "those that are over go with the next sign-in"),
    ("settings", "reviewers"),
    ("shadow_hits", "records, and rules in shadow mode"),
    (
        "sign_ins",
        "those that are over go with the next, and a hundred hold",
    ),
    ("sources", "what editors write in the rules"),
    ("suspended", "addresses of reviewers"),
    ("unjudged", "records"),
    (
        "write_backs",
        "decisions, and retention: each file's first two, and its last",
    ),
];

#[test]
fn every_table_has_a_bound() {
    let mut store = Store::in_memory().unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = store.read(|tx| tx.all(sql, (), |row| row.get(0))).unwrap();
    let tables: BTreeSet<&str> = tables.iter().map(String::as_str).collect();
    assert_eq!(tables, BOUNDS.map(|(table, _)| table).into());
}
