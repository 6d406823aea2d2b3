//! A whole remediation by HTTP: asked for, watched, agreed to, and told at its end.

use std::{net::SocketAddr, time::Duration};

use instance_testkit::eventually;
use serde_json::{Value, json};

use crate::{
    otlp::Receiver,
    pipeline::{Pipeline, wish},
};

const TOKEN: &str = "token-of-the-scenario";
const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody who asks by HTTP.
pub struct Caller {
    address: SocketAddr,
    token: &'static str,
    client: reqwest::Client,
}

impl Caller {
    pub fn new(address: SocketAddr, token: &'static str) -> Self {
        Self { address, token, client: reqwest::Client::new() }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.client.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(self.url(path)).header("content-type", "application/json");
        self.answer(request.body(body.to_string())).await
    }

    /// The events from the first record on, up to one that holds the text.
    async fn events_until(&self, query: &str, last: &str, end: &str) -> String {
        let mut request = self.client.get(self.url(&format!("/v1/events{query}"))).bearer_auth(self.token);
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let mut told = String::new();
        let reading = async {
            let mut stream = request.send().await.unwrap();
            while let Some(part) = stream.chunk().await.unwrap() {
                told.push_str(std::str::from_utf8(&part).unwrap());
                // An event ends with an empty line.
                if told.split_once(end).is_some_and(|(_, rest)| rest.contains("\n\n")) {
                    return;
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "no {end} in\n{told}");
        told
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let sending = request.bearer_auth(self.token).send();
        let response = tokio::time::timeout(PATIENCE, sending).await.unwrap().unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        // Who is not ready yet may say so in plain words.
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// The value of a field of each event.
fn fields<'a>(events: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!("{name}: ");
    events.lines().filter_map(|line| line.strip_prefix(&begin)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_asked_for_watched_agreed_to_and_told_by_http() {
    let receiver = Receiver::start();
    let mut pipeline = Pipeline::new(&[]).await;
    pipeline.variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    pipeline.iris.start();
    pipeline.policy(
        "approve_restarts = true\nquiet_seconds = 0\nminutes_between_restarts = 0\napprovers = [\"tests\"]\n",
    );
    pipeline.everything().await;
    let address = pipeline.gateway(TOKEN, &["command", "read", "approve"]).await;
    let caller = Caller::new(address, TOKEN);
    let starts = pipeline.iris.starts();

    let (status, taken) = caller.post("/v1/commands", &wish::restart()).await;
    assert_eq!(status, 202, "{taken}");
    let id = taken["remediation_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/remediations/{id}");
    let waiting = eventually(PATIENCE, || async {
        let (status, document) = caller.get(&path).await;
        (status == 200 && document["approval"].is_object()).then_some(document)
    })
    .await;
    assert_eq!(waiting["phase"], "waiting_approval");
    let (_, open) = caller.get("/v1/remediations?phase=waiting_approval&instance=PROD").await;
    assert_eq!((&open["found"], &open["remediations"][0]["remediation_id"]), (&json!(1), &json!(id)));
    assert_eq!(caller.get("/v1/remediations?phase=ended").await.1["found"], 0);
    assert_eq!(caller.get("/v1/remediations?phase=over").await.0, 422);
    assert_eq!(caller.get("/v1/remediations?colour=red").await.0, 422);

    let answers = format!("{path}/approvals");
    let other = json!({"digest": "0".repeat(64), "verdict": "granted"});
    let (status, refused) = caller.post(&answers, &other).await;
    assert_eq!((status, &refused["faults"][0]["field"]), (409, &json!("digest")), "{refused}");
    assert_eq!(pipeline.iris.starts(), starts, "nobody has agreed yet");
    let yes = json!({"digest": waiting["approval"]["digest"], "verdict": "granted", "note": "change 4711"});
    let (status, said) = caller.post(&answers, &yes).await;
    assert_eq!((status, &said["by"]), (201, &json!("tests")), "{said}");
    assert_eq!(caller.post(&answers, &yes).await.0, 409, "it is answered once");

    let all = caller.events_until(&format!("?remediation={id}&from_start=true"), "", "event: ended").await;
    let kinds = fields(&all, "event");
    assert_eq!(kinds.first(), Some(&"accepted"), "{kinds:?}");
    for kind in ["approval_asked", "approval_answered", "step", "result"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    // Who was cut off goes on behind the last event that it has seen.
    let places = fields(&all, "id");
    let rest = caller.events_until(&format!("?remediation={id}"), places[1], "event: ended").await;
    assert_eq!(fields(&rest, "event"), kinds[2..]);

    let (status, told) = caller.get(&path).await;
    assert_eq!(
        (status, &told["overall_status"], &told["state"]),
        (200, &json!("success"), &json!("completed"))
    );
    assert_eq!(told["trace"]["remediation_id"], json!(id));
    assert_eq!(pipeline.iris.starts(), starts + 1);
    // By the id of its command, too; and what is told is what the document says that it is.
    let by_command = format!("/v1/remediations/{}", taken["command_id"].as_str().unwrap());
    assert_eq!(caller.get(&by_command).await.1, told);
    assert_eq!(caller.get("/v1/remediations/6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8").await.0, 404);
    let document = caller.get("/v1/openapi.json").await.1;
    for (name, value) in [("Remediation", &told), ("Remediation", &waiting), ("Remediations", &open)] {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"), "components": document["components"],
        });
        let faults: Vec<String> = jsonschema::validator_for(&schema)
            .unwrap()
            .iter_errors(value)
            .map(|fault| fault.to_string())
            .collect();
        assert_eq!(faults, Vec::<String>::new(), "{name}");
    }
    pipeline.drained().await;
    // The answer came in a trace of its own; the story goes on in that of the command.
    let spans = receiver.spans_of(told["trace_id"].as_str().unwrap());
    let continued = spans.iter().find(|span| span.name == "continue remediation");
    let continued = continued.unwrap_or_else(|| panic!("nothing tells that it went on: {spans:#?}"));
    assert_eq!((continued.service.as_str(), continued.kind), ("instance-router", 1));
    assert!(spans.iter().any(|span| span.id == continued.parent), "{continued:?} hangs below nothing");
    assert!(spans.iter().any(|span| span.parent == continued.id), "{continued:?} leads to nothing");
}
