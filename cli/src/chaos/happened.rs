//! What happened to an instance, read from the bus and from its files: what a scenario can be made of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use instance_bus::Bus;
use instance_contract::{
    Accepted, Action, Change, CommandId, ConditionId, Decision, Ended, Finding, IncidentId, InstanceName,
    IrisMessage, OverallStatus, Plan, Planned, RemediationCommand, RemediationId,
    subject::{self, IncidentRecord},
};
use instance_diagnosis::targets;
use instance_iris::cpf::Document;
use instance_scenario::{Answer, Changed, Happened, Recording, Remedy, Target, Trouble};
use jiff::Timestamp;

/// Reads it; `cpf` is the instance's own file.
pub async fn of(instance: &InstanceName, cpf: &Path, recording: &Recording, bus: &Bus) -> Result<Happened> {
    let remediations = remediations(instance, bus).await?;
    let messages: Vec<IrisMessage> =
        recording.messages.iter().filter_map(|text| IrisMessage::decode(text.as_bytes()).ok()).collect();
    Ok(Happened {
        instance: instance.to_string(),
        version: version(cpf)?,
        memory_mb: memory_mb(&recording.meminfo),
        kernel: recording.kernel.clone(),
        cpf: recording.cpf.clone(),
        troubles: troubles(&findings(instance, bus).await?, &remediations, &messages),
        changed: remediations.iter().filter(|it| it.has_held()).flat_map(Remediation::changes).collect(),
        entries: messages.into_iter().map(|message| message.message_text.as_str().to_owned()).collect(),
        repaired_in: repaired_in(&remediations),
    })
}

/// A remediation as its records tell it.
struct Remediation {
    id: RemediationId,
    command: RemediationCommand,
    accepted_at: Timestamp,
    plan: Option<Plan>,
    ended: Option<(OverallStatus, Timestamp)>,
}

impl Remediation {
    /// Its verification held.
    fn has_held(&self) -> bool {
        self.ended.is_some_and(|(status, _)| status == OverallStatus::Success)
    }

    fn changes(&self) -> Vec<Changed> {
        let read = |change: &Change| {
            let target = change.target.parse().ok()?;
            Some(Changed { target, before: change.before.clone(), after: change.after.clone() })
        };
        self.plan.iter().flat_map(Plan::changes).filter_map(read).collect()
    }

    /// What it did, when that was anything at all.
    fn remedy(&self) -> Option<Remedy> {
        let parsed = targets(&self.command).into_iter().filter_map(|text| text.parse().ok());
        let changes: Vec<Target> = parsed.filter(|target| *target != Target::Instance).collect();
        let steps = self.command.steps();
        let restart = steps.iter().any(|step| matches!(step.action, Action::Restart(_)));
        let force = steps.iter().any(|step| matches!(&step.action, Action::Restart(wish) if wish.force));
        (restart || !changes.is_empty()).then_some(Remedy { changes, value: None, restart, force })
    }
}

/// In the order in which they were accepted; dry runs are none.
async fn remediations(instance: &InstanceName, bus: &Bus) -> Result<Vec<Remediation>> {
    let mut found: Vec<Remediation> = Vec::new();
    for shard in bus.topology().await?.shards() {
        for message in bus.read_log(shard, &subject::records_of(shard, "accepted")).await? {
            let Accepted { remediation_id: id, command, accepted_at, plan, .. } = message.json()?;
            if command.instance == *instance && !command.dry_run {
                found.push(Remediation { id, command, accepted_at, plan, ended: None });
            }
        }
        for message in bus.read_log(shard, &subject::records_of(shard, "planned")).await? {
            let record: Planned = message.json()?;
            if let Some(known) = found.iter_mut().find(|known| known.id == record.remediation_id) {
                known.plan = Some(record.plan);
            }
        }
        for message in bus.read_log(shard, &subject::records_of(shard, "ended")).await? {
            let record: Ended = message.json()?;
            if let Some(known) = found.iter_mut().find(|known| known.id == record.trace.remediation_id) {
                known.ended = Some((record.trace.overall_status, message.published_at));
            }
        }
    }
    found.sort_by_key(|remediation| remediation.accepted_at);
    Ok(found)
}

