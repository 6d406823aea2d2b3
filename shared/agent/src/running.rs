//! Which steps are running: one at a time per part of an instance, and one run per step whoever asks for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use instance_contract::{InstanceName, StepKey, ToolResult};
use tokio::sync::{
    Mutex as Turnstile, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch,
};

use crate::agent::HostPart;

/// The result of a run, once there is one.
type Ending = watch::Receiver<Option<ToolResult>>;

/// An instance, and the part of it that is acted on.
type Part = (InstanceName, Option<String>);

#[derive(Debug, Default)]
pub struct Running {
    steps: Mutex<HashMap<StepKey, Ending>>,
    parts: Mutex<HashMap<Part, Arc<Turnstile<()>>>>,
    /// Properties of the whole host.
    properties: Mutex<HashMap<String, Arc<Turnstile<()>>>>,
    /// Shared by those who act on one property, alone for who may act on any.
    host: Arc<RwLock<()>>,
}

/// A turn on the host, until dropped.
#[expect(dead_code, reason = "held, not read")]
pub enum OnHost {
    Nothing,
    Property(OwnedRwLockReadGuard<()>, OwnedMutexGuard<()>),
    Any(OwnedRwLockWriteGuard<()>),
}

/// What an attempt is to do.
pub enum Role<'a> {
    /// Run the step, then say how it ended.
    Lead(Lead<'a>),
    /// Wait for the attempt that runs already.
    Join(Join),
}

/// The step is running for as long as this lives.
pub struct Lead<'a> {
    running: &'a Running,
    key: StepKey,
    ending: watch::Sender<Option<ToolResult>>,
}

pub struct Join(Ending);

impl Running {
    pub fn enter(&self, key: &StepKey) -> Role<'_> {
        let mut steps = lock(&self.steps);
        if let Some(ending) = steps.get(key) {
            return Role::Join(Join(ending.clone()));
        }
        let (sender, receiver) = watch::channel(None);
        steps.insert(key.clone(), receiver);
        Role::Lead(Lead { running: self, key: key.clone(), ending: sender })
    }

    #[cfg(test)]
    fn is_running(&self, key: &StepKey) -> bool {
        lock(&self.steps).contains_key(key)
    }

    /// Waits until no other step of this part runs, so that those that wait need no thread. What acts on all of an
    /// instance, or for another remediation, is kept apart by the fence.
    pub async fn turn(&self, instance: &InstanceName, part: Option<String>) -> OwnedMutexGuard<()> {
        let turnstile = Arc::clone(lock(&self.parts).entry((instance.clone(), part)).or_default());
        turnstile.lock_owned().await
    }

    /// Waits until nothing else acts on this part of the host, for whichever instance. Taken after the turn on the
    /// instance, and nothing is waited for behind it that needs another turn.
    pub async fn turn_on_host(&self, part: HostPart) -> OnHost {
        match part {
            HostPart::Nothing => OnHost::Nothing,
            HostPart::Property(name) => {
                let shared = Arc::clone(&self.host).read_owned().await;
                let turnstile = Arc::clone(lock(&self.properties).entry(name).or_default());
                OnHost::Property(shared, turnstile.lock_owned().await)
            }
            HostPart::Any => OnHost::Any(Arc::clone(&self.host).write_owned().await),
        }
    }
}

impl Lead<'_> {
    pub fn end(self, result: &ToolResult) {
        // From here on the ledger answers; whoever has joined gets the result, whoever comes later asks the ledger.
        self.ending.send_replace(Some(result.clone()));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        lock(&self.running.steps).remove(&self.key);
    }
}

impl Join {
    /// `None` when the run was given up without a result.
    pub async fn result(mut self) -> Option<ToolResult> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use instance_contract::StepStatus;

    use super::*;
    use crate::sample;

    #[tokio::test]
    async fn the_second_gets_what_the_first_comes_to_and_the_third_runs_anew() {
        let order = sample::order("config", 1);
        let result = sample::result(&order, StepStatus::Success);
        let running = Running::default();
        let Role::Lead(lead) = running.enter(&order.key()) else { panic!("nobody runs it yet") };
        let Role::Join(join) = running.enter(&order.key()) else { panic!("it is running") };
        assert!(running.is_running(&order.key()));
        lead.end(&result);
        assert_eq!(join.result().await, Some(result));
        assert!(matches!(running.enter(&order.key()), Role::Lead(_)));
    }

    #[tokio::test]
    async fn a_run_that_is_given_up_tells_who_waits() {
        let order = sample::order("config", 1);
        let running = Running::default();
        let Role::Lead(lead) = running.enter(&order.key()) else { panic!("nobody runs it yet") };
        let Role::Join(join) = running.enter(&order.key()) else { panic!("it is running") };
        drop(lead);
        assert_eq!(join.result().await, None);
        assert!(!running.is_running(&order.key()));
    }

    #[tokio::test]
    async fn parts_wait_for_themselves_only() {
        let running = Running::default();
        let (prod, test): (InstanceName, InstanceName) = ("PROD".parse().unwrap(), "TEST".parse().unwrap());
        let turn = running.turn(&prod, None).await;
        let _other = running.turn(&test, None).await;
        let _part = running.turn(&prod, Some("vm.swappiness".to_owned())).await;
        let waiting = running.turn(&prod, None);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turn);
        waiting.await;
    }

    #[tokio::test]
    async fn a_property_of_the_host_is_acted_on_by_one_at_a_time() {
        let running = Running::default();
        let property = |name: &str| running.turn_on_host(HostPart::Property(name.to_owned()));
        let first = property("vm.swappiness").await;
        let other = property("vm.dirty_ratio").await;
        let _of_an_instance = running.turn_on_host(HostPart::Nothing).await;
        let (second, any) = (property("vm.swappiness"), running.turn_on_host(HostPart::Any));
        tokio::pin!(second, any);
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await;
        assert!(futures::poll!(&mut any).is_pending(), "it may be the property that is acted on");
        drop(second);
        drop(other);
        let _any = any.await;
        let after = property("vm.swappiness");
        tokio::pin!(after);
        assert!(futures::poll!(&mut after).is_pending());
    }
}
