//! Telling systemd how far we are: one datagram to `$NOTIFY_SOCKET`.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor that started us, if it wants to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor {
    /// Value of `NOTIFY_SOCKET`: a path, or `@` and a name in the abstract namespace.
    socket: Option<String>,
}

impl Supervisor {
    pub fn at(socket: Option<String>) -> Self {
        Self { socket: socket.filter(|name| !name.is_empty()) }
    }

    /// We take work now.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// We take nothing new.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
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

    #[test]
    fn nobody_listening_stops_nobody() {
        Supervisor::at(None).ready();
        Supervisor::at(Some(String::new())).ready();
        Supervisor::at(Some("/nowhere/at/all".to_owned())).ready();
    }
}
