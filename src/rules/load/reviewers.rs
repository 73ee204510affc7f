//! `reviewers:` and `desk:` who is told, who may decide, and what belongs to the whole desk.

use super::Loading;
use crate::record::yaml::Node;
use crate::rules::decode::{File, listed, near};
use crate::rules::{Desk, Queue, Queues, Reassert, Reviewer, Role};
use crate::schedule::cron::Schedule;
use jiff::tz::TimeZone;

impl Loading<'_> {
    /// The reviewers; and whether someone reads every queue.
    pub(super) fn reviewers(&self, queues: &[Queue]) -> Vec<Reviewer> {
        let entries = self.entries("reviewers");
        let reviewers: Vec<Reviewer> = entries
            .iter()
            .filter_map(|(file, node)| self.reviewer(file, node, queues))
            .collect();
        if entries.is_empty() {
            if let Some(section) = self.named("queues").next() {
                let help =
                    Some("add a `reviewers:` section; `rules/README.md` shows one".to_owned());
                section.file.warning(
                    "no-reviewers",
                    &section.key.span,
                    "there are no reviewers: nobody is mailed",
                    help,
                );
            }
        } else if reviewers.len() == entries.len() && !self.told("unknown-queue") {
            self.all_are_read(queues, &reviewers);
        }
        reviewers
    }

    fn all_are_read(&self, queues: &[Queue], reviewers: &[Reviewer]) {
        for (file, node) in self.entries("queues") {
            let name = node
                .as_map()
                .and_then(|m| m.iter().find(|(k, _)| k.text == "name"));
            let Some((_, name)) = name else { continue };
            let text = name.to_value().to_string();
            let Some(queue) = queues.iter().find(|queue| queue.name == text) else {
                continue;
            };
            let idle = queue.skip || queue.decide.is_some() || queue.shadow;
            if !idle && !reviewers.iter().any(|reviewer| reviewer.reads(&queue.name)) {
                let help = Some(format!(
                    "add `{text}` to the `queues` of a reviewer, or give one `queues: all`"
                ));
                file.error(
                    "unread-queue",
                    &name.span,
                    format!("no reviewer reads the queue `{text}`"),
                    help,
                );
            }
        }
    }

    fn reviewer(&self, file: &File<'_>, node: &Node, queues: &[Queue]) -> Option<Reviewer> {
        let mut fields = file.fields(node, "a reviewer");
        let name = fields
            .need("name", "name: the name in the greeting")
            .and_then(|n| file.text(n, "`name`"));
        let email = fields
            .need("email", "email: someone@example.org")
            .and_then(|n| Some((email(file, n)?, n)));
        let role = [("reviewer", Role::Reviewer), ("editor", Role::Editor)];
        let role = fields
            .get("role")
            .and_then(|n| file.word(n, "`role`", &role))
            .unwrap_or_default();
        let reads = match (fields.get("queues"), role) {
            (None, Role::Editor) => Some(Queues::All),
            (None, Role::Reviewer) => {
                fields.need("queues", "queues: all, or a list of names");
                None
            }
            (Some(node), _) if node.to_value().as_text() == Some("all") => Some(Queues::All),
            (Some(node), _) => Some(Queues::Named(known(file, node, "`queues`", queues))),
        };
        let timezone = match fields.get("timezone") {
            None => TimeZone::UTC,
            Some(node) => timezone(file, node).unwrap_or(TimeZone::UTC),
        };
        let digest = fields.get("digest").and_then(|n| cron(file, n));
        let alert = fields
            .get("alert")
            .map(|n| known(file, n, "`alert`", queues))
            .unwrap_or_default();
        let quiet = fields.get("quiet").and_then(|n| quiet(file, n));
        let remind = fields.get("remind").and_then(|n| file.span(n, "`remind`"));
        fields.finish();
        let (email, node) = email?;
        self.claim("reviewer", &email, file, &node.span);
        Some(Reviewer {
            name: name?,
            email,
            role,
            queues: reads?,
            timezone,
            digest,
            alert,
            quiet,
            remind,
        })
    }

    pub(super) fn desk(&self) -> Desk {
        let mut desk = Desk::default();
        for section in self.named("desk") {
            let file = section.file;
            for (key, _) in file.map(section.node, "`desk`") {
                self.claim("desk setting", &key.text, file, &key.span);
            }
            let mut fields = file.fields(section.node, "`desk`");
            if let Some(node) = fields.get("reject_reasons") {
                let reasons = file.map(node, "`reject_reasons`").iter();
                desk.reject_reasons = reasons
                    .filter_map(|(key, node)| {
                        Some((key.text.clone(), file.text(node, "a reason")?))
                    })
                    .collect();
            }
            if let Some(node) = fields.get("reassert") {
                desk.reassert = reassert(file, node, desk.reassert);
            }
            if let Some(node) = fields.get("escalate") {
                let mut spans = file.fields(node, "`escalate`");
                for (key, to) in [
                    ("first", &mut desk.escalate.0),
                    ("second", &mut desk.escalate.1),
                ] {
                    *to = spans
                        .get(key)
                        .and_then(|n| file.span(n, &format!("`{key}`")))
                        .unwrap_or(*to);
                }
                spans.finish();
            }
            if let Some(threshold) = fields
                .get("link_threshold")
                .and_then(|n| file.whole(n, "`link_threshold`"))
            {
                desk.link_threshold = threshold;
            }
            let pictures = fields.get("pictures").and_then(|n| {
                file.word(
                    n,
                    "`pictures`",
                    &[("show", "show"), ("ask", "ask"), ("never", "never")],
                )
            });
            desk.pictures = pictures.unwrap_or(desk.pictures);
            if let Some(node) = fields.get("retention") {
                let mut spans = file.fields(node, "`retention`");
                for (key, to) in [
                    ("events", &mut desk.retention.0),
                    ("sent_mail", &mut desk.retention.1),
                ] {
                    *to = spans
                        .get(key)
                        .and_then(|n| file.span(n, &format!("`{key}`")))
                        .unwrap_or(*to);
                }
                spans.finish();
            }
            fields.finish();
        }
        desk
    }
}

