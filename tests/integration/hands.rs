//! Who has an item: claims, and handing over to another reviewer or queue.

use copydesk::intake::{self, Control};
use copydesk::review::{self, Actor};
use copydesk::rules::RuleSet;
use copydesk::store::Store;
use serde_json::{Value, json};

use crate::desk::{Desk, text};

const QUEUES: &str = "queues:
  - {name: urgent, when: score.total >= 95, due: 2h}
  - {name: skipped, when: 'title == \"Skip me\"', skip: true}
  - {name: decided, when: 'title == \"Decide me\"', decide: reject}
  - {name: tried, when: 'title == \"Try me\"', mode: shadow}
  - {name: legal, when: 'title == \"A lawsuit\"', due: 1d}
  - {name: general, due: 3d}
";
const REVIEWERS: &str = "reviewers:
  - {name: Ana, email: ana@example.org, queues: [urgent, general], digest: '0 9 * * *'}
  - {name: Bo, email: bo@example.org, queues: [general], digest: '0 9 * * *'}
  - {name: Lea, email: lea@example.org, queues: [legal]}
  - {name: Eva, email: eva@example.org, role: editor, queues: [urgent], digest: '0 9 * * *'}
";

/// A desk where item 1 waits in `general`.
fn desk() -> Desk {
    let desk = Desk::new()
        .with_rules("queues.yaml", QUEUES)
        .with_rules("reviewers.yaml", REVIEWERS);
    desk.story("a.md").heat(10).write();
    desk.scan();
    desk
}

fn item(desk: &Desk) -> Value {
    desk.item("a.md")
}

/// What happened to item 1, by kind.
fn kinds(desk: &Desk) -> Vec<String> {
    let shown = desk.show(1);
    let events = shown["events"].as_array().unwrap().iter();
    events.map(|event| text(event, "kind")).collect()
}

/// The story gets so hot that its queue is another.
fn heats_up(desk: &Desk) {
    desk.story("a.md").heat(300).write();
    desk.later("1m").scan();
}

#[test]
fn a_claim_lasts_ten_minutes_and_is_renewed_by_its_holder() {
    let desk = desk();
    let run = desk
        .run(&["claim", "1@1", "--as", "ana@example.org"])
        .done();
    assert_eq!(
        run.stdout,
        "1@1 claimed until 2026-03-02T09:10:00Z: A story about a\n"
    );
    assert_eq!(item(&desk)["claimed_by"], "ana@example.org");
    assert_eq!(item(&desk)["claimed_until"], "2026-03-02T09:10:00Z");
    desk.run(&["queue"])
        .says(&["claimed by ana@example.org for 10m"]);
    desk.run(&["show", "1"])
        .says(&["claimed by ana@example.org for 10m"]);
    for who in ["bo@example.org", "eva@example.org"] {
        let run = desk.run(&["claim", "1", "--as", who]).refused();
        let said = "item 1 is claimed by ana@example.org until 2026-03-02T09:10:00Z\n";
        assert_eq!(run.stderr, said);
    }
    desk.later("6m")
        .run(&["claim", "1", "--as", "ana@example.org"])
        .done();
    assert_eq!(item(&desk)["claimed_until"], "2026-03-02T09:16:00Z");
    assert_eq!(kinds(&desk), ["queued", "claimed"], "renewing is no event");
    desk.later("10m");
    assert_eq!(item(&desk)["claimed_by"], Value::Null);
    desk.run(&["claim", "1", "--as", "bo@example.org"]).done();
    assert_eq!(kinds(&desk), ["queued", "claimed", "claimed"]);
    assert_eq!(item(&desk)["version"], 1, "a claim is no new version");
}

