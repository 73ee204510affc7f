//! Faults at each system call: a run is killed, or a call of it fails, at the first call that
//! changes anything, the second, and so on to the last. Whatever the moment, what was acknowledged
//! stands once, nothing is half done, and the next run makes good what is left.
//!
//! `COPYDESK_ROUNDS=1000` is the long form: every call of the script, and so many kills at random
//! calls of random scripts. `COPYDESK_SEED` plays a run's randomness again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;

use crate::bad_database::Disk;
use crate::crash::{Random, once_each, seed};
use crate::desk::{Desk, Run, assert_published, finish};
use crate::mail_once::{Reply, Server, kind};
use crate::service::{BOUND, beside, number, rounds, service};
use crate::smtp::found;

/// Calls that change what outlives the process. A question mark: not every machine has it.
const CHANGES: &str = "openat,?mkdir,mkdirat,write,writev,pwrite64,pwritev,fsync,fdatasync,ftruncate,\
    fallocate,?rename,renameat,?renameat2,?link,linkat,?unlink,unlinkat,?chmod,fchmod,fchown,fsetxattr,\
    utimensat,sendto,sendmsg";

/// In the short form, at so many calls.
const FEW: usize = 24;

/// The command under strace; its trace goes into the desk's `trace`.
pub(crate) fn under_strace(desk: &Desk, command: &Command, options: &[&str]) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o"]).arg(desk.path("trace"));
    traced.args(options);
    traced.arg(command.get_program()).args(command.get_args());
    traced.current_dir(desk.path("."));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

fn has_strace() -> bool {
    found("strace", "strace", &["-o", "/dev/null", "true"])
}

/// One call of a run: its name, and how many of that name its thread has made with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    nth: usize,
    /// As strace shows it.
    shown: String,
}

impl Call {
    fn of(name: &str, nth: usize) -> Self {
        let (name, shown) = (name.to_owned(), String::new());
        Self { name, nth, shown }
    }

    /// Runs a command that meets a fault at this call.
    fn meets(&self, fault: &str, desk: &Desk, command: &Command) -> Output {
        let trace = format!("trace={}", self.name);
        let inject = format!("inject={}:{fault}:when={}", self.name, self.nth);
        let options = ["-e", &trace, "-e", &inject];
        let mut traced = under_strace(desk, command, &options);
        traced.stdin(Stdio::null()).output().unwrap()
    }
}

/// The calls of a traced run that change anything, in order.
fn calls(trace: &Path) -> Vec<Call> {
    let trace = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
    let mut made: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut known, mut calls) = (BTreeSet::new(), Vec::new());
    for line in trace.lines() {
        let (thread, line) = line.split_once(' ').unwrap();
        let Some((name, rest)) = line.trim_start().split_once('(') else {
            continue;
        };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        let nth = made.entry((thread, name)).or_default();
        *nth += 1;
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"];
        if name == "openat" && !writes.iter().any(|flag| rest.contains(flag)) {
            continue;
        }
        if known.insert((name, *nth)) {
            calls.push(Call {
                shown: line.trim().to_owned(),
                ..Call::of(name, *nth)
            });
        }
    }
    calls
}

/// The calls that a run of this command makes on a desk like this.
fn calls_of(desk: &Desk, step: &Step) -> Vec<Call> {
    let desk = desk.copy();
    let trace = format!("trace={CHANGES}");
    let options = ["-y", "-e", &trace];
    let mut traced = under_strace(&desk, &step.command(&desk), &options);
    let output = traced.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{step:?}: {output:?}");
    calls(&desk.path("trace"))
}

/// Does something with each of many things, two at a time; returns what went wrong.
fn for_each<T: Sync>(things: &[T], work: impl Fn(&T) + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(thing) = things.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(thing))) {
                        let what = panic.downcast_ref::<String>().cloned();
                        wrong.lock().unwrap().push(what.unwrap_or_default());
                    }
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// In the short form a few of them, not always the same.
fn some<T>(all: Vec<T>, rounds: Option<usize>, random: &mut Random) -> Vec<T> {
    if rounds.is_some() {
        return all;
    }
    let stride = all.len().div_ceil(FEW);
    let first = random.next(u64::try_from(stride).unwrap());
    let first = usize::try_from(first).unwrap();
    all.into_iter().skip(first).step_by(stride).collect()
}

#[track_caller]
fn none(wrong: &[String]) {
    for what in wrong {
        println!("{what}\n");
    }
    assert!(wrong.is_empty(), "{} faults", wrong.len());
}

/// What is read out of a database: rows by query.
type Facts = BTreeMap<&'static str, Vec<String>>;

/// What one decision changes, and changes together.
const DECIDED: [&str; 4] = [
    "SELECT id, item, kind, version, revision, actor, reason, note, until, at FROM decisions",
    "SELECT id, record, queue, status, version, revision, held_until FROM items",
    "SELECT item, kind, version, actor, at FROM events
     WHERE kind IN ('approved', 'rejected', 'held', 'reopened') AND actor <> 'copydesk'",
    "SELECT decision, item, source, path, verb FROM write_backs",
];

