//! What carries Instance itself, and what must therefore be left alone.

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Undo},
    decode::Fault,
    ids::{HostName, InstanceName},
    words::Tool,
};

/// Names of the IRIS instances and of the hosts that carry Instance itself: its bus, its services, the way to them.
/// One setting, `carriers`, the same for all services; planner, engine, the agents' loop and each agent ask it, each for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carriers(pub Vec<String>);

impl Carriers {
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why an action must not be done. Reading is never forbidden; the kernel of a host is shared by all that runs on
    /// it, so a host that is named keeps its kernel as it is.
    pub fn forbid(&self, action: &Action, instance: &InstanceName, host: Option<&HostName>) -> Option<Fault> {
        if !action.has_effect() {
            return None;
        }
        if self.names(instance.as_str()) {
            let rule = "carries Instance itself (setting `carriers`), so nothing acts on it";
            return Some(Fault::new("instance", instance, rule));
        }
        let host = host.filter(|host| is_of_kernel(action) && self.names(host.as_str()))?;
        let rule = "carries Instance itself (setting `carriers`), so its kernel is not changed";
        Some(Fault::new("host", host, rule))
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|carrier| carrier == name)
    }
}

const fn is_of_kernel(action: &Action) -> bool {
    matches!(action, Action::SetKernel(_) | Action::Undo(Undo { tool: Tool::OsConfig, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LicenseAction, LicenseCheck, RestartInstance};

    #[test]
    fn an_instance_is_left_alone_and_a_host_keeps_its_kernel() {
        let restart = Action::Restart(RestartInstance::default());
        let kernel = Action::Undo(Undo { step: "os".parse().unwrap(), tool: Tool::OsConfig });
        let look = Action::CheckLicense(LicenseCheck { action: LicenseAction::CheckExpiry });
        let carriers = Carriers(vec!["OPS".to_owned(), "db1.example.com".to_owned()]);
        let host: HostName = "db1.example.com".parse().unwrap();
        let (ops, prod) = ("OPS".parse().unwrap(), "PROD".parse().unwrap());
        let field = |action: &Action, instance, host| {
            carriers.forbid(action, instance, host).map(|fault| fault.field)
        };
        assert_eq!(field(&restart, &ops, None).as_deref(), Some("instance"));
        assert_eq!(field(&look, &ops, Some(&host)), None);
        assert_eq!(field(&restart, &prod, Some(&host)), None);
        assert_eq!(field(&kernel, &prod, Some(&host)).as_deref(), Some("host"));
        assert_eq!(field(&kernel, &prod, None), None);
        assert_eq!(Carriers::default().forbid(&kernel, &ops, Some(&host)), None);
    }
}
