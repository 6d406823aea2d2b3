//! What is allowed: catalogue ∩ policy ∩ evidence, before anybody is asked.

use std::collections::{BTreeMap, BTreeSet};

use instance_contract::{
    AgentKind, CommandId, ErrorType, HostName, InstanceName, IrisMessage, LicenseAction, LicenseCheck,
    MessageId, Priority, RemediationCommand, RestartInstance, SetCpf, SetKernel, Severity, SimpleWork,
    TimeoutSeconds, TraceId, Work,
};
use instance_knowledge::{
    Condition, HostMemory, Matcher, Remedy, Target, condition, propose, remedies, remedy_for,
};
use instance_llm::{Offer, Range};
use instance_planner::{Policy, forbidden};
use jiff::Timestamp;

/// A command names at most so many messages that led to it.
const MOST_CAUSES: usize = 64;

/// What is known of one incident.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The instance that the incident is of, as the tail of its log says; entries of others do not count.
    pub instance: &'a InstanceName,
    /// Oldest first.
    pub entries: &'a [IrisMessage],
    pub present: &'a Present,
}

/// What is true now, as the agents read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Values at the targets of remedies, by the words of [`Target`]: `cpf [config] globals`, `kernel vm.nr_hugepages`.
    pub values: BTreeMap<String, String>,
    pub memory: HostMemory,
    /// Who serves the instance; an agent that is missing cannot act.
    pub hosts: BTreeMap<AgentKind, HostName>,
}

/// One thing that may be done, complete but for numbers inside its ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub condition: &'static Condition,
    remedy: &'static Remedy,
    new_value: Option<String>,
    present: Option<String>,
    instance: InstanceName,
    severity: Severity,
    trace_id: TraceId,
    caused_by: Vec<MessageId>,
}

/// Everything that may be done about an incident, each with what a model sees of it, in the order of the catalogue.
pub fn allowed(evidence: &Evidence<'_>, policy: &Policy) -> Vec<Offer<Action>> {
    let rows = remedies().iter().filter_map(|remedy| Some((remedy, evidence.first(&remedy.condition)?)));
    let actions = rows.filter_map(|(remedy, entry)| Action::of(remedy, entry, evidence));
    actions.filter(|action| action.is_permitted(evidence, policy)).map(Action::offer).collect()
}

impl Evidence<'_> {
    pub(crate) fn entries(&self) -> impl Iterator<Item = &IrisMessage> {
        self.entries.iter().filter(|entry| entry.instance == *self.instance)
    }

    /// The conditions that the catalogue finds in the entries.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &'static Condition> {
        let mut seen = BTreeSet::new();
        let found: Vec<_> = self.entries().filter_map(condition_of).collect();
        found.into_iter().filter(move |condition| seen.insert(condition.id.clone()))
    }

    /// The first entry that means this condition.
    fn first(&self, wanted: &str) -> Option<&IrisMessage> {
        self.entries().find(|entry| condition_of(entry).is_some_and(|condition| condition.id == wanted))
    }
}

/// What the catalogue says of an entry: our own reading of its text, never a field that somebody else filled in.
pub(crate) fn condition_of(entry: &IrisMessage) -> Option<&'static Condition> {
    Matcher::in_force().classify(entry.message_text.as_str()).and_then(|row| condition(&row.id))
}

impl Action {
    /// `None`: a fact is missing, or what would be asked for is beyond a bound; a person's decision then.
    fn of(remedy: &'static Remedy, entry: &IrisMessage, evidence: &Evidence<'_>) -> Option<Self> {
        let present = evidence.present.values.get(&words(&remedy.target)).cloned();
        let text = entry.message_text.as_str();
        let change = propose(remedy, text, present.as_deref(), evidence.present.memory).ok()?;
        let causes = evidence
            .entries()
            .filter(|entry| condition_of(entry).is_some_and(|condition| condition.id == remedy.condition));
        Some(Self {
            condition: condition(&remedy.condition)?,
            remedy,
            new_value: change.new_value,
            present,
            instance: evidence.instance.clone(),
            severity: entry.severity,
            trace_id: entry.trace_id.clone(),
            caused_by: causes.map(|entry| entry.message_id).take(MOST_CAUSES).collect(),
        })
    }

    /// Does policy let anybody do this at all? What it wants asked or delayed is the router's business.
    fn is_permitted(&self, evidence: &Evidence<'_>, policy: &Policy) -> bool {
        let trial = CommandId::from_uuid(*self.caused_by[0].as_uuid());
        let command = self.command(&[], trial, "instance-analyst", Timestamp::UNIX_EPOCH);
        let served = |command: &RemediationCommand| {
            command.steps().iter().all(|step| evidence.present.hosts.contains_key(&step.tool.agent()))
        };
        command.is_some_and(|command| {
            served(&command) && forbidden(&command, &evidence.present.hosts, policy).is_empty()
        })
    }

