//! A backtest as people read it.

use super::suggested;
use crate::backtest::{Agree, Band, Moved, Page, RuleLine};
use crate::cli::screen::{ALARM, STRONG, Screen, called, counted, styled};
use crate::record::shown;
use crate::rules::RuleSet;
use std::io;
use unicode_width::UnicodeWidthStr;

/// Records that move, or that a cut gets wrong, and rules: as many as one looks at.
const MOVED: usize = 10;
const RULES: usize = 20;
const NAMES: usize = 8;
/// Columns of a bar.
const BAR: usize = 16;

pub(super) fn page(screen: &mut Screen, page: &Page, rules: &RuleSet) -> io::Result<()> {
    screen.line(format!(
        "{} tried on {} and {}{}",
        styled(STRONG, counted(page.records, "record")),
        counted(rules.rules.len(), "rule"),
        counted(rules.queues.len(), "queue"),
        match page.broken {
            0 => String::new(),
            n => format!("; {} cannot be read", counted(n, "file")),
        }
    ))?;
    if page.records == 0 {
        return Ok(());
    }
    moves(screen, page)?;
    moved(screen, page)?;
    load(screen, page)?;
    agreement(screen, page, rules)?;
    rule_table(screen, page)?;
    shadow(screen, page)?;
    plot(screen, &page.bands)?;
    match &page.suggest {
        Some(suggestion) => suggested::print(screen, suggestion),
        None => Ok(()),
    }
}

fn queue(name: Option<&String>) -> String {
    name.map_or_else(|| "nothing".to_owned(), |name| shown::line(name, 24))
}

fn moves(screen: &mut Screen, page: &Page) -> io::Result<()> {
    let Some(moved) = page.moved_count else {
        screen.heading("where they would go")?;
        let rows = page.moves.iter();
        let rows = rows.map(|line| vec![queue(line.to.as_ref()), line.count.to_string()]);
        return screen.table("lr", None, rows.collect());
    };
    screen.heading("moves")?;
    let away = page.moves.iter().filter(|line| line.from != line.to);
    let rows = away.map(|line| {
        let (from, to) = (queue(line.from.as_ref()), queue(line.to.as_ref()));
        vec![from, "→".to_owned(), to, line.count.to_string()]
    });
    screen.table("lllr", None, rows.collect())?;
    let stay: usize = page.moves.iter().map(|line| line.count).sum::<usize>() - moved;
    let gone = match page.gone {
        0 => String::new(),
        n => format!("; of {n} the file is gone"),
    };
    screen.line(format!("  {stay} stay where they are{gone}"))
}

fn moved(screen: &mut Screen, page: &Page) -> io::Result<()> {
    let Some(all) = page.moved_count.filter(|all| *all > 0) else {
        return Ok(());
    };
    let title = if all > MOVED {
        format!("the {MOVED} most surprising of {all} that move")
    } else {
        "what moves, the most surprising first".to_owned()
    };
    screen.heading(&title)?;
    let rows = page.moved.iter().take(MOVED).map(|line| {
        vec![
            format!("{} → {}", line.before, line.after),
            format!(
                "{} → {}",
                queue(line.from.as_ref()),
                queue(line.to.as_ref())
            ),
            format!(
                "{}{}",
                called(line.title.as_ref(), line.location.as_ref(), 60),
                why(line)
            ),
        ]
    });
    screen.table("lll", None, rows.collect())
}

/// What makes a move surprising beyond its points.
fn why(line: &Moved) -> String {
    if !line.contradicts {
        return String::new();
    }
    let person = line.decided.map_or("", |verdict| verdict.cause().as_str());
    let said = match line.decides {
        Some(verdict) => format!("{person} by a person, and the queue would {verdict} it"),
        None => format!("{person} by a person, and no one would see it"),
    };
    format!(" {}", styled(ALARM, format!("({said})")))
}

fn load(screen: &mut Screen, page: &Page) -> io::Result<()> {
    let load = &page.load;
    let (Some(from), Some(to)) = (&load.from, &load.to) else {
        return Ok(());
    };
    screen.heading(&format!("load, {from} to {to}, by day of publication"))?;
    let head = ["queue", "records", "a day", "busiest day"];
    let rows = load.queues.iter().map(|line| {
        vec![
            queue(line.queue.as_ref()),
            line.records.to_string(),
            rate(line.per_day),
            format!("{} with {}", line.busiest, line.on_busiest),
        ]
    });
    screen.table("lrrl", Some(&head), rows.collect())
}

/// Records a day; what comes at all is never shown as none.
fn rate(per_day: f64) -> String {
    if per_day < 0.01 {
        "<0.01".to_owned()
    } else {
        format!("{per_day:.2}")
    }
}

