//! The shipped experiments under the real `chaos`: what was healed keeps the hypothesis, another verdict deviates.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use instance_testkit::{NatsServer, skipped};
use serde_json::Value;

use crate::pipeline::{command, program, source_tree};

/// What the caller of the gateway shows.
const TOKEN: &str = "a-token-of-this-test-alone";

/// The folder with chaostoolkit, where `cargo xtask test` could have it.
fn toolkit() -> Option<String> {
    let named =
        env::var("INSTANCE_CHAOSTOOLKIT_PY").expect("`cargo xtask test` names the folder of chaostoolkit");
    if named == "none" {
        skipped("chaostoolkit could not be installed, so no experiment was run");
        return None;
    }
    Some(named)
}

/// `chaos run` of a shipped experiment: did it end well, and its journal.
fn run(toolkit: &str, folder: &Path, experiment: &str, variables: &[(&str, &str)]) -> (bool, Value) {
    let journal = folder.join("journal.json");
    let _ = fs::remove_file(&journal);
    let mut chaos = Command::new("python3");
    chaos.args(["-m", "chaostoolkit", "--no-version-check", "--no-log-file", "run"]);
    chaos.args(["--journal-path"]).arg(&journal);
    for (name, value) in variables {
        chaos.arg("--var").arg(format!("{name}={value}"));
    }
    chaos.arg(source_tree().join("deploy/chaostoolkit").join(experiment)).current_dir(folder);
    // `instance` is found as an operator's would be.
    let programs = program("instance").parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();
    chaos
        .env("PATH", path)
        .env("PYTHONPATH", toolkit)
        .env("HOME", folder)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    chaos.env("INSTANCE_GATEWAY_TOKEN", TOKEN);
    let output = chaos.output().unwrap();
    let text = fs::read_to_string(&journal).unwrap_or_else(|error| {
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        panic!("no journal ({error}):\n{}", said.concat())
    });
    (output.status.success(), serde_json::from_str(&text).unwrap())
}

#[test]
fn a_healed_instance_keeps_the_hypothesis_and_another_verdict_deviates() {
    let Some(toolkit) = toolkit() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (well, journal) = run(&toolkit, folder.path(), "heal.json", &[("label", "healed")]);
    assert!(well && journal["status"] == "completed" && journal["deviated"] == false, "{journal:#}");
    // Not an empty run: the scenario was played by the action.
    assert_eq!(journal["run"][0]["output"]["status"], 0, "{journal:#}");
    let report = folder.path().join("run/chaos/healed");
    assert!(report.is_dir(), "the run has its folder");
    let again = [("label", "healed"), ("verdict", "verified")];
    let (well, journal) = run(&toolkit, folder.path(), "verdict.json", &again);
    assert!(well && journal["deviated"] == false, "{journal:#}");
    let other = [("label", "healed"), ("verdict", "missed")];
    let (well, journal) = run(&toolkit, folder.path(), "verdict.json", &other);
    assert!(!well && journal["deviated"] == true, "{journal:#}");

    let gateway = Gateway::over(folder.path());
    for (verdict, deviates) in [("verified", false), ("missed", true)] {
        let variables = [("gateway", gateway.url.as_str()), ("label", "healed"), ("verdict", verdict)];
        let (well, journal) = run(&toolkit, folder.path(), "gateway.json", &variables);
        assert_eq!((well, &journal["deviated"]), (!deviates, &deviates.into()), "{journal:#}");
        let status = &journal["steady_states"]["after"]["probes"][0]["output"]["status"];
        assert_eq!(*status, if deviates { 409 } else { 200 }, "{journal:#}");
    }
}

/// A real gateway over a folder of runs; ended with this value.
struct Gateway {
    url: String,
    child: Child,
    _server: NatsServer,
}

impl Gateway {
    fn over(folder: &Path) -> Self {
        let server = NatsServer::start();
        let layout = command("instance").args(["bus", "init", "--nats", &server.url()]).output().unwrap();
        assert!(layout.status.success(), "{}", String::from_utf8_lossy(&layout.stderr));
        // Another process may take the port before the gateway does; then it ends, and the test says so.
        let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let (token, settings) = (folder.join("token"), folder.join("gateway.toml"));
        fs::write(&token, TOKEN).unwrap();
        let text = format!(
            "[nats]\nurl = \"{}\"\n[gateway]\nlisten = \"{address}\"\nchaos_dir = \"{}\"\n[[gateway.callers]]\nname = \
             \"chaos\"\ntoken_file = \"{}\"\nmay = [\"read\"]\n",
            server.url(),
            folder.join("run/chaos").display(),
            token.display()
        );
        fs::write(&settings, text).unwrap();
        let mut gateway = command("instance-gateway");
        let log = fs::File::create(folder.join("gateway.log")).unwrap();
        gateway.arg("--config").arg(&settings).stdout(Stdio::null()).stderr(log);
        let mut gateway =
            Self { url: format!("http://{address}"), child: gateway.spawn().unwrap(), _server: server };
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(folder.join("gateway.log")).unwrap_or_default();
            assert!(gateway.child.try_wait().unwrap().is_none(), "the gateway has ended: {}", log());
            assert!(Instant::now() < deadline, "the gateway does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
