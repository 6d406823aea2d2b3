//! Which transport a text names.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

use crate::{Folder, Http, Transport};

/// Where messages go or commands come from: `http://host:port/path`, or a folder as a path or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Http(Url),
    Folder(PathBuf),
}

/// A text that names no destination.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDestination {
    #[error("\"{0}\" must be http://host:port/path, or the path of a folder")]
    Form(String),
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
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(form());
        }
        Ok(Self::Folder(PathBuf::from(path)))
    }
}

impl Destination {
    /// The transport to it; `timeout` is for each try over HTTP.
    pub fn transport(&self, timeout: Duration) -> Result<Box<dyn Transport>, InvalidDestination> {
        Ok(match self {
            Self::Http(url) => Box::new(Http::new(url, timeout)?),
            Self::Folder(path) => Box::new(Folder::new(path)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
