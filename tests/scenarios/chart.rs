//! The Helm chart, rendered by Helm itself: what comes out are objects that Kubernetes knows, and nothing of it is lost on the
//! way; pods are restricted; the programs and settings in it are ours; bad values are refused.

use std::{env, fs, process::Command};

use instance_testkit::skipped;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::{ConfigMap, Pod, PodSpec, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::pipeline::{command, program, source_tree};

/// Everything that the chart can render, in three sets of values.
const ALL: &str = r#"{"osAgent": {"enabled": true}, "imagePullSecrets": [{"name": "pull"}], "image": {"repository": "r/i",
    "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000"}, "podAnnotations": {"a": "b"},
    "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "db", "operator": "Exists"}], "extraEnv": [{"name": "INSTANCE_NATS__TLS_CA",
    "value": "/bus-ca/ca.pem"}], "extraVolumes": [{"name": "bus-ca", "configMap": {"name": "bus-ca"}}], "extraVolumeMounts":
    [{"name": "bus-ca", "mountPath": "/bus-ca", "readOnly": true}], "networkPolicy": {"extraEgress": [{"ports": [{"port": 4318}]}]},
    "roles": {"router": {"enabled": true, "command": ["instance-router"], "ports": [{"containerPort": 9000, "name": "other"}]},
    "analyst": {"enabled": true, "command": ["instance-analyst"], "replicas": 0},
    "gateway": {"enabled": true, "command": ["instance-gateway"], "extraVolumes": [{"name": "tokens", "secret":
    {"secretName": "tokens"}}], "extraVolumeMounts": [{"name": "tokens", "mountPath": "/tokens"}]}},
    "telemetry": {"otlpEndpoint": "http://collector:4318"}}"#;
const LITTLE: &str = r#"{"roles": {"analyst": {"enabled": false, "command": ["instance-analyst"]}}, "busInit": {"enabled": false},
    "networkPolicy": {"enabled": false}, "podDisruptionBudget": {"enabled": false}, "serviceAccount": {"create": false}, "telemetry": {"metricsPort": 0}}"#;

