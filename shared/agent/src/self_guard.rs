//! What carries Instance itself is left alone. The loop asks before it begins a step, and each agent again before its
//! effect, whatever router and loop have said.

use instance_chassis::Context;
use instance_contract::{Carriers, Failure, HostName, StepCommand};

/// The setting `carriers`, on one host. The default guards nothing.
#[derive(Debug, Clone, Default)]
pub struct SelfGuard {
    carriers: Carriers,
    host: Option<HostName>,
}

impl SelfGuard {
    pub fn new(carriers: Carriers, host: HostName) -> Self {
        Self { carriers, host: Some(host) }
    }

    /// As the settings of this process say.
    pub fn of<C>(context: &Context<C>) -> Self {
        Self::new(context.carriers.clone(), context.host.clone())
    }

    /// Refuses a step that would act on what carries Instance.
    pub fn check(&self, order: &StepCommand) -> Result<(), Failure> {
        match self.carriers.forbid(&order.action, &order.instance, self.host.as_ref()) {
            None => Ok(()),
            Some(fault) => Err(Failure::refused("carries_instance", fault)),
        }
    }
}
