//! What can be changed: the CPF of each instance, its kernel values, whether it runs and on what. And who changed what, as
//! the resources saw it: the invariants count here, not at the agents.

use std::collections::BTreeMap;

use instance_contract::{Action, Change, InstanceName, RemediationId, StepId, Token};

/// The value of the CPF that commands change.
pub const GLOBALS: &str = "cpf [config] globals";
/// The value of the CPF that only others change.
pub const LOCKS: &str = "cpf [config] locksiz";
const END: &str = "[end]\n";
const AT_FIRST: &str = "at first";

/// One change, as the resource saw it.
#[derive(Debug, Clone)]
pub struct Written {
    pub at: u64,
    pub instance: InstanceName,
    pub target: String,
    pub replaced: String,
    pub wrote: String,
    /// `None`: somebody else.
    pub by: Option<By>,
}

#[derive(Debug, Clone)]
pub struct By {
    pub id: RemediationId,
    pub step: StepId,
    pub token: Token,
}

impl By {
    pub fn is_undo(&self) -> bool {
        self.step.as_str().ends_with("-undo")
    }
}

impl Written {
    pub fn is_restart(&self) -> bool {
        self.target.starts_with("instance ")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    is_up: bool,
    /// Counts the starts: a restart is told from none by it.
    run: u32,
    /// The CPF that it has started with.
    loaded: String,
}

#[derive(Default)]
pub struct Resources {
    cpfs: BTreeMap<InstanceName, String>,
    kernel: BTreeMap<(InstanceName, String), String>,
    running: BTreeMap<InstanceName, Running>,
    pub written: Vec<Written>,
    /// A CPF that somebody could have read in halves.
    pub torn: Option<String>,
}

/// What an action changes.
pub fn target(action: &Action, instance: &InstanceName) -> String {
    match action {
        Action::SetCpf(set) => format!("cpf [{}] {}", set.cpf_section, set.parameter),
        Action::ChangeCpf(change) => change.target(),
        Action::SetKernel(set) => format!("kernel {}", set.kernel_param),
        _ => format!("instance {instance}"),
    }
}

/// Does policy have a word for changes like this one?
pub fn is_dangerous(target: &str, wrote: &str) -> bool {
    target == "kernel vm.swappiness" && wrote.parse().is_ok_and(|value: u32| value >= 7)
}

/// The text of a CPF with another value.
pub fn with(text: &str, target: &str, value: &str) -> String {
    let name = target.rsplit(' ').next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.split_once('=') {
        Some((other, _)) if other == name => format!("{name}={value}\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn value_in(text: &str, target: &str) -> String {
    let name = target.rsplit(' ').next().unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().to_owned()
}

impl Resources {
    pub fn cpf(&self, instance: &InstanceName) -> String {
        let first = || format!("[config]\nglobals={AT_FIRST}\nlocksiz={AT_FIRST}\n{END}");
        self.cpfs.get(instance).cloned().unwrap_or_else(first)
    }

    /// What a target holds: a value, or `up` or `down`.
    pub fn value(&self, instance: &InstanceName, target: &str) -> String {
        if target.starts_with("cpf ") {
            return value_in(&self.cpf(instance), target);
        }
        if target.starts_with("instance ") {
            return if self.running(instance).is_up { "up" } else { "down" }.to_owned();
        }
        let key = (instance.clone(), target.to_owned());
        self.kernel.get(&key).cloned().unwrap_or_else(|| AT_FIRST.to_owned())
    }

    fn running(&self, instance: &InstanceName) -> Running {
        let first = || Running { is_up: true, run: 1, loaded: self.cpf(instance) };
        self.running.get(instance).cloned().unwrap_or_else(first)
    }

    /// By which run an instance can be told to have been started since.
    pub fn run(&self, instance: &InstanceName) -> String {
        self.running(instance).run.to_string()
    }

    /// Does it run on the value that stands in its CPF now?
    pub fn runs_on_its_cpf(&self, instance: &InstanceName) -> bool {
        let running = self.running(instance);
        running.is_up && value_in(&running.loaded, GLOBALS) == self.value(instance, GLOBALS)
    }

    /// Half a file where the whole one stood.
    pub fn tear(&mut self, instance: &InstanceName, half: String) {
        self.cpfs.insert(instance.clone(), half);
        self.look(instance);
    }

    /// The CPF as a whole, in one moment.
    pub fn replace_cpf(&mut self, instance: &InstanceName, text: String) {
        let running = self.running(instance);
        self.running.entry(instance.clone()).or_insert(running);
        self.cpfs.insert(instance.clone(), text);
        self.look(instance);
    }

    pub fn set_kernel(&mut self, instance: &InstanceName, target: &str, value: &str) {
        self.kernel.insert((instance.clone(), target.to_owned()), value.to_owned());
    }

    pub fn stop(&mut self, instance: &InstanceName) {
        let running = self.running(instance);
        self.running.insert(instance.clone(), Running { is_up: false, ..running });
    }

    pub fn start(&mut self, instance: &InstanceName) {
        let run = self.running(instance).run + 1;
        self.running.insert(instance.clone(), Running { is_up: true, run, loaded: self.cpf(instance) });
    }

    /// A reader who looks at any moment finds the whole file.
    fn look(&mut self, instance: &InstanceName) {
        let text = self.cpf(instance);
        let is_whole = text.ends_with(END) && !value_in(&text, LOCKS).is_empty();
        if !is_whole {
            self.torn.get_or_insert(format!("{instance} reads {text:?}"));
        }
    }

    /// Those of steps.
    pub fn effects(&self) -> impl Iterator<Item = (&Written, &By)> {
        self.written.iter().filter_map(|written| Some((written, written.by.as_ref()?)))
    }

    /// Has this change of a plan been made?
    pub fn is_made(&self, id: RemediationId, change: &Change) -> bool {
        self.effects().any(|(_, by)| by.id == id && by.step == change.step)
    }

    /// What a target held when so many changes had been made.
    pub fn value_after(&self, many: usize, instance: &InstanceName, target: &str) -> String {
        let of_target = |written: &&Written| written.instance == *instance && written.target == target;
        if let Some(last) = self.written[..many].iter().rfind(of_target) {
            return last.wrote.clone();
        }
        let next = self.written[many..].iter().find(of_target);
        next.map_or_else(|| self.value(instance, target), |next| next.replaced.clone())
    }
}
