//! The cases for models against a real service (`cargo xtask test --live-model`), or what asking costs beside the model
//! itself, at the test server (`cargo xtask bench models`).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says where")]

#[path = "../../../services/analyst/tests/analyst/desk.rs"]
#[expect(dead_code, reason = "the analyst's own tests use the rest")]
mod analyst;
#[path = "../../models/cases.rs"]
mod cases;
#[path = "../../models/scene.rs"]
mod scene;

mod figures;
mod goals;

use std::{env, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

use instance_llm::{Settings, settings::Provider};

/// The key of a real service.
const KEY: &str = "INSTANCE_LIVE_MODEL_KEY";
/// Its base URL. Default: that of OpenAI.
const URL: &str = "INSTANCE_LIVE_MODEL_URL";
/// The model to ask there.
const MODEL: &str = "INSTANCE_LIVE_MODEL";

#[tokio::main]
async fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("--live") => live().await,
        Some("--goals") => verdict(goals::print().await),
        _ => verdict(figures::print().await & goals::print().await),
    }
}

/// A goal that is missed fails the benchmark.
fn verdict(all_met: bool) -> ExitCode {
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn live() -> ExitCode {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let Some(key) = set(KEY) else {
        println!("skipped: no key ({KEY} is not set); nothing was asked, and nothing counts as passed");
        return ExitCode::SUCCESS;
    };
    let url = set(URL).unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
    let model = set(MODEL).unwrap_or_else(|| "gpt-4o-mini".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    write(&file, &key);
    let mut provider = Provider::new("live", &url, &model);
    provider.key_file = Some(file);
    let settings =
        Settings { providers: vec![provider], folder: folder.path().join("state"), ..Settings::default() };
    println!("{model} at {url}");
    let mut failed = 0;
    for case in cases::all(&settings).await {
        let (word, text) = match &case.outcome {
            Ok(text) => ("passed", text),
            Err(text) => ("FAILED", text),
        };
        failed += usize::from(case.outcome.is_err());
        println!("{word}  {:32} {:6.2} s  {text}", case.name, case.took.as_secs_f64());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A key is for its owner's eyes.
fn write(file: &Path, key: &str) {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).unwrap();
    file.write_all(key.as_bytes()).unwrap();
}
