//! Orders of a list, and marks in it: where a page begins, as text that a link can carry.

use super::Ask;
use crate::store::StoreError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rusqlite::types::Value as SqlValue;

/// What a page is sorted by. Of two items that are alike the one that came first is first, but by
/// `Newest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The order of the queue; several queues follow one another.
    #[default]
    Rank,
    /// Arrived first.
    Oldest,
    /// Arrived last.
    Newest,
    /// The highest total.
    Score,
    /// Due first; what is never due is last.
    Due,
}

impl Sort {
    /// Every order.
    pub const ALL: [Self; 5] = [
        Self::Rank,
        Self::Oldest,
        Self::Newest,
        Self::Score,
        Self::Due,
    ];

    /// The word for it, as addresses have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Oldest => "oldest",
            Self::Newest => "newest",
            Self::Score => "score",
            Self::Due => "due",
        }
    }

    /// The order of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == word)
    }

    /// What is compared first; each is the key of an index.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Rank => "i.rank",
            Self::Oldest | Self::Newest => "i.arrived_at",
            Self::Score => "i.score",
            Self::Due => "coalesce(i.due_at, 9223372036854775807)",
        }
    }

    /// Whether the highest key is first.
    pub(super) fn falls(self) -> bool {
        matches!(self, Self::Rank | Self::Newest | Self::Score)
    }

    /// Whether of equal keys the highest number is first.
    pub(super) fn numbers_fall(self) -> bool {
        self == Self::Newest
    }

    /// A key for the database. A rank is carried by its bits.
    pub(super) fn value(self, key: i64) -> SqlValue {
        match self {
            Self::Rank => SqlValue::Real(f64::from_bits(key.cast_unsigned())),
            _ => SqlValue::Integer(key),
        }
    }

    /// A key that is beyond all others; ranks are finite, and so are times and totals.
    pub(super) fn beyond(self, above: bool) -> SqlValue {
        match (self, above) {
            (Self::Rank, true) => SqlValue::Real(f64::INFINITY),
            (Self::Rank, false) => SqlValue::Real(f64::NEG_INFINITY),
            (_, true) => SqlValue::Integer(i64::MAX),
            (_, false) => SqlValue::Integer(i64::MIN),
        }
    }
}

/// A cut in a list: just after this key and number, whether or not an item has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The place of the queue among those asked for.
    pub(super) queue: usize,
    pub(super) key: i64,
    pub(super) id: i64,
}

impl Mark {
    /// The cut before it; between two whole numbers there is nothing.
    pub(super) fn before(self, sort: Sort) -> Self {
        let step = if sort.numbers_fall() { 1 } else { -1 };
        Self {
            id: self.id.saturating_add(step),
            ..self
        }
    }

    /// The text that leads to the page after it, or the one before it.
    pub(super) fn written(self, ask: &Ask<'_>, back: bool) -> String {
        let mut bytes = vec![ask.sort as u8 * 2 + u8::from(back)];
        bytes.extend(self.key.to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        if ask.sort == Sort::Rank {
            let queue = ask.queues.get(self.queue).copied();
            bytes.extend(queue.unwrap_or_default().as_bytes());
        }
        BASE64.encode(bytes)
    }

    /// Reads such a text, and whether it leads back.
    pub(super) fn read(text: &str, ask: &Ask<'_>) -> Result<(Self, bool), StoreError> {
        Self::of(text, ask).ok_or(StoreError::Cursor)
    }

    fn of(text: &str, ask: &Ask<'_>) -> Option<(Self, bool)> {
        let bytes = BASE64.decode(text).ok()?;
        let (first, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (id, queue) = rest.split_first_chunk()?;
        let key = i64::from_be_bytes(*key);
        let is_rank = ask.sort == Sort::Rank;
        let place = match is_rank {
            true => ask.queues.iter().position(|q| q.as_bytes() == queue)?,
            false => queue.is_empty().then_some(0)?,
        };
        let well = first / 2 == ask.sort as u8
            && (!is_rank || f64::from_bits(key.cast_unsigned()).is_finite());
        let mark = Self {
            queue: place,
            key,
            id: i64::from_be_bytes(*id),
        };
        well.then_some((mark, first % 2 == 1))
    }
}
