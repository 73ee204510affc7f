//! What conditions mean, and what is wrong with them.

use super::*;
use crate::rules::types::Type;
use expect_test::{Expect, expect};

fn lists() -> BTreeMap<String, Arc<[Value]>> {
    let text = |text: &str| Value::Text(text.to_owned());
    BTreeMap::from([
        (
            "trusted".to_owned(),
            Arc::from([text("microsoft.com"), text("theguardian.com")]),
        ),
        (
            "sizes".to_owned(),
            Arc::from([Value::Number(1.0), Value::Number(2.0)]),
        ),
        (
            "mixed".to_owned(),
            Arc::from([Value::Number(1.0), text("a")]),
        ),
    ])
}

fn try_compile(source: &str) -> Result<Condition, Vec<ConditionError>> {
    let mut fields = Schema::seed();
    fields.insert("odd-key", Type::Text);
    fields.insert("members", Type::Number);
    let lists = lists();
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: !source.contains("noscore"),
    };
    on_large_stack(|| Condition::compile(source, &names)).unwrap()
}

fn compile(source: &str) -> Condition {
    try_compile(source).unwrap_or_else(|errors| panic!("{source}: {errors:#?}"))
}

/// One story with every kind of hole in it.
struct Story {
    fields: Map,
    folded: Folded<'static>,
    topics: Vec<String>,
}

impl Story {
    fn new() -> Self {
        let fields = serde_yaml::from_str(
            "
title: Amazon stops police using its face-recognition
excerpt: A year's ban
quality: 44
heat: '22'
published: false
nothing: null
category: ''
provider: {name: The Guardian}
topics: [AI, null, 3]
odd-key: odd
secured: {level: 3, deep: [1, {a: b}]}
images: [{width: 100, title: a}, {width: wide}, {url: c}]
related:
  - {title: One, quality: 80, topics: [AI, ML], provider: {domain: a.com}}
  - {title: Two, topics: [Cloud]}
",
        )
        .unwrap();
        let Value::Map(fields) = fields else { panic!() };
        let fields: &Map = Box::leak(Box::new(fields));
        let folded = Folded::new(
            fields.get("title").and_then(Value::as_text),
            fields.get("excerpt").and_then(Value::as_text),
        );
        Self {
            fields: fields.clone(),
            folded,
            topics: vec!["AI".to_owned(), "AWS AI".to_owned()],
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            fields: &self.fields,
            published: false,
            topics: Some(&self.topics),
            folded: Some(&self.folded),
            domain: Some("theguardian.com"),
            age_hours: 48.0,
            score: Some(Score::new(44, 11, 26)),
        }
    }
}

fn holds(source: &str) -> Option<bool> {
    compile(source).holds(&Story::new().facts(), &mut Trace::default())
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);

