//! copydesk is the copy desk of a newsroom for content that lives in files: it scores records by
//! rules, queues what needs a human, tells reviewers, and writes their decisions back into the
//! files. This page is its architecture.
//!
//! ```text
//!  content files ──▶ intake ──▶ rules ──▶ store ──▶ notify ──▶ mail ──▶ reviewer
//!                      │ (record) (assessment) │ (item)                   │
//!                      ▼                       ◀── review ◀── console, command line
//!                 broken records               │ (decision)
//!  content files ◀───────────── write_back ◀───┘
//! ```
//!
//! # The house
//!
//! In reading order, from the ground up. A module imports only from floors below its own, and none
//! from its own floor; `tests/integration/architecture.rs` reads the imports and fails on one that
//! points up.
//!
//! | floor | module | what it owns |
//! |---|---|---|
//! | 1 | [`item`] | an item's statuses, and the one table of who may go where |
//! | 1 | [`schedule`] | times as people write and read them |
//! | 1 | [`token`] | signed links: what a mail's link may do, for whom, until when |
//! | 1 | [`config`] | what operators set by flags and environment |
//! | 2 | [`record`] | one record: reading it, hashing it, editing one key of it, and the source it stands in |
//! | 3 | [`watch`] | the walk of a source's folder, and hints of what has changed in it |
//! | 3 | [`rules`] | the rule set: loaded whole or refused whole; score, queue and explanation of one record |
//! | 4 | [`store`] | everything remembered, in SQLite; the only SQL; `decide`, which alone moves items |
//! | 5 | [`intake`] | one pass: what the files say, against what is known |
//! | 5 | [`review`] | the door for people: to decide, to claim, to hand over |
//! | 5 | [`write_back`] | the only part that writes content: decisions on their way into files |
//! | 5 | [`notify`] | what to tell whom, and why; mails as rows |
//! | 5 | [`backtest`] | a rule set tried on everything already seen |
//! | 5 | [`report`] | what every face shows: what waits, one item whole, is it well |
//! | 6 | [`http`] | the desk as browsers and programs see it: pages, the API, health and metrics |
//! | 7 | [`daemon`] | the service: the only module that knows every loop; timing, waking, stopping |
//! | 8 | [`cli`] | the command line, one file per verb |
//!
//! The use cases on floor 5 do not know each other: they meet in the store, so copydesk can be
//! stopped and started again between any two instructions.
//!
//! # One record's travels
//!
//! 1. An aggregator drops `_news/rekognition.md` with `published: false`. [`intake::scan`] walks the
//!    folder, finds a file whose state it does not know, and reads it beneath the source's folder
//!    ([`record::file`]). [`record::Record::read`] splits front matter and body, reads the keys
//!    within a budget, names the record by its source URL and hashes content and signals apart.
//!    What is no record is kept as broken, with line and column, and the pass goes on. In the
//!    service a hint of [`watch::hints`] brings [`intake::look_at`] to the file at once; the pass
//!    stays the truth.
//! 2. [`rules::RuleSet::assess`] scores it: every point is a hit with a reason and a place in
//!    `rules/`. The first queue whose condition holds takes it.
//! 3. Record, assessment, item (`pending`, version 1) and its first event are one transaction
//!    ([`store`]). Many new files are read, assessed and packed by threads beside the one that stores
//!    them. The same file again costs a `stat`; a new opaque blob in a volatile field, or other line
//!    endings, change nothing; a new title raises the version and brings a decided item back.
//! 4. [`notify::tick`] asks [`notify::due`] what is owed to each reviewer: what waits
//!    against what she was told. The mail is a row with fixed bytes; from the row it goes to an SMTP
//!    server ([`notify::smtp`]), or lands as an `.eml` file. Only a sent mail counts as told.
//! 5. A reviewer types `copydesk approve 7@1`. The file is looked at again; [`review::decide`]
//!    refuses a version that has moved on and says what changed. Decision, status, event and the
//!    request to write are one transaction: after its commit the decision stands.
//! 6. [`write_back::tick`] reads the file, sees that it holds the revision that was decided on, and
//!    replaces `published: false` by `published: true`: one scalar, every other byte kept, checked
//!    by reading both versions ([`record::edit`]). The new file is made whole and synced beside the
//!    old one, the two names are exchanged, and what came out must be what was read; a version that
//!    upstream wrote in between goes back ([`record::file::replace`]). The next pass knows our own
//!    write by its state. Where `reject` names a folder, the file is moved there and looked at in the
//!    same way ([`record::file::transfer`]); its record keeps the path, and is not gone.
//!
//! # Errors
//!
//! There are two tiers. What is wrong with one record, one file or one mail is stored and shown by
//! `status`, and the work goes on. What stops copydesk is one `thiserror` enum per module, whose
//! message says what to do about it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod backtest;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod http;
pub mod intake;
pub mod item;
pub mod notify;
pub mod record;
pub mod report;
pub mod review;
pub mod rules;
pub mod schedule;
pub mod store;
pub mod token;
pub mod watch;
pub mod write_back;
