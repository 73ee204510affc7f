//! What copydesk promises, seen from outside: every test runs the program itself in a folder of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod accessible;
mod alerts;
mod api;
mod architecture;
mod backtest;
mod backup;
mod bad_database;
mod broken;
mod browser;
mod chromium;
mod console;
mod console_pages;
mod corpus;
mod crash;
mod decide;
mod demo;
mod desk;
mod explain;
mod faces;
mod files;
mod fuzzed;
mod golden;
mod hands;
mod hands_on;
mod hostile;
mod http;
mod identity;
mod kinds;
mod letters;
mod mail;
mod mail_once;
mod markup;
mod model;
mod moving;
mod noise;
mod nth;
mod paths;
mod plain;
mod policies;
mod properties;
mod race;
mod readme;
mod records;
mod relay;
mod retention;
mod review;
mod roles;
mod rules;
mod rules_readme;
mod scan;
mod schema;
mod schemathesis;
mod secrets;
mod service;
mod simulation;
mod smtp;
mod standing;
mod suggest;
mod sums;
mod telling;
mod terminal;
mod topic_files;
mod trial;
mod upstream;
mod vectors;
mod warnings;
mod watching;
mod write_back;
