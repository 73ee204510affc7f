//! An item's life: its status, what moves it, and the one table of who may go where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// Put off until a time.
    Held,
    /// Decided: may be published.
    Approved,
    /// Decided: may not.
    Rejected,
    /// Nothing to decide: its file is gone, or someone else published it.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
}

/// What moves an item: a decision, or what happened to its file or its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Someone approved it.
    Approve,
    /// Someone rejected it.
    Reject,
    /// Someone put it off.
    Hold,
    /// Someone took a decision back.
    Reopen,
    /// The time that it was held until has come.
    HoldOver,
    /// Its file, or its source, or every queue that takes it, is gone.
    Gone,
    /// What was gone is back.
    Back,
    /// Someone else set the file's published flag.
    Outside,
    /// It waited longer than its queue lets it.
    Expire,
    /// Its record has a new revision.
    Revised,
}

/// What a person, or a queue that decides, may say about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may be published.
    Approve,
    /// It may not.
    Reject,
    /// Not now.
    Hold,
    /// Take the last decision back.
    Reopen,
}

impl Status {
    /// Where an item goes from here by `cause`, or `None` if that cause does not move it.
    ///
    /// This is the only table of transitions; [`store::decide`](crate::store::decide) alone
    /// applies it.
    #[must_use]
    pub fn after(self, cause: Cause) -> Option<Self> {
        use Status::{Approved, Expired, Held, Pending, Rejected, Withdrawn};
        match (cause, self) {
            (Cause::Approve, Pending | Held | Rejected) => Some(Approved),
            (Cause::Reject, Pending | Held | Approved) => Some(Rejected),
            (Cause::Hold, Pending | Held) => Some(Held),
            (Cause::Reopen, Held | Approved | Rejected | Withdrawn | Expired) => Some(Pending),
            (Cause::HoldOver, Held) => Some(Pending),
            (Cause::Gone | Cause::Outside, Pending | Held) => Some(Withdrawn),
            (Cause::Back, Withdrawn) => Some(Pending),
            (Cause::Expire, Pending) => Some(Expired),
            (Cause::Revised, _) => Some(Pending),
            _ => None,
        }
    }

    /// Whether the item waits for someone: pending or held.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Held)
    }

    /// Whether a decision stands on the item.
    #[must_use]
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Approved | Self::Rejected)
    }

    /// The word for it, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

impl Cause {
    /// The word for it, as events are named.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Hold => "held",
            Self::Reopen => "reopened",
            Self::HoldOver => "hold_over",
            Self::Gone => "gone",
            Self::Back => "back",
            Self::Outside => "outside",
            Self::Expire => "expired",
            Self::Revised => "revised",
        }
    }

    /// Whether the item's version rises: with a decision or a new revision, never with time or
    /// place.
    #[must_use]
    pub fn raises_version(self) -> bool {
        matches!(
            self,
            Self::Approve | Self::Reject | Self::Hold | Self::Reopen | Self::Revised
        )
    }
}

impl Verdict {
    /// The word for it, as stored and typed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Hold => "hold",
            Self::Reopen => "reopen",
        }
    }

    /// What an item is by it: `approved`, `rejected`, `held`, `reopened`.
    #[must_use]
    pub fn past(self) -> &'static str {
        self.cause().as_str()
    }

    /// Where an item is that it was said of.
    #[must_use]
    pub fn leads_to(self) -> Status {
        match self {
            Self::Approve => Status::Approved,
            Self::Reject => Status::Rejected,
            Self::Hold => Status::Held,
            Self::Reopen => Status::Pending,
        }
    }

    /// What it is as a cause.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            Self::Approve => Cause::Approve,
            Self::Reject => Cause::Reject,
            Self::Hold => Cause::Hold,
            Self::Reopen => Cause::Reopen,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names nothing of the kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not known")]
pub struct Unknown(String);

impl FromStr for Status {
    type Err = Unknown;

    fn from_str(word: &str) -> Result<Self, Unknown> {
        let all = [
            Self::Pending,
            Self::Held,
            Self::Approved,
            Self::Rejected,
            Self::Withdrawn,
            Self::Expired,
        ];
        all.into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| Unknown(word.to_owned()))
    }
}

impl FromStr for Verdict {
    type Err = Unknown;

    fn from_str(word: &str) -> Result<Self, Unknown> {
        let all = [Self::Approve, Self::Reject, Self::Hold, Self::Reopen];
        all.into_iter()
            .find(|v| v.as_str() == word)
            .ok_or_else(|| Unknown(word.to_owned()))
    }
}

/// How long a claim lasts, unless it is renewed.
pub const LEASE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// A reference to an item as people type it: `7`, or `7@1` with the version they looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemRef {
    /// The item's number.
    pub id: i64,
    /// The version that the decision is made on, if it was named.
    pub version: Option<i64>,
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.id),
            None => write!(f, "{}", self.id),
        }
    }
}

impl FromStr for ItemRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse::<i64>().ok().filter(|n| *n > 0);
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (number(id), number(version).map(Some)),
            None => (number(text), Some(None)),
        };
        match (id, version) {
            (Some(id), Some(version)) => Ok(Self { id, version }),
            _ => Err(
                "an item is named by its number, `7`, or with the version you looked at, `7@1`"
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: from; columns: cause. `.` is no move, else the first letter of the new status.
    #[test]
    fn the_table_is_the_design() {
        use Cause::{
            Approve, Back, Expire, Gone, Hold, HoldOver, Outside, Reject, Reopen, Revised,
        };
        let causes = [
            Approve, Reject, Hold, Reopen, HoldOver, Gone, Back, Outside, Expire, Revised,
        ];
        for (from, expected) in [
            ("pending", "arh..w.wep"),
            ("held", "arhppw.w.p"),
            ("approved", ".r.p.....p"),
            ("rejected", "a..p.....p"),
            ("withdrawn", "...p..p..p"),
            ("expired", "...p.....p"),
        ] {
            let status: Status = from.parse().unwrap();
            let row: String = causes
                .iter()
                .map(|cause| {
                    status
                        .after(*cause)
                        .map_or('.', |to| to.as_str().chars().next().unwrap())
                })
                .collect();
            assert_eq!(row, expected, "{from}");
        }
    }

    #[test]
    fn an_item_is_named_by_number_and_version() {
        assert_eq!(
            "7".parse(),
            Ok(ItemRef {
                id: 7,
                version: None
            })
        );
        assert_eq!(
            "7@1".parse(),
            Ok(ItemRef {
                id: 7,
                version: Some(1)
            })
        );
        for wrong in ["", "x", "7@", "@1", "-7", "0", "7@1@2", "7@x"] {
            assert!(wrong.parse::<ItemRef>().is_err(), "{wrong}");
        }
    }
}
