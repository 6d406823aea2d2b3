fn main() -> std::process::ExitCode {
    if let Some(code) = instance_restart_agent::run_iris_for_the_service(std::env::args_os()) {
        return code;
    }
    instance_chassis::Service::named("restart-agent")
        .describe("stops and starts IRIS instances")
        .config::<instance_restart_agent::Config>()
        .run(instance_restart_agent::run)
}
