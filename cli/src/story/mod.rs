//! Remediations as the log tells them, with what the command line says when there is none.

use anyhow::{Context as _, Result};
use instance_bus::{Bus, LogMessage};
use instance_contract::{
    OverallStatus, RemediationId, Shard,
    subject::{RecordKind, parse_record},
};
use instance_engine::Record;
pub use instance_story::{Newest, Open, Story, open};
use uuid::Uuid;

use crate::exit::{Exit, Stop};

/// Finds a remediation by its id or by that of its command.
pub async fn find(bus: &Bus, id: Uuid) -> Result<Story> {
    if let Some(story) = instance_story::find(bus, id).await? {
        return Ok(story);
    }
    let stop = Stop::new(Exit::NotFound, format_args!("no remediation and no command has the id {id}"));
    Err(stop.next("`instance status` and `instance history` list what there is").into())
}

/// From the newest to the oldest, for whoever does not want all of them at once.
pub async fn newest(bus: &Bus) -> Result<Newest> {
    Ok(Newest::from(bus, None).await?.expect("only a place can be none"))
}

/// A record from a message of the log; `None` for what is not about one remediation.
pub fn record(message: &LogMessage) -> Result<Option<(Shard, RemediationId, RecordKind, Record)>> {
    let Some((shard, id, kind)) = parse_record(&message.subject) else { return Ok(None) };
    let record = Record::decode(&kind, &message.payload).context("could not read the remediation log")?;
    Ok(Some((shard, id, kind, record)))
}

/// The exit code for the end of a remediation.
pub const fn exit_of(status: OverallStatus) -> Exit {
    match status {
        OverallStatus::Success | OverallStatus::DryRun => Exit::Done,
        OverallStatus::Failure => Exit::Failure,
        OverallStatus::Refused | OverallStatus::Expired => Exit::Refused,
        OverallStatus::Partial => Exit::NotVerified,
        OverallStatus::Undone => Exit::Undone,
    }
}
