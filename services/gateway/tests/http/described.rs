//! The OpenAPI document is what the gateway does.

use serde_json::Value;

use crate::desk::desk;

#[test]
fn the_kept_document_is_fresh() {
    let text = serde_json::to_string_pretty(&instance_gateway::openapi()).unwrap() + "\n";
    // UPDATE_EXPECT=1 writes it.
    expect_test::expect_file!["../../openapi.json"].assert_eq(&text);
}

#[test]
fn every_schema_that_is_named_is_there_and_legal() {
    let document = instance_gateway::openapi();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let path = part.split('"').next().unwrap();
        let name =
            path.strip_prefix("#/components/schemas/").unwrap_or_else(|| panic!("{path} leads nowhere"));
        assert!(schemas.contains_key(name), "{name}");
    }
    for (name, schema) in schemas {
        assert!(jsonschema::meta::is_valid(schema), "{name}: {schema}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_there_and_wants_a_credential_where_it_says_so() {
    let desk = desk().await;
    let document = desk.get("/v1/openapi.json").await.json();
    assert_eq!(document, instance_gateway::openapi());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{id}", "6f1d2c0a-52b7-4c43-9a3e-1b6077a1d5c8");
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = desk.send(desk.client.request(method.clone(), desk.url(&path))).await;
            let open = operation["security"] == Value::Array(Vec::new());
            assert_eq!(answer.status, if open { 200 } else { 401 }, "{method} {path}");
            let other = if method == "GET" { reqwest::Method::DELETE } else { reqwest::Method::PUT };
            let answer = desk.send(desk.client.request(other, desk.url(&path))).await;
            assert_eq!(answer.status, 405, "{path}");
        }
    }
    assert_eq!(desk.get("/v1/nothing").await.status, 404);
}
