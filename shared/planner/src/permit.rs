//! What policy says to a command as a whole: who asks, for which instance, when, and how often.

use std::collections::BTreeMap;

use instance_contract::{
    Action, AgentKind, Facts, Fault, Forecast, HostName, InstanceName, Plan, PlannedStep, RemediationCommand,
};
use jiff::{SignedDuration, Timestamp};

use crate::policy::{ActionWord, Policy, is_forcing};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Every rule that the command breaks.
pub(crate) fn refusals(command: &RemediationCommand, facts: &Facts, policy: &Policy) -> Vec<Fault> {
    let words = words(command);
    let mut faults = forbidden(command, &facts.hosts, policy);
    // A forecast changes nothing, so it may be asked for at any time.
    if let Some(now) = facts.taken_at.filter(|_| !command.dry_run) {
        faults.extend(
            words
                .iter()
                .filter_map(|word| Some(Fault::new("issued_at", now, outside_windows(*word, now, policy)?))),
        );
        if words.contains(&ActionWord::Restart) {
            faults.extend(restarts(&facts.restarts, now, policy));
        }
    }
    faults
}

/// What policy refuses before any agent has said what the command would change. What passes here may still be refused for what
/// a forecast shows; what is refused here is refused by [`crate::plan`] too, with the same facts.
pub fn refused_at_sight(command: &RemediationCommand, facts: &Facts, policy: &Policy) -> Vec<Fault> {
    let mut faults = refusals(command, facts, policy);
    // One restart is drastic whatever its agent says.
    if command.requires_restart() && policy.drastic_steps == 0 {
        faults.push(Fault::new("steps", 1, "policy allows no restarting or dangerous step in a command"));
    }
    faults
}

/// Why a plan may not restart its instance now, after these restarts of the last 24 hours: what was planned before its turn
/// came is held to it once more.
pub fn too_soon(
    plan: &Plan,
    restarts_before: &[Timestamp],
    now: Timestamp,
    policy: &Policy,
) -> Option<Fault> {
    let is_restart = |step: &PlannedStep| matches!(step.action, Action::Restart(_));
    plan.steps.iter().any(is_restart).then(|| restarts(restarts_before, now, policy)).flatten()
}

/// The rules that need no facts, only who serves the instance: told at once, whether the agents answer or not.
pub fn forbidden(
    command: &RemediationCommand,
    hosts: &BTreeMap<AgentKind, HostName>,
    policy: &Policy,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(never(&command.instance, policy));
    faults.extend(carried(command, hosts, policy));
    faults.extend(force(command, policy));
    faults.extend(unknown_parameters(command, policy));
    faults.extend(words(command).into_iter().filter_map(|word| asker(command, word, policy)));
    faults
}

/// Each word once, in the order of the command.
fn words(command: &RemediationCommand) -> Vec<ActionWord> {
    let mut words = Vec::new();
    for step in command.steps() {
        if let Some(word) = ActionWord::of(&step.action)
            && !words.contains(&word)
        {
            words.push(word);
        }
    }
    words
}

/// The first layer that keeps Instance from acting on what carries it. The others: the engine where a step is written,
/// the agents' loop, and the effect of each agent.
fn carried(
    command: &RemediationCommand,
    hosts: &BTreeMap<AgentKind, HostName>,
    policy: &Policy,
) -> Option<Fault> {
    command.steps().iter().find_map(|step| {
        policy.carriers.forbid(&step.action, &command.instance, hosts.get(&step.tool.agent()))
    })
}

fn never(instance: &InstanceName, policy: &Policy) -> Option<Fault> {
    let rule = "policy says that this instance is never touched";
    policy.never.contains(instance).then(|| Fault::new("instance", instance, rule))
}

fn force(command: &RemediationCommand, policy: &Policy) -> Option<Fault> {
    let asked = command.steps().into_iter().find(|step| is_forcing(&step.action))?;
    let rule = "policy does not allow an instance to be forced down (allow_force)";
    (!policy.allow_force).then(|| Fault::new("force", asked.id, rule))
}

fn unknown_parameters(command: &RemediationCommand, policy: &Policy) -> Option<Fault> {
    let allows = |action: &Action| matches!(action, Action::ChangeCpf(change) if change.allow_unknown);
    let asked = command.steps().into_iter().find(|step| allows(&step.action))?;
    let rule =
        "policy does not allow CPF parameters that the catalogue does not know (allow_unknown_parameters)";
    (!policy.allow_unknown_parameters).then(|| Fault::new("allow_unknown", asked.id, rule))
}

/// A CPF that nobody can check as a whole, where policy wants such a file left alone.
pub(crate) fn unknown_version(place: &str, forecast: &Forecast, policy: &Policy) -> Option<Fault> {
    let version = forecast.unknown_version.as_ref().filter(|_| policy.refuse_unknown_version)?;
    let rule = format!(
        "policy leaves a CPF of version \"{version}\" alone, as nobody has described it (refuse_unknown_version)"
    );
    Some(Fault::new(place, &forecast.target, rule))
}

fn asker(command: &RemediationCommand, word: ActionWord, policy: &Policy) -> Option<Fault> {
    let allowed = policy.askers.is_empty()
        || policy.askers.iter().any(|asker| asker.is(&command.requested_by) && asker.actions.contains(&word));
    let rule = format!("policy does not let this sender ask for {}", word.as_str());
    (!allowed).then(|| Fault::new("requested_by", &command.requested_by, rule))
}

/// Why policy's time windows do not let an action begin at this instant. Asked of all that is still to be sent,
/// at every decision: an approval or a queue may have taken hours.
pub fn still_allowed(action: &Action, now: Timestamp, policy: &Policy) -> Result<(), String> {
    let why = ActionWord::of(action).and_then(|word| outside_windows(word, now, policy));
    why.map_or(Ok(()), Err)
}

fn outside_windows(word: ActionWord, now: Timestamp, policy: &Policy) -> Option<String> {
    let mut named = policy.windows.iter().filter(|window| window.names(word)).peekable();
    named.peek()?;
    let open = named.any(|window| window.is_open(now));
    (!open).then(|| format!("policy allows {} only inside its time windows", word.as_str()))
}

fn restarts(before: &[Timestamp], now: Timestamp, policy: &Policy) -> Option<Fault> {
    let recent = before.iter().filter(|at| now.duration_since(**at) < HOUR).count();
    let is_spent = u32::try_from(recent).unwrap_or(u32::MAX) >= policy.restarts_per_hour;
    if is_spent && !policy.mutant("planner.restarts-uncounted") {
        let rule = format!("policy allows {} restarts of an instance in an hour", policy.restarts_per_hour);
        return Some(Fault::new("requires_restart", format!("{recent} in the last hour"), rule));
    }
    if policy.minutes_between_restarts == 0 || policy.mutant("planner.restarts-unspaced") {
        return None;
    }
    let apart = SignedDuration::from_mins(i64::from(policy.minutes_between_restarts));
    let last = before.iter().max()?;
    let free_at = *last + apart;
    (now < free_at).then(|| {
        let rule = format!(
            "policy wants {} minutes between two restarts of an instance: not before {free_at}",
            policy.minutes_between_restarts
        );
        Fault::new("requires_restart", format!("last at {last}"), rule)
    })
}

/// How many of the steps stop the instance or are dangerous.
pub(crate) const fn is_drastic(action: &Action, dangerous: bool) -> bool {
    dangerous || matches!(action, Action::Restart(_))
}
