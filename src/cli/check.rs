//! `copydesk check`: whether the rules are right.

use super::screen::{WELL, counted, styled};
use super::{Desk, Exit};
use crate::rules::diagnostic::Diagnostic;
use crate::rules::{self, Refused, RuleSet};
use std::collections::BTreeMap;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the JSON Schema of rule files, for editors, and check nothing
    #[arg(long)]
    schema: bool,
}

/// More warnings of one kind than these are shown as a few and a count.
const MOST_OF_A_KIND: usize = 20;
/// How many of them are shown then.
const SHOWN_OF_A_KIND: usize = 3;

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    if args.schema {
        desk.screen.line(rules::SCHEMA.trim_end())?;
        return Ok(Exit::Done);
    }
    let (faults, set) = match RuleSet::load(&desk.folders.rules) {
        Ok(set) => (set.warnings.clone(), Some(set)),
        Err(Refused::Wrong(faults)) => (faults, None),
        Err(refused) => return Err(refused.into()),
    };
    let exit = if faults.iter().any(Diagnostic::is_error) {
        Exit::Wrong
    } else {
        Exit::Done
    };
    if desk.screen.is_json() {
        desk.screen.json(&faults)?;
        return Ok(exit);
    }
    show(desk, &faults)?;
    let absent = set
        .iter()
        .flat_map(|set| &set.sources)
        .filter(|source| !source.path.is_dir());
    for source in absent {
        let path = source.path.display();
        desk.screen.line(format!(
            "warning: the folder of source {} is absent: {path}\n",
            source.name
        ))?;
    }
    let errors = faults.iter().filter(|fault| fault.is_error()).count();
    let warnings = counted(faults.len() - errors, "warning");
    match set {
        None => desk
            .screen
            .line(format!("{}, {warnings}", counted(errors, "error")))?,
        Some(set) => desk.screen.line(format!(
            "{}: {}, {}, {}, {}; {warnings}",
            styled(WELL, "the rules are right"),
            counted(set.sources.len(), "source"),
            counted(set.rules.len(), "rule"),
            counted(set.queues.len(), "queue"),
            counted(set.reviewers.len(), "reviewer"),
        ))?,
    }
    Ok(exit)
}

/// Shows all errors, and of each kind of warning all or the first few.
fn show(desk: &mut Desk<'_>, faults: &[Diagnostic]) -> anyhow::Result<()> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for warning in faults.iter().filter(|fault| !fault.is_error()) {
        *left.entry(warning.code).or_default() += 1;
    }
    left.retain(|_, count| *count > MOST_OF_A_KIND);
    let many = left.clone();
    for fault in faults {
        let many = many.get(fault.code).filter(|_| !fault.is_error());
        if let (Some(many), Some(left)) = (many, left.get_mut(fault.code)) {
            if many - *left == SHOWN_OF_A_KIND {
                continue;
            }
            *left -= 1;
        }
        let text = fault.render(desk.screen.is_styled());
        desk.screen.line(text + "\n")?;
    }
    for (code, left) in left {
        desk.screen.line(format!(
            "warning[{code}]: {left} more of this kind; `copydesk check --json` shows all\n"
        ))?;
    }
    Ok(())
}
