//! From a file to the bytes that are sent: what flags ask for is filled in, and the result has to be legal.

use instance_contract::{
    CommandAnswer, CommandId, Faults, InstanceName, Older, RemediationCommand, TraceId,
    decode::{self, Node},
};
use jiff::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::trace_context::Caller;

/// What is read at most; the contract's own limit is told by the contract.
pub const LARGEST_COMMAND: usize = 16 * 1024 * 1024;

/// What the flags ask for.
pub struct Wishes<'a> {
    pub dry_run: bool,
    pub complete: bool,
    pub instance: Option<&'a InstanceName>,
    pub now: Timestamp,
    pub operator: String,
    /// The trace that whoever calls us is in.
    pub caller: Option<Caller>,
}

impl Wishes<'_> {
    /// Of a command that is made here: its caller's trace goes on.
    fn trace_id(&self) -> TraceId {
        self.caller.as_ref().map_or_else(fresh_trace_id, |caller| caller.trace_id.clone())
    }
}

/// The command and its bytes, or the answer that a router would give.
///
/// The bytes are those of the file unless a flag changes something.
pub fn legal(bytes: Vec<u8>, wishes: &Wishes<'_>) -> Result<(RemediationCommand, Vec<u8>), CommandAnswer> {
    let changes = wishes.dry_run || wishes.complete || wishes.instance.is_some();
    let bytes = if changes { changed(&bytes, wishes)? } else { bytes };
    // What the router takes an older command to say may differ in what only it knows; the rules are the same.
    let older = Older {
        instance: wishes.instance.cloned(),
        trace_id: wishes.trace_id(),
        requested_by: wishes.operator.clone(),
        issued_at: wishes.now,
    };
    match RemediationCommand::decode(&bytes, &older) {
        Ok(command) => Ok((command, bytes)),
        Err(faults) => Err(refusal(&bytes, faults)),
    }
}

fn changed(bytes: &[u8], wishes: &Wishes<'_>) -> Result<Vec<u8>, CommandAnswer> {
    let node = decode::tree(bytes, decode::MAX_COMMAND_BYTES).map_err(|faults| refusal(bytes, faults))?;
    let parsed: Option<Map<String, Value>> = serde_json::from_slice(bytes).ok();
    let Some(mut fields) = parsed.filter(|_| !has_doubles(&node)) else {
        // A doubled key must not be settled by our rewriting; the contract tells of it.
        return Ok(bytes.to_vec());
    };
    if wishes.dry_run {
        fields.insert("dry_run".to_owned(), true.into());
    }
    if let Some(instance) = wishes.instance {
        if wishes.complete {
            // A new command may be meant for another instance than the file's.
            fields.insert("instance".to_owned(), instance.as_str().into());
        } else {
            fields.entry("instance").or_insert_with(|| instance.as_str().into());
        }
    }
    if wishes.complete {
        fields.insert("command_id".to_owned(), Uuid::new_v4().to_string().into());
        fields.insert("trace_id".to_owned(), wishes.trace_id().to_string().into());
        fields.insert("issued_at".to_owned(), wishes.now.to_string().into());
        fields.insert("requested_by".to_owned(), wishes.operator.as_str().into());
        fields.entry("schema").or_insert_with(|| RemediationCommand::SCHEMA.into());
    }
    Ok(Value::Object(fields).to_string().into_bytes())
}

fn has_doubles(node: &Node) -> bool {
    match node {
        Node::Object(fields) => fields.iter().enumerate().any(|(index, (name, inner))| {
            fields[..index].iter().any(|(earlier, _)| earlier == name) || has_doubles(inner)
        }),
        Node::Array(items) => items.iter().any(has_doubles),
        _ => false,
    }
}

fn refusal(bytes: &[u8], faults: Faults) -> CommandAnswer {
    let node = decode::tree(bytes, decode::MAX_COMMAND_BYTES).ok();
    let text = |name: &str| node.as_ref().and_then(|node| node.get(name)).and_then(Node::as_str);
    let command_id: Option<CommandId> = text("command_id").and_then(|raw| raw.parse().ok());
    let trace_id: Option<TraceId> = text("trace_id").and_then(|raw| raw.parse().ok());
    // Nothing was sent, so there is no remediation to follow.
    CommandAnswer { remediation_id: None, ..CommandAnswer::refused(command_id, trace_id, faults.0) }
}

