//! `iris` run outside of this service's sandbox. What `iris start` leaves behind is the database, which would inherit a
//! read-only file system or a filter of system calls, so the service must not be its parent.
//!
//! The service asks over a socket. For each connection systemd starts this program again (`instance-iris@.service`), as
//! the owner of the instance and without a sandbox. It takes the four commands that the service needs, for a name and two
//! words that are known, and nothing else: no path, no environment, no other program.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use instance_agent::host::{Finished, HostError, Program};
use instance_contract::InstanceName;
use serde::{Deserialize, Serialize};

use crate::error::whole;

/// The first argument of such a process.
const WORD: &str = "run-iris";
/// Longer than any step may take.
const LONGEST: Duration = Duration::from_mins(10);
/// The answer follows the end of the program within this.
const ANSWER: Duration = Duration::from_millis(300);
/// In bytes.
const QUESTION_LIMIT: u64 = 4096;
/// Twice the output that is kept of a program, each byte of it escaped.
const ANSWER_LIMIT: u64 = 1024 * 1024;
/// What systemd tells its own children is not for the database.
const OF_SYSTEMD: [&str; 8] = [
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "REMOTE_",
    "SYSTEMD_",
];
/// Where systemd puts a connection that is its child's input and output already.
const COPY_OF_CONNECTION: i32 = 3;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    words: Vec<String>,
    limit_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Finished {
        code: Option<i32>,
        signal: Option<i32>,
        stdout: String,
        stderr: String,
        timed_out: bool,
    },
    /// Nothing was started.
    Refused(String),
    /// It was started, and what it did is not known.
    Lost(String),
}

/// When this process is one that only runs `iris`: runs it. `None` when it is the service.
pub fn serve(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let (Some(iris), None) = (arguments.next(), arguments.next()) else {
        eprintln!(
            "<3>usage: instance-restart-agent {WORD} /usr/bin/iris, with a connection as its input and output"
        );
        return Some(ExitCode::from(2));
    };
    if std::env::var_os("LISTEN_FDS").is_some() {
        // Else the database would keep the connection open.
        let _ = nix::unistd::close(COPY_OF_CONNECTION);
    }
    let answer = answer(Path::new(&iris));
    let told = serde_json::to_vec(&answer).map_err(io::Error::from).and_then(|mut line| {
        line.push(b'\n');
        let mut connection = io::stdout().lock();
        connection.write_all(&line).and_then(|()| connection.flush())
    });
    Some(if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer(iris: &Path) -> Answer {
    let mut line = String::new();
    let read = BufReader::new(io::stdin().lock().take(QUESTION_LIMIT)).read_line(&mut line);
    let question = match read.map_err(|error| error.to_string()).and_then(|_| understand(&line)) {
        Ok(question) => question,
        Err(why) => return Answer::Refused(why),
    };
    let limit = Duration::from_millis(question.limit_ms).min(LONGEST);
    let mut program = Program::new(iris).arguments(question.words);
    for (name, value) in std::env::vars_os() {
        let foreign = name.to_str().is_none_or(|name| OF_SYSTEMD.iter().any(|own| name.starts_with(own)));
        if !foreign {
            program = program.variable(name, value);
        }
    }
    match program.run(limit) {
        Ok(finished) => Answer::Finished {
            code: finished.code,
            signal: finished.signal,
            stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
            timed_out: finished.timed_out,
        },
        Err(error @ HostError::Watch { .. }) => Answer::Lost(whole(&error)),
        Err(error) => Answer::Refused(whole(&error)),
    }
}

/// Only what the service itself would run.
fn understand(line: &str) -> Result<Question, String> {
    let question: Question = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let words: Vec<&str> = question.words.iter().map(String::as_str).collect();
    let name = match words[..] {
        ["qlist" | "force", name]
        | ["start" | "stop", name, "quietly"]
        | ["stop", name, "nofailover", "quietly"] => name,
        // No name of an instance.
        _ => "",
    };
    if name.parse::<InstanceName>().is_ok() {
        return Ok(question);
    }
    Err(format!("\"iris {}\" is not what this program is for", words.join(" ").escape_debug()))
}

/// Lets whoever listens at the socket run `iris` with these words, at most for `limit`.
pub fn ask(socket: &Path, words: &[&str], limit: Duration) -> Result<Finished, HostError> {
    let until = Instant::now() + limit + ANSWER;
    let not_started = |source| HostError::Start { path: socket.to_owned(), source };
    let lost = |source| HostError::Watch { path: socket.to_owned(), source };
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mut question = serde_json::to_vec(&Question { words, limit_ms }).expect("words are JSON");
    question.push(b'\n');
    let mut connection = UnixStream::connect(socket).map_err(not_started)?;
    connection.set_write_timeout(Some(ANSWER)).map_err(not_started)?;
    connection.write_all(&question).map_err(lost)?;
    let line = match read_line(&mut connection, until) {
        Ok(line) => line,
        // On a machine that is short of time it may have begun late: it will be ended by its own clock.
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            let (stdout, stderr) = (Vec::new(), Vec::new());
            return Ok(Finished { code: None, signal: None, stdout, stderr, timed_out: true });
        }
        Err(error) => return Err(lost(error)),
    };
    let unreadable = |error: serde_json::Error| lost(error.into());
    match serde_json::from_slice(&line).map_err(unreadable)? {
        Answer::Finished { code, signal, stdout, stderr, timed_out } => {
            let (stdout, stderr) = (stdout.into_bytes(), stderr.into_bytes());
            Ok(Finished { code, signal, stdout, stderr, timed_out })
        }
        Answer::Refused(why) => Err(not_started(io::Error::other(why))),
        Answer::Lost(why) => Err(lost(io::Error::other(why))),
    }
}

fn read_line(connection: &mut UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let (mut line, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    while line.last() != Some(&b'\n') {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        connection.set_read_timeout(Some(left))?;
        let count = match connection.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        line.extend_from_slice(&chunk[..count]);
        if line.len() as u64 > ANSWER_LIMIT {
            return Err(io::Error::other("the answer has no end"));
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::understand;

    #[test]
    fn only_what_the_service_needs_is_understood() {
        let ask =
            |words: &[&str]| understand(&serde_json::json!({"words": words, "limit_ms": 1}).to_string());
        for words in [
            &["qlist", "IRIS"][..],
            &["start", "IRIS", "quietly"],
            &["stop", "IRIS", "quietly"],
            &["stop", "IRIS", "nofailover", "quietly"],
            &["force", "IRIS"],
        ] {
            ask(words).expect("the service runs it");
        }
        for words in [
            &[][..],
            &["qlist"],
            &["start", "IRIS"],
            &["force", "IRIS", "quietly"],
            &["start", "IRIS", "/tmp/other.cpf", "quietly"],
            &["stop", "IRIS", "bypass", "quietly"],
            &["terminal", "IRIS"],
            &["merge", "IRIS", "/tmp/x"],
            &["qlist", "-x"],
            &["start", "a b", "quietly"],
        ] {
            let accepted = ask(words).is_ok();
            // A name may begin with a hyphen; `iris` then finds no such instance.
            assert_eq!(accepted, words == ["qlist", "-x"], "{words:?}");
        }
        assert!(understand("{}").is_err() && understand("").is_err());
        assert!(
            understand(r#"{"words":["qlist","IRIS"],"limit_ms":1,"environment":{"LD_PRELOAD":"/x"}}"#)
                .is_err()
        );
    }
}
