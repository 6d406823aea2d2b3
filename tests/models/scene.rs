//! One incident on a laptop's worth of world: bytes of a log in, a decision out, by the code that services use; and a judge
//! who knows nothing of that code.

use std::collections::BTreeMap;

use instance_advice::{Advisor, Decision, Evidence, Present, decide};
use instance_contract::{
    Action, AgentKind, CommandId, HostName, InstanceName, IrisMessage, MessageId, Older, Origin,
    RemediationCommand, TraceId,
};
use instance_invent::{Label, Meaning, Said, Speaker, compose};
use instance_iris::messages_log::{Options, Reader};
use instance_knowledge::HostMemory;
use instance_planner::Policy;
use jiff::Timestamp;
use uuid::Uuid;

pub const GLOBALS: &str = "cpf [config] globals";
pub const PAGES: &str = "kernel vm.nr_hugepages";

/// Two true conditions at once, so that the rules are unsure and a model is asked.
pub const COMPANY: &str = "11/21/26-09:58:00:000 (2201) 3 [WriteDaemon.Event] Insufficient global buffers - WRTDMN in panic mode\n\
    11/21/26-09:58:01:000 (2202) 2 [Utility.Event] Failed to allocate 742MB shared memory using Huge Pages.  \
    Startup will retry with standard pages.\n";

/// What is true of the world, before anything is done.
pub struct Scene {
    pub instance: InstanceName,
    pub present: Present,
    pub policy: Policy,
}

impl Scene {
    pub fn new() -> Self {
        let host: HostName = "db1".parse().unwrap();
        let agents = [AgentKind::Config, AgentKind::Os, AgentKind::Restart];
        let values = [(GLOBALS, "0,0,256,0,0,0"), (PAGES, "100")];
        Self {
            instance: "PROD".parse().unwrap(),
            present: Present {
                values: values.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                memory: HostMemory { huge_page_kb: 2048, physical_mb: Some(16_384) },
                hosts: agents.map(|agent| (agent, host.clone())).into_iter().collect::<BTreeMap<_, _>>(),
            },
            policy: Policy::default(),
        }
    }

    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.present.values.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    /// The entries of a log, as the generator publishes them.
    pub fn read(&self, log: &[u8]) -> Vec<IrisMessage> {
        let mut reader = Reader::new(Options::bounded());
        let mut entries = reader.push(log);
        entries.extend(reader.finish());
        let host: HostName = "db1".parse().unwrap();
        let speaker = Speaker { host: &host, instance: &self.instance, origin: Origin::Observed };
        let message = |(place, entry)| {
            let said = Said::by(&entry);
            let meaning = Meaning::of(&said.text, said.severity, said.category.as_deref());
            let id = Uuid::from_u128(0x6f1d_0000_0000_4000_8000_0000_0000_0001 + place);
            let label = Label {
                message_id: MessageId::from_uuid(id),
                trace_id: TraceId::from_bytes([7; 16]),
                occurred_at: None,
                generated_at: Timestamp::UNIX_EPOCH,
            };
            compose(speaker, label, said, meaning)
        };
        (0_u128..).zip(entries).map(message).collect()
    }

    pub async fn decide(&self, entries: &[IrisMessage], advisor: Option<Advisor<'_>>) -> Decision {
        let evidence = Evidence { instance: &self.instance, entries, present: &self.present };
        decide(&evidence, &self.policy, advisor).await
    }

    /// The command of a decision, as it comes through the router's door.
    pub fn command(&self, decision: &Decision) -> Option<RemediationCommand> {
        let Decision::Act { action, numbers, .. } = decision else { return None };
        let id = CommandId::from_uuid(Uuid::from_u128(0x1d0b_0000_0000_4000_8000_0000_0000_0001));
        let command = action.command(numbers, id, "instance-analyst", Timestamp::UNIX_EPOCH).unwrap();
        let bytes = serde_json::to_vec(&command).unwrap();
        let older = Older::nothing(command.trace_id.clone(), command.issued_at);
        assert_eq!(RemediationCommand::decode(&bytes, &older).as_ref(), Ok(&command));
        Some(command)
    }

    /// What the decision does to the world, in words; panics when that is out of all bounds. Written by hand, from what the
    /// instance and its host look like: not one line of it asks catalogue, rules or model.
    pub fn effect(&self, decision: &Decision) -> String {
        let Some(command) = self.command(decision) else {
            return match decision {
                Decision::Person { why, .. } => format!("person {}", why.split(':').next().unwrap()),
                _ => "nothing".to_owned(),
            };
        };
        assert_eq!(command.instance.as_str(), "PROD", "another instance is never touched");
        assert_eq!((command.requested_by.as_str(), command.dry_run), ("instance-analyst", false));
        let steps = command.steps();
        assert!((1..=2).contains(&steps.len()), "{steps:?}");
        let effects = steps.iter().filter_map(|step| match &step.action {
            Action::SetCpf(set) => {
                assert_eq!((set.cpf_section.as_str(), set.parameter.as_str()), ("config", "globals"));
                assert!(within(&set.new_value, &self.present.values[GLOBALS]), "{}", set.new_value);
                assert_eq!(set.current_value.as_deref(), Some(self.present.values[GLOBALS].as_str()));
                Some(format!("globals={}", set.new_value))
            }
            Action::SetKernel(set) => {
                assert_eq!(set.kernel_param, "vm.nr_hugepages");
                // Three quarters of 16 GB.
                assert!((1..=6_144).contains(&set.new_value.parse::<u64>().unwrap()), "{}", set.new_value);
                Some(format!("hugepages={}", set.new_value))
            }
            Action::CheckLicense(check) => Some(format!("license {}", check.action.as_str())),
            Action::Restart(restart) => {
                assert!(!restart.force, "nobody asks for force");
                (steps.len() == 1).then(|| "restart".to_owned())
            }
            other => panic!("nobody asks for {other:?}"),
        });
        effects.collect::<Vec<_>>().join(" + ")
    }
}

/// The third pool grows, to at most twice its size and half of the memory; the others stay.
fn within(new: &str, present: &str) -> bool {
    let pools = |text: &str| text.split(',').map(|pool| pool.parse::<u64>().unwrap()).collect::<Vec<_>>();
    let (new, present) = (pools(new), pools(present));
    let grown = new[2] > present[2] && new[2] <= present[2] * 2 && new[2] <= 8_192;
    let others = |pools: &[u64]| [&pools[..2], &pools[3..]].concat();
    new.len() == 6 && grown && others(&new) == others(&present)
}
