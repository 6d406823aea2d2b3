//! Prometheus' own tools, which read our metrics and rules in tests: a named `promtool`, the one on PATH, or Debian's,
//! installed.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::redis_server::{install_or_say, on_path};

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
    if !install_or_say(&["prometheus"])? {
        return Ok(None);
    }
    on_path("promtool").context("prometheus was installed and promtool is not on PATH").map(Some)
}
