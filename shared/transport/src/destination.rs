//! Which transport a text names.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use instance_contract::subject::Subject;
use reqwest::Url;

use crate::http::without_password;
use crate::{Folder, Http, Queue, Transport};

/// Where messages go or commands come from: `http://host:port/path`, `nats://host:port/subject` (messages only), or a
/// folder as a path or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Http(Url),
    /// A subject that a stream of that server keeps.
    Nats {
        /// Without the subject; a user name and a password may stand in it.
        server: Url,
        subject: Subject,
    },
    Folder(PathBuf),
}

/// A text that names no destination.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDestination {
    #[error("\"{0}\" must be http://host:port/path, nats://host:port/subject, or the path of a folder")]
    Form(String),
    #[error(
        "\"{0}\": what follows the host must be one subject without * and >, and none that begins with \"instance.\" or \"$\""
    )]
    Subject(String),
    #[error(
        "\"{0}\": commands on NATS go to the router by themselves; a source is http://host:port/path, or a folder"
    )]
    NoSource(String),
    #[error(
        "\"{0}\": TLS is not spoken here; let a proxy beside this process do it, and name it with http://"
    )]
    Tls(String),
    #[error("could not make an HTTP client")]
    Client {
        #[source]
        source: reqwest::Error,
    },
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let form = || InvalidDestination::Form(text.to_owned());
        if text.starts_with("https://") {
            return Err(InvalidDestination::Tls(text.to_owned()));
        }
        if text.starts_with("http://") {
            return Url::parse(text).map(Self::Http).map_err(|_| form());
        }
        if text.starts_with("nats://") {
            return nats(text);
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(form());
        }
        Ok(Self::Folder(PathBuf::from(path)))
    }
}

impl Destination {
    /// The transport to it; `timeout` is for each try over HTTP. Nothing is reached for yet.
    pub fn transport(&self, timeout: Duration) -> Result<Box<dyn Transport>, InvalidDestination> {
        Ok(match self {
            Self::Http(url) => Box::new(Http::new(url, timeout)?),
            Self::Nats { server, subject } => Box::new(Queue::new(server, subject)),
            Self::Folder(path) => Box::new(Folder::new(path)),
        })
    }
}

/// The subject is what a URL calls its path; a message must not come back to the log that it was read from.
fn nats(text: &str) -> Result<Destination, InvalidDestination> {
    let form = || InvalidDestination::Form(shown(text));
    let mut server = Url::parse(text).map_err(|_| form())?;
    if server.host_str().is_none_or(str::is_empty) || server.query().is_some() || server.fragment().is_some()
    {
        return Err(form());
    }
    let subject = Subject::foreign(server.path().trim_start_matches('/'));
    let subject = subject
        .filter(|subject| !subject.as_str().contains(['/', '%']))
        .ok_or_else(|| InvalidDestination::Subject(shown(text)))?;
    server.set_path("");
    Ok(Destination::Nats { server, subject })
}

/// A password in it is told to nobody.
fn shown(text: &str) -> String {
    Url::parse(text).map_or_else(|_| text.to_owned(), |url| without_password(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_of_another_server_is_a_destination_and_our_own_are_not() {
        let of = |text: &str| text.parse::<Destination>();
        let Ok(Destination::Nats { server, subject }) = of("nats://me:s3cret@[::1]:4222/alerts.iris") else {
            panic!("a queue")
        };
        let known = "nats://me:s3cret@[::1]:4222"; // pragma: allowlist secret
        assert_eq!((server.as_str(), subject.as_str()), (known, "alerts.iris"));
        for bad in [
            "nats://",
            "nats:///alerts",
            "nats://h:4222",
            "nats://h:4222/",
            "nats://h/a.*",
            "nats://h/a.>",
            "nats://h/a..b",
            "nats://h/a b",
            "nats://h/a/b",
            "nats://h/a?x=1",
            "nats://h/$JS.API.INFO",
            "nats://h/instance.v1.error.a.b.severe",
        ] {
            let told = of(bad).unwrap_err();
            let named = matches!(told, InvalidDestination::Form(_) | InvalidDestination::Subject(_));
            assert!(named, "{bad}: {told}");
        }
        let told = of("nats://me:s3cret@h/a.*").unwrap_err().to_string();
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn urls_and_paths_are_told_apart_and_the_rest_is_refused() {
        let of = |text: &str| text.parse::<Destination>();
        assert!(matches!(of("http://127.0.0.1:9/in"), Ok(Destination::Http(_))));
        assert!(matches!(of("file:///var/out"), Ok(Destination::Folder(path)) if path.starts_with("/var")));
        assert!(matches!(of("out"), Ok(Destination::Folder(_))));
        for bad in ["", "ftp://x/", "http://", "https://x/"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
