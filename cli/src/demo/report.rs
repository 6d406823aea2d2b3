//! What the demo came to: for people, for programs, and as an exit code.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use instance_contract::{OverallStatus, ToolResult};
use serde_json::{Value, json};

use super::{
    Liar,
    checker::{Effects, Fault, Verdict},
    choice::Choice,
    claims::Lie,
    conduct::Run,
};
use crate::{
    exit::Exit,
    output::{print, print_json, printable, table},
    session::{Session, Tone},
    story::exit_of,
};

/// The router was killed on the way: was each effect done once?
#[derive(Debug, Clone, Copy)]
pub struct Midway {
    pub effects: Effects,
    /// False when there was nothing to kill it after.
    pub killed: bool,
}

/// Everything that is known at the end.
#[derive(Debug, Clone)]
pub struct Report {
    pub choice: Choice,
    pub sabotage: Option<Liar>,
    pub midway: Option<Midway>,
    pub run: Run,
    pub differences: Vec<String>,
    pub verdict: Verdict,
    pub lies: Vec<Lie>,
    pub folder: PathBuf,
    pub backups: Vec<PathBuf>,
    pub messages_log: PathBuf,
    /// Service, most memory at once in KB, number of starts.
    pub memory: Vec<(&'static str, u64, u32)>,
    pub wall: Duration,
}

impl Report {
    /// Healed by the trace and by the checker, in one trace, by nobody who lied.
    pub fn exit(&self) -> Exit {
        let proper = self.is_one_trace()
            && self.lies.is_empty()
            && self.sabotage.is_none()
            && self.midway.is_none_or(|midway| midway.is_done_once(self.choice.fault));
        match self.run.trace.overall_status {
            OverallStatus::Success if !self.verdict.healed() => Exit::NotVerified,
            OverallStatus::Success if proper => Exit::Done,
            OverallStatus::Success | OverallStatus::DryRun => Exit::Failure,
            other => exit_of(other),
        }
    }

    fn is_one_trace(&self) -> bool {
        self.run.traces.len() == 1
    }

    /// The whole run in one sentence.
    fn conclusion(&self) -> String {
        let status = self.run.trace.overall_status;
        let liars: Vec<&str> = self.lies.iter().map(|lie| lie.agent.as_str()).collect();
        match (status, self.exit()) {
            (_, Exit::Done) => {
                "healed, and proved by a checker that knows nothing of the services".to_owned()
            }
            (OverallStatus::Success, Exit::NotVerified) => {
                "NOT healed: the trace says success, and the instance is still broken".to_owned()
            }
            (OverallStatus::Success, _) if !self.is_one_trace() => {
                "healed, but told in more than one trace".to_owned()
            }
            (OverallStatus::Success, _) if !liars.is_empty() => {
                format!("healed in spite of {}", liars.join(", "))
            }
            (OverallStatus::Success, _) if self.sabotage.is_some() => {
                "healed, so the sabotage did nothing".to_owned()
            }
            (OverallStatus::Success, _) => "healed, but not every effect was done once".to_owned(),
            (OverallStatus::Undone, _) => {
                "NOT healed: a step failed, and everything done was taken back".to_owned()
            }
            (status, _) => format!("NOT healed: the remediation ended with {}", status.as_str()),
        }
    }

    pub fn print(&self, session: &Session) -> Result<()> {
        if session.json() {
            return print_json(&self.document());
        }
        print(self.text(session))
    }

