#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
//! copydesk
pub mod cli;
pub mod config;
pub mod intake;
pub mod item;
pub mod notify;
pub mod record;
pub mod report;
pub mod review;
pub mod rules;
pub mod schedule;
pub mod store;
pub mod watch;
pub mod write_back;
