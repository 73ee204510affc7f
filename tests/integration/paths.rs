//! Stories that wander between paths at random, on real files: dropped over one another, swapped,
//! copied, removed, changed and brought back, with decisions on what was last listed. No story is
//! ever published that was not approved, and once all is quiet each file says what was decided.
//!
//! `COPYDESK_ROUNDS=N` plays N walks; `COPYDESK_SEED` plays one run again.

use std::collections::HashSet;
use std::fs;

use copydesk::item::{Status, Verdict};
use copydesk::review::{self, Actor, Request};
use copydesk::store::items::Listed;
use jiff::SignedDuration;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::crash::Random;
use crate::desk::Desk;
use crate::race::Here;
use crate::service::rounds;

const PATHS: [&str; 4] = ["a.md", "b.md", "in/c.md", "in/deep/d.md"];
const STORIES: u64 = 3;

/// One text of one story.
type Text = (u64, u64);

fn bytes((story, text): Text, noise: u64) -> Vec<u8> {
    let lines = format!(
        "---\ntitle: {story} {text}\noriginalUrl: https://example.org/{story}\npublished: false\nsecured: \"{noise}\"\n---\nThe body.\n"
    );
    lines.into_bytes()
}

fn numbers(title: &str) -> Text {
    let (story, text) = title.split_once(' ').unwrap();
    (story.parse().unwrap(), text.parse().unwrap())
}

/// What a file holds, and whether it is published.
fn read(bytes: &[u8]) -> (Text, bool) {
    let text = std::str::from_utf8(bytes).unwrap();
    let line = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
    };
    (numbers(line("title: ")), line("published: ") == "true")
}

struct Walk {
    here: Here,
    random: Random,
    texts: [u64; STORIES as usize],
    approved: HashSet<Text>,
    /// Those of them on which something else was decided since, and written at once.
    taken_back: HashSet<Text>,
    listed: Vec<Listed>,
    steps: Vec<String>,
    decided: usize,
}

impl Walk {
    fn new(desk: Desk, seed: u64) -> Self {
        fs::create_dir_all(desk.path("content/in/deep")).unwrap();
        Self {
            here: Here::new(desk),
            random: Random(seed),
            texts: [0; STORIES as usize],
            approved: HashSet::new(),
            taken_back: HashSet::new(),
            listed: Vec::new(),
            steps: Vec::new(),
            decided: 0,
        }
    }

    fn pick(&mut self, most: usize) -> usize {
        usize::try_from(self.random.next(most as u64)).unwrap()
    }

