//! `copydesk explain`: why a file scores as it does, and where it would wait.

mod one;

use self::one::One;
use super::screen::{FAINT, STRONG, styled};
use super::{Desk, Exit, Usage};
use crate::record::location::Location;
use crate::record::source::Source;
use crate::record::{FILE_BYTES, Record, shown};
use crate::rules::RuleSet;
use crate::rules::assess::{Assessment, Hit, Near, NotEvaluated, Occasion, Route, Subject};
use crate::rules::score::{Axis, Score};
use jiff::Timestamp;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The files to explain
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Say what this rule does, with each part of its condition and the value found
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Say likewise what this queue does
    #[arg(long, value_name = "NAME", conflicts_with = "rule")]
    queue: Option<String>,
    /// Read the files as this source does
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// A file, read and assessed.
struct Explained<'r> {
    rules: &'r RuleSet,
    source: &'r str,
    location: Location,
    record: Record,
    assessment: Assessment,
    now: Timestamp,
}

impl Explained<'_> {
    fn subject(&self) -> Subject<'_> {
        subject(&self.record, self.source, self.now)
    }
}

fn subject<'a>(record: &'a Record, source: &'a str, now: Timestamp) -> Subject<'a> {
    Subject {
        fields: &record.fields,
        published: record.published,
        first_seen: now,
        source,
    }
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let rules = desk.rules()?;
    let one = One::find(&rules, args.rule.as_deref(), args.queue.as_deref())?;
    let mut exit = Exit::Done;
    for file in &args.files {
        let (source, location) = place(&rules, file, args.source.as_deref())?;
        let record = match read(file, location.as_str(), source) {
            Ok(record) => record,
            Err(reason) => {
                desk.screen.complain(format!(
                    "{}: {reason}",
                    shown::line(&file.to_string_lossy(), 200)
                ))?;
                exit = Exit::Wrong;
                continue;
            }
        };
        let (source, now) = (source.name.as_str(), desk.now);
        let assessment = rules.explain(&subject(&record, source, now), Occasion::FIRST, now);
        let explained = Explained {
            rules: &rules,
            source,
            location,
            record,
            assessment,
            now,
        };
        match &one {
            Some(one) => one::tell(desk, &rules, one, &explained)?,
            None if desk.screen.is_json() => desk.screen.json(&as_json(&explained))?,
            None => print(desk, &explained)?,
        }
    }
    Ok(exit)
}

/// The source whose folder holds the file, and the path below it; outside every source, the one
/// that was named or the only one there is.
fn place<'r>(
    rules: &'r RuleSet,
    file: &Path,
    named: Option<&str>,
) -> Result<(&'r Source, Location), Usage> {
    let whole = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let below = |source: &Source| {
        let folder = source.path.canonicalize().ok()?;
        whole.strip_prefix(folder).ok().map(Location::of)
    };
    let source = match named {
        Some(name) => {
            let known: Vec<&str> = rules
                .sources
                .iter()
                .map(|source| source.name.as_str())
                .collect();
            let unknown = || {
                Usage(format!(
                    "there is no source `{name}`; the sources are: {}",
                    known.join(", ")
                ))
            };
            rules.source(name).ok_or_else(unknown)?
        }
        None => {
            if let Some(found) = rules
                .sources
                .iter()
                .find_map(|source| Some((source, below(source)?)))
            {
                return Ok(found);
            }
            match rules.sources.as_slice() {
                [one] => one,
                _ => {
                    return Err(Usage(format!(
                        "`{}` is in no source; name one with --source",
                        file.display()
                    )));
                }
            }
        }
    };
    let location = below(source).unwrap_or_else(|| Location::of(file));
    Ok((source, location))
}

