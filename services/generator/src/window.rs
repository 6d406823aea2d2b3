//! Many entries of one log on their way to the bus at once.
//!
//! Each but the first of a window is published behind the one before it ([`Bus::publish_behind`]). Should one get lost or be
//! refused, the server refuses all that follow: what the stream holds of a log has no gap, whoever dies meanwhile, so the
//! newest stored message tells all that is stored. Where others publish in between, what comes behind their message is
//! refused too and sent again; the window becomes smaller then, down to one at a time, and larger while nobody does. The logs
//! of one process take turns, a window each, so as not to be that to one another.

use std::sync::Arc;

use futures::future::join_all;
use instance_bus::{Bus, Headers, PublishError};
use instance_contract::{IrisMessage, subject};
use tracing::{Instrument as _, Span};

use crate::tail::Position;

/// Messages that wait for their answers at the same time, at most.
pub const MOST: usize = 128;
/// Of the first window, and of the one after trouble.
const FEW: usize = 8;

/// An entry that can be sent, as often as it must.
#[derive(Debug)]
pub struct Ready {
    /// The cursor once it is stored.
    pub position: Position,
    pub message: IrisMessage,
    pub headers: Headers,
    pub span: Span,
}

/// What came of one window.
#[derive(Debug)]
pub struct Sent {
    /// Places in the stream, of the first, the second and so on; no gap.
    pub taken: Vec<u64>,
    /// Why the next one was not taken, or nobody knows; `None` also where only somebody else's message came between.
    pub trouble: Option<PublishError>,
}

/// Whose window is on its way, of all logs of this process.
pub type Turns = Arc<tokio::sync::Mutex<()>>;

/// How many are sent at once.
#[derive(Debug)]
pub struct Window {
    size: usize,
    turns: Turns,
}

impl Window {
    pub fn new(turns: Turns) -> Self {
        Self { size: FEW, turns }
    }

    /// Sends the first ones and waits for all answers.
    pub async fn send(&mut self, bus: &Bus, ready: &[Ready]) -> Sent {
        let some = &ready[..self.size.min(ready.len())];
        let _turn = self.turns.lock().await;
        let behind = std::iter::once(None).chain(some.iter().map(Some));
        let answers =
            join_all(some.iter().zip(behind).map(|(ready, behind)| publish(bus, ready, behind))).await;
        let sent = Sent::of(answers.into_iter().map(|answer| answer.map(|written| written.sequence)));
        self.size = next_size(self.size, some.len(), &sent);
        sent
    }
}

/// The size of the next window, after one of `size` in which there was something to send for `tried`.
fn next_size(size: usize, tried: usize, sent: &Sent) -> usize {
    match (&sent.trouble, sent.taken.len()) {
        (Some(_), _) => FEW.min(size),
        (None, taken) if taken == tried => (size * 2).min(MOST),
        (None, taken) => taken.clamp(1, size),
    }
}

impl Sent {
    fn of(answers: impl Iterator<Item = Result<u64, PublishError>>) -> Self {
        let mut taken = Vec::new();
        for answer in answers {
            match answer {
                Ok(sequence) => taken.push(sequence),
                // The one before it is stored, and is not the newest any more.
                Err(PublishError::Unmet { .. }) if !taken.is_empty() => return Self { taken, trouble: None },
                Err(error) => return Self { taken, trouble: Some(error) },
            }
        }
        Self { taken, trouble: None }
    }
}

async fn publish(
    bus: &Bus,
    ready: &Ready,
    behind: Option<&Ready>,
) -> Result<instance_bus::Written, PublishError> {
    let Ready { message, headers, span, .. } = ready;
    let subject = subject::error(&message.host, &message.instance, message.severity);
    let (id, headers) = (message.message_id.to_string(), headers.clone());
    let publish = async {
        match behind {
            Some(behind) => {
                let behind = behind.message.message_id.to_string();
                bus.publish_behind(&subject, message, &id, &behind, headers).await
            }
            None => bus.publish(&subject, message, Some(&id), headers).await,
        }
    };
    publish.instrument(span.clone()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmet() -> Result<u64, PublishError> {
        Err(PublishError::Unmet { subject: "x".to_owned() })
    }

    fn unknown() -> Result<u64, PublishError> {
        Err(PublishError::Unknown { subject: "x".to_owned() })
    }

    #[test]
    fn only_what_has_no_gap_before_it_counts_as_taken() {
        let sent = |answers: Vec<Result<u64, PublishError>>| {
            let sent = Sent::of(answers.into_iter());
            (sent.taken, sent.trouble.is_some())
        };
        assert_eq!(sent(vec![Ok(4), Ok(5)]), (vec![4, 5], false));
        assert_eq!(sent(vec![Ok(4), unmet(), unmet()]), (vec![4], false));
        // The last one is known from an earlier try: its turn comes again.
        assert_eq!(sent(vec![Ok(4), unmet(), Ok(6)]), (vec![4], false));
        // Its answer is lost, and the next one was stored behind it: it is sent again, and known then.
        assert_eq!(sent(vec![Ok(4), unknown(), Ok(6)]), (vec![4], true));
        assert_eq!(sent(vec![unknown(), unmet()]), (vec![], true));
    }

    #[test]
    fn the_window_grows_while_nothing_comes_between_and_never_beyond_its_bounds() {
        let full = |many: usize| Sent { taken: vec![1; many], trouble: None };
        let grown = (0..9).fold(FEW, |size, _| next_size(size, size, &full(size)));
        assert_eq!(grown, MOST);
        assert_eq!(next_size(MOST, MOST, &full(3)), 3);
        assert_eq!(next_size(3, 3, &full(1)), 1);
        assert_eq!(next_size(1, 1, &full(1)), 2);
        assert_eq!(next_size(2, 2, &full(0)), 1);
        let lost = Sent::of([Ok(1), unknown()].into_iter());
        assert_eq!((next_size(MOST, MOST, &lost), next_size(1, 1, &lost)), (FEW, 1));
    }
}
