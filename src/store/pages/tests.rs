use super::*;
use crate::store::Store;
use crate::store::decide::{Answer, Decision};
use crate::store::items::Place;
use proptest::prelude::*;
use std::cmp::Reverse;

const QUEUES: [&str; 3] = ["urgent", "général", "z"];

/// What an item is made of; few values, so that many are alike.
#[derive(Clone, Debug)]
struct Made {
    queue: usize,
    rank: i8,
    arrived: u8,
    due: Option<u8>,
    score: i8,
    topics: usize,
    provider: usize,
    held: bool,
    claimed: bool,
    published: Option<u8>,
}

fn made() -> impl Strategy<Value = Made> {
    let numbers = (
        0..3usize,
        -2..3i8,
        0..4u8,
        proptest::option::of(0..4u8),
        -2..3i8,
    );
    let rest = (
        0..4usize,
        0..3usize,
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        proptest::option::of(0..4u8),
    );
    (numbers, rest).prop_map(|(numbers, rest)| {
        let (queue, rank, arrived, due, score) = numbers;
        let (topics, provider, held, claimed, published) = rest;
        Made {
            queue,
            rank,
            arrived,
            due,
            score,
            topics,
            provider,
            held,
            claimed,
            published,
        }
    })
}

fn at(day: u8) -> Timestamp {
    Timestamp::from_second(i64::from(day) * 86_400).unwrap()
}

const TOPICS: [&str; 4] = [
    "[]",
    "[\"AI\"]",
    "[\"ai &amp; law\", \"AI\"]",
    "[\"Straße\"]",
];
const PROVIDERS: [&str; 3] = [
    "{\"name\": \"Gulf News\", \"domain\": \"www.gulfnews.com\"}",
    "{\"name\": \"Q&amp;A\"}",
    "null",
];
const TITLES: [&str; 3] = ["Robots read ÄPFEL", "AI &amp; bees", "Nothing new"];

fn add(tx: &Tx<'_>, n: usize, made: &Made) -> i64 {
    let published = made.published.map(|day| at(day).to_string());
    let fields = format!(
        "{{\"topics\": {}, \"provider\": {}, \"excerpt\": \"Words of {} and bees\", \"publishedDateTime\": {}}}",
        TOPICS[made.topics],
        PROVIDERS[made.provider],
        made.rank,
        serde_json::to_string(&published).unwrap()
    );
    let fields = lz4_flex::compress_prepend_size(fields.as_bytes());
    let hash = crate::record::Hash([0; 32]);
    let sql = "INSERT INTO field_classes (id, classes) VALUES (1, '{}') ON CONFLICT DO NOTHING";
    tx.run(sql, []).unwrap();
    let sql = "INSERT INTO records (source, identity, revision, signal, classes, published, first_seen, changed_at, title, fields, body)
               VALUES (?1, ?2, ?3, ?3, 1, 0, ?4, ?4, ?5, ?6, ?6) RETURNING id";
    let source = ["news", "blogs"][n % 2];
    let title = (n % 4 < 3).then(|| TITLES[n % 3]);
    let values = (
        source,
        n.to_string(),
        hash,
        Micros(at(made.arrived)),
        title,
        fields,
    );
    let record: i64 = tx.one(sql, values, |row| row.get(0)).unwrap().unwrap();
    let sql = "INSERT INTO assessments (record, rules, quality, heat, topic, total, skipped, hits)
               VALUES (?1, 0, ?2, 0, 0, ?2, 0, '[]')";
    tx.run(sql, (record, made.score)).unwrap();
    let place = Place {
        queue: QUEUES[made.queue],
        rank: f64::from(made.rank) / 3.0,
        due_at: made.due.map(at),
        expires_at: None,
    };
    let now = at(made.arrived);
    let item = tx.open_item(record, hash, &place, now).unwrap();
    let id = item.id;
    if made.claimed {
        let until = at(made.arrived % 2 + 2);
        tx.claim(item, "ana@example.org", until, now).unwrap();
    }
    if made.held {
        decide(tx, id, crate::item::Verdict::Hold);
    }
    id
}

