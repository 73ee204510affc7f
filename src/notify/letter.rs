//! A mail as it is read: what it says, item by item, and the same in text and HTML.
//!
//! Everything that comes from a record is cut to a line here and escaped by the templates.

use crate::notify::waiting::{Story, Waiting};
use crate::record::shown;
use crate::rules::Reviewer;
use crate::rules::score::Score;
use crate::schedule::{clock, rough};
use crate::token::{self, Claims, Keys, Purpose};
use askama::Template;
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr;

/// Items that a mail shows in full; the rest is counted by queue.
pub const IN_FULL: usize = 30;

/// Bytes that a mail may have: above about 100 KiB mail programs cut it off.
const LARGEST: usize = 96 * 1024;

/// How wide its text is.
pub const COLUMNS: usize = 78;

/// A longer address of a story or a picture is not worth its bytes in every mail.
const LONGEST_ADDRESS: usize = 300;

/// Where the links of mails lead.
#[derive(Clone, Debug)]
pub struct Links {
    /// What signs them.
    pub keys: Keys,
    /// The address of the desk as reviewers open it, without a slash at its end.
    pub url: String,
}

/// A mail whole.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Counts that fit a phone's list of mails.
    pub subject: String,
    /// Her name.
    pub name: String,
    /// What it is about, in a sentence.
    pub lead: String,
    /// What a list of mails shows behind the subject.
    pub preview: String,
    /// What is told item by item.
    pub sections: Vec<Section>,
    /// What she knows and what waits on, as a sentence.
    pub still: Option<String>,
    /// What is not shown in full: counts by queue.
    pub more: Vec<(String, usize)>,
    /// What others decided since her last digest, as a sentence.
    pub decided: Option<String>,
    /// What is wrong with the desk, a sentence each.
    pub desk: Vec<String>,
    /// Where she pauses, stops or starts her mails.
    pub settings: Option<String>,
    /// Where one click stops them (RFC 8058).
    pub unsubscribe: Option<String>,
}

/// Items of a kind.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its title, without the count.
    pub title: &'static str,
    /// How it looks.
    pub tone: Tone,
    /// All of its items, those not shown included.
    pub count: usize,
    /// Those that are shown.
    pub entries: Vec<Entry>,
}

/// How a section looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Needs a decision first.
    Late,
    /// Is new.
    New,
    /// Is known.
    Known,
}

/// An item.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// `7@1`.
    pub tag: String,
    /// Its title.
    pub title: String,
    /// Where the story can be read; only in a mail without links to the desk, whose page says it.
    pub url: Option<String>,
    /// Publisher, age, topics.
    pub about: Vec<String>,
    /// Its queue.
    pub queue: String,
    /// When it is or was due, in words.
    pub due: Option<String>,
    /// Whether the story changed after it was approved.
    pub changed_after_approval: bool,
    /// Whether it should have been decided by now.
    pub overdue: bool,
    /// What it begins with.
    pub excerpt: Option<String>,
    /// Its score.
    pub score: Score,
    /// The reasons that weigh most: points with their sign, and why.
    pub reasons: Vec<(String, String)>,
    /// What it just missed.
    pub near: Option<String>,
    /// Titles of related stories.
    pub related: Vec<String>,
    /// How many more there are.
    pub more_related: usize,
    /// What changed since she was told.
    pub changes: Vec<String>,
    /// A picture's address, if she asked for pictures.
    pub picture: Option<String>,
    /// Where it is decided.
    pub links: Option<Decide>,
}

/// The links of an item. Above the desk's threshold there is only the one that opens it.
#[derive(Clone, Debug)]
pub struct Decide {
    /// To approve, reject and hold.
    pub verbs: Option<[String; 3]>,
    /// To read it, and to decide either way.
    pub open: String,
}

/// The mail as text, but for its long lines.
#[derive(Template)]
#[template(
    path = "letter.txt",
    config = "src/notify/askama.toml",
    escape = "none"
)]
struct Text<'a> {
    letter: &'a Letter,
}

/// The mail as HTML.
#[derive(Template)]
#[template(path = "letter.html", config = "src/notify/askama.toml")]
struct Html<'a> {
    letter: &'a Letter,
}

impl Section {
    /// `Overdue (3)`.
    #[must_use]
    pub fn heading(&self) -> String {
        format!("{} ({})", self.title, self.count)
    }

    /// What marks its items in HTML, besides words.
    fn colour(&self) -> &'static str {
        match self.tone {
            Tone::Late => "#b3261e",
            Tone::New => "#1d6fc4",
            Tone::Known => "#9a988f",
        }
    }

    /// What stands below the heading in text.
    #[must_use]
    pub fn underline(&self) -> String {
        "=".repeat(self.heading().width())
    }
}

impl Entry {
    /// Number, queue, due time and what is special, as the text says it.
    fn place(&self) -> String {
        let mut place = vec![self.tag.as_str(), &self.queue];
        place.extend(self.due.as_deref());
        if self.changed_after_approval {
            place.push("changed after approval");
        }
        place.join(" | ")
    }