fn fresh_trace_id() -> TraceId {
    TraceId::from_bytes(rand::random())
}

/// The W3C trace context that a command is sent in: the caller's where that is the command's trace. Else that of a sender
/// who has no tracer: the command's trace, a span of our own.
pub fn traceparent(command: &RemediationCommand, caller: Option<&Caller>) -> String {
    if let Some(caller) = caller.filter(|caller| caller.trace_id == command.trace_id) {
        return caller.traceparent.clone();
    }
    let span = rand::random::<u64>().max(1);
    format!("00-{}-{span:016x}-01", command.trace_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDER: &[u8] =
        br#"{"command_id": "0b6f3c1e-6a0d-4d1f-9d36-000000000006", "error_type": "config", "severity": 2,
        "recommended_action": "x", "requires_restart": false, "execution_order": ["iris_config"],
        "parameters": {"cpf_section": "config", "parameter": "routines", "new_value": "128"}}"#;

    fn wishes(instance: Option<&InstanceName>) -> Wishes<'_> {
        let now = Timestamp::UNIX_EPOCH;
        Wishes { dry_run: false, complete: false, instance, now, operator: "me".to_owned(), caller: None }
    }

    #[test]
    fn without_flags_the_bytes_are_those_of_the_file() {
        let file = include_bytes!("../../../examples/os.json").to_vec();
        assert_eq!(legal(file.clone(), &wishes(None)).unwrap().1, file);
    }

    #[test]
    fn an_older_command_needs_an_instance_to_be_sent_to() {
        let refused = legal(OLDER.to_vec(), &wishes(None)).unwrap_err();
        assert_eq!(refused.faults[0].field, "instance");
        let instance: InstanceName = "PROD".parse().unwrap();
        let (command, bytes) = legal(OLDER.to_vec(), &wishes(Some(&instance))).unwrap();
        assert_eq!(command.instance, instance);
        assert!(String::from_utf8(bytes).unwrap().contains(r#""instance":"PROD""#));
    }

    #[test]
    fn a_completed_example_is_a_new_command_every_time() {
        let file = include_bytes!("../../../examples/os.json").to_vec();
        let complete =
            || legal(file.clone(), &Wishes { complete: true, dry_run: true, ..wishes(None) }).unwrap().0;
        let (first, second) = (complete(), complete());
        assert_ne!(first.command_id, second.command_id);
        assert_ne!(first.trace_id, second.trace_id);
        assert!(first.dry_run && first.requested_by == "me");
    }

    #[test]
    fn a_doubled_key_is_not_settled_by_rewriting() {
        let file = include_bytes!("../../../examples/refused/doubled-key.json").to_vec();
        let refused = legal(file, &Wishes { complete: true, ..wishes(None) }).unwrap_err();
        assert_eq!(refused.faults[0].rule, "must be given once");
    }

    #[test]
    fn the_trace_of_the_command_goes_along() {
        let file = include_bytes!("../../../examples/os.json").to_vec();
        let command = legal(file, &wishes(None)).unwrap().0;
        let text = traceparent(&command, None);
        assert!(text.starts_with(&format!("00-{}-", command.trace_id)) && text.len() == 55, "{text}");
    }

    #[test]
    fn a_completed_command_goes_on_in_the_trace_of_whoever_calls() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let caller = super::super::trace_context::of_caller(&|_| Some(traceparent.to_owned()));
        let file = include_bytes!("../../../examples/os.json").to_vec();
        let wishes = Wishes { complete: true, caller, ..wishes(None) };
        let (command, _) = legal(file.clone(), &wishes).unwrap();
        assert_eq!(command.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(super::traceparent(&command, wishes.caller.as_ref()), traceparent);
        // What the file says of its trace counts.
        let (own, _) = legal(file, &Wishes { complete: false, ..wishes }).unwrap();
        assert_ne!(own.trace_id, command.trace_id);
    }
}
