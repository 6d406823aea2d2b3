//! The settings file that is shipped can be read.

use std::path::Path;

use instance_gateway::Config;

#[test]
fn the_shipped_settings_are_ours_and_let_nobody_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config/gateway.toml");
    let config: Config =
        instance_chassis::check_file("gateway", &file, None).expect("the shipped file is legal");
    assert!(config.callers.is_empty() && config.listen.0.ip().is_loopback() && config.listen_plain.is_none());
}

#[test]
fn every_fault_of_a_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let text = "[gateway]\nlisten = \"0.0.0.0:80\"\nanswer_seconds = 99\n[gateway.limits]\nburst = 0\n\
        [[gateway.callers]]\nname = \"a b\"\nmay = [\"alert\"]\n[[gateway.alerts.rows]]\nalert = \"X\"\nwhy = \"y\"\n\
        do = \"reboot\"\n";
    std::fs::write(&file, text).unwrap();
    let told = instance_chassis::check_file::<Config>("gateway", &file, None).unwrap_err().to_string();
    for part in ["loopback", "0 to 30", "1 to 65535", "letters, digits", "reboot"] {
        assert!(told.contains(part), "nothing about {part} in {told}");
    }
}
