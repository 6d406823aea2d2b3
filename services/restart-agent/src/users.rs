//! Who works in an instance, told by the doors that the real product has: the connections to its superserver and the
//! terminals of its processes, as the kernel sees them, and the metrics of the instance itself.

use std::{fmt, net::SocketAddr, time::Duration};

use instance_agent::evidence::{self, Metrics, Process};
use serde_json::{Value, json};

use crate::{
    host::Use,
    observe::{Observed, Site},
};

/// A web server that is slower than this tells nothing this time.
pub const METRICS_LIMIT: Duration = Duration::from_secs(3);
/// More than so many are counted and not listed.
const LISTED: usize = 8;

/// Who works there now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Users {
    pub sessions: Vec<Session>,
    /// Connections that the web gateway keeps open whether or not somebody uses them
    /// (`iris_csp_actual_connections`). They are among the sessions and cannot be told apart.
    pub of_the_gateway: u64,
    /// `iris_trans_open_count`; `None` when it cannot be seen.
    pub transactions: Option<u64>,
    /// `iris_trans_open_secs_max`
    pub longest_transaction_seconds: Option<u64>,
    /// `iris_csp_sessions`: people with a browser. They outlive a restart or log on again, and are not waited for.
    pub web_sessions: Option<u64>,
    /// `iris_license_consumed`
    pub license_units: Option<u64>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// A connection to a port of the superserver.
    Network(SocketAddr),
    /// A process with a terminal.
    Terminal(u32),
}

impl Users {
    /// Looks once. The metrics are waited for at most for `limit` and the time that is left.
    pub fn of(site: &Site<'_>, observed: &Observed, limit: Duration) -> Self {
        let mut users = Self::default();
        match site.host.processes() {
            Ok(processes) => users.see_sessions(site, observed, &processes),
            Err(error) => users.unseen.push(format!("sessions ({error})")),
        }
        users.see_metrics(site, observed, limit);
        users
    }

    /// Transactions that were open a moment ago are not over because nobody could look again.
    pub fn remember(&mut self, before: &Self) {
        if self.transactions.is_none() && before.transactions > Some(0) {
            self.transactions = before.transactions;
            self.longest_transaction_seconds = before.longest_transaction_seconds;
        }
    }

    /// Is there anybody whose work a stop would cut off?
    pub fn are_there(&self) -> bool {
        self.busy_sessions() > 0 || self.transactions.unwrap_or(0) > 0
    }

    /// Without what the web gateway holds.
    pub fn busy_sessions(&self) -> usize {
        self.sessions.len().saturating_sub(usize::try_from(self.of_the_gateway).unwrap_or(usize::MAX))
    }

    /// For people and for planning.
    pub fn facts(&self) -> Value {
        json!({
            "sessions": self.sessions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "web_gateway_connections": self.of_the_gateway,
            "web_sessions": self.web_sessions,
            "open_transactions": self.transactions,
            "longest_transaction_seconds": self.longest_transaction_seconds,
            "license_units": self.license_units,
            "unseen": self.unseen,
        })
    }

    fn see_sessions(&mut self, site: &Site<'_>, observed: &Observed, processes: &[Process]) {
        if processes.is_empty() {
            self.unseen.push("sessions (no process of it is to be seen)".to_owned());
            return;
        }
        self.sessions.extend(site.host.terminals(processes).into_iter().map(Session::Terminal));
        let ports = &observed.qlist.superserver_ports;
        if ports.is_empty() {
            self.unseen.push("connections to the superserver (it tells no port)".to_owned());
        }
        for port in ports {
            match site.host.sockets(*port, processes) {
                Ok(sockets) => {
                    let connected = sockets.into_iter().filter_map(|socket| match socket.use_of {
                        Use::ConnectedFrom(address) => Some(Session::Network(address)),
                        Use::Listens => None,
                    });
                    self.sessions.extend(connected);
                }
                Err(error) => {
                    self.unseen.push(format!("connections to the superserver on port {port} ({error})"));
                }
            }
        }
    }

    fn see_metrics(&mut self, site: &Site<'_>, observed: &Observed, limit: Duration) {
        let own = observed.qlist.web_server_port.filter(|port| *port != 0).map(evidence::metrics_url);
        let Some(url) = site.config.metrics_url.get(&site.instance.name).cloned().or(own) else {
            self.unseen.push("open transactions (it has no web port)".to_owned());
            return;
        };
        match site.host.metrics(&url, site.left_of(limit.min(METRICS_LIMIT))) {
            Ok(metrics) => self.take(&metrics),
            Err(error) => self.unseen.push(format!("open transactions ({error})")),
        }
    }

    fn take(&mut self, metrics: &Metrics) {
        let gateways = metrics.named("iris_csp_actual_connections");
        // A count of connections: small and whole. Whoever answers on that port may say anything.
        let counts = gateways.filter_map(|sample| format!("{:.0}", sample.value).parse::<u64>().ok());
        self.of_the_gateway = counts.fold(0, u64::saturating_add);
        self.transactions = metrics.count("iris_trans_open_count");
        if self.transactions.is_none() {
            self.unseen.push("open transactions (the metrics do not tell of them)".to_owned());
        }
        self.longest_transaction_seconds = metrics.count("iris_trans_open_secs_max");
        self.web_sessions = metrics.count("iris_csp_sessions");
        self.license_units = metrics.count("iris_license_consumed");
    }
}

/// `2 sessions (127.0.0.1:40112, terminal of process 4711), 1 open transaction for 12 s`
impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let count = self.sessions.len();
        write!(f, "{count} session{}", plural(count))?;
        if count > 0 {
            let listed: Vec<_> = self.sessions.iter().take(LISTED).map(ToString::to_string).collect();
            let more = if count > LISTED { ", ..." } else { "" };
            write!(f, " ({}{more})", listed.join(", "))?;
        }
        if self.of_the_gateway > 0 {
            write!(f, " of which {} of the web gateway", self.of_the_gateway)?;
        }
        if let Some(transactions) = self.transactions.filter(|count| *count > 0) {
            let plural = if transactions == 1 { "" } else { "s" };
            write!(f, ", {transactions} open transaction{plural}")?;
            if let Some(seconds) = self.longest_transaction_seconds {
                write!(f, " for up to {seconds} s")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => write!(f, "{address}"),
            Self::Terminal(process) => write!(f, "terminal of process {process}"),
        }
    }
}
