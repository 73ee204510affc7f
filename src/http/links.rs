//! Who stands behind a link, and what it lets her do.

use crate::http::{HttpError, Site};
use crate::item::Verdict;
use crate::notify::letter::Links;
use crate::rules::{Reviewer, RuleSet};
use crate::store::Store;
use crate::store::items::Listed;
use crate::token::{self, Claims, Keys, Purpose, Token, TokenError};
use jiff::Timestamp;

/// Why a link does not hold: for the log. Whoever opens it is told that it does not, and no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The desk has no address that links lead to.
    #[error("no links lead here")]
    NoAddress,
    /// What is wrong with it itself.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It was made for something else.
    #[error("it is for something else")]
    Purpose,
    /// The rules do not name the reviewer any more.
    #[error("its reviewer is not in the rules")]
    Reviewer,
    /// There is no such item.
    #[error("there is no item {0}")]
    Item(i64),
    /// The queue is not hers any more.
    #[error("{email} does not review the queue `{queue}`, where item {item} is")]
    Queue {
        /// The reviewer.
        email: String,
        /// The queue.
        queue: String,
        /// The item.
        item: i64,
    },
}

/// A reviewer who came by a link that holds.
pub(super) struct Guest<'r> {
    pub(super) reviewer: &'r Reviewer,
    pub(super) token: Token,
    links: Links,
}

/// Sees whether a link holds, for one of the purposes.
pub(super) fn admit<'r>(
    site: &Site,
    rules: &'r RuleSet,
    token: &str,
    purposes: &[Purpose],
    now: Timestamp,
) -> Result<Guest<'r>, HttpError> {
    let url = site.url.clone().ok_or(Refused::NoAddress)?;
    let keys = Keys::look(&site.state)?;
    let token = keys.check(token, &url, now).map_err(Refused::Token)?;
    if !purposes.contains(&token.claims.purpose) {
        return Err(Refused::Purpose.into());
    }
    let mut reviewers = rules.reviewers.iter();
    let reviewer = reviewers.find(|r| token::whose(&r.email) == token.claims.reviewer);
    let reviewer = reviewer.ok_or(Refused::Reviewer)?;
    let links = Links { keys, url };
    Ok(Guest {
        reviewer,
        token,
        links,
    })
}

/// The purposes of links that lead to a decision.
pub(super) const DECIDING: [Purpose; 4] = [
    Purpose::Approve,
    Purpose::Reject,
    Purpose::Hold,
    Purpose::Open,
];

impl Guest<'_> {
    /// The item that the link is about, if she may decide on it.
    pub(super) fn item(&self, store: &mut Store) -> Result<Listed, HttpError> {
        let id = self.token.claims.item;
        let listed = store.read(|tx| tx.listed(id))?;
        let listed = listed.ok_or(Refused::Item(id))?;
        let queue = &listed.item.queue;
        if !self.reviewer.may_decide_in(queue) {
            let (email, queue) = (self.reviewer.email.clone(), queue.clone());
            return Err(Refused::Queue {
                email,
                queue,
                item: id,
            }
            .into());
        }
        Ok(listed)
    }

    /// What the link lets her decide.
    pub(super) fn verdicts(&self) -> &'static [Verdict] {
        match self.token.claims.purpose {
            Purpose::Approve => &[Verdict::Approve],
            Purpose::Reject => &[Verdict::Reject],
            Purpose::Hold => &[Verdict::Hold],
            Purpose::Open => &VERDICTS,
            Purpose::Settings => &[],
        }
    }

    /// A link to the item as it stands, which holds no longer than this one.
    pub(super) fn open(&self, version: i64) -> String {
        let claims = Claims {
            purpose: Purpose::Open,
            version,
            ..self.token.claims
        };
        let Links { keys, url } = &self.links;
        format!("{url}/d/{}", keys.sign(&claims, url))
    }
}

/// What can be decided by a link.
pub(super) const VERDICTS: [Verdict; 3] = [Verdict::Approve, Verdict::Reject, Verdict::Hold];
