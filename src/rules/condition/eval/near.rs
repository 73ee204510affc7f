//! What keeps a condition from holding, when that is only numbers.

use super::Evaluation;
use crate::rules::condition::expr::{Comparison, Expr, Threshold};
use crate::rules::condition::{Beyond, Facts, Need, Trace};

/// What the thresholds lack that alone keep the tree from holding; `None` when it holds, has no
/// value, or fails for another reason.
pub(in crate::rules::condition) fn near(expr: &Expr, facts: &Facts<'_>) -> Option<Vec<Need>> {
    let mut trace = Trace::default();
    let mut evaluation = Evaluation {
        facts,
        trace: &mut trace,
        elements: vec![],
    };
    needs(&mut evaluation, expr, true).filter(|needs| !needs.is_empty())
}

/// What it takes to make the tree `wanted`: nothing if it is so, `None` if numbers alone cannot.
fn needs<'a>(evaluation: &mut Evaluation<'a>, expr: &'a Expr, wanted: bool) -> Option<Vec<Need>> {
    if evaluation.test(expr)? == wanted {
        return Some(Vec::new());
    }
    match expr {
        Expr::Not(inner) => needs(evaluation, inner, !wanted),
        Expr::All(parts) if wanted => every(evaluation, parts, true),
        Expr::Any(parts) if !wanted => every(evaluation, parts, false),
        Expr::All(parts) | Expr::Any(parts) => shortest(evaluation, parts, wanted),
        Expr::If(parts) => {
            let branch = evaluation.branch(parts)?;
            needs(evaluation, branch, wanted)
        }
        Expr::Threshold(threshold) => need(evaluation, threshold, wanted).map(|need| vec![need]),
        _ => None,
    }
}

/// All of the parts have to change that are not as wanted.
fn every<'a>(
    evaluation: &mut Evaluation<'a>,
    parts: &'a [Expr],
    wanted: bool,
) -> Option<Vec<Need>> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(needs(evaluation, part, wanted)?);
    }
    Some(all)
}

/// One part is enough: the one that asks for the fewest numbers, of these the first written. A part
/// that asks for more than numbers makes it another matter.
fn shortest<'a>(
    evaluation: &mut Evaluation<'a>,
    parts: &'a [Expr],
    wanted: bool,
) -> Option<Vec<Need>> {
    let ways: Option<Vec<_>> = parts
        .iter()
        .map(|part| needs(evaluation, part, wanted))
        .collect();
    ways?.into_iter().min_by_key(Vec::len)
}

fn need<'a>(
    evaluation: &mut Evaluation<'a>,
    threshold: &'a Threshold,
    wanted: bool,
) -> Option<Need> {
    let comparison = if wanted {
        threshold.comparison
    } else {
        opposite(threshold.comparison)
    };
    let (limit, beyond) = target(threshold, comparison)?;
    let value = evaluation.number(&threshold.side)?;
    Some(Need {
        name: threshold.name.clone(),
        // Adding zero turns -0 into 0.
        by: limit - value + 0.0,
        beyond,
    })
}

/// The value at which a comparison holds, or that it has to get past. Points are whole, so that
/// there is a next one; of other numbers there is none.
fn target(threshold: &Threshold, comparison: Comparison) -> Option<(f64, Option<Beyond>)> {
    let (limit, whole) = (threshold.limit, matches!(threshold.side, Expr::Score(_)));
    Some(match comparison {
        Comparison::Greater if whole => (limit.floor() + 1.0, None),
        Comparison::Less if whole => (limit.ceil() - 1.0, None),
        Comparison::AtLeast if whole => (limit.ceil(), None),
        Comparison::AtMost if whole => (limit.floor(), None),
        Comparison::Greater => (limit, Some(Beyond::Above)),
        Comparison::Less => (limit, Some(Beyond::Below)),
        Comparison::AtLeast | Comparison::AtMost => (limit, None),
        Comparison::Equal | Comparison::NotEqual => return None,
    })
}

/// The comparison that holds when this one does not.
fn opposite(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::NotEqual,
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::AtLeast,
        Comparison::AtMost => Comparison::Greater,
        Comparison::Greater => Comparison::AtMost,
        Comparison::AtLeast => Comparison::Less,
    }
}
