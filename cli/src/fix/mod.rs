//! `instance fix`: one goal in words, from what is broken over plan and agreement to the proof.
//!
//! Invariant: what is asked for is an authored runbook of a condition that an open incident names, planned on fresh facts; the
//! words choose among those, and nothing else. Policy holds for it as for anybody's command.

mod goal; // Read this first: which trouble the words mean.
mod joined; // Where the analyst was first.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Result, bail};
use instance_bus::Bus;
use instance_contract::{
    AgentKind, AskKind, CommandId, Digest, InstanceName, OverallStatus, RemediationCommand, RemediationId,
    TimeoutSeconds, WorkflowTrace, subject,
};
use instance_diagnosis::{Answer, Verdict, answer, facts_of, verdict};
use instance_knowledge::Facts;
use serde_json::{Value, json};
use uuid::Uuid;

use self::goal::{NoGoal, Trouble, meant};
use crate::{
    approve::Agreed,
    exit::{Exit, Stop},
    halt,
    incident::{case, report},
    online, orchestrate,
    output::{print, print_json, printable},
    session::{Session, can_ask, typed},
    story::exit_of,
    trace,
};

const EXAMPLES: &str = "\
Examples:
  instance fix 'licensing' --instance PROD
  instance fix 'the database cache is too small' --instance PROD --dry-run
  instance fix 'journaling' --instance PROD --yes --json

Looks for what is open on the instance and has to do with the words, plans its runbook on fresh facts, shows the changes, asks, and
does it. Your yes counts as approval of exactly these changes where policy lets you approve.
Ends as `orchestrate --wait` does; with 8 when the words mean nothing that is broken, with 3 when a person has to do it, with 1 when
it was only looked at and a person has to do the rest.";

/// No case of the catalogue waits so long after the first entry, in seconds.
const LONG_AGO: i64 = 86_400;
/// What the record of an approval says of a yes that was said here.
const AGREED: &str = "agreed to in instance fix";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What is to be well again, in English
    #[arg(value_parser = worded)]
    goal: String,
    /// On this IRIS instance
    #[arg(long, value_name = "NAME")]
    instance: InstanceName,
    /// Tell what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask again
    #[arg(short, long)]
    yes: bool,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    online::run(session, async |bus| {
        let cases = case::all(&bus, Some(&args.instance)).await?;
        let found = meant(&args.goal, &args.instance, &cases).map_err(|why| no_goal(args, &why))?;
        for other in &found[1..] {
            session.note(format_args!("also open, and left alone: {} ({})", other.row.id, other.case.id));
        }
        let goal = Goal { bus: &bus, args, session, trouble: found[0] };
        goal.tell();
        match goal.under_way().await? {
            Some(story) => goal.join(&story).await,
            None => goal.reach().await,
        }
    })
}

/// One goal on its way.
struct Goal<'a> {
    bus: &'a Bus,
    args: &'a Args,
    session: &'a Session,
    trouble: Trouble<'a>,
}

