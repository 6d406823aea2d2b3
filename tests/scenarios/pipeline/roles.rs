//! The roles of the bus: a key for each by `instance bus keys`, and a server that lets each do what its work needs and no more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use async_nats::ConnectOptions;
use instance_bus::Resolved;
use instance_testkit::NatsServer;
use serde_json::Value;

use super::{HOST, programs};

/// Who looks at everything from beside, as the test itself does; no role of the product.
const WATCHER: &str = "watcher:that-looks-on"; // pragma: allowlist secret

/// Keys in a folder, and the server's settings that know them.
pub struct Roles {
    folder: PathBuf,
    pub names: Vec<String>,
    accounts: String,
}

impl Roles {
    /// Draws them for agents on the host `db1` of the shipped file.
    pub fn drawn(folder: &Path) -> Self {
        Self::drawn_with(folder, &[])
    }

    fn drawn_with(folder: &Path, words: &[&str]) -> Self {
        let mut keys = programs::command("instance");
        let keys = keys.args(["bus", "keys", "--json", "--dir"]).arg(folder).args(words).output().unwrap();
        assert!(keys.status.success(), "{}", String::from_utf8_lossy(&keys.stderr));
        let told: Value = serde_json::from_slice(&keys.stdout).unwrap();
        let rows = told["roles"].as_array().unwrap();
        let names = rows.iter().map(|role| role["role"].as_str().unwrap().to_owned()).collect();
        let settings = fs::read_to_string(folder.join("nats.conf")).unwrap();
        // Address and store are the test's own; the accounts are what is tried.
        let accounts = settings[settings.find("accounts {").unwrap()..].to_owned();
        Self { folder: folder.to_owned(), names, accounts }
    }

    /// The same for the host of a pipeline, with somebody beside who sees everything.
    pub fn watched(folder: &Path) -> Self {
        let mut roles = Self::drawn_with(folder, &["--host", HOST]);
        let (user, password) = WATCHER.split_once(':').unwrap();
        let watcher = format!("users: [\n      {{ user: {user}, password: \"{password}\" }}\n");
        assert!(roles.accounts.contains("users: [\n"));
        roles.accounts = roles.accounts.replacen("users: [\n", &watcher, 1);
        roles
    }

    /// A server that knows them, laid out by the installer.
    pub fn server(&self) -> NatsServer {
        let server = NatsServer::start_with(&self.accounts);
        let mut init = programs::command("instance");
        init.env("HOME", &self.folder).args(["--nats", &server.url(), "bus", "init"]);
        self.hand_to(&mut init, "installer");
        let output = init.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server
    }

    /// How the one who looks on comes in, with our client of the bus and with any other.
    pub fn watcher(server: &NatsServer) -> (Resolved, ConnectOptions) {
        let (user, password) = WATCHER.split_once(':').unwrap();
        let variable = |name: &str| match name {
            "NATS_URL" => Some(server.url()),
            "NATS_USER" => Some(user.to_owned()),
            "NATS_PASSWORD" => Some(password.to_owned()),
            "HOME" => Some("/nowhere".to_owned()),
            _ => None,
        };
        let ours = instance_bus::Settings::default().resolve(&variable).unwrap();
        (ours, ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()))
    }

    pub fn key(&self, role: &str) -> PathBuf {
        self.folder.join(format!("{role}.nk"))
    }

    /// The variables that `instance bus keys` tells to set. An agent is found by its kind: its name may end in its host.
    pub fn hand_to(&self, command: &mut Command, role: &str) {
        let on_a_host = format!("{role}-");
        let name = self.names.iter().find(|name| *name == role || name.starts_with(&on_a_host));
        let name = name.unwrap_or_else(|| panic!("no role {role} among {:?}", self.names));
        command.env("INSTANCE_NATS__NKEY", self.key(name));
        command.env("INSTANCE_NATS__INBOX_PREFIX", format!("_INBOX_{name}"));
    }
}
