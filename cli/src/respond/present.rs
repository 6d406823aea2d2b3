//! What is true now, asked of the agents that serve the instance.

use std::time::Duration;

use instance_bus::Bus;
use instance_contract::{AgentKind, AskKind, InstanceName, subject};
use instance_knowledge::{HostMemory, Remedy, Target};
use serde_json::{Value, json};

use super::judge::Present;

/// An agent reads a file and answers; one that takes longer is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the present is not known.
#[derive(Debug)]
pub enum Unknown {
    /// Nobody serves the instance with that agent, so nobody could act either.
    NotServed(AgentKind),
    /// It may be known later.
    Silent(anyhow::Error),
}

/// Value of the remedy's target and memory of the host; only what the remedy needs is asked for.
pub async fn ask(bus: &Bus, instance: &InstanceName, remedy: &Remedy) -> Result<Present, Unknown> {
    let nothing = Present { value: None, memory: HostMemory { huge_page_kb: 0, physical_mb: None } };
    match &remedy.target {
        Target::Cpf { parameter, .. } => {
            let config = facts(bus, instance, AgentKind::Config).await?;
            // Without the host's memory the bound of the remedy alone holds.
            let memory = match facts(bus, instance, AgentKind::Os).await {
                Ok(host) => memory(&host),
                Err(Unknown::NotServed(_)) => nothing.memory,
                Err(other) => return Err(other),
            };
            Ok(Present { value: text(&config[parameter.as_str()]), memory })
        }
        Target::Kernel { name } => {
            let host = facts(bus, instance, AgentKind::Os).await?;
            Ok(Present { value: text(&host["parameters"][name.as_str()]["value"]), memory: memory(&host) })
        }
        Target::License { .. } | Target::Instance => Ok(nothing),
    }
}

async fn facts(bus: &Bus, instance: &InstanceName, agent: AgentKind) -> Result<Value, Unknown> {
    let host = bus.host_of(instance, agent).await.map_err(|error| Unknown::Silent(error.into()))?;
    let host = host.ok_or(Unknown::NotServed(agent))?;
    let asked = async {
        let question = json!({ "instance": instance }).to_string();
        let reply =
            bus.request(&subject::ask(agent, &host, AskKind::Facts), question.into(), PATIENCE).await?;
        anyhow::Ok(serde_json::from_slice(&reply.payload)?)
    };
    asked
        .await
        .map_err(|error| Unknown::Silent(error.context(format!("could not ask the {agent} for facts"))))
}

fn memory(host: &Value) -> HostMemory {
    let kilobytes = |name: &str| host["memory"][name].as_u64();
    HostMemory {
        huge_page_kb: kilobytes("huge_page_kb").unwrap_or_default(),
        physical_mb: kilobytes("total_kb").map(|kb| kb / 1024),
    }
}

/// Numbers are written as texts in a CPF and in the kernel.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_as_the_agents_write_them() {
        let host = json!({
            "memory": {"total_kb": 16_777_216, "available_kb": 1, "huge_page_kb": 2048},
            "parameters": {"vm.nr_hugepages": {"value": "100", "drop_in": null}},
        });
        assert_eq!(memory(&host), HostMemory { huge_page_kb: 2048, physical_mb: Some(16384) });
        assert_eq!(text(&host["parameters"]["vm.nr_hugepages"]["value"]).as_deref(), Some("100"));
        assert_eq!(text(&host["parameters"]["vm.swappiness"]["value"]), None);
        assert_eq!(memory(&json!({})), HostMemory { huge_page_kb: 0, physical_mb: None });
    }
}