/// What Helm makes of the chart, or nothing where Helm could not be had.
fn rendered(sets: &[(&str, &str)]) -> Option<Value> {
    let helm = env::var("INSTANCE_HELM_PY").expect("`cargo xtask test` names the folder of Helm's library");
    if helm == "none" {
        skipped("Helm's library could not be installed, so the chart was not rendered");
        return None;
    }
    let mut python = Command::new("python3");
    python.arg(source_tree().join("tests/clients/render_chart.py")).arg(source_tree().join("deploy/chart"));
    python.args(sets.iter().map(|(name, values)| format!("{name}={values}")));
    let output = python.env("PYTHONPATH", helm).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn what_helm_renders_is_what_kubernetes_takes() {
    let Some(told) = rendered(&[("default", "{}"), ("all", ALL), ("little", LITTLE)]) else { return };
    println!("Helm {}", told["version"].as_str().unwrap());
    assert_eq!(told["lint"]["errors"], json!([]), "{}", told["lint"]);
    let severe = |message: &&Value| message["severity"].as_u64() > Some(1);
    assert_eq!(told["lint"]["messages"].as_array().unwrap().iter().find(severe), None);
    let count = |set: &str, kind: &str| objects(&told, set).filter(|object| object["kind"] == kind).count();
    assert_eq!(
        (count("default", "Deployment"), count("default", "DaemonSet"), count("default", "Job")),
        (2, 0, 1)
    );
    assert_eq!((count("all", "DaemonSet"), count("all", "PodDisruptionBudget")), (1, 1));
    assert_eq!(
        (count("little", "Deployment"), count("little", "Job"), count("little", "NetworkPolicy")),
        (1, 0, 0)
    );
    assert_eq!((count("default", "Service"), count("all", "Service")), (0, 1));
    reached(&told, "gateway");
    let copies = |role: &str| whole::<Deployment>(named(&told, "Deployment", role)).spec.unwrap().replicas;
    assert_eq!((copies("analyst"), copies("router"), copies("gateway")), (Some(0), Some(2), Some(1)));
    for (kind, component) in
        [("Job", "bus-init"), ("Pod", "doctor"), ("DaemonSet", "os-agent"), ("Deployment", "router")]
    {
        trusts_the_bus(named(&told, kind, component));
    }
    for (set, port, collector) in [
        ("default", Some(9464), None),
        ("all", Some(9464), Some("http://collector:4318")),
        ("little", None, None),
    ] {
        for pod in pods(&told, set) {
            observed(&pod, port, collector);
            // A role's own volumes are in no other pod.
            let has_tokens = pod.volumes.iter().flatten().any(|volume| volume.name == "tokens");
            assert_eq!(has_tokens, set == "all" && pod.containers[0].name == "gateway");
        }
    }
    for set in ["default", "all", "little"] {
        for object in objects(&told, set) {
            known(object);
        }
    }
    // The same without Helm: `kubectl apply -f`. UPDATE_EXPECT=1 writes it anew.
    let plain = format!(
        "# Written from deploy/chart by tests/scenarios/chart.rs.\n{}\n",
        told["sets"]["default"]["text"].as_str().unwrap()
    );
    expect_test::expect_file!["../../deploy/kubernetes/instance.yaml"].assert_eq(&plain);
}

#[test]
fn bad_values_are_refused_by_name() {
    let bad = [
        ("key", r#"{"imagge": {}}"#, "imagge"),
        ("profile", r#"{"profile": "prod"}"#, "profile"),
        ("digest", r#"{"image": {"repository": "r", "digest": "sha256:1"}}"#, "digest"),
        ("url", r#"{"nats": {"url": "http://nats", "existingSecret": "s"}}"#, "url"),
        ("service", r#"{"roles": {"other": {"enabled": true, "command": ["x"], "service": true}}}"#, "ports"),
        ("role", r#"{"roles": {"router": {"enabled": true, "command": [], "replica": 2}}}"#, "replica"),
    ];
    let Some(told) = rendered(&bad.map(|(name, values, _)| (name, values))) else { return };
    for (name, _, said) in bad {
        let refused =
            told["sets"][name]["refused"].as_str().unwrap_or_else(|| panic!("{name} was not refused"));
        assert!(refused.contains(said), "{name}: {refused}");
    }
}

fn objects<'a>(told: &'a Value, set: &str) -> impl Iterator<Item = &'a Value> {
    told["sets"][set]["documents"].as_array().unwrap_or_else(|| panic!("{}", told["sets"][set])).iter()
}

fn known(object: &Value) {
    match object["kind"].as_str().unwrap() {
        "Deployment" => {
            let spec = whole::<Deployment>(object).spec.unwrap();
            let labels = spec.template.metadata.unwrap().labels.unwrap();
            let selected = spec.selector.match_labels.unwrap();
            assert!(selected.iter().all(|(name, value)| labels.get(name) == Some(value)), "{selected:?}");
            restricted(&spec.template.spec.unwrap());
        }
        "DaemonSet" => {
            let pod = whole::<DaemonSet>(object).spec.unwrap().template.spec.unwrap();
            assert_eq!(pod.containers[0].command, Some(vec!["instance-os-agent".to_owned()]));
            ours(&pod);
        }
        "Job" => restricted(&whole::<Job>(object).spec.unwrap().template.spec.unwrap()),
        "Pod" => restricted(&whole::<Pod>(object).spec.unwrap()),
        "ConfigMap" => settings(&whole::<ConfigMap>(object)),
        "ServiceAccount" => drop(whole::<ServiceAccount>(object)),
        "Service" => drop(whole::<Service>(object)),
        "NetworkPolicy" => drop(whole::<NetworkPolicy>(object)),
        "PodDisruptionBudget" => drop(whole::<PodDisruptionBudget>(object)),
        other => panic!("nobody looks at a {other}"),
    }
}

/// Of every service.
fn pods(told: &Value, set: &str) -> Vec<PodSpec> {
    let services =
        objects(told, set).filter(|object| object["kind"] == "Deployment" || object["kind"] == "DaemonSet");
    let pods: Vec<PodSpec> = services
        .map(|object| serde_json::from_value(object["spec"]["template"]["spec"].clone()).unwrap())
        .collect();
    assert!(!pods.is_empty(), "{set} has no service");
    pods
}

/// It tells where it runs, answers scrapes where it says so, and exports where it was told to.
fn observed(pod: &PodSpec, port: Option<i32>, collector: Option<&str>) {
    let container = &pod.containers[0];
    let variable = |name: &str| container.env.iter().flatten().find(|variable| variable.name == name);
    for (name, field) in [
        ("POD_NAME", "metadata.name"),
        ("POD_UID", "metadata.uid"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("NODE_NAME", "spec.nodeName"),
    ] {
        let source = variable(name).and_then(|variable| variable.value_from.as_ref()?.field_ref.as_ref());
        assert_eq!(
            source.map(|source| source.field_path.as_str()),
            Some(field),
            "{name} of {}",
            container.name
        );
    }
    let value = |name: &str| variable(name).and_then(|variable| variable.value.as_deref());
    assert_eq!(value("CONTAINER_NAME"), Some(container.name.as_str()));
    assert_eq!(value("OTEL_EXPORTER_OTLP_ENDPOINT"), collector);
    let listens = port.map(|port| format!("0.0.0.0:{port}"));
    assert_eq!(value("INSTANCE_TELEMETRY__LISTEN"), listens.as_deref());
    let metrics = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some("metrics"));
    assert_eq!(metrics.map(|port| port.container_port), port, "{}", container.name);
}

/// The role's Service leads to its pods, and to a port that they listen on, for others than themselves.
fn reached(told: &Value, role: &str) {
    let service = whole::<Service>(named(told, "Service", role)).spec.unwrap();
    let pods = whole::<Deployment>(named(told, "Deployment", role)).spec.unwrap().template;
    let labels = pods.metadata.unwrap().labels.unwrap();
    let selected = service.selector.unwrap();
    assert!(!selected.is_empty() && selected.iter().all(|(name, value)| labels.get(name) == Some(value)));
    let listening = pods.spec.unwrap().containers.remove(0).ports.unwrap();
    let ports = service.ports.unwrap();
    assert_eq!(
        (ports[0].port, ports[0].name.as_ref()),
        (listening[0].container_port, listening[0].name.as_ref())
    );
    let settings = &named(told, "ConfigMap", role)["data"][format!("{role}.toml")];
    let address = format!("listen_plain = \"0.0.0.0:{}\"", ports[0].port);
    assert!(settings.as_str().unwrap().contains(&address), "{settings}");
}

/// The object of a role or of another part of the chart, when all is rendered.
fn named<'a>(told: &'a Value, kind: &str, component: &str) -> &'a Value {
    let name = format!("instance-{component}");
    objects(told, "all")
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name.as_str())
        .unwrap_or_else(|| panic!("no {kind} of {component}"))
}

/// It has the CA of the bus, without which it could not even be installed where the bus has one of its own.
fn trusts_the_bus(object: &Value) {
    let spec = &object["spec"];
    let pod = if object["kind"] == "Pod" { spec } else { &spec["template"]["spec"] };
    let pod: PodSpec = serde_json::from_value(pod.clone()).unwrap();
    let container = &pod.containers[0];
    let told = container.env.iter().flatten().find(|variable| variable.name == "INSTANCE_NATS__TLS_CA");
    let path = told.and_then(|variable| variable.value.as_deref());
    assert_eq!(path, Some("/bus-ca/ca.pem"), "{}", container.name);
    let mount = container.volume_mounts.iter().flatten().find(|mount| mount.name == "bus-ca");
    assert_eq!(mount.map(|mount| mount.mount_path.as_str()), Some("/bus-ca"), "{}", container.name);
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == "bus-ca");
    assert!(volume.is_some_and(|volume| volume.config_map.is_some()), "{}", container.name);
}

/// An object of this type, of which nothing is unknown: what is read and written again is all there.
fn whole<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let read: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let again = serde_json::to_value(&read).unwrap();
    let mut lost = Vec::new();
    compare(object, &again, "", &mut lost);
    assert!(lost.is_empty(), "unknown to Kubernetes: {lost:?}");
    read
}

