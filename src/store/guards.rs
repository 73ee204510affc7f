//! What the schema refuses by itself, whatever the code does.

use super::*;
use crate::item::{Cause, Status, Verdict};
use crate::store::decide::{Answer, Decision};
use crate::store::items::{Item, Place};
use crate::store::mails::NewMail;
use std::collections::BTreeSet;

mod spent;

const STATUSES: [Status; 6] = [
    Status::Pending,
    Status::Held,
    Status::Approved,
    Status::Rejected,
    Status::Withdrawn,
    Status::Expired,
];
const CAUSES: [Cause; 10] = [
    Cause::Approve,
    Cause::Reject,
    Cause::Hold,
    Cause::Reopen,
    Cause::HoldOver,
    Cause::Gone,
    Cause::Back,
    Cause::Outside,
    Cause::Expire,
    Cause::Revised,
];
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A desk with one item, which is pending at version 1.
pub(super) fn desk() -> Store {
    let mut store = Store::in_memory().unwrap();
    store
        .write(|tx| {
            tx.0.execute_batch(
                "INSERT INTO field_classes (id, classes) VALUES (1, '{}');
                 INSERT INTO records (id, source, identity, revision, signal, classes, published, first_seen, changed_at, fields, body)
                 VALUES (1, 'news', 'a', zeroblob(32), zeroblob(32), 1, 0, 0, 0, x'', x'')",
            )?;
            let place = Place { queue: "general", rank: 1.0, due_at: None, expires_at: None };
            tx.open_item(1, Hash([0; 32]), &place, NOW).map(drop)
        })
        .unwrap();
    store
}

fn item(tx: &Tx<'_>) -> Item {
    tx.item(1).unwrap().unwrap()
}

fn decide(tx: &Tx<'_>, verdict: Verdict) -> Answer {
    let decision = Decision {
        id: &uuid::Uuid::now_v7().to_string(),
        item: 1,
        version: None,
        verdict,
        actor: "cli:test",
        reason: None,
        note: None,
        until: Some(NOW),
        writes: false,
    };
    tx.decide(&decision, NOW).unwrap()
}

/// Brings the item to a status by what the table allows.
fn bring(tx: &Tx<'_>, status: Status) {
    let advance = |cause| drop(tx.advance(&item(tx), cause, None, NOW).unwrap());
    match status {
        Status::Pending => {}
        Status::Held => drop(decide(tx, Verdict::Hold)),
        Status::Approved => drop(decide(tx, Verdict::Approve)),
        Status::Rejected => drop(decide(tx, Verdict::Reject)),
        Status::Withdrawn => advance(Cause::Gone),
        Status::Expired => advance(Cause::Expire),
    }
    assert_eq!(item(tx).status, status);
}

/// What the database says to a change of a desk whose item stands like this.
fn refused(status: Status, sql: &str) -> String {
    let answer = desk().write(|tx| {
        bring(tx, status);
        Ok::<_, StoreError>(tx.0.execute_batch(sql).err().map(|error| error.to_string()))
    });
    answer.unwrap().unwrap_or_default()
}

#[test]
fn the_schema_moves_an_item_where_the_table_does_and_nowhere_else() {
    let mut table = BTreeSet::new();
    let mut schema = BTreeSet::new();
    for from in STATUSES {
        let after = CAUSES.iter().filter_map(|cause| from.after(*cause));
        table.extend(after.map(|to| (from.as_str(), to.as_str())));
        for to in STATUSES {
            let verdict = match to {
                Status::Held => "hold",
                Status::Approved => "approve",
                _ => "reject",
            };
            // All that the other guards ask of such a move, so that this one alone may refuse.
            let sql = format!(
                "INSERT INTO decisions (id, item, kind, version, revision, actor, at)
                     SELECT 'd', id, '{verdict}', version, revision, 'cli:test', 0 FROM items;
                 UPDATE items SET status = '{to}', version = version + 1,
                     held_until = CASE WHEN '{to}' = 'held' THEN 1 END"
            );
            let answer = refused(from, &sql);
            if answer.is_empty() {
                schema.insert((from.as_str(), to.as_str()));
            } else {
                assert!(
                    answer.contains("does not move like that"),
                    "{from} to {to}: {answer}"
                );
            }
        }
    }
    assert_eq!(schema, table);
}

