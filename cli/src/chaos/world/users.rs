//! The users of an instance: connections to its superserver that are held, and opened again when they break.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// What a user does with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Quiet,
    /// Begins a transaction and does not end it.
    InTransaction,
    /// Crashes once a second.
    Crashing,
}

/// All users of one instance, in a thread of their own.
#[derive(Debug)]
pub struct Users {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Hold { port: u16, count: u32, manner: Manner },
    Leave { done: Sender<()> },
}

/// Who was turned away tries again after this time.
const AGAIN: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);
const CRASH_EVERY: Duration = Duration::from_secs(1);

impl Users {
    pub fn start() -> Result<Self> {
        let (orders, received) = mpsc::channel();
        let thread = thread::Builder::new().name("users".to_owned()).spawn(move || {
            Crowd { received, wish: None, sessions: Vec::new(), tried_at: None }.live();
        });
        Ok(Self { orders: Some(orders), thread: Some(thread.context("could not start a thread")?) })
    }

    /// From now on so many sessions, of that manner.
    pub fn hold(&self, port: u16, count: u32, manner: Manner) {
        self.order(Order::Hold { port, count, manner });
    }

    /// Nobody is left when this returns.
    pub fn leave(&self) {
        let (done, gone) = mpsc::channel();
        self.order(Order::Leave { done });
        // An error means that the thread has ended, and its sessions with it.
        let _ = gone.recv();
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // As above.
            let _ = orders.send(order);
        }
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Crowd {
    received: Receiver<Order>,
    wish: Option<(u16, usize, Manner)>,
    sessions: Vec<(TcpStream, Instant)>,
    tried_at: Option<Instant>,
}

impl Crowd {
    fn live(&mut self) {
        loop {
            match self.received.recv_timeout(if self.wish.is_some() { LOOK } else { AGAIN }) {
                Ok(Order::Hold { port, count, manner }) => {
                    self.sessions.clear();
                    self.wish = Some((port, count as usize, manner));
                    self.tried_at = None;
                }
                Ok(Order::Leave { done }) => {
                    self.wish = None;
                    self.sessions.clear();
                    // Whoever asked may have given up.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some((port, count, manner)) = self.wish {
                self.keep(port, count, manner);
            }
        }
    }

    fn keep(&mut self, port: u16, count: usize, manner: Manner) {
        self.sessions.retain_mut(|(stream, _)| is_open(stream));
        if manner == Manner::Crashing {
            self.sessions.retain_mut(|(stream, since)| {
                let stays = since.elapsed() < CRASH_EVERY;
                // A session that is gone already cannot crash.
                let _ = if stays { Ok(()) } else { stream.write_all(b"CRASH\n") };
                stays
            });
        }
        if self.sessions.len() >= count || self.tried_at.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        self.tried_at = Some(Instant::now());
        while self.sessions.len() < count {
            // Nobody listens while the instance is down.
            let Ok(stream) = open(port, manner) else { return };
            self.sessions.push((stream, Instant::now()));
        }
    }
}

fn open(port: u16, manner: Manner) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LOOK)?;
    if manner == Manner::InTransaction {
        stream.write_all(b"TSTART\n")?;
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// The superserver says nothing; an end of the stream is the end of the session.
fn is_open(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
