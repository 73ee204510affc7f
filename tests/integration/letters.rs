//! Every kind of mail as golden text and golden HTML, in `tests/fixtures/mails`, and what holds for
//! all of them. `UPDATE_EXPECT=1` writes them anew; look at them before you keep them.

use std::process::Command;

use copydesk::store::Store;
use copydesk::store::settings::Own;
use expect_test::{expect, expect_file};
use unicode_width::UnicodeWidthStr;

use crate::alerts::tick;
use crate::desk::{Desk, Mail};

const ANA: &str = r#"reviewers:
  - name: Ana Silva
    email: ana@example.org
    role: editor
    queues: all
    timezone: Europe/Lisbon
    digest: "0 9 * * *"
    alert: [urgent]
    remind: 3d
"#;

/// A story for each queue, one of them too weighty for a link.
fn newsroom() -> Desk {
    let desk = Desk::new().with_rules("reviewers.yaml", ANA);
    fill(&desk);
    desk
}

fn fill(desk: &Desk) {
    desk.story("stop.md")
        .title("City stops police use of face recognition")
        .excerpt("The council voted seven to two after a year of hearings. Cameras stay; matching them with &#8220;watch lists&#8221; ends in May.")
        .date("2026-03-01T21:00:00Z")
        .quality(60)
        .heat(30)
        .topics(&["AWS AI", "Police"])
        .line("images:\n  - url: https://images.example.org/council.jpg\n    width: 1200")
        .line("related:\n  - title: What the hearings said\n    provider: {name: Weekly Example, domain: weekly.example.net}\n  - title: The vendor answers\n  - title: A third view")
        .write();
    desk.story("lab.md")
        .title("A lab opens its models")
        .date("2026-02-20T09:00:00Z")
        .quality(70)
        .heat(20)
        .topics(&["AI"])
        .write();
    desk.story("bridge.md")
        .title("The old bridge reopens after a winter of repairs, and the ferry that stood in for it is looking for a new line")
        .date("2026-03-02T08:30:00Z")
        .quality(12)
        .heat(5)
        .write();
    desk.story("merger.md")
        .title("Two model makers merge")
        .quality(90)
        .heat(60)
        .topics(&["AI"])
        .write();
    desk.scan();
}

/// A story that cannot wait.
fn hot(desk: &Desk, name: &str, title: &str) {
    let story = desk.story(name).title(title).quality(99).heat(20);
    story.write();
    desk.scan();
}

fn pictures(desk: &Desk) {
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let own = Own {
        pictures: true,
        ..Own::default()
    };
    store
        .write(|tx| tx.keep_own_settings("ana@example.org", &own))
        .unwrap();
}

/// The one mail is what `tests/fixtures/mails/NAME` says, and holds to what all mails do.
#[track_caller]
fn golden(mails: &[Mail], name: &str) {
    let [mail] = mails else {
        panic!("{name}: {} mails", mails.len());
    };
    holds(mail);
    let at = |ending: &str| format!("../fixtures/mails/{name}.{ending}");
    let text = format!("Subject: {}\n\n{}", mail.subject, mail.text);
    expect_file![at("txt")].assert_eq(&text);
    expect_file![at("html")].assert_eq(&mail.html);
}

/// What every mail holds to.
#[track_caller]
fn holds(mail: &Mail) {
    let seen = String::from_utf8_lossy(&mail.bytes);
    for line in seen.split("\r\n") {
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(line.is_ascii(), "a line with bytes above 127: {line}");
        assert!(!line.contains('\n'), "a bare line feed: {line:?}");
    }
    for line in mail.text.lines() {
        let is_link = line.contains("://") && line.split_whitespace().count() <= 2;
        let fits = line.width() <= 78 || is_link;
        assert!(fits, "{} columns: {line}", line.width());
        assert_eq!(line, line.trim_end(), "space at the end");
    }
    assert!(!mail.text.contains("\n\n\n\n"), "holes:\n{}", mail.text);
    for part in ["<script", "javascript:", "\u{202e}", "\u{1b}", "{{", "{%"] {
        let shown = part != "{{" && part != "{%";
        assert!(!shown || !mail.html.contains(part), "the HTML has {part:?}");
    }
    for part in [
        "<html lang=\"en\">",
        "<title>",
        "prefers-color-scheme",
        "color-scheme\"",
    ] {
        assert!(mail.html.contains(part), "the HTML has no {part}");
    }
    let opened = mail.html.matches("<table").count();
    let closed = mail.html.matches("</table>").count();
    assert_eq!(opened, closed, "tables that are open");
    assert!(mail.bytes.len() < 100 * 1024, "{} bytes", mail.bytes.len());
}

