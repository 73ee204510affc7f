//! `copydesk review`: what waits, one by one, by single keys.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use expect_test::{Expect, expect};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::desk::{Desk, HANGS_AFTER, text};

const QUEUES: &str = "queues:
  - {name: urgent, when: score.total >= 95, due: 2h}
  - {name: general, due: 3d}
";
const REVIEWERS: &str = "reviewers:
  - {name: Ana, email: ana@example.org, queues: [general]}
  - {name: Eva, email: eva@example.org, role: editor, queues: all}
";

/// One story in `urgent` and two in `general`, the hotter one first.
fn desk() -> Desk {
    let desk = Desk::new()
        .with_rules("queues.yaml", QUEUES)
        .with_rules("reviewers.yaml", REVIEWERS);
    desk.story("bridge.md")
        .title("The old bridge &amp; its keeper")
        .excerpt("The bridge over the river, which has been closed since a flood took away one of its piers, is open again for those who walk, says the keeper of the bridge.")
        .url("https://daily.example.org/bridge")
        .date("2026-03-02T06:00:00Z")
        .quality(12)
        .heat(5)
        .topics(&["Traffic"])
        .published(false)
        .write();
    desk.story("bees.md")
        .title("Bees on a roof")
        .quality(20)
        .heat(40)
        .published(false)
        .write();
    desk.story("stop.md")
        .title("City stops police use of face recognition")
        .date("2026-03-01T21:00:00Z")
        .quality(60)
        .heat(60)
        .topics(&["AWS AI"])
        .published(false)
        .write();
    desk.scan();
    desk
}

/// What is shown when these keys are typed and nothing more comes.
fn typed(desk: &Desk, args: &[&str], keys: &[u8]) -> (String, i32) {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(keys).unwrap();
    input.seek(SeekFrom::Start(0)).unwrap();
    let args = [&["review"], args].concat();
    let output = desk.command(&args).stdin(input).output().unwrap();
    let mut seen = String::from_utf8(output.stdout).unwrap();
    if !output.stderr.is_empty() {
        seen.push_str("--- standard error\n");
        seen.push_str(&String::from_utf8(output.stderr).unwrap());
    }
    (seen, output.status.code().unwrap())
}

/// The screens, one after the other.
fn screens(desk: &Desk, args: &[&str], keys: &str) -> Vec<String> {
    let (seen, code) = typed(desk, args, keys.as_bytes());
    assert_eq!(code, 0, "{seen}");
    let screens = seen.split("q quit\n\n").map(str::to_owned);
    screens.collect()
}

fn screen(desk: &Desk, args: &[&str], keys: &str, expected: &Expect) {
    expected.assert_eq(&typed(desk, args, keys.as_bytes()).0);
}

/// What is said above the keys of the last screen but for the goodbye.
fn said(desk: &Desk, args: &[&str], keys: &str) -> String {
    let screens = screens(desk, args, keys);
    let last = &screens[screens.len() - 2];
    let mut lines: Vec<&str> = last.lines().collect();
    lines.pop();
    let above = lines.iter().rposition(|line| line.is_empty()).unwrap();
    lines[above + 1..].join("\n")
}