#[test]
fn what_has_happened_is_never_changed() {
    for (sql, says) in [
        (
            "UPDATE decisions SET actor = 'someone else'",
            "never changed",
        ),
        ("UPDATE decisions SET kind = 'reject'", "never changed"),
        ("DELETE FROM decisions", "never deleted"),
        ("UPDATE events SET at = 7", "never changed"),
        ("DELETE FROM events", "never deleted"),
        ("DELETE FROM items", "never deleted"),
        ("DELETE FROM records", "FOREIGN KEY"),
        ("UPDATE items SET version = version - 1", "only rises"),
        ("UPDATE items SET arrived_at = 7", "keeps its number"),
        (
            "UPDATE items SET status = 'rejected', version = version + 1",
            "by a decision",
        ),
        (
            "INSERT INTO decisions (id, item, kind, version, revision, actor, at)
              SELECT 'x', item, kind, version, revision, actor, at FROM decisions",
            "as it stands",
        ),
        (
            "INSERT INTO decisions (id, item, kind, version, revision, actor, at)
              SELECT 'x', id, 'reject', version, randomblob(32), 'a', 1 FROM items",
            "as it stands",
        ),
        (
            "INSERT INTO events (item, kind, version, actor, at) VALUES (1, 'x', 9, 'a', 1)",
            "has reached",
        ),
        (
            "INSERT INTO events (item, kind, version, actor, at) VALUES (9, 'x', 1, 'a', 1)",
            "FOREIGN KEY",
        ),
        (
            "INSERT INTO items (record, queue, status, version, revision, rank, arrived_at)
              SELECT record, queue, 'pending', 1, revision, rank, 0 FROM items",
            "UNIQUE",
        ),
        (
            "INSERT INTO items (record, queue, status, version, revision, rank, arrived_at)
              SELECT record, queue, status, version, revision, rank, 0 FROM items",
            "begins pending",
        ),
    ] {
        let answer = refused(Status::Approved, sql);
        assert!(answer.contains(says), "{sql}: {answer:?}");
    }
}

#[test]
fn a_mail_is_sent_with_an_answer_and_once() {
    let mail = NewMail {
        message_id: "<1@example.org>",
        kind: "digest",
        recipient: "ana@example.org",
        reason: "first digest",
        subject: "1 new",
        bytes: b"mail",
        items: &[],
    };
    let answer = |sql: &str| {
        let mut store = desk();
        let said = store.write(|tx| {
            tx.queue_mail(&mail, NOW)?;
            Ok::<_, StoreError>(tx.0.execute_batch(sql).err().map(|error| error.to_string()))
        });
        said.unwrap().unwrap_or_default()
    };
    let sent = "UPDATE mails SET status = 'sent', sent_at = 1, answer = '250 ok'";
    assert_eq!(answer(sent), "");
    for (sql, says) in [
        (
            "UPDATE mails SET status = 'sent', sent_at = 1".to_owned(),
            "has a time",
        ),
        (
            "UPDATE mails SET status = 'sent', answer = 'ok'".to_owned(),
            "has a time",
        ),
        (
            format!("{sent}; UPDATE mails SET status = 'queued'"),
            "never sent again",
        ),
        (
            "UPDATE mails SET status = 'failed', held = 'why'; UPDATE mails SET status = 'queued'"
                .to_owned(),
            "never sent again",
        ),
        ("UPDATE mails SET held = 'why'".to_owned(), "CHECK"),
        ("UPDATE mails SET bytes = x''".to_owned(), "never rewritten"),
        ("DELETE FROM mails".to_owned(), "never deleted"),
    ] {
        assert!(answer(&sql).contains(says), "{sql}: {:?}", answer(&sql));
    }
}
