//! What a record's state means for its item: opened, routed, brought back, withdrawn, or its
//! decision written again.

use super::reading::First;
use crate::item::{Cause, Status, Verdict};
use crate::record::location::Location;
use crate::record::source::{Class, OnChange, Source};
use crate::record::value::{Map, Value};
use crate::record::{self, Record, shown};
use crate::rules::assess::{Assessment, Occasion, Route, Subject};
use crate::rules::{Queue, RuleSet};
use crate::store::decide::Decision;
use crate::store::items::{Item, Place};
use crate::store::packing::Packed;
use crate::store::records::Known;
use crate::store::{StoreError, Tx};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// What is needed to settle the records of one source.
#[derive(Clone, Copy)]
pub(super) struct Settling<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) source: &'a Source,
    pub(super) now: Timestamp,
}

impl Settling<'_> {
    /// What is stored of a record if it was never seen.
    pub(super) fn first(&self, record: &Record) -> Result<First, StoreError> {
        let subject = self.subject(&record.fields, record.published, self.now);
        Ok(First {
            packed: Packed::of(record)?,
            assessment: self.rules.assess(&subject, Occasion::FIRST, self.now),
        })
    }

    /// A record that was never seen, and was just added.
    pub(super) fn first_seen(
        &self,
        tx: &Tx<'_>,
        id: i64,
        record: &Record,
        assessment: &Assessment,
    ) -> Result<(), StoreError> {
        let subject = self.subject(&record.fields, record.published, self.now);
        tx.add_assessment(id, self.rules.hash, assessment)?;
        self.open(tx, id, record.revision, &subject, assessment)
    }

    /// A record with a new revision: its item waits anew, whatever was decided and whatever the
    /// flag of the file says.
    pub(super) fn revised(
        &self,
        tx: &Tx<'_>,
        known: &Known,
        record: &Record,
        classes: i64,
    ) -> Result<(), StoreError> {
        let (fields, body) = tx.contents(known.id)?;
        tx.update_record(known.id, record, &Packed::of(record)?, classes, self.now)?;
        let subject = self.subject(&record.fields, record.published, known.first_seen);
        let item = tx.item_of(known.id)?;
        let occasion = match &item {
            Some(item) => Occasion::revised(self.rules, &item.queue),
            None => Occasion::FIRST,
        };
        let assessment = self.rules.assess(&subject, occasion, self.now);
        tx.put_assessment(known.id, self.rules.hash, &assessment)?;
        let Some(item) = item else {
            return self.open(tx, known.id, record.revision, &subject, &assessment);
        };
        let after_approval = item.status == Status::Approved || item.changed_after_approval;
        tx.set_item_revision(item.id, record.revision, after_approval)?;
        let item = Item {
            revision: record.revision,
            changed_after_approval: after_approval,
            ..item
        };
        let detail = json!({
            "changed": changes(&fields, &body, record, self.source),
            "after_approval": after_approval,
        });
        let Some(moved) = tx.advance(&item, Cause::Revised, Some(&detail), self.now)? else {
            return Ok(());
        };
        if item.status == Status::Approved
            && self.source.on_change == OnChange::Unpublish
            && self.source.write
        {
            let approval = tx
                .decisions(item.id)?
                .into_iter()
                .rfind(|d| d.verdict == Verdict::Approve);
            if let Some(approval) = approval {
                tx.request_writes(&moved, &approval.id, "unpublish", None, self.now)?;
            }
        }
        let Some(queue) = self.queue(&assessment) else {
            return self.unrouted(tx, &moved);
        };
        let mut place = self.place(queue, &subject, &assessment, self.now);
        if after_approval {
            place.due_at = Some(self.now);
        } else if item.status.is_open() {
            place.due_at = earlier(item.due_at, place.due_at);
        }
        tx.place_item(&moved, &place, self.now)?;
        self.decide_by_queue(tx, &moved, &assessment)
    }

    /// A record whose content is as it was; its signals, its flag or its place may have changed.
    /// Returns whether it scores otherwise.
    pub(super) fn same_revision(
        &self,
        tx: &Tx<'_>,
        known: &Known,
        location: &Location,
        record: &Record,
        classes: i64,
    ) -> Result<bool, StoreError> {
        let same = known.revision == record.revision
            && known.signal == record.signal
            && known.published == record.published
            && known.flag == record.flag
            && known.classes == classes
            && known.identity == record.identity
            && known.gone_at.is_none();
        if same {
            self.keep_decided(tx, known.id, location, record.published)?;
            return Ok(false);
        }
        tx.update_record(known.id, record, &Packed::of(record)?, classes, self.now)?;
        let item = tx.item_of(known.id)?;
        if let Some(item) = item
            .as_ref()
            .filter(|item| item.revision != record.revision)
        {
            tx.set_item_revision(item.id, record.revision, item.changed_after_approval)?;
        }
        let subject = self.subject(&record.fields, record.published, known.first_seen);
        let published_by_others = record.published
            && !known.published
            && item.as_ref().is_some_and(|item| item.status.is_open());
        if let (true, Some(item)) = (published_by_others, &item) {
            let assessment = self.rules.assess(&subject, Occasion::FIRST, self.now);
            if self.queue(&assessment).is_none() {
                tx.put_assessment(known.id, self.rules.hash, &assessment)?;
                let detail = json!({"why": "its file was published by someone else"});
                tx.advance(item, Cause::Outside, Some(&detail), self.now)?;
                return Ok(false);
            }
        }
        let known = Known {
            revision: record.revision,
            published: record.published,
            ..known.clone()
        };
        let rescored = self.score_again(tx, &known, &record.fields)?;
        self.keep_decided(tx, known.id, location, record.published)?;
        Ok(rescored)
    }

    /// Scores and routes a record again. Returns whether that changed anything.
    pub(super) fn score_again(
        &self,
        tx: &Tx<'_>,
        known: &Known,
        fields: &Map,
    ) -> Result<bool, StoreError> {
        let subject = self.subject(fields, known.published, known.first_seen);
        let item = tx.item_of(known.id)?;
        let occasion = match &item {
            None => Occasion::FIRST,
            Some(item) if item.status == Status::Withdrawn => Occasion::BACK,
            Some(item) => Occasion::again(self.rules, &item.queue),
        };
        let mut assessment = self.rules.assess(&subject, occasion, self.now);
        let kept_in = item.as_ref().and_then(|item| self.kept_in(item));
        // What goes elsewhere goes when the claim has ended.
        if let (Some(stays), Some(item)) = (kept_in, &item)
            && assessment.route.queue() != Some(&stays.name)
        {
            let until = item.claim(self.now).map(|(_, until)| until);
            assessment.flips_at = earlier(assessment.flips_at, until);
        }
        let before = tx.assessment(known.id)?;
        tx.put_assessment(known.id, self.rules.hash, &assessment)?;
        let Some(item) = item else {
            self.open(tx, known.id, known.revision, &subject, &assessment)?;
            return Ok(changed(before.as_ref(), &assessment));
        };
        match (kept_in.or_else(|| self.queue(&assessment)), item.status) {
            (Some(queue), Status::Pending | Status::Held) => {
                let since = tx.waiting_since(item.id)?.unwrap_or(item.arrived_at);
                let mut place = self.place(queue, &subject, &assessment, since);
                place.due_at = earlier(item.due_at, place.due_at);
                tx.place_item(&item, &place, self.now)?;
            }
            (Some(queue), Status::Withdrawn) => {
                if let Some(moved) = tx.advance(&item, Cause::Back, None, self.now)? {
                    let place = self.place(queue, &subject, &assessment, self.now);
                    let due_at = item.due_at.or(place.due_at);
                    tx.place_item(&moved, &Place { due_at, ..place }, self.now)?;
                }
            }
            (None, Status::Pending | Status::Held) => self.unrouted(tx, &item)?,
            _ => {}
        }
        Ok(changed(before.as_ref(), &assessment))
    }

    /// Writes a standing decision again when a file does not carry it, unless upstream takes it
    /// back so often that it is a fight.
    pub(super) fn keep_decided(
        &self,
        tx: &Tx<'_>,
        record: i64,
        location: &Location,
        published: bool,
    ) -> Result<(), StoreError> {
        let Some(item) = tx.item_of(record)? else {
            return Ok(());
        };
        if !item.status.is_decided() {
            return self.keep_reopened(tx, &item, location);
        }
        let sets = if item.status == Status::Approved {
            &self.source.approve
        } else {
            &self.source.reject
        };
        // A file that stands here was not moved out, or is here again.
        let moves_out = item.status == Status::Rejected && self.source.move_to.is_some();
        let carried = !moves_out
            && self
                .source
                .wants_published(sets)
                .is_none_or(|wanted| wanted == published);
        if carried || !self.source.write || tx.is_write_pending(item.id, location)? {
            return Ok(());
        }
        if tx.is_decided_before_restore(item.id)? {
            let error = "a backup was restored, and the file says otherwise than the decision in it; decide again";
            return self.stop_reasserting(tx, &item, location, error);
        }
        let limits = self.rules.desk.reassert;
        let often = |span, limit| {
            Ok::<_, StoreError>(tx.reasserts(item.id, location, span, self.now)? >= limit)
        };
        if often(SignedDuration::from_mins(10), limits.per_10_minutes)?
            || often(SignedDuration::from_hours(24), limits.per_day)?
        {
            let error =
                "upstream takes the decision back each time it is written; it is not written again";
            return self.stop_reasserting(tx, &item, location, error);
        }
        tx.reassert(&item, location, self.now)?;
        tx.add_event(&item, "reasserted", "copydesk", None, self.now)
    }

    /// Takes back what our writes have changed in a file that a reopening has not come to: it had
    /// moved, or holds the story as a second one.
    fn keep_reopened(
        &self,
        tx: &Tx<'_>,
        item: &Item,
        location: &Location,
    ) -> Result<(), StoreError> {
        let Some(reopen) = tx.reopen_to_come(item.id, location)? else {
            return Ok(());
        };
        let source = &self.source.name;
        let Some(raw) = tx.location(source, location)?.and_then(|found| found.raw) else {
            return Ok(());
        };
        let is_left = !tx
            .writes(item.id, source, location)?
            .standing(raw)
            .is_empty();
        if self.source.write && is_left {
            tx.request_writes(item, &reopen, "reopen", Some(location), self.now)?;
        }
        Ok(())
    }

    fn stop_reasserting(
        &self,
        tx: &Tx<'_>,
        item: &Item,
        location: &Location,
        error: &str,
    ) -> Result<(), StoreError> {
        if tx.stop_reasserting(item, location, error, self.now)? {
            tx.add_event(item, "reassert_stopped", "copydesk", None, self.now)?;
        }
        Ok(())
    }

    fn subject<'s>(
        &'s self,
        fields: &'s Map,
        published: bool,
        first_seen: Timestamp,
    ) -> Subject<'s> {
        Subject {
            fields,
            published,
            first_seen,
            source: &self.source.name,
        }
    }

    fn queue(&self, assessment: &Assessment) -> Option<&Queue> {
        match &assessment.route {
            Route::Queue(name, _) => self.rules.queue(name),
            _ => None,
        }
    }

    /// The queue in which an open item stays, whatever its score: a person chose it, or works on it.
    fn kept_in(&self, item: &Item) -> Option<&Queue> {
        let kept = item.queue_by_hand || item.claim(self.now).is_some();
        let queue = self.rules.queue(&item.queue);
        queue.filter(|_| kept && item.status.is_open())
    }

    fn place<'q>(
        &self,
        queue: &'q Queue,
        subject: &Subject<'_>,
        assessment: &Assessment,
        from: Timestamp,
    ) -> Place<'q> {
        let published = record::published_at(subject.fields).unwrap_or(subject.first_seen);
        Place::of(queue, assessment.score.total, published, from)
    }

    fn open(
        &self,
        tx: &Tx<'_>,
        record: i64,
        revision: record::Hash,
        subject: &Subject<'_>,
        assessment: &Assessment,
    ) -> Result<(), StoreError> {
        let Some(queue) = self.queue(assessment) else {
            return Ok(());
        };
        let place = self.place(queue, subject, assessment, self.now);
        let item = tx.open_item(record, revision, &place, self.now)?;
        if tracing::enabled!(tracing::Level::INFO) {
            let files = tx.locations_of(record)?;
            let location = files
                .first()
                .map(|found| shown::line(found.location.as_str(), 200));
            tracing::info!(
                item = item.id,
                queue = item.queue,
                location,
                "Queued item {} in {}",
                item.id,
                item.queue
            );
        }
        self.decide_by_queue(tx, &item, assessment)
    }

    fn decide_by_queue(
        &self,
        tx: &Tx<'_>,
        item: &Item,
        assessment: &Assessment,
    ) -> Result<(), StoreError> {
        let Route::Queue(name, Some(verdict)) = &assessment.route else {
            return Ok(());
        };
        let id = uuid::Uuid::now_v7().to_string();
        let decision = Decision {
            id: &id,
            item: item.id,
            version: Some(item.version),
            verdict: *verdict,
            actor: &format!("queue:{name}"),
            reason: None,
            note: None,
            until: None,
            writes: self.source.write,
        };
        tx.decide(&decision, self.now).map(drop)
    }

    fn unrouted(&self, tx: &Tx<'_>, item: &Item) -> Result<(), StoreError> {
        let detail = json!({"why": "no queue takes it any more"});
        tx.advance(item, Cause::Gone, Some(&detail), self.now)
            .map(drop)
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn changed(before: Option<&crate::store::records::Assessed>, after: &Assessment) -> bool {
    before.is_none_or(|before| {
        before.score != after.score
            || before.queue.as_deref() != after.route.queue()
            || before.hits != after.hits
    })
}

/// What changed from one revision to the next: each content field, before and after, cut to what a
/// person can take in.
fn changes(fields: &Map, body: &str, record: &Record, source: &Source) -> Vec<serde_json::Value> {
    let is_content = |key: &str| source.classes.of(key) == Class::Content;
    let keys = fields.iter().map(|(key, _)| key);
    let added = record
        .fields
        .iter()
        .map(|(key, _)| key)
        .filter(|key| fields.get(key).is_none());
    let cut = |value: Option<&Value>| value.map(|value| shown::line(&value.to_string(), 200));
    let mut changes: Vec<_> = keys
        .chain(added)
        .filter(|key| is_content(key) && fields.get(key) != record.fields.get(key))
        .map(|key| json!({"field": key, "before": cut(fields.get(key)), "after": cut(record.fields.get(key))}))
        .collect();
    if body.trim_end() != record.body.trim_end() {
        changes.push(json!({"field": "body", "before": shown::line(body, 200), "after": shown::line(&record.body, 200)}));
    }
    changes
}