fn decide(tx: &Tx<'_>, item: i64, verdict: crate::item::Verdict) {
    let id = format!("{item} {verdict:?}");
    let decision = Decision {
        id: &id,
        item,
        version: None,
        verdict,
        actor: "ana@example.org",
        reason: None,
        note: None,
        until: Some(at(9)),
        writes: false,
    };
    let answer = tx.decide(&decision, at(5)).unwrap();
    assert!(matches!(answer, Answer::Made(_)), "{answer:?}");
}

fn desk(items: &[Made]) -> Store {
    let mut store = Store::in_memory().unwrap();
    store
        .write(|tx| {
            for (n, made) in items.iter().enumerate() {
                add(tx, n, made);
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    store
}

/// The same list, sorted here.
fn listed(tx: &Tx<'_>, ask: &Ask<'_>) -> Vec<Listed> {
    let items = tx.open_items().unwrap().into_iter();
    let place = |listed: &Listed| ask.queues.iter().position(|q| *q == listed.item.queue);
    let mut items: Vec<Listed> = items.filter(|listed| place(listed).is_some()).collect();
    let id = |listed: &Listed| listed.item.id;
    match ask.sort {
        Sort::Rank => items.sort_by(|a, b| {
            let ranks = b.item.rank.total_cmp(&a.item.rank);
            (place(a).cmp(&place(b)).then(ranks)).then(id(a).cmp(&id(b)))
        }),
        Sort::Oldest => items.sort_by_key(|listed| (listed.item.arrived_at, id(listed))),
        Sort::Newest => items.sort_by_key(|l| Reverse((l.item.arrived_at, id(l)))),
        Sort::Score => items.sort_by_key(|l| (Reverse(l.score.total), id(l))),
        Sort::Due => items.sort_by_key(|l| (l.item.due_at.is_none(), l.item.due_at, id(l))),
    }
    items
}

fn ids(page: &Page) -> Vec<i64> {
    page.rows.iter().map(|row| row.listed.item.id).collect()
}

/// All pages from a place on, or back from there; each page in the order of the list.
fn walked(tx: &Tx<'_>, ask: &Ask<'_>, back: bool, now: Timestamp) -> Vec<Vec<i64>> {
    let mut at = ask.at.map(str::to_owned);
    let mut pages = Vec::new();
    loop {
        let ask = Ask {
            at: at.as_deref(),
            ..ask.clone()
        };
        let page = tx.page(&ask, now).unwrap();
        assert!(page.rows.len() <= ask.size.unwrap());
        pages.push(ids(&page));
        assert!(pages.len() < 1_000, "it does not end");
        at = if back { page.previous } else { page.next };
        if at.is_none() {
            return pages;
        }
    }
}

fn last_page(tx: &Tx<'_>, ask: &Ask<'_>) -> Page {
    let mut page = tx.page(ask, at(2)).unwrap();
    while let Some(next) = page.next {
        let ask = Ask {
            at: Some(&next),
            ..ask.clone()
        };
        page = tx.page(&ask, at(2)).unwrap();
    }
    page
}

fn whole(listed: &[Listed]) -> Vec<i64> {
    listed.iter().map(|listed| listed.item.id).collect()
}

fn queues(mask: u8) -> Vec<&'static str> {
    let chosen = QUEUES
        .iter()
        .enumerate()
        .filter(|(n, _)| mask & (1 << n) != 0);
    chosen.map(|(_, queue)| *queue).collect()
}

type Keeps<'a> = Box<dyn Fn(&Listed) -> bool + 'a>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_walk_meets_all_in_order_both_ways(
        items in prop::collection::vec(made(), 0..40), size in 1..8usize, mask in 0..8u8,
    ) {
        let mut store = desk(&items);
        let check = |tx: &Tx<'_>| {
            for sort in Sort::ALL {
                let ask = Ask { queues: queues(mask), sort, size: Some(size), ..Ask::default() };
                let all = whole(&listed(tx, &ask));
                let forward = walked(tx, &ask, false, at(2));
                assert_eq!(forward.concat(), all, "{sort:?}");
                assert!(forward.iter().rev().skip(1).all(|page| page.len() == size));
                // From the last page back to the first: what was before the last page.
                let last = last_page(tx, &ask).previous;
                if let Some(last) = last.as_deref() {
                    let mut back = walked(tx, &Ask { at: Some(last), ..ask.clone() }, true, at(2));
                    back.reverse();
                    let before = all.len() - forward.last().unwrap().len();
                    assert_eq!(back.concat(), all[..before], "{sort:?}");
                }
            }
            Ok::<_, StoreError>(())
        };
        store.read(check).unwrap();
    }

    #[test]
    fn what_stays_is_met_once_while_others_come_and_go(
        items in prop::collection::vec(made(), 1..30),
        steps in prop::collection::vec((any::<prop::sample::Index>(), made()), 1..12),
        size in 1..5usize, sort in 0..5usize, is_back in any::<bool>(),
    ) {
        let mut store = desk(&items);
        let sort = Sort::ALL[sort];
        let ask = Ask { queues: QUEUES.to_vec(), sort, size: Some(size), ..Ask::default() };
        let step = |tx: &Tx<'_>| {
            let mut stays = whole(&listed(tx, &ask));
            let mut at_mark = None;
            if is_back {
                let end = last_page(tx, &ask);
                stays.truncate(stays.len() - end.rows.len());
                at_mark = end.previous;
                if at_mark.is_none() {
                    return Ok(());
                }
            }
            let mut met = Vec::new();
            let mut steps = steps.iter();
            for n in 100.. {
                let page = tx.page(&Ask { at: at_mark.as_deref(), ..ask.clone() }, at(2))?;
                met.extend(ids(&page));
                at_mark = if is_back { page.previous } else { page.next };
                if at_mark.is_none() {
                    break;
                }
                if let Some((which, made)) = steps.next() {
                    let open = tx.open_items()?;
                    let goes = which.get(&open).item.id;
                    decide(tx, goes, crate::item::Verdict::Approve);
                    stays.retain(|id| *id != goes);
                    add(tx, n, made);
                }
            }
            let mut once = met.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), met.len(), "one came twice: {met:?}");
            let missed: Vec<_> = stays.iter().filter(|id| !met.contains(id)).collect();
            assert!(missed.is_empty(), "{missed:?} of {stays:?}");
            Ok::<_, StoreError>(())
        };
        store.write(step).unwrap();
    }

    #[test]
    fn filters_let_through_what_a_reader_would(
        items in prop::collection::vec(made(), 0..40), which in 0..12usize, sort in 0..5usize, size in 1..6usize,
    ) {
        let mut store = desk(&items);
        let ask = Ask { queues: QUEUES.to_vec(), sort: Sort::ALL[sort], size: Some(size), ..Ask::default() };
        let now = at(2);
        let number = |id: i64| usize::try_from(id - 1).unwrap();
        let made = |listed: &Listed| items[number(listed.item.id)].clone();
        let title = |listed: &Listed| listed.title.clone().unwrap_or_default();
        let (ask, keeps): (Ask<'_>, Keeps<'_>) = match which {
            0 => (Ask { topic: Some("ai"), ..ask }, Box::new(|l| matches!(made(l).topics, 1 | 2))),
            1 => (Ask { topic: Some("AI & LAW"), ..ask }, Box::new(|l| made(l).topics == 2)),
            2 => (Ask { provider: Some("GulfNews.com"), ..ask }, Box::new(|l| made(l).provider == 0)),
            3 => (Ask { provider: Some("q&a"), ..ask }, Box::new(|l| made(l).provider == 1)),
            4 => (Ask { least: Some(-1), most: Some(1), ..ask }, Box::new(|l| (-1..=1).contains(&made(l).score))),
            5 => (Ask { published_since: Some(at(2)), ..ask }, Box::new(|l| {
                let made = made(l);
                made.published.unwrap_or(made.arrived) >= 2
            })),
            6 => (Ask { source: Some("blogs"), ..ask }, Box::new(|l| l.source == "blogs")),
            7 => (Ask { text: Some(" äpfel  BEES "), ..ask }, Box::new(|l| title(l).contains("ÄPFEL"))),
            8 => (Ask { claimed_by: Some("ana@example.org"), ..ask }, Box::new(|l| {
                l.item.claim(at(2)).is_some_and(|(by, _)| by == "ana@example.org")
            })),
            9 => (Ask { overdue: true, ..ask }, Box::new(|l| {
                !made(l).held && made(l).due.is_some_and(|due| due <= 2)
            })),
            10 => (Ask { status: Some(Status::Held), ..ask }, Box::new(|l| made(l).held)),
            _ => (Ask { status: Some(Status::Pending), text: Some("robots"), topic: Some("straße"), ..ask },
                Box::new(|l| !made(l).held && made(l).topics == 3 && title(l).contains("Robots"))),
        };
        let check = |tx: &Tx<'_>| {
            let mut all = listed(tx, &ask);
            all.retain(|listed| keeps(listed));
            assert_eq!(walked(tx, &ask, false, now).concat(), whole(&all));
            Ok::<_, StoreError>(())
        };
        store.read(check).unwrap();
    }

    #[test]
    fn any_text_is_a_place_or_an_error(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..40), sort in 0..5usize) {
        let made = Made { queue: 0, rank: 1, arrived: 1, due: None, score: 0, topics: 0, provider: 0, held: false, claimed: false, published: None };
        let mut store = desk(&[made]);
        use base64::Engine;
        let coded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let check = |tx: &Tx<'_>| {
            for text in [&text, &coded] {
                let ask = Ask { queues: QUEUES.to_vec(), sort: Sort::ALL[sort], at: Some(text), ..Ask::default() };
                match tx.page(&ask, at(2)) {
                    Ok(page) => assert!(page.rows.len() <= 1),
                    Err(error) => assert!(matches!(error, StoreError::Cursor), "{error}"),
                }
            }
            Ok::<_, StoreError>(())
        };
        store.read(check).unwrap();
    }
}

