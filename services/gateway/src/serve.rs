//! Connections: so many at once, heads in time, finished when drained.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderValue, header},
    middleware::map_response_with_state,
    response::Response,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use instance_chassis::{Drain, TaskTracker};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{Error, config::Limits, strangers::Peer};

/// For an accept that failed: no file descriptor is left, say.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until drained; those that are open then finish on `tasks`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    drain: &Drain,
    tasks: &TaskTracker,
) -> Result<(), Error> {
    let slots = Arc::new(Semaphore::new(limits.connections.into()));
    let router = router.layer(map_response_with_state(Arc::clone(&slots), make_room));
    loop {
        let slot = Arc::clone(&slots).acquire_owned();
        let Some(slot) = drain.unless_draining(slot).await else { return Ok(()) };
        let slot = slot.expect("nobody closes the semaphore");
        match drain.unless_draining(listener.accept()).await {
            None => return Ok(()),
            Some(Ok((stream, address))) => {
                let service = from_peer(router.clone(), Peer::of(address.ip()));
                tasks.spawn(connection(stream, service, limits, drain.clone(), slot));
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "could not take a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// While others may wait for a connection, one that has been answered is not kept for later.
async fn make_room(State(slots): State<Arc<Semaphore>>, mut response: Response) -> Response {
    if slots.available_permits() == 0 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Tells every request who has sent it.
fn from_peer(router: Router, peer: Peer) -> Router {
    router.layer(Extension(peer))
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    drain: Drain,
    _slot: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also from one request to the next.
        .header_read_timeout(Duration::from_secs(limits.request_seconds.into()))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Whoever goes away in the middle is no concern of ours.
        tracing::debug!(%error, "a connection broke off");
    }
}
