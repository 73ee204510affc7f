//! Whatever is read here, the full reader reads as the same tree.

use super::*;
use crate::record::yaml::{Node, full};
use proptest::prelude::*;

/// Whether a text is read here; then the full reader must agree, in values, styles and places.
fn is_read(text: &str) -> bool {
    let values = read::<Value>(text, Budget::RECORD);
    let Some(tree) = read::<Node>(text, Budget::RECORD) else {
        assert_eq!(values, None, "{text:?}");
        return false;
    };
    assert_eq!(values.as_ref(), Some(&tree.to_value()), "{text:?}");
    assert_eq!(values, Some(Value::from(tree.clone())), "{text:?}");
    assert_eq!(full::read(text, Budget::RECORD), Ok(Some(tree)), "{text:?}");
    true
}

#[test]
fn what_programs_write_is_read() {
    for text in [
        "a: 1",
        "a: 1\n",
        "a: 1 \n \n",
        "\n# a comment\na: b # another\n  # a third\nc: d\n#",
        "a:\nb:   \nc: # nothing\nd: ~\n",
        "a: b#c\nb: 'it''s # not'\nc: \"a \\\"b\\\" \\\\ \\/ \\n\\t\\r \\u00e9 # not\" # but this\n",
        "a: ''\nb: \"\"\nc: ' '\nd: \"  x  \"\n",
        "a: -1\nb: -x\nc: .5\nd: +1\ne: =\nf: <b>\ng: (x)\nh: $1\ni: a, b [c] {d} & * ! | > %\n",
        "url: https://example.org/a:b?c=d#e\ntime: 2020-06-11T03:28:00Z\nratio: 3:2\n",
        "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n",
        "a:\n      b: 1\nc:\n d: 2\n",
        "a:\n  - b\n  - c: 1\n    d: 2\n  -   e: 3\n      f:\n        - g\n  - \"h\"\n  - -1\ni: j\n",
        "a:\n- b\n- c: 1\n  d:\n  - e\n  - f\ng: h\n",
        "a:\n  - b:\n    - c\n  - d:\n",
        "a:\n  - b:\n  - c\n",
        "a: []\nb: {}\nc:\n  - []\n  - {} # none\n",
        "\"a\": 1\n'b': 2\n\"c d: e\": 3\n'<<': 4\n",
        "é: ü\n漢: 字 \u{a0}\u{2028}\u{2029}😀\n_a: 1\na.b-c_d: 2\n2020: 3\n",
        ".a: 1\n-b: 2\n-: 3\n...: 4\n---: 5\n-1: 6\nc:\n  - -d: 7\n    ---: 8\n  - --- e\n",
        "a: 1\r\nb:\r\n  - c\r\n\r\n# d\r\n  - \"e\" # f\r\ng: h \r\n",
        "a: b\u{ff}\u{fefe}\u{fffd}\n",
    ] {
        assert!(is_read(text), "{text:?}");
    }
}