fn plain() -> Made {
    Made {
        queue: 0,
        rank: 1,
        arrived: 1,
        due: None,
        score: 0,
        topics: 1,
        provider: 0,
        held: false,
        claimed: false,
        published: None,
    }
}

#[test]
fn a_place_of_another_list_is_refused() {
    let mut store = desk(&vec![plain(); 4]);
    let check = |tx: &Tx<'_>| {
        let ask = Ask {
            queues: vec!["urgent"],
            size: Some(2),
            ..Ask::default()
        };
        let next = tx.page(&ask, at(2))?.next.unwrap();
        let there = Ask {
            at: Some(&next),
            ..ask.clone()
        };
        assert_eq!(ids(&tx.page(&there, at(2))?), [3, 4]);
        for other in [
            Ask {
                sort: Sort::Due,
                ..there.clone()
            },
            Ask {
                queues: vec!["z"],
                ..there.clone()
            },
            Ask {
                queues: vec![],
                ..there.clone()
            },
        ] {
            assert!(
                matches!(tx.page(&other, at(2)), Err(StoreError::Cursor)),
                "{other:?}"
            );
        }
        for (at_most, text) in [(i64::MAX, "highest"), (i64::MIN, "lowest")] {
            let mark = Mark {
                queue: 0,
                key: at_most,
                id: at_most,
            };
            let ask = Ask {
                sort: Sort::Oldest,
                ..ask.clone()
            };
            for back in [true, false] {
                let text_of = mark.written(&ask, back);
                let page = tx.page(
                    &Ask {
                        at: Some(&text_of),
                        ..ask.clone()
                    },
                    at(2),
                );
                assert!(page.is_ok(), "{text}, back: {back}");
            }
        }
        // No rank is infinite, or no number.
        for rank in [f64::INFINITY, f64::NAN] {
            let mark = Mark {
                queue: 0,
                key: rank.to_bits().cast_signed(),
                id: 1,
            };
            let text = mark.written(&ask, false);
            let page = tx.page(
                &Ask {
                    at: Some(&text),
                    ..ask.clone()
                },
                at(2),
            );
            assert!(matches!(page, Err(StoreError::Cursor)), "{rank}");
        }
        Ok::<_, StoreError>(())
    };
    store.read(check).unwrap();
}

