//! Is a command id new in the other shards, too? Asked for many commands with one question a shard.
//!
//! In its own shard the log itself refuses a second beginning. An id that comes back for another instance may belong
//! to another shard, whose log knows nothing of this one.

use futures::future::try_join_all;
use instance_bus::{Bus, BusError};
use instance_contract::{
    RemediationId, Shard,
    subject::{self, RecordKind, Subject},
};
use tokio::sync::{mpsc, oneshot};

/// Ids that one question may name.
const AT_ONCE: usize = 256;

/// A wish to know whether an id was used in another shard than its own.
struct Wish {
    id: RemediationId,
    own: Shard,
    answer: oneshot::Sender<bool>,
}

impl Wish {
    fn grant(self, is_used: bool) {
        // Fails when the command is not waited for any more.
        let _ = self.answer.send(is_used);
    }
}

/// Where drivers put their wishes.
#[derive(Clone)]
pub(crate) struct Lookups(mpsc::UnboundedSender<Wish>);

impl Lookups {
    /// The other end is to be spawned. It ends with the last of these.
    pub(crate) fn new(bus: Bus, shards: Vec<Shard>) -> (Self, impl Future<Output = ()>) {
        let (sender, wishes) = mpsc::unbounded_channel();
        (Self(sender), answer(bus, shards, wishes))
    }

    /// Was the id used in another shard? `None`: it cannot be told now.
    pub(crate) fn is_used_elsewhere(
        &self,
        id: RemediationId,
        own: Shard,
    ) -> impl Future<Output = Option<bool>> + use<> {
        let (answer, answered) = oneshot::channel();
        // Fails only when the other end is gone, and then no answer comes.
        let _ = self.0.send(Wish { id, own, answer });
        async move { answered.await.ok() }
    }
}

/// Whatever has come while one question was on its way goes into the next.
async fn answer(bus: Bus, shards: Vec<Shard>, mut wishes: mpsc::UnboundedReceiver<Wish>) {
    let mut batch = Vec::new();
    while wishes.recv_many(&mut batch, AT_ONCE).await > 0 {
        match is_new(&bus, &shards, &batch).await {
            Ok(true) => batch.drain(..).for_each(|wish| wish.grant(false)),
            Ok(false) => one_by_one(&bus, &shards, &mut batch).await,
            Err(error) => {
                // Dropped without an answer: those commands come again.
                tracing::warn!(%error, "could not look for command ids in the other shards");
                batch.clear();
            }
        }
    }
}

/// At least one of them was used before; which?
async fn one_by_one(bus: &Bus, shards: &[Shard], batch: &mut Vec<Wish>) {
    for wish in batch.drain(..) {
        match is_new(bus, shards, std::slice::from_ref(&wish)).await {
            Ok(is_new) => wish.grant(!is_new),
            Err(error) => tracing::warn!(%error, id = %wish.id, "could not look for a command id"),
        }
    }
}

async fn is_new(bus: &Bus, shards: &[Shard], batch: &[Wish]) -> Result<bool, BusError> {
    let of = |shard: Shard| {
        let others = batch.iter().filter(move |wish| wish.own != shard);
        let kinds = [RecordKind::Accepted, RecordKind::Ended];
        let subjects: Vec<Subject> = others
            .flat_map(|wish| kinds.iter().map(move |kind| subject::record(shard, wish.id, kind)))
            .collect();
        (shard, subjects)
    };
    let asked = shards.iter().copied().map(of).filter(|(_, subjects)| !subjects.is_empty());
    let answers =
        try_join_all(asked.map(|(shard, subjects)| async move { bus.is_new_in(shard, &subjects).await }));
    Ok(answers.await?.into_iter().all(|is_new| is_new))
}