#[test]
fn the_first_digest() {
    let desk = newsroom();
    golden(&desk.with_links().notify(), "first");
}

#[test]
fn a_digest_without_links_says_the_commands() {
    golden(&newsroom().notify(), "first-without-links");
}

#[test]
fn pictures_come_only_to_who_asked() {
    let desk = newsroom();
    desk.with_links();
    pictures(&desk);
    desk.rules("desk.yaml", "desk: {pictures: never}\n");
    let owed = desk.run(&["notify", "--preview", "out"]).done();
    let html = owed.stdout.lines().find(|file| file.ends_with(".html"));
    let html = std::fs::read_to_string(desk.path(html.unwrap())).unwrap();
    assert!(!html.contains("<img"), "the desk shows none");
    desk.rules("desk.yaml", "desk: {pictures: show}\n");
    golden(&desk.notify(), "pictures");
}

#[test]
fn news() {
    let desk = newsroom();
    desk.with_links().notify();
    desk.later("1h").approve("stop.md").done();
    desk.story("lab.md")
        .title("A lab opens its models, but not the data")
        .date("2026-02-20T09:00:00Z")
        .quality(70)
        .heat(20)
        .topics(&["AI"])
        .write();
    desk.story("new.md")
        .title("A comet is visible until Friday")
        .write();
    desk.later("19h").scan();
    golden(&desk.notify(), "news");
}

#[test]
fn a_change_alone() {
    let desk = Desk::new();
    let story = desk.story("lab.md").title("A lab opens its models");
    story.clone().write();
    desk.scan();
    desk.with_links().notify();
    story
        .title("A lab opens its models, but not the data")
        .write();
    desk.later("2h").scan();
    golden(&desk.notify(), "changed");
}

#[test]
fn a_reminder() {
    let desk = Desk::new().with_rules("reviewers.yaml", ANA);
    desk.rules(
        "queues.yaml",
        "queues: [{name: urgent, when: score.total >= 95, due: 9d}, {name: general}]\n",
    );
    fill(&desk);
    desk.with_links().notify();
    desk.later("73h");
    golden(&desk.notify(), "reminder");
}

#[test]
fn overdue() {
    let desk = newsroom();
    desk.with_links().notify();
    desk.later("3h");
    golden(&desk.notify(), "overdue");
}

#[test]
fn alerts() {
    let desk = newsroom();
    desk.with_links().notify();
    assert!(tick(&desk).is_empty());
    desk.later("1h");
    hot(&desk, "dam.md", "The dam above the town is leaking");
    desk.later("2m");
    golden(&tick(&desk), "alert-of-one");
    desk.later("5m");
    hot(&desk, "dam-2.md", "The town below the dam is told to leave");
    hot(&desk, "dam-3.md", "Who inspected the dam, and when");
    desk.later("2m");
    golden(&tick(&desk), "alert-of-many");
}

#[test]
fn escalations() {
    let desk = Desk::new();
    let editor = ANA.replace(
        "    digest: \"0 9 * * *\"\n    alert: [urgent]\n    remind: 3d\n",
        "",
    );
    desk.rules("reviewers.yaml", &editor);
    desk.with_links();
    hot(&desk, "dam.md", "The dam above the town is leaking");
    desk.later("26h");
    golden(&tick(&desk), "escalation-first");
    desk.later("48h");
    golden(&tick(&desk), "escalation-second");
}

#[test]
fn an_editor_is_told_what_is_wrong_with_the_desk() {
    let desk = newsroom();
    for n in 0..24 {
        desk.story(&format!("many/{n}.md")).write();
    }
    desk.scan();
    desk.with_links().notify();
    std::fs::remove_dir_all(desk.content("many")).unwrap();
    desk.write("half.md", "---\ntitle: Half a story\n");
    desk.story("new.md")
        .title("A comet is visible until Friday")
        .write();
    desk.later("30m").scan();
    golden(&desk.notify(), "troubles");
}

