//! Does somebody listen there?

use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};

const PATIENCE: Duration = Duration::from_secs(2);

/// Host and port of a URL, without what may be secret in it. `None`: it names no host.
pub fn address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        return None;
    }
    // The colons of an address of IPv6 stand in brackets.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
}

/// Connects, and says why that failed.
pub async fn connect(address: &str) -> Result<(), String> {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_a_url_leads_to() {
        for (url, told) in [
            ("http://collector:4318/v1", Some("collector:4318")),
            ("https://models.example/v1", Some("models.example:443")),
            ("http://user:secret@people?key=1", Some("people:80")),
            ("http://[::1]:4318", Some("[::1]:4318")),
            ("collector:4318", Some("collector:4318")),
            ("http:///x", None),
            ("", None),
        ] {
            assert_eq!(address(url).as_deref(), told, "{url}");
        }
    }
}
