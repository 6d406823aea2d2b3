//! This machine: the `iris` program, and what we may do.

use std::{io, process::Stdio, time::Duration};

use nix::unistd::{AccessFlags, access, geteuid};
use tokio::process::Command;

use super::Check;

/// `iris list` reads a registry; longer means that something hangs.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// Stands for all kernel parameters.
const KERNEL_PARAMETER: &str = "/proc/sys/vm/swappiness";

/// Does the `iris` program answer? A machine without one is fine unless it was named.
pub async fn iris_command(named: Option<&str>) -> Check {
    const NAME: &str = "iris command";
    let program = named.unwrap_or("iris");
    let mut list = Command::new(program);
    list.arg("list").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    match tokio::time::timeout(LIST_LIMIT, list.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let count = text.lines().filter(|line| line.starts_with("Configuration '")).count();
            Check::ok(NAME, format!("\"{program}\" works, {count} instances on this machine"))
        }
        Ok(Ok(output)) => {
            let detail = format!("\"{program} list\" ended with {}", output.status);
            Check::fail(NAME, detail, "run it by hand to see why")
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            let next = "fine where no IRIS runs; else name it with --iris-command";
            Check::warn(NAME, "no program \"iris\" on this machine", next)
        }
        Ok(Err(error)) => {
            Check::fail(NAME, format!("could not run \"{program}\": {error}"), "name another program")
        }
        Err(_) => {
            let detail = format!("\"{program} list\" gave no answer within {LIST_LIMIT:?}");
            Check::fail(NAME, detail, "an instance may hang; see `iris qlist`")
        }
    }
}

/// What the agents could do if they ran as we do.
pub fn rights() -> Vec<Check> {
    let root = geteuid().is_root();
    let user = if root {
        Check::ok("user", "root")
    } else {
        let next = "config-agent and restart-agent run as the owner of IRIS, os-agent as root";
        Check::warn("user", format!("uid {}, not root", geteuid()), next)
    };
    let kernel = if access(KERNEL_PARAMETER, AccessFlags::W_OK).is_ok() {
        Check::ok("kernel", "parameters can be written")
    } else {
        let next = "os-agent needs root and a writable /proc/sys (containers: --privileged)";
        Check::warn("kernel", format!("\"{KERNEL_PARAMETER}\" cannot be written"), next)
    };
    vec![user, kernel]
}
