//! What is asked of a pipeline, by command line and on the bus, and what it has written there.

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use async_nats::jetstream::message::StreamMessage;
use instance_bus::{Headers, LogMessage};
use instance_contract::{
    CommandAnswer, IrisMessage, OverallStatus, RemediationId, WorkflowTrace,
    subject::{self, RecordKind},
};
use serde_json::Value;

use super::{INSTANCE, Pipeline, programs, wish};

/// How a run of the command `instance` ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Pipeline {
    /// Runs the command `instance` on this pipeline.
    pub async fn instance(&self, words: &[&str]) -> Ran {
        self.instance_as("operator", words).await
    }

    /// The same as another role, where there are roles.
    pub async fn instance_as(&self, role: &str, words: &[&str]) -> Ran {
        let mut command = programs::command("instance");
        if let Some(roles) = &self.roles {
            roles.hand_to(&mut command, role);
        }
        let mut command = tokio::process::Command::from(command);
        command.env("HOME", self.path("home")).env("USER", "tester").arg("--nats").arg(self.server.url());
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_mins(3), command.output()).await;
        let output =
            output.unwrap_or_else(|_| panic!("instance {words:?} has not ended:\n{}", self.logs())).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Writes a command to a file, as an operator would; its path.
    pub fn command_file(&self, wish: &Value) -> PathBuf {
        let path = self.path(&format!("{}.json", wish::id_of(wish)));
        fs::write(&path, serde_json::to_vec_pretty(wish).unwrap()).unwrap();
        path
    }

    /// Publishes a command and reads the answer.
    pub async fn ask(&self, wish: &Value) -> CommandAnswer {
        self.ask_bytes(INSTANCE, wish.to_string().into_bytes(), Headers::new()).await
    }

    /// The same for anything that may be published as a command, to an instance.
    pub async fn ask_bytes(&self, instance: &str, payload: Vec<u8>, headers: Headers) -> CommandAnswer {
        let mut inbox = self.bus.inbox().await.unwrap();
        let headers = headers.with(CommandAnswer::REPLY_HEADER, inbox.subject());
        let subject = subject::command(&instance.parse().unwrap());
        self.bus.publish_bytes(&subject, payload.into(), None, headers).await.unwrap();
        let Ok(reply) = tokio::time::timeout(Duration::from_secs(15), inbox.next()).await else {
            panic!("no answer to a command:\n{}", self.logs());
        };
        serde_json::from_slice(&reply.unwrap().payload).unwrap()
    }

    /// The remediation log of one remediation, so far.
    pub async fn records(&self, id: RemediationId) -> Vec<LogMessage> {
        self.bus.find_remediation(id).await.unwrap_or_default()
    }

    /// Waits for a record whose subject ends so; `step.restart-agent`, `result.config.1`.
    pub async fn recorded(&self, id: RemediationId, part: &str) -> LogMessage {
        let dotted = format!(".{part}");
        let look = async {
            loop {
                let records = self.records(id).await;
                if let Some(found) = records.into_iter().find(|record| record.subject.contains(&dotted)) {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(45), look).await;
        found.unwrap_or_else(|_| panic!("no record {part} of {id}:\n{}", self.account()))
    }

    /// Waits for the end of a remediation.
    pub async fn ended(&self, id: RemediationId) -> WorkflowTrace {
        let record = self.recorded(id, "ended").await;
        assert!(matches!(subject::parse_record(&record.subject), Some((.., RecordKind::Ended))));
        record.json().unwrap()
    }

    /// Waits for the end, which must be a success.
    pub async fn succeeded(&self, id: RemediationId) -> WorkflowTrace {
        let trace = self.ended(id).await;
        assert_eq!(trace.overall_status, OverallStatus::Success, "{trace:#?}\n{}", self.account());
        trace
    }

    /// Everything in a stream, in order, read message by message as any client may.
    pub async fn stored(&self, stream: &str) -> Vec<StreamMessage> {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        let mut stream = jetstream.get_stream(stream).await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut found = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            // What was taken from a work queue leaves a gap.
            found.extend(stream.get_raw_message(sequence).await.ok());
        }
        found
    }

    /// The records of all commands that a router has accepted, dry runs too.
    pub async fn accepted(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for shard in 0..4 {
            let stored = self.stored(&format!("INSTANCE_REMEDIATIONS_{shard}")).await;
            let records = stored.iter().filter(|message| message.subject.ends_with(".accepted"));
            found.extend(records.map(|message| serde_json::from_slice::<Value>(&message.payload).unwrap()));
        }
        found
    }

    /// How many messages a stream holds.
    pub async fn stream_length(&self, stream: &str) -> u64 {
        let jetstream = async_nats::jetstream::new(self.client.clone());
        jetstream.get_stream(stream).await.unwrap().info().await.unwrap().state.messages
    }

    /// Every IrisMessage on the bus so far, in order.
    pub async fn messages(&self) -> Vec<(StreamMessage, IrisMessage)> {
        let stored = self.stored("INSTANCE_ERRORS").await.into_iter();
        stored.map(|message| (message.clone(), IrisMessage::decode(&message.payload).unwrap())).collect()
    }

    /// Waits for a message of that condition.
    pub async fn told(&self, condition: &str) -> (StreamMessage, IrisMessage) {
        let logs = || self.logs();
        let look = async {
            loop {
                let messages = self.messages().await;
                let is_it = |message: &IrisMessage| {
                    message.condition.as_ref().is_some_and(|found| found.as_str() == condition)
                };
                if let Some(found) = messages.into_iter().find(|(_, message)| is_it(message)) {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(45), look).await;
        found.unwrap_or_else(|_| panic!("no message of {condition}:\n{}", logs()))
    }
}
