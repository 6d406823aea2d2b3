//! The loop: step commands in, results out, questions answered, until a drain is asked for.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use instance_bus::{AlreadyServed, Bus, BusError, KillSwitch, Service};
use instance_chassis::{Context, TaskTracker, crash_point};
use instance_clock::Clock;
use instance_contract::{AgentKind, AskKind, InstanceName, subject};
use tokio::{runtime::Handle, sync::mpsc, time::Instant};

use crate::{
    KnowledgeError,
    agent::Agent,
    answer,
    crew::Crew,
    delivery,
    fence::{Fence, FenceError},
    last_failure::LastFailure,
    ledger::{Folder, Ledger, LedgerError},
    running::Running,
    self_guard::SelfGuard,
    settings::AgentSettings,
    steps::{Steps, Surroundings},
};

/// A server that was killed or a new leader is there before this; a step has 10 s at least.
const UNREADABLE_FOR: Duration = Duration::from_secs(20);
/// Between two looks at a switch that cannot be read.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Why an agent does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the settings name no instance that this agent serves")]
    NoInstances,
    #[error("another process uses the ledger in \"{folder}\"")]
    InUse { folder: String },
    #[error("could not open the folder \"{folder}\" of the ledger")]
    Folder { folder: String, source: io::Error },
    #[error("could not use the ledger in \"{folder}\"")]
    Ledger { folder: String, source: LedgerError },
    #[error("could not use the fence")]
    Fence(#[from] FenceError),
    #[error("could not take up the rows of the setting \"knowledge_dir\"")]
    Knowledge(#[from] KnowledgeError),
    #[error("could not register as the one that serves the instance")]
    Register(#[source] Box<AlreadyServed>),
    #[error("could not use the bus")]
    Bus(#[from] BusError),
    #[error("the ledger failed during a step; only a restart can tell what is on the disk")]
    LedgerFailed(#[source] LedgerError),
    #[error("a step ended in a panic")]
    Panicked,
}

/// What every delivery and question needs.
pub(crate) struct Desk<A> {
    pub steps: Steps<A>,
    pub bus: Bus,
    pub kind: AgentKind,
    pub host: instance_contract::HostName,
    pub running: Running,
    pub crew: Crew,
    /// Where a task tells that the process cannot go on.
    pub fatal: mpsc::UnboundedSender<AgentError>,
}

/// Runs an agent until it is asked to drain: the step in hand is finished, nothing new is taken.
pub async fn run<C>(
    context: Context<C>,
    agent: impl Agent,
    settings: AgentSettings,
) -> Result<(), AgentError> {
    #[cfg(feature = "sabotage")]
    let agent = crate::sabotage::Liar::from_environment(agent);
    let instances = agent.instances();
    if instances.is_empty() {
        return Err(AgentError::NoInstances);
    }
    let kind = agent.kind();
    let (ledger, fence) = open(&settings, &*context.clock, &instances)?;
    crash_point("agent.ledger-opened");
    let last_failure = LastFailure::of(&settings);
    last_failure.tell();
    for instance in &instances {
        let registered = context.bus.register_host(instance, kind, &context.host).await;
        registered.map_err(|error| AgentError::Register(Box::new(error)))?;
    }
    crash_point("agent.registered");
    let service = announce(&context, kind).await?;
    let surroundings = OnTheBus {
        kill_switch: context.bus.kill_switch().await?,
        clock: Arc::clone(&context.clock),
        runtime: Handle::current(),
    };
    let (fatal, fatalities) = mpsc::unbounded_channel();
    let desk = Arc::new(Desk {
        steps: Steps::new(agent, ledger, fence, Box::new(surroundings), context.host.clone())
            .guarded_by(SelfGuard::of(&context)),
        bus: context.bus.clone(),
        kind,
        host: context.host.clone(),
        running: Running::default(),
        crew: Crew::default(),
        fatal,
    });
    if let Some(warning) = SelfGuard::of(&context).unguarded(context.bus.servers()) {
        tracing::warn!("{warning}; name what carries it (docs/deployment.md)");
    }
    tracing::info!(agent = %kind, host = %context.host, instances = instances.len(), "serving");
    let ended = serve(&context, desk, service, fatalities).await;
    last_failure.leave(&ended);
    ended
}

async fn serve<C>(
    context: &Context<C>,
    desk: Arc<Desk<impl Agent>>,
    mut service: Service,
    mut fatalities: mpsc::UnboundedReceiver<AgentError>,
) -> Result<(), AgentError> {
    let mut deliveries = context.bus.steps(desk.kind, &context.host).await?;
    let in_hand = TaskTracker::new();
    let outcome = loop {
        tokio::select! {
            biased;
            Some(error) = fatalities.recv() => break Err(error),
            () = context.drain.requested() => break Ok(()),
            Some(request) = service.next() => {
                in_hand.spawn(answer::answer(Arc::clone(&desk), request));
            }
            Some(delivery) = deliveries.next() => match delivery {
                Ok(delivery) => {
                    in_hand.spawn(delivery::handle(Arc::clone(&desk), delivery));
                }
                Err(error) => tracing::warn!(%error, "no steps can be taken at the moment"),
            },
        }
    };
    drop((deliveries, service));
    in_hand.close();
    in_hand.wait().await;
    // A step in hand may have met its end during the drain.
    fatalities.close();
    outcome.and_then(|()| fatalities.try_recv().map_or(Ok(()), Err))
}

fn open(
    settings: &AgentSettings,
    clock: &dyn Clock,
    instances: &[InstanceName],
) -> Result<(Ledger, Fence), AgentError> {
    let folder = settings.state_dir.display().to_string();
    let disk = Folder::open(&settings.state_dir).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => AgentError::InUse { folder: folder.clone() },
        _ => AgentError::Folder { folder: folder.clone(), source },
    })?;
    let ledger = Ledger::open(disk, clock.now()).map_err(|source| AgentError::Ledger { folder, source })?;
    let mut fence = Fence::open(settings.fence_dir.clone())?;
    for (instance, token) in ledger.tokens().iter().filter(|(instance, _)| instances.contains(instance)) {
        fence.raise(instance, *token)?;
    }
    Ok((ledger, fence))
}

async fn announce<C>(context: &Context<C>, kind: AgentKind) -> Result<Service, BusError> {
    let metadata = HashMap::from([("host".to_owned(), context.host.to_string())]);
    let version = env!("CARGO_PKG_VERSION");
    let description = "carries out step commands on the instances of one host";
    let mut builder = context.bus.service(kind.as_str(), version, description, metadata);
    for ask in AskKind::ALL {
        let subject = subject::ask(kind, &context.host, ask);
        builder = builder.endpoint(ask.as_str(), &subject, contract_of(ask));
    }
    builder.start().await
}

/// What a question and its answer are, for whoever finds the endpoint.
fn contract_of(ask: AskKind) -> HashMap<String, String> {
    let (request, reply) = match ask {
        AskKind::Facts => ("FactsQuestion", "facts of the agent, as JSON"),
        AskKind::Plan => ("PlanQuestion", "a list of ForecastReply, one an action"),
        AskKind::Probe => ("StepCommand", "ToolResult"),
    };
    HashMap::from([("request".to_owned(), request.to_owned()), ("reply".to_owned(), reply.to_owned())])
}

/// The clock and the halt, asked from the threads that steps run on.
struct OnTheBus {
    kill_switch: KillSwitch,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

impl Surroundings for OnTheBus {
    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn is_halted(&self, longest: Duration) -> bool {
        !self.kill_switch.is_known_open() && self.runtime.block_on(is_halted(&self.kill_switch, longest))
    }
}

/// While the switch cannot be read nobody acts; that the server is away for a moment is no reason to give a plan up.
async fn is_halted(kill_switch: &KillSwitch, longest: Duration) -> bool {
    let patience = Instant::now() + UNREADABLE_FOR.min(longest);
    loop {
        match kill_switch.is_halted().await {
            Ok(halted) => return halted,
            Err(error) if error.is_unreachable() && Instant::now() < patience => {
                tracing::debug!(%error, "cannot tell yet whether all acting is halted");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether all acting is halted, so it is");
                return true;
            }
        }
    }
}
