//! Secrets stay secret: what copydesk knows and must not tell is a canary, and a whole life of a
//! desk is searched for it, logs at trace level included.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::desk::{Desk, QUEUES, SOURCES, finish};
use crate::http::ask;
use crate::service::{BOUND, Service, beside, number, service};
use crate::smtp::{Server, kind};

/// The canaries as they are written, and each as it could be told: as it is, in the escapes of a
/// URL, in base64 alone and as AUTH PLAIN and LOGIN send it, and in the spelling of Rust's `Debug`.
const PASSWORD: &str = "c4nary/pass+word?=7";
const PASSWORD_IN_URL: &str = "c4nary%2Fpass%2Bword%3F%3D7";
const VOLATILE: &str = "c4nary-volatile";
const DEEP: &str = "c4nary-deep";
const BROKEN: &str = "c4nary-broken";
const FORMS: &[&str] = &[
    PASSWORD,
    PASSWORD_IN_URL,
    // base64 of the password, of `\0desk\0` and the password; without what the end would vary.
    "YzRuYXJ5L3Bhc3Mrd29yZD89N",
    "AGRlc2sAYzRuYXJ5L3Bhc3Mrd29yZD89N",
    VOLATILE,
    DEEP,
    BROKEN,
];

/// All that was looked through, by what it is; canaries found in it.
#[derive(Default)]
struct Search {
    bytes: usize,
    places: usize,
    hits: Vec<String>,
}

impl Search {
    fn through(&mut self, what: &str, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.places += 1;
        for form in FORMS {
            if bytes
                .windows(form.len())
                .any(|part| part == form.as_bytes())
            {
                self.hits.push(format!("{form} in {what}"));
            }
        }
    }

    /// Runs a command and looks through what it says; returns its exit status.
    fn run(&mut self, mut command: Command) -> i32 {
        command
            .env("COPYDESK_LOG", "trace")
            .env("RUST_LOG", "trace");
        let words: Vec<String> = command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        let run = finish(command);
        self.through(&words.join(" "), run.seen().as_bytes());
        run.code
    }

    /// Looks through every file below a folder.
    fn folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.folder(&path);
            } else {
                self.through(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }
}

/// A record whose volatile fields are canaries; `n` makes it one of many.
fn secret_story(desk: &Desk, n: usize) {
    desk.story(&format!("{n}.md"))
        .secured(&format!("{VOLATILE}-{n}"))
        .line(&format!("tokens: [{{a: {DEEP}-{n}}}, \"{DEEP}\"]"))
        .write();
}

fn with_smtp<'c>(command: &'c mut Command, url: &str) -> &'c mut Command {
    command
        .env("COPYDESK_SMTP_URL", url)
        .env("COPYDESK_MAIL_FROM", "Copy desk <desk@example.org>")
}

