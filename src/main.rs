//! The program: parse, run, exit code. The only exit.

use clap::Parser;
use copydesk::cli::screen::Screen;
use copydesk::cli::{self, Cli, Exit, Usage};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log(&cli);
    let mut screen = Screen::default();
    match cli::run(cli, &mut screen) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Wrong) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let told = screen.complain(format!("copydesk: {}", whole(&error)));
            drop(told);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// An error with its causes, each said once.
fn whole(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| {
            if told.contains(&cause) {
                told
            } else {
                format!("{told}: {cause}")
            }
        })
}

/// Logs to standard error: as text, or as JSON if `COPYDESK_LOG_FORMAT` is `json`.
fn log(cli: &Cli) {
    let filter =
        EnvFilter::try_from_env("COPYDESK_LOG").unwrap_or_else(|_| EnvFilter::new(cli.logs()));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    if std::env::var("COPYDESK_LOG_FORMAT").is_ok_and(|format| format == "json") {
        logs.json().init();
    } else if cli.is_service() {
        logs.with_ansi(terminal).init();
    } else {
        // A command that ends at once needs no times.
        logs.with_ansi(terminal).without_time().init();
    }
}

/// Whether the reader of our output has gone, as in `copydesk queue | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
