//! Trouble that the analyst answers already: its remediation is joined, and no second one is asked for.

use std::time::Duration;

use anyhow::Result;
use instance_contract::{ApprovalAsked, CommandId, Decision, RemediationId};
use tokio::time::{Instant, sleep};

use super::{AGREED, Goal};
use crate::{
    approve::{self, Agreed},
    exit::{self, Exit, Stop},
    halt, online,
    orchestrate::follow::{Came, Following},
    status,
    story::{self, Story},
};

/// How often it is looked whether a router has taken a command.
const PAUSE: Duration = Duration::from_millis(100);

impl Goal<'_> {
    /// The remediation that answers it already.
    pub(super) async fn under_way(&self) -> Result<Option<Story>> {
        let Decision::Remediation { command_id, .. } = self.trouble.finding.decision else { return Ok(None) };
        if self.trouble.case.outcomes.iter().any(|outcome| outcome.command_id == command_id) {
            return Ok(None);
        }
        let story = self.taken(command_id).await?;
        Ok(story.ended().is_none().then_some(story))
    }

    /// The finding stands before its command does: one that no router has taken yet is under way all the same.
    async fn taken(&self, command_id: CommandId) -> Result<Story> {
        let patience = self.session.global.timeout.map_or(online::ANSWER, |limit| limit.min(online::ANSWER));
        let until = Instant::now() + patience;
        loop {
            match story::find(self.bus, *command_id.as_uuid()).await {
                Err(error) if exit::of(&error) == Exit::NotFound && Instant::now() < until => {
                    sleep(PAUSE).await;
                }
                Err(error) if exit::of(&error) == Exit::NotFound => {
                    let text =
                        format!("the analyst asks for command {command_id}, and no router has taken it yet");
                    let next = "nothing was done; `instance doctor` tells whether a router runs";
                    return Err(Stop::new(Exit::TimedOut, text).next(next).into());
                }
                found => return found,
            }
        }
    }

    /// Its question is answered here, whenever it comes, and its end awaited.
    pub(super) async fn join(&self, story: &Story) -> Result<Exit> {
        let id = story.id;
        self.session.note(format_args!("  under way remediation {id}, asked for by the analyst"));
        halt::note(self.bus, self.session).await;
        if self.args.dry_run {
            status::show(story, None, self.session)?;
            return Ok(Exit::Done);
        }
        let mut following = Following::start(self.bus, id, self.patience(), self.session).await?;
        loop {
            match following.next().await? {
                Came::Ended(ended) => return self.report(&ended, true),
                Came::Interrupted => return Ok(Exit::Interrupted),
                Came::Asked(asked) if self.is_open(id, &asked).await? => {
                    if !self.agrees().await? {
                        self.session
                            .note(format_args!("nothing was answered; it waits on: instance deny {id}"));
                        return Ok(Exit::Refused);
                    }
                    let agreed = Agreed { digest: &asked.digest, note: AGREED };
                    approve::agree(self.bus, id, agreed, self.session).await?;
                    following.wait_anew();
                }
                Came::Asked(_) => {}
            }
        }
    }

    /// Does exactly this question wait for an answer?
    async fn is_open(&self, id: RemediationId, asked: &ApprovalAsked) -> Result<bool> {
        let story = story::find(self.bus, *id.as_uuid()).await?;
        Ok(story.open_question().is_some_and(|(_, open)| open.digest == asked.digest))
    }
}
