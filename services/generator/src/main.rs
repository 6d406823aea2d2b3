//! `instance-generator`: publishes IRIS messages.

fn main() -> std::process::ExitCode {
    instance_chassis::Service::named("generator")
        .describe("publishes IRIS messages: tails messages.log, replays a file, or invents trouble")
        .config::<instance_generator::Config>()
        .run(instance_generator::run)
}
