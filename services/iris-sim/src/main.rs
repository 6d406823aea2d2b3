//! `instance-iris-sim`: makes stand-in instances and breaks them.

fn main() -> std::process::ExitCode {
    instance_iris_sim::tool::run()
}
