use std::{collections::BTreeMap, fs};

use super::*;

fn resolve(settings: Settings, env: &[(&str, &str)]) -> Result<Resolved, InvalidSettings> {
    let env: BTreeMap<&str, &str> = env.iter().copied().collect();
    settings.resolve(&|name| env.get(name).map(|value| (*value).to_owned()))
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("instance-bus-{}-{name}", std::process::id()));
    fs::create_dir_all(folder.join("nats/context")).unwrap();
    folder
}

#[test]
fn nothing_set_means_this_machine() {
    assert_eq!(resolve(Settings::default(), &[]).unwrap().servers(), DEFAULT_URL);
}

#[test]
fn settings_beat_environment_beats_context() {
    let home = folder("order");
    fs::write(
        home.join("nats/context/prod.json"),
        r#"{"url":"nats://c:1","creds":"/c.creds","nkey":"/c.nk","ca":""}"#,
    )
    .unwrap();
    fs::write(home.join("nats/context.txt"), "prod\n").unwrap();
    let config = home.to_str().unwrap();
    let selected = resolve(Settings::default(), &[("XDG_CONFIG_HOME", config)]).unwrap();
    assert_eq!((selected.servers().as_str(), selected.tls_ca), ("nats://c:1", None));
    let env = [("XDG_CONFIG_HOME", config), ("NATS_CONTEXT", "prod"), ("NATS_CREDS", "/e.creds")];
    let settings = Settings { url: Some("nats://s:1, nats://s:2".to_owned()), ..Settings::default() };
    let resolved = resolve(settings, &env).unwrap();
    assert_eq!(resolved.servers(), "nats://s:1, nats://s:2");
    assert_eq!(resolved.creds.unwrap().to_str(), Some("/e.creds"));
    assert_eq!(resolved.nkey.unwrap().to_str(), Some("/c.nk"));
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn the_selected_context_is_not_used_with_a_server_named_elsewhere() {
    let home = folder("selected");
    fs::write(home.join("nats/context/a.json"), r#"{"url":"nats://c:1","token":"for c only"}"#).unwrap();
    fs::write(home.join("nats/context.txt"), "a").unwrap();
    let env = [("XDG_CONFIG_HOME", home.to_str().unwrap()), ("NATS_URL", "nats://other:4222")];
    assert_eq!(resolve(Settings::default(), &env).unwrap().token, None);
    fs::remove_dir_all(home).unwrap();
}

#[test]
fn debug_prints_no_secret() {
    let env =
        [("NATS_URL", "nats://me:canary@host:4222"), ("NATS_TOKEN", "canary"), ("NATS_PASSWORD", "canary")];
    let resolved = resolve(Settings::default(), &env).unwrap();
    let printed = format!("{resolved:?} {}", resolved.servers());
    assert!(!printed.contains("canary"), "{printed}");
    assert!(printed.contains("nats://host:4222"), "{printed}");
}

#[test]
fn a_context_name_cannot_leave_its_folder() {
    let settings = Settings { context: Some("../../etc/passwd".to_owned()), ..Settings::default() };
    let error = resolve(settings, &[("HOME", "/nowhere")]).unwrap_err();
    assert_eq!(error.to_string(), "\"../../etc/passwd\" is not a name of a NATS context");
}

#[test]
fn a_user_needs_a_password() {
    let settings = Settings { user: Some("ann".to_owned()), ..Settings::default() };
    assert!(matches!(resolve(settings, &[]), Err(InvalidSettings::NoPassword { .. })));
}
