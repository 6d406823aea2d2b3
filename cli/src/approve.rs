//! `instance approve` and `instance deny`: a person's answer, bound to the changes that were shown.

use std::io::{self, Write as _};

use anyhow::{Result, bail};
use instance_bus::{Bus, Headers, PublishError};
use instance_contract::{
    ApprovalAnswered, ApprovalAsked, Digest, RemediationId, Shard, Verdict,
    subject::{self, RecordKind},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    exit::{Exit, Stop},
    online,
    output::{print, print_json, printable, when},
    session::{self, Session, can_ask},
    story::{self, Story},
};

pub const APPROVE_EXAMPLES: &str = "\
Examples:
  instance approve 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8
  instance approve 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --yes --note 'change 4711'";
pub const DENY_EXAMPLES: &str = "\
Examples:
  instance deny 6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8 --note 'not before the backup'";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remediation id or command id
    #[arg(value_parser = session::id)]
    id: Uuid,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who answers; by default the user of this shell
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Answer only if exactly these changes are asked for
    #[arg(long, value_name = "SHA256")]
    digest: Option<Digest>,
    /// Do not ask again
    #[arg(short, long)]
    yes: bool,
}

pub fn run(args: &Args, verdict: Verdict, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let story = story::find(&bus, args.id).await?;
        let Some((k, asked)) = story.open_question() else {
            return Err(nothing_asked(&story).into());
        };
        if let Some(expected) = args.digest.as_ref().filter(|expected| **expected != asked.digest) {
            let message =
                format!("other changes are asked for: their digest is {}, not {expected}", asked.digest);
            return Err(Stop::new(Exit::Refused, message).next("nothing was answered").into());
        }
        if let Some(why) = in_vain(&story, &asked, args, verdict) {
            return Err(Stop::new(Exit::Refused, printable(&why)).next("nothing was answered").into());
        }
        if !args.yes && !confirmed(&asked, verdict)? {
            session.note("nothing was answered");
            return Ok(Exit::Refused);
        }
        answer(&bus, &Question { id: story.id, shard: story.shard, number: k, asked }, args, verdict, session)
            .await
    })
}

/// What is to be answered, and where.
struct Question {
    id: RemediationId,
    shard: Shard,
    number: u32,
    asked: ApprovalAsked,
}

/// What whoever sits here has said yes to before the question was asked.
#[derive(Debug, Clone, Copy)]
pub struct Agreed<'a> {
    /// Of exactly these changes.
    pub digest: &'a Digest,
    /// Where it was said, for the record.
    pub note: &'a str,
}

/// Approves what was agreed to; where somebody was first or policy lets others approve only, that is told, and the
/// remediation waits for them.
pub async fn agree(bus: &Bus, id: RemediationId, agreed: Agreed<'_>, session: &Session) -> Result<()> {
    let story = story::find(bus, *id.as_uuid()).await?;
    let Some((number, open)) = story.open_question().filter(|(_, open)| open.digest == *agreed.digest) else {
        return Ok(());
    };
    let (note, digest) = (Some(agreed.note.to_owned()), Some(agreed.digest.clone()));
    let args = Args { id: *story.id.as_uuid(), note, by: None, digest, yes: true };
    if let Some(why) = in_vain(&story, &open, &args, Verdict::Granted) {
        session.note(printable(&why));
        return Ok(());
    }
    let question = Question { id: story.id, shard: story.shard, number, asked: open };
    match write(bus, &question, &args, Verdict::Granted).await {
        Err(error) if crate::exit::of(&error) == Exit::Refused => {
            session.note(crate::exit::told(&error));
            Ok(())
        }
        written => written.map(drop),
    }
}

