//! A mail as it is read: what it says, item by item, and the same in text and HTML.
//!
//! Everything that comes from a record is cut to a line here and escaped by the templates.

use crate::notify::waiting::{Story, Waiting};
use crate::record::shown;
use crate::rules::Reviewer;
use crate::rules::score::Score;
use crate::schedule::rough;
use crate::token::{self, Claims, Keys, Purpose};
use askama::Template;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Items that a mail shows in full; the rest is counted by queue.
pub const IN_FULL: usize = 30;

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
    /// Where the story can be read.
    pub url: Option<String>,
    /// Publisher, age, topics.
    pub about: Vec<String>,
    /// Queue, due time and what is special.
    pub place: Vec<String>,
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
    /// A picture, if she asked for pictures.
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

/// The mail as text, at most 78 columns wide but for links.
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

    /// What stands below the heading in text.
    #[must_use]
    pub fn underline(&self) -> String {
        "=".repeat(self.heading().chars().count())
    }
}

impl Letter {
    /// The mail as text.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn text(&self) -> Result<String, askama::Error> {
        Text { letter: self }.render()
    }

    /// The mail as HTML.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn html(&self) -> Result<String, askama::Error> {
        Html { letter: self }.render()
    }
}

/// Makes the entries of one reviewer's mail.
pub(super) struct Writer<'a> {
    pub(super) reviewer: &'a Reviewer,
    pub(super) links: Option<&'a Links>,
    /// Above this total a link only opens the item.
    pub(super) link_threshold: i64,
    pub(super) pictures: bool,
    pub(super) now: Timestamp,
}

impl Writer<'_> {
    pub(super) fn entry(&self, item: &Waiting, story: Story, changes: Vec<String>) -> Entry {
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
        let mut place = vec![item.queue.clone()];
        place.extend(item.due_at.map(|due| {
            let word = if item.overdue { "was due" } else { "due" };
            format!("{word} {}", clock(due, &self.reviewer.timezone))
        }));
        if item.changed_after_approval {
            place.push("changed after approval".into());
        }
        Entry {
            tag: format!("{}@{}", item.id, item.version),
            title: line(&item.title, 120),
            url: story.url,
            about,
            place,
            overdue: item.overdue,
            excerpt: story.excerpt.map(|text| line(&text, 200)),
            score: item.score,
            reasons: story
                .reasons
                .iter()
                .map(|hit| (format!("{:+}", hit.points), line(&hit.why, 66)))
                .collect(),
            near: story.near.map(|near| {
                let needs = near.needs.iter().map(ToString::to_string);
                let needs = needs.collect::<Vec<_>>().join(", ");
                line(&format!("{needs}: {}", near.queue), 74)
            }),
            more_related: story.related.len().saturating_sub(2),
            related: story.related.iter().take(2).map(|t| line(t, 72)).collect(),
            changes: changes.iter().map(|change| line(change, 120)).collect(),
            picture: story.picture.filter(|_| self.pictures),
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

/// A time on a reviewer's clock: `Mon 2 Mar 09:00`.
#[must_use]
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    let here = at.to_zoned(zone.clone());
    here.strftime("%a %-d %b %H:%M").to_string()
}

/// `1 story`, `2 stories`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
