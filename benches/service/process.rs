//! Programs that are run, and what they take of the machine.

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Linux tells times of processes in ticks, so many to a second on every machine.
const TICKS: u64 = 100;

/// What a run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Used {
    /// User and system, those of its own children with it.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// The most memory that it held at once, in bytes, as far as a look every few milliseconds finds.
    pub(crate) peak: u64,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Used> {
    let mut said = tempfile::tempfile()?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone()?);
    let (before, started) = (cpu_of_children()?, Instant::now());
    let mut child = command.spawn()?;
    let id = child.id();
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let (status, wall) = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(peak_of(id), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let ended = (child.wait(), started.elapsed());
        over.store(true, Ordering::Relaxed);
        ended
    });
    let cpu = cpu_of_children()?.saturating_sub(before);
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        anyhow::bail!("{command:?}: {status:?}: {text}");
    }
    let peak = peak.into_inner();
    Ok(Used { cpu, wall, peak })
}

/// CPU time of this thread.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// CPU time of a process that runs.
fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    ticks(&stat, 11)
}

/// CPU time of all children that were waited for. Linux keeps it by the nanosecond, whatever it tells.
fn cpu_of_children() -> anyhow::Result<Duration> {
    ticks(&fs::read_to_string("/proc/self/stat")?, 13)
}

/// The sum of two neighbours in the line that Linux tells of a process, as a time.
fn ticks(stat: &str, at: usize) -> anyhow::Result<Duration> {
    let fields = stat.rsplit(") ").next().context("no stat")?;
    let two = fields.split(' ').skip(at).take(2).map(str::parse::<u64>);
    let sum: u64 = two.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(sum * 1_000 / TICKS))
}

fn peak_of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1_024
}

/// A service that runs.
pub(crate) struct Service {
    child: Child,
    /// From its start until it said that it is ready.
    pub(crate) ready: Duration,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Starts it and waits until it is ready, as systemd would.
    pub(crate) fn start(command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        let (log, told) = (folder.join("log"), folder.join("told"));
        let _ = fs::remove_file(&told);
        let socket = UnixDatagram::bind(&told)?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        command
            .env("NOTIFY_SOCKET", &told)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let started = Instant::now();
        let mut child = command.spawn()?;
        let mut text = [0; 256];
        loop {
            let count = socket.recv(&mut text).unwrap_or_default();
            if text[..count].starts_with(b"READY=1") {
                break;
            }
            let said = || fs::read_to_string(&log).unwrap_or_default();
            ensure!(child.try_wait()?.is_none(), "it ended: {}", said());
            let waits = started.elapsed();
            ensure!(waits < Duration::from_secs(1_800), "not ready: {}", said());
        }
        let ready = started.elapsed();
        Ok(Self { child, ready })
    }

    /// CPU time since its start.
    pub(crate) fn used(&self) -> anyhow::Result<Duration> {
        cpu_of(self.child.id())
    }

    /// The most memory that it has held at once, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        peak_of(self.child.id())
    }

    /// Has it end in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(self) {
        drop(self);
    }
}
