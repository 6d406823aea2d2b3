//! A stream that is none of ours, as somebody else has one on his own server.

use async_nats::jetstream::{self, stream};
use bytes::Bytes;

use crate::NatsServer;

/// One stream, looked at by somebody who knows nothing of Instance.
pub struct OtherStream(stream::Stream);

/// A message of it.
#[derive(Debug, Clone)]
pub struct OtherMessage {
    pub headers: async_nats::HeaderMap,
    pub payload: Bytes,
}

impl OtherMessage {
    /// The value of a header, empty without it.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(ToString::to_string).unwrap_or_default()
    }
}

impl OtherStream {
    /// Makes a stream that keeps one subject.
    pub async fn make(server: &NatsServer, name: &str, subject: &str) -> Self {
        let client = async_nats::connect(server.url()).await.expect("the server is there");
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            ..stream::Config::default()
        };
        Self(jetstream::new(client).create_stream(config).await.expect("a new stream"))
    }

    /// All that it holds, in order.
    pub async fn messages(&mut self) -> Vec<OtherMessage> {
        let last = self.0.info().await.expect("the stream is there").state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            let message = self.0.get_raw_message(sequence).await.expect("nothing was taken away");
            messages.push(OtherMessage { headers: message.headers, payload: message.payload });
        }
        messages
    }
}