fn read(file: &Path, location: &str, source: &Source) -> Result<Record, String> {
    let open = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(file)?
            .take(FILE_BYTES + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = open().map_err(|error| error.to_string())?;
    Record::read(&bytes, location, source).map_err(|broken| broken.to_string())
}

fn as_json(explained: &Explained<'_>) -> serde_json::Value {
    let assessment = &explained.assessment;
    json!({
        "location": explained.location.as_str(),
        "score": assessment.score,
        "hits": assessment.hits,
        "queue": assessment.route.queue(),
        "skipped": matches!(assessment.route, Route::Skipped(_)),
        "not_evaluated": assessment.not_evaluated,
        "near": assessment.near,
        "shadow": assessment.shadow,
    })
}

fn print(desk: &mut Desk<'_>, explained: &Explained<'_>) -> anyhow::Result<()> {
    let Explained {
        record,
        location,
        assessment,
        ..
    } = explained;
    let path = shown::line(location.as_str(), 120);
    let title = record
        .title()
        .map_or_else(|| path.clone(), |title| shown::line(title, 100));
    desk.screen.line(styled(STRONG, title))?;
    desk.screen.line(styled(FAINT, format!("{path}\n")))?;
    for axis in [Axis::Quality, Axis::Heat, Axis::Topic] {
        print_axis(desk, axis, &assessment.hits)?;
    }
    let Score {
        quality,
        heat,
        topic,
        total,
    } = assessment.score;
    desk.screen.line(format!(
        "  score {total} = quality {quality} + heat {heat} + topic {topic}\n"
    ))?;
    let flag = if record.published {
        "reads as published"
    } else {
        "reads as unpublished"
    };
    let queue = match &assessment.route {
        Route::Queue(name, None) => styled(STRONG, name),
        Route::Queue(name, Some(verdict)) => format!("{} decides: {verdict}", styled(STRONG, name)),
        Route::Skipped(name) => format!("{} skips it: no item", styled(STRONG, name)),
        Route::Unrouted => "none takes it: no item".to_owned(),
    };
    desk.screen
        .line(format!("  queue          {queue} ({flag})"))?;
    print_near(desk, &assessment.near)?;
    for hit in &assessment.shadow {
        print_shadow(desk, &hit.rule, hit.points, &hit.why)?;
    }
    print_not_evaluated(desk, &assessment.not_evaluated)?;
    desk.screen.line("")?;
    Ok(())
}

pub(super) fn print_near(desk: &mut Desk<'_>, near: &[Near]) -> anyhow::Result<()> {
    for near in near {
        let needs: Vec<String> = near.needs.iter().map(ToString::to_string).collect();
        let needs = needs.join(", ");
        desk.screen
            .line(format!("  near miss      {needs}: {}", near.queue))?;
    }
    Ok(())
}

pub(super) fn print_shadow(
    desk: &mut Desk<'_>,
    rule: &str,
    points: i64,
    why: &str,
) -> anyhow::Result<()> {
    let why = shown::line(why, 80);
    // A queue adds no points.
    let points = if points == 0 {
        String::new()
    } else {
        format!("{points:+} ")
    };
    desk.screen
        .line(format!("  in shadow      {rule}: {points}{why}"))?;
    Ok(())
}

pub(super) fn print_not_evaluated(
    desk: &mut Desk<'_>,
    not_evaluated: &[NotEvaluated],
) -> anyhow::Result<()> {
    for not in not_evaluated {
        let missing: Vec<String> = not.missing.iter().map(|m| shown::line(m, 60)).collect();
        desk.screen.line(format!(
            "  not evaluated  {}: the record has no {}",
            not.rule,
            missing.join(", ")
        ))?;
    }
    Ok(())
}

fn print_axis(desk: &mut Desk<'_>, of: Axis, hits: &[Hit]) -> anyhow::Result<()> {
    let mut name = axis(of);
    for hit in hits.iter().filter(|hit| hit.axis == of) {
        let why = format!(
            "{} {}",
            shown::line(&hit.why, 60),
            styled(FAINT, format!("({}, {})", hit.rule, hit.at))
        );
        desk.screen
            .line(format!("  {name:<9} {:>+5}  {why}", hit.points))?;
        name = "";
    }
    Ok(())
}

fn axis(axis: Axis) -> &'static str {
    match axis {
        Axis::Quality => "quality",
        Axis::Heat => "heat",
        Axis::Topic => "topic",
    }
}
