//! What carries Instance itself is left alone, and a process that was started with `--dry-run` leaves everything alone. The
//! loop asks before it begins a step, and each agent again before its effect, whatever router and loop have said.

use instance_chassis::Context;
use instance_contract::{Action, Carriers, Failure, HostName, StepCommand};

/// The settings `carriers` and `dry_run`, on one host. The default guards nothing.
#[derive(Debug, Clone, Default)]
pub struct SelfGuard {
    carriers: Carriers,
    host: Option<HostName>,
    dry_run: bool,
}

impl SelfGuard {
    pub fn new(carriers: Carriers, host: HostName) -> Self {
        Self { carriers, host: Some(host), dry_run: false }
    }

    /// As the settings of this process say.
    pub fn of<C>(context: &Context<C>) -> Self {
        Self::new(context.carriers.clone(), context.host.clone()).of_dry_run(context.dry_run)
    }

    /// Whether nothing at all may be changed.
    #[must_use]
    pub fn of_dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// Refuses a step that would act on what carries Instance, or at all in a dry run.
    pub fn check(&self, order: &StepCommand) -> Result<(), Failure> {
        let only_reads = matches!(order.action, Action::Verify(_) | Action::CheckLicense(_));
        if self.dry_run && !only_reads {
            return Err(Failure::refused(
                "dry_run",
                "this agent was started with --dry-run and changes nothing",
            ));
        }
        match self.carriers.forbid(&order.action, &order.instance, self.host.as_ref()) {
            None => Ok(()),
            Some(fault) => Err(Failure::refused("carries_instance", fault)),
        }
    }
}
