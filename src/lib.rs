#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
//! copydesk
pub mod config;
pub mod intake;
pub mod item;
pub mod record;
pub mod review;
pub mod rules;
pub mod schedule;
pub mod store;
pub mod watch;
pub mod write_back;
