//! One incident on a laptop's worth of world: bytes of a log in, commands out, by the core and the questions of the analyst;
//! and a judge who knows nothing of that code.

use std::collections::BTreeMap;

use instance_analyst::ask;
use instance_contract::{
    Action, AgentKind, Decision, HostName, InstanceName, IrisMessage, MessageId, Older, Origin,
    RemediationCommand, TraceId,
};
use instance_diagnosis::{Action as Wanted, Event, Gathered, Incidents, Limits, Record};
use instance_invent::{Label, Meaning, Said, Speaker, compose};
use instance_iris::messages_log::{Options, Reader};
use instance_llm::Model;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

/// Grave, about a license by its words, and of no row of the catalogue: the rules are unsure, and a model may choose what looks.
pub const COMPANY: &str = "11/21/26-09:58:00:000 (4711) 3 [Generic.Event] license daemon: unit table says 25, and 26 were handed out\n";

/// What is true of the world, before anything is done.
pub struct Scene {
    pub globals: String,
    pub pages: String,
    /// What `iris qlist` says: what a log alone says is not enough.
    pub health: &'static str,
}

/// What became of a log.
pub struct Outcome {
    pub commands: Vec<RemediationCommand>,
    pub decisions: Vec<Decision>,
}

impl Scene {
    pub fn new() -> Self {
        Self { globals: "0,0,256,0,0,0".to_owned(), pages: "0".to_owned(), health: "ok" }
    }

    pub fn with(mut self, globals: Option<&str>, pages: Option<&str>) -> Self {
        self.globals = globals.map_or(self.globals, str::to_owned);
        self.pages = pages.map_or(self.pages, str::to_owned);
        self
    }

    /// What the agents say when they are asked.
    fn answers(&self) -> Gathered {
        let os = json!({"memory": {"total_kb": 16_777_216, "huge_page_kb": 2048},
            "parameters": {"vm.nr_hugepages": {"value": self.pages}}});
        let config = json!({"globals": self.globals, "values": {"config": {"globals": self.globals}}});
        let restart = json!({"state": "running", "health": self.health, "users": {"sessions": 0, "open_transactions": 0}});
        let all = [(AgentKind::Os, os), (AgentKind::Config, config), (AgentKind::Restart, restart)];
        Gathered::Answers(BTreeMap::from(all))
    }

    /// Everything that the analyst makes of the entries, until two minutes have passed.
    pub async fn analyse(&self, entries: &[IrisMessage], model: Option<(&Model, &str)>) -> Outcome {
        let limits = Limits { dry_run_first: false, model: model.is_some(), ..Limits::default() };
        let (mut core, mut now) = (Incidents::new(limits), Timestamp::UNIX_EPOCH);
        let mut outcome = Outcome { commands: Vec::new(), decisions: Vec::new() };
        let mut pending = Vec::new();
        for entry in entries {
            pending.extend(core.handle(&Event::Entry(entry), now));
        }
        for _ in 0..60 {
            while let Some(action) = pending.pop() {
                match action {
                    Wanted::Gather { incident, .. } => {
                        let event = Event::Gathered { incident, gathered: self.answers() };
                        pending.extend(core.handle(&event, now));
                    }
                    Wanted::Consult { incident, consultation } => {
                        let (model, session) = model.expect("nobody is asked without a model");
                        let asked = ask(model.clone(), session.to_owned(), incident, *consultation).await;
                        let event = Event::Advised { incident: asked.0, advice: asked.1 };
                        pending.extend(core.handle(&event, now));
                    }
                    Wanted::Publish { command, .. } => outcome.commands.push(*command),
                    Wanted::Record { record, .. } => {
                        if let Record::Finding(finding) = *record {
                            outcome.decisions.push(finding.decision);
                        }
                    }
                }
            }
            now += SignedDuration::from_secs(2);
            pending.extend(core.handle(&Event::Tick, now));
        }
        outcome
    }

    /// What the commands do to the world, in words; panics when that is out of all bounds. Written by hand, from what the
    /// instance and its host look like: not one line of it asks catalogue, rules or model.
    pub fn effects(&self, outcome: &Outcome) -> Vec<String> {
        outcome.commands.iter().map(|command| self.effect(command)).collect()
    }

    fn effect(&self, command: &RemediationCommand) -> String {
        // As it comes through the router's door.
        let bytes = serde_json::to_vec(command).unwrap();
        let older = Older::nothing(command.trace_id.clone(), command.issued_at);
        assert_eq!(RemediationCommand::decode(&bytes, &older).as_ref(), Ok(command));
        assert_eq!(command.instance.as_str(), "PROD", "another instance is never touched");
        assert_eq!((command.requested_by.as_str(), command.dry_run), ("analyst", false));
        let steps = command.steps();
        assert!((1..=2).contains(&steps.len()), "{steps:?}");
        let effects = steps.iter().filter_map(|step| match &step.action {
            Action::SetCpf(set) => {
                assert_eq!((set.cpf_section.as_str(), set.parameter.as_str()), ("config", "globals"));
                assert!(within(&set.new_value, &self.globals), "{}", set.new_value);
                assert_eq!(set.current_value.as_deref(), Some(self.globals.as_str()));
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

/// The entries of a log, as the generator publishes them.
pub fn read(log: &[u8]) -> Vec<IrisMessage> {
    let mut reader = Reader::new(Options::bounded());
    let mut entries = reader.push(log);
    entries.extend(reader.finish());
    let (host, instance): (HostName, InstanceName) = ("db1".parse().unwrap(), "PROD".parse().unwrap());
    let speaker = Speaker { host: &host, instance: &instance, origin: Origin::Observed };
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

impl Outcome {
    /// Everything that is told, for a search.
    pub fn told(&self) -> String {
        let decisions: Vec<Value> =
            self.decisions.iter().map(|decision| serde_json::to_value(decision).unwrap()).collect();
        json!({"commands": self.commands, "decisions": decisions}).to_string()
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
