//! Questions of the router and of people: facts, plan, probe. Answered beside the steps; they change nothing.

use std::sync::Arc;

use instance_bus::{Request, ServiceError};
use instance_chassis::crash_point;
use instance_contract::{AskKind, Failure, ForecastReply, InstanceName, PlanQuestion, StepCommand};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::Instrument as _;

use crate::{
    agent::Agent,
    delivery::blocking,
    run::{AgentError, Desk},
    running::Role,
};

/// The question behind [`AskKind::Facts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactsQuestion {
    pub instance: InstanceName,
}

pub async fn answer<A: Agent>(desk: Arc<Desk<A>>, request: Request) {
    let span = request.span();
    async {
        crash_point("agent.question-taken");
        let answered = reply(&desk, request.endpoint(), request.payload()).await;
        if let Err(error) = request.respond(answered.map(Into::into)).await {
            tracing::debug!(%error, "could not answer a question");
        }
        crash_point("agent.question-answered");
    }
    .instrument(span)
    .await;
}

async fn reply<A: Agent>(desk: &Arc<Desk<A>>, ask: &str, payload: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let kind = AskKind::ALL.into_iter().find(|kind| kind.as_str() == ask);
    match kind.ok_or_else(|| ServiceError::new(404, format!("no question is called \"{ask}\"")))? {
        AskKind::Facts => {
            let FactsQuestion { instance } = question(payload)?;
            serve(desk, &instance)?;
            let facts = blocking(desk, move |steps| Ok(steps.agent.facts(&instance))).await;
            write(&facts.map_err(|error| ours(desk, error))?.map_err(|failure| failed(&failure))?)
        }
        AskKind::Plan => {
            let PlanQuestion { instance, actions } = question(payload)?;
            serve(desk, &instance)?;
            let forecasts = blocking(desk, move |steps| {
                let forecast = |action| steps.agent.forecast(&instance, action);
                Ok(actions.iter().map(forecast).collect::<Vec<ForecastReply>>())
            });
            write(&forecasts.await.map_err(|error| ours(desk, error))?)
        }
        AskKind::Probe => {
            let order: StepCommand = question(payload)?;
            serve(desk, &order.instance)?;
            // No attempt begins while this is being found out.
            let Role::Lead(_asking) = desk.running.enter(&order.key()) else {
                return write(&desk.steps.running(&order));
            };
            let told = blocking(desk, move |steps| steps.tell(&order)).await;
            write(&told.map_err(|error| ours(desk, error))?)
        }
    }
}

fn question<T: DeserializeOwned>(payload: &[u8]) -> Result<T, ServiceError> {
    serde_json::from_slice(payload)
        .map_err(|error| ServiceError::new(400, format!("unreadable question: {error}")))
}

fn serve<A: Agent>(desk: &Desk<A>, instance: &InstanceName) -> Result<(), ServiceError> {
    if desk.steps.serves(instance) {
        return Ok(());
    }
    Err(ServiceError::new(404, format!("instance \"{instance}\" is not among the instances of this host")))
}

fn failed(failure: &Failure) -> ServiceError {
    let code = match failure {
        Failure::Transient { .. } => 503,
        _ => 500,
    };
    ServiceError::new(code, failure.cause().to_string())
}

/// The asker cannot help it, and the process cannot go on.
fn ours<A>(desk: &Desk<A>, error: AgentError) -> ServiceError {
    let told = ServiceError::new(500, error.to_string());
    let _ = desk.fatal.send(error);
    told
}

fn write(answer: &impl Serialize) -> Result<Vec<u8>, ServiceError> {
    serde_json::to_vec(answer).map_err(|error| ServiceError::new(500, format!("unwritable answer: {error}")))
}
