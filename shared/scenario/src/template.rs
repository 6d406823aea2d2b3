//! The scenario that somebody begins with: complete, and every key explained.

/// The text of a new scenario file.
pub fn template(name: &str) -> String {
    include_str!("template.toml").replace("@name@", name)
}
