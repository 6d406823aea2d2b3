//! What is asked for while a process dies, and how it must end.

use std::fmt;

use instance_clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::processes::INSTANCE;

/// One way through the product. In the order in which they are preferred for a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A kernel value, a CPF value, a restart; all goes well.
    Forward,
    /// The same, but the instance does not come up on the new value, and all is taken back.
    Undo,
    /// Somebody else is about to write the CPF, so that its change is tried a second time.
    Retried,
    /// The process has died a first time in the middle, and comes back.
    Again,
    /// The processes of the instance get other CPUs and another share of them; the CPF cannot be changed after that, and
    /// all is taken back.
    Moved,
    /// A CPF value goes into the running instance by its own `iris merge`; nothing is restarted.
    Live,
    /// A person has to agree to the restart, and does.
    Approved,
    /// The instance does not stop, and is killed, as everybody has agreed to: a person too, whatever policy lets pass.
    Forced,
    /// Two commands at once for the instance: the second waits for the first.
    Queued,
    /// Nobody answers.
    Unanswered,
}

/// Lets things happen without waiting for a person, and proves silence at once.
pub const FREE: &str = "approve_restarts = false\nquiet_seconds = 0\n";
/// Fewer CPUs for an instance are dangerous, and need no yes here.
const BOLD: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 0\n";
/// What does not stop is killed. Nothing else needs a yes.
const FORCING: &str =
    "approve_restarts = false\napprove_dangerous = false\nallow_force = true\nquiet_seconds = 0\n";
/// A person has the shortest time there is.
const ASKED: &str = "approve_restarts = true\nquiet_seconds = 0\napproval_seconds = 10\n";

impl Scenario {
    pub const ALL: [Self; 10] = [
        Self::Forward,
        Self::Undo,
        Self::Retried,
        Self::Again,
        Self::Moved,
        Self::Live,
        Self::Approved,
        Self::Forced,
        Self::Queued,
        Self::Unanswered,
    ];

    /// The table `[router.policy]`, without what policy says about the frequency of restarts.
    pub const fn policy(self) -> &'static str {
        match self {
            Self::Approved | Self::Unanswered => ASKED,
            Self::Moved => BOLD,
            Self::Forced => FORCING,
            _ => FREE,
        }
    }

    /// `overall_status` of every remediation.
    pub const fn ends(self) -> &'static str {
        match self {
            Self::Undo | Self::Moved => "undone",
            Self::Unanswered => "expired",
            _ => "success",
        }
    }

    /// Does a person agree as soon as the question is there?
    pub const fn is_agreed_to(self) -> bool {
        matches!(self, Self::Approved | Self::Forced)
    }

    /// How many commands are given at once.
    pub const fn commands(self) -> usize {
        match self {
            Self::Queued => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
            Self::Retried => "retried",
            Self::Again => "again",
            Self::Moved => "moved",
            Self::Forced => "forced",
            Self::Live => "live",
            Self::Approved => "approved",
            Self::Queued => "queued",
            Self::Unanswered => "unanswered",
        })
    }
}

/// What one command wants the world to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub id: Uuid,
    /// Of `vm.swappiness`.
    pub kernel: u32,
    /// Of `globals` in the CPF, 8 KB buffers.
    pub globals_mb: u32,
    /// The running instance is to take a larger lock table instead of a restart.
    pub live: bool,
    /// The restart may kill an instance that does not stop.
    pub forced: bool,
    /// Where the processes of the instance are to run instead of a restart.
    pub moved: Option<Move>,
}

/// What the processes of the instance are to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// As the kernel writes them.
    pub cpus: String,
    pub weight: u32,
}

impl Wish {
    /// The value in the CPF.
    pub fn globals(&self) -> String {
        format!("0,0,{},0,0,0", self.globals_mb)
    }

    /// The lock table, in bytes.
    pub fn locks(&self) -> u32 {
        65_536 * (self.kernel + 1)
    }

    /// What the CPF holds in the end: name and value of the one line that changes.
    pub fn cpf_line(&self) -> (&'static str, String) {
        if self.live { ("locksiz", self.locks().to_string()) } else { ("globals", self.globals()) }
    }

    /// A RemediationCommand of two or three steps, as an outside system writes it.
    pub fn command(&self) -> Value {
        let os = |name: &str, value: Value| json!({"kernel_param": name, "new_value": value});
        let setting = json!({"cpf_section": "config", "parameter": "globals", "new_value": self.globals()});
        let restart = if self.forced {
            json!({"force": true, "users_seconds": 0, "stop_seconds": 2})
        } else {
            json!({})
        };
        let locks = json!({"live": true, "changes": [
            {"cpf_section": "config", "parameter": "locksiz", "new_value": self.locks()}]});
        let steps = match &self.moved {
            None if self.live => json!([
                {"id": "kernel", "tool": "os_config", "parameters": os("vm.swappiness", json!(self.kernel))},
                {"id": "locks", "tool": "iris_config", "parameters": locks, "depends_on": ["kernel"]},
            ]),
            None => json!([
                {"id": "kernel", "tool": "os_config", "parameters": os("vm.swappiness", json!(self.kernel))},
                {"id": "setting", "tool": "iris_config", "parameters": setting, "depends_on": ["kernel"]},
                {"id": "restart", "tool": "iris_restart", "parameters": restart, "depends_on": ["setting"]},
            ]),
            Some(Move { cpus, weight }) => json!([
                {"id": "cpus", "tool": "os_config", "parameters": os("process.cpu_affinity", json!(cpus))},
                {"id": "share", "tool": "os_config", "parameters": os("process.cpu_weight", json!(weight)),
                    "depends_on": ["cpus"]},
                {"id": "setting", "tool": "iris_config", "parameters": setting, "depends_on": ["share"],
                    "retry": false},
            ]),
        };
        json!({
            "schema": "instance.v1.remediation_command",
            "command_id": self.id,
            "trace_id": Uuid::new_v4().simple().to_string(),
            "instance": INSTANCE,
            "error_type": "config",
            "severity": 2,
            "recommended_action": "what the proof wants",
            "requires_restart": self.moved.is_none() && !self.live,
            "requested_by": "crash proof",
            "issued_at": SystemClock.now().to_string(),
            "timeout_seconds": 20,
            "steps": steps,
        })
    }
}
