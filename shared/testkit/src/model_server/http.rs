//! As much of HTTP/1.1 as one call needs.

use std::{
    io::{ErrorKind, Read as _},
    net::TcpStream,
};

const LONGEST: usize = 16 * 1024 * 1024;

pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// Reads one request. `None`: the other side went away, said something else, or the server ends.
pub(super) fn read(connection: &TcpStream, is_ending: impl Fn() -> bool) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Parsed::Whole(request) => return Some(request),
            Parsed::Nonsense => return None,
            Parsed::Part => {}
        }
        if bytes.len() > LONGEST || !more(connection, &mut bytes, &is_ending) {
            return None;
        }
    }
}

/// Waits until the other side gives up.
pub(super) fn wait_for_hang_up(connection: &TcpStream, is_ending: impl Fn() -> bool) {
    let mut ignored = Vec::new();
    while more(connection, &mut ignored, &is_ending) {
        ignored.clear();
    }
}

/// False when nothing will come any more.
fn more(mut connection: &TcpStream, bytes: &mut Vec<u8>, is_ending: &impl Fn() -> bool) -> bool {
    let mut piece = [0; 16 * 1024];
    loop {
        if is_ending() {
            return false;
        }
        match connection.read(&mut piece) {
            Ok(0) => return false,
            Ok(length) => {
                bytes.extend_from_slice(&piece[..length]);
                return true;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(_) => return false,
        }
    }
}

enum Parsed {
    Whole(Request),
    /// Not all of it is there yet.
    Part,
    Nonsense,
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    let begin = match head.parse(bytes) {
        Ok(httparse::Status::Complete(begin)) => begin,
        Ok(httparse::Status::Partial) => return Parsed::Part,
        Err(_) => return Parsed::Nonsense,
    };
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| str::from_utf8(header.value).ok()).map(str::to_owned)
    };
    let length: Option<usize> = header("content-length").map_or(Some(0), |text| text.parse().ok());
    let (Some(method), Some(path), Some(length)) = (head.method, head.path, length) else {
        return Parsed::Nonsense;
    };
    match bytes.get(begin..begin.saturating_add(length)) {
        None => Parsed::Part,
        Some(body) => Parsed::Whole(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            authorization: header("authorization"),
            body: body.to_vec(),
        }),
    }
}
