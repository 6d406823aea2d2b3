//! What was done about an incident: plan, approval, steps, verification.

use anyhow::Result;
use instance_contract::Verdict;

use crate::{
    output::{print, printable, table, when},
    story::Story,
};

/// Prints one remediation as it stands in its log.
pub fn tell(story: &Story) -> Result<()> {
    let status =
        story.ended().map_or_else(|| story.phase().as_str(), |ended| ended.trace.overall_status.as_str());
    print(format_args!("remediation {}: {status}", story.id))?;
    let line = |name: &str, value: &str| print(format_args!("  {name:10}{}", printable(value)));
    if let Some(command) = story.command() {
        line("action", &command.recommended_action)?;
        line("asked by", &format!("{}, command {}", command.requested_by, command.command_id))?;
    }
    let remediation = story.remediation();
    for change in remediation.iter().filter_map(|it| it.plan.as_ref()).flat_map(|plan| plan.changes()) {
        line("plan", &format!("{}: {} -> {}", change.target, change.before, change.after))?;
    }
    for (number, asked) in remediation.iter().flat_map(|it| &it.asked) {
        let answer = remediation.as_ref().and_then(|it| it.answered.get(number));
        let said = match answer.map(|answer| &answer.says) {
            None => format!("asked, to be answered until {}", when(asked.expires_at)),
            Some(Ok(says)) => {
                let note = says.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
                format!("{} by {} at {}{note}", word(says.verdict), says.by, when(says.at))
            }
            Some(Err(why)) => format!("answered with something that cannot be read: {why}"),
        };
        line("approval", &format!("{said} (changes {})", asked.digest.short()))?;
    }
    let rows: Vec<[String; 6]> = story
        .steps()
        .into_iter()
        .map(|row| {
            let outline = row.outline.as_ref();
            let risk = outline.map(|outline| outline.risk.to_string()).unwrap_or_default();
            let why = outline.map(|outline| outline.reason.clone()).unwrap_or_default();
            [row.id.to_string(), row.word().to_owned(), row.agent, row.host, risk, why]
        })
        .collect();
    if !rows.is_empty() {
        print(table(["step", "status", "agent", "host", "risk", "why"], rows))?;
    }
    if let Some(verification) = story.ended().and_then(|ended| ended.trace.verification.as_ref()) {
        let held = if verification.held { "verified" } else { "not held" };
        verification.findings.iter().try_for_each(|finding| line(held, finding))?;
    }
    if let Some(reason) = story.ended().and_then(|ended| ended.trace.reason.as_ref()) {
        line("reason", reason)?;
    }
    story.oddities().iter().try_for_each(|oddity| line("odd", oddity))
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Expired => "expired",
    }
}
