//! `explain --rule ID` and `--queue NAME`: what one of them does with a record, and each part of
//! its conditions with the value found.

use super::{Explained, axis};
use crate::cli::screen::{ALARM, FAINT, STRONG, WELL, styled};
use crate::cli::{Desk, Usage};
use crate::record::shown;
use crate::rules::assess::Route;
use crate::rules::why::{Line, Why};
use crate::rules::{Queue, Rule, RuleSet};
use serde_json::json;

/// The rule or the queue that is asked about.
pub(super) enum One<'r> {
    Rule(&'r Rule),
    Queue(&'r Queue),
}

impl<'r> One<'r> {
    /// The one of that name; wrongly asked if there is none.
    pub(super) fn find(
        rules: &'r RuleSet,
        rule: Option<&str>,
        queue: Option<&str>,
    ) -> Result<Option<Self>, Usage> {
        let unknown = |what: &str, name: &str, known: Vec<&str>| {
            let known = known.join(", ");
            Usage(format!(
                "there is no {what} `{name}`; the {what}s are: {known}"
            ))
        };
        if let Some(id) = rule {
            let found = rules.rules.iter().find(|rule| *rule.id == *id);
            let known = || rules.rules.iter().map(|rule| &*rule.id).collect();
            let found = found.ok_or_else(|| unknown("rule", id, known()))?;
            return Ok(Some(Self::Rule(found)));
        }
        let Some(name) = queue else { return Ok(None) };
        let known = || rules.queues.iter().map(|queue| queue.name.as_str());
        let found = rules
            .queue(name)
            .ok_or_else(|| unknown("queue", name, known().collect()))?;
        Ok(Some(Self::Queue(found)))
    }
}

pub(super) fn tell(
    desk: &mut Desk<'_>,
    rules: &RuleSet,
    one: &One<'_>,
    explained: &Explained<'_>,
) -> anyhow::Result<()> {
    let (subject, assessment) = (&explained.subject(), &explained.assessment);
    let (why, name, place, said, json) = match one {
        One::Rule(rule) => {
            let why = rules.why_rule(rule, subject, desk.now)?;
            let hit = assessment.hits.iter().chain(&assessment.shadow);
            let hit = hit.into_iter().find(|hit| *hit.rule == *rule.id);
            let json =
                json!({"rule": rule.id, "at": rule.place, "hit": hit, "shadow": rule.shadow});
            let said = rule_said(rule, subject.source, &why);
            (why, &*rule.id, &rule.place, said, json)
        }
        One::Queue(queue) => {
            let why = rules.why_queue(queue, subject, assessment.score, desk.now)?;
            let json = json!({
                "queue": queue.name,
                "at": queue.place,
                "takes": queue.took(assessment),
                "shadow": queue.shadow,
                "taken_by": assessment.route.queue(),
            });
            let said = queue_said(queue, explained, &why);
            (why, queue.name.as_str(), &queue.place, said, json)
        }
    };
    if desk.screen.is_json() {
        let mut whole = json!({"location": explained.location.as_str()});
        for more in [json, serde_json::to_value(&why)?] {
            if let (Some(whole), serde_json::Value::Object(more)) = (whole.as_object_mut(), more) {
                whole.extend(more);
            }
        }
        return desk.screen.json(&whole);
    }
    let location = shown::line(explained.location.as_str(), 120);
    let place = styled(FAINT, format!("({place})"));
    desk.screen.line(format!(
        "{location}: {} {said} {place}",
        styled(STRONG, name)
    ))?;
    let lines = why.lines();
    if lines.is_empty() {
        desk.screen
            .line("  it has no condition, so that it always holds")?;
    }
    for line in &lines {
        desk.screen.line(marked(line))?;
    }
    Ok(())
}

fn marked(line: &Line) -> String {
    let indent = 2 * line.depth + 2;
    let mark = match line.holds.flatten() {
        Some(true) => styled(WELL, line.mark()),
        Some(false) => styled(ALARM, line.mark()),
        None => line.mark().to_owned(),
    };
    format!("{:indent$}{mark}{}", "", line.rest())
}

fn rule_said(rule: &Rule, source: &str, why: &Why) -> String {
    let points = format!(
        "{:+} {}, {}",
        rule.points,
        axis(rule.axis),
        shown::line(&rule.why, 80)
    );
    match (&rule.source, why.holds) {
        (Some(only), _) if only != source => {
            format!("looks only at records of the source {only}, and this one is of {source}")
        }
        (_, Some(true)) if rule.shadow => format!("would hit, and is in shadow: {points}"),
        (_, Some(true)) => format!("hits: {points}"),
        (_, Some(false)) => format!("does not hit{}", excepted(why)),
        (_, None) => without_value(why),
    }
}

fn queue_said(queue: &Queue, explained: &Explained<'_>, why: &Why) -> String {
    let assessment = &explained.assessment;
    let elsewhere = match &assessment.route {
        Route::Queue(name, _) | Route::Skipped(name) => format!("{name} takes it"),
        Route::Unrouted => "no queue takes it".to_owned(),
    };
    let (reads, wants) = if explained.record.published {
        ("published", "unpublished")
    } else {
        ("unpublished", "published")
    };
    let looks = queue.takes.looks_at(explained.record.published);
    match why.holds {
        _ if !looks => {
            format!("looks only at what reads as {wants}, and this reads as {reads}; {elsewhere}")
        }
        Some(true) if queue.took(assessment) && queue.shadow => {
            format!("would take it, and is in shadow; {elsewhere}")
        }
        Some(true) if queue.took(assessment) => match &assessment.route {
            Route::Queue(_, Some(verdict)) => format!("takes it and decides: {verdict}"),
            Route::Skipped(_) => "takes it, and opens no item".to_owned(),
            _ => "takes it".to_owned(),
        },
        Some(true) if queue.decide.is_some() && !before(explained, queue) => format!(
            "holds, but what an earlier queue or the score could not judge it does not decide; {elsewhere}"
        ),
        Some(true) => format!("holds, but {elsewhere} first"),
        Some(false) => format!("does not take it{}; {elsewhere}", excepted(why)),
        None => format!("{}; {elsewhere}", without_value(why)),
    }
}

/// Whether the queue that takes the record is asked before this one.
fn before(explained: &Explained<'_>, queue: &Queue) -> bool {
    let at = |name: &str| explained.rules.queues.iter().position(|q| q.name == name);
    let taken = explained.assessment.route.queue().and_then(at);
    taken.is_some_and(|taken| Some(taken) < at(&queue.name))
}

fn excepted(why: &Why) -> &'static str {
    if why.is_excepted() {
        ": an exception holds"
    } else {
        ""
    }
}

fn without_value(why: &Why) -> String {
    let missing: Vec<String> = why.missing.iter().map(|m| shown::line(m, 60)).collect();
    format!("is not evaluated: the record has no {}", missing.join(", "))
}
