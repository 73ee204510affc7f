use super::*;
use crate::item::Verdict;
use crate::record::source::Classes;
use crate::record::value::{Map, Value};
use crate::record::{Hash, Record};
use crate::store::decide::Decision;
use crate::store::items::Place;
use crate::store::packing::Packed;
use crate::store::past::PastPage;
use crate::store::tallies::Tally;
use proptest::prelude::*;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn at(hour: i64) -> Timestamp {
    "2026-03-02T00:00:00Z".parse::<Timestamp>().unwrap() + HOUR * i32::try_from(hour).unwrap()
}

/// A pending item.
fn add(tx: &Tx<'_>, title: &str, queue: &str, now: Timestamp) -> i64 {
    let mut fields = Map::default();
    fields.set("title", Value::Text(title.to_owned()));
    let hash = Hash([0; 32]);
    let n = tx.newest_event().unwrap();
    let record = Record {
        identity: n.to_string(),
        fields,
        body: String::new(),
        published: false,
        flag: Some(false),
        revision: hash,
        signal: hash,
        warnings: Vec::new(),
    };
    let classes = Classes {
        signal: vec![],
        volatile: vec![],
        decision: vec![],
    };
    let classes = tx.classes_id(&classes).unwrap();
    let record = tx
        .add_record("news", &record, &Packed::of(&record).unwrap(), classes, now)
        .unwrap();
    let place = Place {
        queue,
        rank: 0.0,
        due_at: None,
        expires_at: None,
    };
    tx.open_item(record, hash, &place, now).unwrap().id
}

fn decide(tx: &Tx<'_>, item: i64, verdict: Verdict, actor: &str, now: Timestamp) -> String {
    let id = format!("{}", tx.newest_event().unwrap());
    let decision = Decision {
        id: &id,
        item,
        version: None,
        verdict,
        actor,
        reason: (verdict == Verdict::Reject).then_some("rights"),
        note: Some("=1+1"),
        until: Some(at(1_000)),
        writes: false,
    };
    tx.decide(&decision, now).unwrap();
    id
}

fn written(store: &mut Store, ask: &PastAsk<'_>) -> (String, String) {
    let (mut table, mut lines) = (Vec::new(), Vec::new());
    csv(store, ask, &mut table).unwrap();
    json_lines(store, ask, &mut lines).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(table), text(lines))
}

#[test]
fn the_history_is_written_out_with_nothing_that_acts() {
    let mut store = Store::in_memory().unwrap();
    let made = |tx: &Tx<'_>| {
        let item = add(tx, "=HYPERLINK(\"http://x\")", "general", at(0));
        decide(tx, item, Verdict::Reject, "@ana", at(1));
        let item = add(tx, "Two\nlines, \"quoted\"", "general", at(2));
        decide(tx, item, Verdict::Approve, "ana@example.org", at(3));
        Ok::<_, StoreError>(())
    };
    store.write(made).unwrap();
    let (table, lines) = written(&mut store, &PastAsk::default());
    assert_eq!(
        table,
        "\"at\",\"kind\",\"item\",\"version\",\"queue\",\"title\",\"source\",\"location\",\"actor\",\"reason\",\"note\",\"until\",\"written\"\r\n\
         \"2026-03-02T03:00:00Z\",\"approve\",\"2\",\"1\",\"general\",\"Two\nlines, \"\"quoted\"\"\",\"news\",\"\",\"ana@example.org\",\"\",\"'=1+1\",\"\",\"\"\r\n\
         \"2026-03-02T01:00:00Z\",\"reject\",\"1\",\"1\",\"general\",\"'=HYPERLINK(\"\"http://x\"\")\",\"news\",\"\",\"'@ana\",\"rights\",\"'=1+1\",\"\",\"\"\r\n"
    );
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["title"], "=HYPERLINK(\"http://x\")");
    assert_eq!(lines[1]["reason"], "rights");
}

#[test]
fn a_cell_that_a_spreadsheet_would_run_has_an_apostrophe() {
    for cell in ["=1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "plain", "1-1"] {
        let mut line = Vec::new();
        csv_line(&mut line, [cell, ""]).unwrap();
        let acts = !matches!(cell, "plain" | "1-1");
        let mark = if acts { "'" } else { "" };
        assert_eq!(
            String::from_utf8(line).unwrap(),
            format!("\"{mark}{cell}\",\"\"\r\n")
        );
    }
}