/// What is left when all is settled.
const SETTLED: [&str; 6] = [
    "SELECT id, source, identity, revision, published, flag, gone_at FROM records",
    "SELECT path, record, revision, raw, missing_since, broken_reason FROM locations",
    "SELECT id, decision, path, status, undo, aside, error FROM write_backs",
    "SELECT id, kind, recipient, reason, subject, status, lost FROM mails",
    "SELECT mail, item, version, overdue FROM mail_log",
    "SELECT source, record, rules, total FROM assessments JOIN records ON records.id = record",
];

/// The rows of a healthy database; none where it has no tables yet.
fn facts(database: &Path, queries: &[&'static str]) -> Facts {
    let empty = || queries.iter().map(|&sql| (sql, Vec::new())).collect();
    if !database.exists() {
        return empty();
    }
    let connection = Connection::open(database).unwrap();
    let one = |sql| connection.query_row(sql, [], |row| row.get::<_, SqlValue>(0));
    let healthy = one("PRAGMA integrity_check").unwrap();
    assert_eq!(healthy, SqlValue::Text("ok".into()));
    if one("SELECT count(*) FROM sqlite_master") == Ok(SqlValue::Integer(0)) {
        return empty();
    }
    let rows = |sql| {
        let mut statement = connection.prepare(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells: Result<Vec<SqlValue>, _> = (0..columns).map(|n| row.get(n)).collect();
            Ok(format!("{:?}", cells?))
        };
        let rows = statement.query_map([], row).unwrap();
        let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
        rows.sort();
        rows
    };
    queries.iter().map(|&sql| (sql, rows(sql))).collect()
}

/// What stands in the database of a desk, which is left as it is.
fn decided(desk: &Desk) -> Facts {
    facts(&desk.copy().path("state/copydesk.db"), &DECIDED)
}

/// The files below a folder, by name.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// All that matters of a desk once it is settled.
#[derive(Debug, PartialEq)]
struct Whole {
    facts: Facts,
    content: BTreeMap<PathBuf, Vec<u8>>,
    mails: Vec<(String, String, String)>,
    names: BTreeSet<String>,
    problems: Vec<serde_json::Value>,
}

impl Whole {
    fn of(desk: &Desk) -> Self {
        let problems = desk.problems();
        let database = desk.path("state/copydesk.db");
        let mut whole = facts(&database, &DECIDED);
        whole.extend(facts(&database, &SETTLED));
        let below = |path: &PathBuf| path.strip_prefix(desk.path("")).unwrap().to_owned();
        let all = files(&desk.path(""));
        let (content, others): (BTreeMap<_, _>, BTreeMap<_, _>) = all
            .iter()
            .map(|(path, bytes)| (below(path), bytes.clone()))
            .partition(|(path, _)| path.starts_with("content"));
        let mails = if desk.path("state/mail").exists() {
            desk.mails()
        } else {
            Vec::new()
        };
        let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
        assert_eq!(ids.len(), mails.len(), "one mail landed twice");
        let eml = all
            .keys()
            .filter(|path| path.extension().is_some_and(|ending| ending == "eml"));
        for mail in eml {
            let mode = fs::metadata(mail).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "others may read {}", mail.display());
        }
        Self {
            facts: whole,
            content,
            mails: mails
                .into_iter()
                .map(|mail| (mail.to, mail.subject, mail.text))
                .collect(),
            names: others
                .into_keys()
                .map(|path| path.display().to_string())
                .filter(|name| name != "trace")
                .collect(),
            problems,
        }
    }

    #[track_caller]
    fn is(&self, expected: &Self, told: &str) {
        for (sql, rows) in &expected.facts {
            let found = &self.facts[sql];
            assert!(found == rows, "{told}: {sql}: {found:#?} for {rows:#?}");
        }
        for (path, bytes) in &expected.content {
            let found = self.content.get(path).unwrap_or(bytes);
            let (found, bytes) = (
                String::from_utf8_lossy(found),
                String::from_utf8_lossy(bytes),
            );
            assert!(found == bytes, "{told}: {}: {found}", path.display());
        }
        let names = |whole: &Self| whole.content.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(expected), "{told}");
        assert_eq!(self.mails, expected.mails, "{told}");
        assert_eq!(self.names, expected.names, "{told}");
        assert_eq!(self.problems, expected.problems, "{told}");
    }
}

/// One command of the script.
#[derive(Debug)]
struct Step {
    args: Vec<String>,
    /// How long after the one before.
    later: &'static str,
    /// What upstream does first.
    upstream: fn(&Desk),
}

fn step(args: &str) -> Step {
    Step {
        args: args.split(' ').map(str::to_owned).collect(),
        later: "1m",
        upstream: |_| {},
    }
}

/// A decision with an id of its own, by which it is asked for again.
fn deciding(args: &str) -> Step {
    let sum = |sum: u64, byte: u8| sum.wrapping_mul(131).wrapping_add(byte.into());
    let id = args.bytes().fold(0, sum) % (1 << 48);
    step(&format!("{args} --id 00000000-0000-7000-8000-{id:012x}"))
}

impl Step {
    fn command(&self, desk: &Desk) -> Command {
        desk.command(&self.args)
    }