/// Writes the answer, once.
async fn write(bus: &Bus, question: &Question, args: &Args, verdict: Verdict) -> Result<ApprovalAnswered> {
    let answered = ApprovalAnswered {
        schema: ApprovalAnswered::SCHEMA.to_owned(),
        trace_id: question.asked.trace_id.clone(),
        remediation_id: question.id,
        digest: question.asked.digest.clone(),
        verdict,
        by: by(args),
        at: online::now(),
        note: args.note.clone(),
    };
    let subject =
        subject::record(question.shard, question.id, &RecordKind::ApprovalAnswered(question.number));
    match bus.publish_once_confirmed(&subject, &answered, Headers::new()).await {
        Ok(_) => Ok(answered),
        Err(PublishError::Exists { .. }) => {
            Err(nothing_asked(&story::find(bus, *question.id.as_uuid()).await?).into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn answer(
    bus: &Bus,
    question: &Question,
    args: &Args,
    verdict: Verdict,
    session: &Session,
) -> Result<Exit> {
    let answered = write(bus, question, args, verdict).await?;
    if session.json() {
        print_json(&json!({
            "schema": "instance.cli.v1.approval", "remediation_id": question.id, "number": question.number,
            "verdict": verdict, "digest": answered.digest, "by": answered.by, "at": answered.at,
            "note": answered.note,
        }))?;
    } else {
        let word = word(verdict);
        print(format_args!("{word} by {} (changes {})", printable(&answered.by), answered.digest.short()))?;
    }
    Ok(Exit::Done)
}

/// Why the router would not take this answer for a yes. It is not written then: an approval is answered once.
fn in_vain(story: &Story, asked: &ApprovalAsked, args: &Args, verdict: Verdict) -> Option<String> {
    let by = by(args);
    let now = online::now();
    if now > asked.expires_at {
        return Some(format!(
            "the time for an answer was over at {}, and it is {}",
            when(asked.expires_at),
            when(now)
        ));
    }
    let policy = story.remediation()?.policy;
    (verdict == Verdict::Granted && !policy.lets_approve(&by))
        .then(|| format!("policy does not let {by} approve; it lists {}", policy.approvers.join(", ")))
}

fn by(args: &Args) -> String {
    args.by.clone().unwrap_or_else(online::operator)
}

/// Somebody was first, or nobody asked.
fn nothing_asked(story: &Story) -> Stop {
    let Some(before) = story.newest_answer() else {
        let phase = story.phase().as_str();
        let message = format!("remediation {} asks for no approval: it is {phase}", story.id);
        return Stop::new(Exit::NotFound, message);
    };
    let says = match before.says {
        Ok(says) => {
            let note = says.note.map(|note| format!(": {note}")).unwrap_or_default();
            format!("{} by {} at {}{note}", word(says.verdict), says.by, when(before.at))
        }
        Err(why) => format!("at {} with something that cannot be read: {why}", when(before.at)),
    };
    let text = format!("remediation {} was answered before: {says}", story.id);
    Stop::new(Exit::Refused, printable(&text)).next("the first answer counts; nothing was changed")
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Expired => "expired",
    }
}

/// Shows the changes and asks on the terminal.
fn confirmed(asked: &ApprovalAsked, verdict: Verdict) -> Result<bool> {
    if !can_ask() {
        let message = "cannot ask without a terminal";
        return Err(Stop::new(Exit::Usage, message).next("add --yes, best with --digest").into());
    }
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "{}", printable(&question(asked)))?;
    let verb = if verdict == Verdict::Granted { "Approve" } else { "Deny" };
    write!(stderr, "{verb} these changes? Type the name of the instance ({}): ", asked.instance)?;
    stderr.flush()?;
    let mut line = String::new();
    if io::stdin().read_line(&mut line)? == 0 {
        bail!("the terminal was closed before an answer");
    }
    Ok(line.trim() == asked.instance.as_str())
}

/// The changes, as a person has to judge them.
pub fn question(asked: &ApprovalAsked) -> String {
    let changes = asked
        .changes
        .iter()
        .map(|change| format!("  {}: {}: {} -> {}", change.step, change.target, change.before, change.after));
    let reasons = asked.reasons.iter().map(|(step, reason)| format!("  {step}: {reason}"));
    let head = format!(
        "instance {}, changes {}, answer until {}",
        asked.instance,
        asked.digest,
        when(asked.expires_at)
    );
    std::iter::once(head).chain(changes).chain(reasons).collect::<Vec<_>>().join("\n")
}
