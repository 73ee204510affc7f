//! One seed's world: upstream, reviewers, clock, mail server and failures around the real desk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use copydesk::config::Secret;
use copydesk::intake::{self, Control};
use copydesk::item::{ItemRef, Status, Verdict};
use copydesk::notify::outbox::{Outbox, Way};
use copydesk::notify::smtp::SmtpSettings;
use copydesk::notify::{self, When};
use copydesk::record::Hash;
use copydesk::review::{self, Actor, Request, ReviewError};
use copydesk::rules::RuleSet;
use copydesk::store::{Store, retention};
use copydesk::write_back;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

use super::ledger::{Asked, Ledger};
use super::old::answers;
use super::post::{self, Post};
use super::upstream::{Content, File, Files, Key, SOURCES};
use crate::crash::Random;

/// What a check says that fails.
pub(super) type Checked<T = ()> = Result<T, String>;

/// A folder on a fast disk with several sets of rules, and a mail server: used by one world after
/// the other.
pub(super) struct Ground {
    pub(super) root: PathBuf,
    pub(super) rules: Vec<RuleSet>,
    pub(super) template: PathBuf,
    pub(super) port: u16,
    pub(super) post: Arc<Mutex<Post>>,
}

pub(super) struct World<'g> {
    pub(super) ground: &'g Ground,
    pub(super) random: Random,
    pub(super) now: Timestamp,
    /// Which of the rules are in force.
    pub(super) rule: usize,
    pub(super) store: Option<Store>,
    /// Looks at the database from outside, and strikes at its transactions.
    pub(super) side: Connection,
    pub(super) files: Files,
    pub(super) ledger: Ledger,
    pub(super) trace: &'g Mutex<Vec<String>>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// What was taken away and may come back.
    gone: Vec<(Key, Content)>,
    /// Sources whose folder is not there.
    pub(super) away: [bool; 2],
    numbers: u64,
    jumps: u8,
    /// Whether a whole pass was made under these rules, as the service makes one at once.
    passed: bool,
    /// Whether nothing fails any more.
    calm: bool,
}

/// What happens, how often, and how it is counted.
pub(super) const EVENTS: [(u64, &str); 34] = [
    (50, "pass"),
    (20, "look at some files"),
    (45, "write-back"),
    (45, "notify"),
    (8, "notify now"),
    (6, "what time does"),
    (8, "what is old goes"),
    (36, "approve"),
    (16, "reject"),
    (6, "hold"),
    (14, "reopen"),
    (5, "stale version"),
    (7, "request repeated"),
    (3, "request reused"),
    (5, "two at once"),
    (26, "new story"),
    (14, "content rewrite"),
    (10, "volatile rewrite"),
    (3, "formatting sweep"),
    (5, "signal rewrite"),
    (7, "move"),
    (4, "path taken over"),
    (4, "second place"),
    (5, "delete"),
    (5, "return"),
    (8, "flag flipped"),
    (4, "half written"),
    (2, "url gained"),
    (5, "mass vanish"),
    (2, "folder away"),
    (5, "rules changed"),
    (20, "time goes on"),
    (1, "ten years on"),
    (1, "a day back"),
];

/// The database that each world begins with: the desk's own, with triggers that can refuse.
pub(super) fn template(path: &Path) {
    drop(Store::open(path).unwrap());
    let side = Connection::open(path).unwrap();
    // At the row that `at` counts down to, the statement fails, or, by a constraint that is
    // deferred, the commit.
    side.execute_batch(
        "CREATE TABLE strike (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, commits INTEGER NOT NULL);
         INSERT INTO strike VALUES (1, 0, 0);
         CREATE TABLE struck (id INTEGER REFERENCES strike (id) DEFERRABLE INITIALLY DEFERRED);",
    )
    .unwrap();
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'
               AND name NOT IN ('strike', 'struck', 'schema_version') AND name NOT LIKE 'sqlite_%'";
    let names = super::rows(&side, sql, (), |row| row.get::<_, String>(0));
    for (name, verb) in names
        .iter()
        .flat_map(|name| ["INSERT", "UPDATE", "DELETE"].map(|verb| (name, verb)))
    {
        side.execute_batch(&format!(
            "CREATE TRIGGER strike_{name}_{verb} AFTER {verb} ON {name} WHEN (SELECT at FROM strike) > 0
             BEGIN
                 UPDATE strike SET at = at - 1;
                 SELECT RAISE(ABORT, 'struck') FROM strike WHERE at = 0 AND commits = 0;
                 INSERT INTO struck SELECT 2 FROM strike WHERE at = 0 AND commits = 1;
             END;"
        ))
        .unwrap();
    }
    side.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
}

