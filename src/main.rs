//! The program: parse, run, exit code. The only exit.

use clap::Parser;
use copydesk::cli::screen::Screen;
use copydesk::cli::{self, Cli, Exit, Usage};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("COPYDESK_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time();
    logs.with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let mut screen = Screen::default();
    match cli::run(Cli::parse(), &mut screen) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Wrong) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let told = screen.complain(format!("copydesk: {error:#}"));
            drop(told);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Whether the reader of our output has gone, as in `copydesk queue | head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
