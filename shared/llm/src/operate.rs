//! What an operator asks a process that asks models: state of its breakers, what was spent. Knows no bus: a service hands
//! the name of the endpoint and the payload in, and sends back what comes out.

use serde::{Deserialize, Serialize};

use crate::{breaker, budget::CostReport, cache, model::Model};

/// Names of the endpoints that [`Model::operate`] answers.
pub const ENDPOINTS: [&str; 3] = [BREAKERS, RESET, COST];
/// Answers [`BreakersReport`].
pub const BREAKERS: &str = "model-breakers";
/// Takes [`ResetOrder`], answers [`BreakersReport`].
pub const RESET: &str = "model-breaker-reset";
/// Answers [`CostReport`], or null when this process can call nobody.
pub const COST: &str = "model-cost";

/// Every breaker of one process, and what its cache did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakersReport {
    pub breakers: Vec<breaker::Status>,
    pub cache: cache::Statistics,
}

/// Which breaker to close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetOrder {
    /// `None`: all of them.
    pub name: Option<String>,
}

/// A question that has no answer; codes as in HTTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    pub code: u16,
    pub text: String,
}

impl Model {
    /// Answers an operator, in JSON.
    pub async fn operate(&self, endpoint: &str, payload: &[u8]) -> Result<Vec<u8>, Refusal> {
        match endpoint {
            BREAKERS => Ok(json(&self.report())),
            RESET => {
                let order: ResetOrder = serde_json::from_slice(payload)
                    .map_err(|error| refusal(400, format!("the order cannot be read: {error}")))?;
                self.reset(order.name.as_deref())?;
                Ok(json(&self.report()))
            }
            COST => {
                let cost: Option<CostReport> =
                    self.cost().await.map_err(|error| refusal(500, error.to_string()))?;
                Ok(json(&cost))
            }
            other => Err(refusal(404, format!("there is no endpoint \"{other}\""))),
        }
    }

    pub fn report(&self) -> BreakersReport {
        BreakersReport {
            breakers: self.breakers().map(|breaker| breaker.status()).collect(),
            cache: self.cache_statistics(),
        }
    }

    /// Closes one breaker, or all of them.
    pub fn reset(&self, name: Option<&str>) -> Result<(), Refusal> {
        let mut found = false;
        for breaker in self.breakers().filter(|breaker| name.is_none_or(|name| name == breaker.name())) {
            breaker.reset();
            found = true;
        }
        let missing = || refusal(404, format!("there is no breaker \"{}\"", name.unwrap_or_default()));
        if found || name.is_none() { Ok(()) } else { Err(missing()) }
    }
}

fn refusal(code: u16, text: String) -> Refusal {
    Refusal { code, text }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a report is plain texts and numbers")
}