    fn decides(&self) -> bool {
        self.args.iter().any(|arg| arg == "--id")
    }
}

fn script() -> Vec<Step> {
    vec![
        step("scan"),
        deciding("approve 1@1"),
        deciding("reject 2 --reason quality"),
        deciding("hold 3 --until 3d --note later"),
        step("notify"),
        deciding("approve 3"),
        deciding("approve 5 --as ana@example.org"),
        deciding("reopen 1"),
        Step {
            upstream: |desk| {
                desk.replace("3.md", "A story about 3", "Another story about 3");
                desk.replace("4.md", "b3BhcXVl", "c2VjcmV0");
                desk.story("new.md").write();
                desk.remove("6.md");
            },
            ..step("scan")
        },
        deciding("reject 1 --note no"),
        deciding("reject 3 --reason quality"),
        step("backup desk.backup"),
        Step {
            later: "25h",
            ..step("scan")
        },
        step("notify"),
    ]
}

fn stories() -> Desk {
    let desk = Desk::new();
    desk.story("1.md").topics(&["AI"]).write();
    desk.story("2.md").published(true).crlf().write();
    desk.story("3.md").bom().write();
    desk.story("4.md").write();
    desk.story("5/5.md").without_published().write();
    desk.change_source("missing: true", "missing: false");
    desk.story("6.md").write();
    desk.copy()
}

/// What is done after anything: the next pass, and the mails.
fn settle(desk: &Desk) {
    desk.later("2m").scan();
    desk.run(&["notify"]).done();
}

/// A moment of the script: the desk before a command, and what is to come of it.
struct Moment {
    before: Desk,
    step: Step,
    decided_before: Facts,
    decided_after: Facts,
    settled: Whole,
}

fn moments() -> Vec<Moment> {
    let desk = stories();
    let mut moments = Vec::new();
    for step in script() {
        desk.later(step.later);
        (step.upstream)(&desk);
        let before = desk.copy();
        desk.run(&step.args).done();
        // Not a copy of it, whose files would be others.
        let settled = before.copy();
        settled.run(&step.args).done();
        settle(&settled);
        moments.push(Moment {
            decided_before: decided(&before),
            decided_after: decided(&desk),
            settled: Whole::of(&settled),
            before,
            step,
        });
    }
    moments
}

impl Moment {
    /// Whether the step stands in the database, or not at all.
    #[track_caller]
    fn stands_whole(&self, desk: &Desk, told: &str) -> bool {
        let found = decided(desk);
        if self.step.decides() {
            let stands = found == self.decided_after;
            let not_at_all = found == self.decided_before;
            assert!(stands || not_at_all, "{told}: half there: {found:#?}");
            return stands;
        }
        let decisions = DECIDED[0];
        assert_eq!(
            found[decisions], self.decided_before[decisions],
            "{told}: lost"
        );
        false
    }

    /// Asked for again, it is answered; then all is as if nothing had happened.
    #[track_caller]
    fn comes_right(&self, desk: &Desk, told: &str) {
        let run = desk.run(&self.step.args);
        assert_eq!(run.code, 0, "{told}: asked for again: {run:?}");
        settle(desk);
        Whole::of(desk).is(&self.settled, told);
    }
}

#[test]
fn a_run_killed_at_any_call_loses_no_decision_and_doubles_none() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let started = Instant::now();
    let moments = moments();
    let all = moments.iter().flat_map(|moment| {
        let calls = calls_of(&moment.before, &moment.step);
        calls.into_iter().map(move |call| (moment, call))
    });
    let chosen = some(all.collect(), rounds(), &mut random);
    let hit = AtomicUsize::new(0);
    let wrong = for_each(&chosen, |(moment, call)| {
        let desk = moment.before.copy();
        let told = format!("{:?} killed at {call:?}", moment.step.args);
        let output = call.meets("signal=KILL", &desk, &moment.step.command(&desk));
        if output.status.signal() == Some(9) {
            hit.fetch_add(1, Ordering::SeqCst);
        } else {
            assert_eq!(output.status.code(), Some(0), "{told}: {output:?}");
        }
        let stands = moment.stands_whole(&desk, &told);
        if moment.step.decides() && !output.stdout.is_empty() {
            assert!(stands, "{told}: it was told of");
        }
        moment.comes_right(&desk, &told);
    });
    let hit = hit.into_inner();
    println!(
        "| acknowledged decision lost or doubled | {hit} kill points, each call of {} commands, {:?} | {} |",
        moments.len(),
        started.elapsed(),
        wrong.len()
    );
    none(&wrong);
    assert!(hit * 10 > chosen.len() * 9, "{hit} of {}", chosen.len());
}

