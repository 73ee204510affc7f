//! The connection to a server: clear or by TLS, with a limit on how long and how much it may say.
//!
//! lettre's own connection reads a line of any length, waits anew after each byte, and keeps what
//! was read in clear when it turns to TLS. This one bounds a whole reply in time and in size, and a
//! server that speaks before it is asked is found out.

use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The longest line of a reply, and the longest reply, in bytes. RFC 5321 (4.5.3.1.5) allows lines
/// of 512; the second is Postfix's `smtp_response_limit`.
const LINE: usize = 2_000;
const REPLY: usize = 100_000;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The connection failed, or time ran out.
    #[error("{0}")]
    Lost(String),
    /// What was said is no reply.
    #[error("{0}")]
    Senseless(String),
}

impl From<std::io::Error> for Fault {
    /// Linux tells a timeout of a socket as "would block".
    fn from(error: std::io::Error) -> Self {
        Self::Lost(match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                "the server did not answer in time".into()
            }
            ErrorKind::UnexpectedEof => "the server closed the connection".into(),
            _ => error.to_string(),
        })
    }
}

/// A connection, and what was read from it and not looked at yet.
pub(super) struct Wire {
    stream: Stream,
    unread: Vec<u8>,
}

enum Stream {
    Clear(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// Does what the system gives no limit of time for; should it take longer, it is left to itself.
fn in_time<T: Send + 'static>(
    until: Instant,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name("resolve".into());
    thread.spawn(move || tell.send(work()))?;
    let left = until.saturating_duration_since(Instant::now());
    let done = told.recv_timeout(left);
    done.map_err(|_| Fault::Lost("the name of the server was not resolved in time".into()))?
        .map_err(Fault::from)
}

impl Wire {
    /// Connects to the first address of the host that answers.
    pub(super) fn connect(host: &str, port: u16, patience: Duration) -> Result<Self, Fault> {
        let until = Instant::now() + patience;
        let mut failed = Fault::Lost(format!("`{host}` has no address"));
        let name = (host.to_owned(), port);
        let resolve = move || Ok(name.to_socket_addrs()?.collect::<Vec<SocketAddr>>());
        for address in in_time(until, resolve)? {
            let left = until.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    return Ok(Self {
                        stream: Stream::Clear(Timed { socket, until }),
                        unread: Vec::new(),
                    });
                }
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }

    /// Goes on by TLS. Whatever was said before and not asked for could be anyone's: then it does not.
    pub(super) fn encrypt(
        self,
        host: &str,
        config: Arc<ClientConfig>,
        patience: Duration,
    ) -> Result<Self, Fault> {
        if !self.unread.is_empty() {
            return Err(Fault::Senseless(
                "the server said something in clear after its reply to STARTTLS".into(),
            ));
        }
        let Stream::Clear(mut timed) = self.stream else {
            return Ok(self);
        };
        let failed = |error: &dyn std::fmt::Display| Fault::Lost(error.to_string());
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
        let mut tls = ClientConnection::new(config, name).map_err(|error| failed(&error))?;
        timed.until = Instant::now() + patience;
        while tls.is_handshaking() {
            tls.complete_io(&mut timed)?;
        }
        Ok(Self {
            stream: Stream::Tls(Box::new(StreamOwned::new(tls, timed))),
            unread: Vec::new(),
        })
    }

    /// Gives a command and returns the reply to it.
    pub(super) fn ask(&mut self, command: &str, patience: Duration) -> Result<Response, Fault> {
        self.write(command.as_bytes(), patience)?;
        self.reply(patience)
    }

    pub(super) fn write(&mut self, bytes: &[u8], patience: Duration) -> Result<(), Fault> {
        self.wait_until(Instant::now() + patience);
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes)?,
            Stream::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// The next reply, whole.
    pub(super) fn reply(&mut self, patience: Duration) -> Result<Response, Fault> {
        self.wait_until(Instant::now() + patience);
        let mut reply = String::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).unwrap_or_default();
            let goes_on = line.as_bytes().get(3) == Some(&b'-');
            if !code.bytes().all(|byte| byte.is_ascii_digit()) || !line.ends_with("\r\n") {
                return Err(senseless(&line));
            }
            reply += &line;
            if reply.len() > REPLY {
                return Err(Fault::Senseless("a reply without end".into()));
            }
            if !goes_on {
                return reply.parse().map_err(|_| senseless(&reply));
            }
        }
    }

    /// A line, as text: what is not UTF-8 in it is replaced.
    fn line(&mut self) -> Result<String, Fault> {
        let mut looked_at = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread[looked_at..]) {
                let line: Vec<u8> = self.unread.drain(..=looked_at + end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            looked_at = self.unread.len();
            if looked_at > LINE {
                return Err(Fault::Senseless("a line without end".into()));
            }
            if self.read()? == 0 {
                return Err(Fault::Lost("the server closed the connection".into()));
            }
        }
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 1_024];
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read(&mut buffer)?,
            Stream::Tls(stream) => stream.read(&mut buffer)?,
        };
        self.unread
            .extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }

    /// Whether the server has said something that nobody asked for, or is gone.
    pub(super) fn has_spoken(&mut self) -> Result<bool, Fault> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        self.wait_until(Instant::now() + Duration::from_secs(1));
        self.socket().set_nonblocking(true)?;
        let read = self.read();
        self.socket().set_nonblocking(false)?;
        match read {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Clear(stream) => &stream.socket,
            Stream::Tls(stream) => &stream.sock.socket,
        }
    }

    fn wait_until(&mut self, until: Instant) {
        match &mut self.stream {
            Stream::Clear(stream) => stream.until = until,
            Stream::Tls(stream) => stream.sock.until = until,
        }
    }
}

fn senseless(line: &str) -> Fault {
    Fault::Senseless(format!("what it says is no reply: {line}"))
}

/// A socket that ends at a moment, however slowly the other side talks.
struct Timed {
    socket: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(Some(left))
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.socket.set_read_timeout(self.left()?)?;
        self.socket.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.socket.set_write_timeout(self.left()?)?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_never_resolved_is_not_waited_for() {
        let (end, ended) = mpsc::channel::<()>();
        let until = Instant::now() + Duration::from_millis(10);
        let never = move || Ok(ended.recv().is_ok());
        let fault = in_time(until, never).unwrap_err();
        assert!(fault.to_string().contains("not resolved in time"));
        // Only now may it come to an end.
        drop(end);
        let until = Instant::now() + Duration::from_secs(60);
        assert!(in_time(until, || Ok(true)).unwrap());
        let failed = || Err::<(), _>(std::io::Error::other("no such name"));
        let fault = in_time(until, failed).unwrap_err();
        assert!(fault.to_string().contains("no such name"));
    }
}
