fn main() -> std::process::ExitCode {
    instance_chassis::Service::named("os-agent")
        .describe("changes what the operating system gives IRIS")
        .config::<instance_os_agent::Config>()
        .run(instance_os_agent::run)
}
