//! `instance health`: is a service of this machine ready? For probes of containers and clusters, which have no shell.

use std::{
    fs,
    io::Read as _,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Stop},
    output::{print, print_json, printable},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance health --role router                  Ready: it has its bus, and is not draining.
  instance health --role config-agent --live     Alive: it answers.
  instance health --json                         Every service of this machine.
Exit code 0 when all that are meant are well, 1 when one is not, 8 when there is none.";

/// Where the kernel lists the sockets of this network namespace.
const SOCKETS: &str = "/proc/net/unix";
/// What the services call theirs: `@instance-health/<role>/<pid>`.
const PREFIX: &str = "instance-health/";
/// The answer is one short line.
const LONGEST_ANSWER: u64 = 4096;
const ANSWER: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Only services of this role, like `router` [default: all of this machine]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// That it answers is enough, whether it is ready or not
    #[arg(long)]
    live: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let listed = fs::read_to_string(SOCKETS).with_context(|| format!("could not read \"{SOCKETS}\""))?;
    let sockets = sockets(&listed, args.role.as_deref());
    if sockets.is_empty() {
        let who = args.role.as_deref().map_or_else(String::new, |role| format!(" of role \"{role}\""));
        let text = format!("no service{who} runs on this machine");
        return Err(Stop::new(Exit::NotFound, text).next("in a container, ask inside of it").into());
    }
    let timeout = session.global.timeout.unwrap_or(ANSWER);
    let answers: Vec<Value> = sockets.iter().map(|name| asked(name, timeout)).collect();
    let well =
        answers.iter().all(|answer| answer["ready"] == true || args.live && answer["state"] != "silent");
    if session.json() {
        print_json(&json!({"schema": "instance.cli.v1.health", "well": well, "services": answers}))?;
    } else {
        for answer in &answers {
            let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
            print(printable(&format!(
                "{:14} {:8} {}",
                text("role"),
                answer["pid"].to_string(),
                text("state")
            )))?;
        }
    }
    Ok(if well { Exit::Done } else { Exit::Failure })
}

/// The names of the sockets that are asked.
fn sockets(listed: &str, role: Option<&str>) -> Vec<String> {
    let names = listed.lines().filter_map(|line| line.split_whitespace().last()?.strip_prefix('@'));
    let mut names: Vec<String> = names
        .filter(|name| {
            let Some((of, pid)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')) else {
                return false;
            };
            pid.bytes().all(|byte| byte.is_ascii_digit()) && role.is_none_or(|role| role == of)
        })
        .map(str::to_owned)
        .collect();
    names.sort();
    // Each connection that is open has a line, too.
    names.dedup();
    names
}

/// What a service says; `silent` when it says nothing in time.
fn asked(name: &str, timeout: Duration) -> Value {
    let silent = || {
        let (role, pid) =
            name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).unwrap_or((name, ""));
        json!({"role": role, "pid": pid.parse::<u32>().ok(), "state": "silent", "ready": false})
    };
    told(name, timeout).unwrap_or_else(|_| silent())
}

fn told(name: &str, timeout: Duration) -> Result<Value> {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
    let mut text = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn only_sockets_of_services_are_asked_and_each_once() {
        let listed = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                      0: 2 0 1 1 01 11 @instance-health/router/17\n0: 3 0 0 1 03 12 @instance-health/router/17\n\
                      0: 2 0 1 1 01 13 @instance-health/os-agent/9\n0: 2 0 1 1 01 14 /run/instance-health/router/1\n\
                      0: 2 0 1 1 01 15\n0: 2 0 1 1 01 16 @instance-health/x/y\n";
        assert_eq!(sockets(listed, None), ["instance-health/os-agent/9", "instance-health/router/17"]);
        assert_eq!(sockets(listed, Some("router")), ["instance-health/router/17"]);
        assert!(sockets(listed, Some("rout")).is_empty());
    }

    #[test]
    fn an_answer_is_taken_and_silence_is_told() {
        let name = format!("{PREFIX}test/{}", std::process::id());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let asker = name.clone();
        let asking = std::thread::spawn(move || asked(&asker, Duration::from_secs(30)));
        listener.accept().unwrap().0.write_all(b"{\"role\": \"test\", \"ready\": true}\n").unwrap();
        assert_eq!(asking.join().unwrap()["ready"], true);
        // Nobody accepts this one.
        let silent = asked(&name, Duration::from_millis(50));
        assert_eq!((&silent["state"], &silent["ready"]), (&"silent".into(), &false.into()));
        drop(listener);
        assert_eq!(asked(&name, Duration::from_secs(1))["state"], "silent");
    }
}
