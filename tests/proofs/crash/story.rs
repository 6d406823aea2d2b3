//! One story: commands are given, a service dies or none does, everything ends, and the world is looked at.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use instance_contract::{CommandId, RemediationId, WorkflowTrace};

use crate::{
    lane::Lane,
    point::Service,
    processes::command,
    scenario::{Scenario, Wish},
    witness::World,
};

/// How long a remediation may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything went well, and the point was not on the way.
pub const NOT_REACHED: &str = "the point was not reached";

/// The variables of one life of a service.
pub type Life = Vec<(&'static str, String)>;

/// The lives of one service, in order: in each but the last one it dies.
pub struct Lives {
    pub service: Service,
    pub lives: Vec<Life>,
}

/// How long it took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From the first command to the last end.
    pub in_all: Duration,
    /// From the last death to the last end, with all the work that was left. Zero when everything had ended before.
    pub since_death: Duration,
}

/// Plays it. An error is what went wrong.
pub async fn play(lane: &mut Lane, scenario: Scenario, lives: Option<Lives>) -> Result<Took, String> {
    lane.follow(scenario.policy()).await?;
    let wishes = lane.wishes(scenario);
    if scenario == Scenario::Undo {
        // So that the undo is to remove one, whatever was kept here before.
        lane.forget_drop_in();
    }
    lane.show_processes(scenario == Scenario::Moved);
    lane.hold_stops(scenario == Scenario::Forced);
    // Somebody else writes the CPF all the time, so the last step fails.
    let draft = (scenario == Scenario::Moved).then(|| lane.held_draft());
    let before = lane.world();
    let mut endings = Vec::new();
    for wish in &wishes {
        endings.push(Ending::of(lane, wish).await?);
    }
    let mut lives = lives.map(|Lives { service, lives }| (service, lives.into_iter()));
    if let Some((service, lives)) = &mut lives {
        lane.start(*service, &lives.next().unwrap_or_default());
        // The router takes what was sent while it was away; an agent is asked, and should be there.
        if *service != Service::Router {
            lane.ready(*service).await?;
        }
    }
    let asked = Instant::now();
    let others = others(lane, scenario, &wishes).await?;
    for wish in &wishes {
        lane.publish(wish).await;
    }
    let left = async {
        let (mut died, mut at_death) = (asked, before.clone());
        if let Some((service, lives)) = &mut lives {
            for life in lives {
                if !outlived(lane, *service, &mut endings).await? {
                    return Err(NOT_REACHED.to_owned());
                }
                (died, at_death) = (Instant::now(), lane.world());
                lane.start(*service, &life);
            }
        }
        let mut ended = asked;
        for ending in &mut endings {
            ended = ended.max(ending.reached().await?);
        }
        Ok::<_, String>((died, at_death, ended))
    };
    let (left, others) = futures::join!(left, others);
    let (died, at_death, ended) = left?;
    others?;
    lane.at_rest().await?;
    if let Some(draft) = draft {
        lane.let_go(draft);
    }
    let mut in_order = Vec::new();
    for (wish, ending) in wishes.into_iter().zip(&endings) {
        in_order.push((ending.is_true(lane, scenario).await?, wish));
    }
    // Whose turn was last has the last word about the world.
    in_order.sort_by_key(|(sequence, _)| *sequence);
    let wishes: Vec<Wish> = in_order.into_iter().map(|(_, wish)| wish).collect();
    faultless(lane, scenario, &before, &at_death, &wishes)?;
    Ok(Took { in_all: ended - asked, since_death: ended.saturating_duration_since(died) })
}

/// Waits until the service has died; false when everything has ended without that.
async fn outlived(lane: &mut Lane, service: Service, endings: &mut [Ending]) -> Result<bool, String> {
    let all_over = async {
        for ending in endings {
            ending.reached().await?;
        }
        // It may be in the middle of what it does last.
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, String>(())
    };
    tokio::select! {
        died = lane.died(service) => died.map(|()| true),
        over = all_over => over.map(|()| false),
    }
}

