//! The superserver: a TCP port that takes sessions and holds them.
//!
//! It says nothing. While the instance is frozen it still accepts, as the real one does, and the session hangs. The
//! protocol of real clients is IRIS's own; here a session begins and ends a transaction by a line of text:
//! `TSTART`, `TCOMMIT`, `TROLLBACK`. `CRASH` lets its process crash, as a call into a faulty library does.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What happens in sessions, each known by a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionNews {
    /// Somebody has connected.
    Opened(u64),
    /// The session is over.
    Closed(u64),
    /// A transaction begins.
    Began(u64),
    /// The transaction was committed or rolled back.
    Ended(u64),
    /// The process of the session crashes.
    Crashed(u64),
}

/// A listening superserver; dropping it closes the port and every session.
#[derive(Debug)]
pub struct Superserver {
    wake: UnixStream,
    to_close: Option<Sender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Superserver {
    /// Listens; `tell` is called with everything that happens.
    pub fn open(address: &str, port: u16, tell: impl Fn(SessionNews) + Send + 'static) -> io::Result<Self> {
        let address = if address.is_empty() { "127.0.0.1" } else { address };
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        let (wake, woken) = UnixStream::pair()?;
        let (to_close, closing) = mpsc::channel();
        let thread = thread::Builder::new().name("superserver".to_owned()).spawn(move || {
            Sessions { listener, woken, closing, open: BTreeMap::new(), next: 0 }.serve(&tell);
        })?;
        Ok(Self { wake, to_close: Some(to_close), thread: Some(thread) })
    }

    /// Ends one session.
    pub fn close(&mut self, session: u64) {
        // The thread is gone already when one of these fails, and the session with it.
        if let Some(to_close) = &self.to_close {
            let _ = to_close.send(session);
        }
        let _ = self.wake.write_all(&[0]);
    }
}

impl Drop for Superserver {
    fn drop(&mut self) {
        // A wake-up with nobody left to say why is the end.
        self.to_close = None;
        let _ = self.wake.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sessions {
    listener: TcpListener,
    woken: UnixStream,
    closing: Receiver<u64>,
    open: BTreeMap<u64, Session>,
    next: u64,
}

struct Session {
    stream: TcpStream,
    /// The beginning of a line that has not come whole yet.
    line: Vec<u8>,
}

/// A line longer than this is none of ours.
const LONGEST_LINE: usize = 64;

impl Sessions {
    fn serve(mut self, tell: &impl Fn(SessionNews)) {
        while let Some(ready) = self.wait() {
            if !self.close_asked(tell) {
                return;
            }
            self.accept(tell);
            for number in ready {
                self.read(number, tell);
            }
        }
    }

    /// Waits for news; the sessions that have some. `None` when waiting is impossible.
    fn wait(&self) -> Option<Vec<u64>> {
        let mut fds = vec![
            PollFd::new(self.woken.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.open.values().map(|session| PollFd::new(session.stream.as_fd(), PollFlags::POLLIN)));
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        let has_news = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        let ready = self.open.keys().zip(&fds[2..]).filter(|(_, fd)| has_news(fd));
        Some(ready.map(|(number, _)| *number).collect())
    }

    /// Ends the sessions that are to end; false when all of it is to.
    fn close_asked(&mut self, tell: &impl Fn(SessionNews)) -> bool {
        loop {
            match self.closing.try_recv() {
                Ok(number) => self.end(number, tell),
                Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => break,
            }
        }
        // A wake-up for each; what is left of them wakes us once more, for nothing.
        let waiting = self.woken.set_nonblocking(true).is_ok();
        while waiting && matches!(self.woken.read(&mut [0; 64]), Ok(1..)) {}
        true
    }

    fn accept(&mut self, tell: &impl Fn(SessionNews)) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.open.insert(self.next, Session { stream, line: Vec::new() });
                tell(SessionNews::Opened(self.next));
                self.next += 1;
            }
        }
    }

    /// Takes what a session sent; forgets the session when it is over.
    fn read(&mut self, number: u64, tell: &impl Fn(SessionNews)) {
        let Some(session) = self.open.get_mut(&number) else { return };
        let mut buffer = [0; 4096];
        loop {
            match session.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => session.take(&buffer[..count], number, tell),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.end(number, tell);
    }

    fn end(&mut self, number: u64, tell: &impl Fn(SessionNews)) {
        if let Some(session) = self.open.remove(&number) {
            // The other side may have closed it already.
            let _ = session.stream.shutdown(Shutdown::Both);
            tell(SessionNews::Closed(number));
        }
    }
}

impl Session {
    fn take(&mut self, bytes: &[u8], number: u64, tell: &impl Fn(SessionNews)) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    match self.line.trim_ascii() {
                        b"TSTART" => tell(SessionNews::Began(number)),
                        b"TCOMMIT" | b"TROLLBACK" => tell(SessionNews::Ended(number)),
                        b"CRASH" => tell(SessionNews::Crashed(number)),
                        _ => {}
                    }
                    self.line.clear();
                }
                _ if self.line.len() < LONGEST_LINE => self.line.push(*byte),
                _ => {}
            }
        }
    }
}
