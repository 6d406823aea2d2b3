//! What happens to the whole pipeline, one file a kind of incident.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be driven has failed")]

mod pipeline; // Read this first: the processes, and what can be seen of them from outside.

mod otlp; // What they export.

mod alert_kinds;
mod audited;
mod closed_loop;
mod drained;
mod dry_run;
mod fewest_restarts;
mod fix;
mod gateway;
mod in_turn;
mod killed_midway;
mod led_astray;
mod monitored;
mod observed;
mod one_trace;
mod restarts;
mod roles;
mod routed;
mod scraped;
mod telemetry;
mod twelve;
mod unwound;
mod up;

mod bad_input;
mod chaos;
mod chaos_toolkit;
mod chart;
mod generator_once;
mod outside;

mod command_line;
mod inbox;
mod mistakes;
mod model_desk;
mod operator;
mod plain_client;

mod asyncapi;
mod permissions;
mod readme;
mod secrets;
mod settings;
mod teams;
