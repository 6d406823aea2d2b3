//! One endpoint: a question out, an answer in. No retry, no checks of what the answer says.

mod http;
mod wire;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_openai::{Client, error::OpenAIError};
use futures::StreamExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use instance_clock::Clock;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::{breaker::Breaker, settings};

pub(crate) use self::wire::{Request, guessed_tokens};
use self::{http::Endpoint, wire::Collected};

/// What the endpoint answered, unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub text: String,
    pub usage: Option<Usage>,
    /// The model that really answered.
    pub model: Option<String>,
    pub id: Option<String>,
    pub finish: Option<String>,
    pub fingerprint: Option<String>,
    /// The model declined to answer.
    pub refused: bool,
}

/// Tokens of one call, as the endpoint counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Usage {
    pub const fn total(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("could not reach provider \"{provider}\"")]
    Unreachable {
        provider: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("provider \"{provider}\" did not answer within {after:?}")]
    TimedOut { provider: String, after: Duration },
    #[error("provider \"{provider}\" answered with status {status}{}", told(code.as_deref()))]
    Status { provider: String, status: u16, code: Option<String>, retry_after: Option<Duration> },
    #[error("the answer of provider \"{provider}\" was cut off")]
    CutOff { provider: String },
    #[error("the answer of provider \"{provider}\" is longer than {limit} bytes")]
    TooLong { provider: String, limit: usize },
    #[error("what provider \"{provider}\" answered is no chat completion")]
    NotACompletion { provider: String },
    #[error("provider \"{provider}\" asked to be left alone until {until}")]
    Held { provider: String, until: Timestamp },
}

fn told(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

impl CallError {
    /// May the same call work when it is made again?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
            Self::Held { .. } => false,
            _ => true,
        }
    }

    /// What the endpoint said about when to come back.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Too many calls is our fault, not a failure of the service.
    pub(crate) const fn is_failure_of_the_service(&self) -> bool {
        !matches!(self, Self::Status { status: 429, .. } | Self::Held { .. })
    }

    /// One word, for metrics: few different ones, and nothing from outside in it.
    pub fn kind(&self) -> String {
        match self {
            Self::Unreachable { .. } => "unreachable".to_owned(),
            Self::TimedOut { .. } => "timeout".to_owned(),
            Self::Status { status, .. } => status.to_string(),
            Self::CutOff { .. } => "cut_off".to_owned(),
            Self::TooLong { .. } => "too_long".to_owned(),
            Self::NotACompletion { .. } => "not_a_completion".to_owned(),
            Self::Held { .. } => "held".to_owned(),
        }
    }
}

/// Is handed each piece of an answer as it comes, unchecked: for showing, never for acting.
pub type Listener<'a> = &'a (dyn Fn(&str) + Send + Sync);

pub(crate) struct Provider {
    pub settings: settings::Provider,
    pub breaker: Arc<Breaker>,
    client: Client<Endpoint>,
    limiter: DefaultDirectRateLimiter,
    clock: Arc<dyn Clock>,
    /// The endpoint asked not to be called before: when that is, and in words for people.
    held_until: Mutex<Option<(Instant, Timestamp)>>,
}

impl Provider {
    pub fn new(
        settings: settings::Provider,
        key: Option<SecretString>,
        breaker: Arc<Breaker>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let minute =
            std::num::NonZeroU32::new(settings.calls_per_minute).unwrap_or(std::num::NonZeroU32::MIN);
        Self {
            client: http::client(&settings, key),
            limiter: RateLimiter::direct(Quota::per_minute(minute)),
            held_until: Mutex::new(None),
            settings,
            breaker,
            clock,
        }
    }

    /// Waits for a turn within the rate limit. An error when the endpoint wants to be left alone by then, whoever it has said
    /// so to.
    pub async fn turn(&self) -> Result<(), CallError> {
        self.check_hold()?;
        self.limiter.until_ready().await;
        self.check_hold()
    }

    /// Makes one call and gives it up after the provider's timeout. The time to the first piece of a streamed answer goes to
    /// `first_piece`.
    pub async fn call(
        &self,
        request: &Request,
        listener: Option<Listener<'_>>,
        first_piece: &mut Option<Duration>,
    ) -> Result<Reply, CallError> {
        let limit = self.settings.timeout();
        let called = timeout(limit, self.exchange(request, listener, first_piece)).await;
        let outcome = called.unwrap_or_else(|_| {
            Err(CallError::TimedOut { provider: self.settings.name.clone(), after: limit })
        });
        if let Err(error) = &outcome {
            self.hold(error.retry_after());
        }
        outcome
    }

    async fn exchange(
        &self,
        request: &Request,
        listener: Option<Listener<'_>>,
        first_piece: &mut Option<Duration>,
    ) -> Result<Reply, CallError> {
        let began = Instant::now();
        let body = request.body(&self.settings);
        if !self.settings.stream {
            let answer: Value =
                self.client.chat().create_byot(body).await.map_err(|error| self.failed(error))?;
            let reply = wire::reply(&answer).ok_or_else(|| self.not_a_completion())?;
            if let Some(listener) = listener {
                listener(&reply.text);
            }
            return Ok(reply);
        }
        let mut pieces = self
            .client
            .chat()
            .create_stream_byot::<_, Value>(body)
            .await
            .map_err(|error| self.failed(error))?;
        let mut collected = Collected::default();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| self.failed(error))?;
            let text = collected.add(&piece).ok_or_else(|| self.not_a_completion())?;
            if !text.is_empty() {
                first_piece.get_or_insert_with(|| began.elapsed());
                if let Some(listener) = listener {
                    listener(&text);
                }
            }
        }
        // Only an end that was announced is an end.
        collected.finish().ok_or_else(|| CallError::CutOff { provider: self.settings.name.clone() })
    }

    /// An error while the endpoint wants to be left alone.
    fn check_hold(&self) -> Result<(), CallError> {
        let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        match *held {
            Some((end, until)) if Instant::now() < end => {
                Err(CallError::Held { provider: self.settings.name.clone(), until })
            }
            _ => {
                *held = None;
                Ok(())
            }
        }
    }

    /// A shorter time that is asked for never ends a longer one.
    fn hold(&self, wanted: Option<Duration>) {
        let Some(wanted) = wanted else { return };
        let until = self.clock.now().checked_add(wanted).ok();
        if let (Some(end), Some(until)) = (Instant::now().checked_add(wanted), until) {
            let mut held = self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
            if held.is_none_or(|(known, _)| known < end) {
                *held = Some((end, until));
            }
        }
    }

    fn not_a_completion(&self) -> CallError {
        CallError::NotACompletion { provider: self.settings.name.clone() }
    }

    fn failed(&self, error: OpenAIError) -> CallError {
        let provider = self.settings.name.clone();
        match error {
            OpenAIError::Boxed(cause) => match cause.downcast::<CallError>() {
                Ok(ours) => *ours,
                Err(source) => CallError::Unreachable { provider, source },
            },
            OpenAIError::StreamError(_) => CallError::CutOff { provider },
            OpenAIError::JSONDeserialize(..) => CallError::NotACompletion { provider },
            other => CallError::Unreachable { provider, source: Box::new(other) },
        }
    }
}

#[cfg(test)]
mod tests;
