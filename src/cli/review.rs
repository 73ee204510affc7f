//! `copydesk review`: what waits, one by one, by single keys.

mod draw;
mod keys;
mod sheet;
mod terminal;
mod walk;

use super::decide::{self, trouble};
use super::screen::{ALARM, WELL, styled};
use super::{Desk, Exit, Usage};
use crate::item::{ItemRef, Verdict};
use crate::notify::waiting::Story;
use crate::record::shown;
use crate::report::ItemPage;
use crate::review::{self, Actor, Request, ReviewError};
use crate::rules::RuleSet;
use crate::store::Store;
use crate::store::items::Listed;
use crate::store::lock::{Lock, LockError};
use crate::{schedule, write_back};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keys::Key;
use terminal::{Event, Terminal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this queue
    queue: Option<String>,
    /// Decide as this reviewer
    #[arg(long = "as", value_name = "EMAIL")]
    reviewer: Option<String>,
}

const ALL_KEYS: [&str; 12] = [
    "a    approve",
    "r    reject, then why by its key",
    "h    hold for a day",
    "H    hold until a time that you type",
    "u    undo your last decision, then the one before",
    "c    claim for ten minutes; again: end the claim",
    "n    keep a note with it",
    "o    print its address",
    "s j  skip: the next one, as the arrows down and right",
    "p k  the one before, as the arrows up and left",
    "?    these keys",
    "q    quit, as Ctrl-C",
];

pub(super) fn run(desk: &mut Desk<'_>, args: &Args) -> anyhow::Result<Exit> {
    if desk.screen.is_json() {
        return Err(Usage(
            "review is for people, and has no --json; `copydesk queue --json` lists what waits"
                .into(),
        )
        .into());
    }
    let rules = desk.rules()?;
    let actor = decide::actor(&rules, args.reviewer.as_deref())?;
    if let Some(name) = &args.queue {
        queue(&rules, &actor, name)?;
    }
    let mut session = Session {
        store: desk.store()?,
        rules: &rules,
        zone: decide::zone(&actor),
        actor: &actor,
        queue: args.queue.as_deref(),
        ids: Vec::new(),
        at: 0,
        made: Vec::new(),
        mode: Mode::Keys,
        said: Vec::new(),
        to_write: false,
        refused: false,
        shown: None,
        desk,
    };
    session.look_for_more()?;
    session.seek()?;
    let terminal = Terminal::open()?;
    let ended = session.run(&terminal);
    drop(terminal);
    session.say_goodbye()?;
    ended.map(|()| Exit::Done)
}

/// A queue that there is, and that is theirs.
fn queue(rules: &RuleSet, actor: &Actor<'_>, name: &str) -> Result<(), Usage> {
    if rules.queue(name).is_none() {
        let known: Vec<&str> = rules
            .queues
            .iter()
            .map(|queue| queue.name.as_str())
            .collect();
        let (name, known) = (shown::line(name, 80), known.join(", "));
        return Err(Usage(format!(
            "there is no queue `{name}`; the queues are: {known}"
        )));
    }
    match actor {
        Actor::Reviewer(reviewer) if !reviewer.may_decide_in(name) => Err(Usage(format!(
            "{} does not review the queue `{name}`",
            reviewer.email
        ))),
        _ => Ok(()),
    }
}

/// What the next key means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// What is to be done.
    Keys,
    /// Why this item, as it was seen, is rejected.
    Reason(ItemRef),
    /// A letter of a line about it.
    Line(Asked, ItemRef, String),
}

/// What a line is typed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Until,
    Note,
}

/// A decision of this session.
struct Made {
    /// The item, with the version that it has by it.
    item: ItemRef,
    verdict: Verdict,
    /// Whether it can be undone here, as far as is known.
    is_last: bool,
}

struct Session<'a, 'd> {
    desk: &'a mut Desk<'d>,
    store: Store,
    rules: &'a RuleSet,
    actor: &'a Actor<'a>,
    zone: TimeZone,
    queue: Option<&'a str>,
    /// The items in their order, those that were decided too.
    ids: Vec<i64>,
    at: usize,
    /// What was decided and not undone.
    made: Vec<Made>,
    mode: Mode,
    /// What the last key came to.
    said: Vec<String>,
    to_write: bool,
    /// Whether it did not do what was asked.
    refused: bool,
    /// The item as it was last shown.
    shown: Option<ItemRef>,
}

