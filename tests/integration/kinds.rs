//! The laws of `properties` for TOML and JSON, by parsers that the program does not use for them.

use copydesk::record::edit;
use copydesk::record::kind::Kind;
use copydesk::record::value::Value;
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use crate::properties::assert_one_line_changed;

/// A file and the range of its keys.
#[derive(Clone, Debug)]
struct Written {
    path: &'static str,
    text: String,
    front: std::ops::Range<usize>,
}

impl Written {
    fn new(path: &'static str, bom: bool, parts: [&str; 4], ending: &str) -> Self {
        let [open, front, close, body] = parts.map(|part| part.replace('\n', ending));
        let start = if bom { 3 } else { 0 } + open.len();
        let bom = if bom { "\u{feff}" } else { "" };
        Self {
            path,
            front: start..start + front.len(),
            text: format!("{bom}{open}{front}{close}{body}"),
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    "[a-z]{1,6}[0-9]{1,4}"
}

fn toml_entry() -> impl Strategy<Value = String> {
    prop_oneof![
        (key(), "[A-Za-z0-9 :#,'{}=\\[\\]]{0,20}")
            .prop_map(|(k, v)| format!("{k} = \"{v}\" # why")),
        (key(), "[A-Za-z0-9 :#,\"\\\\{}]{0,20}").prop_map(|(k, v)| format!("\"{k}\"='{v}'")),
        (key(), -9_999_i64..9_999).prop_map(|(k, n)| format!("  {k} = {n}")),
        key().prop_map(|k| format!("{k} = [1,\n  2, # published = false\n]")),
        key().prop_map(|k| format!("{k} = {{published = false, b = [1, 2]}}")),
        key().prop_map(|k| format!("{k}.published = false")),
        key().prop_map(|k| format!("{k} = '''\npublished = false\n[a]\n'''")),
        key().prop_map(|k| format!("{k} = \"\"\"\n[a]\npublished = false\"\"\"")),
        Just("# published = false".to_owned()),
        Just("# [a]".to_owned()),
        Just(String::new()),
    ]
}

fn toml_table() -> impl Strategy<Value = String> {
    prop_oneof![
        key().prop_map(|k| format!("\n# of the table\n[{k}] # x\npublished = false")),
        key().prop_map(|k| format!("[{k}.published]\na = 1")),
        key().prop_map(|k| format!("[[{k}]]\npublished = false\n[[{k}]]\nb = 1")),
    ]
}

fn toml(with_flag: bool) -> impl Strategy<Value = Written> {
    let flag = prop_oneof![
        Just("published = false"),
        Just("\"published\"=false # not yet"),
        Just("'published' \t=  false  "),
    ];
    (
        prop::collection::vec(toml_entry(), 0..6),
        any::<prop::sample::Index>(),
        flag,
        prop::collection::vec(toml_table(), 0..3),
        "[a-z \n>#*`+-]{0,40}",
        prop_oneof![Just("\n"), Just("\r\n")],
        any::<(bool, bool, bool)>(),
    )
        .prop_map(
            move |(mut top, at, flag, tables, body, ending, (bom, whole, last))| {
                if with_flag {
                    top.insert(at.index(top.len() + 1), flag.to_owned());
                }
                let mut lines = [top, tables].concat();
                if lines.iter().all(|l| l.is_empty() || l.starts_with('#')) {
                    lines.push("[last]".into());
                }
                let front = lines.join("\n");
                if whole {
                    let end = if last { "\n" } else { "" };
                    Written::new("a.toml", bom, ["", &front, end, ""], ending)
                } else {
                    let parts = ["+++\n", &format!("{front}\n"), "+++\n", &body];
                    Written::new("a.md", bom, parts, ending)
                }
            },
        )
}

fn json_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9 :#,'{}éü\\[\\]]{0,20}".prop_map(|text| format!("\"{text}\"")),
        (-9_999_i64..9_999).prop_map(|n| n.to_string()),
        Just("\"\\\" } \\\\\"".to_owned()),
        Just("\"\\ud83d\\ude00\\/\"".to_owned()),
        Just("{\"published\": false, \"b\": [1, {}]}".to_owned()),
        Just("[\n    {\n      \"published\": false\n    }\n  ]".to_owned()),
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
    ]
}