#[test]
fn a_search_that_finds_nothing_goes_on_page_by_page() {
    let mut items = vec![plain(); LOOK + 3];
    items[LOOK + 1].topics = 3;
    let mut store = desk(&items);
    let check = |tx: &Tx<'_>| {
        let ask = Ask {
            queues: vec!["urgent"],
            topic: Some("Straße"),
            ..Ask::default()
        };
        let page = tx.page(&ask, at(2))?;
        assert!(page.rows.is_empty() && page.goes_on, "{page:?}");
        let next = page.next.unwrap();
        let page = tx.page(
            &Ask {
                at: Some(&next),
                ..ask
            },
            at(2),
        )?;
        assert_eq!(ids(&page), [i64::try_from(LOOK + 2).unwrap()]);
        assert!(page.next.is_none() && !page.goes_on);
        Ok::<_, StoreError>(())
    };
    store.read(check).unwrap();
}

#[test]
fn a_row_shows_what_its_file_says() {
    let mut store = desk(&[Made {
        topics: 2,
        published: Some(3),
        ..plain()
    }]);
    let page = store.read(|tx| {
        tx.page(
            &Ask {
                queues: vec!["urgent"],
                ..Ask::default()
            },
            at(2),
        )
    });
    let page = page.unwrap();
    let row = &page.rows[0];
    assert_eq!(row.provider.as_deref(), Some("Gulf News"));
    assert_eq!(row.domain.as_deref(), Some("gulfnews.com"));
    assert_eq!(row.topics, ["ai & law", "AI"]);
    assert_eq!(row.published_at, Some(at(3)));
    assert_eq!(row.excerpt.as_deref(), Some("Words of 1 and bees"));
    assert_eq!(row.listed.name(), "Robots read ÄPFEL");
    assert!(page.next.is_none() && page.previous.is_none());
}

