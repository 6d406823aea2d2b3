//! The private web server: `/api/monitor/metrics` and `/api/monitor/alerts`, without a login.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// Somebody who is slower than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request with more before its body is none of ours.
const LONGEST_HEAD: usize = 16 * 1024;

/// A page that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/api/monitor/metrics`
    Metrics,
    /// `/api/monitor/alerts`
    Alerts,
}

/// Listens for as long as this process lives. `ask` passes a question on; whoever drops the answer lets the other side
/// wait, as an instance that hangs does.
pub fn serve(port: u16, ask: impl Fn(Page, Sender<String>) + Clone + Send + 'static) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    thread::Builder::new().name("web server".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let ask = ask.clone();
            thread::spawn(move || {
                // Whoever hangs up gets no answer, which is no fault of ours.
                let _ = answer(stream, ask);
            });
        }
    })?;
    Ok(())
}

fn answer(mut stream: TcpStream, ask: impl Fn(Page, Sender<String>)) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let Some(path) = request(&mut stream)? else {
        return write(&mut stream, "400 Bad Request", "text/plain", "");
    };
    let (page, kind) = match path.split('?').next() {
        Some("/api/monitor/metrics") => (Page::Metrics, "text/plain; charset=utf-8"),
        Some("/api/monitor/alerts") => (Page::Alerts, "application/json; charset=utf-8"),
        _ => return write(&mut stream, "404 Not Found", "text/plain", ""),
    };
    let (answer, answered) = mpsc::channel();
    ask(page, answer);
    match answered.recv() {
        Ok(body) => write(&mut stream, "200 OK", kind, &body),
        // It hangs: the other side waits until it has enough.
        Err(mpsc::RecvError) => stream.read(&mut [0]).map(|_| ()),
    }
}

/// The path of a GET; `None` when the request is none.
fn request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while head.len() < LONGEST_HEAD {
        let count = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                return Ok(request.path.filter(|_| request.method == Some("GET")).map(str::to_owned));
            }
            Ok(httparse::Status::Partial) if count > 0 => {}
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn write(stream: &mut TcpStream, status: &str, kind: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
