//! What ends an analyst. Everything else is waited for, left to a person or kept as a dead letter.

use std::{io, path::PathBuf};

/// An analyst that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read the folder of rows \"{path}\"")]
    KnowledgeFolder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not use the rows of the setting \"knowledge_dir\"")]
    Knowledge(#[from] instance_knowledge::DataError),
    #[error("could not put the rows in force")]
    InForce(#[from] instance_knowledge::AlreadyInForce),
    #[error(transparent)]
    ReadPolicy(#[from] instance_chassis::UnreadableFile),
    #[error("could not follow the policy")]
    Policy(#[from] instance_planner::PolicyError),
    #[error("could not read the webhook's token from \"{path}\"")]
    WebhookToken {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not use the setting \"webhook\"")]
    Webhook(#[from] instance_transport::InvalidWebhook),
    #[error("could not set up the model of the settings")]
    Model(#[from] instance_llm::SetupError),
    #[error("could not use the bus")]
    Bus(#[from] instance_bus::BusError),
    #[error("could not publish")]
    Publish(#[from] instance_bus::PublishError),
    #[error("could not write a record as JSON")]
    Encode(#[source] serde_json::Error),
    #[error("the entries have come to an end")]
    NoMoreEntries,
}
