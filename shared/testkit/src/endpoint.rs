//! An HTTP endpoint that takes documents, as a webhook is: it can die, come back at the same address, and be rude.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

/// One request, and how it was answered.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub document: Value,
    pub status: u16,
}

impl Posted {
    /// `Idempotency-Key`; empty without one.
    pub fn key(&self) -> &str {
        self.headers.get("idempotency-key").map_or("", String::as_str)
    }
}

/// What an endpoint was sent, over its deaths.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Posted>>>);

impl Seen {
    pub fn all(&self) -> Vec<Posted> {
        self.lock().clone()
    }

    /// How often each key was answered with that.
    pub fn answered(&self, status: u16) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for posted in self.lock().iter().filter(|posted| posted.status == status) {
            *counts.entry(posted.key().to_owned()).or_default() += 1;
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Posted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens until it is dropped; then nobody does at its address.
pub struct Endpoint {
    over: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// An address where nobody listens: the port was free a moment ago.
    pub fn nobody() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
        listener.local_addr().expect("a listener has an address")
    }

    /// `answer` gets the key and how often it has come, this time included, and says the status.
    pub fn start(
        address: SocketAddr,
        seen: &Seen,
        answer: impl Fn(&str, usize) -> u16 + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("nobody has taken the port meanwhile");
        let over = Arc::new(AtomicBool::new(false));
        let (stop, seen) = (over.clone(), seen.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                // Somebody who hangs up in the middle was not answered, and comes again.
                let _ = one(&stream, &seen, &answer);
            }
        });
        Self { over, address, thread: Some(thread) }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // One more connection, so that it looks up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn one(stream: &TcpStream, seen: &Seen, answer: &impl Fn(&str, usize) -> u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line.starts_with("POST ") => {}
            None => break,
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let document = serde_json::from_slice(&body)?;
    let mut posted = Posted { headers, document, status: 0 };
    let status = {
        let mut all = seen.lock();
        let before = all.iter().filter(|earlier| earlier.key() == posted.key()).count();
        posted.status = answer(posted.key(), before + 1);
        all.push(posted.clone());
        posted.status
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntext")
}
