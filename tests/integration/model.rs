//! The conditions' meaning, written a second time from `rules/README.md` alone: random conditions on
//! random records, with fields missing and of the wrong type, must come to what this model says,
//! in a set of a few rules and in one of many.
//!
//! The model is slow and plain on purpose. It builds a tree, writes it as a condition, and works out
//! the tree's value itself; of the program's own parser, checker and plans it uses nothing.

use copydesk::record::value::{Map, Value};
use copydesk::rules::RuleSet;
use copydesk::rules::assess::{Assessment, Occasion, Subject};
use jiff::Timestamp;
use std::fmt::Write;
use std::fs;
use tempfile::TempDir;

/// Random numbers that are the same on every machine: SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn some<T: Clone>(&mut self, most: usize, from: &[T]) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }
}

/// What a place holds, as the language sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Number,
    Text,
    Texts,
    Maps,
    Map,
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// A top-level key, written as it is or as `record["…"]`.
    Key(&'static str),
    /// A variable of an enclosing `exists` or `all`.
    Variable(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Key(&'static str),
    At(usize),
}

/// A place in a record, and what it should hold.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: Root,
    steps: Vec<Step>,
    kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Number {
    Literal(f64),
    At(Place),
    SizeOfText(Box<Text>),
    SizeOfList(Place),
    Negative(Box<Self>),
    Computed(Box<Self>, &'static str, Box<Self>),
    If(Box<Cond>, Box<Self>, Box<Self>),
}

#[derive(Clone, Debug)]
pub(crate) enum Text {
    Literal(&'static str),
    At(Place),
    Joined(Box<Self>, Box<Self>),
    Lower(Box<Self>),
    If(Box<Cond>, Box<Self>, Box<Self>),
}

/// What `in`, `exists` and `all` look into.
#[derive(Clone, Debug)]
pub(crate) enum List {
    At(Place),
    Named(&'static str),
    Texts(Vec<&'static str>),
    Numbers(Vec<f64>),
}

#[derive(Clone, Debug)]
pub(crate) enum Cond {
    Literal(bool),
    Flag(Place),
    Numbers(Number, &'static str, Number),
    Texts(Text, &'static str, Text),
    Flags(Place, &'static str, bool),
    Age(&'static str, &'static str, f64, bool),
    TextIn(Text, List),
    NumberIn(Number, List),
    About(&'static str),
    Mentions(Vec<&'static str>),
    Part(Text, &'static str, Text),
    Matches(Text, usize),
    Has(Place),
    Each(bool, List, &'static str, Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
}

const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const NUMBERS: [f64; 12] = [
    -7.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 10.0, 44.0, 69.5, 70.0, 95.0,
];
const TEXTS: [&str; 24] = [
    "",
    " ",
    "AI",
    "a",
    "video",
    "article",
    "news",
    "example.org",
    "www.example.org",
    "Example.ORG",
    "other.example",
    "Amazon stops face-recognition",
    "Face recognition is back",
    "The C++ you know",
    "12 tips: power-apps",
    "Überall POWER\u{a0}apps, twice",
    "surface recognition",
    "line\nbreak apps",
    "one",
    "two",
    "2020-06-10",
    "2020-06-10T21:00:00Z",
    "it's \"quoted\" \\ here",
    "apps",
];
const PHRASES: [&str; 8] = [
    "face recognition",
    "power apps",
    "c++",
    "apps",
    "AI",
    "überall",
    "tips",
    "line break",
];
const TOPICS: [&str; 7] = ["AI", "AWS AI", "Vision", "Apps", "Canvas", "Odd", "one"];
const TRUSTED: [&str; 3] = ["example.org", "AI", "video"];
const SIZES: [f64; 3] = [1.0, 3.0, 44.0];

/// The topics of the set: name, parent, keywords.
pub(crate) const DECLARED: [(&str, Option<&str>, &[&str]); 5] = [
    ("AI", None, &["c++"]),
    ("AWS AI", Some("AI"), &["face recognition"]),
    ("Vision", Some("AWS AI"), &[]),
    ("Apps", None, &["apps"]),
    ("Canvas", Some("Apps"), &["two"]),
];

/// A pattern as it is written, and what it finds.
type Pattern = (&'static str, fn(&str) -> bool);

/// Patterns whose meaning can be said without a regular expression.
const PATTERNS: [Pattern; 9] = [
    ("(?i)power", |t| t.to_ascii_lowercase().contains("power")),
    ("^The", |t| t.starts_with("The")),
    ("apps$", |t| t.ends_with("apps")),
    ("^$", str::is_empty),
    (r"\d", |t| t.chars().any(|c| c.is_ascii_digit())),
    (r"^\d+ tips", |t| {
        let rest = t.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < t.len() && rest.starts_with(" tips")
    }),
    ("recognition|video", |t| {
        t.contains("recognition") || t.contains("video")
    }),
    ("e.b", |t| {
        let chars: Vec<char> = t.chars().collect();
        let found = |w: &[char]| w[0] == 'e' && w[1] != '\n' && w[2] == 'b';
        chars.windows(3).any(found)
    }),
    ("[.]", |t| t.contains('.')),
];

// ------------------------------------------------------------------ trees

/// What may be named at a point of a condition: the variables around it.
pub(crate) type Scope = Vec<(&'static str, Element)>;

/// What a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Text,
    Image,
    Related,
}

fn key(root: &'static str, steps: &[Step], kind: Kind) -> Place {
    Place {
        root: Root::Key(root),
        steps: steps.to_vec(),
        kind,
    }
}

fn of_variable(name: &'static str, steps: &[Step], kind: Kind) -> Place {
    Place {
        root: Root::Variable(name),
        steps: steps.to_vec(),
        kind,
    }
}

/// A place of this kind.
fn place(dice: &mut Dice, scope: &Scope, kind: Kind) -> Place {
    use Step::{At, Key};
    let mut places = match kind {
        Kind::Number => vec![
            key("quality", &[], kind),
            key("quality", &[], kind),
            key("heat", &[], kind),
            key("heat", &[], kind),
            key("members", &[], kind),
            key("ratings", &[Key("value")], kind),
            key("images", &[At(0), Key("width")], kind),
            key("related", &[At(1), Key("quality")], kind),
        ],
        Kind::Text => vec![
            key("title", &[], kind),
            key("title", &[], kind),
            key("excerpt", &[], kind),
            key("type", &[], kind),
            key("category", &[], kind),
            key("provider", &[Key("name")], kind),
            key("provider", &[Key("domain")], kind),
            key("domain", &[], kind),
            key("text", &[], kind),
            key("publishedDateTime", &[], kind),
            key("images", &[At(1), Key("url")], kind),
            key("related", &[At(0), Key("provider"), Key("domain")], kind),
            key("related", &[At(0), Key("topics"), At(1)], kind),
            key("topics", &[At(0)], kind),
            key("levels", &[At(1)], kind),
        ],
        Kind::Bool => vec![
            key("published", &[], kind),
            key("images", &[At(0), Key("isCached")], kind),
        ],
        Kind::Texts => vec![
            key("topics", &[], kind),
            key("topics", &[], kind),
            key("levels", &[], kind),
            key("related", &[At(0), Key("topics")], kind),
        ],
        Kind::Maps => vec![key("images", &[], kind), key("related", &[], kind)],
        Kind::Map => vec![
            key("provider", &[], kind),
            key("ratings", &[], kind),
            key("related", &[At(0), Key("provider")], kind),
            key("images", &[At(1)], kind),
        ],
        Kind::Unknown => vec![
            key("odd-key", &[], kind),
            key("odd-key", &[Key("deep")], kind),
            key("odd-key", &[At(0)], kind),
        ],
    };
    let mut inner = Vec::new();
    for (name, element) in scope {
        let steps: &[&[Step]] = match (element, kind) {
            (Element::Text, Kind::Text) => &[&[]],
            (Element::Image, Kind::Text) => &[&[Key("url")], &[Key("title")]],
            (Element::Image, Kind::Number) => &[&[Key("width")], &[Key("height")]],
            (Element::Image, Kind::Bool) => &[&[Key("isCached")]],
            (Element::Related, Kind::Text) => &[
                &[Key("title")],
                &[Key("type")],
                &[Key("provider"), Key("domain")],
            ],
            (Element::Related, Kind::Number) => &[&[Key("quality")], &[Key("heat")]],
            (Element::Related, Kind::Bool) => &[&[Key("published")]],
            (Element::Related, Kind::Texts) => &[&[Key("topics")]],
            (Element::Related, Kind::Maps) => &[&[Key("images")]],
            (Element::Related, Kind::Map) => &[&[Key("provider")]],
            _ => &[],
        };
        inner.extend(steps.iter().map(|steps| of_variable(name, steps, kind)));
    }
    // Inside of `exists`, its variable is what one asks about.
    if !inner.is_empty() && !dice.one_in(4) {
        places = inner;
    }
    dice.pick(&places)
}

fn number(dice: &mut Dice, scope: &Scope, depth: usize) -> Number {
    match dice.below(if depth == 0 { 6 } else { 11 }) {
        0 => Number::Literal(dice.pick(&NUMBERS)),
        1 => Number::SizeOfText(Box::new(text(dice, scope, 0))),
        2 => {
            let kind = dice.pick(&[Kind::Texts, Kind::Maps]);
            Number::SizeOfList(place(dice, scope, kind))
        }
        3..=7 => Number::At(place(dice, scope, Kind::Number)),
        8 => Number::Negative(Box::new(Number::At(place(dice, scope, Kind::Number)))),
        9 => {
            // Constants alone are worked out when loaded, where they may be refused.
            let left = Number::At(place(dice, scope, Kind::Number));
            let right = number(dice, scope, depth - 1);
            let sign = dice.pick(&["+", "-", "*", "/", "%"]);
            if dice.one_in(3) && !matches!(right, Number::Literal(_)) {
                Number::Computed(Box::new(right), sign, Box::new(left))
            } else {
                Number::Computed(Box::new(left), sign, Box::new(right))
            }
        }
        _ => Number::If(
            Box::new(cond(dice, scope, depth - 1)),
            Box::new(number(dice, scope, depth - 1)),
            Box::new(number(dice, scope, depth - 1)),
        ),
    }
}

fn text(dice: &mut Dice, scope: &Scope, depth: usize) -> Text {
    match dice.below(if depth == 0 { 6 } else { 9 }) {
        0 => Text::Literal(dice.pick(&TEXTS)),
        1..=5 => Text::At(place(dice, scope, Kind::Text)),
        6 => Text::Lower(Box::new(text(dice, scope, depth - 1))),
        7 => Text::Joined(
            Box::new(text(dice, scope, depth - 1)),
            Box::new(text(dice, scope, depth - 1)),
        ),
        _ => Text::If(
            Box::new(cond(dice, scope, depth - 1)),
            Box::new(text(dice, scope, depth - 1)),
            Box::new(text(dice, scope, depth - 1)),
        ),
    }
}

/// A constant, or at times anything: conditions with constants are what the plan indexes.
fn constant(dice: &mut Dice, scope: &Scope, depth: usize) -> Text {
    if dice.one_in(4) {
        text(dice, scope, depth)
    } else {
        Text::Literal(dice.pick(&TEXTS))
    }
}

fn texts(dice: &mut Dice, scope: &Scope) -> List {
    match dice.below(4) {
        0 => List::Named("trusted"),
        1 => List::Texts(dice.some(4, &TEXTS)),
        _ => List::At(place(dice, scope, Kind::Texts)),
    }
}

fn each(dice: &mut Dice, scope: &Scope, depth: usize) -> Cond {
    let (list, element) = if dice.one_in(3) {
        (texts(dice, scope), Element::Text)
    } else {
        let place = place(dice, scope, Kind::Maps);
        let images = match (place.steps.last(), &place.root) {
            (Some(Step::Key(key)), _) => *key == "images",
            (_, Root::Key(key)) => *key == "images",
            _ => false,
        };
        let element = if images {
            Element::Image
        } else {
            Element::Related
        };
        (List::At(place), element)
    };
    // An empty list has no type that its variable could have.
    let list = match list {
        List::Texts(texts) if texts.is_empty() => List::Named("trusted"),
        list => list,
    };
    let name = ["x", "y"][scope.len()];
    let mut inner = scope.clone();
    inner.push((name, element));
    let condition = cond(dice, &inner, depth - 1);
    Cond::Each(dice.one_in(2), list, name, Box::new(condition))
}

pub(crate) fn cond(dice: &mut Dice, scope: &Scope, depth: usize) -> Cond {
    let inner = depth.saturating_sub(1);
    if depth > 0 && dice.one_in(2) {
        let many = |dice: &mut Dice| -> Vec<Cond> {
            let n = 2 + dice.below(2);
            (0..n).map(|_| cond(dice, scope, inner)).collect()
        };
        return match dice.below(8) {
            0..=2 => Cond::All(many(dice)),
            3..=5 => Cond::Any(many(dice)),
            6 => Cond::Not(Box::new(cond(dice, scope, inner))),
            _ => Cond::If(
                Box::new(cond(dice, scope, inner)),
                Box::new(cond(dice, scope, inner)),
                Box::new(cond(dice, scope, inner)),
            ),
        };
    }
    match dice.below(19) {
        0 if dice.one_in(4) => Cond::Literal(dice.one_in(2)),
        0 => {
            let unit = dice.pick(&["age_hours", "age_days"]);
            let limit = dice.pick(&[-1.0, 0.0, 1.0, 2.0, 24.0, 48.0, 100.0]);
            let sign = dice.pick(&["<", "<=", ">", ">="]);
            Cond::Age(unit, sign, limit, dice.one_in(2))
        }
        1 => Cond::Flag(place(dice, scope, Kind::Bool)),
        2 => {
            let sign = dice.pick(&["==", "!="]);
            Cond::Flags(place(dice, scope, Kind::Bool), sign, dice.one_in(2))
        }
        3..=5 => {
            let left = number(dice, scope, depth.min(1));
            let right = if dice.one_in(3) {
                number(dice, scope, depth.min(1))
            } else {
                Number::Literal(dice.pick(&NUMBERS))
            };
            let sign = dice.pick(&COMPARISONS);
            if dice.one_in(4) {
                Cond::Numbers(right, sign, left)
            } else {
                Cond::Numbers(left, sign, right)
            }
        }
        6..=8 => {
            let left = text(dice, scope, depth.min(1));
            let right = constant(dice, scope, depth.min(1));
            let sign = dice.pick(&["==", "==", "==", "!=", "<", "<=", ">", ">="]);
            Cond::Texts(left, sign, right)
        }
        9 => Cond::TextIn(text(dice, scope, depth.min(1)), texts(dice, scope)),
        10 => {
            let list = if dice.one_in(2) {
                List::Named("sizes")
            } else {
                List::Numbers(dice.some(3, &NUMBERS))
            };
            Cond::NumberIn(number(dice, scope, depth.min(1)), list)
        }
        11 => Cond::TextIn(
            Text::Literal(dice.pick(&TOPICS)),
            List::At(place(dice, scope, Kind::Texts)),
        ),
        12 => Cond::About(dice.pick(&TOPICS)),
        13 => {
            let mut phrases = dice.some(2, &PHRASES);
            phrases.push(dice.pick(&PHRASES));
            Cond::Mentions(phrases)
        }
        14 => Cond::Part(
            text(dice, scope, depth.min(1)),
            dice.pick(&["contains", "startsWith", "endsWith"]),
            constant(dice, scope, depth.min(1)),
        ),
        15 => Cond::Matches(text(dice, scope, depth.min(1)), dice.below(PATTERNS.len())),
        16 => {
            let kind = dice.pick(&[
                Kind::Bool,
                Kind::Number,
                Kind::Text,
                Kind::Texts,
                Kind::Maps,
                Kind::Map,
                Kind::Unknown,
            ]);
            Cond::Has(place(dice, scope, kind))
        }
        17 => {
            let odd = place(dice, scope, Kind::Unknown);
            match dice.below(4) {
                0 => Cond::Texts(Text::At(odd), "==", Text::Literal(dice.pick(&TEXTS))),
                1 => {
                    let limit = Number::Literal(dice.pick(&NUMBERS));
                    Cond::Numbers(Number::At(odd), dice.pick(&COMPARISONS), limit)
                }
                2 => Cond::Part(Text::At(odd), "contains", Text::Literal("a")),
                _ => Cond::Flags(odd, "==", dice.one_in(2)),
            }
        }
        _ if scope.len() < 2 && depth > 0 => each(dice, scope, depth),
        _ => Cond::Numbers(
            Number::At(place(dice, scope, Kind::Number)),
            dice.pick(&COMPARISONS),
            Number::Literal(dice.pick(&NUMBERS)),
        ),
    }
}

/// A condition as editors write most of them: words, a topic or a name, and where a number lies.
pub(crate) fn policy(dice: &mut Dice) -> Cond {
    let field = |name| key(name, &[], Kind::Text);
    let about = match dice.below(5) {
        0 => Cond::About(dice.pick(&["AI", "Apps", "AWS AI"])),
        1 => Cond::Mentions(vec![dice.pick(&PHRASES), dice.pick(&PHRASES)]),
        2 => Cond::TextIn(Text::At(field("domain")), List::Named("trusted")),
        3 => Cond::Part(
            Text::At(field("text")),
            "contains",
            Text::Literal(dice.pick(&["apps", "recognition", "a"])),
        ),
        _ => Cond::Matches(Text::At(field("title")), dice.below(PATTERNS.len())),
    };
    let mut all = vec![about];
    for _ in 0..=dice.below(2) {
        all.push(Cond::Numbers(
            Number::At(key(dice.pick(&["quality", "heat"]), &[], Kind::Number)),
            dice.pick(&COMPARISONS),
            Number::Literal(dice.pick(&NUMBERS)),
        ));
    }
    if dice.one_in(2) {
        all.reverse();
    }
    Cond::All(all)
}

// ------------------------------------------------------------------ as conditions are written

/// How tightly the parts of CEL bind; what binds less stands in parentheses.
const IF: u8 = 1;
const ANY: u8 = 2;
const ALL: u8 = 3;
const RELATION: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const PREFIX: u8 = 7;
const CALL: u8 = 8;

/// A part as it is written, and how tightly it binds.
pub(crate) type Written = (String, u8);

fn within(part: Written, least: u8) -> String {
    if part.1 < least {
        format!("({})", part.0)
    } else {
        part.0
    }
}

/// Text as it is written; now and then in the other ways to write it.
fn quoted(text: &str) -> String {
    let plain = !text.contains(['\\', '\n', '\'']);
    if plain && text.len().is_multiple_of(3) {
        format!("'{text}'")
    } else if plain && !text.contains('"') && text.len() % 3 == 1 {
        format!("r\"{text}\"")
    } else {
        format!("{text:?}").replace("\\'", "'")
    }
}

fn written_place(place: &Place) -> String {
    let mut written = match place.root {
        Root::Key(key) if key.contains('-') => format!("record[{key:?}]"),
        Root::Key(name) | Root::Variable(name) => name.to_owned(),
    };
    for step in &place.steps {
        let _ = match step {
            Step::Key(key) => write!(written, ".{key}"),
            Step::At(at) => write!(written, "[{at}]"),
        };
    }
    written
}

impl Number {
    fn written(&self) -> Written {
        match self {
            Self::Literal(n) if *n < 0.0 => (format!("{n}"), PREFIX),
            Self::Literal(n) => (format!("{n}"), CALL),
            Self::At(place) => (written_place(place), CALL),
            Self::SizeOfText(text) => match text.written() {
                (text, CALL) if text.len() % 2 == 0 => (format!("{text}.size()"), CALL),
                (text, _) => (format!("size({text})"), CALL),
            },
            Self::SizeOfList(list) => (format!("size({})", written_place(list)), CALL),
            Self::Negative(inner) => (format!("-{}", within(inner.written(), CALL)), PREFIX),
            Self::Computed(left, sign, right) => {
                let binds = if matches!(*sign, "+" | "-") {
                    SUM
                } else {
                    PRODUCT
                };
                let left = within(left.written(), binds);
                let right = within(right.written(), binds + 1);
                (format!("{left} {sign} {right}"), binds)
            }
            Self::If(c, a, b) => choice(c, a.written(), b.written()),
        }
    }
}

fn choice(c: &Cond, a: Written, b: Written) -> Written {
    let (c, a, b) = (within(c.written(), ANY), within(a, ANY), within(b, IF));
    (format!("{c} ? {a} : {b}"), IF)
}

impl Text {
    fn written(&self) -> Written {
        match self {
            Self::Literal(text) => (quoted(text), CALL),
            Self::At(place) => (written_place(place), CALL),
            Self::Joined(left, right) => {
                let (left, right) = (left.written(), right.written());
                (
                    format!("{} + {}", within(left, SUM), within(right, PRODUCT)),
                    SUM,
                )
            }
            Self::Lower(inner) => (
                format!("{}.lowerAscii()", within(inner.written(), CALL)),
                CALL,
            ),
            Self::If(c, a, b) => choice(c, a.written(), b.written()),
        }
    }
}

impl List {
    fn written(&self) -> String {
        match self {
            Self::At(place) => written_place(place),
            Self::Named(name) => (*name).to_owned(),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Self::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
                format!("[{}]", numbers.join(", "))
            }
        }
    }
}

impl Cond {
    pub(crate) fn written(&self) -> Written {
        let relation =
            |left: String, sign: &str, right: String| (format!("{left} {sign} {right}"), RELATION);
        match self {
            Self::Literal(yes) => (yes.to_string(), CALL),
            Self::Flag(place) => (written_place(place), CALL),
            Self::Numbers(left, sign, right) => {
                let (left, right) = (left.written(), right.written());
                relation(within(left, SUM), sign, within(right, SUM))
            }
            Self::Texts(left, sign, right) => {
                let (left, right) = (left.written(), right.written());
                relation(within(left, SUM), sign, within(right, SUM))
            }
            Self::Flags(place, sign, yes) => relation(written_place(place), sign, yes.to_string()),
            Self::Age(unit, sign, limit, false) => {
                relation((*unit).to_owned(), sign, limit.to_string())
            }
            Self::Age(unit, sign, limit, true) => {
                relation(limit.to_string(), sign, (*unit).to_owned())
            }
            Self::TextIn(text, list) => relation(within(text.written(), SUM), "in", list.written()),
            Self::NumberIn(number, list) => {
                relation(within(number.written(), SUM), "in", list.written())
            }
            Self::About(topic) => (format!("about({topic:?})"), CALL),
            Self::Mentions(phrases) => {
                let phrases: Vec<String> = phrases.iter().map(|text| quoted(text)).collect();
                (format!("mentions({})", phrases.join(", ")), CALL)
            }
            Self::Part(text, part, wanted) => {
                let text = within(text.written(), CALL);
                (format!("{text}.{part}({})", wanted.written().0), CALL)
            }
            Self::Matches(text, at) => {
                let text = within(text.written(), CALL);
                (format!("{text}.matches(r\"{}\")", PATTERNS[*at].0), CALL)
            }
            Self::Has(place) => (format!("has({})", written_place(place)), CALL),
            Self::Each(every, list, name, inner) => {
                let word = if *every { "all" } else { "exists" };
                let (list, inner) = (list.written(), inner.written().0);
                (format!("{list}.{word}({name}, {inner})"), CALL)
            }
            Self::All(parts) => joined(parts, " && ", ALL),
            Self::Any(parts) => joined(parts, " || ", ANY),
            Self::Not(inner) => (format!("!{}", within(inner.written(), CALL)), PREFIX),
            Self::If(c, a, b) => choice(c, a.written(), b.written()),
        }
    }
}

fn joined(parts: &[Cond], sign: &str, binds: u8) -> Written {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| within(part.written(), binds + 1))
        .collect();
    (parts.join(sign), binds)
}

// ------------------------------------------------------------------ what they mean

/// A record as the model sees it.
pub(crate) struct Story<'r> {
    fields: &'r Map,
    published: bool,
    age_hours: f64,
    /// What it is about; `None` is missing.
    pub(crate) topics: Option<Vec<String>>,
    /// The values that the variables stand for.
    variables: Vec<(&'static str, Value)>,
    /// The computations that had no result, as they are written.
    pub(crate) without_result: Vec<String>,
}

/// `key:` without a value is missing.
fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| **value != Value::Null)
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The text at a top-level key, unless nothing can be read in it.
fn readable<'r>(fields: &'r Map, key: &str) -> Option<&'r str> {
    let text = fields.get(key).and_then(Value::as_text);
    text.filter(|text| !is_blank(text))
}

fn parts(fields: &Map) -> Vec<&str> {
    ["title", "excerpt"]
        .into_iter()
        .filter_map(|key| readable(fields, key))
        .collect()
}

/// Lower case, and every run of hyphens and spaces one space.
fn plain(text: &str) -> Vec<char> {
    let mut plain: Vec<char> = Vec::new();
    for c in text.chars() {
        if c == '-' || c.is_whitespace() {
            if plain.last().is_some_and(|last| *last != ' ') {
                plain.push(' ');
            }
        } else {
            plain.extend(c.to_lowercase());
        }
    }
    plain
}

/// Whether a phrase stands in a text as whole words; a sign at its edge is no part of a word.
fn mentions(text: &str, phrase: &str) -> bool {
    let (text, phrase) = (plain(text), plain(phrase));
    let in_word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric());
    (0..text.len()).any(|start| {
        let end = start + phrase.len();
        if text.get(start..end) != Some(&phrase[..]) {
            return false;
        }
        let before = start.checked_sub(1).and_then(|at| text.get(at));
        let runs_on_before = in_word(before) && in_word(phrase.first());
        let runs_on_after = in_word(text.get(end)) && in_word(phrase.last());
        !runs_on_before && !runs_on_after
    })
}

/// What a story is about: what it says, what its words add, and what stands above those, each once.
fn about(fields: &Map) -> Option<Vec<String>> {
    let said = fields.get("topics").and_then(Value::as_list);
    let mut about: Vec<String> = Vec::new();
    let said_texts = said.unwrap_or_default().iter().filter_map(Value::as_text);
    for name in said_texts {
        about.push(name.trim().to_owned());
    }
    for (name, _, keywords) in DECLARED {
        let texts = parts(fields);
        let told = |word: &&str| texts.iter().any(|text| mentions(text, word));
        if keywords.iter().any(told) {
            about.push(name.to_owned());
        }
    }
    let missing = said.is_none() && about.is_empty();
    let mut at = 0;
    while let Some(name) = about.get(at).cloned() {
        let declared = DECLARED.iter().find(|(known, _, _)| *known == name);
        if let Some((_, Some(parent), _)) = declared {
            about.push((*parent).to_owned());
        }
        at += 1;
    }
    let mut once: Vec<String> = Vec::new();
    for name in about {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    (!missing).then_some(once)
}

fn is_of(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Bool => value.as_bool().is_some(),
        Kind::Number => value.as_number().is_some(),
        Kind::Text => value.as_text().is_some(),
        Kind::Texts | Kind::Maps => value.as_list().is_some(),
        Kind::Map => value.as_map().is_some(),
        Kind::Unknown => *value != Value::Null,
    }
}

impl<'r> Story<'r> {
    pub(crate) fn new(fields: &'r Map, published: bool, age_hours: f64) -> Self {
        Self {
            fields,
            published,
            age_hours,
            topics: about(fields),
            variables: Vec::new(),
            without_result: Vec::new(),
        }
    }

    /// What stands at a place, of whatever kind.
    fn at(&self, place: &Place) -> Option<Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        let root = match place.root {
            Root::Variable(name) => {
                let held = self.variables.iter().rfind(|(known, _)| *known == name);
                held.map(|(_, value)| value.clone())?
            }
            Root::Key("published") => Value::Bool(self.published),
            Root::Key("topics") => {
                let topics = self.topics.as_ref()?;
                Value::List(topics.iter().map(|topic| text(topic)).collect())
            }
            Root::Key("text") => {
                let parts = parts(self.fields);
                if parts.is_empty() {
                    return None;
                }
                text(&parts.join("\n"))
            }
            Root::Key("domain") => {
                let domain = self.fields.get("provider")?.as_map()?.get("domain")?;
                let domain = domain.as_text()?.trim().to_lowercase();
                if domain.is_empty() {
                    return None;
                }
                text(domain.strip_prefix("www.").unwrap_or(&domain))
            }
            Root::Key(key) => self.fields.get(key)?.clone(),
        };
        let mut value = root;
        for step in &place.steps {
            value = match step {
                Step::Key(key) => value.as_map()?.get(key)?.clone(),
                Step::At(at) => value.as_list()?.get(*at)?.clone(),
            };
        }
        present(Some(&value)).cloned()
    }

    fn number(&mut self, number: &Number) -> Option<f64> {
        match number {
            Number::Literal(n) => Some(*n),
            Number::At(place) => self.at(place)?.as_number(),
            #[allow(clippy::cast_precision_loss)]
            Number::SizeOfText(text) => Some(self.text(text)?.chars().count() as f64),
            #[allow(clippy::cast_precision_loss)]
            Number::SizeOfList(list) => Some(self.at(list)?.as_list()?.len() as f64),
            Number::Negative(inner) => Some(-self.number(inner)?),
            Number::Computed(left, sign, right) => {
                let (left, right) = (self.number(left), self.number(right));
                let (left, right) = (left?, right?);
                let result = match *sign {
                    "+" => left + right,
                    "-" => left - right,
                    "*" => left * right,
                    "/" => left / right,
                    _ => left % right,
                };
                // What is divided by nothing has no value, though no field is missing.
                if !result.is_finite() {
                    self.without_result.push(number.written().0);
                    return None;
                }
                Some(result)
            }
            Number::If(c, a, b) => match self.cond(c)? {
                true => self.number(a),
                false => self.number(b),
            },
        }
    }

    fn text(&mut self, text: &Text) -> Option<String> {
        match text {
            Text::Literal(text) => Some((*text).to_owned()),
            Text::At(place) => self.at(place)?.as_text().map(str::to_owned),
            Text::Joined(left, right) => {
                let (left, right) = (self.text(left)?, self.text(right)?);
                Some(left + &right)
            }
            Text::Lower(inner) => Some(self.text(inner)?.to_ascii_lowercase()),
            Text::If(c, a, b) => match self.cond(c)? {
                true => self.text(a),
                false => self.text(b),
            },
        }
    }

    fn list(&self, list: &List) -> Option<Vec<Value>> {
        let text = |text: &&str| Value::Text((*text).to_owned());
        match list {
            List::At(place) => self.at(place)?.as_list().map(<[Value]>::to_vec),
            List::Named("trusted") => Some(TRUSTED.iter().map(text).collect()),
            List::Named(_) => Some(SIZES.map(Value::Number).to_vec()),
            List::Texts(texts) => Some(texts.iter().map(text).collect()),
            List::Numbers(numbers) => Some(numbers.iter().map(|n| Value::Number(*n)).collect()),
        }
    }

    /// Whether what is sought is an element of the list; an element of another kind is another one.
    fn is_in(sought: &Value, list: &[Value]) -> bool {
        list.contains(sought)
    }

    pub(crate) fn cond(&mut self, cond: &Cond) -> Option<bool> {
        match cond {
            Cond::Literal(yes) => Some(*yes),
            Cond::Flag(place) => self.at(place)?.as_bool(),
            Cond::Flags(place, sign, yes) => {
                let flag = self.at(place)?.as_bool()?;
                Some((flag == *yes) == (*sign == "=="))
            }
            Cond::Numbers(left, sign, right) => {
                let (left, right) = (self.number(left), self.number(right));
                Some(compared(&left?, sign, &right?))
            }
            Cond::Texts(left, sign, right) => {
                let (left, right) = (self.text(left), self.text(right));
                Some(compared(&left?, sign, &right?))
            }
            Cond::Age(unit, sign, limit, mirrored) => {
                let hours = self.age_hours;
                let age = if *unit == "age_days" {
                    hours / 24.0
                } else {
                    hours
                };
                Some(match mirrored {
                    false => compared(&age, sign, limit),
                    true => compared(limit, sign, &age),
                })
            }
            Cond::TextIn(text, list) => {
                let (text, list) = (self.text(text), self.list(list));
                Some(Self::is_in(&Value::Text(text?), &list?))
            }
            Cond::NumberIn(number, list) => {
                let (number, list) = (self.number(number), self.list(list));
                Some(Self::is_in(&Value::Number(number?), &list?))
            }
            Cond::About(topic) => {
                let topics = self.topics.as_ref()?;
                Some(topics.iter().any(|known| known == topic))
            }
            Cond::Mentions(phrases) => {
                let parts = parts(self.fields);
                if parts.is_empty() {
                    return None;
                }
                let found = |phrase: &&str| parts.iter().any(|part| mentions(part, phrase));
                Some(phrases.iter().any(found))
            }
            Cond::Part(text, part, wanted) => {
                let (text, wanted) = (self.text(text)?, self.text(wanted)?);
                Some(match *part {
                    "contains" => text.contains(&wanted),
                    "startsWith" => text.starts_with(&wanted),
                    _ => text.ends_with(&wanted),
                })
            }
            Cond::Matches(text, at) => Some(PATTERNS[*at].1(&self.text(text)?)),
            Cond::Has(place) => {
                let value = self.at(place);
                Some(value.is_some_and(|value| is_of(&value, place.kind)))
            }
            Cond::Each(every, list, name, inner) => {
                let elements = self.list(list)?;
                let mut found = Vec::new();
                for element in elements {
                    self.variables.push((name, element));
                    found.push(self.cond(inner));
                    self.variables.pop();
                }
                match every {
                    true => all(found.into_iter()),
                    false => any(found.into_iter()),
                }
            }
            Cond::All(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.cond(part)).collect();
                all(parts.into_iter())
            }
            Cond::Any(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.cond(part)).collect();
                any(parts.into_iter())
            }
            Cond::Not(inner) => self.cond(inner).map(|yes| !yes),
            Cond::If(c, a, b) => match self.cond(c)? {
                true => self.cond(a),
                false => self.cond(b),
            },
        }
    }
}

fn compared<T: PartialOrd>(left: &T, sign: &str, right: &T) -> bool {
    match sign {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

/// One true side makes it true, whatever the others are.
pub(crate) fn any(sides: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let sides: Vec<Option<bool>> = sides.collect();
    if sides.contains(&Some(true)) {
        Some(true)
    } else if sides.contains(&None) {
        None
    } else {
        Some(false)
    }
}

/// One false side makes it false, whatever the others are.
pub(crate) fn all(sides: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    any(sides.map(|side| side.map(|yes| !yes))).map(|yes| !yes)
}

// ------------------------------------------------------------------ records

/// The value, or now and then something else: nothing, null, another kind.
fn or_odd(dice: &mut Dice, value: Value) -> Option<Value> {
    match dice.below(10) {
        0..=5 => Some(value),
        6 | 7 => None,
        8 => Some(Value::Null),
        _ => Some(match dice.below(5) {
            0 => Value::Bool(true),
            1 => Value::Number(44.0),
            2 => Value::Text("AI".to_owned()),
            3 => Value::List(vec![Value::Text("AI".to_owned())]),
            _ => Value::Map(Map::default()),
        }),
    }
}

fn some_text(dice: &mut Dice) -> Value {
    Value::Text(dice.pick(&TEXTS).to_owned())
}

fn some_number(dice: &mut Dice) -> Value {
    Value::Number(dice.pick(&NUMBERS))
}

fn some_texts(dice: &mut Dice, from: &[&str]) -> Value {
    let texts = dice.some(3, from);
    let texts = texts.into_iter().filter_map(|text| {
        let text = Value::Text(text.to_owned());
        // Most lists are of one kind.
        if dice.one_in(4) {
            or_odd(dice, text)
        } else {
            Some(text)
        }
    });
    Value::List(texts.collect())
}

fn map(dice: &mut Dice, entries: Vec<(&str, Value)>) -> Value {
    let mut map = Map::default();
    for (key, value) in entries {
        if let Some(value) = or_odd(dice, value) {
            map.set(key, value);
        }
    }
    Value::Map(map)
}

fn provider(dice: &mut Dice) -> Value {
    let (name, domain) = (some_text(dice), some_text(dice));
    map(dice, vec![("name", name), ("domain", domain)])
}

fn images(dice: &mut Dice) -> Value {
    let images = (0..dice.below(3)).filter_map(|_| {
        let cached = Value::Bool(dice.one_in(2));
        let entries = vec![
            ("url", some_text(dice)),
            ("width", some_number(dice)),
            ("height", some_number(dice)),
            ("isCached", cached),
            ("title", some_text(dice)),
        ];
        let image = map(dice, entries);
        if dice.one_in(6) {
            or_odd(dice, image)
        } else {
            Some(image)
        }
    });
    Value::List(images.collect())
}

fn related(dice: &mut Dice) -> Value {
    let related = (0..dice.below(3)).filter_map(|_| {
        let published = Value::Bool(dice.one_in(2));
        let entries = vec![
            ("title", some_text(dice)),
            ("type", some_text(dice)),
            ("quality", some_number(dice)),
            ("heat", some_number(dice)),
            ("published", published),
            ("provider", provider(dice)),
            ("topics", some_texts(dice, &TOPICS)),
            ("images", images(dice)),
        ];
        let story = map(dice, entries);
        if dice.one_in(6) {
            or_odd(dice, story)
        } else {
            Some(story)
        }
    });
    Value::List(related.collect())
}

pub(crate) fn record(dice: &mut Dice) -> Map {
    let odd = match dice.below(3) {
        0 => some_text(dice),
        1 => some_number(dice),
        _ => {
            let deep = some_text(dice);
            map(dice, vec![("deep", deep)])
        }
    };
    let value = some_number(dice);
    let entries = vec![
        ("title", some_text(dice)),
        ("excerpt", some_text(dice)),
        ("type", some_text(dice)),
        ("category", some_text(dice)),
        ("publishedDateTime", some_text(dice)),
        ("quality", some_number(dice)),
        ("heat", some_number(dice)),
        ("topics", some_texts(dice, &TOPICS)),
        ("provider", provider(dice)),
        ("images", images(dice)),
        ("related", related(dice)),
        ("members", some_number(dice)),
        ("levels", some_texts(dice, &TEXTS)),
        ("ratings", map(dice, vec![("value", value)])),
        ("odd-key", odd),
    ];
    let Value::Map(map) = map(dice, entries) else {
        unreachable!()
    };
    map
}

/// Two days after the date in `TEXTS`, and one day after a record without a date was seen.
pub(crate) fn now() -> Timestamp {
    "2020-06-12T21:00:00Z".parse().unwrap()
}

pub(crate) fn first_seen() -> Timestamp {
    "2020-06-11T21:00:00Z".parse().unwrap()
}

pub(crate) fn age_hours(fields: &Map) -> f64 {
    match readable(fields, "publishedDateTime") {
        Some("2020-06-10") => 69.0,
        Some("2020-06-10T21:00:00Z") => 48.0,
        _ => 24.0,
    }
}

// ------------------------------------------------------------------ the comparison

const BESIDE: &str = r#"sources:
  - name: news
    path: ../content
    types: {members: number, levels: [string], ratings: {value: number}}
lists:
  trusted: [example.org, AI, video]
  sizes: [1, 3, 44]
queues:
  - {name: general}
"#;

fn declared() -> String {
    let mut yaml = String::from("topics:\n");
    for (name, parent, keywords) in DECLARED {
        let parent = parent.map_or_else(String::new, |parent| format!(", parent: {parent}"));
        let keywords = serde_json::to_string(keywords).unwrap();
        let _ = writeln!(yaml, "  - {{name: {name}{parent}, keywords: {keywords}}}");
    }
    yaml
}

/// Loads a set of rules with these conditions; what stood in `previous` is taken from there.
fn load(sources: &[(usize, String)], previous: Option<&RuleSet>) -> RuleSet {
    let mut rules = String::from("rules:\n");
    for (n, source) in sources {
        let when = serde_json::to_string(source).unwrap();
        let _ = writeln!(
            rules,
            "  - {{id: r{n}, axis: topic, points: 1, why: It holds, when: {when}}}"
        );
    }
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), BESIDE.to_owned() + &declared()).unwrap();
    fs::write(dir.path().join("b.yaml"), rules).unwrap();
    let set = match previous {
        Some(previous) => RuleSet::reload(dir.path(), previous),
        None => RuleSet::load(dir.path()),
    };
    set.unwrap_or_else(|refused| {
        panic!("{refused}: {:?}\n{sources:#?}", refused.first_fault());
    })
}

fn explain(set: &RuleSet, fields: &Map, published: bool) -> Assessment {
    let subject = Subject {
        fields,
        published,
        first_seen: first_seen(),
        source: "news",
    };
    set.explain(&subject, Occasion::FIRST, now())
}

/// What an explanation says of a rule: its value, and what was missing.
fn said(explained: &Assessment, n: usize) -> (Option<bool>, &[String]) {
    let id = format!("r{n}");
    if explained.hits.iter().any(|hit| *hit.rule == *id) {
        return (Some(true), &[]);
    }
    match explained.not_evaluated.iter().find(|not| *not.rule == *id) {
        Some(not) => (None, &not.missing),
        None => (Some(false), &[]),
    }
}

/// The place that an explanation names, as the seed has it.
fn named(name: &str) -> Place {
    let (root, mut rest) = match name.strip_prefix("record[\"odd-key\"]") {
        Some(rest) => ("odd-key", rest),
        None => name.split_at(name.find(['.', '[']).unwrap_or(name.len())),
    };
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(index) = rest.strip_prefix('[') {
            let (at, after) = index.split_once(']').unwrap();
            steps.push(Step::At(at.parse().unwrap()));
            rest = after;
        } else {
            let after = rest.strip_prefix('.').unwrap();
            let end = after.find(['.', '[']).unwrap_or(after.len());
            steps.push(Step::Key(leak(&after[..end])));
            rest = &after[end..];
        }
    }
    let last = steps.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(*key),
        Step::At(_) => None,
    });
    let in_list = matches!(steps.last(), Some(Step::At(_)));
    let kind = match (last.unwrap_or(root), in_list) {
        ("quality" | "heat" | "members" | "value" | "width" | "height", false) => Kind::Number,
        ("published" | "isCached", false) => Kind::Bool,
        ("topics" | "levels", false) => Kind::Texts,
        ("images" | "related", false) => Kind::Maps,
        ("provider" | "ratings", false) | ("images" | "related", true) => Kind::Map,
        ("odd-key" | "deep", _) => Kind::Unknown,
        _ => Kind::Text,
    };
    key(leak(root), &steps, kind)
}

/// Whether the record really lacks what is called missing there.
pub(crate) fn lacks(story: &Story<'_>, name: &str) -> bool {
    if name.contains(" / ") || name.contains(" % ") {
        let mut computations = story.without_result.iter();
        return computations.any(|written| match name.strip_suffix('…') {
            Some(start) => written.starts_with(start),
            None => written == name,
        });
    }
    let place = named(name);
    match story.at(&place) {
        // An undeclared key counts as missing when it is not what is asked for, and what that is
        // depends on where it stands.
        Some(_) if place.kind == Kind::Unknown => true,
        // A title in which nothing can be read is none for `text` and `mentions()`.
        Some(Value::Text(text)) if ["title", "excerpt", "provider.domain"].contains(&name) => {
            is_blank(&text)
        }
        Some(value) => !is_of(&value, place.kind),
        None => true,
    }
}

/// Conditions in a set of many rules, and in one of few.
const MANY: usize = 40;
const FEW: usize = 5;
const SETS: usize = 260;
const RECORDS: usize = 6;

#[test]
fn random_conditions_mean_what_the_model_says() {
    let mut dice = Dice(2020);
    let mut counts = [0_usize; 3];
    let mut no_result = 0;
    for set in 0..SETS {
        let trees: Vec<Cond> = (0..MANY)
            .map(|_| match dice.below(6) {
                0 => policy(&mut dice),
                _ => {
                    let depth = dice.below(4);
                    cond(&mut dice, &Vec::new(), depth)
                }
            })
            .collect();
        let sources: Vec<(usize, String)> = trees
            .iter()
            .map(|tree| tree.written().0)
            .enumerate()
            .collect();
        let many = load(&sources, None);
        let few: Vec<RuleSet> = sources
            .chunks(FEW)
            .map(|sources| load(sources, Some(&many)))
            .collect();
        for _ in 0..RECORDS {
            let (fields, published) = (record(&mut dice), dice.one_in(2));
            let mut story = Story::new(&fields, published, age_hours(&fields));
            let among_many = explain(&many, &fields, published);
            let among_few: Vec<Assessment> = few
                .iter()
                .map(|set| explain(set, &fields, published))
                .collect();
            for (n, tree) in trees.iter().enumerate() {
                story.without_result.clear();
                let expected = story.cond(tree);
                counts[expected.map_or(2, usize::from)] += 1;
                let (value, missing) = said(&among_many, n);
                let told = || {
                    let shown = serde_json::to_string(&fields).unwrap();
                    let condition = &sources[n].1;
                    format!("set {set}: {condition}\n{shown}\npublished: {published}\n{missing:?}")
                };
                assert_eq!(value, expected, "among many, {}", told());
                assert_eq!(
                    said(&among_few[n / FEW], n),
                    (value, missing),
                    "among few, {}",
                    told()
                );
                for name in missing {
                    assert!(lacks(&story, name), "{name} is there: {}", told());
                }
                if value.is_none() {
                    assert!(!missing.is_empty(), "for no reason, {}", told());
                    no_result += usize::from(!story.without_result.is_empty());
                }
            }
        }
    }
    // All three outcomes are common, so that agreement means something.
    let [no, yes, unknown] = counts;
    assert_eq!(no + yes + unknown, SETS * MANY * RECORDS);
    const { assert!(SETS * MANY >= 10_000) };
    for count in counts {
        assert!(count * 6 > SETS * MANY * RECORDS, "{counts:?}");
    }
    assert!(no_result > 0);
}
