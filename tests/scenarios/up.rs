//! `instance up --gateway`: the pipeline and HTTP beside it, for whoever has the token of the run folder. And `instance up`
//! where a variable names the server, and where no service can work.

use std::{fs, net::SocketAddr, time::Duration};

use instance_testkit::{NatsServer, eventually};

use crate::{
    gateway::Caller,
    pipeline::{Process, command},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Where the gateway says that it listens.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("serving HTTP"))?;
    line.split_once("\"address\":\"")?.1.split_once('"')?.0.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_of_an_up_pipeline_hears_the_drawn_token_alone_and_drains_with_the_rest() {
    let (server, folder) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let run = folder.path().join("run");
    let mut start = command("instance");
    start.args(["--nats", &server.url(), "up", "--gateway", "--raw-logs", "--dir"]).arg(&run);
    start.env("HOME", folder.path()).env("INSTANCE_GATEWAY__LISTEN", "127.0.0.1:0");
    let mut up = Process::start("up", folder.path(), &mut start);
    let address = eventually(PATIENCE, || {
        let address = address(&up.log());
        assert!(up.is_running(), "{}", up.log());
        async move { address }
    })
    .await;
    let token = fs::read_to_string(run.join("gateway-token")).unwrap();
    let caller = Caller::new(address, String::leak(token));
    eventually(PATIENCE, || async { (caller.get("/readyz").await.0 == 200).then_some(()) }).await;
    let (status, told) = caller.get("/v1/remediations").await;
    assert_eq!((status, told["found"].as_u64()), (200, Some(0)), "{told}");
    assert_eq!(Caller::new(address, "another-token-of-a-length").get("/v1/remediations").await.0, 401);
    // It commands and looks, and agrees to nothing.
    let id = "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8";
    let approval = serde_json::json!({"digest": "0".repeat(64), "verdict": "granted"});
    assert_eq!(caller.post(&format!("/v1/remediations/{id}/approvals"), &approval).await.0, 403);
    up.terminate();
    let ended = up.ended(PATIENCE).await;
    assert!(ended.success(), "{ended}: {}", up.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn up_uses_the_server_that_a_variable_names_and_ends_with_78_where_no_service_can_work() {
    let (server, folder) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (run, settings) = (folder.path().join("run"), folder.path().join("settings"));
    fs::create_dir(&settings).unwrap();
    for service in ["router", "config-agent", "os-agent", "restart-agent", "generator"] {
        fs::write(settings.join(format!("{service}.toml")), "colour = \"red\"\n").unwrap();
    }
    let mut start = command("instance");
    start.args(["up", "--config-dir"]).arg(&settings).arg("--dir").arg(&run);
    start.env("HOME", folder.path()).env("NATS_URL", server.url());
    let mut up = Process::start("up", folder.path(), &mut start);
    let ended = up.ended(PATIENCE).await;
    let log = up.log();
    assert_eq!(ended.code(), Some(78), "{log}");
    assert!(log.contains(&format!("at {} (NATS_URL)", server.url())), "{log}");
    assert!(log.contains("colour") && log.contains("no service can work as it was started"), "{log}");
    assert!(!run.join("nats").exists(), "a server of its own was started");
}
