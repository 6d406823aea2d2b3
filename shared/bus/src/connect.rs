//! One connection to NATS: how it is made, kept and watched.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event,
    jetstream::{self, context::ContextBuilder},
};
use instance_clock::Clock;
use tokio::{sync::watch, time::Instant};

use crate::{BusError, Resolved};

/// Subject transforms that assign shards, consumer create with several filters, stream metadata.
const OLDEST_SERVER: (u64, u64) = (2, 10);
const OLDEST_SERVER_TEXT: &str = "2.10";
/// With the default of 60 s a frozen server is noticed after up to three minutes, with this after 6 s.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait for any answer of the server.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// An election takes 4 to 9 s; what is "not there" for longer is really not there.
pub(crate) const UNAVAILABLE_FOR: Duration = Duration::from_secs(16);
/// More would say nothing new.
const MOST_REFUSALS: usize = 16;
const SLOWEST_RECONNECT: Duration = Duration::from_secs(4);

/// A connection to NATS. Clones share it.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) server: Arc<Server>,
}

/// What we know of the other side.
#[derive(Debug)]
pub(crate) struct Server {
    /// Addresses without user names.
    pub(crate) addresses: String,
    /// Host and port when there is only one address; only then do we know where we are connected.
    pub(crate) only: Option<(String, u16)>,
    /// Name of this connection.
    pub(crate) connection: String,
    pub(crate) links: Arc<Links>,
}

/// How often the link has broken and was made anew. What was asked over a broken one is never answered over the next.
#[derive(Debug, Default)]
pub(crate) struct Links {
    broken: watch::Sender<u64>,
    renewed: watch::Sender<u64>,
    refused: Mutex<Vec<String>>,
}

impl Links {
    /// Changes whenever the link has been made anew, from now on.
    pub(crate) fn renewed(&self) -> watch::Receiver<u64> {
        self.renewed.subscribe()
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Disconnected => self.broken.send_modify(|times| *times += 1),
            Event::Connected => {
                // The first connection comes without a break.
                self.renewed.send_if_modified(|times| {
                    let broken = *self.broken.borrow();
                    std::mem::replace(times, broken) != broken
                });
            }
            Event::ServerError(error) if is_refusal(error) => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                let told = error.to_string();
                if refused.len() < MOST_REFUSALS && !refused.contains(&told) {
                    refused.push(told);
                }
            }
            _ => {}
        }
    }
}

/// The server says so beside the answers, and whoever waits for one is left to wait.
fn is_refusal(error: &async_nats::ServerError) -> bool {
    error.to_string().to_lowercase().contains("permission")
}

impl Bus {
    /// Connects, and refuses a server that is too old. Fails at once when nobody answers.
    pub async fn connect(settings: &Resolved, name: &str, clock: Arc<dyn Clock>) -> Result<Self, BusError> {
        let servers = settings.servers();
        let name = settings.name.as_deref().unwrap_or(name);
        let links = Arc::new(Links::default());
        let options = options(settings, name, &servers, &links).await?;
        let client =
            options.connect(settings.urls.clone()).await.map_err(|error| connect_error(&servers, error))?;
        let jetstream =
            ContextBuilder::new().timeout(ANSWER_TIMEOUT).ack_timeout(ANSWER_TIMEOUT).build(client.clone());
        let server = Server {
            only: only_address(&settings.urls),
            connection: name.to_owned(),
            addresses: servers,
            links,
        };
        let bus = Self { client, jetstream, clock, server: Arc::new(server) };
        bus.refuse_old_server()?;
        Ok(bus)
    }

