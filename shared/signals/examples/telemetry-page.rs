//! Prints `docs/telemetry.md`; `cargo xtask generate` runs it.

fn main() {
    print!("{}", instance_signals::page());
}
