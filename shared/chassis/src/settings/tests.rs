//! Who wins, and what is said about everything that is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::arguments::Assignment;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    cpf: PathBuf,
    #[serde(default = "five")]
    kept_backups: u32,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    sink: BTreeMap<String, Sink>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sink {
    address: String,
    password: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Careful,
    Bold,
}

fn five() -> u32 {
    5
}

/// The sources of one test, in a folder of its own.
struct Told {
    folder: TempDir,
    sources: Sources<'static>,
}

impl Told {
    fn nothing() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            service: "config-agent",
            system_file: Some(folder.path().join("system.toml")),
            ..Sources::default()
        };
        Self { folder, sources }
    }

    fn system(self, text: &str) -> Self {
        fs::write(self.folder.path().join("system.toml"), text).unwrap();
        self
    }

    fn file(mut self, text: &str) -> Self {
        let path = self.folder.path().join("config.toml");
        fs::write(&path, text).unwrap();
        self.sources.config_file = Some(path);
        self
    }

    fn profile(mut self, name: &str) -> Self {
        self.sources.profile = Some(name.to_owned());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str) -> Self {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.sources.assignments.push(Assignment { flag: format!("--set {key}"), key, value });
        self
    }

    fn read(&self) -> (Settings<Config>, Layered) {
        read(&self.sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn own(&self) -> Config {
        self.read().0.own
    }

    /// Every fault, without the folder of this test.
    fn faults(&self) -> Vec<String> {
        let faults = read::<Config>(&self.sources).err().expect("the settings are wrong");
        let folder = format!("{}/", self.folder.path().display());
        faults.iter().map(|fault| fault.to_string().replace(&folder, "")).collect()
    }
}

#[test]
fn each_source_beats_the_ones_before_it() {
    let told = Told::nothing().system("[config-agent]\ncpf = \"system\"");
    assert_eq!(told.own().kept_backups, 5, "the default");
    assert_eq!(told.own().cpf, PathBuf::from("system"));

    let told = told.file("[config-agent]\ncpf = \"file\"\n[production.config-agent]\ncpf = \"production\"");
    assert_eq!(told.own().cpf, PathBuf::from("file"));
    let told = told.profile("production");
    assert_eq!(told.own().cpf, PathBuf::from("production"));

    let told = told.variable("INSTANCE_CONFIG_AGENT__CPF", "variable");
    assert_eq!(told.own().cpf, PathBuf::from("variable"));
    let told = told.flag("config-agent.cpf", "flag");
    assert_eq!(told.own().cpf, PathBuf::from("flag"));
}

#[test]
fn a_profile_of_either_file_beats_the_plain_tables_of_both() {
    let told = Told::nothing()
        .system("[production.config-agent]\nkept_backups = 7\n[global.config-agent]\nmode = \"bold\"")
        .file(
            "[config-agent]\ncpf = \"a\"\nkept_backups = 1\n[default.config-agent]\nkept_backups = 2\n\
             [production.config-agent]\nmode = \"careful\"\n[staging.config-agent]\nkept_backups = 9",
        )
        .variable("INSTANCE_PROFILE", "production");
    let own = told.own();
    assert_eq!(own.kept_backups, 7);
    assert_eq!(own.mode, Mode::Bold, "what holds globally beats the profile");
}

#[test]
fn common_keys_come_from_everywhere_too() {
    let told = Told::nothing().file("host = \"db-1\"\ngrace_seconds = 5\n[config-agent]\ncpf = \"a\"");
    let (settings, _) = told.read();
    assert_eq!((settings.host.as_str(), settings.grace), ("db-1", Grace(5)));
    let (settings, _) = told.variable("INSTANCE_HOST", "db-2").flag("grace_seconds", "60").read();
    assert_eq!((settings.host.as_str(), settings.grace), ("db-2", Grace(60)));
}

#[test]
fn the_bus_and_telemetry_have_tables_of_their_own() {
    let told = Told::nothing()
        .file("[nats]\nurl = \"nats://a:1\"\n[telemetry]\nlog_format = \"text\"\n[config-agent]\ncpf = \"a\"")
        .variable("INSTANCE_TELEMETRY__LOG_FILTER", "debug");
    let (settings, _) = told.read();
    assert_eq!(settings.bus.servers(), "nats://a:1");
    assert_eq!(settings.telemetry.log_format, instance_telemetry::LogFormat::Text);
    assert_eq!(settings.telemetry.log_filter.as_str(), "debug");
}

#[test]
fn all_faults_are_told_with_origin_key_value_and_rule() {
    let told = Told::nothing()
        .file(
            "hots = \"db-1\"\ngrace_seconds = 0\n[nats]\nurl = 4222\n[telemetry]\nlog_format = \"xml\"\n\
             [config-agent]\nkept_backup = 7\nkept_backups = -1\nmode = \"brave\"\nlabels = [\"a\", 2]\n\
             [config-agent.sink.pager]\npassword = 5\n[rooter]\nx = 1",
        )
        .variable("INSTANCE_TELEMETRY__LOG_FILTER", "a=b=c")
        .variable("INSTANCE_CONFIG_AGNT__CPF", "x")
        .variable("INSTANCE_ROUTER__SHARDS", "not for us");
    let faults = told.faults();
    let expected = [
        "environment INSTANCE_CONFIG_AGNT__CPF: CONFIG_AGNT: unknown table; did you mean INSTANCE_CONFIG_AGENT__CPF?",
        "file \"config.toml\": hots = \"db-1\": unknown key; did you mean \"host\"?",
        "file \"config.toml\": rooter: unknown key; this service has the tables nats, telemetry and config-agent",
        "file \"config.toml\": grace_seconds = 0: must be 1 to 3600 seconds",
        "file \"config.toml\": nats.url = 4222: must be a string",
        "environment INSTANCE_TELEMETRY__LOG_FILTER: telemetry.log_filter = \"a=b=c\": \
         log filter \"a=b=c\" is not a list of `level` or `target=level`",
        "file \"config.toml\": telemetry.log_format = \"xml\": must be one of json, text",
        "file \"config.toml\": config-agent.kept_backup = 7: unknown key; did you mean \"kept_backups\"?",
        "file \"config.toml\": config-agent.kept_backups = -1: must be u32",
        "file \"config.toml\": config-agent.labels.1 = 2: must be a string",
        "file \"config.toml\": config-agent.mode = \"brave\": must be one of careful, bold",
        "file \"config.toml\": config-agent.sink.pager.password = (hidden): must be a string",
        "settings: config-agent.sink.pager.address: missing; set it in a settings file, as \
         INSTANCE_CONFIG_AGENT__SINK__PAGER__ADDRESS, or with --set config-agent.sink.pager.address=VALUE",
        "settings: config-agent.cpf: missing; set it in a settings file, as INSTANCE_CONFIG_AGENT__CPF, or with \
         --set config-agent.cpf=VALUE",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn a_text_that_looks_like_a_number_is_a_text_where_a_text_is_asked_for() {
    let told = Told::nothing()
        .variable("INSTANCE_CONFIG_AGENT__CPF", "007")
        .flag("config-agent.sink.pager.address", "true")
        .flag("config-agent.sink.pager.password", "0123")
        .flag("config-agent.labels", "[a, b]");
    let own = told.own();
    assert_eq!(own.cpf, PathBuf::from("007"));
    assert_eq!(own.sink["pager"].address, "true");
    assert_eq!(own.sink["pager"].password.as_deref(), Some("0123"));
    assert_eq!(own.labels, ["a", "b"]);
}

#[test]
fn a_text_that_is_wrong_as_text_too_is_told_as_it_was_written() {
    let told = Told::nothing().flag("config-agent.cpf", "a").flag("config-agent.kept_backups", "[1]");
    let expected = "flag --set config-agent.kept_backups: config-agent.kept_backups = [1]: must be u32";
    assert_eq!(told.faults(), [expected]);
}

#[test]
fn files_that_cannot_be_read_are_faults_and_the_system_file_may_be_absent() {
    let mut told = Told::nothing().flag("config-agent.cpf", "a");
    told.own();
    told.sources.config_file = Some(told.folder.path().join("absent.toml"));
    assert!(told.faults()[0].starts_with("file \"absent.toml\": could not read it: No such file"));

    let broken = Told::nothing().file("[config-agent\ncpf = 1").faults();
    assert!(broken[0].starts_with("file \"config.toml\": not TOML: "), "{broken:?}");
    assert_eq!(broken[0].lines().count(), 1, "one line a fault: {broken:?}");

    let unknown = Told::nothing().profile("prod").flag("config-agent.cpf", "a").faults();
    let expected =
        "flag --profile: profile = \"prod\": must be one of development, staging, production, testing";
    assert_eq!(unknown, [expected]);
}

#[test]
fn a_table_that_is_no_table_is_told_and_nothing_breaks() {
    let faults =
        Told::nothing().file("nats = 3\nproduction = 4\nconfig-agent = []").profile("production").faults();
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, said) in
        faults.iter().zip(["production = 4: a profile is a table", "nats = 3: ", "config-agent = []: "])
    {
        assert!(fault.contains(said), "{fault}");
    }
}

#[test]
fn faults_of_the_bus_itself_are_told_with_the_others() {
    let told = Told::nothing().flag("nats.password_file", "/nowhere/at/all").flag("config-agent.cpf", "a");
    let [fault] = told.faults().try_into().unwrap();
    assert!(
        fault.starts_with("settings: nats: could not read password file \"/nowhere/at/all\": "),
        "{fault}"
    );
}

#[test]
fn standard_variables_of_telemetry_are_checked_with_the_others() {
    let told = Told::nothing()
        .flag("config-agent.cpf", "a")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let expected = "settings: telemetry: environment variable OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\", \
                    and must be `http/protobuf`";
    assert_eq!(told.faults(), [expected]);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let told = Told::nothing().file("[config-agent]\ncpf = \"a\"").variable("INSTANCE_CONFIG_AGENT__CPF", "");
    assert_eq!(told.own().cpf, PathBuf::from("a"));
}

#[test]
fn the_settings_in_force_are_printed_with_their_origins_and_no_secret() {
    let told = Told::nothing()
        .file("host = \"db-1\"\n[config-agent]\nkept_backups = 2\nsink.pager = { address = \"a\", password = \"hunter2\" }")
        .variable("INSTANCE_CONFIG_AGENT__CPF", "/opt/iris/iris.cpf")
        .flag("nats.url", "nats://me:hunter2@db-1:4222")
        .profile("testing");
    let (settings, layered) = told.read();
    let page = print(&settings, &layered).replace(&format!("{}/", told.folder.path().display()), "");
    let lines: Vec<String> =
        page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for expected in [
        "# profile: testing",
        "host = \"db-1\" # file \"config.toml\"",
        "grace_seconds = 30 # default",
        "[nats]",
        "url = \"nats://(hidden)@db-1:4222\" # flag --set nats.url",
        "# creds # not set",
        "# log_filter # not set",
        "[config-agent]",
        "cpf = \"/opt/iris/iris.cpf\" # environment INSTANCE_CONFIG_AGENT__CPF",
        "kept_backups = 2 # file \"config.toml\"",
        "sink.pager.password = (hidden) # file \"config.toml\"",
        "# mode # not set",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} is missing in:\n{page}");
    }
    assert!(!page.contains("hunter2"), "{page}");
}

#[test]
fn a_shipped_file_is_checked_as_the_service_would_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config-agent.toml");
    fs::write(&file, "[config-agent]\ncpf = \"a\"\n[staging.config-agent]\nkept_backups = 0\n").unwrap();
    assert_eq!(check_file::<Config>("config-agent", &file, Some("staging")).unwrap().kept_backups, 0);
    fs::write(&file, "[config-agent]\ncfp = \"a\"\n").unwrap();
    assert_eq!(check_file::<Config>("config-agent", &file, None).unwrap_err().iter().count(), 2);
}
