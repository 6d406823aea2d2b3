//! `instance-router`: takes RemediationCommands in and drives each remediation to its end.

use std::process::ExitCode;

fn main() -> ExitCode {
    instance_chassis::Service::named("router")
        .describe("Takes RemediationCommands in, plans, and drives each remediation to its end.")
        .config::<instance_router::Config>()
        .run(instance_router::run)
}
