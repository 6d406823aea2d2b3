fn main() -> std::process::ExitCode {
    instance_chassis::Service::named("restart-agent")
        .describe("stops and starts IRIS instances")
        .config::<instance_restart_agent::Config>()
        .run(instance_restart_agent::run)
}
