//! Records and rules of the shape of the seed, made up by a small generator: the same ones for the
//! same number.

use copydesk::record::value::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The part of a rule set that is not about rules.
pub(crate) const DESK: &str = "\
sources:
  - {name: corpus, path: content}
score:
  quality: {field: quality, weight: 1}
  heat: {field: heat, weight: 0.5}
queues:
  - {name: general}
";

/// Each record is meant to be hit by about so many rules, however many there are.
const HITS: f64 = 5.0;

const WORDS: usize = 4_000;
const DOMAINS: usize = 2_000;
const TOPICS: usize = 200;

/// What a title of a story ends with, more often than not.
const PHRASES: [&str; 12] = [
    "in Power Apps",
    "with Power Automate",
    "and low-power apps",
    "Community Call",
    "for a user group",
    "by machine learning",
    "with AI Builder",
    "and facial recognition",
    "in general availability",
    "for Microsoft Teams",
    "on Dataverse",
    "in a canvas app",
];
const VENDORS: [&str; 20] = [
    "Power",
    "AWS",
    "Azure",
    "Google",
    "Teams",
    "Open",
    "Meta",
    "Oracle",
    "IBM",
    "SAP",
    "Zoho",
    "GitHub",
    "Nvidia",
    "Intel",
    "Apple",
    "Slack",
    "Adobe",
    "Cisco",
    "Dell",
    "Salesforce",
];
const AREAS: [&str; 10] = [
    "Apps",
    "AI",
    "Portals",
    "Security",
    "Data",
    "Governance",
    "DevOps",
    "Mobile",
    "Integration",
    "Analytics",
];

pub(crate) struct Newsroom {
    state: u64,
    serial: u32,
}

