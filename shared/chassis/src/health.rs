//! How this process is, told to whoever asks on this machine: `instance health`.
//!
//! A socket in the abstract namespace of the network: no port to choose, no file to leave behind, no folder that must be
//! writable, no shell to ask with. Its name tells role and process: `@instance-health/<role>/<pid>`. Who connects is told one
//! line of JSON; nothing that they say is read. That the answer comes shows that the event loop turns.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio_util::task::TaskTracker;

use crate::readiness::Readiness;

/// What comes before role and process in the name of the socket.
const PREFIX: &str = "instance-health";
/// An asker that does not take its answer is left.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// After an accept that failed, for want of descriptors above all.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers until the process ends. One that cannot listen still does its work.
pub(crate) fn listen(role: &str, readiness: Readiness) {
    match bind(role) {
        Ok(listener) => drop(TaskTracker::new().spawn(answer(listener, role.to_owned(), readiness))),
        Err(error) => tracing::warn!(%error, "nobody can ask for the health of this process"),
    }
}

fn bind(role: &str) -> io::Result<UnixListener> {
    let name = format!("{PREFIX}/{role}/{}", std::process::id());
    let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn answer(listener: UnixListener, role: String, readiness: Readiness) {
    loop {
        let Ok((mut asker, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let word = readiness.word();
        let line = json!({
            "schema": "instance.v1.health", "role": role, "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"),
            "state": word, "ready": word == "ready",
        });
        // Whoever does not listen does not want to know.
        let _ = tokio::time::timeout(ANSWER_LIMIT, asker.write_all(format!("{line}\n").as_bytes())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::drain::Drain;

    fn asked(role: &str) -> serde_json::Value {
        let name = format!("{PREFIX}/{role}/{}", std::process::id());
        let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_is_told_and_may_ask_again() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.clone());
        listen("test-role", readiness.clone());
        let told = tokio::task::spawn_blocking(|| asked("test-role")).await.unwrap();
        assert_eq!((&told["state"], &told["ready"]), (&"waiting_for_bus".into(), &false.into()), "{told}");
        drain.request();
        let told = tokio::task::spawn_blocking(|| asked("test-role")).await.unwrap();
        assert_eq!(told["state"], "draining", "{told}");
        // A second one of the same name in this process is no reason to fail.
        listen("test-role", readiness);
    }
}
