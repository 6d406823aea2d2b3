//! What ends the generator.

use std::io;
use std::path::PathBuf;

use instance_bus::BusError;
use instance_contract::{Faults, InstanceName};
use instance_knowledge::{AlreadyInForce, DataError};

use instance_invent::TemplateError;

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
    #[error("two consumers are called \"{0}\"")]
    SameConsumer(String),
    #[error("could not read \"{path}\"")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not read the folder of knowledge \"{path}\"")]
    KnowledgeFolder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not use the rows of the setting \"knowledge_dir\"")]
    Knowledge(#[from] DataError),
    #[error(transparent)]
    KnowledgeInForce(#[from] AlreadyInForce),
    #[error("could not invent messages")]
    Invent(#[from] Faults),
    #[error("could not read the templates")]
    Templates(#[from] TemplateError),
    #[error("could not set up the model of the settings")]
    Model(#[from] instance_llm::SetupError),
    #[error("could not announce the service")]
    Announce(#[source] BusError),
    #[error("settings \"replay\" and \"invent\" exclude each other")]
    TwoModes,
}
