//! How an agent looks at an IRIS instance from outside: what `iris qlist` says, what `messages.log` says, what the
//! files and the kernel hold, and whether the superserver answers. Reads only.

mod cpu_share;
mod expectation;
mod log;
mod monitor;
mod processes;
mod qlist;
mod quiet;
mod verify; // Read this first: what must be true at the end of a remediation.

use std::{
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use instance_contract::InstanceName;

pub use cpu_share::{CpuGroup, GroupError, GroupVersion};
pub use log::{LogMark, conditions_in, entries_since, entries_since_last_start};
pub use monitor::{Metrics, MonitorError, Sample, metrics, metrics_url};
pub use processes::{Process, allowed_cpus, processes_of};
pub use qlist::{Health, Qlist, QlistError, StateWord, qlist};
pub use verify::verify;

/// Where to look for one instance. All paths are settings of the agent, so that a test can point them at a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceView {
    pub name: InstanceName,
    /// `iris.cpf`. `_LastGood_.cpf`, the copy that IRIS makes of the CPF that started, lies beside it.
    pub cpf: PathBuf,
    /// `mgr/messages.log`.
    pub messages_log: PathBuf,
    /// The `iris` program; without it nobody can tell whether the instance runs.
    pub iris_command: Option<PathBuf>,
    /// Usually `/proc`; the folder `sys` beside it stands for `/sys`.
    pub proc_root: PathBuf,
}

/// Does somebody accept TCP connections there within `limit`?
pub fn superserver_accepts(host: &str, port: u16, limit: Duration) -> bool {
    let Ok(addresses) = (host, port).to_socket_addrs() else { return false };
    // A limit of zero is an error of connect_timeout.
    let limit = limit.max(Duration::from_millis(1));
    addresses.into_iter().any(|address| TcpStream::connect_timeout(&address, limit).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_accepts_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(superserver_accepts("127.0.0.1", port, Duration::from_secs(5)));
        drop(listener);
        assert!(!superserver_accepts("127.0.0.1", port, Duration::from_secs(5)));
    }
}
