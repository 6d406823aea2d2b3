//! Where the messages go: stdout, the bus, or a consumer outside.

use std::{
    error::Error,
    io::{self, BufWriter, Write as _},
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::{StreamExt as _, stream::FuturesUnordered};
use instance_contract::GenerationRequest;
use instance_invent::messages;
use instance_transport::{Destination, Nats, Outgoing, PAUSES, Transport, deliver};
use serde_json::{Map, Value};

use super::{Output, Story, Work, pace::Rate, stock::Stock};
use crate::{
    exit::{Exit, chain},
    online,
    output::{print, print_json},
};

/// Lines rendered between two looks at the clock.
const BATCH: u64 = 512;

impl Work<'_> {
    /// Prints a batch, or a stream until its end or ours.
    pub fn print(&self, mut stock: Stock<'_>) -> Result<Exit> {
        if self.session.json() && !self.args.is_stream() {
            return self.print_document(&mut stock);
        }
        let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
        let mut lines = Vec::new();
        let (began, mut number) = (Instant::now(), 0);
        while let Some(due) = self.due(number, began.elapsed()) {
            let elapsed = began.elapsed();
            for _ in 0..due.min(BATCH) {
                self.turn(&mut stock, number, elapsed)?;
                self.render(&mut stock, number, &mut lines)?;
                number += 1;
            }
            out.write_all(&lines)?;
            lines.clear();
            if due == 0 || self.rate() != Rate::Max {
                out.flush()?;
                std::thread::sleep(self.pause(number, began.elapsed()));
            }
        }
        out.flush()?;
        Ok(Exit::Done)
    }

    /// The whole batch as one document, as the generator's endpoint answers.
    fn print_document(&self, stock: &mut Stock<'_>) -> Result<Exit> {
        let mut entries = Vec::new();
        for number in 0..u64::from(self.request.count) {
            self.turn(stock, number, Duration::ZERO)?;
            entries.push(stock.entry());
        }
        let mut document = Map::from_iter([("schema".to_owned(), Value::from("instance.cli.v1.generated"))]);
        document.insert("seed".to_owned(), self.seed.into());
        document.insert("count".to_owned(), entries.len().into());
        if self.args.output == Output::Raw {
            document.insert("raw".to_owned(), entries.iter().map(|entry| entry.raw.as_str()).collect());
        } else {
            let messages = messages(&entries, self.seed, 0, &self.host, &self.args.instance);
            document.insert("messages".to_owned(), serde_json::to_value(messages)?);
        }
        print_json(&document)?;
        Ok(Exit::Done)
    }

    fn render(&self, stock: &mut Stock<'_>, number: u64, lines: &mut Vec<u8>) -> Result<()> {
        if self.args.output == Output::Raw {
            stock.line(lines);
            return Ok(());
        }
        serde_json::to_writer(&mut *lines, &self.message(stock, number).message)?;
        lines.push(b'\n');
        Ok(())
    }

    fn message(&self, stock: &mut Stock<'_>, number: u64) -> Outgoing {
        let entry = stock.entry();
        let mut messages =
            messages(std::slice::from_ref(&entry), self.seed, number, &self.host, &self.args.instance);
        Outgoing::new(self.order(number), messages.pop().expect("one entry is one message"))
    }

    /// Rising over runs too: a drawn seed begins with the moment in seconds, and a run sends fewer than 2^28 messages.
    fn order(&self, number: u64) -> u64 {
        ((self.seed >> 20) << 28).wrapping_add(number)
    }

    /// Publishes to the bus; what it has is kept for 24 hours.
    pub fn publish(&self, stock: Stock<'_>) -> Result<Exit> {
        online::run(self.session, async |bus| self.send(&Nats::new(bus), stock).await)
    }

    /// Sends to a consumer outside.
    pub fn to(&self, to: &Destination, stock: Stock<'_>) -> Result<Exit> {
        let transport = to.transport(self.args.http_timeout)?;
        online::block_on(self.send(transport.as_ref(), stock))
    }

    /// Begins each in its turn, several at a time; an answer that is late holds up nothing but its own place.
    async fn send(&self, transport: &dyn Transport, mut stock: Stock<'_>) -> Result<Exit> {
        let at_once = usize::from(self.args.at_once);
        let (began, mut number) = (Instant::now(), 0);
        let (mut in_flight, mut sum) = (FuturesUnordered::new(), Sum::default());
        let mut stop = pin!(tokio::signal::ctrl_c());
        let mut stopped = false;
        while let Some(due) = self.due(number, began.elapsed()).filter(|_| !stopped) {
            if due > 0 && in_flight.len() < at_once {
                self.turn(&mut stock, number, began.elapsed())?;
                let outgoing = self.message(&mut stock, number);
                number += 1;
                in_flight.push(async move { deliver(transport, &outgoing, &PAUSES).await });
                continue;
            }
            let pause = self.pause(number, began.elapsed());
            tokio::select! {
                Some(outcome) = in_flight.next() => sum.add(outcome),
                () = tokio::time::sleep(pause), if in_flight.len() < at_once => {}
                _ = &mut stop => stopped = true,
            }
        }
        while let Some(outcome) = in_flight.next().await {
            sum.add(outcome);
        }
        self.tell(transport.destination(), &sum)
    }

    fn tell(&self, destination: &str, sum: &Sum) -> Result<Exit> {
        if self.session.json() {
            print_json(&serde_json::json!({
                "schema": "instance.cli.v1.delivered", "seed": self.seed, "to": destination,
                "delivered": sum.delivered, "failed": sum.failed, "error": sum.last, "next": sum.next,
            }))?;
        } else {
            print(format_args!("{} delivered to {destination}, {} not", sum.delivered, sum.failed))?;
            if let Some(error) = &sum.last {
                self.session.note(format_args!("the last error: {error}"));
            }
            if let Some(next) = sum.next {
                self.session.note(next);
            }
        }
        Ok(if sum.failed == 0 { Exit::Done } else { Exit::Failure })
    }

    fn rate(&self) -> Rate {
        match (self.args.rate, self.args.is_stream()) {
            (Some(rate), _) => rate,
            (None, true) => Rate::USUAL,
            (None, false) => Rate::Max,
        }
    }

    /// How many messages are due now; `None` when all are out.
    fn due(&self, number: u64, elapsed: Duration) -> Option<u64> {
        let last = if self.args.is_stream() { self.args.count } else { Some(self.request.count) };
        let left = last.map_or(u64::MAX, |last| u64::from(last).saturating_sub(number));
        let over = self.args.lasting.is_some_and(|lasting| elapsed >= lasting);
        (left > 0 && !over).then(|| self.rate().due(elapsed).saturating_sub(number).min(left))
    }

    /// How long until the next one is due, or the stream is over.
    fn pause(&self, number: u64, elapsed: Duration) -> Duration {
        let until = self.rate().due_at(number).saturating_sub(elapsed);
        let end = self.args.lasting.map_or(Duration::MAX, |lasting| lasting.saturating_sub(elapsed));
        until.min(end)
    }

    /// Turns to the phase that the message with this number is of.
    pub fn turn(&self, stock: &mut Stock<'_>, number: u64, elapsed: Duration) -> Result<()> {
        self.turned(number, elapsed).map_or(Ok(()), |request| stock.turn_to(&request))
    }

    /// The request for the message with this number, where that changes on the way.
    pub fn turned(&self, number: u64, elapsed: Duration) -> Option<GenerationRequest> {
        if self.args.phase != Some(Story::All) {
            return None;
        }
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (at, of) = match self.args.lasting {
            Some(lasting) => (milliseconds(elapsed), milliseconds(lasting)),
            // A stream without end tells the story again and again.
            None => (number, u64::from(self.request.count)),
        };
        Some(GenerationRequest { phase: self.args.phase_of(at, of), ..self.request.clone() })
    }
}

