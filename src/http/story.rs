//! A story as pages show it to whoever decides on it.

use crate::item::{Status, Verdict};
use crate::notify::waiting::Story;
use crate::record::shown;
use crate::review::Happened;
use crate::rules::RuleSet;
use crate::rules::assess::{Hit, Near};
use crate::rules::score::{Axis, Score};
use crate::schedule::{clock, rough};
use crate::store::items::Listed;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A story at the head of its page.
pub(super) struct Seen {
    pub(super) title: String,
    pub(super) tag: String,
    pub(super) status: Status,
    /// Where it waits and until when.
    pub(super) place: Vec<String>,
    pub(super) overdue: bool,
    /// Who published it, when, on what.
    pub(super) about: Vec<String>,
    pub(super) url: Option<String>,
    pub(super) host: String,
    pub(super) picture: Option<String>,
    pub(super) excerpt: Option<String>,
    pub(super) score: Score,
    pub(super) axes: Vec<AxisSum>,
    pub(super) related: Vec<String>,
}

/// The points of one axis, and why.
pub(super) struct AxisSum {
    pub(super) name: &'static str,
    pub(super) points: i64,
    pub(super) hits: Vec<HitLine>,
}

/// One reason.
pub(super) struct HitLine {
    pub(super) points: String,
    pub(super) why: String,
    /// The rule, and where it is written.
    pub(super) rule: String,
}

impl Seen {
    pub(super) fn of(
        listed: &Listed,
        (story, hits): (Story, &[Hit]),
        zone: &TimeZone,
        with_pictures: bool,
        now: Timestamp,
    ) -> Self {
        let item = &listed.item;
        let overdue = item.is_overdue(now);
        let mut place = vec![format!("queue {}", item.queue)];
        if let Some(due) = item.due_at.filter(|_| item.status == Status::Pending) {
            let word = if overdue { "was due" } else { "due" };
            place.push(format!("{word} {}", clock(due, zone)));
        }
        if let Some(until) = item.held_until {
            place.push(format!("held until {}", clock(until, zone)));
        }
        if item.changed_after_approval {
            place.push("changed after approval".into());
        }
        let url = story.url.as_deref();
        let host = url.and_then(|url| url::Url::parse(url).ok());
        let host = host.as_ref().and_then(url::Url::host_str);
        let picture = story.picture.as_deref();
        let picture = picture.filter(|url| with_pictures && url.starts_with("https:"));
        let related = story.related.iter().take(12);
        Self {
            title: title(listed),
            tag: format!("{}@{}", item.id, item.version),
            status: item.status,
            place,
            overdue,
            about: about(&story, now),
            host: host.unwrap_or_default().to_owned(),
            picture: picture.map(str::to_owned),
            excerpt: story.excerpt.as_deref().map(|text| shown::line(text, 800)),
            score: listed.score,
            axes: axes(listed.score, hits),
            related: related.map(|it| shown::line(it, 200)).collect(),
            url: story.url,
        }
    }
}

/// The title, or else where it stands, on one line.
pub(super) fn title(listed: &Listed) -> String {
    shown::line(&shown::unescaped(listed.name()), 200)
}

fn about(story: &Story, now: Timestamp) -> Vec<String> {
    let provider = story.provider.as_deref().map(|it| shown::line(it, 80));
    let age = story
        .published_at
        .map(|at| format!("{} old", rough(now.duration_since(at))));
    let topics = story.topics.iter().take(12).map(|it| shown::line(it, 40));
    provider.into_iter().chain(age).chain(topics).collect()
}

fn axes(score: Score, hits: &[Hit]) -> Vec<AxisSum> {
    let sum = |(name, axis)| {
        let hits = hits.iter().filter(|hit| hit.axis == axis);
        let hits = hits.map(|hit| HitLine {
            points: format!("{:+}", hit.points),
            why: shown::line(&hit.why, 160),
            rule: shown::line(&format!("{}, {}", hit.rule, hit.at), 120),
        });
        let (points, hits) = (score.on(axis), hits.collect());
        AxisSum { name, points, hits }
    };
    let axes = [
        ("quality", Axis::Quality),
        ("heat", Axis::Heat),
        ("topic", Axis::Topic),
    ];
    axes.map(sum).into()
}

/// What kept it out of a queue.
pub(super) fn near(near: &Near) -> String {
    let needs: Vec<String> = near.needs.iter().map(ToString::to_string).collect();
    shown::line(&format!("{}: {}", near.queue, needs.join(", ")), 200)
}

/// Whether pictures of stories are shown to someone who has asked for them, or not.
pub(super) fn with_pictures(rules: &RuleSet, asked: bool) -> bool {
    match rules.desk.pictures {
        "never" => false,
        "ask" => asked,
        _ => true,
    }
}

/// Which decisions the status of an item allows.
pub(super) fn possible(status: Status, verdicts: &[Verdict]) -> Vec<Verdict> {
    let possible = verdicts
        .iter()
        .filter(|v| status.after(v.cause()).is_some());
    possible.copied().collect()
}

/// What happened, as a page lists it: when, what, and what changed by it.
pub(super) fn told(happened: Vec<Happened>, zone: &TimeZone) -> Vec<(String, String, Vec<String>)> {
    let told = happened.into_iter().map(|it| {
        let changes = it.changes.iter().map(|change| shown::line(change, 400));
        let what = shown::line(&in_words(&it.what), 160);
        (clock(it.at, zone), what, changes.collect())
    });
    told.collect()
}

/// An event as people say it.
pub(super) fn in_words(what: &str) -> String {
    let (kind, rest) = what.split_once(' ').unwrap_or((what, ""));
    let said = match kind {
        "hold_over" => "the time that it was held until has come",
        "gone" => "its file is gone",
        "back" => "its file is back",
        "outside" => "someone else published it",
        "expired" => "it was closed: nobody decided in time",
        "handed_over" => return format!("handed over {rest}"),
        _ => return format!("{kind} {rest}"),
    };
    said.to_owned()
}

/// The first day that it can be held until.
pub(super) fn tomorrow(now: Timestamp, zone: &TimeZone) -> String {
    let here = now.to_zoned(zone.clone()).date();
    here.tomorrow()
        .map(|day| day.to_string())
        .unwrap_or_default()
}
