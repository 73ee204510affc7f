//! `copydesk check`: whether the rules are right.

use super::screen::{WELL, counted, styled};
use super::{Desk, Exit};
use crate::rules::diagnostic::Diagnostic;
use crate::rules::{Refused, RuleSet};

pub(super) fn run(desk: &mut Desk<'_>) -> anyhow::Result<Exit> {
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
    for fault in &faults {
        let text = fault.render(desk.screen.is_styled());
        desk.screen.line(text + "\n")?;
    }
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
