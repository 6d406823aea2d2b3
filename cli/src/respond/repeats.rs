//! What was asked before, so that one fault becomes one command, however often IRIS writes of it.
//!
//! Nothing is kept in a file: the remediation log says what is open and what has ended, whoever asked for it. Beside
//! it only what this process has published and the router has not accepted yet is remembered; after a restart of
//! ours the waiting commands are looked at instead.

use std::{collections::BTreeMap, time::Duration};

use instance_bus::{Bus, BusError, topology};
use instance_contract::{
    Accepted, Ended, InstanceName, Older, OverallStatus, RemediationCommand, RemediationId, Shard, subject,
};
use jiff::{SignedDuration, Timestamp};

use super::judge::targets;

/// A command that acts, or has acted, on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    instance: InstanceName,
    targets: Vec<String>,
    /// `None` while it is open.
    ended_at: Option<Timestamp>,
}

/// What this process has asked for.
#[derive(Debug, Default)]
pub struct Repeats {
    published: BTreeMap<RemediationId, (Timestamp, Asked)>,
}

/// What the router has not accepted after this time is taken for lost, e.g. refused.
const ACCEPTED_WITHIN: Duration = Duration::from_mins(1);

impl Repeats {
    /// Remembers a command of ours until it stands in the log.
    pub fn published(&mut self, command: &RemediationCommand, now: Timestamp) {
        self.published.insert(command.command_id.into(), (now, asked(command, None)));
    }

    /// Why the target needs no other command now; `None`: it does.
    pub async fn reason_not_to_ask(
        &mut self,
        bus: &Bus,
        instance: &InstanceName,
        target: &str,
        now: Timestamp,
        quiet: Duration,
    ) -> Result<Option<String>, BusError> {
        let mut known = read(bus).await?;
        self.published.retain(|id, (at, _)| !known.contains_key(id) && now < *at + span(ACCEPTED_WITHIN));
        for (id, (_, asked)) in &self.published {
            known.insert(*id, asked.clone());
        }
        Ok(reason(&known, instance, target, now, quiet))
    }
}

/// Pure: is the same answer under way, or too fresh to be given again?
fn reason(
    known: &BTreeMap<RemediationId, Asked>,
    instance: &InstanceName,
    target: &str,
    now: Timestamp,
    quiet: Duration,
) -> Option<String> {
    let same =
        |asked: &&Asked| &asked.instance == instance && asked.targets.iter().any(|known| known == target);
    let mut ended = None;
    for (id, asked) in known.iter().filter(|(_, asked)| same(asked)) {
        match asked.ended_at {
            None => return Some(format!("remediation {id} is under way for {target}")),
            Some(at) => ended = ended.max(Some((at, *id))),
        }
    }
    let (at, id) = ended.filter(|(at, _)| now < *at + span(quiet))?;
    let ago = now.duration_since(at).as_secs().max(0);
    Some(format!(
        "remediation {id} ended {ago} s ago for {target}; another may follow {} s after it",
        quiet.as_secs()
    ))
}

/// Every remediation that the log holds, and the newest waiting command of each shard.
async fn read(bus: &Bus) -> Result<BTreeMap<RemediationId, Asked>, BusError> {
    let mut known = BTreeMap::new();
    for shard in bus.topology().await?.shards() {
        for message in bus.read_log(shard, &subject::records_of(shard, "accepted")).await? {
            let Ok(accepted) = message.json::<Accepted>() else { continue };
            if !accepted.command.dry_run {
                known.insert(accepted.remediation_id, asked(&accepted.command, None));
            }
        }
        for message in bus.read_log(shard, &subject::records_of(shard, "ended")).await? {
            let Ok(ended) = message.json::<Ended>() else { continue };
            let at = message.published_at;
            if ended.trace.overall_status != OverallStatus::DryRun
                && let Some(asked) = known.get_mut(&ended.trace.remediation_id)
            {
                asked.ended_at = Some(at);
            }
        }
        if let Some(command) = waiting(bus, shard).await? {
            known.entry(command.command_id.into()).or_insert_with(|| asked(&command, None));
        }
    }
    Ok(known)
}

async fn waiting(bus: &Bus, shard: Shard) -> Result<Option<RemediationCommand>, BusError> {
    let last = bus.last_in(topology::COMMANDS, subject::commands_of(shard).as_str()).await?;
    Ok(last.and_then(|message| {
        let older = Older::nothing(made_up(), message.published_at);
        RemediationCommand::decode(&message.payload, &older).ok()
    }))
}

/// A command of ours always carries its own.
fn made_up() -> instance_contract::TraceId {
    instance_contract::TraceId::from_bytes([0; 16])
}

fn asked(command: &RemediationCommand, ended_at: Option<Timestamp>) -> Asked {
    Asked { instance: command.instance.clone(), targets: targets(command), ended_at }
}

fn span(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLOBALS: &str = "cpf [config] globals";
    const QUIET: Duration = Duration::from_mins(15);

    fn check(instance: &str, ended_at: Option<&str>, target: &str, told: Option<&str>) {
        let id: RemediationId = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let asked = Asked {
            instance: instance.parse().unwrap(),
            targets: vec![GLOBALS.to_owned()],
            ended_at: ended_at.map(|at| at.parse().unwrap()),
        };
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        let found = reason(&[(id, asked)].into(), &"PROD".parse().unwrap(), target, now, QUIET);
        let found = found.map(|text| text.replace(&id.to_string(), "ID"));
        assert_eq!(found.as_deref(), told);
    }

    #[test]
    fn one_fault_is_one_command_until_a_while_after_its_end() {
        check("PROD", None, GLOBALS, Some("remediation ID is under way for cpf [config] globals"));
        let text =
            "remediation ID ended 60 s ago for cpf [config] globals; another may follow 900 s after it";
        check("PROD", Some("2026-01-01T11:59:00Z"), GLOBALS, Some(text));
        check("PROD", Some("2026-01-01T11:44:59Z"), GLOBALS, None);
    }

    #[test]
    fn another_instance_or_another_target_is_another_fault() {
        check("OTHER", None, GLOBALS, None);
        check("PROD", None, "instance", None);
    }
}