#[test]
fn a_pass_killed_while_it_judges_what_is_gone_is_made_good_by_the_next() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.story("gone.md").write();
    let url = "https://www.example.org/both";
    desk.story("first.md").url(url).write();
    desk.scan();
    desk.later("1m");
    desk.story("second.md").url(url).title("The other").write();
    desk.scan();
    let (gone, both) = (desk.id_of("gone.md"), desk.id_of("first.md"));
    desk.remove("gone.md");
    desk.remove("first.md");
    desk.story("kept.md").write();
    desk.later("1m").scan();
    let pass = step("scan");
    desk.later("2m");
    let calls = calls_of(&desk, &pass);
    let is_sync = |call: &&Call| ["fsync", "fdatasync"].contains(&&*call.name);
    let syncs: Vec<_> = calls.iter().filter(is_sync).collect();
    assert!(syncs.len() > 4, "{calls:?}");
    let wrong = for_each(&syncs, |call| {
        let desk = desk.copy();
        call.meets("signal=KILL", &desk, &pass.command(&desk));
        desk.later("2m").scan();
        let (gone, both) = (desk.show(gone), desk.show(both));
        assert_eq!(gone["status"], "withdrawn", "{call:?}");
        assert_eq!(both["title"], "The other", "{call:?}");
    });
    none(&wrong);
}

/// The faults of a disk.
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EROFS"];

