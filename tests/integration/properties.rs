//! Laws that hold for every record: a write changes one key and no other byte, and can be taken
//! back; formatting and volatile fields are in no revision.

use copydesk::record::edit::{self, Edited};
use copydesk::record::kind::Kind;
use copydesk::record::value::Value;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// A record as an aggregator might write it.
#[derive(Clone, Debug)]
struct Written {
    lines: Vec<String>,
    body: String,
    ending: &'static str,
    bom: bool,
    close: &'static str,
}

impl Written {
    fn bytes(&self) -> Vec<u8> {
        let mut text = String::from(if self.bom { "\u{feff}" } else { "" });
        for line in ["---"]
            .into_iter()
            .chain(self.lines.iter().map(String::as_str))
        {
            text.push_str(line);
            text.push_str(self.ending);
        }
        text.push_str(self.close);
        text.push_str(self.ending);
        text.push_str(&self.body.replace('\n', self.ending));
        text.into_bytes()
    }
}

/// One key that is not the flag, on one or more lines.
fn entry() -> impl Strategy<Value = Vec<String>> {
    let one = |line: &'static str| Just(vec![line.to_owned()]);
    prop_oneof![
        "[a-z]{1,8}[0-9]{1,4}: [A-Za-z0-9][A-Za-z0-9 _/.-]{0,20}".prop_map(|line| vec![line]),
        "[a-z]{1,8}[0-9]{1,4}: \"[A-Za-z0-9 :#,'{}]{0,20}\"".prop_map(|line| vec![line]),
        "[a-z]{1,8}[0-9]{1,4}: '[A-Za-z0-9 :#,{}\"]{0,20}'  # why".prop_map(|line| vec![line]),
        "[a-z]{1,8}[0-9]{1,4}".prop_map(|key| vec![
            format!("{key}:"),
            "  - a".into(),
            "  - published: false".into()
        ]),
        "[a-z]{1,8}[0-9]{1,4}".prop_map(|key| vec![
            format!("{key}: |"),
            "  published: false".into(),
            "".into(),
            "  ---".into()
        ]),
        "[a-z]{1,8}[0-9]{1,4}"
            .prop_map(|key| vec![format!("{key}: {{published: false, b: [1, 2]}}")]),
        "[a-z]{1,8}[0-9]{1,4}".prop_map(|key| vec![
            format!("{key}: >-"),
            "  folded".into(),
            "  text".into()
        ]),
        "[a-z]{1,8}[0-9]{1,4}".prop_map(|key| vec![format!("\"{key}\": ~")]),
        one("# published: false"),
        one(""),
    ]
}

fn flag() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("published"),
        Just("\"published\""),
        Just("'published'")
    ];
    let value = prop_oneof![Just("false"), Just("False"), Just("FALSE")];
    let tail = prop_oneof![Just(""), Just("  "), Just(" # not yet"), Just("\t")];
    (key, " {1,3}", value, tail)
        .prop_map(|(key, gap, value, tail)| format!("{key}:{gap}{value}{tail}"))
}

fn record(with_flag: bool) -> impl Strategy<Value = Written> {
    (
        prop::collection::vec(entry(), 1..8),
        any::<prop::sample::Index>(),
        flag(),
        "[a-z \n>#*`-]{0,60}",
        prop_oneof![Just("\n"), Just("\r\n")],
        any::<bool>(),
        prop_oneof![Just("---"), Just("--- "), Just("...")],
    )
        .prop_map(move |(entries, at, flag, body, ending, bom, close)| {
            let mut entries = entries;
            // Without any key there is no record.
            entries.push(vec!["last: 1".into()]);
            if with_flag {
                entries.insert(at.index(entries.len()), vec![flag]);
            }
            let lines = entries.into_iter().flatten().collect();
            Written {
                lines,
                body,
                ending,
                bom,
                close,
            }
        })
}