fn compare(written: &Value, read: &Value, path: &str, lost: &mut Vec<String>) {
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                compare(value, &read[name], &format!("{path}/{name}"), lost);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                compare(value, &read[at], &format!("{path}/{at}"), lost);
            }
        }
        Value::Null => {}
        leaf if leaf == read || leaf.as_f64().is_some_and(|number| read.as_f64() == Some(number)) => {}
        _ => lost.push(path.to_owned()),
    }
}

/// Pod security "restricted", and nothing of the cluster's own interface.
fn restricted(pod: &PodSpec) {
    let security = pod.security_context.as_ref().unwrap();
    assert_eq!((security.run_as_non_root, security.run_as_user), (Some(true), Some(65532)));
    assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    for container in &pod.containers {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
        let dropped = security.capabilities.as_ref().unwrap().drop.clone();
        assert_eq!(dropped, Some(vec!["ALL".to_owned()]));
    }
    ours(pod);
}

/// The programs are of this build, the environment says nothing twice (Helm 4 applies on the server, which refuses that), and
/// probes ask what exists.
fn ours(pod: &PodSpec) {
    for container in &pod.containers {
        program(&container.command.as_ref().unwrap()[0]);
        let mut names: Vec<_> =
            container.env.iter().flatten().map(|variable| variable.name.clone()).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
        let mounts: Vec<_> =
            container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect();
        let volumes: Vec<_> = pod.volumes.iter().flatten().map(|volume| volume.name.clone()).collect();
        assert!(mounts.iter().all(|name| volumes.contains(name)), "{mounts:?} of {volumes:?}");
        let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
        for probe in probes.into_iter().flatten() {
            let words = probe.exec.as_ref().unwrap().command.clone().unwrap();
            assert_eq!(words[..2], ["instance", "health"]);
            assert!(container.name == *words.last().unwrap(), "{words:?}");
        }
    }
}

/// The settings of a role are settings that the role takes.
fn settings(map: &ConfigMap) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in map.data.as_ref().unwrap() {
        let role = name.strip_suffix(".toml").unwrap();
        if text.trim().is_empty() {
            continue;
        }
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let mut check = command(&format!("instance-{role}"));
        // The agents' list of instances is the operator's.
        if role == "os-agent" {
            check.args([
                "--set",
                "os-agent.instances=[{name=\"IRIS\", cpf=\"/i/iris.cpf\", messages_log=\"/i/messages.log\"}]",
            ]);
        }
        let output = check.arg("--config").arg(&file).arg("--check-config").output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