#[test]
fn a_claim_is_ended_by_its_holder_or_an_editor() {
    let desk = desk();
    let ana = ["claim", "1", "--as", "ana@example.org"];
    desk.run(&ana).done();
    desk.run(&["claim", "--release", "1", "--as", "bo@example.org"])
        .refused()
        .says(&["claimed by ana@example.org"]);
    let release = ["claim", "--release", "1", "--as", "ana@example.org"];
    let run = desk.run(&release).done();
    assert_eq!(run.stdout, "1@1 released: A story about a\n");
    assert_eq!(item(&desk)["claimed_by"], Value::Null);
    desk.run(&release).done();
    desk.run(&ana).done();
    desk.run(&["claim", "--release", "1", "--as", "eva@example.org"])
        .done();
    let all = ["queued", "claimed", "released", "claimed", "released"];
    assert_eq!(kinds(&desk), all);
}

#[test]
fn a_decision_ends_a_claim_whoever_makes_it() {
    let desk = desk();
    for (decision, who) in [
        (["hold", "1"], "ana@example.org"),
        (["approve", "1"], "bo@example.org"),
    ] {
        desk.run(&["claim", "1", "--as", "ana@example.org"]).done();
        desk.run(&[&decision[..], &["--as", who]].concat()).done();
        assert_eq!(desk.show(1)["claimed_by"], Value::Null);
    }
    desk.run(&["reopen", "1", "--as", "bo@example.org"]).done();
    assert_eq!(item(&desk)["claimed_by"], Value::Null);
}

#[test]
fn only_what_waits_in_her_queues_is_claimed_as_she_saw_it() {
    let desk = desk();
    desk.run(&["claim", "1", "--as", "lea@example.org"])
        .refused()
        .says(&["lea@example.org does not review the queue `general`, where item 1 is"]);
    desk.run(&["claim", "9"])
        .refused()
        .says(&["there is no item 9"]);
    desk.run(&["claim", "1", "--as", "nobody@example.org"])
        .used_wrongly();
    desk.story("a.md").heat(10).title("Wasps on a roof").write();
    desk.later("1m").scan();
    desk.run(&["claim", "1@1"])
        .refused()
        .says(&["1@1 has changed", "Wasps"]);
    desk.run(&["approve", "1"]).done();
    let run = desk.run(&["claim", "1"]).refused();
    assert_eq!(
        run.stderr,
        "item 1 is approved: only what waits can be claimed\n"
    );
    let run = desk.run(&["hand-over", "1", "--to", "legal"]).refused();
    assert_eq!(
        run.stderr,
        "item 1 is approved: only what waits can be handed over\n"
    );
}

#[test]
fn a_claimed_item_is_routed_when_its_claim_has_ended() {
    for released in [true, false] {
        let desk = desk();
        desk.run(&["claim", "1", "--as", "ana@example.org"]).done();
        heats_up(&desk);
        let waits = item(&desk);
        assert_eq!(
            (&waits["queue"], &waits["score"]["heat"]),
            (&json!("general"), &json!(150))
        );
        // Renewed, it stays on.
        desk.later("8m")
            .run(&["claim", "1", "--as", "ana@example.org"])
            .done();
        desk.later("5m").scan();
        assert_eq!(item(&desk)["queue"], "general");
        if released {
            desk.run(&["claim", "--release", "1", "--as", "ana@example.org"])
                .done();
        } else {
            desk.later("5m");
        }
        desk.scan();
        assert_eq!(item(&desk)["queue"], "urgent", "released: {released}");
    }
}

#[test]
fn a_claimed_item_that_no_queue_takes_is_withdrawn_when_its_claim_has_ended() {
    let desk = desk();
    desk.run(&["claim", "1"]).done();
    let narrow = QUEUES.replace("general, due: 3d", "general, when: score.total > 30");
    desk.rules("queues.yaml", &narrow);
    desk.later("1m").scan();
    assert_eq!(item(&desk)["queue"], "general");
    desk.later("10m").scan();
    assert_eq!(desk.status_of(1), "withdrawn");
}