#[test]
fn conditions_have_three_values() {
    let table = [
        // numbers
        ("quality == 44", YES),
        ("44.0 == quality", YES),
        ("quality > 44u", NO),
        ("quality >= 44 && quality < 45", YES),
        ("quality + 1 * 2 == 46", YES),
        ("(quality + 1) / 2 == 22.5", YES),
        ("quality % 10 == 4", YES),
        ("-quality < -43", YES),
        ("- quality < - 43", YES),
        ("-(40 + 4) == -quality", YES),
        ("quality / 0 > 1", None),
        ("quality % 0 > 1", None),
        ("quality * 1e308 > 1", None),
        ("1 < 2", YES),
        ("quality in [1, 44]", YES),
        ("quality in sizes", NO),
        ("size(title) > 10", YES),
        ("'é'.size() == 1", YES),
        // missing, null and wrong types
        ("heat > 1", None),
        ("heat > 1 || quality == 44", YES),
        ("quality == 44 || heat > 1", YES),
        ("heat > 1 || quality == 1", None),
        ("heat > 1 && quality == 1", NO),
        ("quality == 1 && heat > 1", NO),
        ("heat > 1 && quality == 44", None),
        ("!(heat > 1)", None),
        ("heat != 1", None),
        ("category == ''", YES),
        ("record['nothing'] == 'x'", None),
        ("has(record['nothing'])", NO),
        ("has(heat)", NO),
        ("has(quality) && !has(webUrl)", YES),
        ("has(undeclared)", NO),
        ("has(secured.level) && has(secured.deep[1].a)", YES),
        ("has(secured.level.more)", NO),
        ("has(provider.domain)", NO),
        ("has(provider.nothing)", NO),
        ("has(record['odd-key']) && has(record.secured)", YES),
        (
            "has(published) && has(topics) && has(text) && has(domain)",
            YES,
        ),
        ("has(related[1].quality)", NO),
        ("heat > 1 ? true : true", None),
        ("quality > 1 ? heat > 1 : true", None),
        ("quality > 1 ? true : heat > 1", YES),
        // text
        ("title.contains('police')", YES),
        (
            "title.startsWith('Amazon') && title.endsWith('recognition')",
            YES,
        ),
        ("title.lowerAscii().startsWith('amazon')", YES),
        (r"title.matches(r'\bface-\w+$')", YES),
        ("text.contains('recognition\\nA year')", YES),
        ("title + '!' == 'x'", NO),
        ("provider.name + '/' + provider.domain == 'x'", None),
        ("title < 'B'", YES),
        ("(quality > 50 ? 'a' : 'b') == 'b'", YES),
        // lists
        ("'AI' in topics", YES),
        ("about('AWS AI') && !about('AWS')", YES),
        ("topics.size() == 2", YES),
        ("topics[1] == 'AWS AI'", YES),
        ("topics[2] == 'AI'", None),
        ("domain in trusted", YES),
        ("domain in ['a.com']", NO),
        ("provider.domain in trusted", None),
        ("domain in []", NO),
        ("trusted.exists(d, domain.endsWith(d))", YES),
        ("trusted.all(d, domain == d)", NO),
        ("size(trusted) == 2", YES),
        (
            "related[0].title == 'One' && related[0].topics[1] == 'ML'",
            YES,
        ),
        ("related.exists(r, r.quality > 70)", YES),
        ("related.exists(r, r.quality > 90)", None),
        ("related.all(r, r.quality > 90)", NO),
        ("related.all(r, r.quality > 70)", None),
        ("related.exists(r, r.topics.exists(t, t == 'Cloud'))", YES),
        (
            "related.exists(r, 'Cloud' in r.topics && r.title == 'Two')",
            YES,
        ),
        ("images.exists(i, i.width > 100)", None),
        ("images.all(i, has(i.width))", NO),
        ("record['secured'].deep[0] == 1", YES),
        ("record['secured'].deep.exists(d, d == 1)", YES),
        ("record['odd-key'] == 'odd'", YES),
        ("record.quality == 44", YES),
        // words, ages, scores
        ("mentions('nothing', 'face recognition')", YES),
        ("mentions('face', 'a year')", YES),
        ("mentions('fac')", NO),
        ("age_days > 1 && age_hours <= 48", YES),
        ("2 * 24 < age_hours", NO),
        ("published", NO),
        ("!published && record['published'] == false", YES),
        ("score.total == 81 && score.topic < score.quality", YES),
    ];
    for (source, expected) in table {
        assert_eq!(holds(source), expected, "{source}");
    }
}

#[test]
fn trace_names_what_is_missing_once_and_in_order() {
    let table: [(&str, &[&str]); 9] = [
        (
            "heat > 1 || webUrl == provider.domain || heat > 2",
            &["heat", "webUrl", "provider.domain"],
        ),
        (
            "related[5].title == 'a' || record['no-key'] == 1",
            &["related[5].title", "record[\"no-key\"]"],
        ),
        ("related.exists(r, r.quality > 90)", &["related[1].quality"]),
        (
            "related.exists(r, r.topics.exists(t, r.heat > 1))",
            &["related[0].heat", "related[1].heat"],
        ),
        (
            "images.exists(i, i.isCached)",
            &[
                "images[0].isCached",
                "images[1].isCached",
                "images[2].isCached",
            ],
        ),
        ("record['list'].exists(x, x == 1)", &["list"]),
        ("has(heat)", &[]),
        // A computation without a result is named itself; no field of it is missing.
        (
            "quality % (quality - quality) > 1 || quality / 0 == 1",
            &["quality % (quality - quality)", "quality / 0"],
        ),
        ("heat / 0 == 1", &["heat"]),
    ];
    for (source, expected) in table {
        let mut trace = Trace::default();
        compile(source).holds(&Story::new().facts(), &mut trace);
        assert_eq!(trace.missing, expected, "{source}");
    }
}

