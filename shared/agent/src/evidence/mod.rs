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
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream},
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
    /// `mgr/messages.log`, or where `[config] console` has put it.
    pub messages_log: PathBuf,
    /// Where its processes work.
    pub manager_dir: PathBuf,
    /// The `iris` program; without it nobody can tell whether the instance runs.
    pub iris_command: Option<PathBuf>,
    /// Usually `/proc`; the folder `sys` beside it stands for `/sys`.
    pub proc_root: PathBuf,
}

/// Does somebody accept TCP connections there within `limit`?
pub fn superserver_accepts(address: IpAddr, port: u16, limit: Duration) -> bool {
    // A limit of zero is an error of connect_timeout.
    let limit = limit.max(Duration::from_millis(1));
    TcpStream::connect_timeout(&(address, port).into(), limit).is_ok()
}

/// Where to connect to what is bound to an address: the one that stands for all of them is no destination.
pub fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_accepts_while_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert!(superserver_accepts(local, port, Duration::from_secs(5)));
        drop(listener);
        assert!(!superserver_accepts(local, port, Duration::from_secs(5)));
    }

    #[test]
    fn the_address_that_stands_for_all_is_reached_at_the_loopback() {
        for (bound, reached) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2"), ("fe80::7", "fe80::7")]
        {
            assert_eq!(reachable(bound.parse().unwrap()), reached.parse::<IpAddr>().unwrap());
        }
    }
}
