//! What the machine is doing, for whoever reads absolute figures.

/// Processors and load, as one line.
pub fn line() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{processors} processors, load {}", load.split(' ').next().unwrap_or("unknown"))
}
