//! Items in someone's hands: claimed for a while, or handed to a reviewer or a queue.

use super::items::{Item, Place};
use super::{Micros, StoreError, Tx};
use jiff::Timestamp;
use serde_json::json;

const CLAIMED: &str =
    "SELECT id, claimed_by FROM items WHERE claimed_by IS NOT NULL AND claimed_until > ?1";
const ASSIGNED: &str = "SELECT id, assigned_to FROM items WHERE assigned_to IS NOT NULL";

impl Tx<'_> {
    /// Leases an item to someone until a time; renewing a lease that lasts is no event.
    ///
    /// # Errors
    /// [`StoreError`], as all methods here.
    pub fn claim(
        &self,
        item: Item,
        actor: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Item, StoreError> {
        let renewed = item.claim(now).is_some_and(|(by, _)| by == actor);
        let sql = "UPDATE items SET claimed_by = ?2, claimed_until = ?3 WHERE id = ?1";
        self.run(sql, (item.id, actor, Micros(until)))?;
        if !renewed {
            self.add_event(&item, "claimed", actor, None, now)?;
        }
        Ok(Item {
            claimed_by: Some(actor.to_owned()),
            claimed_until: Some(until),
            ..item
        })
    }

    /// Ends the claim on an item; without one that lasts this is no event.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release(&self, item: Item, actor: &str, now: Timestamp) -> Result<Item, StoreError> {
        let claim = item.claim(now).map(|(by, _)| json!({"claimed_by": by}));
        let item = self.let_go(item)?;
        if claim.is_some() {
            self.add_event(&item, "released", actor, claim.as_ref(), now)?;
        }
        Ok(item)
    }

    /// Hands an item to a reviewer; whoever has claimed it has it no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hand_to_reviewer(
        &self,
        item: Item,
        email: &str,
        note: Option<&str>,
        (actor, now): (&str, Timestamp),
    ) -> Result<Item, StoreError> {
        let item = self.let_go(item)?;
        let sql = "UPDATE items SET assigned_to = ?2, assigned_at = ?3 WHERE id = ?1";
        self.run(sql, (item.id, email, Micros(now)))?;
        let detail = json!({"to": email, "note": note});
        self.add_event(&item, "handed_over", actor, Some(&detail), now)?;
        Ok(Item {
            assigned_to: Some(email.to_owned()),
            ..item
        })
    }

    /// Hands an item to a queue, where it stays while it is open; nobody has it any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hand_to_queue(
        &self,
        item: Item,
        place: &Place<'_>,
        note: Option<&str>,
        (actor, now): (&str, Timestamp),
    ) -> Result<Item, StoreError> {
        let detail = json!({"from": item.queue, "queue": place.queue, "note": note});
        let item = self.let_go(item)?;
        let sql = "UPDATE items SET assigned_to = NULL, queue_by_hand = 1 WHERE id = ?1";
        self.run(sql, [item.id])?;
        self.put_in(&item, place)?;
        self.add_event(&item, "handed_over", actor, Some(&detail), now)?;
        let handed = self.item(item.id)?;
        handed.ok_or_else(|| StoreError::Odd("an item was not handed over".into()))
    }

    /// Every item that someone has claimed or was handed, with each who has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_hands(&self, now: Timestamp) -> Result<Vec<(Item, String)>, StoreError> {
        // Each from its index: what most items are in is nobody's hands.
        let hands = |sql, values: &[Micros]| {
            let values = rusqlite::params_from_iter(values);
            self.all(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
        };
        let mut hands: Vec<(i64, String)> =
            [hands(CLAIMED, &[Micros(now)])?, hands(ASSIGNED, &[])?].concat();
        hands.sort();
        hands.dedup();
        let mut found = Vec::new();
        for (item, who) in hands {
            found.extend(self.item(item)?.map(|item| (item, who)));
        }
        Ok(found)
    }

    /// Takes an item out of the hands of someone who may not decide on it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_from(&self, item: Item, who: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE items SET assigned_to = NULL WHERE id = ?1 AND assigned_to = ?2";
        self.run(sql, (item.id, who))?;
        let is_claimed = item.claimed_by.as_deref() == Some(who);
        let item = if is_claimed { self.let_go(item)? } else { item };
        let detail = json!({"from": who, "why": "may not decide on it"});
        self.add_event(&item, "released", "copydesk", Some(&detail), now)
    }

    /// Ends a claim. What was not routed while it lasted is routed by the next re-score.
    fn let_go(&self, item: Item) -> Result<Item, StoreError> {
        self.run(
            "UPDATE items SET claimed_by = NULL, claimed_until = NULL WHERE id = ?1",
            [item.id],
        )?;
        let sql = "UPDATE assessments SET flips_at = 0 WHERE record = ?1 AND (queue IS NULL OR queue <> ?2)";
        self.run(sql, (item.record, &item.queue))?;
        Ok(Item {
            claimed_by: None,
            claimed_until: None,
            ..item
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::counts::CLAIMED_QUEUES;

    #[test]
    fn what_is_in_hands_is_found_without_looking_at_all() {
        let mut store = Store::in_memory().unwrap();
        for (sql, index) in [
            (CLAIMED, "items_claimed"),
            (ASSIGNED, "items_assigned"),
            (CLAIMED_QUEUES, "items_claimed"),
        ] {
            let sql = sql.replace("?1", "0");
            let plan: Vec<String> = store
                .read(|tx| tx.all(&format!("EXPLAIN QUERY PLAN {sql}"), (), |row| row.get(3)))
                .unwrap();
            assert_eq!(plan.len(), 1, "{plan:?}");
            assert!(plan[0].contains(index), "{sql}: {plan:?}");
        }
    }
}
