//! The way through what waits: onwards, back, and what has come since.

use super::Session;
use crate::intake;
use crate::item::Status;
use crate::review::Actor;
use crate::store::StoreError;
use std::collections::HashSet;

impl Session<'_, '_> {
    /// Adds to the end what has come to wait since.
    pub(super) fn look_for_more(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        intake::pass_time(&mut self.store, now)?;
        let mut waiting = self.store.read(|tx| tx.pending_in_order())?;
        let known: HashSet<i64> = self.ids.iter().copied().collect();
        waiting.retain(|(id, queue)| {
            let is_theirs = match (self.queue, self.actor) {
                (Some(only), _) => only == queue,
                (None, Actor::Reviewer(reviewer)) => reviewer.may_decide_in(queue),
                (None, Actor::User(_) | Actor::Program(_)) => true,
            };
            is_theirs && !known.contains(id)
        });
        let place = |name: &str| {
            self.rules
                .queues
                .iter()
                .position(|queue| queue.name == name)
        };
        // A stable sort keeps the order by rank within each queue.
        waiting.sort_by_key(|(_, queue)| place(queue));
        self.ids.extend(waiting.iter().map(|(id, _)| *id));
        Ok(())
    }

    fn waits(&mut self, at: usize) -> Result<bool, StoreError> {
        let Some(id) = self.ids.get(at) else {
            return Ok(false);
        };
        let item = self.store.read(|tx| tx.item(*id))?;
        Ok(item.is_some_and(|item| item.status == Status::Pending))
    }

    /// Goes on to the first that waits, from where it is.
    pub(super) fn seek(&mut self) -> Result<(), StoreError> {
        let mut looked = false;
        while !self.waits(self.at)? {
            if self.at < self.ids.len() {
                self.at += 1;
            } else if looked {
                break;
            } else {
                self.look_for_more()?;
                looked = true;
            }
        }
        Ok(())
    }

    pub(super) fn back(&mut self) -> Result<(), StoreError> {
        for at in (0..self.at).rev() {
            if self.waits(at)? {
                self.at = at;
                return Ok(());
            }
        }
        self.said = vec!["there is none before".into()];
        Ok(())
    }
}
