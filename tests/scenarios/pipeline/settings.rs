//! The settings files of the services, as an operator writes them.

use std::{fs, path::Path};

use super::{HOST, INSTANCE, iris::Iris};

/// Lets a test act without waiting for a person, and prove silence in a second.
pub const POLICY: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 1\n\
    restarts_per_hour = 60\nminutes_between_restarts = 0\n";

/// What the files of one pipeline have in common.
pub struct Common<'a> {
    pub folder: &'a Path,
    pub url: &'a str,
    pub iris: &'a Iris,
    /// The `iris` program that the agents call.
    pub iris_command: &'a Path,
}

impl Common<'_> {
    /// An agent, by the name of its folder under `services/`.
    pub fn agent(&self, service: &str) -> String {
        let mut lines = vec![
            self.head(),
            format!("[{service}]"),
            path("iris_command", self.iris_command),
            path("proc_root", &self.iris.host()),
            path("state_dir", &self.folder.join("state").join(service)),
            path("fence_dir", &self.folder.join("state/fence")),
        ];
        if service == "restart-agent" {
            lines.push("restarts_per_hour = 60\nminutes_between_restarts = 0".to_owned());
        }
        if service == "os-agent" {
            let drop_ins = self.folder.join("sysctl.d");
            fs::create_dir_all(&drop_ins).unwrap();
            lines.push(path("sysctl_dir", &drop_ins));
        }
        lines.extend([
            format!("[[{service}.instances]]"),
            format!("name = \"{INSTANCE}\""),
            path("cpf", &self.iris.cpf_path()),
            path("messages_log", &self.iris.log_path()),
        ]);
        lines.join("\n")
    }

    pub fn router(&self, name: &str, policy: &str) -> String {
        format!("{}\n[router]\nname = \"{name}\"\n\n[router.policy]\n{policy}", self.head())
    }

    /// Its one caller is `tests`; the token is in the file `token`.
    pub fn gateway(&self, token: &str, may: &[&str]) -> String {
        let file = self.folder.join("token");
        fs::write(&file, token).unwrap();
        let lines = [
            self.head(),
            "[gateway]\nlisten = \"127.0.0.1:0\"".to_owned(),
            "[[gateway.callers]]\nname = \"tests\"".to_owned(),
            path("token_file", &file),
            format!("may = {may:?}"),
        ];
        lines.join("\n")
    }

    /// Looks often, so that a test waits little.
    pub fn generator(&self) -> String {
        let lines = [
            self.head(),
            "[generator]".to_owned(),
            path("state_dir", &self.folder.join("state/generator")),
            "poll_ms = 50".to_owned(),
            "quiet_ms = 200".to_owned(),
            "[[generator.instances]]".to_owned(),
            format!("name = \"{INSTANCE}\""),
            path("messages_log", &self.iris.log_path()),
            "time_zone = \"UTC\"".to_owned(),
        ];
        lines.join("\n")
    }

    pub fn analyst(&self) -> String {
        format!("{}\n[analyst]\n", self.head())
    }

    fn head(&self) -> String {
        format!("host = \"{HOST}\"\ngrace_seconds = 20\n\n[nats]\nurl = \"{}\"\n", self.url)
    }
}

fn path(key: &str, value: &Path) -> String {
    format!("{key} = \"{}\"", value.display())
}