fn faultless(
    lane: &Lane,
    scenario: Scenario,
    before: &World,
    at_death: &World,
    wishes: &[Wish],
) -> Result<(), String> {
    let now = lane.world_at_rest();
    let faults = match scenario {
        Scenario::Undo => now.faults_as_before(before, 1),
        Scenario::Unanswered | Scenario::Moved => now.faults_as_before(before, 0),
        _ => now.faults_as_wished(before, at_death, wishes),
    };
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// What others do meanwhile: a person agrees as soon as the question is there; whoever was about to write the CPF lets
/// go of it once a first attempt has failed.
async fn others(
    lane: &Lane,
    scenario: Scenario,
    wishes: &[Wish],
) -> Result<impl Future<Output = Result<(), String>> + use<>, String> {
    let (id, url, home) = (wishes[0].id, lane.url(), lane.path("home"));
    let cue = match scenario {
        _ if scenario.is_agreed_to() => "approval.*.asked",
        Scenario::Retried => "result.setting.1",
        _ => "never",
    };
    let subject = format!("instance.v1.remediation.*.{}.{cue}", remediation(&wishes[0]));
    let mut cues = lane.client.subscribe(subject).await.map_err(|error| error.to_string())?;
    lane.client.flush().await.map_err(|error| error.to_string())?;
    let draft = (scenario == Scenario::Retried).then(|| lane.held_draft());
    Ok(async move {
        if scenario != Scenario::Retried && !scenario.is_agreed_to() {
            return Ok(());
        }
        let missing = |_| format!("{scenario} without its cue");
        tokio::time::timeout(PATIENCE, cues.next()).await.map_err(missing)?;
        drop(draft);
        if scenario.is_agreed_to() {
            agree(id, &url, &home).await?;
        }
        // The stop fails then, and the person is asked again.
        if scenario == Scenario::Forced {
            tokio::time::timeout(PATIENCE, cues.next()).await.map_err(missing)?;
            agree(id, &url, &home).await?;
        }
        Ok(())
    })
}

async fn agree(id: uuid::Uuid, url: &str, home: &Path) -> Result<(), String> {
    let mut person = tokio::process::Command::from(command("instance"));
    person.env("HOME", home).env("USER", "proof").args(["--nats", url, "approve"]);
    let output = person.arg(id.to_string()).arg("--yes").kill_on_drop(true).output().await;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("could not agree: {}", String::from_utf8_lossy(&output.stderr)))
}

fn remediation(wish: &Wish) -> RemediationId {
    wish.id.to_string().parse::<CommandId>().unwrap().into()
}

/// The end of one remediation.
struct Ending {
    id: RemediationId,
    messages: async_nats::Subscriber,
    at: Option<Instant>,
}

impl Ending {
    async fn of(lane: &Lane, wish: &Wish) -> Result<Self, String> {
        let id = remediation(wish);
        let subject = format!("instance.v1.remediation.*.{id}.ended");
        let messages = lane.client.subscribe(subject).await.map_err(|error| error.to_string())?;
        lane.client.flush().await.map_err(|error| error.to_string())?;
        Ok(Self { id, messages, at: None })
    }

    /// Waits for it; when.
    async fn reached(&mut self) -> Result<Instant, String> {
        if let Some(at) = self.at {
            return Ok(at);
        }
        let message = tokio::time::timeout(PATIENCE, self.messages.next()).await;
        message.map_err(|_| format!("{} has not ended", self.id))?;
        Ok(*self.at.insert(Instant::now()))
    }

    /// One end, the right one; every step that was sent has its one result, and is told once.
    /// Where it stands in the log.
    async fn is_true(&self, lane: &Lane, scenario: Scenario) -> Result<u64, String> {
        let records = lane.bus.find_remediation(self.id).await.map_err(|error| error.to_string())?;
        let of = |part: &str| -> Vec<_> {
            records.iter().filter(|record| record.subject.contains(&format!("{}.{part}", self.id))).collect()
        };
        let (steps, results, ends) = (of("step."), of("result."), of("ended"));
        let [ended] = ends.as_slice() else { return Err(format!("{} ends", ends.len())) };
        if steps.len() != results.len() {
            return Err(format!("{} steps were sent, {} answered", steps.len(), results.len()));
        }
        let trace: WorkflowTrace = ended.json().map_err(|error| error.to_string())?;
        let status = trace.overall_status.as_str();
        let told: Vec<String> = trace
            .steps_executed
            .iter()
            .map(|step| format!("{} {} {:?}", step.step_id, step.status.as_str(), step.error_message))
            .collect();
        if status != scenario.ends() {
            return Err(format!("ended {status} ({:?}): {}", trace.reason, told.join(", ")));
        }
        let once: BTreeSet<_> = trace.steps_executed.iter().map(|step| step.step_id.to_string()).collect();
        if once.len() != told.len() {
            return Err(format!("a step is told twice: {}", told.join(", ")));
        }
        Ok(ended.sequence)
    }
}