    fn offer(self) -> Offer<Self> {
        let label = format!("{} ({})", self.remedy.recommended_action, self.remedy.condition);
        let ranges = self.third_pool().map(|(present, most)| Range {
            name: "megabytes of the 8 KB pool".to_owned(),
            // A quarter more is the least that is worth a restart.
            least: present.saturating_add(present / 4).min(most),
            most,
        });
        Offer { label, ranges: ranges.into_iter().collect(), action: self }
    }

    /// Megabytes of the third buffer pool now, and as the rules propose: the one value that leaves room for a choice.
    fn third_pool(&self) -> Option<(i64, i64)> {
        let Target::Cpf { section, parameter } = &self.remedy.target else { return None };
        if (section.as_str(), parameter.as_str()) != ("config", "globals") {
            return None;
        }
        let third = |pools: &str| pools.split(',').nth(2)?.parse::<i64>().ok();
        let (present, most) = (third(self.present.as_deref()?)?, third(self.new_value.as_deref()?)?);
        (0 < present && present < most).then_some((present, most))
    }

    /// The value to set, with the number that was chosen for it.
    fn value(&self, numbers: &[i64]) -> Option<String> {
        let proposed = self.new_value.clone()?;
        match (self.third_pool(), numbers) {
            (Some((present, most)), [chosen]) if (present..=most).contains(chosen) => {
                let mut pools: Vec<String> = proposed.split(',').map(str::to_owned).collect();
                *pools.get_mut(2)? = chosen.to_string();
                Some(pools.join(","))
            }
            _ => Some(proposed),
        }
    }

    /// Id of the runbook: that of its condition.
    pub fn runbook(&self) -> &str {
        &self.remedy.condition
    }

    /// Does it cure, or only look?
    pub const fn cures(&self) -> bool {
        self.remedy.cures
    }

    /// The command. `None` only when a row of the catalogue names something that commands do not know, which a test of the
    /// catalogue rules out.
    pub fn command(
        &self,
        numbers: &[i64],
        command_id: CommandId,
        requested_by: &str,
        issued_at: Timestamp,
    ) -> Option<RemediationCommand> {
        Some(RemediationCommand {
            command_id,
            trace_id: self.trace_id.clone(),
            instance: self.instance.clone(),
            error_type: self.remedy.error_type.as_str().parse::<ErrorType>().ok()?,
            severity: self.severity,
            recommended_action: self.remedy.recommended_action.clone(),
            dry_run: false,
            timeout_seconds: TimeoutSeconds::DEFAULT,
            priority: self.remedy.priority.as_str().parse::<Priority>().ok()?,
            requested_by: requested_by.to_owned(),
            issued_at,
            caused_by: self.caused_by.clone(),
            work: Work::Simple(self.work(numbers)?),
        })
    }

    fn work(&self, numbers: &[i64]) -> Option<SimpleWork> {
        Some(match &self.remedy.target {
            Target::Cpf { section, parameter } => SimpleWork::Config {
                set: SetCpf {
                    cpf_section: section.clone(),
                    parameter: parameter.clone(),
                    new_value: self.value(numbers)?,
                    // Whoever else changes it meanwhile is not overwritten.
                    current_value: self.present.clone(),
                },
                restart: self.remedy.restart,
            },
            Target::Kernel { name } => SimpleWork::Kernel {
                set: SetKernel {
                    kernel_param: name.clone(),
                    new_value: self.value(numbers)?,
                    min_value: None,
                    max_value: None,
                },
                restart: self.remedy.restart,
            },
            Target::License { action } => {
                let known =
                    [LicenseAction::CheckExpiry, LicenseAction::ValidateKey, LicenseAction::ReportUsage];
                let action = known.into_iter().find(|known| known.as_str() == action)?;
                SimpleWork::License(LicenseCheck { action })
            }
            Target::Instance => SimpleWork::Restart(RestartInstance::default()),
        })
    }
}

/// A target in words that [`Present::values`] uses.
fn words(target: &Target) -> String {
    match target {
        Target::Cpf { section, parameter } => format!("cpf [{section}] {parameter}"),
        Target::Kernel { name } => format!("kernel {name}"),
        Target::License { action } => format!("license {action}"),
        Target::Instance => "instance".to_owned(),
    }
}

/// Is there a row that answers the condition?
pub(crate) fn has_runbook(condition: &Condition) -> bool {
    remedy_for(&condition.id).is_some()
}
