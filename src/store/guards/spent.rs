//! What the schema lets go once nothing needs it, and what it keeps.

use super::*;
use crate::store::mails::Telling;

#[test]
fn what_is_needed_is_never_forgotten() {
    // Each is what the view of its kind calls spent, but for one thing.
    let event =
        "INSERT INTO events (item, kind, version, actor, at) VALUES (1, 'written', 1, 'a', 1)";
    let two = format!("{event}; {event}");
    let reopened =
        "INSERT INTO events (item, kind, version, actor, at) VALUES (1, 'reopened', 1, 'a', 1)";
    let again = |kind: &str| {
        format!(
            "INSERT INTO events (item, kind, version, actor, at) VALUES (1, '{kind}', 1, 'a', 1); {event}"
        )
    };
    for (status, first, which, says) in [
        (
            Status::Approved,
            two.clone(),
            "kind = 'written' AND id = 3",
            "",
        ),
        (
            Status::Approved,
            two.clone(),
            "kind = 'written' AND id = 4",
            "is needed",
        ),
        (
            Status::Pending,
            two.clone(),
            "kind = 'written' AND id = 2",
            "is needed",
        ),
        (
            Status::Held,
            two.clone(),
            "kind = 'written' AND id = 3",
            "is needed",
        ),
        (
            Status::Approved,
            two.clone(),
            "kind = 'queued'",
            "is needed",
        ),
        (
            Status::Approved,
            two.clone(),
            "kind = 'approved'",
            "is needed",
        ),
        (
            Status::Rejected,
            two.clone(),
            "kind = 'rejected'",
            "is needed",
        ),
        (Status::Withdrawn, two.clone(), "kind = 'gone'", "is needed"),
        (
            Status::Expired,
            two.clone(),
            "kind = 'expired'",
            "is needed",
        ),
        (
            Status::Approved,
            again("outside"),
            "kind = 'outside'",
            "is needed",
        ),
        (
            Status::Approved,
            again("back"),
            "kind = 'back'",
            "is needed",
        ),
        (
            Status::Approved,
            again("hold_over"),
            "kind = 'hold_over'",
            "is needed",
        ),
        (
            Status::Approved,
            again("reopened"),
            "kind = 'reopened'",
            "is needed",
        ),
        (
            Status::Approved,
            again("revised"),
            "kind = 'revised'",
            "is needed",
        ),
        (
            Status::Approved,
            format!("{}; {reopened}", again("revised")),
            "kind = 'revised'",
            "is needed",
        ),
        (Status::Approved, again("revised"), "kind = 'queued'", ""),
        (Status::Approved, again("reopened"), "kind = 'approved'", ""),
    ] {
        let answer = refused(
            status,
            &format!("{first}; DELETE FROM events WHERE {which}"),
        );
        let fits = if says.is_empty() {
            answer.is_empty()
        } else {
            answer.contains(says)
        };
        assert!(fits, "{status}: {which}: {answer:?}");
    }
}

#[test]
fn every_cause_is_one_of_the_kinds_of_which_the_newest_stays() {
    let view = MIGRATIONS
        .iter()
        .find(|sql| sql.contains("VIEW spent_events"));
    for kind in CAUSES.map(Cause::as_str).into_iter().chain(["queued"]) {
        assert!(view.unwrap().contains(&format!("'{kind}'")), "{kind}");
    }
}

#[test]
fn mails_and_what_they_told_go_when_they_are_told_again_or_their_item_is_closed() {
    let answer = |status: Status, sql: &str| {
        let mut store = desk();
        let said = store.write(|tx| {
            for (id, to) in [("<1@x>", "ana"), ("<2@x>", "ana"), ("<3@x>", "ben")] {
                let told = [Telling {
                    item: 1,
                    version: 1,
                    overdue: true,
                    escalation: i64::from(to == "ben"),
                }];
                let mail = NewMail {
                    message_id: id,
                    kind: "digest",
                    recipient: to,
                    reason: "first digest",
                    subject: "1 new",
                    bytes: b"mail",
                    items: &told,
                };
                tx.queue_mail(&mail, NOW)?;
            }
            tx.0.execute_batch(
                "UPDATE mails SET status = 'sent', sent_at = 1, answer = '250 ok' WHERE id < 4",
            )?;
            bring(tx, status);
            Ok::<_, StoreError>(tx.0.execute_batch(sql).err().map(|error| error.to_string()))
        });
        said.unwrap().unwrap_or_default()
    };
    use Status::{Approved, Expired, Pending, Withdrawn};
    let unsent = "INSERT INTO mails (message_id, kind, recipient, reason, subject, bytes, status, next_at, created_at)
                  VALUES ('<4@x>', 'digest', 'ben', '', '', x'00', 'queued', 1, 1)";
    let later = format!(
        "{unsent}; UPDATE mails SET status = 'sent', sent_at = 1, answer = 'ok' WHERE id = 4;
                         INSERT INTO mail_log (mail, item, version, overdue) VALUES (4, 1, 1, 1)"
    );
    for (status, sql, says) in [
        (
            Pending,
            "DELETE FROM mail_log WHERE mail = 1".to_owned(),
            "",
        ),
        (
            Pending,
            "DELETE FROM mail_log WHERE mail = 2".to_owned(),
            "told of an item",
        ),
        (
            Withdrawn,
            "DELETE FROM mail_log WHERE mail = 2".to_owned(),
            "told of an item",
        ),
        (Approved, "DELETE FROM mail_log".to_owned(), ""),
        (Expired, "DELETE FROM mail_log".to_owned(), ""),
        // That it is long overdue was told, and will not be again.
        (
            Pending,
            format!("{later}; DELETE FROM mail_log WHERE mail = 3"),
            "told of an item",
        ),
        (
            Pending,
            "DELETE FROM mails WHERE id = 1".to_owned(),
            "never deleted",
        ),
        (
            Pending,
            "DELETE FROM mail_log WHERE mail = 1; DELETE FROM mails WHERE id = 1".to_owned(),
            "",
        ),
        (
            Approved,
            "DELETE FROM mail_log; DELETE FROM mails WHERE id = 2".to_owned(),
            "never deleted",
        ),
        (
            Approved,
            format!("DELETE FROM mail_log; {unsent}; DELETE FROM mails WHERE id = 3"),
            "never deleted",
        ),
        (
            Approved,
            format!("{unsent}; DELETE FROM mails WHERE id = 4"),
            "never deleted",
        ),
        (
            Pending,
            "UPDATE mails SET bytes = x'' WHERE id = 1".to_owned(),
            "",
        ),
        (
            Pending,
            "UPDATE mails SET bytes = x'00' WHERE id = 1".to_owned(),
            "never rewritten",
        ),
        (
            Pending,
            "UPDATE mails SET bytes = x'', recipient = 'bo' WHERE id = 1".to_owned(),
            "never rewritten",
        ),
        (
            Pending,
            format!("{unsent}; UPDATE mails SET bytes = x'' WHERE id = 4"),
            "never rewritten",
        ),
    ] {
        let said = answer(status, &sql);
        let fits = if says.is_empty() {
            said.is_empty()
        } else {
            said.contains(says)
        };
        assert!(fits, "{status}: {sql}: {said:?}");
    }
}

