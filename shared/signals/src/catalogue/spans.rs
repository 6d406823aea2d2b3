//! What is traced.

use super::attributes::{
    AI_CONVERSATION, AI_FINISH, AI_INPUT_TEXT, AI_INPUT_TOKENS, AI_MAX_TOKENS, AI_MODEL, AI_OPERATION, AI_OUTPUT,
    AI_OUTPUT_TEXT, AI_OUTPUT_TOKENS, AI_PROVIDER, AI_RESPONSE_ID, AI_RESPONSE_MODEL, AI_SEED, AI_STREAM,
    AI_SYSTEM_TEXT, AI_TEMPERATURE, ANONYMOUS, CLIENT_ID, COMMAND_ID, CONVERSATION, DELIVERY_COUNT, DESTINATION,
    ERROR_TYPE, GROUP, INSTANCE, MESSAGE_ID, OFFSET, OPENAI_API, OPENAI_FINGERPRINT, OPERATION, OPERATION_TYPE,
    SEQUENCE, SERVER_ADDRESS, SERVER_PORT, STREAM, SUBSCRIPTION, SYSTEM, TEMPLATE, TEMPORARY,
};
use super::{Span, SpanKind};

/// All of them.
pub static ALL: &[Span] = &[
    Span {
        name: "publish {messaging.destination.template}",
        kind: SpanKind::Producer,
        told_by: "every service",
        help: "One message, until the stream has it or it is sent",
        relation: "child of what is under way; its context goes with the message",
        always: &[&SYSTEM, &OPERATION, &OPERATION_TYPE, &TEMPLATE, &DESTINATION, &CLIENT_ID],
        sometimes: &[&MESSAGE_ID, &CONVERSATION, &SERVER_ADDRESS, &SERVER_PORT, &ERROR_TYPE],
    },
    Span {
        name: "publish",
        kind: SpanKind::Producer,
        told_by: "every service",
        help: "One message to an inbox, or to a subject that is not ours",
        relation: "as above",
        always: &[&SYSTEM, &OPERATION, &OPERATION_TYPE, &TEMPORARY, &ANONYMOUS, &CLIENT_ID],
        sometimes: &[&MESSAGE_ID, &SERVER_ADDRESS, &SERVER_PORT, &ERROR_TYPE],
    },
    Span {
        name: "process {messaging.destination.template}",
        kind: SpanKind::Consumer,
        told_by: "every service",
        help: "Handling one message, or answering one question",
        relation: "child of the span that published the message, and linked to it",
        always: &[&SYSTEM, &OPERATION, &OPERATION_TYPE, &TEMPLATE, &DESTINATION, &CLIENT_ID],
        sometimes: &[
            &SUBSCRIPTION, &GROUP, &MESSAGE_ID, &CONVERSATION, &STREAM, &SEQUENCE, &DELIVERY_COUNT, &SERVER_ADDRESS,
            &SERVER_PORT, &ERROR_TYPE,
        ],
    },
    Span {
        name: "request {messaging.destination.template}",
        kind: SpanKind::Internal,
        told_by: "router, cli",
        help: "A question and its answer, there and back; the question itself is a `publish` below it",
        relation: "child of what is under way",
        always: &[],
        sometimes: &[&ERROR_TYPE],
    },
    Span {
        name: "observe entry",
        kind: SpanKind::Internal,
        told_by: "generator",
        help: "An entry of messages.log, read and published",
        relation: "root: the story of an incident begins here",
        always: &[&INSTANCE, &OFFSET],
        sometimes: &[],
    },
    Span {
        name: "replay entry",
        kind: SpanKind::Internal,
        told_by: "generator",
        help: "An entry of an old log, published again",
        relation: "root",
        always: &[&OFFSET],
        sometimes: &[],
    },
    Span {
        name: "continue remediation",
        kind: SpanKind::Internal,
        told_by: "router",
        help: "A remediation that goes on without a message: by time, or under a new owner",
        relation: "child of the span that accepted it, from the log",
        always: &[&COMMAND_ID],
        sometimes: &[],
    },
    Span {
        name: "orchestrate",
        kind: SpanKind::Internal,
        told_by: "cli",
        help: "A command sent by a person, and the wait for its end",
        relation: "child of the trace context that the command carries",
        always: &[],
        sometimes: &[],
    },
    Span {
        name: "replay",
        kind: SpanKind::Internal,
        told_by: "cli",
        help: "A dead letter, published again",
        relation: "root of a new trace, linked to the span that published the original",
        always: &[],
        sometimes: &[],
    },
    Span {
        name: "{gen_ai.operation.name} {gen_ai.request.model}",
        kind: SpanKind::Client,
        told_by: "whoever asks a model",
        help: "One question to one model, all its tries included",
        relation: "child of what is under way",
        always: &[
            &AI_OPERATION, &AI_PROVIDER, &AI_MODEL, &AI_TEMPERATURE, &AI_SEED, &AI_MAX_TOKENS, &AI_STREAM, &AI_OUTPUT,
            &OPENAI_API, &SERVER_ADDRESS, &SERVER_PORT,
        ],
        sometimes: &[
            &AI_CONVERSATION, &AI_RESPONSE_ID, &AI_RESPONSE_MODEL, &AI_FINISH, &AI_INPUT_TOKENS, &AI_OUTPUT_TOKENS,
            &OPENAI_FINGERPRINT, &AI_SYSTEM_TEXT, &AI_INPUT_TEXT, &AI_OUTPUT_TEXT, &ERROR_TYPE,
        ],
    },
];
