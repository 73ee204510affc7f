//! What was decided, for every face: pages, the whole of it as a file, and the desk in numbers.

use crate::schedule::rfc3339;
use crate::store::past::{MOST, Past, PastAsk};
use crate::store::tallies::Flow;
use crate::store::{Store, StoreError, Tx};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{self, Write};

/// A decision, as printed.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct PastLine {
    /// Its UUID.
    pub id: String,
    /// When: RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// `approve`, `reject`, `hold` or `reopen`.
    pub kind: &'static str,
    /// The item.
    pub item: i64,
    /// The version that it was made on.
    pub version: i64,
    /// The queue that the item waits in, or waited in last.
    pub queue: String,
    /// The title, if the record has one.
    pub title: Option<String>,
    /// The source.
    pub source: String,
    /// The path of the leading file.
    pub location: Option<String>,
    /// By whom.
    pub actor: String,
    /// The key of a rejection's reason.
    pub reason: Option<String>,
    /// A note.
    pub note: Option<String>,
    /// Until when the item was held.
    #[schemars(extend("format" = "date-time"))]
    pub until: Option<String>,
    /// What came of writing it into files.
    pub writes: Vec<WroteLine>,
}

/// What came of a write-back, as printed.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct WroteLine {
    /// The file.
    pub location: String,
    /// `pending`, `done`, `superseded`, `stale`, `refused` or `stopped`.
    pub status: String,
    /// Why it was not done.
    pub error: Option<String>,
}

impl From<Past> for PastLine {
    fn from(past: Past) -> Self {
        let writes = past.writes.into_iter().map(|wrote| WroteLine {
            location: wrote.location.to_string(),
            status: wrote.status,
            error: wrote.error,
        });
        Self {
            location: past.called.path(),
            id: past.id,
            at: rfc3339(past.at),
            kind: past.verdict.as_str(),
            item: past.item,
            version: past.version,
            queue: past.queue,
            title: past.called.title,
            source: past.called.source,
            actor: past.actor,
            reason: past.reason,
            note: past.note,
            until: past.until.map(rfc3339),
            writes: writes.collect(),
        }
    }
}

/// Why the history was not written out.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever reads it is gone, or what it is written to failed.
    #[error("the history cannot be written out: {0}")]
    Out(#[from] io::Error),
}

/// Shows every decision that is asked for, newest first, holding a page of them at a time. Each page
/// is read at a moment of its own: no decision is ever changed, and new ones stand before the first.
///
/// # Errors
/// What `show` returns, or [`StoreError`].
pub fn each_decision<E: From<StoreError>>(
    store: &mut Store,
    ask: &PastAsk<'_>,
    mut show: impl FnMut(PastLine) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = ask.at.map(str::to_owned);
    loop {
        let page = PastAsk {
            at: at.as_deref(),
            size: Some(MOST),
            ..ask.clone()
        };
        let page = store.read(|tx| tx.past(&page))?;
        page.rows
            .into_iter()
            .map(PastLine::from)
            .try_for_each(&mut show)?;
        at = page.next;
        if at.is_none() {
            return Ok(());
        }
    }
}

/// Writes the decisions as JSON, one on each line.
///
/// # Errors
/// [`HistoryError`].
pub fn json_lines(
    store: &mut Store,
    ask: &PastAsk<'_>,
    out: &mut impl Write,
) -> Result<(), HistoryError> {
    each_decision(store, ask, |line| {
        serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
        Ok(out.write_all(b"\n")?)
    })
}

/// Writes the decisions as CSV (RFC 4180), with a line of names first. What a spreadsheet would take
/// for a formula has an apostrophe before it.
///
/// # Errors
/// [`HistoryError`].
pub fn csv(store: &mut Store, ask: &PastAsk<'_>, out: &mut impl Write) -> Result<(), HistoryError> {
    const NAMES: [&str; 13] = [
        "at", "kind", "item", "version", "queue", "title", "source", "location", "actor", "reason",
        "note", "until", "written",
    ];
    csv_line(out, NAMES)?;
    each_decision(store, ask, |line| {
        let writes = line.writes.iter();
        let written: Vec<_> = writes.map(|wrote| wrote.status.as_str()).collect();
        let (item, version) = (line.item.to_string(), line.version.to_string());
        let cell = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let (title, location) = (cell(&line.title), cell(&line.location));
        let (reason, note, until) = (cell(&line.reason), cell(&line.note), cell(&line.until));
        let cells = [
            &line.at,
            line.kind,
            &item,
            &version,
            &line.queue,
            &title,
            &line.source,
            &location,
            &line.actor,
            &reason,
            &note,
            &until,
            &written.join(" "),
        ];
        Ok(csv_line(out, cells)?)
    })
}

fn csv_line<'c>(out: &mut impl Write, cells: impl IntoIterator<Item = &'c str>) -> io::Result<()> {
    let mut line = String::new();
    for cell in cells {
        if !line.is_empty() {
            line.push(',');
        }
        let acts = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        line.push('"');
        line.push_str(if acts { "'" } else { "" });
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    }
    out.write_all(line.as_bytes())?;
    out.write_all(b"\r\n")
}

/// What came in and was decided on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// What came in and was decided from its first moment to the next day's.
    pub flow: Flow,
}

/// Days that can be asked for at once.
const MOST_DAYS: usize = 366;

/// The last so many days in a time zone, oldest first, with today.
///
/// # Errors
/// [`StoreError`].
pub fn days(
    tx: &Tx<'_>,
    days: usize,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Vec<Day>, StoreError> {
    let today = now.to_zoned(zone.clone()).date();
    let back = i64::try_from(days.min(MOST_DAYS)).unwrap_or_default();
    let start = |date: Date| {
        let zoned = date.to_zoned(zone.clone());
        zoned.map_or(now, |zoned| zoned.timestamp())
    };
    let dates = (0..back)
        .rev()
        .filter_map(|n| today.checked_sub(n.days()).ok());
    let day = |date: Date| {
        let next = date.tomorrow().unwrap_or(date);
        let flow = tx.flow(start(date), start(next))?;
        Ok(Day { date, flow })
    };
    dates.map(day).collect()
}

/// How many pending items have waited so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// They have waited less than this, and not less than the age before; `None` is any longer.
    pub under: Option<SignedDuration>,
    /// How many.
    pub items: i64,
}

/// How long what is pending in these queues has waited.
///
/// # Errors
/// [`StoreError`].
pub fn ages(tx: &Tx<'_>, queues: &[&str], now: Timestamp) -> Result<Vec<Age>, StoreError> {
    const HOURS: [i64; 6] = [1, 6, 24, 3 * 24, 7 * 24, 30 * 24];
    let mut ages = Vec::new();
    // What arrived by a clock that was ahead is young.
    let mut to = Timestamp::MAX;
    let unders = HOURS
        .into_iter()
        .map(|hours| Some(SignedDuration::from_hours(hours)));
    for under in unders.chain([None]) {
        let from = under.and_then(|under| now.checked_sub(under).ok());
        let from = from.unwrap_or(Timestamp::MIN);
        let mut items = 0;
        for queue in queues {
            items += tx.waiting_count(queue, from, to)?;
        }
        ages.push(Age { under, items });
        to = from;
    }
    Ok(ages)
}

#[cfg(test)]
mod tests;
