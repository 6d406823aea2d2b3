//! A model at a test endpoint, with short pauses and a clock that is moved by hand.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use instance_clock::MockClock;
use instance_llm::{
    Account, Answered, Error, Excerpt, Fill, Model, Parts, Prompt, Question, Settings, Template, Typed,
    settings,
};
use instance_testkit::{ModelAnswer, ModelServer};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

const TEMPLATE: Template =
    Template { name: "judge", version: 1, system: "Judge the entry of a log.", user: "The entry: {{entry}}" };

/// What the tests ask for.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "judgement")]
pub struct Judgement {
    #[schemars(range(min = 0, max = 3))]
    pub severity: u8,
    pub title: String,
}

/// An answer of that form. 100 tokens in, 50 out.
pub fn right() -> ModelAnswer {
    ModelAnswer::json(&json!({"severity": 2, "title": "journal full"}))
}

pub struct Desk {
    pub settings: Settings,
    pub clock: Arc<MockClock>,
    pub prompt: Prompt,
    pub form: Typed<Judgement>,
    pub account: Account,
    folder: tempfile::TempDir,
}

impl Desk {
    /// One provider, "main". Nothing is kept in files, so that every question is a call unless a test wants otherwise.
    pub fn new(server: &ModelServer) -> Self {
        Self::within(tempfile::tempdir().unwrap(), server)
    }

    fn within(folder: tempfile::TempDir, server: &ModelServer) -> Self {
        let mut settings = Settings {
            providers: vec![settings::Provider::new("main", &server.url(), "m-1")],
            folder: folder.path().join("state"),
            retry_base_ms: 1,
            retry_top_ms: 2_000,
            ..Settings::default()
        };
        settings.providers[0].calls_per_minute = 10_000;
        settings.cache.files = false;
        // On a busy machine a level is slow, and that is not what the tests are about.
        settings.cache.patience_ms = 60_000;
        Self {
            settings,
            clock: Arc::new(MockClock::new("2026-09-01T10:00:00Z".parse().unwrap())),
            prompt: prompt("WRTDMN: write failed"),
            form: Typed::new(),
            account: Account { session: "test".to_owned(), remediation: Some("r-1".to_owned()) },
            folder,
        }
    }

    /// The same for thousands of questions: no budget, cache or limit of calls that would be felt, and in memory where there
    /// is such a folder, because each call is written down and synced.
    pub fn unlimited(server: &ModelServer) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let mut desk = Self::within(folder.unwrap(), server);
        let budget = &mut desk.settings.budget;
        (budget.remediation_tokens, budget.session_tokens) = (u64::MAX >> 1, u64::MAX >> 1);
        budget.day_tokens = u64::MAX >> 1;
        desk.settings.cache.enabled = false;
        desk.provider().calls_per_minute = 100_000;
        desk
    }

    pub fn model(&self) -> Model {
        let parts = Parts::new(self.clock.clone());
        Model::new(self.settings.clone(), parts).unwrap()
    }

    pub fn provider(&mut self) -> &mut settings::Provider {
        &mut self.settings.providers[0]
    }

    pub fn question(&self) -> Question<'_, Typed<Judgement>> {
        Question::judge(&self.prompt, &self.form, &self.account)
    }

    /// Asks about another entry.
    pub async fn ask_about(&self, model: &Model, entry: &str) -> Result<Answered<Judgement>, Error> {
        let prompt = prompt(entry);
        model.ask(&Question { prompt: &prompt, ..self.question() }).await
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every file that was written.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

pub fn prompt(entry: &str) -> Prompt {
    TEMPLATE.fill(&[("entry", Fill::Outside(Excerpt::of(entry)))]).unwrap()
}