#[test]
fn a_write_back_goes_when_a_later_one_repeats_it_and_it_adds_nothing() {
    let (a, b) = (
        r#"[{"key":"p","before":"false","after":"true"}]"#,
        r#"[{"key":"p","before":null,"after":"true"}]"#,
    );
    let row = |id: i64, path: &str, verb: &str, status: &str, undo: Option<&str>, more: &str| {
        let undo = undo.map_or("NULL".to_owned(), |undo| format!("'{undo}'"));
        format!(
            "INSERT INTO write_backs (id, decision, item, source, path, verb, status, next_at, undo, created_at, closed_at, new, aside)
             SELECT {id}, id, 1, 'news', '{path}', '{verb}', '{status}', 0, {undo}, 0, 0, {more} FROM decisions;"
        )
    };
    let made = |id, undo, new: &str| {
        row(
            id,
            "a.md",
            "approve",
            "done",
            Some(undo),
            &format!("{new}, NULL"),
        )
    };
    let done = |id, undo| made(id, undo, "x'00'");
    let four = [1, 2, 3, 4].map(|id| done(id, a));
    let there = "INSERT INTO locations (source, path, record, revision, raw, stat, first_seen)
                 VALUES ('news', 'b.md', 1, zeroblob(32), x'00', x'', 0);";
    let stopped = |id| row(id, "a.md", "approve", "stopped", None, "NULL, NULL");
    let [first, second, third, fourth] = &four;
    for (rows, id, goes) in [
        (four.concat(), 3, true),
        (four.concat(), 4, false), // nothing later repeats it
        (four.concat(), 2, false), // what was before it is still part of what is taken back
        (
            format!(
                "{first}{second}{}{}{fourth}",
                third.replace("'done'", "'pending'"),
                ""
            ),
            3,
            false,
        ),
        (format!("{first}{second}{}{fourth}", done(3, b)), 3, false),
        (format!("{}{second}{third}{fourth}", done(1, b)), 3, false),
        (format!("{first}{second}{third}{}", done(4, b)), 3, false),
        (
            format!(
                "{first}{second}{third}{}",
                row(4, "b.md", "approve", "done", Some(a), "NULL, NULL")
            ),
            3,
            false,
        ),
        (format!("{first}{second}{third}{fourth}{there}"), 3, true),
        (
            format!("{first}{}{third}{fourth}{there}", made(2, a, "x'01'")),
            3,
            false,
        ),
        (
            format!("{first}{}{third}{fourth}", made(2, a, "x'01'")),
            3,
            true,
        ),
        (
            format!(
                "{first}{second}{}{fourth}",
                row(3, "a.md", "approve", "done", Some(a), "x'00', '.aside'")
            ),
            3,
            false,
        ),
        (format!("{}{}", stopped(1), stopped(2)), 1, true),
        (format!("{}{}", stopped(1), stopped(2)), 2, false),
        (format!("{}{first}", stopped(9)), 9, false),
        (
            [1, 2]
                .map(|id| row(id, "a.md", "reopen", "stale", None, "NULL, NULL"))
                .concat(),
            1,
            false,
        ),
    ] {
        let sql = format!("{rows} DELETE FROM write_backs WHERE id = {id}");
        let answer = refused(Status::Approved, &sql);
        let fits = if goes {
            answer.is_empty()
        } else {
            answer.contains("never deleted")
        };
        assert!(fits, "{sql}: {answer:?}");
    }
}
