//! A collector that takes everything that is exported and throws it away.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};

/// Listens until the program ends.
pub struct Sink {
    pub endpoint: String,
    taken: Arc<AtomicU64>,
}

impl Sink {
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen for exports")?;
        let endpoint = format!("http://{}", listener.local_addr().context("which port is it?")?);
        let taken = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&taken);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let counted = Arc::clone(&counted);
                thread::spawn(move || {
                    while let Some(bytes) = take(&connection) {
                        counted.fetch_add(bytes, Ordering::Relaxed);
                    }
                });
            }
        });
        Ok(Self { endpoint, taken })
    }

    /// Bytes that came so far.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One request, answered; `None` when the connection is over.
fn take(connection: &TcpStream) -> Option<u64> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    (&mut &*connection).write_all(answer).ok()?;
    u64::try_from(length).ok()
}