impl Session<'_, '_> {
    fn run(&mut self, terminal: &Terminal) -> anyhow::Result<()> {
        loop {
            // What was typed for the next item would decide on this one.
            if std::mem::take(&mut self.refused) && terminal.forget() {
                return Ok(());
            }
            let mut seen = self.draw(terminal)?;
            // The next item is there before the decision is in its file.
            if std::mem::take(&mut self.to_write) {
                let troubles = self.write_back()?;
                if !troubles.is_empty() {
                    self.said = troubles;
                    seen = self.draw(terminal)?;
                }
            }
            loop {
                let key = match terminal.next() {
                    Event::Stop | Event::Key(Key::Stop) => return Ok(()),
                    Event::Resized => break,
                    Event::Key(key) => key,
                };
                let before = self.mode.clone();
                if self.press(key, seen.as_ref())? {
                    return Ok(());
                }
                let is_typed = self.said.is_empty()
                    && matches!((&before, &self.mode), (Mode::Line(..), Mode::Line(..)));
                if terminal.is_live() || !is_typed {
                    break;
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.desk.clock()
    }

    /// Does what a key asks; true: leave.
    fn press(&mut self, key: Key, seen: Option<&ItemPage>) -> anyhow::Result<bool> {
        self.said.clear();
        let item = seen.map(|page| ItemRef {
            id: page.line.id,
            version: Some(page.line.version),
        });
        match std::mem::replace(&mut self.mode, Mode::Keys) {
            Mode::Keys if matches!(key, Key::Char('q')) => return Ok(true),
            Mode::Keys => self.command(&key, item, seen)?,
            Mode::Reason(item) => self.reason(&key, item)?,
            Mode::Line(asked, item, text) => self.letter(key, item, asked, text)?,
        }
        Ok(false)
    }

    fn command(
        &mut self,
        key: &Key,
        item: Option<ItemRef>,
        seen: Option<&ItemPage>,
    ) -> anyhow::Result<()> {
        match (key, item) {
            (Key::Char('u'), _) => self.undo()?,
            (Key::Char('p' | 'k') | Key::Previous, _) => self.back()?,
            (Key::Char('?'), _) => self.said = ALL_KEYS.map(str::to_owned).to_vec(),
            (Key::Char('a'), Some(item)) => self.decide(item, Verdict::Approve, None, None)?,
            (Key::Char('h'), Some(item)) => self.decide(item, Verdict::Hold, None, None)?,
            (Key::Char('r'), Some(item)) => self.mode = Mode::Reason(item),
            (Key::Char('H'), Some(item)) => {
                self.mode = Mode::Line(Asked::Until, item, String::new())
            }
            (Key::Char('n'), Some(item)) => {
                self.mode = Mode::Line(Asked::Note, item, String::new())
            }
            (Key::Char('c'), Some(item)) => self.claim(item)?,
            (Key::Char('o'), _) => {
                let url = seen.and_then(|page| Story::of(&page.record, Vec::new(), None).url);
                let url = url.map(|url| shown::line(&url, 2000));
                self.said = vec![url.unwrap_or_else(|| "it has no address".into())];
            }
            (Key::Char('s' | 'j') | Key::Next, _) => {
                if self.at < self.ids.len() {
                    self.at += 1;
                }
                self.seek()?;
            }
            (Key::Pasted(_), _) => self.said = vec!["what is pasted is taken for no keys".into()],
            _ => {}
        }
        Ok(())
    }

    fn reason(&mut self, key: &Key, item: ItemRef) -> anyhow::Result<()> {
        match key {
            Key::Enter => self.decide(item, Verdict::Reject, None, None),
            Key::Char(letter) => {
                let rules = self.rules;
                match reasons(rules).find(|(label, ..)| label == letter) {
                    Some((_, key, _)) => self.decide(item, Verdict::Reject, Some(key), None),
                    None => {
                        self.mode = Mode::Reason(item);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn letter(
        &mut self,
        key: Key,
        item: ItemRef,
        asked: Asked,
        mut text: String,
    ) -> anyhow::Result<()> {
        match key {
            Key::Escape => return Ok(()),
            Key::Enter if text.trim().is_empty() => return Ok(()),
            Key::Enter => {
                return match asked {
                    Asked::Until => self.hold_until(item, text),
                    Asked::Note => self.note(item, &text),
                };
            }
            Key::Backspace => drop(text.pop()),
            Key::Clear => text.clear(),
            Key::Char(letter) => text.push(letter),
            Key::Pasted(pasted) => text.push_str(&shown::line(&pasted, 2000)),
            _ => {}
        }
        self.mode = Mode::Line(asked, item, text);
        Ok(())
    }

    fn hold_until(&mut self, item: ItemRef, text: String) -> anyhow::Result<()> {
        match schedule::moment(text.trim(), self.now(), &self.zone) {
            Ok(until) => self.decide(item, Verdict::Hold, None, Some(until)),
            Err(error) => {
                self.said = vec![shown::line(&error, 200)];
                self.mode = Mode::Line(Asked::Until, item, text);
                Ok(())
            }
        }
    }

    fn decide(
        &mut self,
        item: ItemRef,
        verdict: Verdict,
        reason: Option<&str>,
        until: Option<Timestamp>,
    ) -> anyhow::Result<()> {
        let request = Request {
            id: uuid::Uuid::now_v7(),
            item,
            verdict,
            actor: self.actor,
            reason,
            note: None,
            until,
        };
        let now = self.now();
        let decided = decide::decide(&mut self.store, self.rules, &request, now);
        let Some(listed) = self.done(decided)? else {
            return Ok(());
        };
        let version = Some(listed.item.version);
        self.to_write = true;
        if verdict == Verdict::Reopen {
            self.made.retain(|made| made.item != item);
            self.at = self
                .ids
                .iter()
                .position(|id| *id == item.id)
                .unwrap_or(self.at);
        } else {
            self.made.push(Made {
                item: ItemRef { version, ..item },
                verdict,
                is_last: true,
            });
        }
        let until = listed
            .item
            .held_until
            .map(|until| format!(" until {}", schedule::clock(until, &self.zone)));
        self.tell(
            &listed,
            format!("{}{}", listed.item.status, until.unwrap_or_default()),
        );
        Ok(self.seek()?)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        let Some(made) = self.made.iter_mut().rfind(|made| made.is_last) else {
            self.said = vec!["there is nothing to undo".into()];
            return Ok(());
        };
        // One that cannot be undone any more does not keep the one before from it.
        made.is_last = false;
        let item = made.item;
        self.decide(item, Verdict::Reopen, None, None)
    }

    fn claim(&mut self, item: ItemRef) -> anyhow::Result<()> {
        let (now, actor, store) = (self.now(), self.actor, &mut self.store);
        let claim = store.read(|tx| tx.item(item.id))?;
        let holds =
            claim.is_some_and(|found| found.claim(now).is_some_and(|(by, _)| by == actor.name()));
        let (done, word) = if holds {
            (review::release(store, item, actor, now), "released")
        } else {
            (review::claim(store, item, actor, now), "claimed")
        };
        if let Some(listed) = self.done(done)? {
            self.tell(&listed, word.to_owned());
        }
        Ok(())
    }

    fn note(&mut self, item: ItemRef, text: &str) -> anyhow::Result<()> {
        let now = self.now();
        let noted = review::note(&mut self.store, item, text, self.actor, now);
        if let Some(listed) = self.done(noted)? {
            self.tell(&listed, "noted".to_owned());
        }
        Ok(())
    }

    /// What was done, or why not: then the item is shown anew.
    fn done(&mut self, done: Result<Listed, ReviewError>) -> anyhow::Result<Option<Listed>> {
        match done {
            Ok(listed) => Ok(Some(listed)),
            Err(ReviewError::Store(error)) => Err(error.into()),
            Err(error) => {
                let error = match error {
                    // It is looked at here.
                    ReviewError::Stale {
                        id,
                        asked,
                        stands,
                        since,
                    } => {
                        let said = format!("{id}@{asked} has changed: it is {id}@{stands} now");
                        std::iter::once(said).chain(since).collect()
                    }
                    error => vec![error.to_string()],
                };
                let lines = error.iter().flat_map(|line| line.lines());
                self.said = lines
                    .map(|line| {
                        let indent = line.len() - line.trim_start().len();
                        let line = shown::line(line, 200);
                        styled(ALARM, format!("{:indent$}{line}", ""))
                    })
                    .collect();
                self.refused = true;
                self.shown = None;
                self.seek()?;
                Ok(None)
            }
        }
    }

    fn tell(&mut self, listed: &Listed, done: String) {
        let (id, version) = (listed.item.id, listed.item.version);
        let name = shown::line(&shown::unescaped(listed.name()), 50);
        self.said = vec![format!("{id}@{version} {}: {name}", styled(WELL, done))];
    }

    /// Carries decisions into their files; a running service does that itself. Returns what went wrong.
    fn write_back(&mut self) -> anyhow::Result<Vec<String>> {
        let now = self.now();
        let outcomes = match Lock::take(&self.desk.folders.lock()) {
            Ok(_lock) => write_back::tick(&mut self.store, self.rules, now)?,
            Err(LockError::Held(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let troubles = outcomes.iter().filter_map(trouble);
        Ok(troubles.map(|line| styled(ALARM, line)).collect())
    }
}

/// The desk's reasons: the key that names each, its name and its text.
fn reasons(rules: &RuleSet) -> impl Iterator<Item = (char, &str, &str)> {
    let labels = ('1'..='9').chain('a'..='z');
    let reasons = rules.desk.reject_reasons.iter();
    labels
        .zip(reasons)
        .map(|(label, (key, text))| (label, key.as_str(), text.as_str()))
}
