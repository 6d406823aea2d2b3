//! Prometheus' own tools, which read our metrics and rules in tests: a named `promtool`, the one on PATH, or Debian's,
//! installed.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::redis_server::{apt_get_of_root, install, on_path};

/// Names the program explicitly; the tests read it too.
pub const VARIABLE: &str = "INSTANCE_PROMTOOL";

/// What the tests are told where there is none: they say so aloud.
pub const NONE: &str = "none";

/// `promtool`. On Debian and Ubuntu a missing one is installed with its server, where we may; `None` where we may not.
pub fn find() -> Result<Option<PathBuf>> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        if named == NONE {
            return Ok(None);
        }
        let named = PathBuf::from(named);
        if !named.is_file() {
            bail!("{VARIABLE} names \"{}\", and that is no file", named.display());
        }
        return Ok(Some(named));
    }
    if let Some(found) = on_path("promtool") {
        return Ok(Some(found));
    }
    let Some(apt_get) = apt_get_of_root() else {
        eprintln!(
            "xtask: there is no promtool here, so nobody but us reads our metrics and rules; install it (Debian and Ubuntu: \
             apt-get install prometheus) or name one with {VARIABLE}=/path/to/promtool"
        );
        return Ok(None);
    };
    install(&apt_get, "prometheus")?;
    on_path("promtool").context("prometheus was installed and promtool is not on PATH").map(Some)
}