impl<'g> World<'g> {
    pub(super) fn new(ground: &'g Ground, trace: &'g Mutex<Vec<String>>, seed: u64) -> Self {
        for name in ["alpha", "beta", "alpha.away", "beta.away", "state"] {
            let _ = fs::remove_dir_all(ground.root.join(name));
        }
        for name in ["alpha", "beta", "state"] {
            fs::create_dir(ground.root.join(name)).unwrap();
        }
        let database = ground.root.join("state/copydesk.db");
        fs::copy(&ground.template, &database).unwrap();
        let mut random = Random(seed);
        *ground.post.lock().unwrap() = Post::new(random.next(u64::MAX));
        let store = Store::open(&database).unwrap();
        let side = Connection::open(&database).unwrap();
        side.execute_batch("PRAGMA synchronous = OFF").unwrap();
        Self {
            ground,
            random,
            now: "2026-03-02T08:00:00Z".parse().unwrap(),
            rule: 0,
            store: Some(store),
            side,
            files: Files::new(),
            ledger: Ledger::default(),
            trace,
            counts: BTreeMap::new(),
            gone: Vec::new(),
            away: [false; 2],
            numbers: 0,
            jumps: 0,
            passed: false,
            calm: false,
        }
    }

    pub(super) fn rules(&self) -> &'g RuleSet {
        &self.ground.rules[self.rule]
    }

    pub(super) fn tell(&self, what: String) {
        self.trace
            .lock()
            .unwrap()
            .push(format!("{} {what}", self.now));
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.next(one_in) == 0
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.random.next(count as u64)).unwrap()
    }

    fn later(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// One seed's life: everything may fail, then nothing does, and all must come to rest.
    pub(super) fn live(&mut self) -> Checked<u64> {
        let first = if self.chance(12) {
            26
        } else {
            1 + self.random.next(4)
        };
        for _ in 0..first {
            self.new_story();
        }
        let steps = 30 + self.random.next(90);
        for _ in 0..steps {
            self.step()?;
        }
        self.settle()?;
        Ok(steps)
    }

    fn step(&mut self) -> Checked {
        let seconds = 1 + self.random.next(20);
        self.later(i64::try_from(seconds).unwrap());
        let all = EVENTS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.random.next(all);
        let mut event = "";
        for (weight, name) in EVENTS {
            if drawn < weight {
                event = name;
                break;
            }
            drawn -= weight;
        }
        if self.happens(event)? {
            self.count(event);
        }
        Ok(())
    }

    /// Whether it could be done.
    fn happens(&mut self, event: &'static str) -> Checked<bool> {
        match event {
            "pass" => self.pass().map(|()| true),
            "look at some files" => self.look_at(),
            "write-back" => self.write_back().map(|()| true),
            "notify" => self.notify(When::Scheduled).map(|()| true),
            "notify now" => self.notify(When::Now).map(|()| true),
            "what time does" => {
                let pass = |store: &mut Store, _: &RuleSet, now| intake::pass_time(store, now);
                self.desk(event, pass).map(|_| true)
            }
            "what is old goes" => self.forget().map(|()| true),
            "approve" | "reject" | "hold" | "reopen" => self.decide(event.parse().unwrap()),
            "stale version" | "two at once" => self.decide_stale(event),
            "request repeated" | "request reused" => self.ask_again(event == "request reused"),
            "time goes on" => {
                let choices = [61, 660, 1_260, 1_860, 10_800, 90_000];
                let seconds = choices[self.below(choices.len())];
                self.later(seconds);
                self.tell(event.into());
                Ok(true)
            }
            "ten years on" if self.jumps < 3 => {
                self.jumps += 1;
                self.later(10 * 365 * 86_400);
                self.tell(event.into());
                Ok(true)
            }
            "a day back" => {
                self.later(-86_400);
                self.tell(event.into());
                Ok(true)
            }
            "rules changed" => {
                if !self.passed {
                    return self.pass().map(|()| false);
                }
                self.passed = false;
                self.rule = self.below(self.ground.rules.len());
                self.tell(format!("rules {}", self.rule));
                Ok(true)
            }
            _ => Ok(self.upstream(event)),
        }
    }

    // The desk.

    /// Runs a part of the desk, which may fail in the middle, and checks everything after.
    fn desk<T>(
        &mut self,
        what: &'static str,
        work: impl FnOnce(&mut Store, &RuleSet, Timestamp) -> Result<T, copydesk::store::StoreError>,
    ) -> Checked<Option<T>> {
        self.desk_or(what, |store, rules, now| {
            work(store, rules, now).map_err(|error| error.to_string())
        })
    }

    fn desk_or<T>(
        &mut self,
        what: &'static str,
        work: impl FnOnce(&mut Store, &RuleSet, Timestamp) -> Checked<T>,
    ) -> Checked<Option<T>> {
        let armed = self.arm(if what == "write-back" { 3 } else { 6 });
        let (rules, now) = (self.rules(), self.now);
        let done = work(self.store.as_mut().unwrap(), rules, now);
        self.disarm();
        let done = match done {
            Ok(done) => {
                self.tell(what.into());
                Some(done)
            }
            Err(error) => {
                self.failed(what, armed, &error)?;
                None
            }
        };
        self.check(what, done.is_some())?;
        if done.is_none() && self.random.next(3) > 0 {
            self.crash(what)?;
        }
        Ok(done)
    }

    /// Lays a failure in wait, now and then.
    fn arm(&mut self, one_in: u64) -> Option<bool> {
        if self.calm || !self.chance(one_in) {
            return None;
        }
        let (most, commit) = ([3, 8, 30][self.below(3)], self.chance(2));
        let at = 1 + self.random.next(most);
        let sql = "UPDATE strike SET at = ?1, commits = ?2";
        self.side
            .execute(sql, (i64::try_from(at).unwrap(), commit))
            .unwrap();
        Some(commit)
    }

    fn disarm(&mut self) {
        self.side
            .execute("UPDATE strike SET at = 0 WHERE at <> 0", ())
            .unwrap();
    }

    /// A failure that was laid is one of the world's events; any other is a fault.
    fn failed(&mut self, what: &str, armed: Option<bool>, error: &str) -> Checked {
        self.tell(format!("{what}: {error}"));
        match armed {
            Some(true) if error.contains("FOREIGN KEY") => self.count("commit refused"),
            Some(false) if error.contains("struck") => self.count("statement refused"),
            _ => return Err(format!("{what} fails: {error}")),
        }
        Ok(())
    }

    /// The desk dies, and is started again.
    fn crash(&mut self, what: &'static str) -> Checked {
        self.count("crash");
        self.store = None;
        if what == "write-back" {
            self.cut_short();
        }
        loop {
            let database = self.ground.root.join("state/copydesk.db");
            let mut store = Store::open(&database).map_err(|error| error.to_string())?;
            store.look_through().map_err(|error| error.to_string())?;
            let armed = self.arm(2);
            let swept = write_back::sweep(&mut store, self.rules(), self.now);
            self.disarm();
            self.store = Some(store);
            match swept {
                Ok(()) => break,
                Err(error) => {
                    self.count("crash while it is put right");
                    self.failed("sweep", armed, &error.to_string())?;
                }
            }
        }
        self.tell("the desk is started again".into());
        self.ledger.integrity(&self.side)?;
        self.check("crash", true)
    }

    /// A write that was noted before and not after: what was on the disk at that moment may also
    /// have been one of the states before or between.
    fn cut_short(&mut self) {
        let sql =
            "SELECT source, path, aside, new FROM write_backs WHERE aside IS NOT NULL ORDER BY id";
        let cut = super::rows(&self.side, sql, (), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ))
        });
        for (source, path, aside, new) in cut {
            let source = SOURCES
                .iter()
                .position(|(name, _)| *name == source)
                .unwrap();
            let key = (source, path);
            let place = self.place(&key);
            let Some(file) = self.files.get(&key).cloned().filter(|_| !self.away[source]) else {
                continue;
            };
            let ours = fs::read(&place).unwrap();
            if self.rules().source(SOURCES[source].0).is_none() || Hash::of(&ours).0[..] != new[..]
            {
                continue;
            }
            self.count("crash between a file and its note");
            let before = self
                .ledger
                .before
                .get(&key)
                .copied()
                .unwrap_or(file.content.flag);
            let old = file.content.bytes(before);
            let aside = place.with_file_name(aside);
            match self.random.next(5) {
                0 => fs::write(aside, old).unwrap(),
                1 => {
                    fs::write(aside, ours).unwrap();
                    fs::write(&place, old).unwrap();
                    self.files.get_mut(&key).unwrap().flag = before;
                }
                // Upstream wrote in the same moment: its version came out, and is not back yet.
                2 => {
                    let content = self.rewritten(&file.content);
                    fs::write(aside, content.bytes(content.flag)).unwrap();
                    self.files.insert(key, File::after(None, content));
                    self.count("upstream's version displaced by a crash");
                }
                // It wrote after the crash, before the names were exchanged.
                3 => {
                    fs::write(aside, ours).unwrap();
                    let content = self.rewritten(&file.content);
                    self.write(&key, content);
                }
                _ => continue,
            }
            self.tell("the write was cut short".into());
        }
    }

    fn pass(&mut self) -> Checked {
        let scan = |store: &mut Store, rules: &RuleSet, now| {
            intake::scan(store, rules, now, &Control::NONE)
        };
        if self.desk("pass", scan)?.is_some() {
            self.passed |= self.away == [false; 2];
            self.all_is_known()?;
        }
        Ok(())
    }

    fn look_at(&mut self) -> Checked<bool> {
        let named: Vec<&str> = self
            .rules()
            .sources
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        let source = self.below(named.len());
        let of_it = self
            .files
            .keys()
            .filter(|(s, _)| *s == source)
            .map(|(_, path)| PathBuf::from(path));
        let mut paths: Vec<PathBuf> = of_it.collect();
        paths.push("sub".into());
        paths.retain(|_| self.random.next(3) == 0);
        let look = |store: &mut Store, rules: &RuleSet, now| {
            intake::look_at(store, rules, &rules.sources[source], &paths, now)
        };
        self.desk("look at some files", look).map(|_| true)
    }

    fn write_back(&mut self) -> Checked {
        self.ledger.before = self
            .files
            .iter()
            .map(|(key, file)| (key.clone(), file.flag))
            .collect();
        self.desk("write-back", write_back::tick).map(drop)
    }

    fn notify(&mut self, when: When) -> Checked {
        let url = Secret::from(format!("smtp://desk:canary@127.0.0.1:{}", self.ground.port));
        let mut settings = SmtpSettings::new(&url, None).unwrap();
        let mood = if self.calm {
            0
        } else {
            [0, 60, 250][self.below(3)]
        };
        let late = !self.calm && self.chance(10);
        if late {
            // No answer comes, however long it is waited for.
            settings.limits.after_text = Duration::from_millis(3);
        }
        let answered = {
            let mut post = self.ground.post.lock().unwrap();
            (post.mood, post.late) = (mood, late);
            let copies = post
                .letters
                .iter()
                .map(|(id, letter)| (id.clone(), letter.copies.len()));
            copies.collect::<BTreeMap<_, _>>()
        };
        let from = "desk@example.org".parse().unwrap();
        let outbox = Outbox {
            from,
            way: Way::Smtp(settings),
            desk: (self.ground.root.join("state"), None),
        };
        let what = if when == When::Now {
            "notify now"
        } else {
            "notify"
        };
        let ground = self.ground;
        let work = |store: &mut Store, rules: &RuleSet, now: Timestamp| {
            let passed = std::cell::Cell::new(0);
            let clock = || {
                passed.set(passed.get() + 1);
                now + SignedDuration::from_millis(passed.get())
            };
            let sent = notify::tick_by(store, rules, &outbox, when, &clock);
            if late {
                post::hear_out(ground.port, &ground.post);
            }
            // A mail whose answer was not noted may be sent again.
            sent.map(drop).map_err(|error| error.to_string())
        };
        self.ledger.copies_before = answered;
        self.desk_or(what, work).map(drop)
    }

    /// Forgets what is a week old: whatever the desk asks of what is left is answered as before.
    fn forget(&mut self) -> Checked {
        if self.chance(2) {
            self.later(8 * 86_400);
        }
        let week = SignedDuration::from_hours(7 * 24);
        let work = |store: &mut Store, rules: &RuleSet, now: Timestamp| {
            let before = answers(store, rules, now);
            let done = retention::forget(store, (week, week), now, &|| false);
            let after = answers(store, rules, now);
            if let Some((before, after)) = before.iter().zip(&after).find(|(b, a)| b != a) {
                return Err(format!("{before}\nbecame\n{after}"));
            }
            let gone = done.map_err(|error| error.to_string())?;
            Ok(gone.unwrap_or_default())
        };
        let gone = self.desk_or("what is old goes", work)?;
        let gone = gone.unwrap_or_default();
        for (kind, count) in [
            ("events forgotten", gone.events),
            ("mails forgotten", gone.mails),
            ("write-backs forgotten", gone.write_backs),
        ] {
            *self.counts.entry(kind).or_default() += count as u64;
        }
        Ok(())
    }

    // Reviewers.

    /// An item that is known, and the version that stands.
    fn some_item(&mut self) -> Option<(i64, i64)> {
        let items = self
            .ledger
            .items
            .iter()
            .map(|(id, item)| (*id, item.version, item.status.is_open()));
        let mut items: Vec<_> = items.collect();
        if items.iter().any(|(.., open)| *open) && self.random.next(4) > 0 {
            items.retain(|(.., open)| *open);
        }
        let at = (!items.is_empty()).then(|| self.below(items.len()))?;
        Some((items[at].0, items[at].1))
    }

    fn new_request(&mut self, item: i64, version: Option<i64>, verdict: Verdict) -> Asked {
        let id =
            u128::from(self.random.next(u64::MAX)) << 64 | u128::from(self.random.next(u64::MAX));
        let actor = self.below(3);
        let judged = self.ledger.items.get(&item).map(|seen| seen.number);
        Asked {
            id: uuid::Builder::from_random_bytes(id.to_be_bytes()).into_uuid(),
            item,
            version,
            verdict,
            actor,
            judged,
            made: None,
        }
    }

    /// She looks at the file again, as the command line does, and decides.
    fn decide(&mut self, verdict: Verdict) -> Checked<bool> {
        let Some((item, _)) = self.some_item() else {
            return Ok(false);
        };
        if self.random.next(3) > 0 {
            self.look_again(item)?;
        }
        let version = self.ledger.items[&item].version;
        let version = (self.random.next(5) > 0).then_some(version);
        let asked = self.new_request(item, version, verdict);
        self.ask(asked).map(|()| true)
    }

    fn look_again(&mut self, item: i64) -> Checked {
        let record = self.ledger.items[&item].record;
        let look =
            |store: &mut Store, rules: &RuleSet, now| intake::look_again(store, rules, record, now);
        self.desk("look again", look).map(drop)
    }

    /// Of two who looked at the same version only the first decides on it.
    fn decide_stale(&mut self, event: &str) -> Checked<bool> {
        let Some((item, version)) = self.some_item() else {
            return Ok(false);
        };
        let verdicts = [Verdict::Approve, Verdict::Reject, Verdict::Hold];
        if event == "stale version" {
            if version == 1 {
                return Ok(false);
            }
            let verdict = verdicts[self.below(3)];
            let asked = self.new_request(item, Some(version - 1), verdict);
            return self.ask(asked).map(|()| true);
        }
        for _ in 0..2 {
            let verdict = verdicts[self.below(3)];
            let asked = self.new_request(item, Some(version), verdict);
            self.ask(asked)?;
        }
        Ok(true)
    }

    /// A request that was sent before, word by word, or its name for another.
    fn ask_again(&mut self, reused: bool) -> Checked<bool> {
        if self.ledger.asked.is_empty() {
            return Ok(false);
        }
        let at = self.below(self.ledger.asked.len());
        let mut asked = self.ledger.asked[at].clone();
        if reused {
            asked.verdict = match asked.verdict {
                Verdict::Approve => Verdict::Reject,
                _ => Verdict::Approve,
            };
        }
        if asked.made.is_none() {
            // Not decided then: it is a request of today.
            asked.judged = self.ledger.items.get(&asked.item).map(|seen| seen.number);
        }
        self.ask(asked).map(|()| true)
    }

    fn ask(&mut self, asked: Asked) -> Checked {
        let rules = self.rules();
        let actor = match asked.actor {
            0 => Actor::User("sim".into()),
            1 => Actor::Reviewer(rules.reviewer("ana@example.org").unwrap()),
            _ => Actor::Reviewer(rules.reviewer("ed@example.org").unwrap()),
        };
        let request = Request {
            id: asked.id,
            item: ItemRef {
                id: asked.item,
                version: asked.version,
            },
            verdict: asked.verdict,
            actor: &actor,
            reason: None,
            note: None,
            until: None,
        };
        let expected = self.ledger.expected(&asked);
        let armed = self.arm(7);
        let answer = review::decide(self.store.as_mut().unwrap(), rules, &request, self.now);
        self.disarm();
        let told = format!(
            "{} {:?}@{:?} {}",
            asked.verdict, asked.item, asked.version, asked.actor
        );
        let answer = match answer {
            Ok(listed) => Ok((listed.item.status, listed.item.version)),
            Err(ReviewError::Store(error)) => {
                self.failed(&told, armed, &error.to_string())?;
                self.ledger.note(asked, None);
                self.check("decide", false)?;
                return if self.random.next(3) > 0 {
                    self.crash("decide")
                } else {
                    Ok(())
                };
            }
            Err(error) => Err(error),
        };
        self.tell(format!(
            "{told}: {}",
            match &answer {
                Ok((status, version)) => format!("{status}@{version}"),
                Err(error) => error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            }
        ));
        let fits = match (&answer, &expected) {
            (Ok(answer), Ok(expected)) => answer == expected,
            (Err(ReviewError::Stale { .. }), Err("stale"))
            | (Err(ReviewError::NotNow { .. }), Err("not now"))
            | (Err(ReviewError::Taken(_)), Err("taken")) => true,
            // Who may decide, and on what is gone, is asked before the version is.
            (Err(ReviewError::EditorsOnly { .. }), _) => {
                asked.actor == 1 && asked.verdict == Verdict::Reopen
            }
            (Err(ReviewError::NotHers { .. }), _) => asked.actor == 1,
            (Err(ReviewError::Gone(_)), _) => asked.verdict == Verdict::Reopen,
            _ => false,
        };
        if !fits {
            return Err(format!("{told} is answered {answer:?}, for {expected:?}"));
        }
        self.ledger.note(asked, answer.ok());
        self.check("decide", true)
    }

    // Upstream.

    pub(super) fn folder(&self, source: usize) -> PathBuf {
        let name = SOURCES[source].0;
        self.ground.root.join(if self.away[source] {
            format!("{name}.away")
        } else {
            name.into()
        })
    }

    pub(super) fn place(&self, key: &Key) -> PathBuf {
        self.folder(key.0).join(&key.1)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Writes a file whole, beside it or in place; the time is the model's, so that no two states
    /// are alike.
    fn write(&mut self, key: &Key, content: Content) {
        let place = self.place(key);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let in_place = self.chance(3);
        let target = if in_place {
            place.clone()
        } else {
            place.with_file_name(".upstream")
        };
        fs::write(&target, content.bytes(content.flag)).unwrap();
        let file = fs::File::options().write(true).open(&target).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.number());
        file.set_modified(time).unwrap();
        if !in_place {
            fs::rename(target, place).unwrap();
        }
        let file = File::after(self.files.get(key), content);
        self.files.insert(key.clone(), file);
    }

    fn new_story(&mut self) {
        let source = self.below(4) / 3;
        let number = self.number();
        let path = if self.chance(3) {
            format!("sub/{number}.md")
        } else {
            format!("{number}.md")
        };
        if self.away[source] {
            return;
        }
        let has_url = self.random.next(4) > 0;
        let content = Content {
            url: has_url.then_some(number),
            wire: has_url && self.chance(6),
            number,
            heat: self.random.next(100),
            volatile: 0,
            format: self.random.next(16),
            flag: [Some(false), Some(false), Some(false), Some(true), None][self.below(5)],
            half: false,
        };
        self.tell(format!("new {source} {path}: {content:?}"));
        self.write(&(source, path), content);
    }

    fn rewritten(&mut self, content: &Content) -> Content {
        let number = self.number();
        Content {
            number,
            half: false,
            ..content.clone()
        }
    }

    /// A file that stands and is whole.
    fn some_file(&mut self) -> Option<(Key, Content)> {
        let away = self.away;
        let here: Vec<_> = self
            .files
            .iter()
            .filter(|(key, file)| !away[key.0] && !file.content.half)
            .collect();
        let at = (!here.is_empty())
            .then(|| usize::try_from(self.random.next(here.len() as u64)).unwrap())?;
        let (key, file) = here[at];
        Some((key.clone(), file.content.clone()))
    }

    fn remove(&mut self, key: &Key) {
        fs::remove_file(self.place(key)).unwrap();
        let file = self.files.remove(key).unwrap();
        self.gone.push((key.clone(), file.content));
    }

    /// Whether upstream could do it.
    fn upstream(&mut self, event: &'static str) -> bool {
        match event {
            "new story" => {
                self.new_story();
                return true;
            }
            "folder away" => {
                let source = self.below(2);
                let (from, name) = (self.folder(source), SOURCES[source].0);
                self.away[source] = !self.away[source];
                fs::rename(from, self.folder(source)).unwrap();
                self.tell(format!(
                    "the folder {name} is {}",
                    if self.away[source] { "away" } else { "back" }
                ));
                return true;
            }
            "mass vanish" => {
                let all: Vec<Key> = self
                    .files
                    .keys()
                    .filter(|(source, _)| *source == 0)
                    .cloned()
                    .collect();
                if self.away[0] || all.len() < 22 {
                    return false;
                }
                self.tell("mass vanish".into());
                all.iter()
                    .take(all.len() - 1)
                    .for_each(|key| self.remove(key));
                return true;
            }
            "return" => {
                if self.gone.is_empty() {
                    return false;
                }
                let many = if self.gone.len() > 15 {
                    self.gone.len()
                } else {
                    1
                };
                for _ in 0..many {
                    let at = self.below(self.gone.len());
                    if self.away[self.gone[at].0.0] {
                        continue;
                    }
                    let (key, content) = self.gone.remove(at);
                    if self.files.contains_key(&key) {
                        continue;
                    }
                    self.tell(format!("{key:?} is back: {content:?}"));
                    self.write(&key, content);
                }
                return true;
            }
            "half written" => {
                // What was left half is finished first.
                let half = self
                    .files
                    .iter()
                    .find(|(key, file)| file.content.half && !self.away[key.0]);
                if let Some((key, file)) =
                    half.map(|(key, file)| (key.clone(), file.content.clone()))
                {
                    self.tell(format!("{key:?} is whole"));
                    self.write(
                        &key,
                        Content {
                            half: false,
                            ..file
                        },
                    );
                    return true;
                }
            }
            _ => {}
        }
        let Some((key, content)) = self.some_file() else {
            return false;
        };
        let source = key.0;
        match event {
            "content rewrite" => {
                let content = self.rewritten(&content);
                self.write(&key, content);
            }
            "volatile rewrite" => {
                let volatile = self.number();
                self.write(
                    &key,
                    Content {
                        volatile,
                        ..content
                    },
                );
            }
            "signal rewrite" => {
                let heat = self.random.next(100);
                self.write(&key, Content { heat, ..content });
            }
            "formatting sweep" => {
                let change = 1 + self.random.next(15);
                for (key, file) in self.files.clone() {
                    if !self.away[key.0] && !file.content.half {
                        let format = file.content.format ^ change;
                        // A tidy upstream keeps the flag that it finds.
                        let flag = if file.content.flag.is_some() {
                            file.flag
                        } else {
                            None
                        };
                        self.write(
                            &key,
                            Content {
                                format,
                                flag,
                                ..file.content
                            },
                        );
                    }
                }
            }
            "flag flipped" => {
                let flag = match content.flag {
                    Some(flag) if self.random.next(3) == 0 => Some(!flag),
                    Some(flag) => Some(flag),
                    None => [None, Some(true), Some(false)][self.below(3)],
                };
                self.write(&key, Content { flag, ..content });
            }
            "move" => {
                let number = self.number();
                let path = if self.chance(2) {
                    format!("sub/{number}.md")
                } else {
                    format!("{number}.md")
                };
                let to = (source, path);
                fs::create_dir_all(self.place(&to).parent().unwrap()).unwrap();
                fs::rename(self.place(&key), self.place(&to)).unwrap();
                let file = self.files.remove(&key).unwrap();
                self.tell(format!("{key:?} moves to {to:?}"));
                self.files.insert(to, file);
                return true;
            }
            "path taken over" => {
                let number = self.number();
                let url = self.chance(4).then_some(()).map_or(Some(number), |()| None);
                self.write(
                    &key,
                    Content {
                        url,
                        number,
                        wire: false,
                        ..content
                    },
                );
            }
            "second place" => {
                let number = self.number();
                let content = if self.chance(4) {
                    self.rewritten(&content)
                } else {
                    content
                };
                self.write(&(source, format!("{number}.md")), content);
            }
            "delete" => self.remove(&key),
            "half written" => self.write(
                &key,
                Content {
                    half: true,
                    ..content
                },
            ),
            "url gained" => {
                if content.url.is_some() {
                    return false;
                }
                let named = Content {
                    url: Some(self.number()),
                    ..content.clone()
                };
                self.write(&key, named);
            }
            _ => return false,
        }
        let stands = self.files.get(&key).map(|file| &file.content);
        self.tell(format!("{event}: {key:?}: {stands:?}"));
        true
    }

    // Rest.

    /// Nothing fails any more, upstream and the reviewers are quiet: all must come to rest.
    fn settle(&mut self) -> Checked {
        self.calm = true;
        self.tell("calm".into());
        for source in 0..2 {
            if self.away[source] {
                let from = self.folder(source);
                self.away[source] = false;
                fs::rename(from, self.folder(source)).unwrap();
            }
        }
        let half: Vec<_> = self
            .files
            .iter()
            .filter(|(_, file)| file.content.half)
            .map(|(key, file)| (key.clone(), file.content.clone()))
            .collect();
        for (key, content) in half {
            self.write(
                &key,
                Content {
                    half: false,
                    ..content
                },
            );
        }
        let gone = std::mem::take(&mut self.gone);
        let many = gone.len() > 15;
        for (key, content) in gone {
            let taken = |other: &File| other.content.identity("") == content.identity("");
            let same = content.url.is_some() && self.files.values().any(taken);
            if (many || self.chance(2)) && !self.files.contains_key(&key) && !same {
                let half = false;
                self.write(&key, Content { half, ..content });
            }
        }
        self.pass()?;
        self.rule = 0;
        for round in 0..60 {
            self.later(if round < 12 { 1_260 } else { 43_200 });
            self.pass()?;
            self.write_back()?;
            self.notify(When::Now)?;
            if self.unrest()?.is_empty() {
                *self.counts.entry("rounds until rest").or_default() += round + 1;
                // At rest nothing more is done.
                let before = self.ledger.sums(&self.side);
                self.later(1);
                self.pass()?;
                self.write_back()?;
                self.notify(When::Now)?;
                let after = self.ledger.sums(&self.side);
                if before != after {
                    return Err(format!("no rest: {before:?} became {after:?}"));
                }
                return self.all_is_well();
            }
        }
        Err(format!("it does not come to rest: {:?}", self.unrest()?))
    }

    /// What is still to be done, and could be.
    fn unrest(&mut self) -> Checked<Vec<String>> {
        let mut left = Vec::new();
        let sql = "SELECT source, path, verb, error FROM write_backs WHERE status = 'pending'";
        for (source, path, verb, error) in super::rows(&self.side, sql, (), |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        }) {
            let source = SOURCES
                .iter()
                .position(|(name, _)| *name == source)
                .unwrap();
            if self.files.contains_key(&(source, path.clone())) {
                left.push(format!("{verb} in {path}: {error:?}"));
            }
        }
        let sql = "SELECT id || ' to ' || recipient || ' is ' || status FROM mails WHERE status IN ('queued', 'sending', 'uncertain')
                   UNION ALL SELECT name || ': ' || alarm FROM sources WHERE alarm IS NOT NULL";
        left.extend(super::rows(&self.side, sql, (), |row| {
            row.get::<_, String>(0)
        }));
        let (rules, now) = (self.rules(), self.now);
        let plans = notify::plans(self.store.as_mut().unwrap(), rules, None, (When::Now, now));
        let plans = plans.map_err(|error| error.to_string())?;
        left.extend(plans.iter().filter_map(|plan| {
            let (to, owed) = (&plan.reviewer.email, plan.owed()?);
            Some(format!("owed to {to}: {}", owed.letter.subject))
        }));
        Ok(left)
    }

    /// What stands is what was decided, and who should know does.
    fn all_is_well(&mut self) -> Checked {
        self.ledger.integrity(&self.side)?;
        self.all_is_known()?;
        let sql = "SELECT source || ' ' || path, status, error FROM write_backs w WHERE status IN ('refused', 'stopped')
                   AND id = (SELECT max(id) FROM write_backs x WHERE x.source = w.source AND x.path = w.path)";
        let stuck: BTreeMap<String, (String, String)> = super::rows(&self.side, sql, (), |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
        })
        .into_iter()
        .collect();
        let reached: BTreeSet<(String, String)> = {
            let post = self.ground.post.lock().unwrap();
            let told = post
                .letters
                .values()
                .filter(|letter| !letter.copies.is_empty());
            told.flat_map(|letter| {
                letter
                    .told()
                    .0
                    .into_iter()
                    .map(|name| (letter.to.clone(), name))
            })
            .collect()
        };
        for ((source, path), file) in &self.files {
            let (name, missing) = SOURCES[*source];
            let identity = file.content.identity(path);
            let found = self
                .ledger
                .items
                .iter()
                .find(|(_, item)| item.source == name && item.identity == identity);
            let Some((id, item)) = found else { continue };
            if item.number != file.content.number {
                continue;
            }
            let place = format!("{name} {path}");
            let reads = file.flag.unwrap_or(missing);
            let wanted = match item.status {
                Status::Approved => true,
                Status::Rejected => false,
                _ => reads,
            };
            let last = self.ledger.last.get(&(*id, item.number));
            if item.status == Status::Pending
                && last == Some(&Verdict::Reopen)
                && (file.flag, file.content.flag) == (Some(true), Some(false))
                && file.alike != Some(true)
            {
                return Err(format!(
                    "item {id} was taken back, and {place} is published still: {file:?}"
                ));
            }
            if wanted != reads && !stuck.contains_key(&place) {
                return Err(format!(
                    "item {id} is {}, and {place} reads {reads}: {file:?}",
                    item.status
                ));
            }
        }
        let refused = stuck.iter().find(|(_, (status, _))| status == "refused");
        if let Some(refused) = refused {
            return Err(format!("refused: {refused:?}"));
        }
        for (id, item) in &self.ledger.items {
            if item.status != Status::Pending {
                continue;
            }
            for to in ["ana@example.org", "ben@example.org", "ed@example.org"] {
                let name = format!("{id}@{}", item.version);
                if !reached.contains(&(to.to_owned(), name.clone())) {
                    return Err(format!("{to} was never told of {name}"));
                }
            }
        }
        Ok(())
    }

    /// After a whole pass every file that stands is known as it stands.
    fn all_is_known(&mut self) -> Checked {
        let sql = "SELECT l.source, l.path, l.raw, l.broken_reason IS NOT NULL, r.identity FROM locations l
                   LEFT JOIN records r ON r.id = l.record WHERE l.missing_since IS NULL";
        type Known = (Option<Vec<u8>>, bool, Option<String>);
        let known: BTreeMap<(String, String), Known> = super::rows(&self.side, sql, (), |row| {
            Ok((
                (row.get(0)?, row.get(1)?),
                (row.get(2)?, row.get(3)?, row.get(4)?),
            ))
        })
        .into_iter()
        .collect();
        for ((source, path), file) in &self.files {
            let name = SOURCES[*source].0;
            if self.away[*source] || self.rules().source(name).is_none() {
                continue;
            }
            let content = &file.content;
            let raw = Hash::of(&content.bytes(file.flag));
            let fits = match known.get(&(name.to_owned(), path.clone())) {
                Some((_, broken, _)) if content.half => *broken,
                Some((hash, false, Some(identity))) => {
                    hash.as_deref() == Some(&raw.0[..]) && *identity == content.identity(path)
                }
                _ => false,
            };
            if !fits {
                return Err(format!(
                    "{name} {path} is not known as it stands: {file:?}, {:?}",
                    known.get(&(name.to_owned(), path.clone()))
                ));
            }
        }
        Ok(())
    }
}
