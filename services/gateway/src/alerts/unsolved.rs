//! An alert that is told again: has what was done about it not helped?

use instance_bus::topology;
use instance_contract::{Ended, OverallStatus, RemediationId, subject, subject::RecordKind};
use jiff::SignedDuration;

use crate::{Gateway, problem::Problem};

/// So long an alert may go on after a cure: rules wait, and look at the past minutes.
const GOES_ON: SignedDuration = SignedDuration::from_mins(10);

/// Why a person is called although there was a remediation; `None` while it runs, and where there is nothing to say.
pub(super) async fn why(gateway: &Gateway, id: RemediationId) -> Result<Option<String>, Problem> {
    for shard in gateway.bus.topology().await?.shards() {
        let ended = subject::record(shard, id, &RecordKind::Ended);
        let log = topology::remediations(shard);
        let Some(message) = gateway.bus.last_in(&log, ended.as_str()).await? else { continue };
        let since = gateway.clock.now().duration_since(message.published_at);
        return Ok(message.json::<Ended>().map_or_else(
            |_| Some(format!("nobody can read what became of its remediation {id}")),
            |ended| told(id, ended.trace.overall_status, ended.trace.reason.as_deref(), since),
        ));
    }
    Ok(None)
}

fn told(
    id: RemediationId,
    status: OverallStatus,
    reason: Option<&str>,
    since: SignedDuration,
) -> Option<String> {
    match status {
        OverallStatus::DryRun => None,
        OverallStatus::Success if since < GOES_ON => None,
        OverallStatus::Success => {
            Some(format!("its remediation {id} has succeeded, and the alert goes on all the same"))
        }
        status => {
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Some(format!("its remediation {id} ended as {}{reason}", status.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_not_helped_is_for_a_person() {
        let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8".parse().unwrap();
        let soon = SignedDuration::from_secs(30);
        assert_eq!(told(id, OverallStatus::Success, None, soon), None);
        assert_eq!(told(id, OverallStatus::DryRun, None, GOES_ON), None);
        assert!(told(id, OverallStatus::Success, None, GOES_ON).unwrap().contains("goes on"));
        let failed = told(id, OverallStatus::Refused, Some("policy says no"), soon).unwrap();
        assert!(failed.ends_with("ended as refused: policy says no"), "{failed}");
    }
}
