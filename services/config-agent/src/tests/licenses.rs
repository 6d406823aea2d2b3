//! What a license action promises: it looks, tells the same twice, and changes nothing. The instance lies on a file system
//! that is really read-only; mounting one needs root, as CI has.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Duration,
};

use instance_agent::{Agent, Work};
use instance_clock::SystemClock;
use instance_contract::{Action, AgentKind, ForecastReply, LicenseAction, LicenseCheck};
use instance_testkit::SmallDisk;

use super::{CPF, Stage, merges};
use crate::{agent::ConfigAgent, host::LocalHost, license};

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

/// Since 2023.2 a new instance has no web server of its own: the site's serves it, wherever that is.
#[test]
fn the_use_of_a_license_is_read_where_the_settings_say() {
    let mut stage = merges::stage("");
    let told = |stage: &Stage| {
        let known =
            license::Known::read(&LocalHost::of(&stage.config), stage.instance(), Duration::from_mins(1));
        license::answer(LicenseAction::ReportUsage, &known, "2026-03-01T12:00:00Z".parse().unwrap())
            .join("\n")
    };
    let unknown = told(&stage);
    assert!(unknown.contains("no web server of its own") && unknown.contains("metrics_url"), "{unknown}");

    let site = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/prod/api/monitor/metrics", site.local_addr().unwrap());
    stage.config.metrics_url.insert("PROD".parse().unwrap(), url);
    let serving = thread::spawn(move || {
        let (mut stream, _) = site.accept().unwrap();
        let mut asked = [0; 4096];
        let length = stream.read(&mut asked).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\niris_license_consumed 13\n";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let known = told(&stage);
    assert!(known.contains("usage: iris_license_consumed 13"), "{known}");
    assert!(serving.join().unwrap().starts_with("GET /prod/api/monitor/metrics "));
}
