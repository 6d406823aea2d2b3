//! Nothing acts on what carries Instance itself: asked where steps are written, whatever the planner said before. The
//! agents ask again.

use instance_contract::{OverallStatus, Plan};

use crate::{remediation::Remediation, trace::Ending};

/// The end of a plan that would act on what must be left alone. `None` when the way is free, and for what is begun
/// already: that is finished or taken back, and its agents have been asked.
pub(crate) fn objection(remediation: &Remediation, plan: &Plan) -> Option<Ending<'static>> {
    if remediation.is_begun() {
        return None;
    }
    let carriers = &remediation.policy.carriers;
    let forbidden = |step: &instance_contract::PlannedStep| {
        let fault = carriers.forbid(&step.action, remediation.instance(), Some(&step.host))?;
        Some(format!("step \"{}\": {fault}", step.id))
    };
    let reason = plan.steps.iter().find_map(forbidden)?;
    Some(Ending::refused(OverallStatus::Refused, reason))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use instance_contract::{Accepted, Carriers, Token};
    use instance_planner::Policy;
    use serde_json::json;

    use crate::{
        decide::{Decision, Situation, decide},
        remediation::{Record, Remediation},
    };

    /// A plan that no planner has looked at, for the kernel of db1 beneath PROD.
    fn planned(carriers: &[&str]) -> Vec<Decision> {
        let (digest, at) = ("a".repeat(64), "2026-11-21T08:00:00Z");
        let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
        let trace_id = "0123456789abcdef0123456789abcdef";
        let parameters = json!({"kernel_param": "vm.swappiness", "new_value": "5"});
        let command = json!({
            "schema": "instance.v1.remediation_command", "command_id": id, "trace_id": trace_id, "instance": "PROD",
            "error_type": "resource", "severity": 2, "recommended_action": "less swapping",
            "requires_restart": false, "execution_order": ["os_config"], "parameters": parameters,
            "requested_by": "test", "issued_at": at,
        });
        let mut action = parameters;
        action["kind"] = json!("set_kernel");
        let step = json!({
            "id": "os", "agent": "os-agent", "host": "db1", "action": action, "depends_on": [], "limit_seconds": 60,
            "retry": true, "risk": "high", "change": null, "reason": "asked for",
        });
        let accepted: Accepted = serde_json::from_value(json!({
            "schema": "instance.v1.accepted", "trace_id": trace_id, "remediation_id": id, "command": command,
            "command_digest": digest, "accepted_at": at, "deadline": "2026-11-21T09:00:00Z", "policy": "",
            "plan": {"steps": [step], "digest": digest, "approvals": [], "warnings": []},
            "facts": null, "traceparent": null,
        }))
        .unwrap();
        let carriers = Carriers(carriers.iter().map(ToString::to_string).collect());
        let policy = Policy { carriers, ..Policy::default() };
        let remediation = Remediation::under(Arc::new(policy), accepted, 1);
        let token = Token { epoch: 1, counter: 1 };
        decide(&remediation, &Situation { now: at.parse().unwrap(), token, halted: false })
    }

    #[test]
    fn a_plan_that_the_planner_let_through_is_refused_where_its_steps_are_written() {
        for carrier in ["PROD", "db1"] {
            let decisions = planned(&[carrier]);
            let [Decision::Write(_, record)] = &decisions[..] else { panic!("{decisions:?}") };
            let Record::Ended(ended) = &**record else { panic!("{record:?}") };
            let reason = ended.trace.reason.as_deref().unwrap();
            assert!(reason.contains("step \"os\"") && reason.contains("carries Instance itself"), "{reason}");
            assert_eq!(ended.trace.overall_status, instance_contract::OverallStatus::Refused);
        }
        let sent = planned(&["another"]);
        assert!(
            sent.iter().any(|decision| matches!(decision, Decision::Write(_, record)
                if matches!(**record, Record::Step(_)))),
            "{sent:?}"
        );
    }
}
