//! Records and commands onto the bus.

use std::time::Duration;

use bytes::Bytes;
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
    let payload: Bytes = record.to_json().map_err(Error::Encode)?.into();
    before(record);
    if !store(bus, drain, subject, payload).await? {
        tracing::warn!(%subject, "another analyst has written this; two of them work against each other");
        return Ok(false);
    }
    after(record);
    tell(record);
    Ok(true)
}

/// Until it stands there. False when something else does.
async fn store(bus: &Bus, drain: &Drain, subject: &Subject, payload: Bytes) -> Result<bool, Error> {
    loop {
        let taken = match bus.publish_once_confirmed_bytes(subject, payload.clone(), Headers::new()).await {
            Ok(_) => return Ok(true),
            Err(PublishError::Exists { subject }) => subject,
            Err(error) => {
                wait_for_the_bus(error, drain).await?;
                continue;
            }
        };
        // It may be ours: stored by a try whose answer was lost, when the bus was away for longer than one try lasts.
        match bus.compare_written(subject, &payload).await {
            Ok(Some(written)) => return Ok(written.is_ok()),
            Ok(None) => {}
            Err(source) => {
                let error = PublishError::ReadAgain { subject: taken, source: Box::new(source) };
                wait_for_the_bus(error, drain).await?;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use instance_bus::{Resolved, TopologyOptions};
    use instance_clock::SystemClock;
    use instance_contract::{IncidentId, subject::IncidentRecord};
    use instance_testkit::NatsServer;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_that_stands_there_already_is_ours_when_it_is_the_same() {
        let server = NatsServer::start();
        let bus = Bus::connect(&Resolved::at(&server.url()), "test", Arc::new(SystemClock)).await.unwrap();
        bus.init(&TopologyOptions { shards: Some(1), replicas: 1 }).await.unwrap();
        let id: IncidentId = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let place = subject::incident(&"PROD".parse().unwrap(), id, IncidentRecord::Opened);
        let drain = Drain::new();
        for (bytes, ours) in [("one", true), ("one", true), ("another", false)] {
            let stored = store(&bus, &drain, &place, Bytes::from_static(bytes.as_bytes())).await.unwrap();
            assert_eq!(stored, ours, "{bytes}");
        }
    }
}
