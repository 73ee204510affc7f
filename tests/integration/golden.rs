//! What people read: each screen and the mail, as golden text. `UPDATE_EXPECT=1 cargo test golden`
//! writes them anew; read the difference before you keep it.

use crate::desk::Desk;
use expect_test::{Expect, expect};

/// A small newsroom: one story for each queue, one held, one broken.
fn newsroom() -> Desk {
    let desk = Desk::new();
    desk.story("_news/stop.md")
        .title("City stops police use of face recognition")
        .url("https://daily.example.org/stop?utm_source=feed")
        .date("2026-03-01T21:00:00Z")
        .quality(60)
        .heat(60)
        .topics(&["AWS AI"])
        .published(false)
        .write();
    desk.story("_news/lab.md")
        .title("A lab opens its models")
        .url("https://weekly.example.net/lab")
        .date("2026-02-20T09:00:00Z")
        .quality(30)
        .heat(10)
        .topics(&["AI"])
        .published(false)
        .write();
    desk.story("_news/bridge.md")
        .title("The old bridge \u{1b}[31mreopens")
        .url("https://daily.example.org/bridge")
        .date("2026-03-02T08:30:00Z")
        .quality(12)
        .heat(5)
        .topics(&["Traffic"])
        .published(false)
        .write();
    desk.story("_news/out.md").published(true).write();
    desk.write(
        "_news/half.md",
        "---\ntitle: Half a story\npublished: false\n",
    );
    desk.scan();
    desk
}

fn screen(desk: &Desk, args: &[&str], expected: &Expect) {
    let run = desk.run(args);
    let folder = desk.path("").display().to_string();
    let mut seen = run.stdout;
    if !run.stderr.is_empty() {
        seen.push_str("--- standard error\n");
        seen.push_str(&run.stderr);
    }
    expected.assert_eq(&seen.replace(&folder, "DESK/"));
}

