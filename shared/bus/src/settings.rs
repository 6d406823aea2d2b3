//! Where NATS is and who we are there: settings beat environment beats the context files of the `nats` command.

mod context_file;

use std::{fmt, path::PathBuf};

use serde::Deserialize;

use context_file::Context;

/// Where nothing says otherwise.
const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// The connection to NATS. Whatever is left unset comes from the environment (`NATS_URL`, `NATS_CREDS`, `NATS_NKEY`,
/// `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CA`, `NATS_CERT`, `NATS_KEY`, `NATS_CONTEXT`), then from a
/// context of the `nats` command.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// One or more server addresses, separated by commas. Default: `nats://127.0.0.1:4222`.
    pub url: Option<String>,
    /// Name of a context of the `nats` command. Default: none named; the selected one is used only when neither
    /// settings nor environment name a server.
    pub context: Option<String>,
    /// Credentials file (user JWT and seed). Default: none.
    pub creds: Option<PathBuf>,
    /// File that holds a user's nkey seed (`SU...`). Default: none.
    pub nkey: Option<PathBuf>,
    /// User name; the password is in `password_file`. Default: none.
    pub user: Option<String>,
    /// File that holds the password of `user`. Default: none.
    pub password_file: Option<PathBuf>,
    /// File that holds a token. Default: none.
    pub token_file: Option<PathBuf>,
    /// File with the certificates of the authorities to trust. Default: those of the system.
    pub tls_ca: Option<PathBuf>,
    /// File with our own certificate. Default: none.
    pub tls_cert: Option<PathBuf>,
    /// File with the key of our own certificate. Default: none.
    pub tls_key: Option<PathBuf>,
    /// Name of the connection as the server shows it. Default: the service's name.
    pub name: Option<String>,
    /// Prefix of the subjects on which replies come, so that roles cannot read each other's. Default: `_INBOX`.
    pub inbox_prefix: Option<String>,
}

/// Settings with everything filled in that environment and contexts know.
#[derive(Clone)]
pub struct Resolved {
    pub(crate) urls: Vec<String>,
    pub(crate) creds: Option<PathBuf>,
    pub(crate) nkey: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_first: bool,
    pub(crate) name: Option<String>,
    pub(crate) inbox_prefix: Option<String>,
}

/// Settings of the bus that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    #[error("could not read {what} \"{path}\"")]
    Read {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("NATS context \"{path}\" is not legal")]
    Context {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("\"{name}\" is not a name of a NATS context")]
    ContextName { name: String },
    #[error("bus settings name user \"{user}\" without a password_file")]
    NoPassword { user: String },
    #[error("bus settings name no server")]
    NoServer,
    #[error("could not tell where NATS contexts are kept: neither XDG_CONFIG_HOME nor HOME is set")]
    NoConfigFolder,
}

impl Settings {
    /// Fills in what settings leave unset, and reads the files that hold a password, a token or a context.
    pub fn resolve(self, env: &dyn Fn(&str) -> Option<String>) -> Result<Resolved, InvalidSettings> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let path = |name: &str| env(name).map(PathBuf::from);
        let url = self.url.or_else(|| env("NATS_URL"));
        let context = Context::choose(self.context.or_else(|| env("NATS_CONTEXT")), url.is_some(), &env)?;
        let password = secret("password file", self.password_file)?;
        let user = self.user.or_else(|| env("NATS_USER")).or(context.user);
        let resolved = Resolved {
            urls: split_urls(url.or(context.url).as_deref().unwrap_or(DEFAULT_URL)),
            creds: self.creds.or_else(|| path("NATS_CREDS")).or(context.creds),
            nkey: self.nkey.or_else(|| path("NATS_NKEY")).or(context.nkey),
            password: password.or_else(|| env("NATS_PASSWORD")).or(context.password),
            token: secret("token file", self.token_file)?.or_else(|| env("NATS_TOKEN")).or(context.token),
            tls_ca: self.tls_ca.or_else(|| path("NATS_CA")).or(context.ca),
            tls_cert: self.tls_cert.or_else(|| path("NATS_CERT")).or(context.cert),
            tls_key: self.tls_key.or_else(|| path("NATS_KEY")).or(context.key),
            tls_first: context.tls_first,
            inbox_prefix: self.inbox_prefix.or(context.inbox_prefix),
            name: self.name,
            user,
        };
        match (&resolved.user, &resolved.password) {
            (Some(user), None) => Err(InvalidSettings::NoPassword { user: user.clone() }),
            _ if resolved.urls.is_empty() => Err(InvalidSettings::NoServer),
            _ => Ok(resolved),
        }
    }
}

impl Resolved {
    /// A server without any credentials.
    pub fn at(url: &str) -> Self {
        Self {
            urls: split_urls(url),
            creds: None,
            nkey: None,
            user: None,
            password: None,
            token: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            tls_first: false,
            name: None,
            inbox_prefix: None,
        }
    }

    /// Passwords and tokens, of files and of addresses: what must never be told.
    pub fn secrets(&self) -> Vec<String> {
        let given = [&self.password, &self.token].into_iter().flatten().cloned();
        let in_address = |url: &String| {
            let authority = url.split_once("://").map_or(&**url, |(_, rest)| rest);
            let (user, _) = authority.rsplit_once('@')?;
            Some(user.split_once(':').map_or(user, |(_, password)| password).to_owned())
        };
        given.chain(self.urls.iter().filter_map(in_address)).collect()
    }

    /// The addresses, without user names and passwords.
    pub fn servers(&self) -> String {
        masked(&self.urls)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.url.as_deref().map(split_urls).map(|urls| masked(&urls));
        f.debug_struct("Settings")
            .field("url", &servers)
            .field("context", &self.context)
            .field("creds", &self.creds)
            .field("nkey", &self.nkey)
            .field("user", &self.user)
            .field("password_file", &self.password_file)
            .field("token_file", &self.token_file)
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &self.tls_key)
            .field("name", &self.name)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "(hidden)");
        f.debug_struct("Resolved")
            .field("urls", &masked(&self.urls))
            .field("creds", &self.creds)
            .field("nkey", &self.nkey)
            .field("user", &self.user)
            .field("password", &hidden(&self.password))
            .field("token", &hidden(&self.token))
            .field("tls_ca", &self.tls_ca)
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &self.tls_key)
            .field("tls_first", &self.tls_first)
            .field("name", &self.name)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}

fn split_urls(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

fn masked(urls: &[String]) -> String {
    urls.iter().map(|url| without_user(url)).collect::<Vec<_>>().join(", ")
}

/// `nats://user:secret@host:4222` as `nats://host:4222`.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn secret(what: &'static str, path: Option<PathBuf>) -> Result<Option<String>, InvalidSettings> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(source) => Err(InvalidSettings::Read { what, path, source }),
    }
}

#[cfg(test)]
mod tests;