#[test]
fn facts_may_be_missing() {
    let story = Story::new();
    let facts = Facts {
        fields: &story.fields,
        published: true,
        topics: None,
        folded: None,
        domain: None,
        age_hours: -1.0,
        score: None,
    };
    let table: [(&str, &[&str]); 7] = [
        ("about('AI')", &["topics"]),
        ("'AI' in topics", &["topics"]),
        ("topics[0] == 'a'", &["topics[0]"]),
        ("mentions('a')", &["title", "excerpt"]),
        ("text.contains('a')", &["title", "excerpt"]),
        ("domain in trusted", &["provider.domain"]),
        ("score.total > 3", &["score"]),
    ];
    for (source, expected) in table {
        let mut trace = Trace::default();
        assert_eq!(compile(source).holds(&facts, &mut trace), None, "{source}");
        assert_eq!(trace.missing, expected, "{source}");
    }
    let none = compile("published && !has(topics) && !has(text) && !has(domain)");
    assert_eq!(none.holds(&facts, &mut Trace::default()), YES);
}

#[test]
fn ages_tell_when_they_flip() {
    const MOMENT: f64 = 1.0 / 3_600_000_000.0;
    let table = [
        ("age_hours >= 50", Some(2.0)),
        ("age_hours < 50", Some(2.0)),
        ("age_hours > 50", Some(2.0 + MOMENT)),
        ("age_days <= 3", Some(24.0 + MOMENT)),
        ("3 > age_days", Some(24.0)),
        ("age_hours > 48", Some(MOMENT)),
        ("age_hours >= 48", None),
        ("age_hours > 40", None),
        ("quality == 1 && age_hours > 50", None),
        (
            "age_hours > 60 || age_hours > 50 || quality == 1",
            Some(2.0 + MOMENT),
        ),
    ];
    for (source, expected) in table {
        let mut trace = Trace::default();
        compile(source).holds(&Story::new().facts(), &mut trace);
        let close = match (trace.flips_in_hours, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < MOMENT / 2.0,
            (found, expected) => found == expected,
        };
        assert!(close, "{source}: {:?}", trace.flips_in_hours);
    }
}

#[test]
fn near_misses_say_what_is_lacking() {
    let table = [
        ("score.total >= 95", "14 more score.total"),
        ("score.total > 95", "15 more score.total"),
        ("score.total > 95.5", "15 more score.total"),
        ("score.total < 81", "1 less score.total"),
        ("95 <= score.total", "14 more score.total"),
        ("quality > 50", "just over 6 more quality"),
        ("quality > 44", "a little more quality"),
        ("quality < 44", "a little less quality"),
        ("quality < 40", "just over 4 less quality"),
        (
            "(quality + 2) * 2 > 100 && about('AI')",
            "just over 8 more (quality + 2) * 2",
        ),
        (
            "score.heat >= 20 && about('AI') && age_days > 7",
            "9 more score.heat, just over 5 more age_days",
        ),
        ("size(topics) > 3", "just over 1 more size(topics)"),
        ("!(score.total < 95)", "14 more score.total"),
        ("!(score.total <= 95)", "15 more score.total"),
        ("!(quality < 50)", "6 more quality"),
        ("!(quality >= 44)", "a little less quality"),
        ("!!(quality >= 50)", "6 more quality"),
        (
            "!(quality < 50 || score.total < 95)",
            "6 more quality, 14 more score.total",
        ),
        ("!(quality < 50 && score.total > 1)", "6 more quality"),
        ("score.total >= 95 || about('None')", ""),
        (
            "score.total >= 95 && quality >= 50 || score.heat >= 12",
            "1 more score.heat",
        ),
        (
            "about('AI') ? quality >= 50 : score.total >= 95",
            "6 more quality",
        ),
        ("score.total >= 80", ""),
        ("score.total == 95", ""),
        ("!(score.total != 95)", ""),
        ("score.total >= 95 && about('None')", ""),
        ("score.total >= 95 && !about('AI')", ""),
        ("score.total >= 95 && heat > 1", ""),
        ("heat > 1", ""),
        ("!(heat > 1)", ""),
    ];
    for (source, expected) in table {
        let needs = compile(source)
            .near(&Story::new().facts())
            .unwrap_or_default();
        let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
        assert_eq!(needs.join(", "), expected, "{source}");
    }
}