fn reassert(file: &File<'_>, node: &Node, default: Reassert) -> Reassert {
    let mut fields = file.fields(node, "`reassert`");
    let mut count = |key: &'static str| {
        let node = fields.get(key)?;
        let count = u32::try_from(file.whole(node, &format!("`{key}`"))?).ok();
        if count.is_none() {
            file.error(
                "wrong-type",
                &node.span,
                format!("`{key}` must be 0 or more"),
                Some("0 never writes again what a feed took back".to_owned()),
            );
        }
        count
    };
    let reassert = Reassert {
        per_day: count("per_day").unwrap_or(default.per_day),
        per_10_minutes: count("per_10_minutes").unwrap_or(default.per_10_minutes),
    };
    fields.finish();
    reassert
}

fn known(file: &File<'_>, node: &Node, what: &str, queues: &[Queue]) -> Vec<String> {
    let names = file.texts(node, what);
    for (name, node) in &names {
        if !queues.iter().any(|queue| queue.name == *name) {
            let known: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
            let help = match near(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => {
                    format!("add it under `queues:` as `- {{name: {name}}}`")
                }
                None => format!("there are {}", listed(&known)),
            };
            file.error(
                "unknown-queue",
                &node.span,
                format!("there is no queue `{name}`"),
                Some(help),
            );
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

fn email(file: &File<'_>, node: &Node) -> Option<String> {
    let text = file.text(node, "`email`")?;
    let bare = text.parse::<lettre::Address>().is_ok() && text.is_ascii();
    if !bare {
        let help = Some("write the bare address, like ana@example.org".to_owned());
        file.error(
            "bad-email",
            &node.span,
            format!("`{text}` is no mail address"),
            help,
        );
    }
    bare.then(|| text.to_ascii_lowercase())
}

fn timezone(file: &File<'_>, node: &Node) -> Option<TimeZone> {
    let text = file.text(node, "`timezone`")?;
    let zone = TimeZone::get(&text).ok();
    if zone.is_none() {
        let help = Some("write a name of the time-zone database, like Europe/Lisbon".to_owned());
        file.error(
            "bad-timezone",
            &node.span,
            format!("there is no time zone `{text}`"),
            help,
        );
    }
    zone
}

fn cron(file: &File<'_>, node: &Node) -> Option<Schedule> {
    let text = file.text(node, "`digest`")?;
    let fault = |error: String| {
        let (fault, mend) = error.split_once("; ").unwrap_or((&error, ""));
        let help = (!mend.is_empty()).then(|| mend.to_owned());
        file.error("bad-cron", &node.span, fault, help);
    };
    Schedule::parse(&text).map_err(fault).ok()
}

fn quiet(file: &File<'_>, node: &Node) -> Option<(jiff::civil::Time, jiff::civil::Time)> {
    let text = file.text(node, "`quiet`")?;
    let hours = text.split_once('-').and_then(|(from, to)| {
        let time = |text: &str| jiff::civil::Time::strptime("%H:%M", text.trim()).ok();
        Some((time(from)?, time(to)?)).filter(|(from, to)| from != to)
    });
    if hours.is_none() {
        let help = Some("write two times, like \"20:00-08:00\"".to_owned());
        file.error(
            "bad-quiet",
            &node.span,
            format!("`{text}` are no quiet hours"),
            help,
        );
    }
    hours
}
