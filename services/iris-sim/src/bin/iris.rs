//! `iris`: the command of the real product, for stand-in instances. The same program, called `irisdb`, is their
//! processes.

fn main() -> std::process::ExitCode {
    instance_iris_sim::command::run()
}
