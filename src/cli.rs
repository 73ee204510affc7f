//! The command line: one file per verb, and what they share.

mod backtest;
mod backup;
mod check;
mod completions;
mod decide;
mod demo;
mod explain;
mod hands;
mod init;
mod mails;
mod notify;
mod queue;
mod restore;
mod review;
mod run;
mod scan;
pub mod screen;
mod show;
mod status;

use crate::cli::screen::Screen;
use crate::config::Folders;
use crate::item::Verdict;
use crate::rules::{Refused, RuleSet};
use crate::store::Store;
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use std::path::Path;

/// The copy desk of a newsroom as a background service, for content that lives in files
#[derive(Debug, Parser)]
#[command(
    name = "copydesk",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    folders: Folders,
    /// Print JSON on standard output and nothing else
    #[arg(long, global = true)]
    json: bool,
    /// Take this for the present time
    #[arg(long, env = "COPYDESK_NOW", hide = true, global = true)]
    now: Option<Timestamp>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a rules/ and a state/ to start from
    Init(init::Args),
    /// Show a sample newsroom at work, in a temporary folder
    Demo(demo::Args),
    /// Run as a service: watch, score, mail, write, until told to stop
    Run(run::Args),
    /// Read the content once, score it, fill the queues, write decisions into files
    Scan(scan::Args),
    /// Say whether the rules are right, and what is wrong where
    Check(check::Args),
    /// Say why a file scores as it does and where it would wait; stores nothing
    Explain(explain::Args),
    /// List what waits
    Queue(queue::Args),
    /// Show one item whole
    Show(show::Args),
    /// Approve items: their files are set published
    Approve(decide::Args),
    /// Reject items: their files are set unpublished
    Reject(decide::RejectArgs),
    /// Put items off, by default for a day
    Hold(decide::HoldArgs),
    /// Take a decision back: the file is put back as it was
    Reopen(decide::Args),
    /// Claim items for ten minutes: others see who is at them
    Claim(hands::ClaimArgs),
    /// Hand items to another reviewer or queue
    HandOver(hands::HandOverArgs),
    /// Go through what waits, one by one, by single keys
    Review(review::Args),
    /// Mail the reviewers what they are owed
    Notify(notify::Args),
    /// List the mails: to whom, when, why, and what came of them
    Mails(mails::Args),
    /// Say whether all is well
    Status,
    /// Say what the rules would do to everything already seen; changes nothing
    Backtest(backtest::Args),
    /// Write a copy of the database into a file, beside whatever runs
    Backup(backup::Args),
    /// Put a backup in the place of the database; what was there is kept
    Restore(restore::Args),
    /// Print what a shell needs to complete these commands
    Completions(completions::Args),
}

impl Cli {
    /// What is logged unless the environment says otherwise: the demo tells what happens itself.
    #[must_use]
    pub fn logs(&self) -> &'static str {
        match self.verb {
            Verb::Demo(_) => "error",
            Verb::Run(_) => "info",
            _ => "warn",
        }
    }

    /// Whether the command goes on until it is stopped, so that its logs need times.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.verb, Verb::Run(_))
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Done, and something is wrong.
    Wrong,
}

/// What is wrong with how a command was called; ends it with exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// What every verb works with.
struct Desk<'a> {
    folders: &'a Folders,
    now: Timestamp,
    /// Whether `now` was named, and stands still.
    is_set: bool,
    screen: &'a mut Screen,
}

impl Desk<'_> {
    fn rules(&mut self) -> anyhow::Result<RuleSet> {
        match RuleSet::load(&self.folders.rules) {
            Ok(rules) => Ok(rules),
            Err(Refused::Wrong(faults)) => {
                for fault in faults.iter().filter(|fault| fault.is_error()) {
                    self.screen
                        .complain(fault.render(self.screen.is_styled()))?;
                }
                Err(Refused::Wrong(faults).into())
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// The time now, for what goes on.
    fn clock(&self) -> Timestamp {
        if self.is_set {
            self.now
        } else {
            Timestamp::now()
        }
    }

    fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::open_existing(&self.folders.database())?)
    }
}

/// Runs one command.
///
/// # Errors
/// Whatever stops it; [`Usage`] when it was called wrongly.
pub fn run(cli: Cli, screen: &mut Screen) -> anyhow::Result<Exit> {
    screen.set_json(cli.json);
    let now = cli.now.unwrap_or_else(Timestamp::now);
    let mut desk = Desk {
        folders: &cli.folders,
        now,
        is_set: cli.now.is_some(),
        screen,
    };
    let database = cli.folders.database();
    let done = dispatch(cli.verb, &mut desk);
    done.map_err(|error| named(error, &database))
}

/// An error of the database, with the file that it is about.
fn named(error: anyhow::Error, database: &Path) -> anyhow::Error {
    let path = format!("`{}`", database.display());
    let is_about_it = error.chain().any(|cause| cause.is::<rusqlite::Error>());
    if is_about_it && !error.chain().any(|cause| cause.to_string().contains(&path)) {
        error.context(path)
    } else {
        error
    }
}

fn dispatch(verb: Verb, desk: &mut Desk<'_>) -> anyhow::Result<Exit> {
    match verb {
        Verb::Init(args) => init::run(desk, &args),
        Verb::Demo(args) => demo::run(desk, &args),
        Verb::Run(args) => run::run(desk, &args),
        Verb::Scan(args) => scan::run(desk, &args),
        Verb::Check(args) => check::run(desk, &args),
        Verb::Explain(args) => explain::run(desk, &args),
        Verb::Queue(args) => queue::run(desk, &args),
        Verb::Show(args) => show::run(desk, &args),
        Verb::Approve(args) => decide::run(desk, Verdict::Approve, &args, None, None),
        Verb::Reject(args) => decide::run(
            desk,
            Verdict::Reject,
            &args.decision,
            args.reason.as_deref(),
            None,
        ),
        Verb::Hold(args) => decide::run(
            desk,
            Verdict::Hold,
            &args.decision,
            None,
            args.until.as_deref(),
        ),
        Verb::Reopen(args) => decide::run(desk, Verdict::Reopen, &args, None, None),
        Verb::Claim(args) => hands::claim(desk, &args),
        Verb::HandOver(args) => hands::hand_over(desk, &args),
        Verb::Review(args) => review::run(desk, &args),
        Verb::Notify(args) => notify::run(desk, &args),
        Verb::Mails(args) => mails::run(desk, &args),
        Verb::Status => status::run(desk),
        Verb::Backtest(args) => backtest::run(desk, &args),
        Verb::Backup(args) => backup::run(desk, &args),
        Verb::Restore(args) => restore::run(desk, &args),
        Verb::Completions(args) => completions::run(desk, &args),
    }
}
