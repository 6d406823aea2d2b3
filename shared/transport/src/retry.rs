//! Trying again.

use std::time::Duration;

use crate::transport::{Outgoing, SendError, Transport};

/// What lies between the tries to deliver one message: three more after the first.
pub const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Sends until it is delivered, refused, or was tried once more than there are pauses. Cancel-safe: a message that was
/// under way may have arrived.
pub async fn deliver(
    transport: &dyn Transport,
    message: &Outgoing,
    pauses: &[Duration],
) -> Result<(), SendError> {
    let mut pauses = pauses.iter();
    loop {
        match transport.send(message).await {
            Err(SendError::Away { destination, source }) => match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(SendError::Away { destination, source }),
            },
            settled => return settled,
        }
    }
}