#[test]
fn forty_items() {
    let desk = Desk::new().with_rules("reviewers.yaml", ANA);
    for n in 10..50 {
        let story = desk.story(&format!("{n}.md")).quality(100 - n);
        story.topics(if n % 2 == 0 { &["AI"] } else { &[] }).write();
    }
    desk.scan();
    golden(&desk.notify(), "forty");
}

#[test]
fn a_hostile_record() {
    let desk = Desk::new().with_rules("reviewers.yaml", ANA);
    let evil = "\u{1b}[31m{{ letter.name }}{% if %} <script>alert(1)</script> \u{202e}txt.exe\r\nBcc: evil@example.net\r\n\r\nI am the body &lt;script&gt;";
    desk.story("evil.md")
        .title(evil)
        .excerpt(&format!(
            "<img src=x onerror=alert(1)> e{} \u{0} end",
            "\u{301}".repeat(500)
        ))
        .without_url()
        .line("webUrl: \"javascript:alert(1)\"")
        .line("images:\n  - url: \"https://images.example.org/\\\"onerror=alert(1)//\"")
        .domain("\"<b>evil\\u202e.example</b>\"")
        .topics(&["\"<i>AI</i>\""])
        .quality(80)
        .write();
    desk.story("long.md").title(&"A".repeat(1 << 20)).write();
    desk.story("wide.md").title(&"漢字".repeat(500)).write();
    desk.scan();
    desk.with_links();
    pictures(&desk);
    let mails = desk.notify();
    golden(&mails, "hostile");
    assert!(!mails[0].headers.iter().any(|header| header == "bcc"));
}

#[test]
fn two_hundred_items_with_the_longest_fields_stay_small_and_readable() {
    let desk = Desk::new().with_rules("reviewers.yaml", ANA);
    let long = |n: usize| format!("{n} Überlänge und noch mehr Wörter ").repeat(40);
    let url = |n: usize| format!("https://www.example.org/{}", format!("{n}-").repeat(80));
    for n in 100..300 {
        let story = desk.story(&format!("{n}.md")).title(&long(n));
        let story = story.excerpt(&long(n)).url(&url(n)).topics(&[&long(n)]);
        let related: String = (0..5)
            .map(|_| {
                format!(
                    "\n  - {{title: \"{0}\", provider: {{name: \"{0}\"}}}}",
                    long(n)
                )
            })
            .collect();
        let story = story.line(&format!("related:{related}"));
        let story = story.line(&format!("images:\n  - url: {}", url(n)));
        story
            .domain(&format!("{}.example.org", "long.".repeat(30)))
            .quality(70)
            .write();
    }
    desk.scan();
    for links in [false, true] {
        if links {
            desk.with_links();
            pictures(&desk);
        }
        let listed = desk.run(&["notify", "--preview", "out"]).done().stdout;
        let size = |ending: &str| {
            let file = listed.lines().find(|file| file.ends_with(ending)).unwrap();
            std::fs::read(desk.path(file)).unwrap()
        };
        let (eml, html, text) = (size(".eml"), size(".html"), size(".txt"));
        println!(
            "| a mail of 200 items, links {links} | {} B whole, {} B HTML, {} B text | < 102400 |",
            eml.len(),
            html.len(),
            text.len()
        );
        let mail = Mail::parse(&eml);
        holds(&mail);
        // What is listed and what is counted is all of it.
        let listed = mail.text.matches("\n  score ").count();
        let more = format!("Not listed here: {} in general.", 200 - listed);
        assert!(listed >= 10 && mail.text.contains(&more), "{listed} listed");
    }
}