#[test]
fn a_reader_that_is_gone_ends_it() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut store = Store::in_memory().unwrap();
    let ended = csv(&mut store, &PastAsk::default(), &mut Gone);
    assert!(matches!(ended, Err(HistoryError::Out(_))), "{ended:?}");
}

/// A decision as it was made: when, its UUID, what, on which item, by whom.
type Made = (Timestamp, String, Verdict, usize, &'static str);
type Keeps = Box<dyn Fn(&Made) -> bool>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_of_history_are_what_was_decided(
        steps in prop::collection::vec((0..4usize, 0..2usize, 0..3i64), 0..40),
        size in 1..6usize, which in 0..8usize,
    ) {
        const ACTORS: [&str; 2] = ["ana@example.org", "queue:general"];
        const VERDICTS: [Verdict; 4] = [Verdict::Approve, Verdict::Reject, Verdict::Hold, Verdict::Reopen];
        let mut store = Store::in_memory().unwrap();
        let check = |tx: &Tx<'_>| {
            let items = [add(tx, "A", "general", at(0)), add(tx, "B", "urgent", at(0))];
            let mut made = Vec::new();
            for (n, (verdict, item, hour)) in steps.iter().enumerate() {
                let (verdict, actor) = (VERDICTS[*verdict], ACTORS[n % 2]);
                let before = tx.decisions(items[*item])?.len();
                let id = decide(tx, items[*item], verdict, actor, at(*hour));
                if tx.decisions(items[*item])?.len() > before {
                    made.push((at(*hour), id, verdict, *item, actor));
                }
            }
            made.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
            let ask = PastAsk { size: Some(size), ..PastAsk::default() };
            let (ask, keeps): (PastAsk<'_>, Keeps) = match which {
                0 => (PastAsk { actor: Some("ana@example.org"), ..ask }, Box::new(|d| d.4 == "ana@example.org")),
                1 => (PastAsk { verdict: Some(Verdict::Hold), ..ask }, Box::new(|d| d.2 == Verdict::Hold)),
                2 => (PastAsk { queue: Some("urgent"), ..ask }, Box::new(|d| d.3 == 1)),
                3 => (PastAsk { since: Some(at(1)), ..ask }, Box::new(|d| d.0 >= at(1))),
                4 => (PastAsk { until: Some(at(1)), ..ask }, Box::new(|d| d.0 < at(1))),
                5 => (PastAsk { item: Some(items[0]), actor: Some(ACTORS[1]), ..ask }, Box::new(|d| d.3 == 0 && d.4 == ACTORS[1])),
                6 => (PastAsk { reason: Some("rights"), ..ask }, Box::new(|d| d.2 == Verdict::Reject)),
                _ => (ask, Box::new(|_| true)),
            };
            made.retain(|decision| keeps(decision));
            let ids: Vec<String> = made.into_iter().map(|(_, id, ..)| id).collect();
            let mut met = Vec::new();
            let mut next: Option<String> = None;
            loop {
                let PastPage { rows, next: on, .. } = tx.past(&PastAsk { at: next.as_deref(), ..ask.clone() })?;
                assert!(rows.len() <= size);
                met.extend(rows.into_iter().map(|past| past.id));
                next = on;
                if next.is_none() {
                    break;
                }
            }
            assert_eq!(met, ids);
            Ok::<_, StoreError>(())
        };
        store.write(check).unwrap();
    }

    #[test]
    fn any_text_is_a_place_in_history_or_an_error(text in ".{0,40}") {
        let mut store = Store::in_memory().unwrap();
        let ask = PastAsk { at: Some(&text), ..PastAsk::default() };
        match store.read(|tx| tx.past(&ask)) {
            Ok(page) => assert!(page.rows.is_empty()),
            Err(error) => assert!(matches!(error, StoreError::Cursor), "{error}"),
        }
    }
}

#[test]
fn events_come_after_the_one_that_is_known() {
    let mut store = Store::in_memory().unwrap();
    let check = |tx: &Tx<'_>| {
        let item = add(tx, "A", "general", at(0));
        decide(tx, item, Verdict::Approve, "ana@example.org", at(1));
        let kinds = |from, limit| {
            let events = tx.events_since(from, limit).unwrap();
            let told = events
                .into_iter()
                .map(|event| (event.id, event.kind, event.queue));
            told.collect::<Vec<_>>()
        };
        let general = || "general".to_owned();
        let queued = (1, "queued".to_owned(), general());
        let approved = (2, "approved".to_owned(), general());
        assert_eq!(kinds(0, 10), [queued.clone(), approved.clone()]);
        assert_eq!(kinds(0, 1), [queued]);
        assert_eq!(kinds(1, 10), [approved]);
        assert_eq!(kinds(2, 10), []);
        assert_eq!(tx.newest_event()?, 2);
        Ok::<_, StoreError>(())
    };
    store.write(check).unwrap();
}

