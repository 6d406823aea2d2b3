//! A model is asked which of the things that are allowed it is. Whatever comes of it, the core goes on.

use std::{env, path::PathBuf, sync::Arc};

use instance_chassis::Context;
use instance_contract::IncidentId;
use instance_diagnosis::{Advice, Consultation};
use instance_llm::{
    Account, Asking, Case, Excerpt, Model, Offer, Parts, Placeholders, SetupError, Told, Verdict,
    breaker::Breaker, choose,
};

use crate::Config;

/// A model that is less sure has said that a person must look.
const LEAST_CONFIDENCE: f64 = 0.6;

/// The model of the settings, which may name nobody; operators see the breakers `beside` it through it too.
pub(crate) fn model(ctx: &Context<Config>, beside: Vec<Arc<Breaker>>) -> Result<Model, SetupError> {
    let parts = Parts {
        credentials_directory: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        beside,
        ..Parts::new(ctx.clock.clone())
    };
    Model::new(ctx.config.model.clone(), parts)
}

/// On the account of the incident, within its budget.
pub async fn ask(
    model: Model,
    session: String,
    incident: IncidentId,
    consultation: Consultation,
) -> (IncidentId, Advice) {
    let offer = |(place, label): (usize, String)| Offer { action: place, label, ranges: Vec::new() };
    let offers: Vec<Offer<usize>> = consultation.offers.into_iter().enumerate().map(offer).collect();
    // The answer is the place of an offer, so nothing has to be put back.
    let mut signs = Placeholders::of(consultation.names);
    let mut shown = |text: &str| Excerpt::of(&signs.put(text));
    let case = Case {
        facts: consultation.facts.iter().map(|(name, value)| (*name, shown(value))).collect(),
        entries: consultation.excerpts.iter().map(|text| shown(text)).collect(),
    };
    let account = Account { session, remediation: Some(incident.to_string()) };
    let asking = Asking { account: &account, least_confidence: LEAST_CONFIDENCE };
    let advice = match choose(&model, &offers, &case, &asking).await {
        Ok(Verdict::Take { action, confidence, told, .. }) => {
            Advice::Chosen { offer: *action, by: said(&told, Some(confidence)) }
        }
        Ok(Verdict::Person(Some(told))) => Advice::None(format!("{}: a person must look", said(&told, None))),
        Ok(Verdict::Person(None)) => Advice::None("nothing is allowed".to_owned()),
        Err(error) => Advice::None(error.to_string()),
    };
    (incident, advice)
}

/// Who, how sure, and for how much: goes into the finding.
fn said(told: &Told, confidence: Option<f64>) -> String {
    let sure = confidence.map_or(String::new(), |share| format!(", {:.0} % sure", share * 100.0));
    format!(
        "chosen by model {} of {} ({}{sure}; prompt {}, {} tokens, {} micro-dollars)",
        told.model,
        told.provider,
        told.source,
        told.prompt,
        told.usage.total(),
        told.micro_usd
    )
}