/// Each leaf is cut out of the source and compiled anew, so that what stands around it must not
/// matter.
#[test]
fn a_condition_is_taken_apart_whatever_it_looks_like() {
    let table = [
        ("quality > 40", vec!["quality > 40"]),
        ("((quality > 40))", vec!["quality > 40"]),
        (
            "(-1 < quality) && !(heat > -2.5)",
            vec!["-1 < quality", "heat > -2.5"],
        ),
        (
            "-quality > 1 || - quality < (1)",
            vec!["-quality > 1", "- quality < (1)"],
        ),
        ("!!published", vec!["published"]),
        (
            "(quality > 1 && (heat > 2 && quality > 3)) && has(title)",
            vec!["quality > 1", "heat > 2", "quality > 3", "has(title)"],
        ),
        (
            "quality > 1 // a comment && heat > 1\n || about('AI') // more",
            vec!["quality > 1", "about('AI')"],
        ),
        (
            "title.contains(') && (') || 'a' in topics",
            vec!["title.contains(') && (')", "'a' in topics"],
        ),
        (
            "quality > (published ? 1 : 2) && (published ? quality : heat) > 3",
            vec![
                "quality > (published ? 1 : 2)",
                "(published ? quality : heat) > 3",
            ],
        ),
        (
            "topics.exists(t, t == 'AI' && t != 'x') ? record['odd-key'] == 'é' : ((quality + 1) * 2) > 3",
            vec![
                "topics.exists(t, t == 'AI' && t != 'x')",
                "record['odd-key'] == 'é'",
                "((quality + 1) * 2) > 3",
            ],
        ),
        (
            "published == (quality > 1 && heat > 1)",
            vec!["published == (quality > 1 && heat > 1)"],
        ),
        (
            "domain in ['a', 'b'] && domain in(trusted)",
            vec!["domain in ['a', 'b']", "domain in(trusted)"],
        ),
        (
            "size('日本') > 1 && '日本' in topics",
            vec!["size('日本') > 1", "'日本' in topics"],
        ),
        ("true && false", vec!["true", "false"]),
    ];
    let story = Story::new();
    let (facts, mut fields, lists) = (story.facts(), Schema::seed(), lists());
    fields.insert("odd-key", Type::Text);
    let names = Names {
        fields: &fields,
        lists: &lists,
        score: true,
    };
    for (source, expected) in table {
        let condition = compile(source);
        let parts = on_large_stack(|| condition.parts(&names, &facts)).unwrap();
        let whole = condition.holds(&facts, &mut Trace::default());
        assert_eq!(parts.holds, whole, "{source}");
        let mut leaves = Vec::new();
        let mut open = vec![&parts];
        while let Some(part) = open.pop() {
            open.extend(part.parts.iter().rev());
            if part.parts.is_empty() {
                assert!(
                    part.holds.is_some() || !part.missing.is_empty(),
                    "{source}: {part:?}"
                );
                leaves.push(part.condition.as_str());
            }
        }
        assert_eq!(leaves, expected, "{source}");
    }
}

/// A condition's errors as a reader would see them: the spans underlined, then the messages.
fn show(source: &str) -> String {
    let mut shown = String::new();
    for error in try_compile(source).expect_err(source) {
        let before = source[..error.span.start].chars().count();
        let marked = source[error.span.clone()].chars().count().max(1);
        shown += &format!("{source}\n{}{}\n", " ".repeat(before), "^".repeat(marked));
        shown += &format!("{error}\n");
        if let Some(help) = error.help {
            shown += &format!("  help: {help}\n");
        }
    }
    shown
}

