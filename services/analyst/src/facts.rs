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
    let mut heard = Heard::default();
    for need in needs {
        let said = ask(&bus, &instance, need.agent).await;
        if let Some(over) = heard.take(need, said) {
            return (incident, over);
        }
    }
    (incident, heard.all())
}

/// What was said so far.
#[derive(Default)]
struct Heard {
    answers: BTreeMap<AgentKind, Value>,
    /// Why nothing was heard of one that is not required.
    silent: Option<String>,
}

impl Heard {
    /// One more answer; gives what comes of it all when no other one can change that.
    fn take(&mut self, need: Need, said: Result<Option<Value>, String>) -> Option<Gathered> {
        match said {
            Ok(Some(answer)) => {
                self.answers.insert(need.agent, answer);
            }
            Ok(None) if need.required => return Some(Gathered::NotServed(need.agent.to_string())),
            Ok(None) => {}
            Err(why) => {
                let why = format!("the {} says nothing: {why}", need.agent);
                if need.required {
                    let answers = std::mem::take(&mut self.answers);
                    return Some(Gathered::Silent { why, required: true, answers });
                }
                self.silent.get_or_insert(why);
            }
        }
        None
    }

    fn all(self) -> Gathered {
        match self.silent {
            Some(why) => Gathered::Silent { why, required: false, answers: self.answers },
            None => Gathered::Answers(self.answers),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONAL: Need = Need { agent: AgentKind::Config, required: false };
    const REQUIRED: Need = Need { agent: AgentKind::Os, required: true };

    #[test]
    fn one_that_is_not_required_hides_no_answer_by_its_silence() {
        let mut heard = Heard::default();
        assert_eq!(
            heard.take(OPTIONAL, Err("no answer".to_owned())),
            None,
            "the others are asked all the same"
        );
        assert_eq!(heard.take(REQUIRED, Ok(Some(json!({"a": 1})))), None);
        let Gathered::Silent { why, required: false, answers } = heard.all() else { panic!() };
        assert!(why.contains("config-agent") && why.contains("no answer"), "{why}");
        assert_eq!(answers, BTreeMap::from([(AgentKind::Os, json!({"a": 1}))]));
    }

    #[test]
    fn without_one_that_is_required_no_other_is_asked() {
        let mut heard = Heard::default();
        assert_eq!(heard.take(OPTIONAL, Err("no answer".to_owned())), None);
        let over = heard.take(REQUIRED, Err("no answer".to_owned()));
        assert!(matches!(over, Some(Gathered::Silent { required: true, .. })), "{over:?}");
        let over = Heard::default().take(REQUIRED, Ok(None));
        assert_eq!(over, Some(Gathered::NotServed("os-agent".to_owned())));
        assert_eq!(Heard::default().take(OPTIONAL, Ok(None)), None, "nobody misses who is not there");
    }
}
