//! Which host serves an instance, for whoever asks for it with every command.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use async_nats::Subscriber;
use futures::{FutureExt as _, StreamExt as _, future::try_join_all};
use instance_contract::{AgentKind, HostName, InstanceName};

use crate::{Bus, BusError, kv::kv_subject, topology::HOSTS};

/// How long a reading holds when nothing passes by: without a right to listen, a move of an instance to another host
/// is noticed after this long.
const HOLDS: Duration = Duration::from_secs(10);
/// Instances that are remembered before those whose reading has run out are looked for.
const MANY: usize = 4096;

/// Who serves which instance, without a question to the server for every command.
///
/// Invariant: what is remembered was read through the leader at most 10 s ago, over the connection that still stands,
/// and nothing that was written about the instance since has reached it. What is not served is never remembered:
/// it is asked for each time.
pub struct Hosts {
    bus: Bus,
    memory: Mutex<Memory>,
}

struct Memory {
    /// Everything written about any instance, as it passes by.
    writes: Subscriber,
    known: HashMap<InstanceName, Known>,
    /// How often something passed by: a reading that began before it is not remembered.
    passed_by: u64,
}

struct Known {
    hosts: BTreeMap<AgentKind, HostName>,
    read_at: Instant,
    /// Which connection it was read over.
    connects: u64,
}

impl Bus {
    /// Listens for what is written about hosts.
    pub async fn hosts_by_instance(&self) -> Result<Hosts, BusError> {
        let writes = self
            .client
            .subscribe(kv_subject(HOSTS, ">"))
            .await
            .map_err(|error| BusError::failed("listen for", "the hosts of instances", error))?;
        let memory = Memory { writes, known: HashMap::new(), passed_by: 0 };
        Ok(Hosts { bus: self.clone(), memory: Mutex::new(memory) })
    }
}

impl Hosts {
    /// Which host serves an instance, by agent. When one of `needed` is not remembered, all are read.
    pub async fn of(
        &self,
        instance: &InstanceName,
        needed: &[AgentKind],
    ) -> Result<BTreeMap<AgentKind, HostName>, BusError> {
        let (read_at, connects) = (Instant::now(), self.connects());
        let passed_by = {
            let mut memory = self.memory();
            memory.listen();
            let known = memory.known.get(instance).filter(|known| known.holds(read_at, connects));
            match known.filter(|known| needed.iter().all(|agent| known.hosts.contains_key(agent))) {
                Some(known) => return Ok(known.hosts.clone()),
                None => memory.passed_by,
            }
        };
        let agents = AgentKind::ALL.iter();
        let found = try_join_all(agents.map(|agent| self.bus.host_of(instance, *agent))).await?;
        let hosts: BTreeMap<AgentKind, HostName> = AgentKind::ALL
            .iter()
            .copied()
            .zip(found)
            .filter_map(|(agent, host)| Some((agent, host?)))
            .collect();
        let mut memory = self.memory();
        memory.listen();
        if memory.passed_by == passed_by {
            memory.remember(instance.clone(), Known { hosts: hosts.clone(), read_at, connects });
        }
        Ok(hosts)
    }

    fn connects(&self) -> u64 {
        self.bus.client.statistics().connects.load(Ordering::Relaxed)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Takes what has arrived. The connection hands messages on in the order in which they come.
    fn listen(&mut self) {
        // Outside of the runtime's fairness, which would say that nothing is there when something is.
        while let Some(Some(write)) = tokio::task::unconstrained(self.writes.next()).now_or_never() {
            self.passed_by += 1;
            // `$KV.INSTANCE_HOSTS.<instance>.<agent>`
            let token = write.subject.rsplit('.').nth(1).unwrap_or_default();
            self.known.retain(|instance, _| instance.token() != token);
        }
    }

    fn remember(&mut self, instance: InstanceName, known: Known) {
        if self.known.len() >= MANY {
            let (now, connects) = (known.read_at, known.connects);
            self.known.retain(|_, old| old.holds(now, connects));
        }
        if self.known.len() < MANY {
            self.known.insert(instance, known);
        }
    }
}

impl Known {
    fn holds(&self, now: Instant, connects: u64) -> bool {
        now.duration_since(self.read_at) < HOLDS && self.connects == connects
    }
}