    /// Connects, trying again for as long as nobody answers and `patience` lasts.
    pub async fn connect_waiting(
        settings: &Resolved,
        name: &str,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Result<Self, BusError> {
        let deadline = Instant::now() + patience;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match Self::connect(settings, name, clock.clone()).await {
                Err(error) if error.is_unreachable() && Instant::now() < deadline => {
                    tracing::debug!(servers = settings.servers(), attempt, "NATS does not answer yet");
                    let pause = reconnect_delay(attempt).max(Duration::from_millis(100));
                    tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Version of the server that we are connected to, e.g. `2.15.1`.
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Addresses that we were told to connect to, without user names and passwords.
    pub fn servers(&self) -> &str {
        &self.server.addresses
    }

    /// True while the connection is up, as far as we know.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// What the server has refused this connection so far, in its words, each once. A request that was refused is not
    /// answered: what times out may stand here.
    pub fn refusals(&self) -> Vec<String> {
        self.server.links.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the server for a round trip: everything published before has reached it when this is `Ok`.
    /// Needs the right to publish to subjects of the own inbox prefix.
    pub async fn flush(&self) -> Result<(), BusError> {
        // The client's own flush only waits for the local write. The server answers nobody's subject at once with
        // "no responders", in order, after everything that was written before.
        let nobody = self.client.new_inbox();
        let request = async_nats::Request::new().timeout(Some(ANSWER_TIMEOUT));
        match self.answered(self.client.send_request(nobody, request)).await {
            Some(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => Ok(()),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(BusError::failed("flush", "the connection to NATS", error)),
            None => {
                Err(BusError::NoAnswer { operation: "flush", thing: "the connection to NATS".to_owned() })
            }
        }
    }

    /// Takes nothing new, sends what is waiting, and closes the connection. For the very end of a process.
    pub async fn drain(&self) -> Result<(), BusError> {
        let flushed = self.flush().await;
        self.client
            .drain()
            .await
            .map_err(|error| BusError::failed("drain", "the connection to NATS", error))?;
        flushed
    }

    /// `None` when nothing came back in time, or nothing can come back any more because the link has broken. Whether
    /// the server got what was sent is not known then.
    pub(crate) async fn answered<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut broken = self.server.links.broken.subscribe();
        tokio::select! {
            biased;
            outcome = within_answer_timeout(future) => outcome,
            _ = broken.changed() => None,
        }
    }

    pub(crate) fn server_is_at_least(&self, version: (u64, u64)) -> bool {
        is_at_least(&self.server_version(), version)
    }

    fn refuse_old_server(&self) -> Result<(), BusError> {
        let found = self.server_version();
        if is_at_least(&found, OLDEST_SERVER) {
            return Ok(());
        }
        let servers = self.server.addresses.clone();
        Err(BusError::ServerTooOld { servers, found, oldest: OLDEST_SERVER_TEXT })
    }
}

/// `None` when nothing came back in time, not even a local failure (the client's queue may be full).
async fn within_answer_timeout<F: Future>(future: F) -> Option<F::Output> {
    // The client has its own timeout of the same length once a request is queued; this one covers the queue.
    tokio::time::timeout(ANSWER_TIMEOUT + Duration::from_millis(500), future).await.ok()
}

async fn options(
    settings: &Resolved,
    name: &str,
    servers: &str,
    links: &Arc<Links>,
) -> Result<ConnectOptions, BusError> {
    let links = Arc::clone(links);
    let mut options = ConnectOptions::new()
        .name(name)
        .ping_interval(PING_INTERVAL)
        .connection_timeout(ANSWER_TIMEOUT)
        .request_timeout(Some(ANSWER_TIMEOUT))
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            links.note(&event);
            async move { report(&event) }
        });
    if let Some(prefix) = &settings.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    if let Some(path) = &settings.creds {
        options = options.credentials_file(path).await.map_err(|error| credentials_error(servers, error))?;
    }
    if let Some(path) = &settings.nkey {
        let seed = std::fs::read_to_string(path).map_err(|error| credentials_error(servers, error))?;
        options = options.nkey(seed.trim().to_owned());
    }
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.clone());
    }
    if let Some(path) = &settings.tls_ca {
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(if settings.tls_first { options.tls_first() } else { options })
}

/// At once, then doubling from 20 ms up to 4 s, each between half and all of it so that clients do not come in step.
fn reconnect_delay(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doublings = u32::try_from(attempt - 2).unwrap_or(u32::MAX).min(10);
    let full = Duration::from_millis(20 << doublings).min(SLOWEST_RECONNECT);
    full.mul_f64(rand::random_range(0.5..1.0))
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => {
            instance_signals::metrics::DISCONNECTS.add(1, &[]);
            tracing::warn!("disconnected from NATS; reconnecting");
        }
        Event::LameDuckMode => tracing::warn!("NATS server is shutting down; the connection will move"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "messages were dropped: this process reads too slowly");
        }
        Event::ServerError(error) if is_refusal(error) => {
            tracing::error!(security = true, error = %error, "NATS refused what this process may not do");
        }
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS server reported an error"),
        Event::ClientError(error) => tracing::warn!(error = %error, "NATS client reported an error"),
        Event::Draining | Event::Closed => tracing::debug!(event = %event, "connection to NATS"),
    }
}

fn connect_error(servers: &str, error: async_nats::ConnectError) -> BusError {
    let unreachable =
        matches!(error.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns);
    BusError::Connect { servers: servers.to_owned(), unreachable, source: Box::new(error) }
}

fn credentials_error(servers: &str, error: std::io::Error) -> BusError {
    BusError::Connect { servers: servers.to_owned(), unreachable: false, source: Box::new(error) }
}

fn only_address(urls: &[String]) -> Option<(String, u16)> {
    let [url] = urls else { return None };
    let address: async_nats::ServerAddr = url.parse().ok()?;
    Some((address.host().to_owned(), address.port()))
}

fn is_at_least(version: &str, least: (u64, u64)) -> bool {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_2_10_are_too_old() {
        for (version, supported) in
            [("2.9.25", false), ("2.10.0", true), ("2.15.1", true), ("3.0.0-beta", true), ("", false)]
        {
            assert_eq!(is_at_least(version, OLDEST_SERVER), supported, "{version}");
        }
    }

    #[test]
    fn reconnects_start_at_once_and_slow_down_to_four_seconds() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        for attempt in 2..200 {
            let delay = reconnect_delay(attempt);
            assert!(delay >= Duration::from_millis(10) && delay <= SLOWEST_RECONNECT, "{attempt}: {delay:?}");
        }
    }
}
