//! Deployment: what operators set by flags and environment, and nothing that editors decide.

use clap::Args;
use std::path::PathBuf;

/// Where the two folders are.
#[derive(Args, Clone, Debug)]
pub struct Folders {
    /// The folder of rule files, which editors write
    #[arg(
        long,
        value_name = "DIR",
        env = "COPYDESK_RULES",
        default_value = "rules",
        global = true
    )]
    pub rules: PathBuf,
    /// The folder of the database and of unsent mail, which copydesk writes
    #[arg(
        long,
        value_name = "DIR",
        env = "COPYDESK_STATE",
        default_value = "state",
        global = true
    )]
    pub state: PathBuf,
}

impl Folders {
    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state.join("copydesk.db")
    }

    /// Where mail lands when no SMTP server is set.
    #[must_use]
    pub fn mail(&self) -> PathBuf {
        self.state.join("mail")
    }

    /// What a pass over the state folder holds while it runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }
}
