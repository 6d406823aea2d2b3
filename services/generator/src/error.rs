//! What ends the generator.

use std::io;
use std::path::PathBuf;

use instance_bus::BusError;
use instance_contract::{Faults, InstanceName};

use crate::invent::TemplateError;

/// Why the generator could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("could not make state folder \"{path}\"")]
    StateFolder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("two instances are called \"{0}\"")]
    SameName(InstanceName),
    #[error("could not read \"{path}\"")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not invent messages")]
    Invent(#[from] Faults),
    #[error("could not read the templates")]
    Templates(#[from] TemplateError),
    #[error("could not announce the service")]
    Announce(#[source] BusError),
    #[error("settings \"replay\" and \"invent\" exclude each other")]
    TwoModes,
}
