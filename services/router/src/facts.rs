//! Asks agents what a command would change: one question an agent, whatever the number of its steps.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use instance_bus::Bus;
use instance_contract::{
    AgentKind, AskKind, Facts, ForecastReply, HostName, InstanceName, PlanQuestion, StepId, subject,
};
use instance_engine::FactsAnswer;
use instance_planner::Question;

use crate::Router;

/// One answer a question, or silence.
pub(crate) async fn ask(
    router: &Router,
    instance: &InstanceName,
    questions: Vec<Question>,
    patience: Duration,
) -> FactsAnswer {
    let mut by_agent: BTreeMap<AgentKind, Vec<Question>> = BTreeMap::new();
    for question in questions {
        by_agent.entry(question.agent).or_default().push(question);
    }
    let needed: Vec<AgentKind> = by_agent.keys().copied().collect();
    let hosts = match router.hosts.of(instance, &needed).await {
        Ok(hosts) => hosts,
        Err(error) => return FactsAnswer::Silent { why: error.to_string() },
    };
    let asked = by_agent
        .into_iter()
        .map(|(agent, questions)| forecasts(&router.bus, instance, (agent, &hosts), questions, patience));
    let mut forecasts = BTreeMap::new();
    for answer in join_all(asked).await {
        match answer {
            Ok(replies) => forecasts.extend(replies),
            Err(why) => return FactsAnswer::Silent { why },
        }
    }
    FactsAnswer::Facts(Facts { forecasts, hosts, ..Facts::default() })
}

async fn forecasts(
    bus: &Bus,
    instance: &InstanceName,
    (agent, hosts): (AgentKind, &BTreeMap<AgentKind, HostName>),
    questions: Vec<Question>,
    patience: Duration,
) -> Result<Vec<(StepId, ForecastReply)>, String> {
    let host = hosts.get(&agent).ok_or_else(|| format!("no host is known for the {agent}"))?;
    let subject = subject::ask(agent, host, AskKind::Plan);
    let (steps, actions): (Vec<_>, Vec<_>) =
        questions.into_iter().map(|question| (question.step, question.action)).unzip();
    let body = PlanQuestion { instance: instance.clone(), actions };
    let payload = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    let reply = bus.request(&subject, payload.into(), patience).await.map_err(|error| error.to_string())?;
    let replies: Vec<ForecastReply> = serde_json::from_slice(&reply.payload)
        .map_err(|error| format!("the {agent} on {host} gave an answer that is none: {error}"))?;
    if replies.len() != steps.len() {
        return Err(format!("the {agent} on {host} answered {} of {} actions", replies.len(), steps.len()));
    }
    Ok(steps.into_iter().zip(replies).collect())
}
