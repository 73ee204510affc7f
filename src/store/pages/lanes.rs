//! Several queues walked as one list, each along an index.

use super::mark::Mark;
use super::{Ask, Sort};
use crate::item::Status;
use crate::store::{StoreError, Tx};
use rusqlite::types::Value as SqlValue;
use std::cmp::Ordering;
use std::collections::VecDeque;

/// A walk over what is open in some queues.
pub(super) struct Lanes<'a> {
    ask: &'a Ask<'a>,
    back: bool,
    /// How many keys are read at once.
    many: usize,
    lanes: Vec<Lane<'a>>,
}

struct Lane<'a> {
    name: &'a str,
    queue: usize,
    from: Option<Mark>,
    read: VecDeque<Mark>,
    ended: bool,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(ask: &'a Ask<'a>, from: Option<Mark>, back: bool, many: usize) -> Self {
        let lanes = ask.queues.iter().enumerate().map(|(queue, name)| {
            // By rank, a mark in one queue is behind all of the queues before it.
            let side = match from.filter(|_| ask.sort == Sort::Rank) {
                Some(mark) if back => mark.queue.cmp(&queue),
                Some(mark) => queue.cmp(&mark.queue),
                None => Ordering::Equal,
            };
            Lane {
                name,
                queue,
                from: from.filter(|_| side == Ordering::Equal),
                read: VecDeque::new(),
                ended: side == Ordering::Less,
            }
        });
        let mut lanes: Vec<_> = lanes.collect();
        if back {
            lanes.reverse();
        }
        Self {
            ask,
            back,
            many,
            lanes,
        }
    }

    /// The next one.
    pub(super) fn next(&mut self, tx: &Tx<'_>) -> Result<Option<Mark>, StoreError> {
        let mut best: Option<(usize, Mark)> = None;
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.read.is_empty() && !lane.ended {
                lane.read = tx.marks(self.ask, lane, self.back, self.many)?;
                lane.ended = lane.read.len() < self.many;
                lane.from = lane.read.back().map(|last| match self.back {
                    false => *last,
                    true => last.before(self.ask.sort),
                });
            }
            let Some(mark) = lane.read.front() else {
                continue;
            };
            if best.is_none_or(|(_, best)| goes_first(*mark, best, self.ask.sort, self.back)) {
                best = Some((at, *mark));
            }
            if self.ask.sort == Sort::Rank {
                break;
            }
        }
        let lane = best.and_then(|(at, _)| self.lanes.get_mut(at));
        Ok(lane.and_then(|lane| lane.read.pop_front()))
    }
}

/// Whether `a` is walked over before `b`; by another order than rank.
fn goes_first(a: Mark, b: Mark, sort: Sort, back: bool) -> bool {
    let turned = |order: Ordering, falls: bool| if falls { order.reverse() } else { order };
    let keys = turned(a.key.cmp(&b.key), sort.falls() != back);
    let numbers = turned(a.id.cmp(&b.id), sort.numbers_fall() != back);
    keys.then(numbers).is_lt()
}

impl Tx<'_> {
    /// The next keys of a queue: first those that are alike with the mark, then the others. Each is a
    /// range of an index.
    fn marks(
        &self,
        ask: &Ask<'_>,
        lane: &Lane<'_>,
        back: bool,
        many: usize,
    ) -> Result<VecDeque<Mark>, StoreError> {
        let sort = ask.sort;
        let (falls, numbers_fall) = (sort.falls() != back, sort.numbers_fall() != back);
        let dir = |falls| if falls { "DESC" } else { "ASC" };
        let op = |falls| if falls { "<" } else { ">" };
        let (of, who) = among(ask);
        let key = sort.key();
        let values = |start: SqlValue, many: usize| {
            let many = i64::try_from(many).unwrap_or(i64::MAX);
            let queue = SqlValue::Text(lane.name.to_owned());
            let mut values = vec![queue, start, SqlValue::Integer(many)];
            values.extend(who.map(|who| SqlValue::Text(who.to_owned())));
            values
        };
        let mut marks = VecDeque::new();
        let mut start = sort.beyond(falls);
        if let Some(from) = lane.from {
            start = sort.value(from.key);
            let mut values = values(start.clone(), many);
            values.push(SqlValue::Integer(from.id));
            let sql = format!(
                "SELECT {key}, i.id FROM items i
                 WHERE i.queue = ?1 AND {of} AND {key} = ?2 AND i.id {}{} ?{}
                 ORDER BY i.id {} LIMIT ?3",
                op(numbers_fall),
                if back { "=" } else { "" },
                values.len(),
                dir(numbers_fall)
            );
            marks.extend(self.keys(&sql, values, lane.queue, sort)?);
        }
        if marks.len() < many {
            let sql = format!(
                "SELECT {key}, i.id FROM items i WHERE i.queue = ?1 AND {of} AND {key} {} ?2
                 ORDER BY {key} {}, i.id {} LIMIT ?3",
                op(falls),
                dir(falls),
                dir(numbers_fall)
            );
            let values = values(start, many - marks.len());
            marks.extend(self.keys(&sql, values, lane.queue, sort)?);
        }
        Ok(marks)
    }

    fn keys(
        &self,
        sql: &str,
        values: Vec<SqlValue>,
        queue: usize,
        sort: Sort,
    ) -> Result<Vec<Mark>, StoreError> {
        self.all(sql, rusqlite::params_from_iter(values), |row| {
            let key = match sort {
                Sort::Rank => row.get::<_, f64>(0)?.to_bits().cast_signed(),
                _ => row.get(0)?,
            };
            let id = row.get(1)?;
            Ok(Mark { queue, key, id })
        })
    }
}

/// The items that a walk goes over. Few are in someone's hands or held, and have indexes of their own;
/// they are sorted when they are found.
fn among<'a>(ask: &Ask<'a>) -> (&'static str, Option<&'a str>) {
    if ask.claimed_by.is_some() {
        ("i.claimed_by = ?4", ask.claimed_by)
    } else if ask.assigned_to.is_some() {
        ("i.assigned_to = ?4", ask.assigned_to)
    } else if ask.status == Some(Status::Held) {
        ("i.status = 'held'", None)
    } else {
        ("i.status IN ('pending', 'held')", None)
    }
}
