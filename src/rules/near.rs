//! Near misses: an earlier queue that only numbers kept a record out of.

use crate::rules::Queue;
use crate::rules::assess::Near;
use crate::rules::condition::{Facts, Trace};

/// What a queue that does not hold lacks; `None` when more than numbers is lacking.
///
/// Missing it by an exception is no near miss, even if the exception compares numbers: the queue
/// says that such a record does not belong there.
pub(super) fn near_miss(queue: &Queue, facts: &Facts<'_>) -> Option<Near> {
    let trace = &mut Trace::default();
    let excepted = queue
        .unless
        .iter()
        .any(|condition| condition.holds(facts, trace) == Some(true));
    if excepted {
        return None;
    }
    let mut needs = Vec::new();
    for condition in &queue.when {
        if condition.holds(facts, trace) != Some(true) {
            needs.extend(condition.near(facts)?);
        }
    }
    (!needs.is_empty()).then(|| Near {
        queue: queue.name.clone(),
        needs,
    })
}