#[test]
fn what_has_a_case_of_its_own_is_declined() {
    let deep: String = (0..40).map(|n| " ".repeat(n) + "a:\n").collect();
    let many: String = (0..100).map(|n| format!("k{n}: 1\n")).collect();
    let list = format!("a:\n{}", "- b\n".repeat(1_001));
    let nodes: String = (0..60)
        .map(|n| format!("k{n}:\n{}", "- b\n".repeat(100)))
        .collect();
    let long = format!("{}: 1\n", "k".repeat(1_025));
    let longer = format!("\"{}\": 1\n", "é".repeat(1_025));
    for text in [
        // Nothing, or no mapping.
        "",
        "\n",
        "# a\n",
        "a",
        "a\n",
        "\"a\"\n",
        "- a\n",
        "-\n",
        "[]\n",
        "{}\n",
        " a: 1\n",
        // Markers and directives.
        "---\na: 1\n",
        "a: 1\n---\n",
        "a: 1\n...\n",
        "a: 1\n--- b\n",
        "%YAML 1.2\n",
        "a: 1\n--- b: 1\n",
        // Flow collections, block scalars, tags, anchors, aliases, explicit keys, merge keys.
        "a: [b]\n",
        "a: {b: c}\n",
        "a: [\n]\n",
        "a: [ ]\n",
        "{a: 1}\n",
        "a: |\n  b\n",
        "a: >-\n  b\n",
        "a: !!str b\n",
        "a: !b c\n",
        "a: &b c\n",
        "a: *b\n",
        "*a : 1\n",
        "? a\n",
        "? a\n: b\n",
        "<<: 1\n",
        "a: []b\n",
        "a: []: b\n",
        "a: {} b\n",
        // Scalars and keys that go on, or are cut short.
        "a: b\n  c\n",
        "a:\n  b\n  c\n",
        "a:\n  b\n",
        "a: \"b\n  c\"\n",
        "a: 'b\n  c'\n",
        "a: \"b\n",
        "a: 'b''\n",
        "a: b\n  c: d\n",
        "a: \"b\"\n  c: d\n",
        "a: b # c\n  d\n",
        "a\n: b\n",
        "\"a\nb\": c\n",
        "a:\n  \"b\"\n",
        // Colons, comments, quotes where they mean something else.
        "a: b: c\n",
        "a: b:\n",
        "a: :\n",
        "a: : b\n",
        "a: - b\n",
        "a: -\n",
        "a: ? b\n",
        "a: ?b\n",
        "a: :b\n",
        "a : b\n",
        "a b: c\n",
        "a:b\n",
        "a:b: c\n",
        "\"a\":b\n",
        "\"a\" : b\n",
        "a: \"b\"c\n",
        "a: 'b'#c\n",
        "a: \"b\" c\n",
        "a#b: c\n",
        "a #b: c\n",
        "a: @b\n",
        "a: `b\n",
        "a: %b\n",
        "a: ,b\n",
        "a: ]b\n",
        "a: }b\n",
        "'': a\n",
        "\"\": a\n",
        ": a\n",
        ":\n",
        "a: \"\\x41\"\n",
        "a: \"\\q\"\n",
        "a: \"\\ud83d\\ude00\"\n",
        "a: \"\\ud83d\"\n",
        "a: \"\\u00g0\"\n",
        "a: \"\\u+0e9\"\n",
        "a: \"\\",
        "a: \"\\u00e",
        "a: \"\\u00é\"\n",
        // Characters that are none, or more than text.
        "a:\tb\n",
        "a: b\tc\n",
        "\ta: b\n",
        "a: b\t\n",
        "a: \"b\tc\"\n",
        "a: b\rc: d\n",
        "a: b\r",
        "a: b\r\r\n",
        "a: \0\n",
        "a: \u{1}\n",
        "a: \u{7f}\n",
        "a: \u{80}\n",
        "a: \u{85}\n",
        "a: \u{9f}\n",
        "\u{feff}a: b\n",
        "a: b\u{feff}\n",
        "a: \u{fffe}\n",
        "a: \u{ffff}\n",
        "# \u{1}\na: b\n",
        // Indentation that belongs to nothing.
        "a: 1\n b: 2\n",
        "a:\n  b: 1\n c: 2\n",
        "a:\n    b: 1\n  c: 2\n",
        "a:\n  - b\n c: 1\n",
        "a:\n  - b\n - c\n",
        "a:\n - b\n  - c\n",
        "a:\n  - b\n  c: 1\n",
        "a:\n  - b: 1\n   c: 2\n",
        "a:\n  - b: 1\n     c: 2\n",
        "a: 1\n- b\n",
        "a: 1\n  - b\n",
        "a:\n- b\n - c\n",
        "a:\n  b: 1\n  - c\n",
        "a:\n- b\n  - c\n",
        "a:\n- b\n  c: d\n",
        // Entries that are no value of their own.
        "a:\n  -\n",
        "a:\n  - \n",
        "a:\n  - # b\n",
        "a:\n  -\n    b\n",
        "a:\n  - - b\n",
        "a:\n  - ? b\n",
        "a:\n  - \"b\": c\n",
        "a:\n  -b\n",
        "a:\n  - b c: d\n",
        "a:\n  - --- b: c\n",
        "a:\n- :\n",
        "a:\n- : b\n",
        // What stands twice, and what is too much.
        "a: 1\nb: 2\na: 3\n",
        "a: 1\n\"a\": 2\n",
        "a:\n  - b: 1\n    b: 2\n",
        &deep,
        &many,
        &list,
        &nodes,
        &long,
        &longer,
    ] {
        assert!(!is_read(text), "{text:?}");
    }
}

#[test]
fn budgets_are_kept() {
    let text = "a:\n  b:\n    - c\n    - d\n";
    let budget = |depth, nodes, list| Budget {
        depth,
        nodes,
        list,
        ..Budget::RECORD
    };
    // Two keys, three collections, two scalars.
    for (depth, nodes, list) in [(3, 7, 2), (2, 7, 2), (3, 6, 2), (3, 7, 1)] {
        let read = read::<Node>(text, budget(depth, nodes, list));
        let full = full::read(text, budget(depth, nodes, list));
        assert_eq!(read, full.clone().ok().flatten(), "{depth} {nodes} {list}");
        assert_eq!(full.is_ok(), (depth, nodes, list) == (3, 7, 2));
    }
}

/// Writes what programs write, with slips, by what is chosen.
struct Slips<'c> {
    choices: std::slice::Iter<'c, u8>,
    text: String,
    keys: usize,
}

