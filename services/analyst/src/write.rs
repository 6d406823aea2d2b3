//! Records and commands onto the bus.

use std::time::Duration;

use instance_bus::{Bus, Headers, PublishError};
use instance_chassis::{Drain, crash_point};
use instance_contract::{
    Decision, RemediationCommand,
    subject::{self, Subject},
};
use instance_diagnosis::Record;

use crate::Error;

const AGAIN: Duration = Duration::from_secs(1);

/// Writes a record on its subject. False when another analyst has written another one there.
pub(crate) async fn record(
    bus: &Bus,
    drain: &Drain,
    subject: &Subject,
    record: &Record,
) -> Result<bool, Error> {
    let payload: bytes::Bytes = record.to_json().map_err(Error::Encode)?.into();
    before(record);
    loop {
        match bus.publish_once_confirmed_bytes(subject, payload.clone(), Headers::new()).await {
            Ok(_) => break,
            Err(PublishError::Exists { subject }) => {
                tracing::warn!(
                    subject,
                    "another analyst has written this; two of them work against each other"
                );
                return Ok(false);
            }
            Err(error) => wait_for_the_bus(error, drain).await?,
        }
    }
    after(record);
    tell(record);
    Ok(true)
}

/// Publishes a command. The same one twice is one.
pub(crate) async fn command(bus: &Bus, drain: &Drain, command: &RemediationCommand) -> Result<(), Error> {
    let id = command.command_id.to_string();
    let subject = subject::command(&command.instance);
    if !command.dry_run {
        crash_point("analyst.command-to-publish");
    }
    loop {
        match bus.publish(&subject, command, Some(&id), Headers::new()).await {
            Ok(_) => break,
            Err(error) => wait_for_the_bus(error, drain).await?,
        }
    }
    if command.dry_run {
        crash_point("analyst.dry-run-published");
    } else {
        crash_point("analyst.command-published");
    }
    tracing::info!(
        instance = %command.instance,
        command_id = id,
        dry_run = command.dry_run,
        action = command.recommended_action,
        "asked for a remediation"
    );
    Ok(())
}

async fn wait_for_the_bus(error: PublishError, drain: &Drain) -> Result<(), Error> {
    if !error.is_unreachable() {
        return Err(error.into());
    }
    tracing::warn!(error = instance_chassis::error_chain(&error), "waiting for the bus");
    match drain.unless_draining(tokio::time::sleep(AGAIN)).await {
        Some(()) => Ok(()),
        None => Err(error.into()),
    }
}

fn before(record: &Record) {
    match record {
        Record::Opened(_) => crash_point("analyst.opened-to-write"),
        Record::Finding(_) => crash_point("analyst.finding-to-write"),
        Record::Outcome(_) => crash_point("analyst.outcome-to-write"),
        Record::Closed(_) => crash_point("analyst.closed-to-write"),
        Record::Acknowledged(_) => {}
    }
}

fn after(record: &Record) {
    match record {
        Record::Opened(_) => crash_point("analyst.opened-written"),
        Record::Finding(_) => crash_point("analyst.finding-written"),
        Record::Outcome(_) => crash_point("analyst.outcome-written"),
        Record::Closed(_) => crash_point("analyst.closed-written"),
        Record::Acknowledged(_) => {}
    }
}

fn tell(record: &Record) {
    let Record::Finding(finding) = record else { return };
    let condition = finding.condition.as_ref().map_or("unknown", |id| id.as_str());
    let (instance, incident) = (&finding.instance, finding.incident_id.to_string());
    match &finding.decision {
        Decision::Remediation { runbook, .. } => {
            tracing::info!(condition, %instance, incident, runbook, "found a remedy");
        }
        Decision::Person { why, .. } => {
            tracing::warn!(condition, %instance, incident, why, "left to a person");
        }
        Decision::Nothing { why } => {
            tracing::info!(condition, %instance, incident, why, "nothing has to be done");
        }
        Decision::Wait { why } => tracing::info!(condition, %instance, incident, why, "waiting"),
    }
}
