//! What ends a gateway. Everything else is answered.

use std::{io, net::SocketAddr, path::PathBuf};

/// A gateway that cannot begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not listen at {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not read the secret of caller \"{caller}\" from \"{path}\"")]
    ReadSecret {
        caller: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the secret of caller \"{caller}\" in \"{path}\" {rule}")]
    Secret { caller: String, path: PathBuf, rule: &'static str },
    #[error("two callers are called \"{0}\"")]
    SameCaller(String),
    #[error("the table of alerts cannot be used: row \"{alert}\": {rule}")]
    Row { alert: String, rule: String },
    #[error("could not use the bus")]
    Bus(#[from] instance_bus::BusError),
}