#[test]
fn a_call_that_fails_costs_no_acknowledged_decision_and_is_told_of() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let started = Instant::now();
    let moments = moments();
    let mut all = Vec::new();
    for moment in &moments {
        for call in calls_of(&moment.before, &moment.step) {
            let below = ["/state", "/content"];
            if below.iter().any(|folder| call.shown.contains(folder)) {
                let error = ERRORS[all.len() % ERRORS.len()];
                all.push((moment, call, error));
            }
        }
    }
    let chosen = some(all, rounds(), &mut random);
    let (met, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = for_each(&chosen, |(moment, call, error)| {
        let desk = moment.before.copy();
        let told = format!("{:?}: {error} at {call:?}", moment.step.args);
        let command = moment.step.command(&desk);
        let output = call.meets(&format!("error={error}"), &desk, &command);
        let trace = fs::read_to_string(desk.path("trace")).unwrap();
        met.fetch_add(usize::from(trace.contains("INJECTED")), Ordering::SeqCst);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = format!("{told}: {said}");
        let stands = moment.stands_whole(&desk, &told);
        match output.status.code() {
            Some(0) => {
                assert!(stands || !moment.step.decides(), "{told}: not there");
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Some(1) => {
                let names = ["state", ".md"].iter().any(|name| said.contains(name));
                assert!(names, "{told}: names no file");
                let told_of = said.contains("the decision stands");
                assert!(told_of == stands || !moment.step.decides(), "{told}");
                assert_eq!(told_of, !output.stdout.is_empty(), "{told}: {output:?}");
            }
            _ => panic!("{told}: {output:?}"),
        }
        moment.comes_right(&desk, &told);
    });
    let met = met.into_inner();
    println!(
        "| I/O error, disk full or read-only at each write | {met} points, {} acknowledged all the same, {:?} | {} |",
        acknowledged.into_inner(),
        started.elapsed(),
        wrong.len()
    );
    none(&wrong);
    assert!(met * 10 > chosen.len() * 9, "{met} of {}", chosen.len());
}

/// What was asked for, and what was acknowledged.
#[derive(Debug, Default)]
struct Ledger {
    asked: BTreeMap<String, (i64, &'static str)>,
    acknowledged: BTreeSet<String>,
    log: Vec<String>,
}

impl Ledger {
    fn ask(&mut self, random: &mut Random, items: u64) -> Vec<String> {
        // Now and then what was not answered is asked for again.
        let open = self
            .asked
            .keys()
            .find(|id| !self.acknowledged.contains(*id));
        let id = match open {
            Some(id) if random.next(3) > 0 => id.clone(),
            _ => format!("00000000-0000-7000-8000-{:012x}", random.next(1 << 48)),
        };
        let any = ["approve", "reject", "approve", "hold", "reopen"];
        let verb = any[usize::try_from(random.next(5)).unwrap()];
        let item = i64::try_from(1 + random.next(items)).unwrap();
        let (item, verb) = *self.asked.entry(id.clone()).or_insert((item, verb));
        [verb, &item.to_string(), "--id", &id]
            .map(str::to_owned)
            .to_vec()
    }

    fn note(&mut self, args: &[String], code: Option<i32>) {
        self.log.push(format!("{args:?}: {code:?}"));
        if let (Some(id), Some(0)) = (args.get(3), code) {
            self.acknowledged.insert(id.clone());
        }
    }

    /// Everything acknowledged stands, and whatever stands was asked for and is whole: item,
    /// history and file say the same.
    fn holds(&self, desk: &Desk, originals: &Desk) {
        let database = Connection::open(desk.path("state/copydesk.db")).unwrap();
        let all = |sql: &str| -> Vec<(i64, String, String, i64)> {
            let mut statement = database.prepare(sql).unwrap();
            let row =
                |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement
                .query_map([], row)
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        let healthy: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(healthy, "ok");
        let decisions = all("SELECT item, id, kind, version FROM decisions ORDER BY item, version");
        let ids: BTreeSet<String> = decisions.iter().map(|(_, id, ..)| id.clone()).collect();
        let lost: Vec<_> = self.acknowledged.difference(&ids).collect();
        assert!(lost.is_empty(), "lost: {lost:?}: {self:#?}");
        for (item, id, kind, _) in &decisions {
            assert_eq!(self.asked[id], (*item, kind.as_str()), "{self:#?}");
        }
        let pending = "SELECT count(*) FROM write_backs WHERE status <> 'done' AND status <> 'superseded' OR aside IS NOT NULL";
        assert_eq!(number(desk, pending), Some(0), "{self:#?}");
        let items = all(
            "SELECT i.id, i.status, l.path, i.version FROM items i JOIN locations l ON l.record = i.record",
        );
        for (item, status, path, version) in &items {
            let of_it: Vec<&str> = decisions
                .iter()
                .filter(|(of, ..)| of == item)
                .zip(1..)
                .map(|((.., kind, on), version)| {
                    assert_eq!(*on, version, "item {item}: {self:#?}");
                    kind.as_str()
                })
                .collect();
            assert_eq!(
                *version,
                i64::try_from(of_it.len()).unwrap() + 1,
                "{self:#?}"
            );
            let leads_to = match of_it.last() {
                None | Some(&"reopen") => "pending",
                Some(&"approve") => "approved",
                Some(&"reject") => "rejected",
                _ => "held",
            };
            assert_eq!(status, leads_to, "item {item}: {self:#?}");
            let told = format!(
                "SELECT count(*) FROM events WHERE item = {item} AND kind IN ('approved', 'rejected', 'held', 'reopened')"
            );
            assert_eq!(number(desk, &told), Some(version - 1), "{self:#?}");
            let original = String::from_utf8(originals.read(path)).unwrap();
            let set = |to: &str| {
                let line = original.lines().find(|line| line.starts_with("published:"));
                original.replacen(line.unwrap(), &format!("published: {to}"), 1)
            };
            let expected = match of_it.iter().rfind(|kind| **kind != "hold") {
                Some(&"approve") => set("true"),
                Some(&"reject") => set("false"),
                _ => original.clone(),
            };
            let found = String::from_utf8(desk.read(path)).unwrap();
            assert!(found == expected, "{path} is {found}: {of_it:?}: {self:#?}");
        }
        let names = |desk: &Desk| files(&desk.path("content")).len();
        assert_eq!(names(desk), names(originals), "beside the files: {self:#?}");
        once_each(desk, &database);
    }
}

fn eight() -> Desk {
    let desk = Desk::new();
    for n in 1..=8 {
        let story = desk
            .story(&format!("{}/{n}.md", n % 3))
            .published(n % 4 == 0);
        if n % 2 == 0 { story.crlf() } else { story }.write();
    }
    desk
}

/// A random script on a desk of its own, whose commands are killed at random calls; returns how
/// many were.
fn killed_at_random(seed: u64, scanned: &Desk, kills: &AtomicUsize) {
    let mut random = Random(seed);
    let (desk, mut ledger) = (scanned.copy(), Ledger::default());
    for _ in 0..12 {
        desk.later("1m");
        let args = match random.next(12) {
            0 => vec!["scan".to_owned()],
            1 | 2 => vec!["notify".to_owned()],
            3 => vec!["backup".to_owned(), "desk.backup".to_owned()],
            _ => ledger.ask(&mut random, 8),
        };
        let (name, most) = [
            ("pwrite64", 60),
            ("pwrite64", 90),
            ("fdatasync", 12),
            ("fsync", 6),
            ("write", 4),
            ("openat", 26),
            ("unlink", 3),
            ("ftruncate", 3),
            ("renameat", 1),
            ("renameat2", 1),
            ("unlinkat", 1),
        ][usize::try_from(random.next(11)).unwrap()];
        let call = Call::of(name, usize::try_from(1 + random.next(most)).unwrap());
        let output = call.meets("signal=KILL", &desk, &desk.command(&args));
        if output.status.signal() == Some(9) {
            kills.fetch_add(1, Ordering::SeqCst);
            ledger.log.push(format!("the next at {name} {}", call.nth));
        }
        ledger.note(&args, output.status.code());
    }
    settle(&desk);
    ledger.holds(&desk, scanned);
}

#[test]
fn random_scripts_killed_at_random_calls_lose_nothing() {
    if !has_strace() {
        return;
    }
    let (seed, started) = (seed(), Instant::now());
    let scanned = eight();
    scanned.scan();
    let (kills, goal) = (AtomicUsize::new(0), rounds().unwrap_or(20));
    let seeds: Vec<u64> = (0..u64::try_from(goal).unwrap())
        .map(|n| seed + n)
        .collect();
    let wrong = for_each(&seeds, |&seed| {
        if kills.load(Ordering::SeqCst) < goal {
            let run = catch_unwind(AssertUnwindSafe(|| {
                killed_at_random(seed, &scanned, &kills)
            }));
            if let Err(panic) = run {
                let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                panic!("COPYDESK_SEED={seed}: {what}");
            }
        }
    });
    let kills = kills.into_inner();
    println!(
        "| acknowledged decision lost or doubled, random scripts | {kills} kill points, {:?} | {} |",
        started.elapsed(),
        wrong.len()
    );
    none(&wrong);
    assert!(kills >= goal, "{kills} kills");
}

/// The service runs, is decided beside, and is killed at a call; one that is not met is stopped.
fn service_killed(call: Option<&Call>, scanned: &Desk, ledger: &mut Ledger) -> (Desk, bool) {
    let desk = scanned.copy();
    let command = service(&desk);
    let mut traced = match call {
        Some(Call { name, nth, .. }) => {
            let trace = format!("trace={name}");
            let inject = format!("inject={name}:signal=KILL:when={nth}");
            under_strace(&desk, &command, &["-e", &trace, "-e", &inject])
        }
        None => {
            let trace = format!("trace={CHANGES}");
            under_strace(&desk, &command, &["-e", &trace])
        }
    };
    let quiet = (Stdio::null(), Stdio::null(), Stdio::null());
    let mut child = traced
        .stdin(quiet.0)
        .stdout(quiet.1)
        .stderr(quiet.2)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let lock = || fs::read_to_string(desk.path("state/lock")).unwrap_or_default();
    let process = || lock().trim().parse::<i32>().ok();
    for item in 1..=4 {
        let verb = ["approve", "reject"][usize::try_from(item % 2).unwrap()];
        let id = format!("00000000-0000-7000-8000-00000000000{item}");
        ledger.asked.insert(id.clone(), (item, verb));
        let args = [verb, &item.to_string(), "--id", &id];
        let run = finish(beside(&desk, &args));
        ledger.note(&args.map(str::to_owned), Some(run.code));
        if item == 2 {
            finish(beside(&desk, &["notify"]));
        }
    }
    let mut asked = false;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let settled = "SELECT count(*) FROM write_backs WHERE status = 'pending'";
        let is_settled = number(&desk, settled) == Some(0);
        // The number in the lock is the service's once it has started.
        let serves = number(&desk, "SELECT process FROM service WHERE stopped = 0");
        if let Some(process) = process().filter(|_| is_settled && !asked)
            && serves == Some(i64::from(process))
        {
            let process = rustix::process::Pid::from_raw(process).unwrap();
            // It may have met its call since.
            match rustix::process::kill_process(process, rustix::process::Signal::TERM) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => asked = true,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(started.elapsed() < BOUND, "{call:?}: does not end");
        thread::sleep(Duration::from_millis(10));
    };
    (desk, status.signal() == Some(9))
}

#[test]
fn a_service_killed_at_any_call_loses_no_decision() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let started = Instant::now();
    let scanned = eight().copy();
    finish(beside(&scanned, &["scan"])).done();
    let (traced, killed) = service_killed(None, &scanned, &mut Ledger::default());
    assert!(!killed);
    let mut chosen = some(calls(&traced.path("trace")), rounds(), &mut random);
    if rounds().is_none() {
        chosen = chosen.into_iter().step_by(4).collect();
    }
    let (kills, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = for_each(&chosen, |call| {
        let mut ledger = Ledger::default();
        let (desk, killed) = service_killed(Some(call), &scanned, &mut ledger);
        kills.fetch_add(usize::from(killed), Ordering::SeqCst);
        acknowledged.fetch_add(ledger.acknowledged.len(), Ordering::SeqCst);
        let again: Vec<Run> = ledger
            .asked
            .iter()
            .map(|(id, (item, verb))| {
                finish(beside(&desk, &[verb, &item.to_string(), "--id", id])).done()
            })
            .collect();
        assert_eq!(again.len(), 4);
        ledger.acknowledged = ledger.asked.keys().cloned().collect();
        finish(beside(&desk, &["scan"])).done();
        finish(beside(&desk, &["notify"])).done();
        ledger.log.push(format!("the service killed at {call:?}"));
        ledger.holds(&desk, &scanned);
    });
    println!(
        "| acknowledged decision lost or doubled, beside the service | {} kill points, {} acknowledged, {:?} | {} |",
        kills.into_inner(),
        acknowledged.into_inner(),
        started.elapsed(),
        wrong.len()
    );
    none(&wrong);
}

/// The command that mails by a server of this machine.
fn mailing(desk: &Desk, server: &Server) -> Command {
    let mut command = desk.command(&["notify"]);
    command
        .env(
            "COPYDESK_SMTP_URL",
            format!("smtp://127.0.0.1:{}", server.port),
        )
        .env("COPYDESK_MAIL_FROM", "desk@example.org");
    command
}

#[test]
fn a_mail_whose_sending_is_killed_at_any_call_comes_once() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let scanned = eight();
    scanned.scan();
    let serve = || Server::new(|step| Reply::of(kind(step)));
    let traced = scanned.copy();
    let trace = format!("trace={CHANGES}");
    let command = mailing(&traced, &serve());
    under_strace(&traced, &command, &["-y", "-e", &trace])
        .output()
        .unwrap();
    let all = calls(&traced.path("trace"));
    assert!(all.iter().any(|call| call.name == "sendto"), "{all:?}");
    let chosen = some(all, rounds(), &mut random);
    let twice = AtomicUsize::new(0);
    let wrong = for_each(&chosen, |call| {
        let (desk, server) = (scanned.copy(), serve());
        call.meets("signal=KILL", &desk, &mailing(&desk, &server));
        // A mail that was going out is looked after once its process is surely gone.
        for later in ["21m", "16m", "1h"] {
            desk.later(later);
            finish(mailing(&desk, &server)).done();
        }
        let taken = server.taken();
        assert_eq!(taken.len(), 1, "{call:?}: {taken:#?}");
        let copies = taken.values().map(Vec::len).sum::<usize>();
        let rows = |status| number(&desk, &format!("SELECT count(*) FROM mails WHERE {status}"));
        assert_eq!(rows("status = 'sent'"), Some(1), "{call:?}");
        if copies > 1 {
            // Only where its text was out and the answer was not noted.
            assert_eq!((copies, rows("lost = 1")), (2, Some(1)), "{call:?}");
            twice.fetch_add(1, Ordering::SeqCst);
        }
    });
    println!(
        "| mail lost, or doubled but after its dot | {} kill points, {} twice after the dot, by the same Message-ID | {} |",
        chosen.len(),
        twice.into_inner(),
        wrong.len()
    );
    none(&wrong);
}

/// What has made the database of each version, in order.
fn migrations() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.collect()
}

/// The same desk as an older copydesk would have it: what the first version could keep of it.
fn older(desk: &Desk, version: usize) -> Desk {
    let migrations = migrations();
    let desk = desk.copy();
    let (file, newer) = (desk.path("state/copydesk.db"), desk.path("newer.db"));
    fs::rename(&file, &newer).unwrap();
    let database = Connection::open(&file).unwrap();
    database
        .execute_batch("PRAGMA foreign_keys = 0; PRAGMA journal_mode = WAL")
        .unwrap();
    database.execute_batch(&migrations[0]).unwrap();
    let attach = "ATTACH DATABASE ?1 AS newer";
    database.execute(attach, [newer.to_str().unwrap()]).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    for table in names("SELECT name FROM main.sqlite_master WHERE type = 'table'") {
        let columns = names(&format!(
            "SELECT name FROM pragma_table_info('{table}', 'main')"
        ));
        let columns = columns.join(", ");
        // What newer ones store once, the first stored with each assessment.
        let rows = match table.as_str() {
            "assessments" => columns
                .replace("rules", "(SELECT hash FROM newer.rule_sets WHERE id = rules)")
                .replace(
                    "hits",
                    "(SELECT json_group_array(json(h.hit)) FROM json_each(hits) n JOIN newer.hits h ON h.id = n.value)",
                ),
            _ => columns.clone(),
        };
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {rows} FROM newer.{table}");
        database.execute_batch(&copy).unwrap();
    }
    database.execute_batch("DETACH DATABASE newer").unwrap();
    migrations[1..version]
        .iter()
        .for_each(|sql| database.execute_batch(sql).unwrap());
    let versions = "CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT";
    database.execute_batch(versions).unwrap();
    for version in 1..=version {
        let insert = "INSERT INTO schema_version VALUES (?1)";
        database
            .execute(insert, [i64::try_from(version).unwrap()])
            .unwrap();
    }
    drop(database);
    fs::remove_file(newer).unwrap();
    desk
}

/// The newest version that a database says it is of.
const VERSION: [&str; 1] = ["SELECT max(version) FROM schema_version"];

#[test]
fn an_upgrade_killed_or_failing_at_any_call_is_of_one_version_and_loses_nothing() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let started = Instant::now();
    let desk = stories();
    for step in script() {
        desk.later(step.later);
        (step.upstream)(&desk);
        desk.run(&step.args).done();
    }
    let upgrade = step("queue");
    let mut all = Vec::new();
    let moments: Vec<(usize, Desk, Facts, Whole)> = (1..migrations().len())
        .map(|version| {
            let before = older(&desk, version);
            let settled = before.copy();
            settled.run(&upgrade.args).done();
            settle(&settled);
            (
                version,
                before.copy(),
                decided(&before),
                Whole::of(&settled),
            )
        })
        .collect();
    for moment in &moments {
        for call in calls_of(&moment.1, &upgrade) {
            for fault in ["signal=KILL", "error=EIO", "error=ENOSPC"] {
                if fault == "signal=KILL" || call.shown.contains("/state") {
                    all.push((moment, call.clone(), fault));
                }
            }
        }
    }
    let chosen = some(all, rounds(), &mut random);
    let (killed, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = for_each(
        &chosen,
        |((version, before, decided, settled), call, fault)| {
            let desk = before.copy();
            let told = format!("version {version}, {fault} at {call:?}");
            let output = call.meets(fault, &desk, &upgrade.command(&desk));
            match output.status.code() {
                None => killed.fetch_add(1, Ordering::SeqCst),
                Some(code) => {
                    assert!(code < 2, "{told}: {output:?}");
                    failed.fetch_add(usize::from(code == 1), Ordering::SeqCst)
                }
            };
            let (old, new) = (
                format!("[Integer({version})]"),
                format!("[Integer({})]", migrations().len()),
            );
            let copied = desk.copy();
            let found = facts(&copied.path("state/copydesk.db"), &VERSION);
            let found = &found[VERSION[0]];
            assert!(*found == [old] || *found == [new], "{told}: {found:?}");
            assert_eq!(
                facts(&copied.path("state/copydesk.db"), &DECIDED),
                *decided,
                "{told}"
            );
            desk.run(&upgrade.args).done();
            settle(&desk);
            Whole::of(&desk).is(settled, &told);
        },
    );
    println!(
        "| decision lost by an upgrade cut short | {} kill points, {} failed calls, {} versions, {:?} | {} |",
        killed.into_inner(),
        failed.into_inner(),
        moments.len(),
        started.elapsed(),
        wrong.len()
    );
    none(&wrong);
}

#[test]
fn a_restoring_killed_at_any_call_leaves_the_one_or_the_other() {
    if !has_strace() {
        return;
    }
    let mut random = Random(seed());
    let desk = stories();
    desk.scan();
    desk.run(&["backup", "desk.backup"]).done();
    desk.later("1h").run(&["approve", "1"]).done();
    // Numbers go on from those that were given out, so each restoring raises them.
    let decisions = |desk: &Desk| decided(desk).remove(DECIDED[0]).unwrap();
    let (restore, now) = (step("restore desk.backup"), decisions(&desk));
    assert_eq!(now.len(), 1);
    let chosen = some(calls_of(&desk, &restore), rounds(), &mut random);
    let wrong = for_each(&chosen, |call| {
        let desk = desk.copy();
        call.meets("signal=KILL", &desk, &restore.command(&desk));
        let found = decisions(&desk);
        assert!(found == now || found.is_empty(), "{call:?}: {found:?}");
        desk.run(&restore.args).done();
        assert!(decisions(&desk).is_empty(), "{call:?}");
        let left = files(&desk.path("state")).into_keys();
        let left: Vec<_> = left
            .filter(|path| path.to_str().unwrap().contains(".copydesk-"))
            .collect();
        assert!(left.is_empty(), "{call:?}: {left:?}");
    });
    println!(
        "| restoring cut short | {} kill points | {} |",
        chosen.len(),
        wrong.len()
    );
    none(&wrong);
}

#[test]
fn a_backup_removes_what_a_killed_one_left_and_nothing_else() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.story("a.md").write();
    desk.scan();
    let left = |desk: &Desk| -> BTreeSet<String> {
        let names = fs::read_dir(desk.path("kept")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".copydesk")).collect()
    };
    fs::create_dir(desk.path("kept")).unwrap();
    let backup = step("backup kept/desk.backup");
    let calls = calls_of(&desk, &backup);
    let of_copy = calls
        .iter()
        .filter(|call| call.shown.contains("/.copydesk-backup-"));
    // In the midst of copying, so that the copy's own journal is there too, and at the end.
    let of_copy: Vec<_> = of_copy.collect();
    let of_journal = of_copy
        .iter()
        .filter(|call| call.shown.contains("-journal"));
    let of_journal: Vec<_> = of_journal.collect();
    let amidst = of_journal.get(of_journal.len() / 2).copied();
    for call in of_copy.iter().step_by(20).chain(amidst) {
        call.meets("signal=KILL", &desk, &backup.command(&desk));
    }
    println!("left: {:?}", left(&desk));
    assert!(left(&desk).len() > 1, "nothing was left to be removed");
    // Of another backup that is being made, and of somebody else.
    let made = fs::File::create(desk.path("kept/.copydesk-backup-AbCdEf")).unwrap();
    rustix::fs::flock(&made, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(desk.path("kept/.copydesk-backup-notes.txt"), "mine").unwrap();
    desk.run(&["backup", "kept/desk.backup"]).done();
    let kept = [".copydesk-backup-AbCdEf", ".copydesk-backup-notes.txt"];
    assert_eq!(left(&desk), kept.map(str::to_owned).into());
    drop(made);
    desk.run(&["backup", "kept/desk.backup"]).done();
    assert_eq!(left(&desk), [kept[1].to_owned()].into());
}

