//! Telling systemd how far we are: one datagram to `$NOTIFY_SOCKET`.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

/// The supervisor that started us, if it wants to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor {
    /// Value of `NOTIFY_SOCKET`: a path, or `@` and a name in the abstract namespace.
    socket: Option<String>,
    /// It ends a process that says nothing for so long.
    watchdog: Option<Duration>,
}

impl Supervisor {
    pub fn at(socket: Option<String>) -> Self {
        Self { socket: socket.filter(|name| !name.is_empty()), watchdog: None }
    }

    /// With the values of `WATCHDOG_USEC` and `WATCHDOG_PID`: who is meant, and how long it may be silent.
    pub fn watched(self, microseconds: Option<&str>, pid: Option<&str>) -> Self {
        let is_us = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        let within = microseconds.and_then(|text| text.parse().ok()).filter(|within| *within > 0 && is_us);
        Self { watchdog: within.map(Duration::from_micros), ..self }
    }

    /// We take work now.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// We take nothing new.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Tells that the loop turns, twice in the time after which systemd would end us, for as long as it is polled. Returns
    /// at once where nobody watches.
    pub async fn keep_watched(&self) {
        let Some(within) = self.watchdog else { return };
        let mut ticks = tokio::time::interval(within / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    /// A supervisor that cannot hear us is worth a line, not the end of a service that works.
    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(socket, state, error = %error, "could not notify the supervisor");
        }
    }
}

fn send(socket: &str, state: &str) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold us up.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(receiver: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let length = receiver.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn both_kinds_of_address_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        Supervisor::at(Some(path.display().to_string())).ready();
        assert_eq!(heard(&by_path), "READY=1");

        let name = format!("instance-chassis-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        Supervisor::at(Some(format!("@{name}"))).stopping();
        assert_eq!(heard(&by_name), "STOPPING=1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watchdog_hears_of_us_twice_in_its_time_and_only_when_it_means_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let watchdog = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(Some(path.display().to_string()));
        let (own, other) = (std::process::id().to_string(), "1".to_owned());
        for (microseconds, pid) in
            [(None, None), (Some("0"), None), (Some("no"), None), (Some("5"), Some(&*other))]
        {
            // Returns, so nobody is watched.
            supervisor.clone().watched(microseconds, pid).keep_watched().await;
        }
        let watched = supervisor.watched(Some("20000000"), Some(&own));
        // Time stands still but for this: at 0, 10 and 20 seconds.
        let _over = tokio::time::timeout(Duration::from_secs(25), watched.keep_watched()).await;
        for _ in 0..3 {
            assert_eq!(heard(&watchdog), "WATCHDOG=1");
        }
        watchdog.set_nonblocking(true).unwrap();
        assert!(watchdog.recv(&mut [0; 64]).is_err(), "and no more than that");
    }

    #[test]
    fn nobody_listening_stops_nobody() {
        Supervisor::at(None).ready();
        Supervisor::at(Some(String::new())).ready();
        Supervisor::at(Some("/nowhere/at/all".to_owned())).ready();
    }
}