#[test]
fn what_is_handed_to_a_reviewer_is_new_to_her() {
    let desk = desk();
    let told = |desk: &Desk| {
        let mut to: Vec<String> = desk.notify().iter().map(|mail| mail.to.clone()).collect();
        to.sort();
        to
    };
    assert_eq!(told(&desk), ["ana@example.org", "bo@example.org"]);
    assert_eq!(told(desk.later("1h")), [""; 0]);
    desk.run(&["claim", "1", "--as", "ana@example.org"]).done();
    let hand = [
        "hand-over",
        "1@1",
        "--to",
        "Bo@example.org",
        "--note",
        "Yours",
    ];
    let run = desk
        .run(&[&hand[..], &["--as", "ana@example.org"]].concat())
        .done();
    assert_eq!(
        run.stdout,
        "1@1 handed to bo@example.org: A story about a\n"
    );
    let waits = item(&desk);
    assert_eq!(
        (&waits["assigned_to"], &waits["claimed_by"]),
        (&json!("bo@example.org"), &Value::Null)
    );
    desk.run(&["queue"]).says(&["handed to bo@example.org"]);
    desk.run(&["show", "1"])
        .says(&["handed_over by ana@example.org (to: bo@example.org; note: Yours)"]);
    let mails = desk.later("1m").notify();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "bo@example.org");
    mails[0].lists(&["New for you", "A story about a"]);
    assert_eq!(told(desk.later("1h")), [""; 0], "she was told");
    // An editor may have what she is not mailed about.
    desk.run(&["hand-over", "1", "--to", "eva@example.org"])
        .done();
    assert_eq!(told(desk.later("1m")), ["eva@example.org"]);
    let count = kinds(&desk).len();
    desk.run(&["hand-over", "1", "--to", "eva@example.org"])
        .done();
    assert_eq!(kinds(&desk).len(), count, "she has it");
}

#[test]
fn an_item_is_handed_to_those_who_may_decide_on_it() {
    let desk = desk();
    let refused = |to: &str, says: &str| {
        let run = desk.run(&["hand-over", "1", "--to", to]).refused();
        assert_eq!(run.stderr, format!("{says}\n"));
    };
    refused(
        "lea@example.org",
        "lea@example.org does not review the queue `general`, where item 1 is",
    );
    refused(
        "boo@example.org",
        "there is no reviewer boo@example.org in the rules; did you mean `bo@example.org`?",
    );
    refused("legel", "there is no queue `legel`; did you mean `legal`?");
    refused("x\u{1b}[31m", "there is no queue `x␛[31m`");
    refused(
        "skipped",
        "nothing waits in the queue `skipped`: it skips what it takes",
    );
    refused(
        "decided",
        "nothing waits in the queue `decided`: it decides by itself",
    );
    refused(
        "tried",
        "nothing waits in the queue `tried`: it is in shadow mode",
    );
    desk.run(&["claim", "1", "--as", "ana@example.org"]).done();
    let hand = |who| desk.run(&["hand-over", "1", "--to", "legal", "--as", who]);
    hand("bo@example.org")
        .refused()
        .says(&["claimed by ana@example.org"]);
    hand("lea@example.org").refused().says(&["does not review"]);
    assert_eq!(kinds(&desk), ["queued", "claimed"]);
    hand("eva@example.org").done();
    assert_eq!(
        (&item(&desk)["queue"], &item(&desk)["claimed_by"]),
        (&json!("legal"), &Value::Null)
    );
}