impl Goal<'_> {
    /// What was found.
    fn tell(&self) {
        self.session.note(report::head(self.trouble.case));
        self.session.note(format_args!("  cause     {}", self.trouble.row.cause));
    }

    /// From facts to the proof.
    async fn reach(&self) -> Result<Exit> {
        let mut facts = facts_of(self.trouble.finding);
        self.look(&mut facts).await?;
        let runbook = match verdict(self.trouble.row, &facts, LONG_AGO) {
            Verdict::Runbook(runbook) => runbook,
            Verdict::Nothing(why) => {
                print(format_args!("nothing has to be done: {}", printable(&why)))?;
                return Ok(Exit::Done);
            }
            Verdict::Person(why) => return Err(self.for_a_person(&why).into()),
            Verdict::NotBefore(seconds) => {
                bail!("it is not decided before {seconds} s after its first entry")
            }
        };
        let answer = answer(runbook, &facts).map_err(|why| self.for_a_person(&why))?;
        self.session.note(format_args!("  does      {} (runbook {runbook})", answer.action));
        let dry = self.carry(&answer, true, None).await?;
        // Why there is none was told.
        let Some(dry) = dry else { return Ok(Exit::Refused) };
        if dry.overall_status != OverallStatus::DryRun {
            return self.report(&dry, true);
        }
        if self.args.dry_run {
            return self.report(&dry, answer.cures);
        }
        // What only reads needs nobody's agreement.
        if answer.cures && !self.agrees().await? {
            self.session.note("nothing was done");
            return Ok(Exit::Refused);
        }
        let agreed = dry.plan_digest.as_ref().filter(|_| answer.cures);
        match self.carry(&answer, false, agreed).await? {
            Some(ended) => self.report(&ended, answer.cures),
            None => Ok(Exit::Interrupted),
        }
    }

    /// What is true now, of every agent that serves the instance; what was known of the entries stays.
    async fn look(&self, facts: &mut Facts) -> Result<()> {
        for (agent, word) in
            [(AgentKind::Config, "config"), (AgentKind::Os, "os"), (AgentKind::Restart, "restart")]
        {
            let Some(host) = self.bus.host_of(&self.args.instance, agent).await? else { continue };
            let question = json!({ "instance": self.args.instance }).to_string();
            let subject = subject::ask(agent, &host, AskKind::Facts);
            let patience = self.session.global.timeout.unwrap_or(online::ANSWER);
            let reply = self.bus.request(&subject, question.into(), patience).await?;
            facts.learn_from_agent(word, &serde_json::from_slice::<Value>(&reply.payload)?);
        }
        Ok(())
    }

    /// Sends the work as a command, and waits for its end.
    async fn carry(
        &self,
        answer: &Answer,
        dry_run: bool,
        agreed: Option<&Digest>,
    ) -> Result<Option<WorkflowTrace>> {
        if !dry_run {
            halt::note(self.bus, self.session).await;
        }
        let finding = self.trouble.finding;
        let command = RemediationCommand {
            command_id: CommandId::from_uuid(Uuid::new_v4()),
            trace_id: finding.trace_id.clone(),
            instance: self.args.instance.clone(),
            error_type: answer.error_type,
            severity: finding.severity,
            recommended_action: answer.action.clone(),
            dry_run,
            timeout_seconds: TimeoutSeconds::DEFAULT,
            priority: answer.priority,
            requested_by: online::operator(),
            issued_at: online::now(),
            caused_by: finding.evidence.iter().take(1).map(|entry| entry.message_id).collect(),
            work: answer.work.clone(),
        };
        let told = orchestrate::tell_router(self.bus, &command, self.session).await?;
        if let Some(id) = told.remediation_id.filter(|_| orchestrate::is_accepted(&told)) {
            return self.follow(id, agreed).await;
        }
        orchestrate::show_answer(&told, self.session)?;
        Ok(None)
    }

    async fn follow(&self, id: RemediationId, agreed: Option<&Digest>) -> Result<Option<WorkflowTrace>> {
        let agreed = agreed.map(|digest| Agreed { digest, note: AGREED });
        orchestrate::follow::until_ended(self.bus, id, self.patience(), agreed, self.session).await
    }

    /// How long the end may take.
    fn patience(&self) -> Duration {
        self.session.global.timeout.unwrap_or(orchestrate::LONGEST_WAIT)
    }

    /// Asks on the terminal.
    async fn agrees(&self) -> Result<bool> {
        if self.args.yes {
            return Ok(true);
        }
        if !can_ask() {
            let stop = Stop::new(Exit::Usage, "cannot ask without a terminal");
            return Err(stop.next("add --yes; --dry-run shows what would change").into());
        }
        write!(io::stderr().lock(), "Do this on {}? [y/N] ", self.args.instance)?;
        let Some(line) = typed().await? else {
            return Err(Stop::new(Exit::Interrupted, "interrupted; nothing was done").into());
        };
        Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// What came of it, and what is left to do.
    fn report(&self, ended: &WorkflowTrace, cures: bool) -> Result<Exit> {
        let (status, id) = (ended.overall_status, self.trouble.case.id);
        let looked = status == OverallStatus::Success && !cures;
        if self.session.json() {
            let mut document = json!({
                "schema": "instance.cli.v1.fix", "goal": self.args.goal, "instance": self.args.instance,
                "incident_id": id, "condition": self.trouble.row.id, "title": self.trouble.row.title(),
                "cures": cures, "status": status, "trace": ended,
            });
            instance_redaction::redact_document(&mut document);
            print_json(&document)?;
        } else {
            trace::show(ended, self.session)?;
        }
        if looked {
            self.session.note(format_args!(
                "it was looked at; a person has to do the rest: {}",
                self.trouble.row.remedy
            ));
        }
        if status != OverallStatus::DryRun && self.trouble.case.waits() {
            self.session.note(format_args!("it waits in the inbox until: instance inbox ack {id}"));
        }
        Ok(if looked { Exit::Failure } else { exit_of(status) })
    }

    fn for_a_person(&self, why: &str) -> Stop {
        let text = format!("{} is for a person: {}", self.trouble.row.id, printable(why));
        Stop::new(Exit::Refused, text).next(printable(&self.trouble.row.remedy))
    }
}

fn no_goal(args: &Args, why: &NoGoal) -> Stop {
    let (goal, instance) = (printable(&args.goal), &args.instance);
    match why {
        NoGoal::Unknown => Stop::new(Exit::NotFound, format_args!("the catalogue knows nothing of \"{goal}\""))
            .next(format_args!("say it in other words; `instance incident --instance {instance}` lists what was found")),
        NoGoal::NotBroken(sought) => Stop::new(
            Exit::NotFound,
            format_args!("nothing open on {instance} has to do with \"{goal}\" (looked for {})", sought.join(", ")),
        )
        .next(format_args!("`instance investigate` tells what was seen, `instance incident --instance {instance}` what was found")),
        NoGoal::NothingBroken => Stop::new(Exit::NotFound, format_args!("nothing is open on {instance}"))
            .next("`instance doctor` tells whether the analyst runs"),
    }
}

fn worded(text: &str) -> Result<String, String> {
    match text.chars().count() {
        _ if !text.chars().any(char::is_alphanumeric) => Err("name a goal, in words".to_owned()),
        0..=500 => Ok(text.to_owned()),
        long => Err(format!("is {long} characters long; at most 500 are a goal")),
    }
}
