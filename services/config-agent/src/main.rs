fn main() -> std::process::ExitCode {
    instance_chassis::Service::named("config-agent")
        .describe("changes the CPF of IRIS instances")
        .config::<instance_config_agent::Config>()
        .run(instance_config_agent::run)
}