fn agreement(screen: &mut Screen, page: &Page, rules: &RuleSet) -> io::Result<()> {
    screen.heading("queues that decide, against what was decided")?;
    if rules.queues.iter().all(|queue| queue.decide.is_none()) {
        return screen.line("  no queue decides");
    }
    let said = |agree: Option<Agree>| match agree {
        Some(agree) => format!(
            "{} of {} agree{}",
            agree.agree,
            agree.of,
            percent(agree.share())
        ),
        None => "nothing to compare".to_owned(),
    };
    let rows = vec![
        vec!["people".to_owned(), said(page.agreement.people)],
        vec!["the feed".to_owned(), said(page.agreement.feed)],
    ];
    screen.table("ll", None, rows)
}

fn percent(share: f64) -> String {
    // What is not all is never rounded up to all.
    let percent = (share * 1000.0).floor() / 10.0;
    format!(" ({percent}%)")
}

fn rule_table(screen: &mut Screen, page: &Page) -> io::Result<()> {
    if page.rules.is_empty() {
        return Ok(());
    }
    screen.heading("rules")?;
    let mut shown: Vec<&RuleLine> = page.rules.iter().filter(|line| line.hits > 0).collect();
    shown.sort_by_key(|line| std::cmp::Reverse(line.hits));
    let more = shown.len().saturating_sub(RULES);
    shown.truncate(RULES);
    let rows: Vec<Vec<String>> = shown.into_iter().map(rule_row).collect();
    if !rows.is_empty() {
        let head = [
            "rule",
            "points",
            "hits",
            "approved",
            "not evaluated",
            "moves",
        ];
        screen.table("lrrrrr", Some(&head), rows)?;
    }
    if more > 0 {
        screen.line(format!("  and {more} more; --json lists all"))?;
    }
    for (names, said) in [
        (&page.never_hit, "never hit"),
        (&page.moves_nothing, "moves nothing if taken away"),
    ] {
        if !names.is_empty() {
            screen.line(format!("  {said}: {}", first_names(names)))?;
        }
    }
    Ok(())
}

fn rule_row(line: &RuleLine) -> Vec<String> {
    let mode = if line.mode == "shadow" {
        " (shadow)"
    } else {
        ""
    };
    let approved = line
        .approved_share
        .map(|share| format!("{:.0}%", share * 100.0));
    vec![
        format!("{}{mode}", shown::line(&line.rule, 32)),
        format!("{:+}", line.points),
        line.hits.to_string(),
        approved.unwrap_or_else(|| "-".to_owned()),
        line.not_evaluated.to_string(),
        line.moves.to_string(),
    ]
}

fn first_names(names: &[String]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(NAMES)
        .map(|name| shown::line(name, 32))
        .collect();
    match names.len().saturating_sub(NAMES) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn shadow(screen: &mut Screen, page: &Page) -> io::Result<()> {
    if page.shadow.is_empty() {
        return Ok(());
    }
    screen.heading("queues in shadow mode")?;
    let head = ["queue", "holds for", "would take", "would decide"];
    let rows = page.shadow.iter().map(|line| {
        let decides = line.decide.map(|verdict| verdict.to_string());
        vec![
            queue(Some(&line.queue)),
            line.holds.to_string(),
            line.takes.to_string(),
            decides.unwrap_or_else(|| "-".to_owned()),
        ]
    });
    screen.table("lrrl", Some(&head), rows.collect())
}

fn plot(screen: &mut Screen, bands: &[Band]) -> io::Result<()> {
    let most = |count: fn(&Band) -> usize| bands.iter().map(count).max().unwrap_or_default();
    let most = most(|b| b.approved)
        .max(most(|b| b.not_approved))
        .max(most(|b| b.undecided));
    screen.heading("score against decision")?;
    let labels = bands
        .iter()
        .map(|band| format!("{} to {}", band.from, band.to));
    let rows = labels.zip(bands).map(|(label, band)| {
        vec![
            label,
            bar(band.approved, most),
            bar(band.not_approved, most),
            bar(band.undecided, most),
        ]
    });
    let head = ["total", "approved", "not approved", "undecided"];
    screen.table("rlll", Some(&head), rows.collect())
}

/// A bar and its count; what is there at all is seen.
fn bar(count: usize, most: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if count == 0 {
        return " ".repeat(BAR);
    }
    let eighths = (count * BAR * 8 / most.max(1)).max(1);
    let bar = format!("{}{} {count}", "█".repeat(eighths / 8), PARTS[eighths % 8]);
    let room = (BAR + 8).saturating_sub(bar.width());
    format!("{bar}{}", " ".repeat(room))
}