/// What came of a run.
#[derive(Debug, Default)]
struct Sum {
    delivered: u64,
    failed: u64,
    last: Option<String>,
    /// What to do about it, where that is known.
    next: Option<&'static str>,
}

impl Sum {
    fn add(&mut self, outcome: Result<(), impl Error + 'static>) {
        match outcome {
            Ok(()) => self.delivered += 1,
            Err(error) => {
                self.failed += 1;
                self.last = Some(chain(&error));
                self.next = next(&error);
            }
        }
    }
}

/// What to do about an error, where one of its causes tells.
fn next(error: &(dyn Error + 'static)) -> Option<&'static str> {
    online::verdict(error).map(|(_, next)| next).or_else(|| next(error.source()?))
}

#[cfg(test)]
mod tests {
    use instance_bus::PublishError;
    use instance_transport::SendError;

    use super::Sum;

    #[test]
    fn a_bus_without_streams_is_told_with_what_makes_them() {
        let unavailable = PublishError::Unavailable { subject: "instance.v1.error".to_owned() };
        let away = SendError::Away { destination: "nats".to_owned(), source: Box::new(unavailable) };
        let mut sum = Sum::default();
        sum.add(Err(away));
        assert_eq!((sum.failed, sum.next), (1, Some("run `instance bus init`")));
        sum.add(Err(SendError::Refused { destination: "nats".to_owned(), answer: "no".to_owned() }));
        assert_eq!(sum.next, None);
    }
}