#[test]
fn scan_says_what_it_found() {
    let desk = newsroom();
    screen(
        &desk,
        &["scan"],
        &expect![[r#"
        4 records: 0 new, 0 changed, 0 rescored, 4 unchanged
        1 broken: `copydesk status` lists them
        3 items open: `copydesk queue` lists them
    "#]],
    );
}

#[test]
fn queue_lists_by_queue_and_rank() {
    let desk = newsroom();
    desk.run(&["hold", "1", "--until", "3d"]).done();
    desk.later("25h");
    screen(
        &desk,
        &["queue"],
        &expect![[r#"
        urgent (1)
              3@1   120  City stops police use of face recognition                     overdue by 23h

        ai-desk (1)
              2@1    40  A lab opens its models                                        overdue by 1h

        general (1)
              1@2    15  The old bridge ␛[31mreopens                                   held for 47h

        3 items; `copydesk approve ID@VERSION` decides
    "#]],
    );
}

#[test]
fn explain_adds_up() {
    let desk = newsroom();
    let file = desk.content("_news/lab.md");
    screen(
        &desk,
        &["explain", file.to_str().unwrap()],
        &expect![[r#"
        A lab opens its models
        _news/lab.md

          quality     +30  quality 30 × 1 (score.quality, rules/scoring.yaml:2)
          heat         +5  heat 10 × 0.5 (score.heat, rules/scoring.yaml:3)
          topic        +5  about AI (topic AI, rules/scoring.yaml:8)
          score 40 = quality 30 + heat 5 + topic 5

          queue          ai-desk (reads as unpublished)
          near miss      55 more score.total: urgent

    "#]],
    );
}

#[test]
fn show_has_the_whole_item() {
    let desk = newsroom();
    let id = desk.id("_news/stop.md").to_string();
    screen(
        &desk,
        &["show", &id],
        &expect![[r#"
            City stops police use of face recognition
            3@1  pending in urgent, due 2026-03-02T11:00:00Z

              location           _news/stop.md
              identity           https://daily.example.org/stop
              category           news
              title              City stops police use of face recognition
              excerpt            What there is to know about stop.
              publishedDateTime  2026-03-01T21:00:00Z
              originalUrl        https://daily.example.org/stop?utm_source=feed
              type               article
              quality            60
              heat               60
              provider           {"name":"Example Daily","domain":"daily.example.org"}
              topics             ["AWS AI"]
              published          false
              (body)             The body of stop.

            score 120 = quality 60 + heat 30 + topic 30
                +60  quality 60 × 1 (score.quality, rules/scoring.yaml:2)
                +30  heat 60 × 0.5 (score.heat, rules/scoring.yaml:3)
                 +5  about AI (topic AI, rules/scoring.yaml:8)
                +10  about AWS AI (topic AWS AI, rules/scoring.yaml:9)
                +15  Face recognition is policy-sensitive (face-recognition, rules/scoring.yaml:11)

            history
              2026-03-02T09:00:00Z  3@1  queued by copydesk (queue: urgent)
        "#]],
    );
}

#[test]
fn decisions_say_what_they_did() {
    let desk = newsroom();
    let id = desk.id("_news/stop.md").to_string();
    screen(
        &desk,
        &["approve", &id, "--as", "ana@example.org"],
        &expect![[r#"
            3@2 approved: City stops police use of face recognition
                written to _news/stop.md
        "#]],
    );
    screen(
        &desk,
        &["approve", &id],
        &expect![[r#"
            --- standard error
            item 3 is approved, and cannot be approved now
        "#]],
    );
    screen(
        &desk,
        &["reject", &id, "--reason", "taste"],
        &expect![[r#"
        --- standard error
        there is no reason `taste`; the desk's are: duplicate, off-topic, other, quality, rights
    "#]],
    );
    screen(
        &desk,
        &["reopen", &id, "--as", "ana@example.org"],
        &expect![[r#"
            3@3 pending: City stops police use of face recognition
                written to _news/stop.md
        "#]],
    );
    screen(
        &desk,
        &["approve", "99"],
        &expect![[r#"
        --- standard error
        there is no item 99; `copydesk queue` lists what waits
    "#]],
    );
}

#[test]
fn who_has_an_item_is_said() {
    let desk = newsroom();
    let id = desk.id("_news/lab.md").to_string();
    screen(
        &desk,
        &["claim", &id, "--as", "ana@example.org"],
        &expect![[r#"
            2@1 claimed until 2026-03-02T09:10:00Z: A lab opens its models
        "#]],
    );
    screen(
        &desk,
        &["claim", &id],
        &expect![[r#"
        --- standard error
        item 2 is claimed by ana@example.org until 2026-03-02T09:10:00Z
    "#]],
    );
    screen(
        &desk,
        &[
            "hand-over",
            "1",
            "--to",
            "ana@example.org",
            "--note",
            "You know the bridge",
        ],
        &expect![[r#"
            1@1 handed to ana@example.org: The old bridge ␛[31mreopens
        "#]],
    );
    screen(
        &desk,
        &["hand-over", "3", "--to", "genral"],
        &expect![[r#"
            --- standard error
            there is no queue `genral`; did you mean `general`?
        "#]],
    );
    desk.later("4m");
    screen(
        &desk,
        &["queue"],
        &expect![[r#"
        urgent (1)
              3@1   120  City stops police use of face recognition                     due in 2h

        ai-desk (1)
              2@1    40  A lab opens its models                                        due in 24h, claimed by ana@example.org for 6m

        general (1)
              1@1    15  The old bridge ␛[31mreopens                                   due in 3d, handed to ana@example.org

        3 items; `copydesk approve ID@VERSION` decides
    "#]],
    );
    screen(
        &desk,
        &["claim", "--release", &id, "--as", "ana@example.org"],
        &expect![[r#"
            2@1 released: A lab opens its models
        "#]],
    );
}

#[test]
fn a_stale_decision_is_told_what_changed() {
    let desk = newsroom();
    let tag = desk.tag("_news/lab.md");
    desk.replace(
        "_news/lab.md",
        "A lab opens its models",
        "A lab closes its models",
    );
    screen(
        &desk,
        &["approve", &tag],
        &expect![[r#"
        --- standard error
        2@1 has changed: it is 2@2 now
        2026-03-02T09:00:00Z  the story changed
            title: "A lab opens its models" became "A lab closes its models"
        look at it with `copydesk show 2`, then decide on 2@2
    "#]],
    );
}

#[test]
fn a_write_that_would_guess_is_left_to_a_person() {
    let desk = newsroom();
    desk.replace("_news/lab.md", "published: false", "published: \"no\"");
    let id = desk.id("_news/lab.md").to_string();
    screen(
        &desk,
        &["approve", &id],
        &expect![[r#"
            2@2 approved: A lab opens its models
            --- standard error
             WARN `_news/lab.md` line 10: `published` holds text, not true or false, and reads as unpublished source="news" location="_news/lab.md"
            item 2: the decision is not written into _news/lab.md: `published` holds text; it is not written over: change it by hand
        "#]],
    );
    screen(
        &desk,
        &["status"],
        &expect![[r#"
            problem: item 2: its decision is not written into _news/lab.md: `published` holds text; it is not written over: change it by hand

            sources
              news: 4 records, 1 in no queue (DESK/rules/../content)

            queues
              urgent: 1 pending
              ai-desk: 0 pending, 1 approved
              general: 1 pending

            broken records (1)
              _news/half.md:1:1: the front matter is not closed: no second `---` line (since 2026-03-02T09:00:00Z)

            mail 0 sent
            rules 1 rule, 1 reviewer (7aefde36eb68)
            last retention 2026-03-02T09:00:00Z
            last scan 2026-03-02T09:00:00Z
        "#]],
    );
}

#[test]
fn the_digest_is_a_work_list() {
    let desk = newsroom();
    screen(
        &desk,
        &["notify", "--dry-run"],
        &expect![[r#"
            ana@example.org
              now   digest, first digest: 3 items
                    3 new: urgent and 2 more queues
              next  digest Tue 3 Mar 09:00 UTC, if there is something to say
        "#]],
    );
    desk.later("3h");
    let mails = desk.notify();
    expect!["1 overdue, 2 new: urgent and 2 more queues"].assert_eq(&mails[0].subject);
    expect![[r#"
        Hello Ana Example,

        3 stories wait for a decision. This is your first digest.


        Overdue (1)
        ===========

        City stops police use of face recognition
          3@1 | urgent | overdue since Mon 2 Mar 11:00
          Example Daily (daily.example.org) | 15h old | AWS AI
          What there is to know about stop.
          score 120 = quality 60 + heat 30 + topic 30
             +60  quality 60 × 1
             +30  heat 60 × 0.5
          https://daily.example.org/stop?utm_source=feed
          copydesk approve 3@1


        New for you (2)
        ===============

        A lab opens its models
          2@1 | ai-desk | due Tue 3 Mar 09:00
          Example Daily (daily.example.org) | 10d old | AI
          What there is to know about lab.
          score 40 = quality 30 + heat 5 + topic 5
             +30  quality 30 × 1
              +5  heat 10 × 0.5
          https://weekly.example.net/lab
          copydesk approve 2@1

        The old bridge ␛[31mreopens
          1@1 | general | due Thu 5 Mar 09:00
          Example Daily (daily.example.org) | 4h old | Traffic
          What there is to know about bridge.
          score 15 = quality 12 + heat 3 + topic 0
             +12  quality 12 × 1
              +3  heat 5 × 0.5
          https://daily.example.org/bridge
          copydesk approve 1@1

        ------------------------------------------------------------------------------
        In a terminal: `copydesk approve 3@1`, `reject` or `hold`; `show` says more.
        What is mailed to you and when stands in rules/reviewers.yaml.
    "#]]
    .assert_eq(&mails[0].text);
    screen(
        &desk,
        &["mails"],
        &expect![[r#"
            2026-03-02T12:00:00Z  ana@example.org  digest sent: first digest, 3 items
                1 overdue, 2 new: urgent and 2 more queues
                written to DESK/state/mail/000001-ana@example.org.eml
        "#]],
    );
    screen(
        &desk,
        &["notify"],
        &expect![[r#"
        nothing is owed to anyone
    "#]],
    );
    desk.story("_news/late.md")
        .title("A late story")
        .quality(40)
        .published(false)
        .write();
    desk.later("10m").scan();
    let mails = desk.notify();
    expect![[r#"
        Hello Ana Example,

        4 stories wait for a decision. Since your last digest: 1 new.


        Overdue (1)
        ===========

        City stops police use of face recognition
          3@1 | urgent | overdue since Mon 2 Mar 11:00
          Example Daily (daily.example.org) | 15h old | AWS AI
          What there is to know about stop.
          score 120 = quality 60 + heat 30 + topic 30
             +60  quality 60 × 1
             +30  heat 60 × 0.5
          https://daily.example.org/stop?utm_source=feed
          copydesk approve 3@1


        New for you (1)
        ===============

        A late story
          4@1 | general | due Thu 5 Mar 12:10
          Example Daily (daily.example.org) | 24h old
          What there is to know about late.
          score 45 = quality 40 + heat 5 + topic 0
             +40  quality 40 × 1
              +5  heat 10 × 0.5
          https://www.example.org/_news/late.md
          copydesk approve 4@1

        Still waiting: 2, the oldest for 3h.

        ------------------------------------------------------------------------------
        In a terminal: `copydesk approve 3@1`, `reject` or `hold`; `show` says more.
        What is mailed to you and when stands in rules/reviewers.yaml.
    "#]]
    .assert_eq(&mails[0].text);
}

#[test]
fn a_backtest_says_what_moves_and_what_it_would_take() {
    let desk = newsroom();
    desk.approve("_news/lab.md").done();
    desk.run(&["reject", &desk.tag("_news/bridge.md")]).done();
    desk.rules(
        "queues.yaml",
        r#"queues:
  - {name: urgent, when: score.total >= 100, due: 2h}
  - {name: thin, when: score.total < 50, skip: true}
  - {name: general, due: 3d}
  - {name: strong, when: quality >= 25, takes: all, mode: shadow, decide: approve}
"#,
    );
    screen(
        &desk,
        &["backtest", "--suggest"],
        &expect![[r#"
            4 records tried on 1 rule and 4 queues

            moves
              general  →  thin  1
              ai-desk  →  thin  1
              2 stay where they are

            what moves, the most surprising first
              40 → 40  ai-desk → thin  A lab opens its models (approved by a person, and no one would see it)
              15 → 15  general → thin  The old bridge ␛[31mreopens

            load, 2026-02-20 to 2026-03-02, by day of publication
              queue    records  a day  busiest day
              urgent         1   0.09  2026-03-01 with 1
              thin           2   0.18  2026-02-20 with 1
              nothing        1   0.09  2026-03-01 with 1

            queues that decide, against what was decided
              people    1 of 1 agree (100%)
              the feed  0 of 1 agree (0%)

            rules
              rule              points  hits  approved  not evaluated  moves
              face-recognition     +15     1         -              0      0
              moves nothing if taken away: face-recognition

            queues in shadow mode
              queue   holds for  would take  would decide
              strong          2           0  approve

            score against decision
                   total  approved                  not approved              undecided
              120 to 129                            ████████████████ 1
              110 to 119
              100 to 109
                90 to 99
                80 to 89
                70 to 79
                60 to 69
                50 to 59
                40 to 49  ████████████████ 1
                30 to 39
                20 to 29  ████████████████ 1
                10 to 19                            ████████████████ 1

            the cuts that best tell 2 approved from 2 not approved
              number           cut  agrees  gets wrong
              quality        >= 20  3 of 4  1: City stops police use of face… (60)
              heat           >= 10  3 of 4  1: City stops police use of face… (60)
              score.quality  >= 20  3 of 4  1: City stops police use of face… (60)
              score.heat      >= 4  3 of 4  1: City stops police use of face… (30)
              score.total    >= 20  3 of 4  1: City stops police use of face… (120)
              score.topic     >= 3  2 of 4  2: City stops police use of face… (30), A story about out (0)

            the best one as two queues, to be pasted into the rules; nothing was changed

            queues:
              - name: quality-from-20
                takes: all
                mode: shadow
                decide: approve
                when: quality >= 20
              - name: quality-below-20
                takes: all
                mode: shadow
                decide: reject
                when: quality < 20
        "#]],
    );
}
