//! What the whole service costs, measured from outside: the program as it is released, over a folder
//! of files in memory.
//!
//! ```sh
//! cargo bench --bench service                                  # a few minutes, 20,000 files made up
//! cargo bench --bench service -- first second                  # only these parts
//! cargo bench --bench service -- --records 100000
//! cargo bench --bench service -- --corpus FOLDER               # files that are there, copied
//! cargo bench --bench service -- records --sizes 10000,100000,1000000
//! ```
//!
//! It prints one table. A figure is the median of five rounds, or of as many as begin within two
//! minutes; what cannot be passed on this machine is measured between them. CPU is user and system.
//! Machines differ and are shared: quote ratios of one run.

#![allow(clippy::print_stdout)]

mod desk;
mod growth;
mod limit;
#[allow(dead_code)]
#[path = "../newsroom.rs"]
mod newsroom;
mod process;
mod running;
mod scans;
mod table;

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The first scan, and the database after it
    First,
    /// The first scan with many rules
    Rules,
    /// A scan of what has not changed
    Second,
    /// From the start of the service until it is ready
    Restart,
    /// A file until it is an item
    Live,
    /// Very many files at once
    Burst,
    /// All files rewritten with nothing but noise changed
    Sweep,
    /// A thousand files rewritten like that very often
    Volatile,
    /// The service while nothing happens
    Idle,
    /// Growth by records
    Records,
    /// Growth by rules
    ByRules,
    /// Growth by reviewers
    Reviewers,
    /// The start and the size of the program
    Start,
}

/// Measures the whole service.
#[derive(Parser)]
struct Args {
    /// The parts; all of them if none is named
    parts: Vec<Part>,
    /// Files that are made up, or at most taken from the folder
    #[arg(long)]
    records: Option<usize>,
    /// A folder of files that are copied, in place of those that are made up. A copy is what nobody
    /// else reads: who watches a folder may be woken by readers
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// Rules of the first scan with many
    #[arg(long, default_value_t = 10_000)]
    rules: usize,
    /// Rounds of which the median is told
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Files that come one by one
    #[arg(long, default_value_t = 200)]
    live: usize,
    /// Files that come at once
    #[arg(long, default_value_t = 10_000)]
    burst: usize,
    /// How often a thousand files are rewritten
    #[arg(long, default_value_t = 20)]
    rewrites: usize,
    /// Seconds for which nothing happens
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Numbers of files by which growth is told; a tenth of all and all if none is named
    #[arg(long, value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// What all parts are measured over.
struct Bench {
    folder: TempDir,
    content: PathBuf,
    files: Vec<PathBuf>,
    bytes: u64,
    rules: usize,
    rounds: usize,
    live: usize,
    burst: usize,
    rewrites: usize,
    idle: u64,
    sizes: Vec<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let parts = if args.parts.is_empty() {
        Part::value_variants().to_vec()
    } else {
        args.parts.clone()
    };
    let bench = Bench::new(args)?;
    table::head();
    for part in parts {
        match part {
            Part::First => scans::first(&bench),
            Part::Rules => scans::rules(&bench),
            Part::Second => scans::second(&bench),
            Part::Restart => running::restart(&bench),
            Part::Live => running::live(&bench),
            Part::Burst => running::burst(&bench),
            Part::Sweep => scans::sweep(&bench),
            Part::Volatile => scans::volatile(&bench),
            Part::Idle => running::idle(&bench),
            Part::Records => growth::records(&bench),
            Part::ByRules => growth::rules(&bench),
            Part::Reviewers => growth::reviewers(&bench),
            Part::Start => growth::start(&bench),
        }?;
    }
    Ok(())
}

/// No round begins later than this after the first.
const ROUNDS: Duration = Duration::from_secs(120);

impl Bench {
    /// The numbers of the rounds, as long as there is time for one more.
    fn rounds(&self) -> impl Iterator<Item = usize> + use<> {
        let started = Instant::now();
        (1..=self.rounds).take_while(move |round| *round == 1 || started.elapsed() < ROUNDS)
    }

    fn new(args: Args) -> anyhow::Result<Self> {
        let folder = desk::in_memory()?;
        let content = folder.path().join("content");
        let files = if let Some(corpus) = args.corpus {
            table::doing("copying files");
            let corpus = corpus.canonicalize()?;
            let mut files = desk::files(&corpus)?;
            files.truncate(args.records.unwrap_or(usize::MAX));
            desk::copy(&corpus, &files, &content)?
        } else {
            table::doing("making files");
            desk::write_stories(&content, args.records.unwrap_or(20_000))?;
            desk::files(&content)?
        };
        ensure!(!files.is_empty(), "no files that end in .md");
        let mut bytes = 0;
        for file in &files {
            bytes += fs::metadata(file)?.len();
        }
        table::doing(&format!(
            "{} files of {} bytes each",
            table::count(files.len()),
            bytes / files.len() as u64
        ));
        let all = files.len();
        Ok(Self {
            folder,
            content,
            bytes,
            rules: args.rules,
            rounds: args.rounds.max(1),
            live: args.live,
            burst: args.burst,
            rewrites: args.rewrites,
            idle: args.idle,
            sizes: match args.sizes.as_slice() {
                [] => vec![(all / 10).max(1), all],
                sizes => sizes.to_vec(),
            },
            files,
        })
    }
}