/// One key per line if `lines`, else all of them on one.
fn json(with_flag: bool, lines: impl Strategy<Value = bool>) -> impl Strategy<Value = Written> {
    (
        prop::collection::vec((key(), json_value()), 1..6),
        any::<prop::sample::Index>(),
        prop_oneof![Just(": "), Just(":"), Just(" :\t")],
        "[a-z \n>#*`{}-]{0,40}",
        prop_oneof![Just("\n"), Just("\r\n")],
        any::<(bool, bool)>(),
        lines,
        prop_oneof![Just("  "), Just("\t"), Just("")],
    )
        .prop_map(
            move |(mut entries, at, colon, body, ending, (bom, whole), lines, indent)| {
                if with_flag {
                    let flag = ("published".to_owned(), "false".to_owned());
                    entries.insert(at.index(entries.len() + 1), flag);
                }
                let between = if lines {
                    format!("\n{indent}")
                } else {
                    " ".into()
                };
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{between}\"{key}\"{colon}{value}"))
                    .collect();
                let close = if lines { "\n}" } else { " }" };
                let front = format!("{{{}{close}", entries.join(","));
                if whole {
                    Written::new("a.json", bom, ["", &front, "", ""], ending)
                } else {
                    Written::new("a.md", bom, ["", &front, "\n", &body], ending)
                }
            },
        )
}

fn by_another_parser(front: &str) -> Map<String, Json> {
    if front.starts_with('{') {
        serde_json::from_str(front).unwrap()
    } else {
        basic_toml::from_str(&front.replace("\r\n", "\n")).unwrap()
    }
}

/// Publishes a file and checks everything but the flag.
fn assert_only_the_flag_changed(record: &Written) -> Vec<u8> {
    let (kind, before) = (Kind::of(record.path), record.text.as_bytes());
    let edited = edit::set(before, kind, "published", &Value::Bool(true))
        .unwrap()
        .unwrap();
    let after = std::str::from_utf8(&edited.bytes).unwrap();
    let end = record.front.end + after.len() - before.len();
    // A line that is inserted where a whole file ends stands behind the keys and the last ending.
    let end = if record.path == "a.toml" {
        after.len()
    } else {
        end
    };
    let mut old = by_another_parser(&record.text[record.front.clone()]);
    let mut new = by_another_parser(&after[record.front.start..end]);
    assert_eq!(new.remove("published"), Some(Json::Bool(true)));
    old.remove("published");
    assert_eq!(old, new);
    if record.path == "a.md" {
        assert_eq!(after[end..], record.text[record.front.end..]);
    }
    assert_one_line_changed(before, &edited, kind);
    edited.bytes
}

fn has_twin_keys(record: &Written) -> bool {
    edit::has(record.text.as_bytes(), Kind::of(record.path), "published").is_err()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 384, ..ProptestConfig::default() })]

    #[test]
    fn toml_changes_in_the_flag_alone(record in toml(true)) {
        prop_assume!(!has_twin_keys(&record));
        assert_only_the_flag_changed(&record);
    }

    #[test]
    fn toml_gets_a_line_for_a_missing_flag(record in toml(false)) {
        prop_assume!(!has_twin_keys(&record));
        let after = assert_only_the_flag_changed(&record);
        let ending = if record.text.contains("\r\n") { 2 } else { 1 };
        prop_assert_eq!(after.len(), record.text.len() + "published = true".len() + ending);
    }

    #[test]
    fn json_changes_in_the_flag_alone(record in json(true, any::<bool>())) {
        prop_assume!(!has_twin_keys(&record));
        assert_only_the_flag_changed(&record);
    }

    #[test]
    fn json_gets_a_line_for_a_missing_flag(record in json(false, Just(true))) {
        prop_assume!(!has_twin_keys(&record));
        assert_only_the_flag_changed(&record);
    }

    #[test]
    fn json_on_one_line_gets_none(record in json(false, Just(false))) {
        prop_assume!(!has_twin_keys(&record));
        let set = edit::set(record.text.as_bytes(), Kind::of(record.path), "published", &Value::Bool(true));
        prop_assert!(set.unwrap_err().to_string().starts_with("read-only: "));
    }

    #[test]
    fn whatever_the_bytes_an_edit_is_refused_or_exact(noise in "[a-z0-9\"'{}\\[\\],:=.#+ \r\n-]{0,12}", cut in 0_usize..60, which in 0_usize..5) {
        let (path, text) = [
            ("a.md", "+++\ntitle = 'x'\npublished = false\n[a]\nb = [1, 2]\n+++\nbody\n"),
            ("a.toml", "title = 'x'\na.b = [1, 2]\n[c]\npublished = false"),
            ("a.md", "{\n  \"title\": \"x\",\n  \"a\": {\"b\": [1, 2]}\n}\nbody\n"),
            ("a.json", "{\"title\": \"x\", \"published\": false, \"a\": [1, {}]}"),
            ("a.yaml", "title: x\na:\n  - b: [1, 2]\n# end"),
        ][which];
        let cut = cut.min(text.len());
        let noisy = [&text[..cut], &noise, &text[cut..]].concat();
        let kind = Kind::of(path);
        if let Ok(Some(edited)) = edit::set(noisy.as_bytes(), kind, "published", &Value::Bool(true)) {
            let undone = edit::undo(&edited.bytes, kind, &edited.undo).unwrap().unwrap();
            prop_assert_eq!(String::from_utf8(undone.bytes).unwrap(), noisy);
        }
    }
}
