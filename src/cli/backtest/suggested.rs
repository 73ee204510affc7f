//! A suggestion as people read it.

use crate::backtest::{Measured, Suggestion};
use crate::cli::screen::{Screen, called};
use std::io;

/// Records that a cut gets wrong, shown of each.
const WRONG: usize = 2;

pub(super) fn print(screen: &mut Screen, suggestion: &Suggestion) -> io::Result<()> {
    let (approved, not) = (suggestion.approved, suggestion.not_approved);
    screen.heading(&format!(
        "the cuts that best tell {approved} approved from {not} not approved"
    ))?;
    if suggestion.measures.is_empty() {
        return screen.line("  there is no number with values that differ");
    }
    let rows = suggestion.measures.iter().map(row).collect();
    screen.table(
        "lrll",
        Some(&["number", "cut", "agrees", "gets wrong"]),
        rows,
    )?;
    let Some(yaml) = &suggestion.yaml else {
        return screen.line("  none is right more often than deciding all alike");
    };
    screen
        .heading("the best one as two queues, to be pasted into the rules; nothing was changed")?;
    screen.line(format!("\n{}", yaml.trim_end()))
}

fn row(measured: &Measured) -> Vec<String> {
    let wrong = measured.of - measured.agree;
    let named = measured.wrong.iter().take(WRONG).map(|line| {
        let name = called(line.title.as_ref(), line.location.as_ref(), 30);
        format!("{name} ({})", line.value)
    });
    let named: Vec<String> = named.collect();
    let wrong = match wrong {
        0 => "none".to_owned(),
        n if n > named.len() => format!("{n}: {}, …", named.join(", ")),
        n => format!("{n}: {}", named.join(", ")),
    };
    vec![
        measured.measure.clone(),
        format!(">= {}", measured.cut),
        format!("{} of {}", measured.agree, measured.of),
        wrong,
    ]
}
