//! Low-cardinality forms of subjects, for span names and metrics.

/// The form of one of our subjects with every id replaced by its kind; `None` for a subject that is not ours (a reply).
pub(crate) fn of(subject: &str) -> Option<&'static str> {
    let tokens: Vec<&str> = subject.strip_prefix("instance.v1.")?.split('.').collect();
    Some(match tokens.as_slice() {
        ["error", ..] => "instance.v1.error.{host}.{instance}.{severity}",
        ["command", ..] => "instance.v1.command.{instance}",
        ["remediation", _, "owner", _] => "instance.v1.remediation.{shard}.owner.{epoch}",
        ["remediation", _, "notice", ..] => "instance.v1.remediation.{shard}.notice.{source}.{sequence}",
        ["remediation", _, _, "accepted"] => "instance.v1.remediation.{shard}.{id}.accepted",
        ["remediation", _, _, "planned"] => "instance.v1.remediation.{shard}.{id}.planned",
        ["remediation", _, _, "ended"] => "instance.v1.remediation.{shard}.{id}.ended",
        ["remediation", _, _, "step", ..] => {
            "instance.v1.remediation.{shard}.{id}.step.{agent}.{host}.{step}.{attempt}"
        }
        ["remediation", _, _, "result", ..] => "instance.v1.remediation.{shard}.{id}.result.{step}.{attempt}",
        ["remediation", _, _, "approval", _, "asked"] => {
            "instance.v1.remediation.{shard}.{id}.approval.{number}.asked"
        }
        ["remediation", _, _, "approval", _, "answered"] => {
            "instance.v1.remediation.{shard}.{id}.approval.{number}.answered"
        }
        ["incident", _, _, "opened"] => "instance.v1.incident.{instance}.{id}.opened",
        ["incident", _, _, "finding", _] => "instance.v1.incident.{instance}.{id}.finding.{number}",
        ["incident", _, _, "outcome", _] => "instance.v1.incident.{instance}.{id}.outcome.{command}",
        ["incident", _, _, "acknowledged"] => "instance.v1.incident.{instance}.{id}.acknowledged",
        ["incident", _, _, "closed"] => "instance.v1.incident.{instance}.{id}.closed",
        ["incident", ..] => "instance.v1.incident.{instance}.{id}.{record}",
        ["ask", _, _, "facts"] => "instance.v1.ask.{agent}.{host}.facts",
        ["ask", _, _, "plan"] => "instance.v1.ask.{agent}.{host}.plan",
        ["ask", _, _, "probe"] => "instance.v1.ask.{agent}.{host}.probe",
        ["generate"] => "instance.v1.generate",
        ["audit", ..] => "instance.v1.audit.{shard}",
        ["dead", ..] => "instance.v1.dead.{stream}",
        _ => "instance.v1.{other}",
    })
}

/// The remediation that one of our subjects is about.
pub(crate) fn remediation_in(subject: &str) -> Option<&str> {
    let (_shard, rest) = subject.strip_prefix("instance.v1.remediation.")?.split_once('.')?;
    let id = rest.split('.').next()?;
    (!matches!(id, "owner" | "notice")).then_some(id)
}

#[cfg(test)]
mod tests {
    use instance_contract::{
        AgentKind, AskKind, Attempt, HostName, NoticeSource, RemediationId, Shard, StepId, subject,
    };

    use super::*;

    #[test]
    fn no_id_is_left_in_a_template() {
        let host: HostName = "db1.example.com".parse().unwrap();
        let step: StepId = "config".parse().unwrap();
        let id: RemediationId = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let made = subject::step(Shard(3), id, AgentKind::Config, &host, &step, Attempt(2));
        assert_eq!(
            of(made.as_str()),
            Some("instance.v1.remediation.{shard}.{id}.step.{agent}.{host}.{step}.{attempt}")
        );
        let asked = subject::ask(AgentKind::Os, &host, AskKind::Facts);
        assert_eq!(of(asked.as_str()), Some("instance.v1.ask.{agent}.{host}.facts"));
        assert_eq!(remediation_in(made.as_str()), Some("6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8"));
        assert_eq!(remediation_in(subject::owner(Shard(3), 7).as_str()), None);
        let told = subject::notice(Shard(0), NoticeSource::DeadLetters, 42);
        assert_eq!(of(told.as_str()), Some("instance.v1.remediation.{shard}.notice.{source}.{sequence}"));
        assert_eq!(remediation_in(told.as_str()), None);
        assert_eq!(of("instance.v1.command.2.PROD"), of("instance.v1.command.PROD"));
    }

    #[test]
    fn what_is_not_ours_has_no_template() {
        for subject in ["_INBOX.abc.1", "$JS.ACK.S.C.1.2.3.4.5", "orders.new", ""] {
            assert_eq!(of(subject), None, "{subject}");
        }
    }
}
