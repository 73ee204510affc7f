//! The terminal while single keys are read: set up here, and put back on every way out.

use super::keys::{Key, Keys, MARKS_PASTES};
use rustix::termios::{
    OptionalActions, OutputModes, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize,
    tcsetattr,
};
use std::io::{self, IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the loop waits for.
#[derive(Debug)]
pub(super) enum Event {
    Key(Key),
    /// The window has another size.
    Resized,
    /// Nothing more will be typed, or the process is told to end.
    Stop,
}

/// The screen of its own, without a cursor; and the one before.
const SCREEN: (&str, &str) = ("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l");
pub(super) const CLEAR: &str = "\x1b[H\x1b[2J";

/// Where keys come from. Without a terminal they are read from standard input as they are, and
/// screens follow each other.
#[derive(Debug)]
pub(super) struct Terminal {
    raw: Option<Arc<Raw>>,
    events: Receiver<Event>,
}

/// A terminal in raw mode.
#[derive(Debug)]
struct Raw {
    before: Termios,
    is_put_back: AtomicBool,
}

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        let (sender, events) = mpsc::channel();
        let is_live = io::stdin().is_terminal() && io::stdout().is_terminal();
        let raw = if is_live {
            listen(sender.clone())?;
            Some(Raw::enter()?)
        } else {
            None
        };
        thread::spawn(move || read_keys(&sender));
        Ok(Self { raw, events })
    }

    /// Whether screens take each other's place.
    pub(super) fn is_live(&self) -> bool {
        self.raw.is_some()
    }

    pub(super) fn next(&self) -> Event {
        self.events.recv().unwrap_or(Event::Stop)
    }

    /// Forgets what was typed before it could be seen what it is typed for. Returns whether that
    /// was to leave.
    pub(super) fn forget(&self) -> bool {
        if self.raw.is_none() {
            return false;
        }
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        let leaves = |event| matches!(event, Event::Stop | Event::Key(Key::Stop));
        self.events.try_iter().any(leaves)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let size = self
            .raw
            .as_ref()
            .and_then(|_| tcgetwinsize(io::stdout()).ok());
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or((80, usize::MAX), |size| {
            (
                usize::from(size.ws_col).clamp(40, 100),
                usize::from(size.ws_row).max(8),
            )
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(raw) = &self.raw {
            raw.put_back();
        }
    }
}

impl Raw {
    fn enter() -> io::Result<Arc<Self>> {
        let before = tcgetattr(io::stdin())?;
        let mut termios = before.clone();
        termios.make_raw();
        // Lines end as ever.
        termios.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        let raw = Arc::new(Self {
            before,
            is_put_back: AtomicBool::new(false),
        });
        tcsetattr(io::stdin(), OptionalActions::Now, &termios)?;
        // What a panic says is to be read, and on a terminal that is as it was.
        let (panicked, told) = (Arc::clone(&raw), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            panicked.put_back();
            told(panic);
        }));
        control(&format!("{}{}", SCREEN.0, MARKS_PASTES.0))?;
        Ok(raw)
    }

    fn put_back(&self) {
        if !self.is_put_back.swap(true, Ordering::SeqCst) {
            // A terminal that has gone needs nothing any more.
            drop(control(&format!("{}{}", MARKS_PASTES.1, SCREEN.1)));
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
        }
    }
}

/// Tells the terminal something that is no text.
pub(super) fn control(sequence: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(sequence.as_bytes())?;
    out.flush()
}

fn read_keys(sender: &Sender<Event>) {
    let (mut keys, mut bytes) = (Keys::default(), [0; 1024]);
    let mut input = io::stdin().lock();
    loop {
        let read = match input.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let typed = keys.read(bytes.get(..read).unwrap_or_default());
        if typed
            .into_iter()
            .any(|key| sender.send(Event::Key(key)).is_err())
        {
            return;
        }
    }
    drop(sender.send(Event::Stop));
}

/// Has signals end the loop, so that the terminal is put back.
fn listen(sender: Sender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut ends, mut resized) = {
        let _within = runtime.enter();
        let ends = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
        ];
        let ends: io::Result<Vec<Signal>> = ends.into_iter().map(signal).collect();
        (ends?, signal(SignalKind::window_change())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let [a, b, c, d] = ends.as_mut_slice() else {
                    return;
                };
                let event = tokio::select! {
                    _ = a.recv() => Event::Stop,
                    _ = b.recv() => Event::Stop,
                    _ = c.recv() => Event::Stop,
                    _ = d.recv() => Event::Stop,
                    _ = resized.recv() => Event::Resized,
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}
