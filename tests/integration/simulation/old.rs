//! What the desk makes of events, mails and write-backs that may be old: the same, whatever of them
//! is forgotten.

use std::collections::BTreeSet;

use copydesk::notify::{self, When};
use copydesk::record::Hash;
use copydesk::review;
use copydesk::rules::RuleSet;
use copydesk::store::items::Item;
use copydesk::store::{Store, StoreError, Tx};
use jiff::{SignedDuration, Timestamp};

pub(super) fn answers(store: &mut Store, rules: &RuleSet, now: Timestamp) -> Vec<String> {
    let mut said = Vec::new();
    for when in [When::Now, When::Scheduled] {
        let plans = notify::plans(store, rules, None, (when, now)).unwrap();
        said.extend(plans.iter().map(|plan| format!("{plan:?}")));
    }
    let read = store.read(|tx| {
        for item in (1..).map_while(|id| tx.item(id).unwrap()) {
            of_item(tx, &item, now, &mut said)?;
        }
        tx.each_seen(None, &BTreeSet::new(), |seen| {
            said.push(format!("{seen:?}"))
        })?;
        said.push(format!("{:?}", tx.stuck_write_backs()?));
        said.push(format!("{:?}", tx.writes_under_way()?));
        said.push(format!("{:?}", tx.due_write_backs(now)?));
        said.push(format!("{:?}", tx.due_mails(now)?));
        said.push(format!("{:?}", tx.unsent_mails()?));
        said.push(format!("{:?}", tx.mails_full_until(3, 9, now)?));
        said.push(format!("{:?}", tx.newest_event()?));
        Ok::<_, StoreError>(())
    });
    read.unwrap();
    said
}

fn of_item(
    tx: &Tx<'_>,
    item: &Item,
    now: Timestamp,
    said: &mut Vec<String>,
) -> Result<(), StoreError> {
    let id = item.id;
    let mut say = |what: &dyn std::fmt::Debug| said.push(format!("item {id}: {what:?}"));
    say(&tx.waiting_since(id)?);
    say(&tx.decisions(id)?);
    say(&tx.is_decided_before_restore(id)?);
    if item.status.is_open() {
        let happened = review::happened_since(tx, id, 0)?;
        say(&happened.iter().map(|h| (h.at, &h.what)).collect::<Vec<_>>());
    }
    let Some(record) = tx.record(item.record)? else {
        return Ok(());
    };
    for found in tx.locations_of(record.id)? {
        let place = &found.location;
        let writes = tx.writes(id, &record.source, place)?;
        // Bytes that we wrote, and others.
        say(&found.raw.map(|raw| writes.standing(raw)));
        say(&writes.standing(Hash([9; 32])));
        say(&tx.reopen_to_come(id, place)?);
        say(&tx.is_write_pending(id, place)?);
        for minutes in [10, 24 * 60] {
            let span = SignedDuration::from_mins(minutes);
            say(&tx.reasserts(id, place, span, now)?);
        }
    }
    Ok(())
}
