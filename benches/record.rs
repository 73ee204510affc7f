//! What a record costs from its file on: read, split, parsed and hashed, beside the bare read of the
//! file, the full parser and a peer.
//!
//! ```sh
//! cargo bench --bench record                  # files made up here
//! cargo bench --bench record -- FOLDER        # those below a folder, as ../shared/speed makes them
//! ```
//!
//! A figure is CPU time (user and system) of this thread for a file, the median of five rounds in
//! which the measures take turns, of a release build. Machines differ and are shared: quote ratios
//! of one run.

#![allow(clippy::print_stdout)]

#[allow(dead_code)]
mod newsroom;

use copydesk::record::file::Folder;
use copydesk::record::location::Location;
use copydesk::record::source::{Classes, OnChange, Published, Source, include};
use copydesk::record::value::{Map, Value};
use copydesk::record::yaml::{Budget, full, plain};
use copydesk::record::{Hash, Record};
use newsroom::Newsroom;
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ROUNDS: usize = 5;
/// Files that are made up.
const FILES: usize = 5_000;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    match folder {
        Some(folder) => measure(Path::new(&folder)),
        None => {
            let folder = tempfile::tempdir()?;
            let mut newsroom = Newsroom::new(1);
            for n in 0..FILES {
                let file = written(&newsroom.record());
                fs::write(folder.path().join(format!("{n}.md")), file)?;
            }
            measure(folder.path())
        }
    }
}

/// A file of the folder: its whole path, its place below the folder, and where its front matter
/// stands among all of them.
struct Page {
    path: PathBuf,
    location: Location,
    front: Range<usize>,
}

fn measure(folder: &Path) -> anyhow::Result<()> {
    let mut paths = Vec::new();
    list(folder, &mut paths)?;
    // In one piece, so that what is measured finds memory as a program finds it that keeps none.
    let mut fronts = String::with_capacity(paths.len() * 4_096);
    let pages: Vec<Page> = paths
        .into_iter()
        .filter_map(|path| page(folder, path, &mut fronts))
        .collect();
    let front = |page: &Page| &fronts[page.front.clone()];
    let source = source()?;
    let opened = Folder::open(folder)?;
    let mut buffer = vec![0; 8 << 20];
    let mut bare = |page: &Page| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(&page.path, flags, Mode::empty()).ok()?;
        rustix::io::read(&file, &mut buffer).ok()
    };
    let found = |page: &Page| opened.read(&page.location).ok();
    let hashed = |page: &Page| found(page).map(|found| Hash::of(&found.bytes));
    let ours = |page: &Page| {
        let found = found(page)?;
        let record = Record::read(&found.bytes, page.location.as_str(), &source).ok()?;
        Some((record, Hash::of(&found.bytes)))
    };
    let plain = |page: &Page| plain::read::<Value>(front(page), Budget::RECORD);
    let full = |page: &Page| full::read(front(page), Budget::RECORD);
    let typed = |page: &Page| serde_yaml::from_str::<serde_yaml::Value>(front(page)).ok();

    let names = [
        "bare read",
        "read for a record",
        "read, hashed",
        "read, parsed, all hashes",
        "bare read, full parser",
        "bare read, serde_yaml",
        "parse: plain",
        "parse: full",
        "parse: serde_yaml",
    ];
    let mut costs = vec![Vec::new(); names.len()];
    for _ in 0..=ROUNDS {
        let round = [
            cpu_of(&pages, &mut bare),
            cpu_of(&pages, found),
            cpu_of(&pages, hashed),
            cpu_of(&pages, ours),
            cpu_of(&pages, |page| (bare(page), full(page))),
            cpu_of(&pages, |page| (bare(page), typed(page))),
            cpu_of(&pages, plain),
            cpu_of(&pages, full),
            cpu_of(&pages, typed),
        ];
        costs
            .iter_mut()
            .zip(round)
            .for_each(|(costs, cost)| costs.push(cost));
    }
    let slow = pages.iter().filter(|page| plain(page).is_none()).count();
    println!("{} files, {slow} of them by the full parser", pages.len());
    println!("{:<28} {:>9} {:>12}", "", "us a file", "bare reads");
    let medians: Vec<f64> = costs.into_iter().map(median).collect();
    for (name, cost) in names.iter().zip(&medians) {
        println!("{name:<28} {cost:>9.2} {:>12.2}", cost / medians[0]);
    }
    Ok(())
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    Ok(())
}

/// A file with front matter in YAML.
fn page(folder: &Path, path: PathBuf, fronts: &mut String) -> Option<Page> {
    let text = fs::read_to_string(&path).ok()?;
    let rest = text.strip_prefix("---\n")?;
    let start = fronts.len();
    fronts.push_str(&rest[..=rest.find("\n---\n")?]);
    let front = start..fronts.len();
    let location = Location::of(path.strip_prefix(folder).ok()?);
    Some(Page {
        path,
        location,
        front,
    })
}

/// How the feed of the seed is read.
fn source() -> anyhow::Result<Source> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let set = |flag| {
        [("published".to_owned(), Value::Bool(flag))]
            .into_iter()
            .collect()
    };
    Ok(Source {
        name: "corpus".to_owned(),
        path: PathBuf::new(),
        include: include(&["**/*.md".to_owned()]).map_err(|(_, fault)| anyhow::anyhow!(fault))?,
        identity: names(&["originalUrl", "webUrl"]),
        classes: Classes {
            signal: names(&["quality", "heat", "topics", "images", "related"]),
            volatile: names(&["secured"]),
            decision: names(&["published"]),
        },
        published: Published {
            key: "published".to_owned(),
            missing: true,
        },
        approve: set(true),
        reject: set(false),
        move_to: None,
        on_change: OnChange::Leave,
        write: true,
    })
}

/// A record as aggregators write it.
fn written(record: &Map) -> String {
    let mut file = "---\n".to_owned();
    for (key, value) in record.iter() {
        let _ = write!(file, "{key}:");
        block(&mut file, value, 0);
    }
    file + "---\n"
}

fn block(file: &mut String, value: &Value, indent: usize) {
    let inner = indent + 2;
    match value {
        Value::Map(map) => {
            file.push('\n');
            for (key, value) in map.iter() {
                let _ = write!(file, "{:inner$}{key}:", "");
                block(file, value, inner);
            }
        }
        Value::List(list) if !list.is_empty() => {
            file.push('\n');
            for value in list {
                let _ = write!(file, "{:inner$}-", "");
                match value {
                    Value::Map(map) => {
                        for (n, (key, value)) in map.iter().enumerate() {
                            let before = if n == 0 { 1 } else { inner + 2 };
                            let _ = write!(file, "{:before$}{key}:", "");
                            block(file, value, inner + 2);
                        }
                    }
                    value => block(file, value, inner),
                }
            }
        }
        Value::Text(text) => {
            let _ = writeln!(file, " \"{text}\"");
        }
        value => {
            let _ = writeln!(
                file,
                " {}",
                serde_json::to_string(value).unwrap_or_default()
            );
        }
    }
}

/// CPU time of a file, in microseconds.
fn cpu_of<T>(pages: &[Page], mut work: impl FnMut(&Page) -> T) -> f64 {
    let before = cpu();
    for page in pages {
        black_box(work(page));
    }
    let spent = cpu().saturating_sub(before);
    #[allow(clippy::cast_precision_loss)]
    let count = pages.len().max(1) as f64;
    spent.as_secs_f64() * 1e6 / count
}

/// The first round warms up and does not count.
fn median(mut costs: Vec<f64>) -> f64 {
    costs.remove(0);
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}
