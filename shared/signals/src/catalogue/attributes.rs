//! What is said of spans and measured values.

use super::{Attribute, Type, Values};

macro_rules! attributes {
    ($($id:ident = $name:literal, $of:ident, $values:expr, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Attribute =
                Attribute { name: $name, of: Type::$of, values: $values, help: $help };
        )*
        /// All of them.
        pub static ALL: &[&Attribute] = &[$(&$id),*];
    };
}

const CODES: Values = Values::FewBy("the kinds of errors in the sources");
const TEMPLATES: Values = Values::FewBy("the table of subjects: ids are replaced by their kinds");
const STREAMS: Values = Values::FewBy("the table of streams");
const NAMES_IN_SETTINGS: Values = Values::FewBy("the settings");

attributes! {
    // Messaging (semantic conventions, Development).
    SYSTEM = "messaging.system", Text, Values::Of(&["nats"]), "the messaging system";
    OPERATION = "messaging.operation.name", Text, Values::Of(&["publish", "process", "ack", "nak", "term"]), "what is done";
    OPERATION_TYPE = "messaging.operation.type", Text, Values::Of(&["send", "process", "settle"]), "what kind of operation that is";
    TEMPLATE = "messaging.destination.template", Text, TEMPLATES, "the subject, with the kind of each id in its place";
    DESTINATION = "messaging.destination.name", Text, Values::Any, "the subject; never an inbox";
    TEMPORARY = "messaging.destination.temporary", Truth, Values::Of(&["true"]), "the subject is an inbox, or not one of ours";
    ANONYMOUS = "messaging.destination.anonymous", Truth, Values::Of(&["true"]), "the subject has no name that means anything";
    SUBSCRIPTION = "messaging.destination.subscription.name", Text, Values::Any, "stream and consumer, as `STREAM/consumer`";
    GROUP = "messaging.consumer.group.name", Text, Values::FewBy("the consumers of one process"), "the durable consumer";
    MESSAGE_ID = "messaging.message.id", Text, Values::Any, "value of the header Nats-Msg-Id";
    CONVERSATION = "messaging.message.conversation_id", Text, Values::Any, "the remediation that the message is about";
    CLIENT_ID = "messaging.client.id", Text, Values::Any, "name of the connection";
    STREAM = "messaging.nats.stream", Text, STREAMS, "the stream that holds the message";
    SEQUENCE = "messaging.nats.sequence", Integer, Values::Any, "place in the stream";
    DELIVERY_COUNT = "messaging.nats.delivery_count", Integer, Values::Any, "how often it was delivered, this time included";
    SERVER_ADDRESS = "server.address", Text, Values::Any, "host of the server; absent with several";
    SERVER_PORT = "server.port", Integer, Values::Any, "port of the server; absent with several";
    ERROR_TYPE = "error.type", Text, CODES, "kind of the failure; absent on success";

    // Our own.
    COMMAND_ID = "instance.command.id", Text, Values::Any, "the command that the work answers";
    REMEDIATION_ID = "instance.remediation.id", Text, Values::Any, "the remediation";
    REMEDIATION_STATUS = "instance.remediation.status", Text, Values::Of(&["success", "undone", "failure", "partial", "dry_run", "refused", "expired"]), "how a remediation ended";
    COMMAND_OUTCOME = "instance.command.outcome", Text, Values::Of(&["accepted", "refused", "unreadable"]), "what became of a command at intake";
    PHASE = "phase", Text, Values::Of(&["detect", "diagnose", "plan", "wait", "execute", "verify"]), "part of the way from the log line to the proof; `wait` is for others, for a person and for messages";
    VERDICT = "instance.verdict", Text, Values::Of(&["verified", "not_fixed"]), "whether the cure was proved";
    APPROVAL = "instance.approval.event", Text, Values::Of(&["asked", "granted", "denied", "expired"]), "what happened to an approval";
    TOOL = "instance.tool", Text, Values::FewBy("the tools of the contract"), "what a step does";
    STEP_STATUS = "instance.step.status", Text, Values::Of(&["success", "failure", "partial", "undone", "skipped", "dry_run", "refused", "unknown"]), "how a step ended";
    SHARD = "instance.shard", Text, Values::FewBy("the number of shards"), "the shard";
    SEVERITY = "instance.severity", Text, Values::Of(&["info", "warning", "severe", "fatal"]), "severity of a message of IRIS";
    DEAD_REASON = "instance.dead_letter.reason", Text, Values::Of(&["unreadable", "refused", "exhausted"]), "why nobody could handle a message";
    INSTANCE = "instance", Text, Values::Any, "the IRIS instance";
    OFFSET = "offset", Integer, Values::Any, "where the entry begins in its log";
    LEVEL = "instance.log.level", Text, Values::Of(&["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]), "level of a log line";
    CACHE_RESULT = "instance.model.cache.result", Text, Values::Of(&["hit", "miss"]), "whether an answer was remembered";
    BREAKER = "instance.breaker.name", Text, NAMES_IN_SETTINGS, "the outside service behind a breaker";
    CHECK = "instance.health.check", Text, Values::Of(&["bus", "drain", "streams"]), "what `/readyz` looks at";
    CALLER = "instance.caller", Text, Values::FewBy("the setting `callers` of the gateway"), "who asks by HTTP";
    ALERT_OUTCOME = "instance.alert.outcome", Text, Values::Of(&["commanded", "repeated", "resolved", "escalated", "ignored"]), "what was made of an alert";

    // HTTP (semantic conventions, Stable).
    HTTP_METHOD = "http.request.method", Text, Values::Of(&["GET", "HEAD", "POST"]), "the method of a request";
    HTTP_ROUTE = "http.route", Text, Values::FewBy("the routes of the gateway"), "the address of a request, with names in the place of ids";
    HTTP_STATUS = "http.response.status_code", Integer, Values::FewBy("the statuses of the OpenAPI document"), "what a request was answered with";

    // Generative AI (semantic conventions, Development).
    AI_OPERATION = "gen_ai.operation.name", Text, Values::Of(&["chat"]), "what a model is asked to do";
    AI_PROVIDER = "gen_ai.provider.name", Text, NAMES_IN_SETTINGS, "whose interface the endpoint speaks";
    AI_MODEL = "gen_ai.request.model", Text, NAMES_IN_SETTINGS, "the model that is asked for";
    AI_TEMPERATURE = "gen_ai.request.temperature", Real, Values::Any, "temperature asked for";
    AI_SEED = "gen_ai.request.seed", Integer, Values::Any, "seed asked for";
    AI_MAX_TOKENS = "gen_ai.request.max_tokens", Integer, Values::Any, "longest answer";
    AI_STREAM = "gen_ai.request.stream", Truth, Values::Of(&["true", "false"]), "whether the answer comes in pieces";
    AI_OUTPUT = "gen_ai.output.type", Text, Values::Of(&["json"]), "form of the answer";
    AI_CONVERSATION = "gen_ai.conversation.id", Text, Values::Any, "the remediation that the question is about";
    AI_RESPONSE_ID = "gen_ai.response.id", Text, Values::Any, "the endpoint's name of the answer";
    AI_RESPONSE_MODEL = "gen_ai.response.model", Text, Values::Any, "the model that answered";
    AI_FINISH = "gen_ai.response.finish_reasons", Texts, Values::Any, "why the answer ended";
    AI_INPUT_TOKENS = "gen_ai.usage.input_tokens", Integer, Values::Any, "tokens of the question";
    AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens", Integer, Values::Any, "tokens of the answer";
    AI_TOKEN_TYPE = "gen_ai.token.type", Text, Values::Of(&["input", "output"]), "which tokens";
    AI_SYSTEM_TEXT = "gen_ai.system_instructions", Text, Values::Any, "instructions, only where contents were asked for";
    AI_INPUT_TEXT = "gen_ai.input.messages", Text, Values::Any, "question, only where contents were asked for";
    AI_OUTPUT_TEXT = "gen_ai.output.messages", Text, Values::Any, "answer, only where contents were asked for";
    OPENAI_API = "openai.api.type", Text, Values::Of(&["chat_completions"]), "which of the endpoint's interfaces";
    OPENAI_FINGERPRINT = "openai.response.system_fingerprint", Text, Values::Any, "state of the endpoint's software";
}
