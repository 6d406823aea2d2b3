//! Requests on the bus to invent messages, and the mode that invents without being asked.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use instance_bus::{Headers, Request, Service, ServiceError};
use instance_chassis::{Context, error_chain};
use instance_contract::{Faults, GenerationRequest, IrisMessage, OutputFormat, subject};
use serde::Serialize;
use serde_json::json;
use tracing::Instrument as _;

use crate::deliver::Consumer;
use crate::emit::store;
use crate::{Config, Invention, RunError};
use instance_improvise::{Source, improvise, within};
use instance_invent::{Invented, Templates, draw_seed, invent, messages, start_of};
use instance_llm::{Model, Parts, operate};
use uuid::Uuid;

const GENERATE: &str = "generate";
/// Name of the answer's schema.
const GENERATED: &str = "instance.v1.generated";
/// Name of a refusal's schema: every fault with field, value and rule.
const REFUSED: &str = "instance.v1.generation_refused";
/// On a request: publish what is invented, too.
const PUBLISH: &str = "Instance-Publish";

/// The answer to a request.
#[derive(Serialize)]
struct Generated {
    schema: &'static str,
    /// Repeats this answer.
    seed: u64,
    count: usize,
    /// How many have a text of a model; the others are by templates. Absent without a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_model: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<IrisMessage>>,
    /// Lines as they stand in a messages.log.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

/// What messages are made with.
pub struct Inventing {
    templates: Templates,
    /// It may name nobody: then templates write alone. Operators see the breakers of the consumers through it too.
    model: Model,
    /// Some service outside has a breaker here.
    has_breakers: bool,
}

impl Inventing {
    pub fn new(
        context: &Context<Config>,
        templates: Templates,
        consumers: &[Consumer],
    ) -> Result<Self, RunError> {
        let parts = Parts {
            beside: consumers.iter().map(|consumer| consumer.breaker.clone()).collect(),
            credentials_directory: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            ..Parts::new(context.clock.clone())
        };
        let model = Model::new(within(context.config.model.clone()), parts)?;
        let has_breakers = model.is_set_up() || !consumers.is_empty();
        Ok(Self { templates, model, has_breakers })
    }
}

/// What was invented, in both forms.
struct Batch {
    seed: u64,
    by_model: Option<usize>,
    entries: Vec<Invented>,
    messages: Vec<IrisMessage>,
}

/// Announces the service and its endpoint.
pub async fn announce(context: &Context<Config>, inventing: &Inventing) -> Result<Service, RunError> {
    let description = "publishes IRIS messages: tails, replays, invents";
    let host = HashMap::from([("host".to_owned(), context.host.to_string())]);
    let names: Vec<_> = inventing.templates.all().iter().map(|template| template.name.as_str()).collect();
    let endpoint = HashMap::from([
        ("request".to_owned(), "MessageGenerationRequest".to_owned()),
        ("reply".to_owned(), GENERATED.to_owned()),
        ("templates".to_owned(), names.join(",")),
    ]);
    let service = context.bus.service(context.name, env!("CARGO_PKG_VERSION"), description, host);
    let mut service = service.endpoint(GENERATE, &subject::generate(), endpoint);
    // Who calls nobody outside has no breakers and no costs to show.
    for question in operate::ENDPOINTS.iter().filter(|_| inventing.has_breakers) {
        service = service.endpoint(question, &subject::model(context.process_id, question), HashMap::new());
    }
    service.start().await.map_err(RunError::Announce)
}

/// Answers requests until the drain, each in a place of its own.
pub async fn serve(context: Context<Config>, inventing: Arc<Inventing>, mut service: Service) {
    while let Some(Some(request)) = context.drain.unless_draining(service.next()).await {
        let (context, inventing) = (context.clone(), inventing.clone());
        let span = request.span();
        context
            .tasks
            .clone()
            .spawn(async move { answer(&context, &inventing, request).await }.instrument(span));
    }
}

async fn answer(context: &Context<Config>, inventing: &Inventing, request: Request) {
    let answer = if request.endpoint() == GENERATE {
        invented(context, inventing, &request).await
    } else {
        let answer = inventing.model.operate(request.endpoint(), request.payload()).await;
        answer.map(Into::into).map_err(|no| ServiceError::new(no.code, no.text))
    };
    if let Err(error) = request.respond(answer).await {
        tracing::warn!(error = error_chain(&error), "could not answer a request");
    }
}

async fn invented(
    context: &Context<Config>,
    inventing: &Inventing,
    request: &Request,
) -> Result<Bytes, ServiceError> {
    match generate(context, inventing, request.payload()).await {
        Ok((answer, batch)) => {
            let asked = request.header(PUBLISH).is_some_and(|value| value.eq_ignore_ascii_case("true"));
            if asked || context.config.publish_invented {
                publish(context, &batch.messages).await;
            }
            Ok(answer)
        }
        Err(faults) => {
            let body = json!({"schema": REFUSED, "faults": faults.0}).to_string();
            Err(ServiceError::new(400, faults.to_string()).with_body(body.into()))
        }
    }
}

async fn generate(
    context: &Context<Config>,
    inventing: &Inventing,
    payload: &[u8],
) -> Result<(Bytes, Batch), Faults> {
    let request = GenerationRequest::decode(payload)?;
    let batch = batch(context, inventing, &request).await?;
    let raw = || batch.entries.iter().map(|entry| entry.raw.as_str()).collect::<String>();
    let generated = Generated {
        schema: GENERATED,
        seed: batch.seed,
        count: batch.messages.len(),
        by_model: batch.by_model,
        messages: (request.output_format == OutputFormat::Json).then(|| batch.messages.clone()),
        raw: (request.output_format == OutputFormat::Raw).then(raw),
    };
    let bytes = serde_json::to_vec(&generated).expect("texts and numbers are always JSON");
    Ok((bytes.into(), batch))
}

async fn batch(
    context: &Context<Config>,
    inventing: &Inventing,
    request: &GenerationRequest,
) -> Result<Batch, Faults> {
    let seed = request.seed.unwrap_or_else(|| draw_seed(context.clock.now(), &mut rand::rng()));
    let mut entries = invent(request, &inventing.templates, seed, start_of(seed))?;
    let mut by_model = None;
    let model = &inventing.model;
    if model.is_set_up() {
        // A cost report tells each request by itself.
        let session = format!("{}-{}", context.name, Uuid::new_v4().simple());
        let written = improvise(model, entries, &inventing.templates, seed, &session).await;
        by_model = Some(written.iter().filter(|one| matches!(one.source, Source::Model { .. })).count());
        entries = written.into_iter().map(|one| one.entry).collect();
    }
    let messages = messages(&entries, seed, 0, &context.host, &context.config.emulated_instance);
    Ok(Batch { seed, by_model, entries, messages })
}

async fn publish(context: &Context<Config>, messages: &[IrisMessage]) {
    for message in messages {
        if store(&context.bus, &context.drain, message, Headers::new()).await.is_none() {
            return;
        }
    }
}

/// Publishes what the settings ask for, then returns.
pub async fn invent_once(
    context: &Context<Config>,
    inventing: &Inventing,
    wanted: &Invention,
) -> Result<(), RunError> {
    let request = GenerationRequest {
        error_category: wanted.category,
        count: wanted.count,
        severity_range: (wanted.lowest, wanted.highest),
        template_name: wanted.template.clone(),
        seed: wanted.seed,
        ..GenerationRequest::default()
    };
    let batch = batch(context, inventing, &request).await?;
    publish(context, &batch.messages).await;
    tracing::info!(seed = batch.seed, count = batch.messages.len(), "invented and published");
    Ok(())
}