#[test]
fn an_item_is_shown_with_all_that_a_decision_needs() {
    screen(
        &desk(),
        &[],
        "q",
        &expect![[r#"
            urgent  1 of 3                                                    3@1  due in 2h
            City stops police use of face recognition
            Example Daily (daily.example.org); 12h old, Sun 1 Mar 21:00; about AWS AI

            score 120 = quality 60 + heat 30 + topic 30
                +60  quality 60 × 1
                +30  heat 60 × 0.5
                +15  Face recognition is policy-sensitive
                +10  about AWS AI
                 +5  about AI

            What there is to know about stop.

            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            nothing was decided
        "#]],
    );
    screen(
        &desk(),
        &["general"],
        "sq",
        &expect![[r#"
            general  1 of 2                                                   1@1  due in 3d
            Bees on a roof
            Example Daily (daily.example.org); 21h old, Sun 1 Mar 12:00

            score 40 = quality 20 + heat 20 + topic 0
                +20  quality 20 × 1
                +20  heat 40 × 0.5
              near miss: 55 more score.total: urgent

            What there is to know about bees.

            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            general  2 of 2                                                   2@1  due in 3d
            The old bridge & its keeper
            Example Daily (daily.example.org); 3h old, Mon 2 Mar 06:00; about Traffic

            score 15 = quality 12 + heat 3 + topic 0
                +12  quality 12 × 1
                 +3  heat 5 × 0.5
              near miss: 80 more score.total: urgent

            The bridge over the river, which has been closed since a flood took away one of
            its piers, is open again for those who walk, says the keeper of the bridge.

            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            nothing was decided
        "#]],
    );
}

#[test]
fn a_decision_is_answered_and_the_next_item_is_there() {
    let desk = desk();
    screen(
        &desk,
        &[],
        "ahr1q",
        &expect![[r#"
            urgent  1 of 3                                                    3@1  due in 2h
            City stops police use of face recognition
            Example Daily (daily.example.org); 12h old, Sun 1 Mar 21:00; about AWS AI

            score 120 = quality 60 + heat 30 + topic 30
                +60  quality 60 × 1
                +30  heat 60 × 0.5
                +15  Face recognition is policy-sensitive
                +10  about AWS AI
                 +5  about AI

            What there is to know about stop.

            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            general  2 of 3                                                   1@1  due in 3d
            Bees on a roof
            Example Daily (daily.example.org); 21h old, Sun 1 Mar 12:00

            score 40 = quality 20 + heat 20 + topic 0
                +20  quality 20 × 1
                +20  heat 40 × 0.5
              near miss: 55 more score.total: urgent

            What there is to know about bees.

            3@2 approved: City stops police use of face recognition
            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            general  3 of 3                                                   2@1  due in 3d
            The old bridge & its keeper
            Example Daily (daily.example.org); 3h old, Mon 2 Mar 06:00; about Traffic

            score 15 = quality 12 + heat 3 + topic 0
                +12  quality 12 × 1
                 +3  heat 5 × 0.5
              near miss: 80 more score.total: urgent

            The bridge over the river, which has been closed since a flood took away one of
            its piers, is open again for those who walk, says the keeper of the bridge.

            1@2 held until Tue 3 Mar 09:00: Bees on a roof
            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            general  3 of 3                                                   2@1  due in 3d
            The old bridge & its keeper
            Example Daily (daily.example.org); 3h old, Mon 2 Mar 06:00; about Traffic

            score 15 = quality 12 + heat 3 + topic 0
                +12  quality 12 × 1
                 +3  heat 5 × 0.5
              near miss: 80 more score.total: urgent

            The bridge over the river, which has been closed since a flood took away one of
            its piers, is open again for those who walk, says the keeper of the bridge.

            rejected, why? 1 We have it · 2 Not our subject · 3 Other · 4 Too weak · 5
            Rights unclear · Enter: not said · Escape: not at all

            nothing waits

            2@2 rejected: The old bridge & its keeper
            u undo  p back  s look for more  q quit

            1 approved, 1 rejected, 1 held
        "#]],
    );
    assert_eq!(desk.status_of(3), "approved");
    assert_eq!(desk.status_of(1), "held");
    assert_eq!(desk.status_of(2), "rejected");
    assert!(desk.says("stop.md", "published: true"));
    let decided = &desk.show(2)["decisions"][0];
    assert_eq!(
        (&decided["reason"], text(decided, "actor")),
        (&json!("duplicate"), "cli:tester".to_owned())
    );
}

#[test]
fn decisions_are_undone_one_after_the_other() {
    let desk = desk();
    let before = desk.read("stop.md");
    let seen = screens(&desk, &[], "aauuuq");
    let said: Vec<&str> = seen.iter().flat_map(|screen| screen.lines()).collect();
    let said = said
        .into_iter()
        .filter(|line| line.contains('@') && !line.contains("due in"));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            "3@2 approved: City stops police use of face recognition",
            "1@2 approved: Bees on a roof",
            "1@3 pending: Bees on a roof",
            "3@3 pending: City stops police use of face recognition",
        ]
    );
    assert!(seen[5].contains("there is nothing to undo"), "{}", seen[5]);
    assert!(seen[5].starts_with("urgent  1 of 3"), "{}", seen[5]);
    assert_eq!(seen[6], "nothing was decided\n");
    assert_eq!(
        (desk.status_of(3), desk.status_of(1)),
        ("pending".into(), "pending".into())
    );
    assert_eq!(desk.read("stop.md"), before);
}

#[test]
fn what_cannot_be_undone_does_not_keep_the_one_before_from_it() {
    let desk = desk();
    // The story of the second is another by the time that it is undone.
    let (mut child, mut seen) = started(desk.command(&["review"]));
    let mut keys = child.stdin.take().unwrap();
    shows(&mut seen, "q quit");
    keys.write_all(b"aa").unwrap();
    shows(&mut seen, "1@2 approved");
    desk.story("bees.md")
        .title("Wasps on a roof")
        .quality(20)
        .heat(40)
        .published(true)
        .write();
    desk.later("1m").scan();
    keys.write_all(b"u").unwrap();
    shows(&mut seen, "1@2 has changed: it is 1@3 now");
    keys.write_all(b"u").unwrap();
    shows(&mut seen, "3@3 pending");
    drop(keys);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_stale_decision_is_refused_and_the_item_shown_anew() {
    let desk = desk();
    desk.replace("bees.md", "Bees on a roof", "Wasps on a roof");
    screen(
        &desk,
        &["general"],
        "aq",
        &expect![[r#"
            general  1 of 2                                                   1@1  due in 3d
            Bees on a roof
            Example Daily (daily.example.org); 21h old, Sun 1 Mar 12:00

            score 40 = quality 20 + heat 20 + topic 0
                +20  quality 20 × 1
                +20  heat 40 × 0.5
              near miss: 55 more score.total: urgent

            What there is to know about bees.

            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            general  1 of 2                                                   1@2  due in 3d
            Wasps on a roof
            Example Daily (daily.example.org); 21h old, Sun 1 Mar 12:00

            score 40 = quality 20 + heat 20 + topic 0
                +20  quality 20 × 1
                +20  heat 40 × 0.5
              near miss: 55 more score.total: urgent

            What there is to know about bees.

            changed
              title: "Bees on a roof" became "Wasps on a roof"

            1@1 has changed: it is 1@2 now
            2026-03-02T09:00:00Z the story changed
                title: "Bees on a roof" became "Wasps on a roof"
            a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

            nothing was decided
        "#]],
    );
    assert_eq!(desk.status_of(1), "pending");
    assert!(desk.says("bees.md", "published: false"));
    let (_, code) = typed(&desk, &["general"], b"a");
    assert_eq!((code, desk.status_of(1)), (0, "approved".into()));
}

#[test]
fn what_someone_else_decided_is_told_and_passed_over() {
    let desk = desk();
    let (mut child, mut seen) = started(desk.command(&["review"]));
    let mut keys = child.stdin.take().unwrap();
    shows(&mut seen, "q quit");
    desk.run(&["reject", "3", "--as", "eva@example.org"]).done();
    keys.write_all(b"a").unwrap();
    let seen_then = shows(&mut seen, "rejected by eva@example.org");
    assert!(seen_then.contains("general  2 of 3"), "{seen_then}");
    drop(keys);
    assert!(child.wait().unwrap().success());
    assert_eq!(desk.status_of(3), "rejected");
}

#[test]
fn at_the_end_new_stories_and_those_that_were_skipped_are_found() {
    let desk = desk();
    screen(
        &desk,
        &["urgent"],
        "sspq",
        &expect![[r#"
        urgent  1 of 1                                                    3@1  due in 2h
        City stops police use of face recognition
        Example Daily (daily.example.org); 12h old, Sun 1 Mar 21:00; about AWS AI

        score 120 = quality 60 + heat 30 + topic 30
            +60  quality 60 × 1
            +30  heat 60 × 0.5
            +15  Face recognition is policy-sensitive
            +10  about AWS AI
             +5  about AI

        What there is to know about stop.

        a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

        nothing more waits; 1 item you skipped: p goes back

        u undo  p back  s look for more  q quit

        nothing more waits; 1 item you skipped: p goes back

        u undo  p back  s look for more  q quit

        urgent  1 of 1                                                    3@1  due in 2h
        City stops police use of face recognition
        Example Daily (daily.example.org); 12h old, Sun 1 Mar 21:00; about AWS AI

        score 120 = quality 60 + heat 30 + topic 30
            +60  quality 60 × 1
            +30  heat 60 × 0.5
            +15  Face recognition is policy-sensitive
            +10  about AWS AI
             +5  about AI

        What there is to know about stop.

        a approve  r reject  h hold  u undo  c claim  s skip  p back  ? all  q quit

        nothing was decided
    "#]],
    );
    let (mut child, mut seen) = started(desk.command(&["review"]));
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"aaa").unwrap();
    shows(&mut seen, "nothing waits");
    desk.story("late.md")
        .title("A late story")
        .published(false)
        .write();
    desk.scan();
    keys.write_all(b"s").unwrap();
    shows(&mut seen, "A late story");
    drop(keys);
    assert!(child.wait().unwrap().success());
    screen(
        &Desk::new(),
        &[],
        "aup?q",
        &expect![[r#"
        nothing waits

        u undo  p back  s look for more  q quit

        nothing waits

        u undo  p back  s look for more  q quit

        nothing waits

        there is nothing to undo
        u undo  p back  s look for more  q quit

        nothing waits

        there is none before
        u undo  p back  s look for more  q quit

        nothing waits

        a    approve
        r    reject, then why by its key
        h    hold for a day
        H    hold until a time that you type
        u    undo your last decision, then the one before
        c    claim for ten minutes; again: end the claim
        n    keep a note with it
        o    print its address
        s j  skip: the next one, as the arrows down and right
        p k  the one before, as the arrows up and left
        ?    these keys
        q    quit, as Ctrl-C
        u undo  p back  s look for more  q quit

        nothing was decided
    "#]],
    );
}

#[test]
fn notes_times_and_claims_are_kept() {
    let desk = desk();
    let said = |keys: &str| said(&desk, &["--as", "eva@example.org"], keys);
    assert_eq!(
        said("nAsk théx\u{7f} desk\rq"),
        "3@1 noted: City stops police use of face recognition"
    );
    let event = desk.show(3)["events"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (text(&event, "kind"), text(&event, "actor")),
        ("noted".into(), "eva@example.org".into())
    );
    assert_eq!(event["detail"]["note"], "Ask thé desk");
    assert_eq!(said("nlost\u{1b}"), "", "Escape leaves it");
    assert_eq!(said("n \rq"), "", "nothing is kept of nothing");
    assert_eq!(
        said("cq"),
        "3@1 claimed: City stops police use of face recognition"
    );
    assert_eq!(desk.item("stop.md")["claimed_by"], "eva@example.org");
    assert_eq!(
        said("cq"),
        "3@1 released: City stops police use of face recognition"
    );
    desk.run(&["claim", "3", "--as", "eva@example.org"]).done();
    let (seen, _) = typed(&desk, &[], b"cq");
    let claimed = "item 3 is claimed by eva@example.org until 2026-03-02T09:10:00Z";
    assert!(seen.contains(claimed), "{seen}");
    let (seen, _) = typed(&desk, &["--as", "eva@example.org"], b"Hsoon\r\x153d\rq");
    assert!(seen.contains("> soon_"), "{seen}");
    assert!(
        seen.contains("3@2 held until Thu 5 Mar 09:00: City stops police"),
        "{seen}"
    );
    let (seen, _) = typed(&desk, &[], b"?q");
    assert!(
        seen.contains("H    hold until a time that you type"),
        "{seen}"
    );
}

#[test]
fn hostile_text_does_not_drive_the_terminal() {
    let desk = desk();
    let evil = r#""evil \e[31mred \e]8;;https://evil.example.org\e\\link \u202Egnp.exe \u009b2J""#;
    desk.write(
        "stop.md",
        format!("---\ntitle: {evil}\nexcerpt: {evil}\noriginalUrl: https://www.example.org/stop.md\npublished: false\nquality: 95\nprovider: {{name: {evil}, domain: example.org}}\ntopics: [{evil}]\n---\n\u{1b}[2J\n"),
    );
    desk.scan();
    let (seen, code) = typed(
        &desk,
        &[],
        "\u{1b}[200~aq\u{1b}[201~ocnx\u{9b}\u{202e}31m\rra".as_bytes(),
    );
    assert_eq!(code, 0);
    assert!(seen.contains("evil ␛[31mred"), "{seen}");
    let drives = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
    assert_eq!(seen.chars().find(drives), None, "{seen}");
    assert!(
        seen.lines()
            .all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80),
        "{seen}"
    );
    assert_eq!(
        desk.status_of(3),
        "pending",
        "what was pasted decided nothing"
    );
}

#[test]
fn only_queues_that_are_hers_are_gone_through() {
    let desk = desk();
    let (seen, _) = typed(&desk, &["--as", "ana@example.org"], b"q");
    assert!(seen.starts_with("general  1 of 2"), "{seen}");
    for (args, says) in [
        (
            ["urgent", "--as", "ana@example.org"],
            "ana@example.org does not review the queue `urgent`",
        ),
        (
            ["genral", "--as", "ana@example.org"],
            "there is no queue `genral`; the queues are: urgent, general",
        ),
        (
            ["--as", "nobody@example.org", "--json"],
            "review is for people",
        ),
    ] {
        let (seen, code) = typed(&desk, &args, b"a");
        assert_eq!(code, 2, "{seen}");
        assert!(seen.contains(says), "{seen}");
    }
}

fn started(mut command: Command) -> (Child, Receiver<Vec<u8>>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut seen = child.stdout.take().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut some = [0; 4096];
        while let Ok(length @ 1..) = seen.read(&mut some) {
            if sender.send(some[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    (child, receiver)
}

/// Reads on until something is shown, and returns all that was read.
fn shows(seen: &mut Receiver<Vec<u8>>, what: &str) -> String {
    let (mut read, mut bytes) = (String::new(), Vec::new());
    while !read.contains(what) {
        match seen.recv_timeout(HANGS_AFTER) {
            Ok(some) => bytes.extend(some),
            Err(_) => panic!("{what:?} is not in {read:?}"),
        }
        read = String::from_utf8_lossy(&bytes).into_owned();
    }
    read
}

/// The command in a terminal of its own, followed by what the terminal is like then.
fn in_terminal(desk: &Desk) -> Option<Command> {
    let inner = desk.command(&["review"]);
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let words = std::iter::once(inner.get_program()).chain(inner.get_args());
    let words: Vec<String> = words.map(quoted).collect();
    // Its number is told, so that it can be sent a signal.
    let line = format!(
        "stty rows 14 cols 60; sh -c 'echo NUMBER $$; exec \"$@\"' sh {}; stty -a",
        words.join(" ")
    );
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm");
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let has_script = Command::new("script")
        .arg("--version")
        .output()
        .is_ok_and(|found| found.status.success());
    if !has_script {
        println!("skipped: no script(1)");
    }
    has_script.then_some(command)
}

#[test]
fn what_was_typed_before_a_changed_story_was_seen_decides_nothing() {
    let desk = desk();
    let Some(command) = in_terminal(&desk) else {
        return;
    };
    let (mut child, mut seen) = started(command);
    let mut keys = child.stdin.take().unwrap();
    shows(&mut seen, "q quit");
    desk.replace("stop.md", "City stops", "City does not stop");
    keys.write_all(b"aa").unwrap();
    shows(&mut seen, "3@1 has changed: it is 3@2 now");
    keys.write_all(b"h").unwrap();
    shows(&mut seen, "3@3 held");
    keys.write_all(b"q").unwrap();
    shows(&mut seen, "1 held");
    child.wait().unwrap();
    assert!(desk.says("stop.md", "published: false"));
}

#[test]
fn an_item_that_changes_while_a_line_is_typed_is_told_of_and_not_decided() {
    let desk = desk();
    let (mut child, mut seen) = started(desk.command(&["review"]));
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"r").unwrap();
    shows(&mut seen, "rejected, why?");
    desk.replace("stop.md", "City stops", "City does not stop");
    desk.scan();
    keys.write_all(b"x").unwrap();
    shows(&mut seen, "3@1 has changed: it is 3@2 now");
    keys.write_all(b"1q").unwrap();
    let end = shows(&mut seen, "nothing was decided");
    assert!(end.contains("3@1 has changed: it is 3@2 now"), "{end}");
    assert!(child.wait().unwrap().success());
    assert_eq!(desk.status_of(3), "pending");
}

#[test]
fn the_terminal_is_put_back_on_every_way_out() {
    for way in ["q", "\u{3}", "terminate", "hang up"] {
        let desk = desk();
        let Some(command) = in_terminal(&desk) else {
            return;
        };
        let (mut child, mut seen) = started(command);
        let mut keys = child.stdin.take().unwrap();
        let start = shows(&mut seen, "q quit");
        assert!(start.contains("\u{1b}[?1049h"), "{start:?}");
        let shown = start.split("\u{1b}[2J").last().unwrap();
        assert!(shown.lines().count() < 14, "{shown}");
        assert!(shown.contains("\n…\r\n"), "{shown:?}");
        keys.write_all(b"a").unwrap();
        shows(&mut seen, "3@2 approved");
        let number = start
            .split("NUMBER ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        let process = Pid::from_raw(number.parse().unwrap()).unwrap();
        match way {
            "terminate" => kill_process(process, Signal::TERM).unwrap(),
            "hang up" => kill_process(process, Signal::HUP).unwrap(),
            key => keys.write_all(key.as_bytes()).unwrap(),
        }
        let end = shows(&mut seen, "-tostop");
        for says in ["\u{1b}[?1049l", "1 approved", "isig icanon", " echo "] {
            assert!(end.contains(says), "{way:?}: {says:?} is not in {end:?}");
        }
        drop(keys);
        child.wait().unwrap();
        assert_eq!(desk.status_of(3), "approved");
    }
}
