fn main() -> std::process::ExitCode {
    if let Some(code) = instance_os_agent::write_for_the_service(std::env::args_os()) {
        return code;
    }
    instance_chassis::Service::named("os-agent")
        .describe("changes what the operating system gives IRIS")
        .config::<instance_os_agent::Config>()
        .run(instance_os_agent::run)
}