    /// `report.json` and `trace.json`, for whoever comes later.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (name, document) in [("report.json", self.document()), ("trace.json", json!(self.run.trace))] {
            let path = folder.join(name);
            let text = serde_json::to_vec_pretty(&document)?;
            fs::write(&path, text).with_context(|| format!("could not write \"{}\"", path.display()))?;
        }
        Ok(())
    }

    fn text(&self, session: &Session) -> String {
        let rows = self.run.trace.steps_executed.iter().map(row);
        let mut lines =
            vec![String::new(), table(["step", "agent", "status", "ms", "change"], rows), String::new()];
        lines.push("what changed, to the byte:".to_owned());
        lines.extend(self.differences.iter().map(|line| format!("  {}", printable(line))));
        lines.push("the checker looked by itself:".to_owned());
        for finding in &self.verdict.findings {
            let (tone, word) = if finding.held { (Tone::Good, "held  ") } else { (Tone::Bad, "FAILED") };
            lines.push(format!("  {} {}", session.paint(tone, word), printable(&finding.text)));
        }
        lines.extend(self.midway.map(|midway| midway.text(self.choice.fault)));
        lines.extend(self.lies.iter().map(|lie| {
            session.paint(
                Tone::Bad,
                &format!("{} lied in step {}: {}", lie.agent, lie.step, printable(&lie.caught)),
            )
        }));
        lines.push(String::new());
        lines.extend(self.places());
        let tone = if self.exit() == Exit::Done { Tone::Good } else { Tone::Bad };
        lines.push(String::new());
        lines.push(session.paint(tone, &format!("{} ({:.1} s)", self.conclusion(), self.wall.as_secs_f64())));
        lines.join("\n")
    }

    /// Ids and files.
    fn places(&self) -> Vec<String> {
        let traces: Vec<&str> = self.run.traces.keys().map(String::as_str).collect();
        let seen: usize = self.run.traces.values().map(std::collections::BTreeSet::len).sum();
        let memory: Vec<String> = self
            .memory
            .iter()
            .map(|(name, kb, _)| {
                format!("{name} {:.1}", f64::from(u32::try_from(*kb).unwrap_or(u32::MAX)) / 1024.0)
            })
            .collect();
        let mut lines = vec![
            format!("trace        {} (the same in {seen} kinds of messages and headers)", traces.join(", ")),
            format!("remediation  {}", self.run.trace.remediation_id),
            format!("log          {}", self.messages_log.display()),
        ];
        if !self.is_one_trace() {
            lines.extend(self.run.traces.iter().map(|(id, seen)| {
                let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
                format!("  {id}: {}", seen.join(", "))
            }));
        }
        lines.extend(self.backups.iter().map(|path| format!("backup       {}", path.display())));
        lines.push(format!(
            "run folder   {} (trace.json, report.json, config/, logs/)",
            self.folder.display()
        ));
        lines.push(format!("peak memory  {} MB", memory.join(", ")));
        lines
    }

    fn document(&self) -> Value {
        let findings: Vec<Value> =
            self.verdict.findings.iter().map(|it| json!({"held": it.held, "text": it.text})).collect();
        let lies: Vec<Value> = self
            .lies
            .iter()
            .map(|lie| json!({"agent": lie.agent, "step": lie.step, "caught": lie.caught}))
            .collect();
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|(name, kb, starts)| json!({"service": name, "peak_kb": kb, "starts": starts}))
            .collect();
        json!({
            "schema": "instance.cli.v1.demo", "seed": self.choice.seed, "condition": self.choice.fault.condition(),
            "story": self.choice.story(), "healed": self.verdict.healed(), "exit_code": self.exit() as u8,
            "conclusion": self.conclusion(), "overall_status": self.run.trace.overall_status,
            "trace_id": self.run.trace.trace_id, "traces": self.run.traces,
            "remediation_id": self.run.trace.remediation_id, "differences": self.differences,
            "findings": findings, "lies": lies, "midway": self.midway.map(|it| it.document(self.choice.fault)),
            "folder": self.folder, "messages_log": self.messages_log, "backups": self.backups, "memory": memory,
            "wall_ms": u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl Midway {
    /// Counted at the things themselves: each effect once, and no other.
    pub fn is_done_once(self, fault: Fault) -> bool {
        let expected = match fault {
            Fault::Globals => Effects { backups: 1, cpf_lines: 1, starts: 1, kernel_writes: 0 },
            Fault::HugePages => Effects { backups: 0, cpf_lines: 0, starts: 1, kernel_writes: 1 },
            Fault::WriteDaemon => Effects { backups: 0, cpf_lines: 0, starts: 1, kernel_writes: 0 },
        };
        self.killed && self.effects == expected
    }

    fn text(self, fault: Fault) -> String {
        let Effects { backups, cpf_lines, starts, kernel_writes } = self.effects;
        let once = if self.is_done_once(fault) {
            "each effect was done once"
        } else {
            "NOT each effect was done once"
        };
        format!(
            "the router was killed midway, and {once}: {backups} backup(s) and {cpf_lines} changed line(s) of the \
             CPF, {kernel_writes} write(s) of vm.nr_hugepages, {starts} start(s)"
        )
    }

    fn document(self, fault: Fault) -> Value {
        json!({
            "router_killed": self.killed, "done_once": self.is_done_once(fault), "backups": self.effects.backups,
            "cpf_lines": self.effects.cpf_lines, "starts": self.effects.starts,
            "kernel_writes": self.effects.kernel_writes,
        })
    }
}

fn row(result: &ToolResult) -> [String; 5] {
    let change = |(target, change): (&String, &instance_contract::AppliedChange)| {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let unread = if change.validated { "" } else { " (not read back)" };
        format!("{target}: {} -> {}{unread}", value(&change.old_value), value(&change.new_value))
    };
    let measured = |target: &str| ["stop_ms", "start_ms", "ready_ms"].contains(&target);
    let mut changes: Vec<String> =
        result.changes_applied.iter().filter(|(target, _)| !measured(target)).map(change).collect();
    changes.extend(result.error_message.clone());
    [
        result.step_id.to_string(),
        result.agent.name.clone(),
        result.status.as_str().to_owned(),
        result.execution_time_ms.to_string(),
        changes.join("; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_must_have_been_done_once_and_no_other() {
        let once = Effects { backups: 1, cpf_lines: 1, starts: 1, kernel_writes: 0 };
        let midway = |effects, killed| Midway { effects, killed }.is_done_once(Fault::Globals);
        assert!(midway(once, true));
        assert!(!midway(once, false), "nothing was killed, so nothing is shown");
        assert!(!midway(Effects { starts: 2, ..once }, true));
        assert!(!midway(Effects { backups: 2, ..once }, true));
        assert!(!midway(Effects { kernel_writes: 1, ..once }, true));
    }
}
