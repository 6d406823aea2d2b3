//! What fails midway is taken back: the world is as it was, and the trace says so.

use serde_json::json;

use crate::pipeline::{Pipeline, wish, world};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_does_not_come_up_brings_back_the_former_configuration() {
    let pipeline = Pipeline::running(&[]).await;
    let iris = &pipeline.iris;
    let (cpf, port) = (iris.cpf(), iris.port());
    // A port that somebody else holds is legal in the file, and no instance comes up on it.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let taken = held.local_addr().unwrap().port();
    let mut wish = wish::set_cpf("DefaultPort", &taken.to_string(), true);
    wish["parameters"]["cpf_section"] = json!("Startup");
    wish["timeout_seconds"] = json!(10);

    let file = pipeline.command_file(&wish);
    let ran = pipeline
        .instance(&["orchestrate", "--command-file", file.to_str().unwrap(), "--wait", "--json"])
        .await;

    let trace: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &trace["overall_status"]), (5, &json!("undone")), "{trace:#}\n{}", pipeline.logs());
    assert_eq!(trace["failed_at_step"], "restart");
    assert_eq!(world::changed_lines(&cpf, &iris.cpf()), Vec::new());
    assert_eq!((iris.state().0.as_str(), iris.port()), ("running", port), "{trace:#}");
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "it takes sessions as before");
}
