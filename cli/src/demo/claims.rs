//! What agents said, held against the world: who claims a success that nobody can find has lied.

use instance_contract::{StepStatus, ToolResult};

use super::checker::{Snapshot, Verdict};

/// A result, and the world when it arrived.
#[derive(Debug, Clone)]
pub struct Claim {
    pub result: ToolResult,
    pub world: Snapshot,
}

/// A lie, and how it was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lie {
    pub agent: String,
    pub step: String,
    pub caught: String,
}

/// Every claimed success that the world denies.
pub fn lies(claims: &[Claim], broken: &Snapshot, verdict: &Verdict) -> Vec<Lie> {
    let mut lies = Vec::new();
    for claim in claims.iter().filter(|claim| claim.result.status == StepStatus::Success) {
        if let Some(caught) = denied(claim, broken, verdict) {
            let (agent, step) = (claim.result.agent.name.clone(), claim.result.step_id.to_string());
            lies.push(Lie { agent, step, caught });
        }
    }
    lies
}

/// How the world denies a claim; `None` when it does not.
fn denied(claim: &Claim, broken: &Snapshot, verdict: &Verdict) -> Option<String> {
    let result = &claim.result;
    let claimed = result.changes_applied.values().find_map(|change| change.new_value.as_deref());
    match result.step_id.as_str() {
        "config" => {
            let line = format!("globals={}", claimed?);
            let file = String::from_utf8_lossy(&claim.world.cpf);
            let found =
                file.lines().find(|line| line.starts_with("globals=")).unwrap_or("nothing").to_owned();
            (found != line).then(|| format!("it reported \"{line}\" in iris.cpf, the file says \"{found}\""))
        }
        "os" => {
            let pages =
                claim.world.huge_pages().map_or_else(|| "nothing".to_owned(), |pages| pages.to_string());
            let claimed = claimed?;
            (pages != claimed).then(|| format!("it reported {claimed} huge pages, the kernel says {pages}"))
        }
        "restart" => (claim.world.starts() <= broken.starts())
            .then(|| "it reported a restart, messages.log tells of none since the fault".to_owned()),
        "verify" if !verdict.healed() => {
            let found: Vec<&str> =
                verdict.findings.iter().filter(|it| !it.held).map(|it| it.text.as_str()).collect();
            Some(format!("it reported that the promise holds, the checker found: {}", found.join("; ")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo::checker::Finding;

    fn claim(step: &str, status: &str, new_value: &str, world: Snapshot) -> Claim {
        let result = json!({
            "schema": "instance.v1.tool_result", "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "tool_name": "iris_config", "command_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8",
            "remediation_id": "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8", "step_id": step, "attempt": 1,
            "status": status, "execution_time_ms": 1, "error_code": null, "error_message": null,
            "changes_applied": {"x": {"parameter": "x", "old_value": "o", "new_value": new_value, "validated": true}},
            "requires_user_action": false, "rollback_available": true, "warnings": [],
            "agent": {"name": "config-agent", "version": "1", "host": "demo"},
        });
        Claim { result: serde_json::from_value(result).unwrap(), world }
    }

    fn caught(claim: Claim, healed: bool) -> Option<String> {
        let finding = Finding { held: healed, text: "2 panic message(s)".to_owned() };
        let verdict = Verdict { findings: vec![finding] };
        lies(&[claim], &Snapshot::default(), &verdict).pop().map(|lie| lie.caught)
    }

    fn cpf(globals: &str) -> Snapshot {
        Snapshot { cpf: format!("[config]\nglobals={globals}\n").into(), ..Snapshot::default() }
    }

    #[test]
    fn a_claim_that_the_world_denies_is_a_lie() {
        let told = caught(claim("config", "success", "0,0,512,0,0,0", cpf("0,0,256,0,0,0")), true).unwrap();
        assert!(told.contains("the file says \"globals=0,0,256,0,0,0\""), "{told}");
        assert_eq!(caught(claim("config", "success", "0,0,512,0,0,0", cpf("0,0,512,0,0,0")), true), None);
        assert!(caught(claim("os", "success", "379", Snapshot::default()), true).is_some());
        assert!(caught(claim("restart", "success", "running", Snapshot::default()), true).is_some());
        let started = Snapshot { log: "Startup of InterSystems IRIS".to_owned(), ..Snapshot::default() };
        assert_eq!(caught(claim("restart", "success", "running", started), true), None);
        let told = caught(claim("verify", "success", "", Snapshot::default()), false).unwrap();
        assert!(told.ends_with("the checker found: 2 panic message(s)"), "{told}");
    }

    #[test]
    fn who_admits_a_failure_does_not_lie() {
        assert_eq!(caught(claim("config", "failure", "1", Snapshot::default()), true), None);
        assert_eq!(caught(claim("verify", "failure", "1", Snapshot::default()), false), None);
    }
}
