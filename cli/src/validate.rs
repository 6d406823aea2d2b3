//! `instance validate`: does a file keep its contract? Every fault is told, not only the first.

use std::path::{Path, PathBuf};

use anyhow::Result;
use instance_clock::{Clock as _, SystemClock};
use instance_contract::{
    Accepted, ApprovalAnswered, ApprovalAsked, AuditRecords, CommandAnswer, Fault, Faults, GenerationRequest,
    InstanceName, IrisMessage, Older, Planned, RemediationCommand, StepCommand, ToolResult, TraceId,
    WorkflowTrace,
    decode::{self, Node},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    exit::Exit,
    input,
    output::{print, print_json, printable},
    session::{Session, Tone},
};

const EXAMPLES: &str = "\
Examples:
  instance validate command.json
  instance validate examples/*.json
  instance validate --as message_generation_request request.json
  printf '{\"count\": 500}' | instance validate - --json";

/// Far above what any contract takes, so that a payload which is too large is told so by its contract.
const LARGEST_FILE: usize = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// JSON documents; `-` for stdin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The contract to check against, instead of what the field `schema` says
    #[arg(long = "as", value_name = "NAME")]
    contract: Option<Contract>,
}

/// What a document can be. The names are those of `instance schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Contract {
    IrisMessage,
    RemediationCommand,
    ToolResult,
    WorkflowTrace,
    CommandAnswer,
    MessageGenerationRequest,
    Accepted,
    Planned,
    StepCommand,
    ApprovalAsked,
    ApprovalAnswered,
    AuditRecords,
}

/// What came of one file.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    file: String,
    /// Null when it could not be told what the document is.
    contract: Option<Contract>,
    /// The nine-field command of older senders.
    older_form: bool,
    valid: bool,
    faults: Vec<Fault>,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let mut exit = Exit::Done;
    for path in &args.files {
        let report = examine(path, &input::read(path, LARGEST_FILE)?, args.contract);
        if !report.valid {
            exit = Exit::Failure;
        }
        if session.json() {
            print_json(&report)?;
        } else {
            print(text_of(&report, session))?;
        }
    }
    Ok(exit)
}

fn examine(path: &Path, bytes: &[u8], wanted: Option<Contract>) -> Report {
    let recognised = match wanted {
        Some(contract) => Ok(contract),
        None => decode::tree(bytes, LARGEST_FILE).and_then(|node| recognise(&node)),
    };
    let verdict = match &recognised {
        Ok(contract) => contract.check(bytes),
        Err(faults) => Err(faults.clone()),
    };
    let contract = recognised.ok();
    let is_command = contract == Some(Contract::RemediationCommand);
    let names_schema = decode::tree(bytes, LARGEST_FILE).is_ok_and(|node| node.get("schema").is_some());
    Report {
        schema: "instance.cli.v1.validation",
        file: path.display().to_string(),
        contract,
        older_form: is_command && !names_schema,
        valid: verdict.is_ok(),
        faults: verdict.err().map(|faults| faults.0).unwrap_or_default(),
    }
}

/// What a document says it is. Without `schema` it is a request to the generator or the command of an older sender.
fn recognise(node: &Node) -> Result<Contract, Faults> {
    let Node::Object(fields) = node else {
        return Err(Faults::one("payload", node.type_name(), "must be an object"));
    };
    let has = |name: &str| fields.iter().any(|(key, _)| key == name);
    let Some(schema) = node.get("schema") else {
        let command = ["command_id", "error_type", "execution_order", "parameters", "steps"];
        return Ok(if command.iter().any(|name| has(name)) {
            Contract::RemediationCommand
        } else {
            Contract::MessageGenerationRequest
        });
    };
    Contract::ALL.into_iter().find(|contract| schema.as_str() == Some(contract.schema())).ok_or_else(|| {
        let known: Vec<&str> = Contract::ALL.iter().map(|contract| contract.schema()).collect();
        Faults::one("schema", schema, format!("must be one of {}", known.join(", ")))
    })
}

impl Contract {
    const ALL: [Self; 12] = [
        Self::IrisMessage,
        Self::RemediationCommand,
        Self::ToolResult,
        Self::WorkflowTrace,
        Self::CommandAnswer,
        Self::MessageGenerationRequest,
        Self::Accepted,
        Self::Planned,
        Self::StepCommand,
        Self::ApprovalAsked,
        Self::ApprovalAnswered,
        Self::AuditRecords,
    ];

    /// The value of the field `schema`. A request to the generator has no such field.
    const fn schema(self) -> &'static str {
        match self {
            Self::IrisMessage => IrisMessage::SCHEMA,
            Self::RemediationCommand => RemediationCommand::SCHEMA,
            Self::ToolResult => ToolResult::SCHEMA,
            Self::WorkflowTrace => WorkflowTrace::SCHEMA,
            Self::CommandAnswer => CommandAnswer::SCHEMA,
            Self::MessageGenerationRequest => "instance.v1.message_generation_request",
            Self::Accepted => Accepted::SCHEMA,
            Self::Planned => Planned::SCHEMA,
            Self::StepCommand => StepCommand::SCHEMA,
            Self::ApprovalAsked => ApprovalAsked::SCHEMA,
            Self::ApprovalAnswered => ApprovalAnswered::SCHEMA,
            Self::AuditRecords => AuditRecords::SCHEMA,
        }
    }

    /// The name that `instance schema` takes.
    fn name(self) -> &'static str {
        self.schema().trim_start_matches("instance.v1.")
    }

    fn check(self, bytes: &[u8]) -> Result<(), Faults> {
        match self {
            Self::IrisMessage => IrisMessage::decode(bytes).map(drop),
            Self::RemediationCommand => RemediationCommand::decode(bytes, &router_default()).map(drop),
            Self::ToolResult => ToolResult::decode(bytes).map(drop),
            Self::WorkflowTrace => WorkflowTrace::decode(bytes).map(drop),
            Self::CommandAnswer => ours::<CommandAnswer>(bytes, self.schema()),
            Self::MessageGenerationRequest => GenerationRequest::decode(bytes).map(drop),
            Self::Accepted => ours::<Accepted>(bytes, self.schema()),
            Self::Planned => ours::<Planned>(bytes, self.schema()),
            Self::StepCommand => ours::<StepCommand>(bytes, self.schema()),
            Self::ApprovalAsked => ours::<ApprovalAsked>(bytes, self.schema()),
            Self::ApprovalAnswered => ours::<ApprovalAnswered>(bytes, self.schema()),
            Self::AuditRecords => ours::<AuditRecords>(bytes, self.schema()),
        }
    }
}

/// Stands in for what the router knows of an older sender: its default instance, and what the bus says.
fn router_default() -> Older {
    let instance: InstanceName = "default".parse().expect("a legal instance name");
    let trace_id = TraceId::from_bytes([1; 16]);
    Older { instance: Some(instance), trace_id, requested_by: "unknown".into(), issued_at: SystemClock.now() }
}

/// What the router writes, or a person to it: the first fault is enough.
fn ours<T: DeserializeOwned>(bytes: &[u8], schema: &'static str) -> Result<(), Faults> {
    let node = decode::tree(bytes, LARGEST_FILE)?;
    let named = node.get("schema").and_then(Node::as_str).unwrap_or_default();
    if named != schema {
        return Err(Faults::one("schema", named, format!("must be {schema}")));
    }
    let read = serde_json::from_slice::<T>(bytes).map(drop);
    read.map_err(|error| Faults::one("payload", "", error.to_string()))
}

fn text_of(report: &Report, session: &Session) -> String {
    let contract = report.contract.map_or("document", Contract::name);
    let older = if report.older_form { " (older form)" } else { "" };
    if report.valid {
        return format!("{}: {} {contract}{older}", report.file, session.paint(Tone::Good, "valid"));
    }
    let count = match report.faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let head = format!("{}: {contract} with {}", report.file, session.paint(Tone::Bad, &count));
    let faults = report.faults.iter().map(|fault| format!("  {}", printable(&fault.to_string())));
    std::iter::once(head).chain(faults).collect::<Vec<_>>().join("\n")
}
