use crate::Config;

#[test]
fn settings_have_defaults_and_no_unknown_names() {
    let config: Config = serde_json::from_str(r#"{"instances": [{"name": "PROD"}]}"#).unwrap();
    assert_eq!(config.instances[0].cpf.as_os_str(), "/usr/irissys/iris.cpf");
    assert_eq!(config.instances[0].messages_log.as_os_str(), "/usr/irissys/mgr/messages.log");
    assert_eq!(config.iris_command.as_os_str(), "/usr/bin/iris");
    assert_eq!(config.state_dir.as_os_str(), "/var/lib/instance/config-agent");
    assert_eq!(config.fence_dir.as_os_str(), "/var/lib/instance/fence");
    assert_eq!(config.kept_backups.get(), 10);
    for bad in [
        r"{}",
        r#"{"instances": [{"name": "PROD", "cfp": "/x"}]}"#,
        r#"{"instances": [], "irris_command": "/x"}"#,
        r#"{"instances": [{"name": "two words"}]}"#,
        r#"{"instances": [], "kept_backups": 0}"#,
    ] {
        assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
    }
}
