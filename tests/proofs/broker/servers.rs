//! The broker: one server, or three that copy everything to each other.

use std::time::Duration;

use async_nats::jetstream::{self, stream::Info};
use futures::TryStreamExt as _;
use instance_testkit::{NatsServer, free_port};

/// Between two looks at a cluster.
const PAUSE: Duration = Duration::from_millis(50);

/// The servers of a site. Dropping them ends them.
pub struct Servers {
    servers: Vec<NatsServer>,
}

impl Servers {
    pub fn start(count: usize) -> Self {
        if count == 1 {
            return Self { servers: vec![NatsServer::start()] };
        }
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let routes: Vec<String> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let member = |port: &u16| {
            let routes = routes.join(", ");
            NatsServer::start_with(&format!(
                "cluster {{ name: proof, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
            ))
        };
        Self { servers: ports.iter().map(member).collect() }
    }

    /// All addresses, as the setting `nats.url` takes them.
    pub fn urls(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }

    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn kill9(&mut self, index: usize) {
        self.servers[index].kill9();
    }

    pub fn restart(&mut self, index: usize) {
        // It waits without yielding.
        tokio::task::block_in_place(|| self.servers[index].restart());
    }

    /// SIGSTOP, and SIGCONT after a while.
    pub async fn freeze(&self, index: usize, length: Duration) {
        self.servers[index].stop_cont(tokio::time::sleep(length)).await;
    }

    pub fn named(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.name() == name)
    }
}

/// The server that leads a stream now.
pub async fn leader_of(client: &async_nats::Client, stream: &str) -> Option<String> {
    let mut stream = jetstream::new(client.clone()).get_stream(stream).await.ok()?;
    stream.info().await.ok()?.cluster.clone()?.leader
}

/// Waits until every stream has a leader and every copy is there.
pub async fn whole(client: &async_nats::Client, copies: usize, within: Duration) -> anyhow::Result<()> {
    let all = async {
        loop {
            let streams: Result<Vec<Info>, _> = jetstream::new(client.clone()).streams().try_collect().await;
            if streams.is_ok_and(|streams| !streams.is_empty() && streams.iter().all(|it| has(it, copies))) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let whole = tokio::time::timeout(within, all).await;
    whole.map_err(|_| anyhow::anyhow!("the cluster was not whole within {} s", within.as_secs()))
}

fn has(stream: &Info, copies: usize) -> bool {
    let Some(cluster) = &stream.cluster else { return copies == 1 };
    let current = cluster.replicas.iter().filter(|replica| replica.current && !replica.offline).count();
    cluster.leader.is_some() && current + 1 == copies
}