    /// Whether the mail has no link that decides it.
    fn by_command(&self) -> bool {
        self.links
            .as_ref()
            .is_none_or(|links| links.verbs.is_none())
    }
}

impl Letter {
    /// The mail as text, at most [`COLUMNS`] wide but for links.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn text(&self) -> Result<String, askama::Error> {
        let text = Text { letter: self }.render()?;
        let lines = text.lines().map(wrapped);
        Ok(lines.map(|line| line + "\n").collect())
    }

    /// The mail as HTML.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn html(&self) -> Result<String, askama::Error> {
        let html = Html { letter: self }.render()?;
        // What only sets the template apart costs bytes in every mail.
        let lines = html.lines().map(str::trim_start);
        let lines = lines.filter(|line| !line.is_empty());
        Ok(lines.map(|line| line.to_owned() + "\n").collect())
    }

    /// Shows fewer items in full, from the last, until the mail is not too large.
    #[must_use]
    pub(super) fn fitted(mut self) -> Self {
        while let (Ok(text), Ok(html)) = (self.text(), self.html()) {
            if encoded(&text) + encoded(&html) <= LARGEST {
                break;
            }
            let mut last = self.sections.iter_mut().rev();
            let Some(entry) = last.find_map(|section| section.entries.pop()) else {
                break;
            };
            let known = self
                .more
                .iter_mut()
                .find(|(queue, _)| *queue == entry.queue);
            match known {
                Some((_, count)) => *count += 1,
                None => self.more.push((entry.queue, 1)),
            }
        }
        self
    }

    /// The number of the first item, for an example of a command.
    fn example(&self) -> Option<&str> {
        let entries = self.sections.iter().flat_map(|section| &section.entries);
        entries.map(|entry| entry.tag.as_str()).next()
    }

    /// Whether it says in sentences what it does not list.
    fn has_sums(&self) -> bool {
        !self.more.is_empty() || self.still.is_some() || self.decided.is_some()
    }

    /// What is not shown in full: `12 in urgent, 3 in general`.
    fn more(&self) -> String {
        let counts = self.more.iter();
        let counts = counts.map(|(queue, count)| format!("{count} in {queue}"));
        counts.collect::<Vec<_>>().join(", ")
    }
}

/// How many bytes a text has in a mail, as quoted-printable.
fn encoded(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'\n' => 2,
        b'=' | 0x7f.. => 3,
        _ => 1,
    });
    let bytes: usize = bytes.sum();
    bytes + bytes / 25
}

/// A line folded at its spaces, as far in as it began. One with a link stays whole.
fn wrapped(line: &str) -> String {
    let line = line.trim_end();
    // A link stands alone or behind one word.
    let is_link = line.contains("://") && line.split_whitespace().count() <= 2;
    if line.width() <= COLUMNS || is_link {
        return line.to_owned();
    }
    let indent = line.len() - line.trim_start().len();
    let indent = " ".repeat(indent);
    let (mut folded, mut column) = (String::new(), 0);
    for (n, word) in (0..).zip(line.split(' ')) {
        let width = word.width();
        if column > indent.len() && !word.is_empty() && column + 1 + width > COLUMNS {
            folded.push('\n');
            folded.push_str(&indent);
            column = indent.len();
        } else if n > 0 {
            folded.push(' ');
            column += 1;
        }
        let mut word = word;
        // A word without end would be one line without end.
        while column + word.width() > COLUMNS {
            let fits = word
                .char_indices()
                .find(|(at, c)| column + word[..at + c.len_utf8()].width() > COLUMNS && *at > 0);
            let Some((at, _)) = fits else { break };
            folded.push_str(&word[..at]);
            folded.push('\n');
            folded.push_str(&indent);
            (word, column) = (&word[at..], indent.len());
        }
        folded.push_str(word);
        column += word.width();
    }
    folded
}

/// Makes the entries of one reviewer's mail.
#[derive(Debug)]
pub struct Writer<'a> {
    /// Her.
    pub reviewer: &'a Reviewer,
    /// Where links lead, if they lead anywhere.
    pub links: Option<&'a Links>,
    /// Above this total a link only opens the item.
    pub link_threshold: i64,
    /// Whether she asked for pictures.
    pub pictures: bool,
    /// The time.
    pub now: Timestamp,
}

