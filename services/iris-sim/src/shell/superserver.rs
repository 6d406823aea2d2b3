//! The superserver: a TCP port that takes sessions and holds them.
//!
//! It says nothing. While the instance is frozen it still accepts, as the real one does, and the session hangs.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A listening superserver; dropping it closes the port and every session.
#[derive(Debug)]
pub struct Superserver {
    stop: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Superserver {
    /// Listens; `count` is called with the number of open sessions whenever it changes.
    pub fn open(address: &str, port: u16, count: impl Fn(usize) + Send + 'static) -> io::Result<Self> {
        let address = if address.is_empty() { "127.0.0.1" } else { address };
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new().name("superserver".to_owned()).spawn(move || {
            Sessions { listener, stopped, open: BTreeMap::new(), next: 0 }.serve(count);
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Superserver {
    fn drop(&mut self) {
        // The thread is gone already when the write fails.
        let _ = self.stop.write_all(&[0]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Sessions {
    listener: TcpListener,
    stopped: UnixStream,
    open: BTreeMap<u64, TcpStream>,
    next: u64,
}

impl Sessions {
    fn serve(mut self, count: impl Fn(usize)) {
        loop {
            let Some(ready) = self.wait() else { return };
            let before = self.open.keys().copied().collect::<Vec<_>>();
            self.accept();
            for number in ready {
                self.drain(number);
            }
            if !self.open.keys().copied().eq(before) {
                count(self.open.len());
            }
        }
    }

    /// Waits for news; the sessions that have some, or `None` when it is time to close.
    fn wait(&self) -> Option<Vec<u64>> {
        let mut fds = vec![
            PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.open.values().map(|session| PollFd::new(session.as_fd(), PollFlags::POLLIN)));
        loop {
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        let has_news = |fd: &PollFd| fd.revents().is_some_and(|events| !events.is_empty());
        if has_news(&fds[0]) {
            return None;
        }
        Some(
            self.open
                .keys()
                .zip(&fds[2..])
                .filter(|(_, fd)| has_news(fd))
                .map(|(number, _)| *number)
                .collect(),
        )
    }

    fn accept(&mut self) {
        while let Ok((session, _)) = self.listener.accept() {
            if session.set_nonblocking(true).is_ok() {
                self.open.insert(self.next, session);
                self.next += 1;
            }
        }
    }

    /// Takes what a session sent; forgets the session when it is over.
    fn drain(&mut self, number: u64) {
        let Some(session) = self.open.get_mut(&number) else { return };
        let mut buffer = [0; 4096];
        loop {
            match session.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.open.remove(&number);
    }
}