/// By incident, each in order; the incidents in the order of their first finding.
async fn findings(instance: &InstanceName, bus: &Bus) -> Result<Vec<Vec<Finding>>> {
    let mut order: Vec<IncidentId> = Vec::new();
    let mut found: BTreeMap<IncidentId, Vec<Finding>> = BTreeMap::new();
    for message in bus.read_incidents(&subject::incidents_of(instance)).await? {
        let Some((id, IncidentRecord::Finding(_))) = subject::parse_incident(&message.subject) else {
            continue;
        };
        let findings = found.entry(id).or_default();
        if findings.is_empty() {
            order.push(id);
        }
        findings.push(message.json()?);
    }
    Ok(order.iter().filter_map(|id| found.remove(id)).collect())
}

fn troubles(
    incidents: &[Vec<Finding>],
    remediations: &[Remediation],
    messages: &[IrisMessage],
) -> Vec<Trouble> {
    incidents.iter().filter_map(|findings| trouble(findings, remediations, messages)).collect()
}

fn trouble(findings: &[Finding], remediations: &[Remediation], messages: &[IrisMessage]) -> Option<Trouble> {
    let named = findings.iter().rev().find(|finding| finding.condition.is_some())?;
    let condition = named.condition.as_ref()?.as_str().to_owned();
    let commands: BTreeSet<CommandId> = findings
        .iter()
        .filter_map(|finding| match &finding.decision {
            Decision::Remediation { command_id, .. } => Some(*command_id),
            _ => None,
        })
        .collect();
    let asked: Vec<&Remediation> =
        remediations.iter().filter(|known| commands.contains(&known.command.command_id)).collect();
    let remedy = asked.iter().filter(|known| known.has_held()).find_map(|known| known.remedy());
    let called = findings.iter().any(|finding| matches!(finding.decision, Decision::Person { .. }));
    let has_failed = asked.iter().any(|known| known.ended.is_some() && !known.has_held());
    let answer = match (&remedy, called || has_failed) {
        (Some(_), _) => Answer::Remedy,
        (None, true) => Answer::Person,
        (None, false) => Answer::Nothing,
    };
    let first = findings.iter().flat_map(|finding| &finding.evidence).next();
    Some(Trouble {
        parts: parts(findings, messages, &condition),
        condition,
        cause: named.cause.clone(),
        answer,
        remedy,
        entry: first.map(|entry| entry.excerpt.clone()).unwrap_or_default(),
    })
}

/// Rows of the other entries that the findings rest on.
fn parts(findings: &[Finding], messages: &[IrisMessage], whole: &str) -> Vec<String> {
    let entries: BTreeSet<_> =
        findings.iter().flat_map(|finding| &finding.evidence).map(|entry| entry.message_id).collect();
    let of_them = messages.iter().filter(|message| entries.contains(&message.message_id));
    let rows: BTreeSet<&str> =
        of_them.filter_map(|message| message.condition.as_ref()).map(ConditionId::as_str).collect();
    rows.into_iter().filter(|row| *row != whole).map(str::to_owned).collect()
}

/// From the first acceptance to the last end, seconds, rounded up.
fn repaired_in(remediations: &[Remediation]) -> Option<u64> {
    let first = remediations.first()?.accepted_at;
    let last = remediations.iter().filter_map(|known| known.ended).map(|(_, at)| at).max()?;
    u64::try_from(last.duration_since(first).as_secs()).ok().map(|seconds| seconds + 1)
}

fn version(cpf: &Path) -> Result<String> {
    let bytes = fs::read(cpf).with_context(|| format!("could not read \"{}\"", cpf.display()))?;
    Ok(Document::parse(&bytes).get("ConfigFile", "Version").unwrap_or_default().trim().to_owned())
}

fn memory_mb(meminfo: &str) -> Option<u32> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kb: u64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
    u32::try_from(kb / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::memory_mb;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(memory_mb("MemTotal:       16777216 kB\nMemFree: 1 kB\n"), Some(16384));
        assert_eq!(memory_mb("MemFree: 1 kB\n"), None);
    }
}
