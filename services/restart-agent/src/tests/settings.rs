use instance_contract::RestartInstance;

use crate::{Config, waits::Waits};

#[test]
fn settings_have_defaults_and_no_unknown_names() {
    let config: Config = serde_json::from_str(r#"{"instances": [{"name": "PROD"}]}"#).unwrap();
    assert_eq!(config.instances[0].cpf.as_os_str(), "/usr/irissys/iris.cpf");
    assert_eq!(config.instances[0].messages_log.as_os_str(), "/usr/irissys/mgr/messages.log");
    assert_eq!(config.iris_command.as_os_str(), "/usr/bin/iris");
    assert_eq!(config.state_dir.as_os_str(), "/var/lib/instance/restart-agent");
    assert_eq!(config.fence_dir.as_os_str(), "/var/lib/instance/fence");
    assert_eq!((config.users_seconds, config.stop_seconds, config.start_seconds), (60, 120, 60));
    assert_eq!(config.when_users_stay, instance_contract::WhenUsersStay::Answer);
    assert!(!config.allow_force && config.metrics_url.is_empty() && config.iris_environment.is_empty());
    assert_eq!(config.iris_socket, None);
    assert_eq!((config.restarts_per_hour, config.minutes_between_restarts), (3, 15));
    assert_eq!(
        (config.proc_root.as_os_str(), config.process_root.as_os_str()),
        ("/proc".as_ref(), "/proc".as_ref())
    );
    for bad in [
        r"{}",
        r#"{"instances": [{"name": "PROD", "cfp": "/x"}]}"#,
        r#"{"instances": [], "irris_command": "/x"}"#,
        r#"{"instances": [{"name": "two words"}]}"#,
    ] {
        assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
    }
}

#[test]
fn each_wait_can_be_set_and_a_bad_one_is_refused_with_value_and_rule() {
    let read = |waits: &str| {
        serde_json::from_str::<Config>(&format!(r#"{{"instances": [{{"name": "PROD"}}], {waits}}}"#))
    };
    let config = read(r#""users_seconds": 0, "stop_seconds": 300, "start_seconds": 1"#).unwrap();
    assert_eq!((config.users_seconds, config.stop_seconds, config.start_seconds), (0, 300, 1));
    for (name, value, least) in [
        ("users_seconds", "301", 0),
        ("users_seconds", "-1", 0),
        ("stop_seconds", "0", 1),
        ("stop_seconds", "301", 1),
        ("start_seconds", "0", 1),
        ("start_seconds", "-60", 1),
    ] {
        let told = read(&format!(r#""{name}": {value}"#)).unwrap_err().to_string();
        let rule = format!("{value} must be a number of seconds from {least} to 300");
        assert!(told.contains(&rule), "{name}: {told}");
    }
    for bad in [r#""60""#, "1.5", "true"] {
        assert!(read(&format!(r#""stop_seconds": {bad}"#)).is_err(), "{bad}");
    }
}

/// A command is believed before the settings, wait by wait.
#[test]
fn a_command_says_each_wait_for_itself() {
    let config: Config =
        serde_json::from_str(r#"{"instances": [{"name": "PROD"}], "stop_seconds": 90}"#).unwrap();
    let waits = |wish: RestartInstance| {
        let Waits { users, stop, start, .. } = Waits::of(&config, &wish);
        (users.as_secs(), stop.as_secs(), start.as_secs())
    };
    let asked = RestartInstance::default;
    assert_eq!(waits(asked()), (60, 90, 60));
    assert_eq!(waits(RestartInstance { users_seconds: Some(0), ..asked() }), (0, 90, 60));
    assert_eq!(waits(RestartInstance { stop_seconds: Some(7), ..asked() }), (60, 7, 60));
    assert_eq!(waits(RestartInstance { start_seconds: Some(300), ..asked() }), (60, 90, 300));
}
