//! `copydesk completions`: what a shell needs to complete our commands.

use super::{Cli, Desk, Exit};
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "copydesk", &mut script);
    desk.screen.line(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Done)
}