/// The front matter by another parser, and the rest of the bytes.
fn by_another_parser(bytes: &[u8]) -> (serde_yaml::Mapping, Vec<u8>) {
    let text = std::str::from_utf8(bytes)
        .unwrap()
        .trim_start_matches('\u{feff}');
    let start = text.find('\n').unwrap() + 1;
    let close = text[start..]
        .split_inclusive('\n')
        .scan(start, |at, line| {
            let here = *at;
            *at += line.len();
            Some((here, line))
        })
        .find(|(_, line)| matches!(line.trim_end(), "---" | "..."))
        .map(|(at, _)| at)
        .unwrap();
    (
        serde_yaml::from_str(&text[start..close]).unwrap(),
        text.as_bytes()[close..].to_vec(),
    )
}

fn approve(bytes: &[u8]) -> Edited {
    edit::set(bytes, Kind::Page, "published", &Value::Bool(true))
        .unwrap()
        .unwrap()
}

/// Checks an edit with another parser and by its bytes, and takes it back.
fn assert_only_the_flag_changed(before: &[u8]) {
    let edited = approve(before);
    let (mut old, old_rest) = by_another_parser(before);
    let (mut new, new_rest) = by_another_parser(&edited.bytes);
    assert_eq!(new.remove("published"), Some(true.into()));
    old.remove("published");
    assert_eq!(old, new);
    assert_eq!(old_rest, new_rest);
    assert_one_line_changed(before, &edited, Kind::Page);
}

/// Checks that one line differs at most, and that the edit can be taken back.
pub(crate) fn assert_one_line_changed(before: &[u8], edited: &Edited, kind: Kind) {
    // A byte-order mark is no part of a line, and a last line that lacks its ending is given one.
    let crlf = edited.bytes.windows(2).any(|two| two == b"\r\n");
    let ending: &[u8] = if crlf { b"\r\n" } else { b"\n" };
    let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let last: &[u8] = if text.ends_with(b"\n") { b"" } else { ending };
        [text, last]
            .concat()
            .split_inclusive(|b| *b == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (old, new) = (lines(before), lines(&edited.bytes));
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let same_end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    assert!(
        same_start + same_end + 1 >= new.len(),
        "more than one line changed"
    );
    let undone = edit::undo(&edited.bytes, kind, &edited.undo)
        .unwrap()
        .unwrap();
    assert_eq!(undone.bytes, before);
    assert_eq!(
        edit::set(&edited.bytes, kind, "published", &Value::Bool(true)),
        Ok(None)
    );
}

fn has_twin_keys(record: &Written) -> bool {
    edit::has(&record.bytes(), Kind::Page, "published").is_err()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_approval_changes_the_flag_and_no_other_byte(record in record(true)) {
        prop_assume!(!has_twin_keys(&record));
        assert_only_the_flag_changed(&record.bytes());
    }

    #[test]
    fn a_missing_flag_becomes_one_line(record in record(false)) {
        prop_assume!(!has_twin_keys(&record));
        let before = record.bytes();
        assert_only_the_flag_changed(&before);
        let edited = approve(&before);
        let line = format!("published: true{}", record.ending);
        prop_assert_eq!(edited.bytes.len(), before.len() + line.len());
    }

    #[test]
    fn whatever_the_bytes_an_edit_is_refused_or_exact(mut bytes in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..40) {
        // Noise around a real record: most of it is refused, none of it panics.
        let record = b"---\ntitle: x\npublished: false\nother: [1, 2]\n---\nbody\n";
        let noisy = [&record[..cut.min(record.len())], &bytes[..], &record[cut.min(record.len())..]].concat();
        bytes.clear();
        if let Ok(Some(edited)) = edit::set(&noisy, Kind::Page, "published", &Value::Bool(true)) {
            let undone = edit::undo(&edited.bytes, Kind::Page, &edited.undo).unwrap().unwrap();
            prop_assert_eq!(undone.bytes, noisy);
        }
    }
}

#[test]
fn every_fixture_changes_in_the_flag_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records");
    let mut edited = 0;
    for file in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        if matches!(
            edit::set(&bytes, Kind::Page, "published", &Value::Bool(true)),
            Ok(Some(_))
        ) {
            assert_only_the_flag_changed(&bytes);
            edited += 1;
        }
    }
    assert!(edited >= 10, "only {edited} fixtures can be approved");
}
