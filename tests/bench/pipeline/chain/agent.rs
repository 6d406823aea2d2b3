//! The agent of the bare chain: a step in, two synced appends where the step has an effect, a result out.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::mpsc,
};

use anyhow::{Context as _, Result};
use async_nats::jetstream::{Context, Message, consumer::pull};
use bytes::Bytes;
use futures::{StreamExt as _, stream::select_all};
use tokio::sync::oneshot;

use super::{connect, durable_messages, line::Line, log_stream, write_once};

pub async fn run(url: &str, shards: u32, ledger: &Path) -> Result<()> {
    let js = connect(url, "agent").await?;
    let ledger = Ledger::open(ledger)?;
    let mut sources = Vec::new();
    for shard in 0..shards {
        sources.push(durable_messages(&js, &log_stream(shard)).await?);
    }
    let (js, ledger) = (&js, &ledger);
    select_all(sources)
        .for_each_concurrent(None, |message| async move {
            if let Err(error) = carry_out(js, ledger, message).await {
                eprintln!("bare agent: {error:#}");
            }
        })
        .await;
    Ok(())
}

async fn carry_out(
    js: &Context,
    ledger: &Ledger,
    message: Result<Message, pull::MessagesError>,
) -> Result<()> {
    let message = message?;
    let line = Line::decode(&message.payload)?;
    if line.step < line.synced {
        // The intent; here the effect would be; the outcome.
        ledger.append(message.payload.clone()).await?;
        ledger.append(message.payload.clone()).await?;
    }
    write_once(js, line.record("result"), line.encode()).await?;
    message.ack().await.map_err(|error| anyhow::anyhow!("could not settle a step: {error}"))
}

/// One file and the one thread that writes it: each append is synced before it is answered for.
struct Ledger(mpsc::Sender<(Bytes, oneshot::Sender<std::io::Result<()>>)>);

impl Ledger {
    fn open(path: &Path) -> Result<Self> {
        let mut file =
            OpenOptions::new().create(true).append(true).open(path).context("could not open the ledger")?;
        let (sender, appends) = mpsc::channel::<(Bytes, oneshot::Sender<_>)>();
        std::thread::spawn(move || {
            for (bytes, done) in appends {
                let _ = done.send(append(&mut file, &bytes));
            }
        });
        Ok(Self(sender))
    }

    async fn append(&self, bytes: Bytes) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.0.send((bytes, done)).ok().context("the ledger's thread has ended")?;
        Ok(answer.await.context("the ledger's thread has ended")??)
    }
}

fn append(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
}