impl Writer<'_> {
    /// An item, with what its story says and what changed in it since she was told.
    #[must_use]
    pub fn entry(&self, item: &Waiting, story: Story, changes: Vec<String>) -> Entry {
        let line = |text: &str, columns| shown::line(text, columns);
        let mut about = Vec::new();
        about.extend(story.provider.as_deref().map(|p| line(p, 50)));
        about.extend(
            story
                .published_at
                .map(|at| format!("{} old", rough(self.now.duration_since(at)))),
        );
        if !story.topics.is_empty() {
            about.push(line(&story.topics.join(", "), 60));
        }
        let due = item.due_at.map(|due| {
            let word = if item.overdue { "overdue since" } else { "due" };
            format!("{word} {}", clock(due, &self.reviewer.timezone))
        });
        let short = |address: &String| address.len() <= LONGEST_ADDRESS;
        Entry {
            tag: format!("{}@{}", item.id, item.version),
            title: line(&item.title, 120),
            url: story.url.filter(|url| self.links.is_none() && short(url)),
            about,
            queue: line(&item.queue, 40),
            due,
            changed_after_approval: item.changed_after_approval,
            overdue: item.overdue,
            excerpt: story.excerpt.map(|text| line(&text, 160)),
            score: item.score,
            reasons: story
                .reasons
                .iter()
                .map(|hit| (format!("{:+}", hit.points), line(&hit.why, 66)))
                .collect(),
            near: story.near.map(|near| {
                let needs = near.needs.iter().map(ToString::to_string);
                let needs = needs.collect::<Vec<_>>().join(", ");
                line(&format!("{}: {needs}", near.queue), 60)
            }),
            more_related: story.related.len().saturating_sub(2),
            related: story.related.iter().take(2).map(|t| line(t, 100)).collect(),
            changes: changes.iter().map(|change| line(change, 120)).collect(),
            picture: story.picture.filter(|url| self.pictures && short(url)),
            links: self.links.map(|links| self.decide(links, item)),
        }
    }

    fn decide(&self, links: &Links, item: &Waiting) -> Decide {
        let link = |purpose| {
            let token = self.sign(links, purpose, (item.id, item.version));
            format!("{}/d/{token}", links.url)
        };
        let verbs = [Purpose::Approve, Purpose::Reject, Purpose::Hold];
        Decide {
            verbs: (item.score.total <= self.link_threshold).then(|| verbs.map(link)),
            open: link(Purpose::Open),
        }
    }

    /// Where she changes what she is mailed, and where one click stops it.
    pub(super) fn settings(&self) -> (Option<String>, Option<String>) {
        let at = |path: &str| {
            self.links.map(|links| {
                let token = self.sign(links, Purpose::Settings, (0, 0));
                format!("{}/{path}/{token}", links.url)
            })
        };
        (at("mails"), at("unsubscribe"))
    }

    fn sign(&self, links: &Links, purpose: Purpose, (item, version): (i64, i64)) -> String {
        // A mail is kept and found again: what only changes her mails holds for long.
        let holds = match purpose {
            Purpose::Settings => token::SETTLES,
            _ => token::DECIDES,
        };
        let claims = Claims {
            purpose,
            reviewer: token::whose(&self.reviewer.email),
            item,
            version,
            expires: self.now + holds,
        };
        links.keys.sign(&claims, &links.url)
    }
}

/// `1 story`, `2 stories`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_folded_as_far_in_as_it_began_and_a_link_stays_whole() {
        let words = "word ".repeat(20);
        let long = "x".repeat(100);
        for (line, expected) in [
            ("short  ".to_owned(), "short".to_owned()),
            (
                format!("  {words}"),
                format!("  {}\n  {}", ["word"; 15].join(" "), ["word"; 5].join(" ")),
            ),
            (
                format!("  {long}"),
                format!("  {}\n  {}", "x".repeat(76), "x".repeat(24)),
            ),
            (
                format!("  decide: https://{long}"),
                format!("  decide: https://{long}"),
            ),
            ("漢".repeat(40), format!("{}\n漢", "漢".repeat(39))),
        ] {
            assert_eq!(wrapped(&line), expected);
        }
    }

    #[test]
    fn the_escapes_of_html_are_read() {
        for (text, plain) in [
            ("a &amp; b", "a & b"),
            ("&#8220;x&#x201D;", "“x”"),
            ("&amp;lt;", "&lt;"),
            (
                "AT&T; &unknown; &#xD800; &#; & ;",
                "AT&T; &unknown; &#xD800; &#; & ;",
            ),
            ("&ü;&", "&ü;&"),
        ] {
            assert_eq!(shown::unescaped(text), plain);
        }
    }

    #[test]
    fn a_mail_that_is_too_large_lists_less_and_counts_the_rest() {
        let entry = |n: usize| Entry {
            tag: format!("{n}@1"),
            title: "ü".repeat(2_000),
            queue: if n < 20 { "urgent" } else { "general" }.into(),
            ..Entry::default()
        };
        let section = Section {
            title: "New for you",
            tone: Tone::New,
            count: 33,
            entries: (0..30).map(entry).collect(),
        };
        let letter = Letter {
            sections: vec![section],
            more: vec![("general".into(), 3)],
            ..Letter::default()
        };
        let fitted = letter.fitted();
        let size = encoded(&fitted.text().unwrap()) + encoded(&fitted.html().unwrap());
        assert!(size <= LARGEST, "{size}");
        let more: usize = fitted.more.iter().map(|(_, count)| count).sum();
        let listed = fitted.sections[0].entries.len();
        assert_eq!((listed > 0, listed + more), (true, 33));
    }
}
