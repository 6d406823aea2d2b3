//! `POST /v1/remediations/ID/approvals`: a person's answer, bound to the changes that were shown.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use instance_bus::{Headers, PublishError};
use instance_contract::{
    ApprovalAnswered, ApprovalAsked, Digest, Fault, Faults, Verdict,
    decode::{self, Fields},
    subject::{self, RecordKind},
};
use instance_story::Story;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Gateway, guard::Asker, problem::Problem, remediations};

/// An answer to what a person is asked.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalAnswer {
    /// Of the changes that were shown; any others are not agreed to.
    pub(crate) digest: Digest,
    pub(crate) verdict: Said,
    /// Why, for the record; at most 500 characters.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub(crate) note: Option<String>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    Granted,
    Denied,
}

pub(crate) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(Asker(by)): Extension<Asker>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let said = read(&body)
        .map_err(|faults| Problem::faulty("the answer breaks rules; nothing was answered", faults))?;
    let story = remediations::find(&gateway, &id).await?;
    let Some((number, asked)) = story.open_question() else {
        return Err(Problem::new(StatusCode::CONFLICT, nothing_asked(&story)));
    };
    may_be_answered(&gateway, &story, &asked, &said, &by)?;
    if gateway.dry_run && said.verdict == Said::Granted {
        return Err(Problem::dry_run());
    }
    let verdict = if said.verdict == Said::Granted { Verdict::Granted } else { Verdict::Denied };
    let answered = ApprovalAnswered {
        schema: ApprovalAnswered::SCHEMA.to_owned(),
        trace_id: asked.trace_id,
        remediation_id: story.id,
        digest: asked.digest,
        verdict,
        by,
        at: gateway.clock.now(),
        note: said.note,
    };
    let subject = subject::record(story.shard, story.id, &RecordKind::ApprovalAnswered(number));
    match gateway.bus.publish_once_confirmed(&subject, &answered, Headers::new()).await {
        Ok(_) => Ok((StatusCode::CREATED, Json(answered)).into_response()),
        Err(PublishError::Exists { .. }) => {
            let title = "somebody else has answered first, and the first answer counts";
            Err(Problem::new(StatusCode::CONFLICT, title))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why the router would not take this answer. It is not written then: an approval is answered once.
fn may_be_answered(
    gateway: &Gateway,
    story: &Story,
    asked: &ApprovalAsked,
    said: &ApprovalAnswer,
    by: &str,
) -> Result<(), Problem> {
    if said.digest != asked.digest {
        let rule = format!("must be {}, which names the changes that are asked for", asked.digest);
        let faults = Faults::one("digest", &said.digest, rule);
        let title = "other changes are asked for; nothing was answered";
        return Err(Problem { faults: faults.0, ..Problem::new(StatusCode::CONFLICT, title) });
    }
    if gateway.clock.now() > asked.expires_at {
        let title = format!("the time for an answer was over at {}; nothing was answered", asked.expires_at);
        return Err(Problem::new(StatusCode::CONFLICT, title));
    }
    let lets = story.remediation().is_none_or(|remediation| remediation.policy.lets_approve(by));
    if said.verdict == Said::Granted && !lets {
        let title = format!("policy does not let {by} approve; nothing was answered");
        return Err(Problem::new(StatusCode::FORBIDDEN, title));
    }
    Ok(())
}

fn nothing_asked(story: &Story) -> String {
    let phase = story.phase().as_str();
    match story.newest_answer() {
        Some(_) => format!("remediation {} was answered before, and is {phase}", story.id),
        None => format!("remediation {} asks for no approval: it is {phase}", story.id),
    }
}

/// Every fault at once.
fn read(body: &[u8]) -> Result<ApprovalAnswer, Faults> {
    let tree = decode::tree(body, decode::MAX_COMMAND_BYTES)?;
    let fields = Fields::root(&tree)?;
    let digest: Option<Digest> = fields.text("digest", fields.required("digest"));
    let verdict = fields.required("verdict").and_then(|node| match node.as_str() {
        Some("granted") => Some(Said::Granted),
        Some("denied") => Some(Said::Denied),
        _ => {
            fields.note(Fault::new("verdict", node, "must be granted or denied"));
            None
        }
    });
    let note = fields.string("note", fields.optional("note"), 0, 500);
    fields.close();
    fields.verdict()?;
    let complete = "every fault was noted above";
    Ok(ApprovalAnswer { digest: digest.expect(complete), verdict: verdict.expect(complete), note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_an_answer_is_told() {
        let told = read(br#"{"digest": "x", "verdict": "expired", "note": 7, "by": "root"}"#).unwrap_err();
        let fields: Vec<&str> = told.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["digest", "verdict", "note", "by"]);
        let body = format!(r#"{{"digest": "{}", "verdict": "denied"}}"#, "a".repeat(64));
        assert_eq!(read(body.as_bytes()).unwrap().verdict, Said::Denied);
    }
}
