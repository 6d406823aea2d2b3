//! From good settings to the end: connect, run, drain, and never longer than the grace period.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use instance_bus::{Bus, BusError, Resolved};
use instance_clock::Clock;
use instance_telemetry::error_chain;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::TaskTracker;

use crate::context::Context;
use crate::drain::Drain;
use crate::endpoint::{self, Endpoint};
use crate::exit::{Ending, StopSignal};
use crate::health;
use crate::notify::Supervisor;

/// Between two tries to reach the bus.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// Makes the service's context; the bus is the last thing it needs.
pub(crate) type Begin<C> = Box<dyn FnOnce(Bus) -> Context<C> + Send>;

/// What one run needs besides the service itself.
pub(crate) struct Run {
    pub name: &'static str,
    pub clock: Arc<dyn Clock>,
    pub bus: Resolved,
    pub wait_for_bus: bool,
    pub drain: Drain,
    pub tasks: TaskTracker,
    pub grace: Duration,
    pub supervisor: Supervisor,
    /// Where health and metrics are asked for, if anywhere.
    pub listen: Option<SocketAddr>,
    pub endpoint: Arc<Endpoint>,
}

/// Connects, runs the service, and waits for what it has spawned.
pub(crate) async fn live<C, F, Fut, E>(run: Run, begin: Begin<C>, service: F) -> Ending
where
    C: Send + 'static,
    F: FnOnce(Context<C>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Error + Send + Sync + 'static,
{
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = error_chain(&error), "could not listen for signals");
            return Ending::Failed;
        }
    };
    let listener = match run.listen {
        None => None,
        Some(address) => match endpoint::open(address).await {
            Ok(listener) => Some(listener),
            Err(error) => {
                tracing::error!(%address, %error, "could not listen for /livez, /readyz and /metrics");
                return Ending::Failed;
            }
        },
    };
    let (drain, grace, supervisor) = (run.drain.clone(), run.grace, run.supervisor.clone());
    health::listen(run.name, run.endpoint.readiness.clone());
    // Beside the work, on the same loop, and gone with it.
    let (watched, asked) = (supervisor.clone(), Arc::clone(&run.endpoint));
    let beside = async move {
        tokio::join!(watched.keep_watched(), async {
            if let Some(listener) = listener {
                match endpoint::serve(listener, asked).await {}
            }
        });
        std::future::pending::<()>().await;
    };
    let work = work(run, begin, service);
    let both = async move {
        tokio::select! {
            ending = work => ending,
            () = beside => Ending::Failed,
        }
    };
    supervise(both, &drain, signals, grace, &supervisor).await
}

async fn work<C, F, Fut, E>(run: Run, begin: Begin<C>, service: F) -> Ending
where
    F: FnOnce(Context<C>) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let bus = match connect(&run).await {
        Ok(Some(bus)) => bus,
        Ok(None) => return Ending::Clean,
        Err(ending) => return ending,
    };
    run.endpoint.readiness.connected(&bus);
    run.supervisor.ready();
    tracing::info!(server = bus.server_version(), servers = bus.servers(), "connected");
    let outcome = service(begin(bus.clone())).await;
    // Whoever is on the tracker learns that nothing follows, and is waited for.
    run.drain.request();
    run.tasks.close();
    run.tasks.wait().await;
    if let Err(error) = bus.drain().await {
        tracing::warn!(error = error_chain(&error), "could not drain the bus");
    }
    match outcome {
        Ok(()) => Ending::Clean,
        Err(error) => {
            tracing::error!(error = error_chain(&error), "{} failed", run.name);
            Ending::Failed
        }
    }
}

/// None when the drain came first.
async fn connect(run: &Run) -> Result<Option<Bus>, Ending> {
    loop {
        let attempt = Bus::connect(&run.bus, run.name, run.clock.clone());
        let Some(outcome) = run.drain.unless_draining(attempt).await else { return Ok(None) };
        let error = match outcome {
            Ok(bus) => return Ok(Some(bus)),
            Err(error) => error,
        };
        may_try_again(&error, run.wait_for_bus)?;
        if run.drain.unless_draining(tokio::time::sleep(PAUSE_BETWEEN_TRIES)).await.is_none() {
            return Ok(None);
        }
    }
}

fn may_try_again(error: &BusError, wait_for_bus: bool) -> Result<(), Ending> {
    let told = error_chain(error);
    match (error.is_unreachable(), wait_for_bus) {
        (true, true) => {
            let seconds = PAUSE_BETWEEN_TRIES.as_secs();
            tracing::warn!(error = told, "NATS does not answer; trying again in {seconds} s");
            Ok(())
        }
        (true, false) => {
            tracing::error!(error = told, "NATS does not answer");
            Err(Ending::BusUnreachable)
        }
        (false, _) => {
            tracing::error!(error = told, "could not use NATS");
            Err(Ending::Failed)
        }
    }
}

/// Lets `work` run to its end: the first signal asks for the drain, the second one or the end of the grace period
/// stops now. The grace period also counts when the work asked for the drain by itself.
async fn supervise(
    work: impl Future<Output = Ending> + Send + 'static,
    drain: &Drain,
    signals: impl StopSignals,
    grace: Duration,
    supervisor: &Supervisor,
) -> Ending {
    // On a thread of its own, so that work which never yields cannot keep us from seeing a signal.
    let mut work = TaskTracker::new().spawn(work);
    tokio::select! {
        biased;
        ended = &mut work => ended.unwrap_or_else(|error| {
            tracing::error!(%error, "the service panicked");
            Ending::Failed
        }),
        signal = cut_off(drain, signals, grace, supervisor) => {
            work.abort();
            Ending::CutOff(signal)
        }
    }
}

/// Returns when there is no more waiting, with the signal that began it.
async fn cut_off(
    drain: &Drain,
    mut signals: impl StopSignals,
    grace: Duration,
    supervisor: &Supervisor,
) -> Option<StopSignal> {
    let first = drain.unless_draining(signals.next()).await;
    drain.request();
    supervisor.stopping();
    let seconds = grace.as_secs();
    let asked_by = first.map_or_else(|| "the service itself".to_owned(), |signal| signal.to_string());
    tracing::info!(asked_by, grace_seconds = seconds, "draining");
    let second = tokio::time::timeout(grace, signals.next()).await;
    if let Ok(signal) = second {
        tracing::warn!(%signal, "stopping now: asked while draining");
        return first.or(Some(signal));
    }
    tracing::warn!(grace_seconds = seconds, "stopping now: the drain took longer than its grace period");
    first
}

/// Where signals come from; a test sends its own.
trait StopSignals: Send {
    fn next(&mut self) -> impl Future<Output = StopSignal> + Send;
}

/// SIGTERM and SIGINT of this process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

impl StopSignals for Signals {
    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests;