#[test]
fn the_headers_are_those_of_a_list_that_can_be_left() {
    let desk = newsroom();
    let digest = desk.with_links().notify().remove(0);
    assert!(tick(&desk).is_empty());
    desk.later("1h");
    hot(&desk, "dam.md", "The dam above the town is leaking");
    desk.later("2m");
    let alert = tick(&desk).remove(0);
    for mail in [&digest, &alert] {
        for (name, starts) in [
            ("auto-submitted", "auto-generated"),
            ("precedence", "bulk"),
            ("list-id", "copydesk <copydesk.localhost>"),
            ("list-unsubscribe", "<https://desk.example.org/unsubscribe/"),
            ("list-unsubscribe-post", "List-Unsubscribe=One-Click"),
            ("mime-version", "1.0"),
            ("content-type", "multipart/alternative;"),
        ] {
            let text = mail.written.get(name);
            let text = text.unwrap_or_else(|| panic!("no {name}: {:?}", mail.written));
            assert!(text.starts_with(starts), "{name}: {text}");
        }
        assert!(mail.written["list-unsubscribe"].ends_with('>'));
        let once = |name: &str| mail.headers.iter().filter(|h| *h == name).count();
        for name in ["from", "to", "subject", "date", "message-id"] {
            assert_eq!(once(name), 1, "{name}");
        }
    }
    // A digest begins a thread; the mails about one item are one.
    assert!(!digest.headers.iter().any(|name| name == "references"));
    let thread = format!("<item-{}@localhost>", desk.id("dam.md"));
    assert_eq!(alert.written["in-reply-to"], thread);
    assert_eq!(alert.written["references"], thread);
    assert_ne!(digest.id, alert.id);
}

#[test]
fn a_mail_is_what_another_reader_reads() {
    if !crate::smtp::found("python3", "python3", &["--version"]) {
        return;
    }
    let desk = newsroom();
    let mail = desk.with_links().notify().remove(0);
    std::fs::write(desk.path("mail.eml"), &mail.bytes).unwrap();
    let script = "import sys, email, email.policy
mail = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
assert not mail.defects and not any(part.defects for part in mail.walk()), mail.defects
print(mail['subject']); print(mail['to']); print([part.get_content_type() for part in mail.walk()])
print(mail.get_body(('plain',)).get_content().replace('\\r\\n', '\\n'), end='')";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(desk.path("mail.eml"));
    let run = crate::desk::finish(python).done();
    let expected = format!(
        "{}\nAna Silva <ana@example.org>\n['multipart/alternative', 'text/plain', 'text/html']\n{}",
        mail.subject, mail.text
    );
    assert_eq!(run.stdout, expected);
}

#[test]
fn a_dry_run_says_who_would_get_what_and_when_next_and_why() {
    let desk = newsroom();
    desk.rules(
        "reviewers.yaml",
        r#"reviewers:
  - {name: Ana Silva, email: ana@example.org, role: editor, queues: all, timezone: Europe/Lisbon, digest: "0 9 * * *"}
  - {name: Bo Example, email: bo@example.org, queues: [urgent], alert: [urgent], quiet: "20:00-08:00"}
  - {name: Cy Example, email: cy@example.org, queues: [general], digest: "30 14 * * MON-FRI"}
  - {name: Di Example, email: di@example.org, queues: [general]}
"#,
    );
    let mut store = Store::open(&desk.path("state/copydesk.db")).unwrap();
    let own = Own {
        paused_until: Some("2026-03-09T00:00:00Z".parse().unwrap()),
        ..Own::default()
    };
    store
        .write(|tx| tx.keep_own_settings("cy@example.org", &own))
        .unwrap();
    desk.later("27h");
    hot(&desk, "dam.md", "The dam above the town is leaking");
    let run = desk.run(&["notify", "--dry-run"]).done();
    expect![[r#"
        ana@example.org
          now   digest, first digest: 5 items
                3 overdue, 2 new: urgent and 2 more queues
          next  digest Wed 4 Mar 09:00 Europe/Lisbon, if there is something to say
        bo@example.org
          now   alert, 1 in a queue that cannot wait: 1 item
                urgent: The dam above the town is leaking
          also  alerts from urgent, but not from 20:00 to 08:00
        cy@example.org
          now   nothing: she has paused her mails until 2026-03-09T00:00:00Z
          next  digest Mon 9 Mar 14:30 UTC, if there is something to say
        di@example.org
          now   nothing: the rules give her none
    "#]]
    .assert_eq(&run.stdout);
    let json = desk.run(&["notify", "--dry-run", "--json"]).done();
    expect![[r#"
        [{"to":"ana@example.org","kind":"digest","reason":"first digest","due":"2026-03-03T12:00:00Z","items":[3,5,4,2,1],"subject":"3 overdue, 2 new: urgent and 2 more queues"},{"to":"bo@example.org","kind":"alert","reason":"1 in a queue that cannot wait","due":"2026-03-03T12:00:00Z","items":[5],"subject":"urgent: The dam above the town is leaking"}]
    "#]].assert_eq(&json.stdout);
}