impl Newsroom {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            serial: 0,
        }
    }

    /// The next number (xorshift64*; Vigna, 2016).
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % end.max(1)
    }

    /// One of so many, the first far more often than the last, as words and publishers are.
    fn often(&mut self, end: usize) -> usize {
        let (a, b) = (self.below(end), self.below(end));
        a * b / end
    }

    fn text(&mut self, words: usize) -> String {
        let words: Vec<String> = (0..words).map(|_| word(self.often(WORDS))).collect();
        let mut text = words.join(" ");
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text
    }

    /// One record: content and signal fields.
    pub(crate) fn record(&mut self) -> Map {
        self.serial += 1;
        let text = |text: String| Value::Text(text);
        #[allow(clippy::cast_precision_loss)]
        let number = |number: usize| Value::Number(number as f64);
        let title_words = 6 + self.below(6);
        let excerpt_words = 25 + self.below(35);
        let quality = (self.below(120) + self.below(120)) / 2 + 11;
        let domain = format!("{}.example.org", word(self.often(DOMAINS)));
        let mut topics: Vec<usize> = (0..=self.below(4)).map(|_| self.often(TOPICS)).collect();
        topics.sort_unstable();
        topics.dedup();
        let url = format!("https://{domain}/{}", self.serial);
        let image = [("url", text(format!("{url}.png"))), ("width", number(1200))];
        let related = (0..self.below(3)).map(|n| {
            let story = [
                ("title", text(self.text(8))),
                ("webUrl", text(format!("{url}/{n}"))),
            ];
            map(story)
        });
        let related = Value::List(related.collect());
        let fields = [
            ("title", text(self.text(title_words))),
            ("excerpt", text(self.text(excerpt_words))),
            ("webUrl", text(url)),
            ("publishedDateTime", text("2020-06-11T03:28:00Z".to_owned())),
            ("type", text("article".to_owned())),
            ("quality", number(quality)),
            ("heat", number(quality + self.below(25))),
            (
                "provider",
                map([("name", text(domain.clone())), ("domain", text(domain))]),
            ),
            (
                "topics",
                Value::List(topics.into_iter().map(|n| text(topic(n))).collect()),
            ),
            ("images", Value::List(vec![map(image)])),
            ("related", related),
            ("published", Value::Bool(self.below(100) < 85)),
        ];
        fields
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// One record as a file: front matter and a short body.
    pub(crate) fn file(&mut self) -> String {
        let record = self.record();
        let mut file = "---\n".to_owned();
        for (key, value) in record.iter() {
            let json = serde_json::to_string(value).unwrap_or_default();
            let _ = writeln!(file, "{key}: {json}");
        }
        file + "---\n" + &self.text(60) + "\n"
    }

    /// One record as the feed writes it: about 1,350 bytes, no body, and a blob that is noise. Its
    /// subjects and phrases are those that the shipped rules look for, among others.
    pub(crate) fn story(&mut self) -> String {
        self.serial += 1;
        let serial = self.serial;
        let title_words = 5 + self.below(5);
        let mut title = self.text(title_words);
        if self.below(10) < 6 {
            title = format!("{title} {}", PHRASES[self.below(PHRASES.len())]);
        }
        let excerpt_words = 15 + self.below(35);
        let excerpt = self.text(excerpt_words);
        let (name, quality) = (word(self.often(DOMAINS)), 11 + self.below(120));
        let heat = (quality + self.below(50)).saturating_sub(25);
        let published = self.below(100) < 85;
        let slug = title.to_ascii_lowercase().replace(' ', "-");
        let url = format!("https://www.{name}.example.org/2026/{serial}/{slug}");
        let mut story = format!(
            "---\ncategory: news\ntitle: \"{title}\"\nexcerpt: \"{excerpt}\"\n\
             publishedDateTime: 2026-02-{:02}T{:02}:28:00Z\noriginalUrl: \"{url}\"\nwebUrl: \"{url}\"\n\
             type: article\nquality: {quality}\nheat: {heat}\npublished: {published}\n\n\
             provider:\n  name: {name}\n  domain: {name}.example.org\n  images:\n    - url: \"https://{name}.example.org/logo.png\"\n      \
             width: 50\n      height: 50\n\ntopics:\n",
            1 + self.below(28),
            self.below(24)
        );
        for n in 0..=self.below(5) {
            let vendor = VENDORS[self.often(VENDORS.len())];
            let area = AREAS[(self.often(AREAS.len()) + n) % AREAS.len()];
            let _ = writeln!(story, "  - {vendor} {area}");
        }
        let _ = write!(
            story,
            "\nimages:\n  - url: \"{url}.jpg\"\n    width: 1200\n    height: 630\n    isCached: true\n\n\
             secured: \"{}\"\n---\n\n",
            self.noise(340)
        );
        story
    }

    /// So many letters and digits that mean nothing.
    pub(crate) fn noise(&mut self, count: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut noise = String::with_capacity(count);
        while noise.len() < count {
            let mut bits = self.next();
            for _ in 0..10.min(count - noise.len()) {
                noise.push(char::from(LETTERS[(bits & 63) as usize]));
                bits >>= 6;
            }
        }
        noise
    }

    /// So many rules over these records: any of some topics, publishers or words, and a band of
    /// quality that is as wide as it takes.
    pub(crate) fn rules(&mut self, count: usize, records: &[Map]) -> String {
        let counts = Frequencies::of(records);
        let share = HITS / to_float(count);
        let mut rules = "rules:\n".to_owned();
        for n in 0..count {
            let kind = [Kind::Topic, Kind::Domain, Kind::Title, Kind::Excerpt][self.below(4)];
            let (mut held, mut any) = (0.0, Vec::new());
            while held < share && any.len() < 12 {
                let (atom, frequency) = counts.atom(kind, self);
                held += frequency;
                any.push(atom);
            }
            let mut when = format!("({})", any.join(" || "));
            if held > share {
                let width = (share / held * 120.0).ceil();
                let from = 11 + self.below(120 - (width as usize).min(119));
                let _ = write!(
                    when,
                    " && quality >= {from} && quality < {}",
                    to_float(from) + width
                );
            }
            let _ = writeln!(
                rules,
                "  - {{id: r{n}, axis: topic, points: 1, why: rule {n}, when: '{when}'}}"
            );
        }
        rules
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Topic,
    Domain,
    Title,
    Excerpt,
}

/// In which share of the records something stands.
struct Frequencies(BTreeMap<Kind, Vec<(String, f64)>>);

impl Frequencies {
    fn of(records: &[Map]) -> Self {
        let mut counts: BTreeMap<(Kind, String), usize> = BTreeMap::new();
        for record in records {
            let text = |key| record.get(key).and_then(Value::as_text).unwrap_or_default();
            let mut words: Vec<(Kind, String)> = Vec::new();
            for (kind, key) in [(Kind::Title, "title"), (Kind::Excerpt, "excerpt")] {
                let lower = text(key).to_ascii_lowercase();
                words.extend(lower.split(' ').map(|word| (kind, word.to_owned())));
            }
            let topics = record
                .get("topics")
                .and_then(Value::as_list)
                .unwrap_or_default();
            let topics = topics.iter().filter_map(Value::as_text);
            words.extend(topics.map(|topic| (Kind::Topic, topic.to_owned())));
            let provider = record.get("provider").and_then(Value::as_map);
            let domain = provider.and_then(|map| map.get("domain")?.as_text());
            words.extend(domain.map(|domain| (Kind::Domain, domain.to_owned())));
            // What needs no escape in a rule, and is more than a part of many words.
            words.retain(|(kind, text)| {
                let is_long = matches!(kind, Kind::Topic | Kind::Domain) || text.len() >= 5;
                is_long && !text.contains(['"', '\'', '\\'])
            });
            words.sort();
            words.dedup();
            for word in words {
                *counts.entry(word).or_default() += 1;
            }
        }
        let mut all: BTreeMap<Kind, Vec<(String, f64)>> = BTreeMap::new();
        for ((kind, text), count) in counts {
            let frequency = to_float(count) / to_float(records.len());
            all.entry(kind).or_default().push((text, frequency));
        }
        Self(all)
    }

    fn atom(&self, kind: Kind, random: &mut Newsroom) -> (String, f64) {
        let all = self.0.get(&kind).map(Vec::as_slice).unwrap_or_default();
        let (text, frequency) = &all[random.below(all.len())];
        let atom = match kind {
            Kind::Topic => format!("\"{text}\" in topics"),
            Kind::Domain => format!("provider.domain == \"{text}\""),
            Kind::Title => format!("title.lowerAscii().contains(\"{text}\")"),
            Kind::Excerpt => format!("excerpt.lowerAscii().contains(\"{text}\")"),
        };
        (atom, *frequency)
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect(),
    )
}

/// A word that can be said, for a number: 3 to 5 syllables, no two alike.
fn word(number: usize) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "me", "nu", "pa", "re", "si", "to", "vu",
        "ze",
    ];
    let mut left = number;
    let mut word = String::new();
    for _ in 0..3 {
        word += SYLLABLES[left % 16];
        left /= 16;
    }
    word
}

fn topic(number: usize) -> String {
    let mut name = word(number);
    name.get_mut(..1)
        .into_iter()
        .for_each(str::make_ascii_uppercase);
    format!(
        "{name} {}",
        if number.is_multiple_of(2) {
            "Apps"
        } else {
            "Data"
        }
    )
}

#[allow(clippy::cast_precision_loss)]
fn to_float(count: usize) -> f64 {
    count as f64
}
