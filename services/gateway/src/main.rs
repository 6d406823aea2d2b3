//! `instance-gateway`: HTTP for people and other systems.

use std::process::ExitCode;

fn main() -> ExitCode {
    instance_chassis::Service::named("gateway")
        .describe("HTTP for people and other systems: alerts and commands in, what became of them out.")
        .config::<instance_gateway::Config>()
        .run(instance_gateway::run)
}
