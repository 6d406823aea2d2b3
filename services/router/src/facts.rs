//! Asks agents what a command would change.

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
    let bus = &router.bus;
    let needed: Vec<AgentKind> = questions.iter().map(|question| question.agent).collect();
    let hosts = match router.hosts.of(instance, &needed).await {
        Ok(hosts) => hosts,
        Err(error) => return FactsAnswer::Silent { why: error.to_string() },
    };
    let asked = questions.into_iter().map(|question| forecast(bus, instance, &hosts, question, patience));
    let mut forecasts = BTreeMap::new();
    for answer in join_all(asked).await {
        match answer {
            Ok((step, reply)) => forecasts.insert(step, reply),
            Err(why) => return FactsAnswer::Silent { why },
        };
    }
    FactsAnswer::Facts(Facts { forecasts, hosts, ..Facts::default() })
}

async fn forecast(
    bus: &Bus,
    instance: &InstanceName,
    hosts: &BTreeMap<AgentKind, HostName>,
    question: Question,
    patience: Duration,
) -> Result<(StepId, ForecastReply), String> {
    let host =
        hosts.get(&question.agent).ok_or_else(|| format!("no host is known for the {}", question.agent))?;
    let subject = subject::ask(question.agent, host, AskKind::Plan);
    let body = PlanQuestion { instance: instance.clone(), action: question.action };
    let payload = serde_json::to_vec(&body).map_err(|error| error.to_string())?;
    let reply = bus.request(&subject, payload.into(), patience).await.map_err(|error| error.to_string())?;
    let forecast = serde_json::from_slice(&reply.payload)
        .map_err(|error| format!("the {} on {host} gave an answer that is none: {error}", question.agent))?;
    Ok((question.step, forecast))
}