    fn path(&mut self) -> &'static str {
        PATHS[self.pick(PATHS.len())]
    }

    fn step(&mut self) {
        let (one, other) = (self.path(), self.path());
        let at = |path| self.here.desk.content(path);
        let (from, to) = (at(one), at(other));
        let what = match self.random.next(12) {
            0..=2 => {
                let story = self.random.next(STORIES);
                let text = &mut self.texts[usize::try_from(story).unwrap()];
                // Sometimes a new text, sometimes an old one.
                *text += u64::from(self.random.next(4) == 0);
                let text = *text - self.random.next(2).min(*text);
                let noise = self.random.next(3);
                let beside = self.here.desk.content(".new");
                fs::create_dir_all(from.parent().unwrap()).unwrap();
                fs::write(&beside, bytes((story, text), noise)).unwrap();
                fs::rename(beside, &from).unwrap();
                format!("drop {story} {text} at {one}")
            }
            3 => {
                let _ = fs::remove_file(&from);
                format!("remove {one}")
            }
            4 => {
                let _ = renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE);
                format!("swap {one} and {other}")
            }
            5 => {
                let _ = fs::rename(&from, &to);
                format!("rename {one} to {other}")
            }
            6..=7 => {
                let wait = [1, 70, 10_000][self.pick(3)];
                self.here.scan();
                self.here.now += SignedDuration::from_secs(wait);
                format!("scan, and wait {wait} s")
            }
            8 => {
                let list = |id| self.here.store.read(|tx| tx.listed(id)).unwrap();
                self.listed = (1..=3).filter_map(list).collect();
                "list".to_owned()
            }
            9..=10 => self.decide(),
            _ => {
                self.here.tick();
                "tick".to_owned()
            }
        };
        self.steps.push(what);
    }

    fn decide(&mut self) -> String {
        if self.listed.is_empty() {
            return "nothing to decide".to_owned();
        }
        let n = self.pick(self.listed.len());
        let (id, version) = (self.listed[n].item.id, self.listed[n].item.version);
        let seen = numbers(self.listed[n].title.as_ref().unwrap());
        let verdict = [
            Verdict::Approve,
            Verdict::Approve,
            Verdict::Reject,
            Verdict::Reopen,
        ][self.pick(4)];
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item: format!("{id}@{version}").parse().unwrap(),
            verdict,
            actor: &Actor::User("tester".into()),
            reason: None,
            note: None,
            until: None,
        };
        let (store, rules, now) = (&mut self.here.store, &self.here.rules, self.here.now);
        let made = review::decide(store, rules, &request, now).is_ok();
        if made {
            self.decided += 1;
            match verdict {
                Verdict::Approve => {
                    self.approved.insert(seen);
                    self.taken_back.remove(&seen);
                }
                // What is not written before the story has another text is overtaken by that.
                _ if self.random.next(2) == 0 => {
                    self.here.tick();
                    self.taken_back.insert(seen);
                }
                _ => {}
            }
        }
        format!("{verdict} {seen:?}: {made}")
    }

    /// Every file in the source: its path, what it holds, whether it is published.
    fn files(&self) -> Vec<(&'static str, Text, bool)> {
        let found = PATHS.iter().filter_map(|path| {
            let (text, published) = read(&fs::read(self.here.desk.content(path)).ok()?);
            Some((*path, text, published))
        });
        found.collect()
    }

    fn check(&self, seed: u64) {
        for (path, text, published) in self.files() {
            let right = !published || self.approved.contains(&text);
            assert!(
                right,
                "seed {seed}: {text:?} at {path} is published and was not approved: {:#?}",
                self.steps
            );
        }
    }

    /// Once upstream is quiet and the limits on writing again are past.
    fn end(mut self, moves: bool, seed: u64) -> (usize, usize) {
        for _ in 0..4 {
            self.here.now += SignedDuration::from_hours(30);
            self.here.scan();
            self.here.tick();
        }
        self.check(seed);
        let stuck = self.here.store.read(|tx| tx.stuck_write_backs()).unwrap();
        for (path, text, published) in self.files() {
            let of_it = |listed: &Listed| numbers(listed.title.as_ref().unwrap()) == text;
            let listed = (1..=3).filter_map(|id| self.here.store.read(|tx| tx.listed(id)).unwrap());
            // A file of another text than the one that leads is never written.
            let Some(listed) = listed.into_iter().find(of_it) else {
                continue;
            };
            let status = listed.item.status;
            let is_stuck = stuck.iter().any(|stuck| stuck.location.as_str() == path);
            let right = match status {
                Status::Approved => published,
                Status::Rejected if moves => false,
                // A text that was approved and came back after another stays as it was (`on_change`).
                Status::Pending if self.approved.contains(&text) => {
                    !published || !self.taken_back.contains(&text)
                }
                _ => !published,
            };
            assert!(
                right || is_stuck,
                "seed {seed}: {text:?} at {path} is {status} and published: {published}: {:#?}",
                self.steps
            );
        }
        (self.decided, stuck.len())
    }
}

#[test]
fn stories_wander_between_paths_and_each_keeps_its_own_decision() {
    let (first, walks) = (crate::crash::seed(), rounds().unwrap_or(16));
    let (mut decided, mut steps, mut told) = (0, 0, 0);
    for walk in 0..walks {
        let (seed, moves) = (first + walk as u64, walk % 2 == 1);
        let desk = if moves {
            crate::moving::desk()
        } else {
            Desk::new()
        };
        let mut walk = Walk::new(desk, seed);
        for _ in 0..60 {
            walk.step();
            walk.check(seed);
            steps += 1;
        }
        let (made, stuck) = walk.end(moves, seed);
        decided += made;
        told += stuck;
    }
    println!(
        "| stories wandering between paths on real files | {walks} walks, {steps} steps, {decided} decisions, {told} left to a person | wrongly published 0 |"
    );
    assert!(decided > walks, "nothing was decided");
}
