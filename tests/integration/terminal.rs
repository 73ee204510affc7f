//! What a file says never drives a terminal or a mail.

use crate::desk::Desk;

/// A title with everything that moves a cursor, turns text round or starts a header.
const HOSTILE: &str = r#""evil \e[31mred\e[0m \e]8;;https://evil.example.org\e\\link \r\nBcc: all@example.org\n\u202Egnp.exe\u200B\u2066 \u009b2J \b\b end""#;

fn hostile_desk() -> Desk {
    let desk = Desk::new();
    let record = format!(
        "---\ntitle: {HOSTILE}\nexcerpt: {HOSTILE}\noriginalUrl: https://example.org/evil\npublished: false\nquality: 20\nprovider:\n  name: {HOSTILE}\n  domain: example.org\ntopics: [{HOSTILE}]\n\"key \\e[31m\": x\n---\n\u{1b}[2J body\n"
    );
    desk.write("evil.md", record);
    desk.story("good.md").write();
    desk
}

fn drives(text: &str) -> Option<char> {
    let dangerous = |char: char| {
        (char.is_control() && !matches!(char, '\n' | '\t'))
            || matches!(char, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().find(|char| dangerous(*char))
}

#[test]
fn a_title_never_reaches_the_terminal_raw() {
    let desk = hostile_desk();
    desk.scan();
    let waits = desk.queue();
    let item = waits.iter().find(|item| {
        item["title"]
            .as_str()
            .is_some_and(|title| title.contains("evil"))
    });
    let Some(item) = item else {
        // Such a record may also be refused; then its reason must be as harmless.
        let status = desk.run(&["status"]);
        assert!(status.stdout.contains("evil.md"));
        assert_eq!(drives(&status.seen()), None, "{status:?}");
        return;
    };
    let id = item["id"].to_string();
    let file = desk.content("evil.md");
    let file = file.to_str().unwrap();
    for args in [
        vec!["queue"],
        vec!["show", &id],
        vec!["explain", file],
        vec!["notify", "--dry-run"],
        vec!["status"],
        vec!["scan"],
        vec!["backtest", "--suggest"],
        vec!["approve", "99"],
        vec!["hold", &id],
        vec!["approve", &id],
        vec!["show", &id],
    ] {
        let run = desk.run(&args);
        assert_eq!(drives(&run.seen()), None, "{args:?}: {run:?}");
        assert!(
            !run.seen().lines().any(|line| line.starts_with("Bcc:")),
            "{args:?}: {run:?}"
        );
    }
}

#[test]
fn a_title_never_reaches_a_mail_raw() {
    let desk = hostile_desk();
    desk.scan();
    let mails = desk.notify();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert!(
        !mail.headers.iter().any(|header| header == "bcc"),
        "{:?}",
        mail.headers
    );
    assert_eq!(drives(&mail.subject), None, "{:?}", mail.subject);
    assert!(!mail.subject.contains('\n'));
    assert_eq!(drives(&mail.text), None, "{:?}", mail.text);
    assert!(
        !mail.text.lines().any(|line| line.starts_with("Bcc:")),
        "{}",
        mail.text
    );
}

#[test]
fn a_note_never_reaches_the_terminal_raw() {
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md").to_string();
    desk.run(&["hold", &id, "--note", "red \u{1b}[31m\u{202e}\r\nBcc: x"])
        .done();
    let run = desk.run(&["show", &id]).done();
    assert_eq!(drives(&run.seen()), None, "{run:?}");
}

#[test]
fn a_reason_never_reaches_the_terminal_raw() {
    let desk = Desk::new();
    desk.write(
        "bad.md",
        "---\ntitle: \"\u{1b}[31m\u{202e}\na: [\u{1b}[2J\n---\n",
    );
    desk.scan();
    let run = desk.run(&["status"]);
    assert!(run.seen().contains("bad.md"), "{run:?}");
    assert_eq!(drives(&run.seen()), None, "{run:?}");
}

#[test]
fn a_long_title_is_cut_where_it_is_listed() {
    let desk = Desk::new();
    desk.story("a.md").title(&"long ".repeat(20_000)).write();
    desk.scan();
    let widest = |text: &str| {
        text.lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    };
    assert!(widest(&desk.run(&["queue"]).done().stdout) < 500);
    let mail = desk.notify().remove(0);
    assert!(mail.subject.chars().count() < 200, "{}", mail.subject);
    assert!(widest(&mail.text) < 1_000);
}

#[test]
fn colour_is_for_terminals() {
    let desk = hostile_desk();
    desk.write("bad.md", "---\ntitle: [\n---\n");
    desk.scan();
    let file = desk.content("good.md");
    let file = file.to_str().unwrap();
    for args in [
        vec!["scan"],
        vec!["queue"],
        vec!["show", "1"],
        vec!["explain", file],
        vec!["check"],
        vec!["status"],
        vec!["mails"],
        vec!["backtest", "--suggest"],
    ] {
        let mut command = desk.command(&args);
        command
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env("TERM", "xterm-256color");
        let run = crate::desk::finish(command);
        assert!(!run.seen().contains('\u{1b}'), "{args:?}: {run:?}");
        assert!(
            !run.stdout.is_empty() || !run.stderr.is_empty() || args[0] == "mails",
            "{args:?} says nothing"
        );
    }
}
