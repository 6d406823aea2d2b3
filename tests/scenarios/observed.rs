//! `docker compose --profile observability`: what it names is there, and fits together. Nothing of it is started here.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    process::Command,
};

use serde_json::Value;

use crate::pipeline::{clean, source_tree};

const WATCHERS: [&str; 4] = ["collector", "grafana", "jaeger", "prometheus"];

/// A file of YAML, with its anchors and merges resolved.
fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(source_tree().join(path)).unwrap();
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(&text).unwrap();
    value.apply_merge().unwrap();
    serde_json::to_value(value).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

/// Of the profile, and always.
fn services(compose: &Value) -> (BTreeMap<&str, &Value>, BTreeMap<&str, &Value>) {
    let all = compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service));
    all.filter(|(name, _)| *name != "operator")
        .partition(|(_, service)| words(&service["profiles"]).contains(&"observability"))
}

/// `host:port` of a URL or an address.
fn address(text: &str) -> (&str, u16) {
    let text = text.rsplit_once("//").map_or(text, |(_, rest)| rest);
    let (host, port) = text.split_once(':').unwrap_or_else(|| panic!("{text} names no port"));
    (host, port.trim_end_matches('/').parse().unwrap())
}

#[test]
fn the_profile_holds_pinned_images_that_can_do_little_and_every_file_that_is_mounted() {
    let compose = yaml("compose.yaml");
    let (watchers, others) = services(&compose);
    assert_eq!(watchers.keys().copied().collect::<Vec<_>>(), WATCHERS);
    for (name, service) in &watchers {
        let image = service["image"].as_str().unwrap();
        let pinned = image.strip_prefix("${").unwrap().strip_suffix('}').unwrap().split_once(":-").unwrap().1;
        let (_, tag) = pinned.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {pinned} has no tag"));
        let version = tag.trim_start_matches('v').split('.').filter(|part| part.parse::<u32>().is_ok());
        assert_eq!(version.count(), 3, "{name}: {pinned} is no one version");
        assert_eq!(
            (&service["read_only"], words(&service["cap_drop"])),
            (&true.into(), vec!["ALL"]),
            "{name}"
        );
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to others");
        }
    }
    // Services work without those who watch them.
    for (name, service) in &others {
        let needs = service["depends_on"].as_object().map(|needs| needs.keys().cloned().collect());
        let needs: BTreeSet<String> = needs.unwrap_or_default();
        assert!(WATCHERS.iter().all(|watcher| !needs.contains(*watcher)), "{name} waits for {needs:?}");
    }
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in watchers.iter().chain(&others) {
        for mount in words(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(path) => assert!(source_tree().join(path).exists(), "{name}: {path} is not there"),
                None => assert!(volumes.contains_key(source) || source.starts_with("${"), "{name}: {mount}"),
            }
        }
    }
}

#[test]
fn prometheus_collector_and_grafana_ask_who_is_there_at_the_ports_on_which_they_listen() {
    let compose = yaml("compose.yaml");
    let (watchers, others) = services(&compose);
    // Every service that tells metrics, under the job that the alerts know, where its settings let it listen.
    let mut told = BTreeSet::new();
    for (name, service) in &others {
        let Some(listens) = service["environment"]["INSTANCE_TELEMETRY__LISTEN"].as_str() else { continue };
        let shared = service["network_mode"].as_str().and_then(|mode| mode.strip_prefix("service:"));
        let role = service["environment"]["INSTANCE_NATS__USER"].as_str().unwrap();
        told.insert((
            format!("instance-{role}"),
            format!("{}:{}", shared.unwrap_or(name), address(listens).1),
        ));
        // Empty is not set: nothing is exported until somebody names a collector.
        assert_eq!(service["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"], "${OTEL_EXPORTER_OTLP_ENDPOINT:-}");
    }
    assert_eq!(told.len(), 7, "{told:?}");
    let addresses: BTreeSet<&String> = told.iter().map(|(_, address)| address).collect();
    assert_eq!(addresses.len(), told.len(), "two listen on one port: {told:?}");
    let prometheus = yaml("deploy/prometheus/compose.yml");
    let asked = prometheus["scrape_configs"].as_array().unwrap().iter().map(|job| {
        let target = job["static_configs"][0]["targets"][0].as_str().unwrap();
        (job["job_name"].as_str().unwrap().to_owned(), target.to_owned())
    });
    assert_eq!(asked.collect::<BTreeSet<_>>(), told);

    let collector = yaml("deploy/collector/collector.yml");
    let (_, port) =
        address(collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].as_str().unwrap());
    let text = fs::read_to_string(source_tree().join("compose.yaml")).unwrap();
    assert!(text.contains(&format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:{port} docker")), "{port}");
    let (jaeger, _) = address(collector["exporters"]["otlp/jaeger"]["endpoint"].as_str().unwrap());
    assert!(watchers.contains_key(jaeger), "{jaeger}");
    for (name, pipeline) in collector["service"]["pipelines"].as_object().unwrap() {
        for part in ["receivers", "processors", "exporters"] {
            for word in words(&pipeline[part]) {
                assert!(collector[part].get(word).is_some(), "pipeline {name}: no {part} {word}");
            }
        }
    }
    let sources = yaml("deploy/grafana/provisioning/datasources/instance.yml");
    for source in sources["datasources"].as_array().unwrap() {
        let (host, _) = address(source["url"].as_str().unwrap());
        assert_eq!(source["type"], host, "{source}");
        assert!(watchers.contains_key(host), "{host}");
    }
}

/// Compose itself and Prometheus' own tool, where there are such.
#[test]
fn those_who_read_these_files_take_them() {
    let run = |program: &str, words: &[&str]| {
        let path = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            instance_testkit::skipped(format_args!("there is no {program} here, so only we have read this"));
            return None;
        }
        let mut command = Command::new(program);
        clean(&mut command);
        let output = command.args(words).current_dir(source_tree()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {said}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let services = ["-f", "compose.yaml", "--profile", "observability", "config", "--services"];
    if let Some(told) = run("docker-compose", &services) {
        let told: BTreeSet<&str> = told.lines().collect();
        assert!(WATCHERS.iter().all(|name| told.contains(name)), "{told:?}");
    }
    if let Some(told) = run("docker-compose", &["-f", "compose.yaml", "config", "--services"]) {
        println!("without the profile: {told}");
    }
    run("promtool", &["check", "config", "deploy/prometheus/compose.yml"]);
}
