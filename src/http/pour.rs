//! Answers that are poured out while they are made, so that a long one is never held whole.

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Bytes that are sent at once; a few of these wait for a reader who is slow.
const CHUNK: usize = 32 << 10;
const WAIT: usize = 2;

/// What is written into it is sent. It blocks while the reader is slow, and fails once he is gone.
pub(super) struct Out {
    held: Vec<u8>,
    chunks: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.held));
        let sent = self.chunks.blocking_send(Ok(chunk));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The body of an answer that `write` writes, on a thread of its own. If that fails the answer is
/// broken off, so that nobody takes it for whole.
pub(super) fn pour(write: impl FnOnce(&mut Out) -> io::Result<()> + Send + 'static) -> Body {
    let (chunks, poured) = mpsc::channel(WAIT);
    spawn_blocking(move || {
        let mut out = Out {
            held: Vec::new(),
            chunks,
        };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Nobody hears it if the reader is gone.
            let _ = out.chunks.blocking_send(Err(error));
        }
    });
    Body::new(Poured(poured))
}

struct Poured(mpsc::Receiver<io::Result<Bytes>>);

impl hyper::body::Body for Poured {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    fn poured(write: impl FnOnce(&mut Out) -> io::Result<()> + Send + 'static) -> Option<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let whole = runtime.block_on(async { to_bytes(pour(write), usize::MAX).await });
        whole.ok()
    }

    #[test]
    fn all_that_is_written_comes_in_order() {
        assert_eq!(poured(|_| Ok(())).unwrap(), "");
        let lines = |out: &mut Out| (0..40_000).try_for_each(|n| writeln!(out, "line {n}"));
        let text = poured(lines).unwrap();
        let expected: String = (0..40_000).map(|n| format!("line {n}\n")).collect();
        assert!(expected.len() > 10 * CHUNK);
        assert_eq!(text, expected);
    }

    #[test]
    fn what_fails_is_broken_off() {
        let fails = |out: &mut Out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::Other.into())
        };
        assert_eq!(poured(fails), None);
    }

    #[test]
    fn nothing_more_is_written_once_the_reader_is_gone() {
        let (chunks, poured) = mpsc::channel(WAIT);
        drop(poured);
        let held = Vec::new();
        let mut out = Out { held, chunks };
        let lines = (0..40_000).try_for_each(|n| writeln!(out, "line {n}"));
        assert_eq!(lines.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(out.held.is_empty());
    }
}
