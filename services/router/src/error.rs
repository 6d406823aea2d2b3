//! What ends a router. Everything else is answered, retried or kept as a dead letter.

/// A router, or the driver of one of its shards, that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    ReadPolicy(#[from] instance_chassis::UnreadableFile),
    #[error("could not follow the policy")]
    Policy(#[from] instance_planner::PolicyError),
    #[error("could not use the bus")]
    Bus(#[from] instance_bus::BusError),
    #[error("could not write to the remediation log")]
    Publish(#[from] instance_bus::PublishError),
    #[error("the lease of shard {shard} is not ours any more")]
    LeaseLost { shard: instance_contract::Shard },
    #[error("another router has taken shard {shard}")]
    Followed { shard: instance_contract::Shard },
    #[error("the commands of shard {shard} have come to an end")]
    NoMoreCommands { shard: instance_contract::Shard },
}

impl Error {
    /// Somebody else drives the shard, or may: no failing of ours.
    pub(crate) const fn is_of_the_shard(&self) -> bool {
        matches!(self, Self::LeaseLost { .. } | Self::Followed { .. })
    }
}
