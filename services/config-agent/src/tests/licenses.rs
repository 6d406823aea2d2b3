//! What a license action promises: it looks, tells the same twice, and changes nothing. The instance lies on a file system
//! that is really read-only; mounting one needs root, as CI has.

use std::{fs, sync::Arc, time::Duration};

use instance_agent::{Agent, Work};
use instance_clock::SystemClock;
use instance_contract::{Action, AgentKind, ForecastReply, LicenseAction, LicenseCheck};
use instance_testkit::SmallDisk;

use super::{CPF, Stage};
use crate::agent::ConfigAgent;

const KEY: &str = "[ConfigFile]\r\nFileType=InterSystems License\r\n\r\n[License]\r\nCustomerName=Example\r\n\
    OrderNumber=1\r\nExpirationDate=3/31/2126\r\nAuthorizationKey=SECRETSECRET\r\n";

#[test]
fn a_license_action_looks_twice_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(folder.path(), "size=256k,mode=700");
    let stage = Stage::at(folder.path(), CPF);
    fs::create_dir(stage.path("mgr")).unwrap();
    fs::write(stage.path("mgr/iris.key"), KEY).unwrap();
    disk.becomes("ro");
    let agent = ConfigAgent::new(stage.config.clone(), Arc::new(SystemClock));
    for (question, part) in [
        (LicenseAction::CheckExpiry, "expiry: 2126-03-31"),
        (LicenseAction::ValidateKey, "authorization key: present (not shown)"),
        (LicenseAction::ReportUsage, "[License] CustomerName: Example"),
    ] {
        let action = Action::CheckLicense(LicenseCheck { action: question });
        let ForecastReply::ReadOnly { warnings: told } = agent.forecast(&"PROD".parse().unwrap(), &action)
        else {
            panic!("it only looks")
        };
        assert!(told.iter().any(|line| line.contains(part)), "{told:?}");
        assert!(!told.iter().any(|line| line.contains("SECRET")), "{told:?}");

        let order = instance_testkit::order(AgentKind::Config, &action);
        let (free, long) = (|| Ok(()), || Duration::from_mins(1));
        let work = Work::new(&free, &long);
        let prepared = agent.prepare(&order, &work).unwrap();
        assert!(prepared.already, "there is nothing to do and nothing to record");
        for _ in 0..2 {
            let answer = agent.apply(&order, &prepared, &work).unwrap();
            assert_eq!((answer.warnings, answer.rollback_available), (told.clone(), false));
            assert!(answer.changes.is_empty());
        }
    }
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::new()));
}
