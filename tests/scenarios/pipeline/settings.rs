//! The settings files of the services, as an operator writes them.

use std::{fs, path::Path};

use super::{HOST, INSTANCE, iris::Iris};

/// Lets a test act without waiting for a person, and prove silence in a second.
pub const POLICY: &str = "approve_restarts = false\napprove_dangerous = false\nquiet_seconds = 1\n";

/// What the files of one pipeline have in common.
pub struct Common<'a> {
    pub folder: &'a Path,
    pub url: &'a str,
    pub iris: &'a Iris,
    /// The `iris` program that the agents call.
    pub iris_command: &'a Path,
}

impl Common<'_> {
    fn head(&self) -> String {
        format!("host = \"{HOST}\"\ngrace_seconds = 20\n\n[nats]\nurl = \"{}\"\n", self.url)
    }

    /// An agent, by the name of its folder under `services/`.
    pub fn agent(&self, service: &str) -> String {
        let state = self.folder.join("state");
        let mut text = format!(
            "{}\n[{service}]\niris_command = {:?}\nproc_root = {:?}\nstate_dir = {:?}\nfence_dir = {:?}\n",
            self.head(),
            self.iris_command,
            self.iris.host(),
            state.join(service),
            state.join("fence"),
        );
        if service == "os-agent" {
            let drop_ins = self.folder.join("sysctl.d");
            fs::create_dir_all(&drop_ins).unwrap();
            text.push_str(&format!("sysctl_dir = {drop_ins:?}\n"));
        }
        text.push_str(&format!(
            "\n[[{service}.instances]]\nname = \"{INSTANCE}\"\ncpf = {:?}\nmessages_log = {:?}\n",
            self.iris.cpf_path(),
            self.iris.log_path(),
        ));
        text
    }

    pub fn router(&self, name: &str, policy: &str) -> String {
        format!("{}\n[router]\nname = \"{name}\"\n\n[router.policy]\n{policy}", self.head())
    }

    /// Looks often, so that a test waits little.
    pub fn generator(&self) -> String {
        format!(
            "{}\n[generator]\nstate_dir = {:?}\npoll_ms = 50\nquiet_ms = 200\n\n[[generator.instances]]\nname = \
             \"{INSTANCE}\"\nmessages_log = {:?}\ntime_zone = \"UTC\"\n",
            self.head(),
            self.folder.join("state/generator"),
            self.iris.log_path(),
        )
    }
}
