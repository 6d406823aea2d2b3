//! What is true now, asked of the agents that serve an instance.

use std::{collections::BTreeMap, time::Duration};

use instance_bus::Bus;
use instance_chassis::error_chain;
use instance_contract::{AgentKind, AskKind, IncidentId, InstanceName, subject};
use instance_diagnosis::{Gathered, Need};
use serde_json::{Value, json};

/// An agent reads a file and answers; one that takes longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks each agent that is needed.
pub(crate) async fn gather(
    bus: Bus,
    incident: IncidentId,
    instance: InstanceName,
    needs: Vec<Need>,
) -> (IncidentId, Gathered) {
    let mut answers = BTreeMap::new();
    for need in needs {
        match ask(&bus, &instance, need.agent).await {
            Ok(Some(answer)) => {
                answers.insert(need.agent, answer);
            }
            Ok(None) if need.required => return (incident, Gathered::NotServed(need.agent.to_string())),
            Ok(None) => {}
            Err(why) => {
                return (incident, Gathered::Silent(format!("the {} says nothing: {why}", need.agent)));
            }
        }
    }
    (incident, Gathered::Answers(answers))
}

/// `None`: nobody serves the instance with that agent.
async fn ask(bus: &Bus, instance: &InstanceName, agent: AgentKind) -> Result<Option<Value>, String> {
    let Some(host) = bus.host_of(instance, agent).await.map_err(|error| error_chain(&error))? else {
        return Ok(None);
    };
    let question = json!({ "instance": instance }).to_string();
    let subject = subject::ask(agent, &host, AskKind::Facts);
    let reply = bus.request(&subject, question.into(), PATIENCE).await;
    let reply = reply.map_err(|error| error_chain(&error))?;
    serde_json::from_slice(&reply.payload).map(Some).map_err(|error| error.to_string())
}
