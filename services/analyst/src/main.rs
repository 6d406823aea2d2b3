//! `instance-analyst`: from the entries of a log to a command, a person, or nothing.

use std::process::ExitCode;

fn main() -> ExitCode {
    instance_chassis::Service::named("analyst")
        .describe("Makes incidents of the entries of a log, and decides: a command, a person, or nothing.")
        .config::<instance_analyst::Config>()
        .run(instance_analyst::run)
}
