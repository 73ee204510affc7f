//! Hostile front matter: what is refused, what is read, and that the neighbours are read on.

use std::fmt::Write;

use serde_json::Value;

use crate::desk::{Desk, assert_published};

/// Front matter around these lines, with a flag that waits.
pub(crate) fn with(lines: &str) -> Vec<u8> {
    format!("---\ntitle: \"A hostile record\"\npublished: false\n{lines}\n---\nA body.\n")
        .into_bytes()
}

fn alias_bomb() -> String {
    let mut lines = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(lines, "a{level}: &a{level} [{below}]").unwrap();
    }
    lines
}

pub(crate) fn many_anchors(count: usize) -> String {
    let mut lines = String::from("list:\n");
    for n in 0..count {
        writeln!(lines, "- &n{n} x\n- *n{n}").unwrap();
    }
    lines
}

fn utf16() -> Vec<u8> {
    let text = "\u{feff}---\ntitle: x\npublished: false\n---\n";
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Each of these is kept as broken, with a reason.
pub(crate) fn refused() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("1 alias bomb", with(&alias_bomb())),
        ("2 ten thousand anchors", with(&many_anchors(10_000))),
        ("2 more anchors than are allowed", with(&many_anchors(200))),
        ("3 alias of itself", with("a: &a [*a]")),
        (
            "4 storm of merge keys",
            with(&format!(
                "a: &a {{k: v}}\nb:\n  <<: [{}]",
                vec!["*a"; 5_000].join(", ")
            )),
        ),
        (
            "5 lists in lists",
            with(&format!("a: {}", "[".repeat(100_000))),
        ),
        (
            "5 lists in lists, closed",
            with(&format!(
                "a: {}{}",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )),
        ),
        (
            "5 maps in maps",
            with(&format!("a: {}", "{a: ".repeat(50_000))),
        ),
        (
            "5 dashes on one line",
            with(&format!("a:\n  {}x", "- ".repeat(50_000))),
        ),
        (
            "6 front matter over 256 KiB",
            with(&format!("a: \"{}\"", "x".repeat(257 * 1024))),
        ),
        (
            "6 file over 8 MiB",
            [with(""), vec![b'x'; 8 * 1024 * 1024]].concat(),
        ),
        (
            "7 never closed",
            b"---\ntitle: x\npublished: false\n\nA body.\n".to_vec(),
        ),
        (
            "7 never closed, only dashes that do not count",
            b"---\ntitle: x\n ---\n----\n".to_vec(),
        ),
        ("8 empty", Vec::new()),
        ("8 one marker", b"---\n".to_vec()),
        ("8 one marker, no end of line", b"---".to_vec()),
        ("8 only a byte order mark", b"\xEF\xBB\xBF".to_vec()),
        ("8 only blank lines", b"\n\n\n".to_vec()),
        ("10 UTF-16", utf16()),
        (
            "10 invalid UTF-8",
            [
                b"---\ntitle: \"\xff\xfe\"\n".to_vec(),
                b"published: false\n---\n".to_vec(),
            ]
            .concat(),
        ),
        ("10 half a surrogate pair", with(r#"a: "\ud800""#)),
        ("10 NUL", with("a: \"x\0y\"")),
        ("11 the flag twice", with("published: true")),
        ("11 a key twice", with("category: news\ncategory: sport")),
        (
            "11 a key twice, deeper",
            with("provider:\n  name: a\n  name: b"),
        ),
        (
            "13 a tag that builds objects",
            with("a: !!python/object/apply:os.system [\"true\"]"),
        ),
        (
            "13 a tag that includes files",
            with("a: !include /etc/passwd"),
        ),
        ("13 a tag nobody knows", with("a: !mystery x")),
        (
            "19 fifty thousand topics",
            with(&format!("topics: [{}]", vec!["a"; 50_000].join(","))),
        ),
        (
            "20 a key of a megabyte",
            with(&format!("{}: x", "k".repeat(1024 * 1024))),
        ),
        ("21 tabs that indent", with("provider:\n\tname: x")),
        (
            "21 comments only",
            b"---\n# published: false\n---\nA body.\n".to_vec(),
        ),
        (
            "21 a list at the top",
            b"---\n- title: x\n- published: false\n---\n".to_vec(),
        ),
        (
            "21 plain text at the top",
            b"---\njust words\n---\n".to_vec(),
        ),
        (
            "22 ten megabytes of opaque text",
            with(&format!("secured: \"{}\"", "x".repeat(10 * 1024 * 1024))),
        ),
        ("a quote that never ends", with("a: \"x")),
        ("a list that never ends", with("a: [x, y")),
        ("a colon too many", with("a: b: c")),
        ("an alias of nothing", with("a: *nothing")),
    ]
}

/// What is wrong after a pass over this file and a good neighbour, in words.
fn complaint(bytes: &[u8]) -> Option<String> {
    let desk = Desk::new();
    desk.story("good.md").write();
    desk.write("bad.md", bytes);
    let scan = desk.scan();
    if desk.read("bad.md") != bytes {
        return Some("the file was touched".to_owned());
    }
    if desk.waiting() != ["good.md".to_owned()].into() {
        return Some(format!("waiting: {:?}", desk.waiting()));
    }
    if (&scan["records"], &scan["broken"]) != (&1.into(), &1.into()) {
        return Some(format!("counted {scan}"));
    }
    let broken = desk.broken();
    let Some(entry) = broken.get("bad.md") else {
        return Some(format!("broken: {broken:?}"));
    };
    let reason = entry["reason"].as_str().unwrap_or_default();
    if reason.len() < 5 || reason.len() > 500 || reason.chars().any(char::is_control) {
        return Some(format!("no reason that a person can read: {entry}"));
    }
    desk.later("1h");
    let again = desk.scan();
    (again["broken"] != 1).then(|| format!("after another pass {again}"))
}

#[test]
fn what_cannot_be_read_is_kept_as_broken_and_the_others_are_read() {
    let complaints: Vec<String> = refused()
        .iter()
        .filter_map(|(name, bytes)| {
            complaint(bytes).map(|complaint| format!("{name}: {complaint}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn all_of_it_at_once_stops_nothing() {
    let desk = Desk::new();
    desk.story("good.md").write();
    let refused = refused();
    for (n, (_, bytes)) in refused.iter().enumerate() {
        desk.write(format!("bad-{n}.md"), bytes);
    }
    let scan = desk.scan();
    assert_eq!(
        (&scan["records"], &scan["broken"]),
        (&1.into(), &refused.len().into())
    );
    assert_eq!(desk.broken().len(), refused.len());
    desk.run(&["status"]).says(&["bad-0.md"]);
    let rows = desk.dump();
    desk.later("1h").scan();
    assert_eq!(desk.dump(), rows, "what is still broken is no news");
}

#[test]
fn a_reason_names_its_place() {
    for (lines, at) in [
        ("category: news\nprovider:\n\tname: x", 5..=6),
        ("category: news\na: !include /etc/passwd", 5..=5),
        ("category: news\na: b: c", 5..=5),
        ("category: news\npublished: true", 3..=5),
    ] {
        let desk = Desk::new();
        desk.write("in/bad.md", with(lines));
        desk.scan();
        let entry = desk.broken()["in/bad.md"].clone();
        let line = entry["line"]
            .as_i64()
            .unwrap_or_else(|| panic!("no line: {entry}"));
        assert!(at.contains(&line), "{lines:?}: {entry}");
        assert!(
            entry["column"].as_i64().is_some_and(|column| column >= 1),
            "{entry}"
        );
        desk.run(&["status"])
            .says(&["in/bad.md", &format!(":{line}")]);
    }
}

#[test]
fn a_key_given_twice_is_named() {
    let desk = Desk::new();
    desk.write("bad.md", with("published: true"));
    desk.scan();
    assert!(
        desk.broken()["bad.md"]["reason"]
            .as_str()
            .unwrap()
            .contains("published")
    );
}

#[test]
fn a_record_that_reads_again_is_broken_no_more() {
    let desk = Desk::new();
    desk.write("a.md", "---\ntitle: [\n---\n");
    desk.scan();
    desk.story("a.md").write();
    let scan = desk.later("1h").scan();
    assert_eq!((&scan["broken"], &scan["queued"]), (&0.into(), &1.into()));
    assert!(desk.broken().is_empty());
}

#[test]
fn a_broken_file_that_goes_is_broken_no_more() {
    let desk = Desk::new();
    desk.write("a.md", "---\ntitle: [\n---\n");
    desk.story("good.md").write();
    desk.scan();
    desk.remove("a.md");
    desk.later("1h").scan();
    assert_eq!(desk.later("61s").scan()["broken"], 0);
    assert!(desk.broken().is_empty());
}

#[test]
fn a_record_that_breaks_keeps_its_item_and_its_file() {
    let desk = Desk::new();
    let story = desk.story("a.md").write();
    desk.story("good.md").write();
    desk.scan();
    let (id, tag) = (desk.id("a.md"), desk.tag("a.md"));
    desk.write("a.md", with("a: ["));
    let before = desk.read("a.md");
    desk.later("1h").scan();
    desk.later("1h").scan();
    assert_eq!(desk.status_of(id), "pending", "broken is not gone");
    desk.run(&["approve", &tag]);
    assert_eq!(desk.read("a.md"), before);
    story.write();
    assert_eq!(desk.later("1h").scan()["new"], 0);
}

/// Odd, but read: the record waits and can be approved in one line.
#[test]
fn what_is_odd_but_plain_is_read_and_written() {
    let odd = [
        (
            "9 byte order mark",
            [b"\xEF\xBB\xBF".to_vec(), with("a: b")].concat(),
        ),
        ("9 byte order mark and CRLF", {
            let text = String::from_utf8(with("a: b"))
                .unwrap()
                .replace('\n', "\r\n");
            [b"\xEF\xBB\xBF".to_vec(), text.into_bytes()].concat()
        }),
        (
            "14 a marker in a block",
            with("a: |\n  x\n  ---\n  published: true"),
        ),
        (
            "14 markers in the body",
            [
                with("a: b"),
                b"---\npublished: false\n---\n...\nx\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "17 year zero",
            with("publishedDateTime: 0000-01-01T00:00:00Z"),
        ),
        (
            "17 a leap second at the end of time",
            with("publishedDateTime: 9999-12-31T23:59:60Z"),
        ),
        (
            "17 a year beyond all calendars",
            with("publishedDateTime: 292277026597-01-01T00:00:00Z"),
        ),
        (
            "17 a zone that is none",
            with("publishedDateTime: 2020-01-01T00:00:00+99:99"),
        ),
        ("17 a word for a date", with("publishedDateTime: tomorrow")),
        ("18 topics that are a text", with("topics: AI")),
        ("18 topics that are a map", with("topics: {AI: true}")),
        ("18 related that is a number", with("related: 5")),
        ("18 a provider that is a text", with("provider: Example")),
        (
            "20 keys that scripts know",
            with("__proto__: {a: b}\nconstructor: c\ntoString: d"),
        ),
        ("36 templates", with("a: \"{{ x }} {% y %} ${z} %s%n\"")),
        (
            "a long but fair text",
            with(&format!("a: \"{}\"", "x".repeat(200 * 1024))),
        ),
        (
            "a long body",
            [with("a: b"), vec![b'x'; 4 * 1024 * 1024]].concat(),
        ),
        (
            "an empty body",
            b"---\ntitle: x\npublished: false\n---\n".to_vec(),
        ),
        ("a plain alias", with("a: &a [x]\nb: *a")),
    ];
    for (name, bytes) in odd {
        println!("{name}");
        let desk = Desk::new();
        desk.story("good.md").write();
        desk.write("odd.md", &bytes);
        desk.scan();
        assert_eq!(desk.broken(), [].into());
        assert_eq!(desk.queue().len(), 2);
        desk.approve("odd.md").done();
        assert_published(&bytes, &desk.read("odd.md"));
    }
}

#[test]
fn a_title_stays_text() {
    for (written, read) in [
        ("2024-01-01", Some("2024-01-01")),
        ("12:30:45", Some("12:30:45")),
        ("yes", Some("yes")),
        ("\"true\"", Some("true")),
        ("'007'", Some("007")),
        ("{a: b}", None),
        ("[a, b]", None),
        ("~", None),
    ] {
        let desk = Desk::new();
        desk.write(
            "a.md",
            format!("---\ntitle: {written}\npublished: false\n---\n"),
        );
        desk.scan();
        assert_eq!(desk.item("a.md")["title"].as_str(), read, "{written}");
    }
}

/// A number that is none gives no points, whether the record is read or refused.
#[test]
fn what_is_no_number_is_no_score() {
    for heat in [
        ".inf",
        "-.inf",
        ".nan",
        "1e400",
        "\"50\"",
        "\"1_000\"",
        "1_000",
        "[50]",
        "12:30:45",
        "true",
        "~",
        "9223372036854775808",
        &"9".repeat(400),
    ] {
        let desk = Desk::new();
        desk.story("good.md").write();
        desk.story("odd.md").quality(20).heat_as(heat).write();
        let scan = desk.scan();
        assert_eq!(
            scan["records"].as_i64().unwrap() + scan["broken"].as_i64().unwrap(),
            2,
            "{heat}"
        );
        assert!(desk.waiting().contains("good.md"), "{heat}");
        if scan["broken"] == 0 {
            let score = desk.item("odd.md")["score"].clone();
            let huge = heat.starts_with('9');
            assert!(huge || score["heat"] == 0, "{heat}: {score}");
            assert!(score["total"].as_i64().is_some(), "{heat}: {score}");
        }
    }
}

#[test]
fn only_true_and_false_are_a_flag() {
    for (flag, waits) in [
        ("true", false),
        ("false", true),
        ("yes", true),
        ("on", true),
        ("1", true),
        ("\"true\"", true),
        ("'true'", true),
        ("[true]", true),
        ("truE", true),
    ] {
        let desk = Desk::new();
        desk.story("a.md").published_as(flag).write();
        assert_eq!(desk.scan()["queued"], i64::from(waits), "{flag}");
    }
}

#[test]
fn keys_that_are_no_text_are_refused_or_ignored() {
    for key in ["1: x", "true: x", "? [a, b]\n: x", "~: x", "2024-01-01: x"] {
        let desk = Desk::new();
        desk.story("good.md").write();
        desk.write("odd.md", with(key));
        desk.scan();
        let listed = desk.broken().contains_key("odd.md");
        let waits = desk.waiting();
        assert!(waits.contains("good.md"), "{key}");
        assert_ne!(
            listed,
            waits.contains("odd.md"),
            "{key}: neither read nor refused, or both"
        );
    }
}

#[test]
fn no_file_is_opened_for_a_tag() {
    let desk = Desk::new();
    std::fs::write(desk.path("secret.txt"), "CANARYCANARY").unwrap();
    desk.write("bad.md", with("a: !include ../secret.txt"));
    desk.scan();
    assert!(!desk.json(&["status"]).to_string().contains("CANARY"));
    assert!(!format!("{:?}", desk.dump()).contains("CANARY"));
}

#[test]
fn a_broken_record_is_explained_as_broken() {
    let desk = Desk::new();
    desk.write("bad.md", with("a: ["));
    desk.story("good.md").write();
    let (bad, good) = (desk.content("bad.md"), desk.content("good.md"));
    let run = desk
        .run(&[
            "explain",
            bad.to_str().unwrap(),
            good.to_str().unwrap(),
            "--json",
        ])
        .refused();
    assert!(run.seen().contains("bad.md"), "{run:?}");
    let explained: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        explained.iter().any(|one| one["location"] == "good.md"),
        "{run:?}"
    );
}

#[test]
fn other_kinds_that_are_broken_are_told_by_line_and_column() {
    let broken = [
        ("unclosed.md", "+++\ntitle = 'x'\n", (1, 1), "`+++`"),
        ("bad.md", "+++\ntitle = 'x'\na = maybe\n+++\n", (3, 5), ""),
        ("twice.md", "+++\na = 1\nb = 1\na = 2\n+++\n", (4, 1), "`a`"),
        (
            "twice-json.md",
            "{\n  \"a\": 1,\n  \"a\": 2\n}\n",
            (3, 3),
            "`a`",
        ),
        (
            "comma.md",
            "{\n  \"title\": \"x\",\n}\nbody\n",
            (2, 15),
            "comma",
        ),
        ("nan.json", "{\n  \"quality\": NaN\n}\n", (2, 14), ""),
        ("comma.json", "{\"a\": [1, 2,]}", (1, 12), "comma"),
        ("more.json", "{\"a\": 1}\n{\"b\": 2}\n", (2, 1), ""),
        ("single.json", "{'a': 1}\n", (1, 2), ""),
        ("comment.json", "{\"a\": 1 // no\n}\n", (1, 9), ""),
        ("short.json", "{\"a\": 1", (1, 8), "not closed"),
        ("list.yaml", "- a\n", (1, 1), "no mapping"),
        ("twice.yaml", "a: 1\na: 2\n", (2, 1), "`a`"),
        ("two.yaml", "a: 1\n---\nb: 2\n", (2, 1), "second"),
        ("bad.toml", "a = 1\n[b\n", (2, 3), ""),
    ];
    let desk = Desk::new().with_source(r#"["**/*.md"]"#, r#"["**/*.{md,yaml,toml,json}"]"#);
    desk.story("good.md").write();
    for (name, text, ..) in broken {
        desk.write(name, text);
    }
    desk.scan();
    assert_eq!(desk.waiting(), ["good.md".to_owned()].into());
    let found = desk.broken();
    for (name, _, (line, column), word) in broken {
        let entry = found.get(name).unwrap_or_else(|| panic!("{name} is read"));
        assert_eq!(
            (&entry["line"], &entry["column"]),
            (&line.into(), &column.into()),
            "{entry}"
        );
        let reason = entry["reason"].as_str().unwrap();
        assert!(reason.contains(word), "{entry}");
        assert!(!reason.chars().any(char::is_control), "{entry}");
    }
}