#[test]
fn no_secret_is_told_in_a_whole_life() {
    let desk = Desk::with_no_rules()
        .with_rules(
            "sources.yaml",
            &SOURCES.replace("volatile: [secured]", "volatile: [secured, tokens]"),
        )
        .with_rules("queues.yaml", QUEUES)
        .with_rules(
            "reviewers.yaml",
            "reviewers:\n  - {name: Ana Example, email: ana@example.org, role: editor, queues: all, digest: \"* * * * *\"}\n",
        );
    let mut search = Search::default();
    for n in 0..4 {
        secret_story(&desk, n);
    }
    // What cannot be read is told by place, and not by what stands there.
    for (n, lines) in [
        format!("secured: \"{BROKEN}"),
        format!("secured: !{BROKEN} x"),
        format!("secured: *{BROKEN}"),
        format!("secured: [{BROKEN}"),
        format!("secured: {BROKEN}: {BROKEN}"),
        format!("secured: {{a: {BROKEN}, a: {BROKEN}}}"),
        format!("secured: |\n\t{BROKEN}"),
        format!("secured: \"\\q{BROKEN}\""),
    ]
    .iter()
    .enumerate()
    {
        let page = format!("---\ntitle: x\n{lines}\npublished: false\n---\n");
        desk.write(format!("broken-{n}.md"), page);
    }
    desk.write("broken.toml.md", format!("+++\nsecured = {BROKEN}\n+++\n"));
    desk.write("broken.json.md", format!("{{\"secured\": {BROKEN}}}\n"));

    let server = Server::kind();
    let url = |port: u16| format!("smtp://desk:{PASSWORD_IN_URL}@127.0.0.1:{port}");
    let good = url(server.port);
    fs::write(desk.path("url"), &good).unwrap();
    fs::set_permissions(desk.path("url"), fs::Permissions::from_mode(0o600)).unwrap();

    // The service, told everything, mails what waits.
    let mut command = service(&desk);
    command
        .env("COPYDESK_LOG", "trace")
        .env("RUST_LOG", "trace");
    with_smtp(&mut command, &good);
    let service = Service::spawn(&desk, command);
    service.until("a digest", BOUND, || !server.mails().is_empty());
    for n in 0..2 {
        // Noise, and a new text.
        secret_story(&desk, n + 10);
        desk.story(&format!("{n}.md"))
            .title("Another title")
            .secured(&format!("{VOLATILE}-again"))
            .write();
    }
    service.until("the new stories", BOUND, || {
        number(&desk, "SELECT count(*) FROM items") == Some(6)
    });
    for args in [
        &["approve", "1", "--note", "fine"][..],
        &["reject", "2", "--reason", "off-topic"],
        &["hold", "3"],
        &["reopen", "1"],
        &["approve", "4@9"],
        &["show", "1"],
        &["show", "1", "--json"],
        &["queue", "--json"],
        &["status"],
        &["status", "--json"],
        &["mails"],
        &["mails", "--json"],
        &["notify", "--dry-run"],
    ] {
        search.run(beside(&desk, args));
    }
    // What stands in paths, queries, headers and forms is in no line of the log.
    let log = service.log();
    let address = log.split("Listening on http://").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap();
    let canary = format!("Bearer cd_{VOLATILE}");
    let cookie = format!("copydesk={VOLATILE}");
    let headers = [
        ("Authorization", &*canary),
        ("Cookie", &*cookie),
        ("X-CSRF", VOLATILE),
    ];
    for path in [
        format!("/d/{VOLATILE}"),
        format!("/sign-in/{VOLATILE}"),
        format!("/sign-in?next=/{VOLATILE}"),
        format!("/mails/{VOLATILE}"),
        format!("/{VOLATILE}"),
        format!("/api/v1/items/{VOLATILE}?{VOLATILE}={VOLATILE}"),
        format!("/api/v1/items/1/decisions?{VOLATILE}"),
    ] {
        for method in ["GET", "POST", VOLATILE] {
            let form = format!("email={VOLATILE}@example.org&csrf={VOLATILE}");
            ask(address, method, &path, &headers, &form);
        }
    }
    assert!(service.log().contains("route=\"/sign-in/{link}\""));
    service.stop();
    search.folder(&desk.path("state"));
    search.through("service.log", &fs::read(desk.path("service.log")).unwrap());
    assert!(search.bytes > 100_000, "nothing was logged");

    // Commands of every kind, by the settings of a server that takes all.
    let file = desk.content("3.md");
    let file = file.to_str().unwrap();
    for args in [
        &["scan"][..],
        &["scan", "--json"],
        &["check"],
        &["explain", file],
        &["explain", file, "--json"],
        &["backtest"],
        &["backtest", "--json"],
        &["backup", "desk.backup"],
        &["notify", "--json"],
        &["notify", "--test", "bo@example.org"],
        &["notify", "--help"],
    ] {
        let mut command = beside(&desk, args);
        with_smtp(&mut command, &good);
        search.run(command);
    }
    let mut by_file = beside(&desk, &["notify", "--test", "bo@example.org"]);
    by_file
        .env("COPYDESK_SMTP_URL_FILE", desk.path("url"))
        .env("COPYDESK_MAIL_FROM", "desk@example.org");
    assert_eq!(search.run(by_file), 0);
    search.through("the backup", &fs::read(desk.path("desk.backup")).unwrap());

    // A login that is refused, with what was sent; no server; a server that talks nonsense.
    let refuses = Server::new(|step| match step {
        "AUTH" => "535 5.7.8 AGRlc2sAYzRuYXJ5L3Bhc3Mrd29yZD89Nw== is c4nary/pass+word?=7".into(),
        step => kind(step),
    });
    let echoes = Server::new(|step| match step {
        "text" => format!("554 5.7.1 {PASSWORD} is spam"),
        step => kind(step),
    });
    let ports = [refuses.port, echoes.port, 1];
    let bad = [
        format!("smtps://desk:{PASSWORD_IN_URL}@"),
        format!("smtps://desk:{PASSWORD}@mail.example.org"),
        format!("http://desk:{PASSWORD_IN_URL}@127.0.0.1"),
        format!("smtp://127.0.0.1:1/{PASSWORD_IN_URL}"),
        format!("smtp://desk:{PASSWORD_IN_URL}@mail.example.org:99999"),
        PASSWORD.to_owned(),
    ];
    for url in ports.map(url).iter().chain(&bad) {
        for args in [
            &["notify", "--test", "bo@example.org"][..],
            &["notify"],
            &["status"],
            &["status", "--json"],
            &["mails", "--json"],
        ] {
            secret_story(&desk, 20 + search.places);
            let mut command = beside(&desk, args);
            with_smtp(&mut command, url);
            search.run(command);
        }
        let mut scan = beside(&desk, &["scan"]);
        with_smtp(&mut scan, url);
        search.run(scan);
    }
    assert!(
        refuses
            .heard()
            .iter()
            .any(|line| line.contains("AGRlc2sAYzRuYXJ5"))
    );
    // The setting twice, and a file that cannot be read.
    for file in ["url", "absent", "content"] {
        let mut command = beside(&desk, &["notify"]);
        command.env("COPYDESK_SMTP_URL_FILE", desk.path(file));
        if file == "url" {
            with_smtp(&mut command, &good);
        }
        assert_ne!(search.run(command), 0);
    }
    search.folder(&desk.path("state"));
    for (n, mail) in server.mails().iter().chain(&echoes.mails()).enumerate() {
        search.through(&format!("mail {n}"), mail.as_bytes());
    }
    assert!(!server.mails().is_empty());

    let hits: BTreeSet<&String> = search.hits.iter().collect();
    assert!(hits.is_empty(), "{hits:#?}");
    println!(
        "| secrets in logs, errors, exports, mails | {} canaries, {} bytes looked through | 0 |",
        FORMS.len(),
        search.bytes
    );
}

#[test]
fn a_file_with_a_password_that_all_may_read_is_warned_of() {
    let desk = Desk::new();
    let server = Server::kind();
    let url = format!("smtp://desk:{PASSWORD_IN_URL}@127.0.0.1:{}", server.port);
    fs::write(desk.path("url"), url).unwrap();
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(desk.path("url"), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = desk.command(&["notify", "--test", "bo@example.org"]);
        command
            .env("COPYDESK_SMTP_URL_FILE", desk.path("url"))
            .env("COPYDESK_MAIL_FROM", "desk@example.org");
        let run = finish(command).done();
        let told = run.stderr.contains("may be read by every user");
        assert_eq!(told, warned, "{mode:o}: {run:?}");
        assert!(!run.seen().contains("c4nary"), "{run:?}");
    }
}