impl Slips<'_> {
    /// One of these; the first when nothing is chosen any more.
    fn of<'t>(&mut self, these: &[&'t str]) -> &'t str {
        these[self.below(these.len())]
    }

    fn put(&mut self, these: &[&str]) {
        let this = self.of(these);
        self.text += this;
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or_default()) % end
    }

    /// Once in so many times.
    fn rarely(&mut self) -> bool {
        self.below(64) == 63
    }

    fn key(&mut self) {
        self.keys += 1;
        let key = self.of(&["a", "title", "x.y-z", "é", "2020", "_", "\"q r\"", "'s''t'"]);
        let odd = self.rarely();
        let odd = if odd {
            self.of(&[
                "a b",
                "<<",
                "-k",
                ".k",
                "a:b",
                "a#b",
                "\"",
                "''",
                "? k",
                "\"\\x41\"",
            ])
        } else {
            ""
        };
        match (odd, key.strip_suffix(['"', '\''])) {
            ("", Some(quoted)) => {
                let quote = &key[key.len() - 1..];
                self.text += &format!("{quoted}{}{quote}", self.keys);
            }
            ("", None) => self.text += &format!("{key}{}", self.keys),
            (odd, _) => self.text += odd,
        }
    }

    fn scalar(&mut self) {
        let scalar = self.of(&[
            "b",
            "b c",
            "1",
            "-1.5",
            "true",
            "~",
            "2020-06-11T03:28:00Z",
            "https://e.org/a:b#c",
            "\"b: c # d\"",
            "\"\\\"b\\\" \\u00e9\\n\"",
            "'b''c'",
            "\"\"",
            "''",
            "b, c [d] {e}",
            "é漢😀",
            "-b",
            "[]",
            "{}",
            " b ",
            "\" \"",
            "b#c:d",
            "\u{2028}\u{a0}",
        ]);
        self.text += scalar;
        if self.rarely() {
            self.put(&[
                ":", ": b", " #", "#", "\"", "'", "\\", "\t", "\u{85}", "\u{feff}", "\n  b",
                "\n    b", " :", "]", "\r",
            ]);
        }
        if self.rarely() {
            self.put(&[
                "\n", ",", "- ", "|", "&b", "*b", "!b", "%", "@", "\0", "\u{7f}", "\u{fffe}",
            ]);
        }
    }

    fn end(&mut self) {
        let line = self.of(&[
            "\n", "\n", "\n", "\n", " \n", " # c\n", "\r\n", "\n\n", "\n   \n", "\n# c\n",
        ]);
        self.text += line;
        if self.rarely() {
            self.put(&[
                "---\n",
                "...\n",
                "\t\n",
                " # c\n",
                "#c\n",
                "    # c\r\n",
                "\r",
                "   ",
                "- ",
                "a",
            ]);
        }
    }

    fn indent(&mut self, indent: usize) {
        let slipped = match self.rarely() {
            true => indent + self.below(3),
            false => indent + 1,
        };
        self.text += &" ".repeat(slipped.saturating_sub(1));
    }

    fn value(&mut self, indent: usize, depth: usize) {
        let kind = self.below(8);
        let nested = depth < 4;
        match kind {
            5 => self.end(),
            6 if nested => {
                self.end();
                let inner = indent + 1 + self.below(4);
                self.indent(inner);
                self.mapping(inner, depth + 1);
            }
            7 if nested => {
                self.end();
                let inner = indent + self.below(3);
                self.list(inner, depth + 1);
            }
            _ => {
                self.text.push(' ');
                self.scalar();
                self.end();
            }
        }
    }

    /// Stands where its first key begins.
    fn mapping(&mut self, indent: usize, depth: usize) {
        for n in 0..=self.below(4) {
            if n > 0 {
                self.indent(indent);
            }
            self.key();
            self.text.push(':');
            self.value(indent, depth);
        }
    }

    fn list(&mut self, indent: usize, depth: usize) {
        for _ in 0..=self.below(3) {
            self.indent(indent);
            let dash = self.of(&["- ", "- ", "- ", "-  "]);
            self.text += dash;
            if self.rarely() {
                self.put(&["- ", "\n", "# c\n", "? ", "--- ", "\t"]);
            }
            match self.below(2) {
                0 => {
                    self.scalar();
                    self.end();
                }
                _ => self.mapping(indent + dash.len(), depth + 1),
            }
        }
    }
}

fn written(choices: &[u8]) -> String {
    let mut slips = Slips {
        choices: choices.iter(),
        text: String::new(),
        keys: 0,
    };
    slips.mapping(0, 0);
    slips.text
}

#[test]
fn the_made_up_texts_are_of_both_kinds() {
    let mut state = 1_u64;
    let mut choices = || {
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..200).map(next).collect::<Vec<u8>>()
    };
    let read = (0..2_000).filter(|_| is_read(&written(&choices()))).count();
    assert!((300..1_900).contains(&read), "{read} of 2000 are read");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_all_of_yaml_would_read(choices in proptest::collection::vec(any::<u8>(), 0..300)) {
        is_read(&written(&choices));
    }

    #[test]
    fn no_text_is_read_otherwise(
        text in "(a|b|\"c\"|'d'| |  |\n|\n  |\n- |- |: |:|#| #|\"|'|\\[\\]|\\\\|1|é|\r\n|\t|\u{85}|\u{feff}|-|\\?|\\.|x: y\n){0,24}"
    ) {
        is_read(&text);
        is_read(&format!("a: {text}"));
        is_read(&format!("a:\n  - {text}"));
    }
}