#[test]
fn what_is_handed_to_a_queue_stays_there_while_it_waits() {
    let desk = desk();
    desk.run(&["hand-over", "1", "--to", "bo@example.org"])
        .done();
    let run = desk
        .run(&["hand-over", "1", "--to", "legal", "--as", "ana@example.org"])
        .done();
    assert_eq!(run.stdout, "1@1 handed to legal: A story about a\n");
    let waits = item(&desk);
    assert_eq!(
        (&waits["queue"], &waits["assigned_to"]),
        (&json!("legal"), &Value::Null)
    );
    assert_eq!(waits["due"], "2026-03-03T09:00:00Z", "the earlier of both");
    heats_up(&desk);
    let waits = item(&desk);
    assert_eq!(
        (&waits["queue"], &waits["score"]["heat"]),
        (&json!("legal"), &json!(150))
    );
    desk.run(&["hold", "1", "--until", "1h", "--as", "lea@example.org"])
        .done();
    desk.story("a.md").heat(290).write();
    desk.later("2h").scan();
    assert_eq!(
        (&item(&desk)["queue"], &item(&desk)["status"]),
        (&json!("legal"), &json!("pending"))
    );
    // A new revision is another story.
    desk.story("a.md")
        .heat(290)
        .title("Wasps on a roof")
        .write();
    desk.later("1m").scan();
    assert_eq!(item(&desk)["queue"], "urgent");
}

#[test]
fn a_decision_ends_what_was_handed_over() {
    let desk = desk();
    desk.run(&["hand-over", "1", "--to", "legal"]).done();
    desk.run(&["hand-over", "1", "--to", "lea@example.org"])
        .done();
    desk.run(&["approve", "1"]).done();
    desk.run(&["reopen", "1"]).done();
    assert_eq!(item(&desk)["assigned_to"], Value::Null);
    heats_up(&desk);
    assert_eq!(item(&desk)["queue"], "urgent");
}

#[test]
fn what_was_handed_to_a_removed_queue_is_routed_again() {
    let desk = desk();
    desk.run(&["hand-over", "1", "--to", "legal"]).done();
    let without: String = QUEUES
        .lines()
        .filter(|line| !line.contains("legal"))
        .map(|line| format!("{line}\n"))
        .collect();
    desk.rules("queues.yaml", &without);
    desk.rules("reviewers.yaml", &REVIEWERS.replace("[legal]", "[general]"));
    desk.later("1m").scan();
    assert_eq!(item(&desk)["queue"], "general");
}

#[test]
fn a_program_keeps_what_it_has_claimed() {
    let desk = desk();
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let rules = RuleSet::load(&desk.path("rules")).unwrap();
    let (program, now) = (Actor::Program("nightly".into()), desk.now());
    review::claim(&mut store, "1".parse().unwrap(), &program, now).unwrap();
    intake::scan(&mut store, &rules, now, &Control::NONE).unwrap();
    assert_eq!(item(&desk)["claimed_by"], "api:nightly");
}

#[test]
fn a_reviewer_who_may_not_decide_any_more_has_nothing() {
    let desk = desk();
    desk.run(&["hand-over", "1", "--to", "bo@example.org"])
        .done();
    desk.run(&["claim", "1", "--as", "bo@example.org"]).done();
    desk.later("1m").scan();
    assert_eq!(item(&desk)["claimed_by"], "bo@example.org");
    let without: String = REVIEWERS
        .lines()
        .filter(|line| !line.contains("bo@"))
        .map(|line| format!("{line}\n"))
        .collect();
    desk.rules("reviewers.yaml", &without);
    desk.scan();
    let waits = item(&desk);
    assert_eq!(
        (&waits["claimed_by"], &waits["assigned_to"]),
        (&Value::Null, &Value::Null)
    );
    // Users of this machine are in no rules.
    desk.run(&["claim", "1"]).done();
    desk.scan();
    assert!(text(&item(&desk), "claimed_by").starts_with("cli:"));
}

#[test]
fn several_are_claimed_at_once_and_json_has_those_that_were() {
    let desk = desk();
    desk.story("b.md").write();
    desk.scan();
    let run = desk
        .run(&["claim", "1", "9", "2", "--json"])
        .refused()
        .says(&["no item 9"]);
    let lines: Value = serde_json::from_str(&run.stdout).unwrap();
    let claimed: Vec<_> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["id"])
        .collect();
    assert_eq!(claimed, [&json!(1), &json!(2)]);
    assert_eq!(lines[0]["claimed_until"], "2026-03-02T09:10:00Z");
}