#[test]
fn a_day_is_as_long_as_it_is_where_the_desk_stands() {
    let zone = TimeZone::get("Europe/Lisbon").unwrap();
    let mut store = Store::in_memory().unwrap();
    let found = store.write(|tx| {
        // On March 29th of 2026 summer time begins in Lisbon: the day ends at 23:00 UTC.
        for time in [
            "2026-03-29T00:00:00Z",
            "2026-03-29T22:59:59Z",
            "2026-03-29T23:00:00Z",
        ] {
            let now = time.parse().unwrap();
            let item = add(tx, time, "general", now);
            decide(tx, item, Verdict::Approve, "ana@example.org", now);
        }
        days(tx, 3, &zone, "2026-03-30T12:00:00Z".parse().unwrap())
    });
    let found: Vec<_> = found
        .unwrap()
        .into_iter()
        .map(|day| (day.date.to_string(), day.flow))
        .collect();
    let flow = |n| Flow {
        arrived: n,
        approved: n,
        ..Flow::default()
    };
    let expected = [
        ("2026-03-28", flow(0)),
        ("2026-03-29", flow(2)),
        ("2026-03-30", flow(1)),
    ];
    assert_eq!(found, expected.map(|(date, flow)| (date.to_owned(), flow)));
}

#[test]
fn what_waits_is_counted_by_how_long() {
    let mut store = Store::in_memory().unwrap();
    let found = store.write(|tx| {
        // 0, 1, …, 49 hours ago; what is exactly an hour old has waited an hour.
        for hour in 0..50 {
            let item = add(
                tx,
                "A",
                ["general", "urgent"][hour % 2],
                at(hour.try_into().unwrap()),
            );
            if hour == 49 {
                decide(tx, item, Verdict::Approve, "ana@example.org", at(49));
            }
        }
        ages(tx, &["general", "urgent"], at(49))
    });
    let found: Vec<i64> = found.unwrap().iter().map(|age| age.items).collect();
    assert_eq!(found, [0, 5, 18, 26, 0, 0, 0]);
}

#[test]
fn rules_and_scores_are_held_against_what_people_decided() {
    use crate::rules::assess::{Assessment, Hit, Route};
    use crate::rules::score::{Axis, Score};
    let mut store = Store::in_memory().unwrap();
    let hit = |rule: &str| Hit {
        rule: rule.into(),
        axis: Axis::Quality,
        points: 1,
        why: "say \"so\"".into(),
        at: crate::rules::Place {
            file: "rules/a.yaml".into(),
            line: 1,
        },
    };
    let check = |tx: &Tx<'_>| {
        for (rules, score, verdict, actor) in [
            (vec!["a", "b"], 19, Some(Verdict::Approve), "ana"),
            (vec!["a"], 10, Some(Verdict::Reject), "ana"),
            (vec!["a", "c"], -1, Some(Verdict::Approve), "queue:general"),
            (vec!["b"], 12, None, ""),
            (vec!["b"], 12, Some(Verdict::Hold), "ana"),
        ] {
            let item = add(tx, "A", "general", at(0));
            let assessment = Assessment {
                score: Score::new(score, 0, 0),
                hits: rules.into_iter().map(hit).collect(),
                shadow: vec![],
                not_evaluated: vec![],
                route: Route::Unrouted,
                near: vec![],
                flips_at: None,
            };
            let record = tx.item(item)?.unwrap().record;
            tx.put_assessment(record, Hash([0; 32]), &assessment)?;
            if let Some(verdict) = verdict {
                decide(tx, item, verdict, actor, at(1));
            }
        }
        let tally = |open, approved, rejected| Tally {
            open,
            approved,
            rejected,
        };
        let by_rule = tx.hits_by_rule(&["general"])?;
        let expected = [("a", tally(0, 1, 1)), ("b", tally(2, 1, 0))];
        assert_eq!(
            by_rule,
            expected
                .map(|(rule, tally)| (rule.to_owned(), tally))
                .into()
        );
        assert_eq!(by_rule["a"].share_approved(), Some(0.5));
        assert_eq!(tally(3, 0, 0).share_approved(), None);
        assert_eq!(tx.decided_by_score()?, [(10, tally(0, 1, 1))].into());
        Ok::<_, StoreError>(())
    };
    store.write(check).unwrap();
}
