//! Prometheus and Alertmanager, which one scenario watches an instance with: those on PATH, or Debian's, installed.

use anyhow::{Result, ensure};

use crate::redis_server::{install_or_say, on_path};

/// Says to the tests that there are none here; they leave out what needs them, aloud.
pub const VARIABLE: &str = "INSTANCE_PROMETHEUS";
pub const NONE: &str = "none";

const PROGRAMS: [&str; 4] = ["prometheus", "promtool", "prometheus-alertmanager", "amtool"];
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];

/// Are they here? On Debian and Ubuntu they are installed, where we may.
pub fn are_here() -> Result<bool> {
    if std::env::var_os(VARIABLE).is_some_and(|said| said == NONE) {
        return Ok(false);
    }
    let all = || PROGRAMS.iter().all(|program| on_path(program).is_some());
    if all() {
        return Ok(true);
    }
    if !install_or_say(&PACKAGES)? {
        return Ok(false);
    }
    ensure!(
        all(),
        "{} were installed, and not all of {} are on PATH",
        PACKAGES.join(", "),
        PROGRAMS.join(", ")
    );
    Ok(true)
}