fn check(sources: &[&str], expected: &Expect) {
    let shown: Vec<String> = sources.iter().map(|source| show(source)).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn syntax_mistakes_are_explained() {
    check(
        &[
            "quality > 1 and heat > 2",
            "not published or heat = 2",
            "quality > 1 & heat > 2 | published",
            "title == “Amazon”",
            r"title.matches('\d+ \w')",
            "title.contains('abc) && published",
            "title == 'Amazon's ban'",
            "import == 'x'",
            "quality > 1 && (heat > 2",
            "quality > 1)",
            "quality >",
            "quality => 3",
            "quality 3",
            "größe > 3",
            "title contains 'x'",
            "domain not in trusted",
            "provider.?name == 'x'",
            "provider.`name` == 'x'",
            "quality > 99999999999999999999",
            "",
            "  // nothing",
        ],
        &expect![[r#"
            quality > 1 and heat > 2
                        ^^^
            `and` joins nothing
              help: write `&&`

            not published or heat = 2
            ^^^
            `not` negates nothing
              help: write `!`
            not published or heat = 2
                          ^^
            `or` joins nothing
              help: write `||`
            not published or heat = 2
                                  ^
            `=` is no comparison
              help: write `==`

            quality > 1 & heat > 2 | published
                        ^
            `&` joins nothing
              help: write `&&`
            quality > 1 & heat > 2 | published
                                   ^
            `|` joins nothing
              help: write `||`

            title == “Amazon”
                     ^
            “ does not quote text
              help: write straight quotes: "…" or '…'

            title.matches('\d+ \w')
                           ^^
            `\d` is no escape
              help: write a raw text: r'\d+ \w'

            title.contains('abc) && published
                           ^^^^^^^^^^^^^^^^^^
            this text never ends
              help: end it as it starts; text with an apostrophe goes into "…"

            title == 'Amazon's ban'
                                  ^
            this text never ends
              help: end it as it starts; text with an apostrophe goes into "…"

            import == 'x'
            ^^^^^^
            `import` is a word that CEL keeps for itself
              help: write record["import"] for a field of this name

            quality > 1 && (heat > 2
                           ^
            this `(` is never closed
              help: close it, or take it away

            quality > 1)
                       ^
            this `)` closes nothing
              help: take it away, or open it before

            quality >
                     ^
            something is missing at the end
              help: write what follows, or take the last sign away

            quality => 3
                    ^
            `=>` is no comparison
              help: write `>=`

            quality 3
                    ^
            `3` is not expected here
              help: join conditions by `&&` or `||`, and put text in quotes

            größe > 3
            ^^^^^
            `größe` cannot be a name
              help: write record["größe"] for a field of this name, and quote text

            title contains 'x'
                  ^^^^^^^^
            `contains` is a method
              help: write title.contains("…")

            domain not in trusted
                   ^^^
            `not in` is no operator
              help: write `!(x in list)`

            provider.?name == 'x'
                    ^
            the optional syntax is no part of conditions
              help: a missing field is no error: ask has(field) where it matters

            provider.`name` == 'x'
                     ^
            ` does not quote text
              help: write straight quotes: "…" or '…'

            quality > 99999999999999999999
                      ^^^^^^^^^^^^^^^^^^^^
            a whole number has at most 18 digits
              help: write a smaller number, or quote it if it is text


            ^
            the condition is empty
              help: write one, or leave the key out

              // nothing
            ^^^^^^^^^^^^
            the condition is empty
              help: write one, or leave the key out
        "#]],
    );
}

#[test]
fn names_and_types_are_checked() {
    check(
        &[
            "qualty > 3 && titel == 'x' || provider.nme == 'y'",
            "zzzzzz == 1",
            "other-key == 'x'",
            "quality > heat-of-day",
            "trusted[0] == 'x'",
            "has(trusted)",
            "{'a': 1} == title",
            "quality == '44'",
            "title || published && heat",
            "title",
            "provider == 'x'",
            "1 in topics",
            "'a' in title",
            "'a' in mixed",
            "title.quality == 1",
            "related.title == 'x'",
            "topics == ['a']",
            "title == null",
            "null != provider.name",
            "quality.contains('a')",
            "title.contains(5)",
            "title.contians('a')",
            "title.reverse() == 'a'",
            "contains(title, 'a')",
            "title.mentions('a')",
            "foo(title)",
            "topics.map(t, t)",
            "title.matches('(')",
            "title.matches(category)",
            "mentions()",
            "mentions(title, ' - ')",
            "about('AI', 'ML')",
            "age_days + 1 > 3",
            "age_days == 3",
            "age_hours > quality",
            "now > 3",
            "score > 3",
            "score.best > 3",
            "score.total > 3 || 'noscore' == title",
            "record > 3",
            "record['a'] == record['b']",
            "size(record['a']) > 1",
            "{'a': 1}.a == 1",
            "b'abc' == title",
            "topics[-1] == 'a'",
            "topics[quality] == 'a'",
            "topics.exists(title, title == 'a')",
            "related.all(a, a.topics.all(b, a.images.all(c, c.url == b)))",
            "published < true",
            "(published ? 1 : 'a') == 1",
            "[title] == ['a']",
            "has(score.total)",
            "has('a')",
            "quality / 2 + title > 3",
            "1 / 0 > quality",
        ],
        &expect![[r#"
            qualty > 3 && titel == 'x' || provider.nme == 'y'
            ^^^^^^
            there is no field `qualty`
              help: did you mean `quality`?
            qualty > 3 && titel == 'x' || provider.nme == 'y'
                          ^^^^^
            there is no field `titel`
              help: did you mean `title`?
            qualty > 3 && titel == 'x' || provider.nme == 'y'
                                          ^^^^^^^^^^^^
            `provider` has no field `nme`
              help: did you mean `name`?

            zzzzzz == 1
            ^^^^^^
            there is no field `zzzzzz`
              help: declare it under `types:` in the source, or write record["zzzzzz"]

            other-key == 'x'
            ^^^^^^^^^
            `other-key` is read as a subtraction
              help: write record["other-key"]

            quality > heat-of-day
                      ^^^^^^^^^^^
            `heat-of-day` is read as a subtraction
              help: write record["heat-of-day"]

            trusted[0] == 'x'
            ^^^^^^^
            `trusted` is a list, not a field
              help: write `x in trusted`, or trusted.exists(x, …)

            has(trusted)
                ^^^^^^^
            `trusted` is a list, not a field
              help: write `x in trusted`, or trusted.exists(x, …)

            {'a': 1} == title
            ^^^^^^^^
            a mapping cannot be written in a condition
              help: compare the parts of a mapping: provider.name == "…"

            quality == '44'
            ^^^^^^^^^^^^^^^
            `quality` is a number and cannot be compared with `'44'`, which is text
              help: numbers go without quotes, text in quotes; size() of a text is a number

            title || published && heat
            ^^^^^
            `||` takes true or false, and `title` is text
              help: compare it with something
            title || published && heat
                                  ^^^^
            `&&` takes true or false, and `heat` is a number
              help: compare it with something

            title
            ^^^^^
            a condition is true or false, and `title` is text
              help: compare it with something

            provider == 'x'
            ^^^^^^^^^^^^^^^
            `provider` is a mapping and cannot be compared with `'x'`, which is text
              help: compare text with text and numbers with numbers

            1 in topics
            ^^^^^^^^^^^
            `1` is a number and cannot be found in `topics`, which holds text
              help: numbers go without quotes, text in quotes; size() of a text is a number

            'a' in title
                   ^^^^^
            `in` looks into a list, and `title` is text
              help: write title.contains('a')

            'a' in mixed
                   ^^^^^
            the elements of `mixed` must be of one kind, and it holds a number and text
              help: put what is text in quotes, and numbers in none

            title.quality == 1
            ^^^^^^^^^^^^^
            `title` is text, which has no fields
              help: leave out what follows `title`

            related.title == 'x'
            ^^^^^^^^^^^^^
            `related` is a list of mappings, which has no fields
              help: as in `related[0]` or `related.exists(x, …)`

            topics == ['a']
            ^^^^^^^^^^^^^^^
            a list of text cannot be compared with anything
              help: ask for one element by `in`, or for its size()

            title == null
                     ^^^^
            nothing is compared with `null`
              help: write !has(title)

            null != provider.name
            ^^^^
            nothing is compared with `null`
              help: write has(provider.name)

            quality.contains('a')
            ^^^^^^^
            `contains` takes text, and `quality` is a number
              help: write text in quotes, or a field of text

            title.contains(5)
                           ^
            `contains` takes text, and `5` is a number
              help: write text in quotes, or a field of text

            title.contians('a')
                  ^^^^^^^^
            there is no method `contians`
              help: did you mean `contains`?

            title.reverse() == 'a'
                  ^^^^^^^
            there is no method `reverse`
              help: text has contains, startsWith, endsWith, matches, lowerAscii, size; lists have exists, all, size

            contains(title, 'a')
            ^^^^^^^^
            there is no function `contains`
              help: write it after a dot: title.contains(…)

            title.mentions('a')
                  ^^^^^^^^
            there is no method `mentions`
              help: write it without a dot: mentions(…)

            foo(title)
            ^^^
            there is no function `foo`
              help: there are about, mentions, has, size

            topics.map(t, t)
                   ^^^
            there is no method `map`
              help: text has contains, startsWith, endsWith, matches, lowerAscii, size; lists have exists, all, size

            title.matches('(')
                          ^^^
            this pattern cannot be read: unclosed group
              help: close the `(`, or write `\(` for a bracket in the text

            title.matches(category)
                          ^^^^^^^^
            `matches` takes text in quotes, and `category` is none
              help: put the text itself in quotes

            mentions()
            ^^^^^^^^
            `mentions` takes phrases
              help: as in mentions("AI")

            mentions(title, ' - ')
                     ^^^^^
            `mentions` takes text in quotes, and `title` is none
              help: put the text itself in quotes
            mentions(title, ' - ')
                            ^^^^^
            a phrase holds more than spaces and dashes
              help: write a word of at least one letter or digit

            about('AI', 'ML')
            ^^^^^
            `about` takes one topic
              help: as in about("AI")

            age_days + 1 > 3
            ^^^^^^^^
            `age_days` may only be compared with a number
              help: as in `age_days > 7`

            age_days == 3
            ^^^^^^^^
            `age_days` is equal to a number for an instant only
              help: as in `age_days > 7`

            age_hours > quality
                        ^^^^^^^
            `age_hours` may only be compared with a number
              help: as in `age_hours > 7`

            now > 3
            ^^^
            there is no field `now`
              help: ask for age_hours or age_days

            score > 3
            ^^^^^
            `score` is asked by axis
              help: write score.quality, score.heat, score.topic or score.total

            score.best > 3
            ^^^^^^^^^^
            `score` has no `best`
              help: it has score.quality, score.heat, score.topic and score.total

            score.total > 3 || 'noscore' == title
            ^^^^^^^^^^^
            scoring knows no queues: only they may read `score.total`
              help: move this condition to a queue

            record > 3
            ^^^^^^
            `record` is asked by key
              help: write record["odd-key"]

            record['a'] == record['b']
            ^^^^^^^^^^^^^^^^^^^^^^^^^^
            the types of `record['a']` and `record['b']` are not known
              help: declare one of them under `types:` in the source

            size(record['a']) > 1
                 ^^^^^^^^^^^
            whether `record['a']` is text or a list is not known
              help: declare it under `types:` in the source

            {'a': 1}.a == 1
            ^^^^^^^^
            `{'a': 1}` is no field of a record
              help: name a field, such as title or provider.name

            b'abc' == title
            ^^^^^^
            bytes are no part of conditions
              help: leave out the `b` before the text

            topics[-1] == 'a'
                   ^^
            between `[` and `]` stands a key in quotes, or 0, 1, 2, …
              help: as in images[0] or record["odd-key"]

            topics[quality] == 'a'
                   ^^^^^^^
            between `[` and `]` stands a key in quotes, or 0, 1, 2, …
              help: as in images[0] or record["odd-key"]

            topics.exists(title, title == 'a')
                          ^^^^^
            `title` already means something here
              help: choose another name, such as `x`

            related.all(a, a.topics.all(b, a.images.all(c, c.url == b)))
                                           ^^^^^^^^
            at most 2 of `exists` and `all` stand inside each other
              help: ask for the inner one in a condition of its own

            published < true
            ^^^^^^^^^^^^^^^^
            true and false have no order
              help: compare them by `==` or `!=`

            (published ? 1 : 'a') == 1
             ^^^^^^^^^^^^^^^^^^^
            both results of `?` must be of one type: `1` is a number, `'a'` is text
              help: make both text, both numbers, or both conditions

            [title] == ['a']
             ^^^^^
            a list holds text, numbers, true or false; `title` is none of them
              help: write the values out; to compare fields, join comparisons by `||`

            has(score.total)
                ^^^^^^^^^^^
            `has` asks for a field, and `score.total` is none
              help: as in has(provider.name)

            has('a')
                ^^^
            `has` asks for a field, and `'a'` is none
              help: as in has(provider.name)

            quality / 2 + title > 3
            ^^^^^^^^^^^^^^^^^^^
            `quality / 2` is a number and cannot be joined to `title`, which is text
              help: compare text with text and numbers with numbers

            1 / 0 > quality
            ^^^^^
            this computation has no result
              help: do not divide by zero, and keep numbers below 1e308
        "#]],
    );
}

#[test]
fn sizes_are_bounded() {
    let chain = |part: &str, joint: &str, count: usize| vec![part; count].join(joint);
    let ok = [
        chain("quality > 1", " && ", 270),
        chain("published", "||", 372),
        format!("{}published{}", "(".repeat(24), ")".repeat(24)),
        format!("{} > 1", chain("1", "+", 63)),
        format!("{} > 1", chain("quality", "+", 62)),
        format!(
            "{}published{}",
            "!(published && ".repeat(24),
            ")".repeat(24)
        ),
        format!("{}true", "published ? true : ".repeat(23)),
        format!("{}published", "!".repeat(4000)),
        format!("'{}' == title", "a".repeat(4000)),
    ];
    for source in ok {
        let condition = compile(&source);
        // On the small stack of a test, as the service would on any thread.
        let _ = condition.holds(&Story::new().facts(), &mut Trace::default());
        let _ = condition.near(&Story::new().facts());
    }
    let refused = [
        format!("{}published{}", "(".repeat(25), ")".repeat(25)),
        format!("{} > 1", chain("1", "+", 2040)),
        format!("{} > 1", chain("1", "*", 2040)),
        format!("{} > 1", chain("-1", "-", 1300)),
        chain("1", "<", 2040),
        chain("'a'", " in ", 500),
        chain("a", ".", 2040),
        format!("{}published{}", "!(".repeat(1300), ")".repeat(1300)),
        format!("record{}", "[0]".repeat(1300)),
        format!("title{}", ".size()".repeat(580)),
        format!("has({})", chain("a", ".", 2000)),
        format!("{}1", "published?".repeat(300)),
        format!("{}1", "published?1:".repeat(300)),
        "[".repeat(4000),
        "(".repeat(4000),
        "'".repeat(4095),
        "\\".repeat(4000),
        "a".repeat(4097),
        chain("=", " ", 2000),
    ];
    for source in refused {
        let errors = try_compile(&source).expect_err(&source);
        assert!(
            errors.iter().all(|error| error.span.end <= source.len()),
            "{errors:?}"
        );
    }
}

#[test]
fn hostile_lists_end() {
    let mut story = Story::new();
    let one = Value::Map(
        [("title".to_owned(), Value::Text("a".to_owned()))]
            .into_iter()
            .collect(),
    );
    story.fields.set("related", Value::List(vec![one; 20_000]));
    story.topics = vec!["a".to_owned(); 20_000];
    let condition = compile("related.exists(r, topics.exists(t, r.title + t == 'b'))");
    let mut trace = Trace::default();
    assert_eq!(condition.holds(&story.facts(), &mut trace), None);
    assert!(trace.is_exhausted() && trace.steps < MOST_STEPS + 100);
    let mut trace = Trace::default();
    assert_eq!(
        compile("related.all(r, r.heat > 1)").holds(&story.facts(), &mut trace),
        None
    );
    assert_eq!(trace.missing.len(), 32);
}