#[test]
fn the_score_that_lists_are_sorted_by_follows_the_assessment() {
    let mut store = desk(&[Made {
        score: 2,
        ..plain()
    }]);
    let assessment = crate::rules::assess::Assessment {
        score: crate::rules::score::Score::new(40, 2, 0),
        hits: vec![],
        shadow: vec![],
        not_evaluated: vec![],
        route: crate::rules::assess::Route::Unrouted,
        near: vec![],
        flips_at: None,
    };
    let scores = store.write(|tx| {
        let score = |tx: &Tx<'_>| tx.one("SELECT score FROM items", [], |row| row.get::<_, i64>(0));
        let before = score(tx)?;
        tx.put_assessment(1, crate::record::Hash([1; 32]), &assessment)?;
        Ok::<_, StoreError>((before, score(tx)?))
    });
    assert_eq!(scores.unwrap(), (Some(2), Some(42)));
}

#[test]
fn counts_end_where_they_are_told_to() {
    use crate::store::counts::{Count, InHands};
    let due = Made {
        due: Some(1),
        ..plain()
    };
    let held = Made {
        due: Some(1),
        held: true,
        ..plain()
    };
    let claimed = Made {
        claimed: true,
        ..plain()
    };
    let mut store = desk(&[due.clone(), due, held, claimed, plain()]);
    let check = |tx: &Tx<'_>| {
        let item = tx.item(5)?.unwrap();
        tx.hand_to_reviewer(item, "ben@example.org", None, ("ana@example.org", at(1)))?;
        let count = |n, more| Count { n, more };
        let counts = tx.queue_counts(&["urgent", "z"], 3, at(2))?;
        assert_eq!(counts[0].open, count(3, true));
        assert_eq!(counts[0].overdue, count(2, false));
        assert_eq!(counts[0].held, count(1, false));
        assert_eq!(counts[0].unclaimed, count(2, true));
        assert_eq!(counts[1].open, count(0, false));
        assert_eq!(counts[0].open.to_string(), "3+");
        let exact = &tx.queue_counts(&["urgent"], i64::MAX, at(2))?[0];
        assert_eq!((exact.open.n, exact.unclaimed.n), (5, 4));
        // Two days later her claim is over.
        assert_eq!(tx.queue_counts(&["urgent"], 9, at(4))?[0].unclaimed.n, 5);
        let hands = tx.in_hands_of("ana@example.org", at(2))?;
        assert_eq!(
            hands,
            InHands {
                claimed: 1,
                assigned: 0
            }
        );
        assert_eq!(tx.in_hands_of("ben@example.org", at(2))?.assigned, 1);
        let ask = Ask {
            queues: vec!["urgent", "z"],
            assigned_to: Some("ben@example.org"),
            ..Ask::default()
        };
        assert_eq!(ids(&tx.page(&ask, at(2))?), [5]);
        Ok::<_, StoreError>(())
    };
    store.write(check).unwrap();
}
