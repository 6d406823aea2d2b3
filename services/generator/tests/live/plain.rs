//! A NATS client of a few lines: sees what is sent, and sends headers of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use instance_contract::subject::Subject;

const INBOX: &str = "_INBOX.plain";

/// One connection.
pub struct Plain {
    reader: BufReader<TcpStream>,
}

impl Plain {
    /// Connects to `nats://address` and waits until the server has answered.
    pub fn connect(url: &str) -> Self {
        let stream = TcpStream::connect(url.trim_start_matches("nats://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut plain = Self { reader: BufReader::new(stream) };
        plain.send(b"CONNECT {\"headers\":true,\"verbose\":false,\"name\":\"plain\"}\r\n");
        plain.flush();
        plain
    }

    /// Subscribes; every message from now on is seen.
    pub fn subscribe(&mut self, subject: &str) {
        self.send(format!("SUB {subject} 1\r\n").as_bytes());
        self.flush();
    }

    /// Asks with one header and returns the payload of the answer.
    pub fn ask(&mut self, subject: &Subject, header: &str, payload: &str) -> Vec<u8> {
        self.subscribe(INBOX);
        let headers = format!("NATS/1.0\r\n{header}\r\n\r\n");
        let (length, total) = (headers.len(), headers.len() + payload.len());
        let message = format!("HPUB {subject} {INBOX} {length} {total}\r\n{headers}{payload}\r\n");
        self.send(message.as_bytes());
        self.next()
    }

    /// The payload of the next message.
    pub fn next(&mut self) -> Vec<u8> {
        loop {
            let line = self.line();
            let numbers: Vec<usize> = line.split(' ').rev().map_while(|word| word.parse().ok()).collect();
            let (headers, total) = match line.split(' ').next() {
                Some("MSG") => (0, numbers[0]),
                Some("HMSG") => (numbers[1], numbers[0]),
                _ => continue,
            };
            let mut bytes = vec![0; total + 2];
            self.reader.read_exact(&mut bytes).unwrap();
            return bytes[headers..total].to_vec();
        }
    }

    fn flush(&mut self) {
        self.send(b"PING\r\n");
        while self.line() != "PONG" {}
    }

    /// One line of the protocol. The server's own questions are answered.
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.reader.read_line(&mut line).unwrap(), 0, "the server hung up");
        assert!(!line.starts_with("-ERR"), "{line}");
        if line.starts_with("PING") {
            self.send(b"PONG\r\n");
        }
        line.trim_end().to_owned()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }
}
