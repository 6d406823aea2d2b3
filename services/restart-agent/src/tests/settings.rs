use crate::Config;

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