#[test]
fn content_on_a_full_or_read_only_disk_is_written_once_there_is_space() {
    let desk = Desk::new();
    let Some(disk) = Disk::small(&desk.path("content")) else {
        return;
    };
    let before: Vec<Vec<u8>> = ["a.md", "b.md"]
        .map(|name| desk.story(name).write().bytes())
        .into();
    desk.scan();
    disk.fill(0);
    let full = desk.approve("a.md");
    let full = full
        .refused()
        .says(&["the decision stands", "a.md", "space"]);
    assert!(!full.seen().contains("nothing was done"), "{full:?}");
    assert_eq!(desk.read("a.md"), before[0]);
    disk.free();
    disk.remount("ro");
    desk.approve("b.md")
        .refused()
        .says(&["the decision stands", "b.md", "read-only"]);
    desk.later("2m").scan();
    assert_eq!([desk.read("a.md"), desk.read("b.md")], before[..]);
    assert!(!desk.problems().is_empty());
    disk.remount("rw");
    desk.later("5m").scan();
    assert_published(&before[0], &desk.read("a.md"));
    assert_published(&before[1], &desk.read("b.md"));
    assert_eq!(fs::read_dir(desk.path("content")).unwrap().count(), 2);
    desk.run(&["status"]).says(&["all is well"]);
}
