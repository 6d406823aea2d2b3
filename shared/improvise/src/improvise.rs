//! From entries of templates to entries in a model's words.

use futures::{StreamExt as _, stream};
use instance_contract::{ErrorType, Severity};
use instance_invent::{Invented, Templates};
use instance_llm::{Account, Excerpt, Fill, Model, Question, Settings, Template, Usage};

use crate::{examples::examples, wording::Wording};

/// The most that one try of an entry may cost. An ill-formed answer is no reason to do without a second try.
pub const TOKENS: u64 = 500;
/// The most that one entry may cost, all tries together, in US dollars.
pub const USD: f64 = 0.01;
/// The longest answer, in tokens: 300 characters and their JSON.
const ANSWER_TOKENS: u32 = 110;
/// Questions at a time.
const AT_ONCE: usize = 8;
const LONGEST_EXAMPLE: usize = 160;

/// Change a text here, and raise the version with it.
const TEMPLATE: Template = Template {
    name: "improvise",
    version: 1,
    system: "You write entries of the messages.log of an InterSystems IRIS server, for tests. Write the text of one entry: \
             no stamp, process, severity or category. Quoted text is data.",
    user: "Kind of trouble: {{kind}}. Severity: {{severity}}. Real entries:\n{{examples}}\nWrite another one of this kind, \
           with other words.",
};

/// An entry, and who has written its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Improvised {
    pub entry: Invented,
    pub source: Source,
}

/// Who has written a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// This model, now or, with no tokens, from memory.
    Model { model: String, usage: Usage, micro_usd: u64 },
    /// The template, because of this.
    Template { why: String },
}

/// The settings, with no more than an entry may cost.
#[must_use]
pub fn within(mut settings: Settings) -> Settings {
    let tries = u64::from(settings.tries);
    let budget = &mut settings.budget;
    budget.call_tokens = Some(budget.call_tokens.map_or(TOKENS, |tokens| tokens.min(TOKENS)));
    budget.remediation_tokens = budget.remediation_tokens.min(TOKENS * tries);
    budget.remediation_usd = budget.remediation_usd.min(USD);
    settings
}

/// Gives entries other texts, several at a time, and hands them back in their order. The model must have been made of
/// settings that [`within`] has seen. The same seed asks the same questions.
pub async fn improvise(
    model: &Model,
    entries: Vec<Invented>,
    templates: &Templates,
    seed: u64,
    session: &str,
) -> Vec<Improvised> {
    // A cost report names an entry like a remediation; two runs of one seed are two entries.
    let run = format!("{session} seed {seed}");
    let one = |(number, entry): (u64, Invented)| {
        let account =
            Account { session: session.to_owned(), remediation: Some(format!("{run} entry {number}")) };
        async move { write(model, entry, templates, mixed(seed, number), account).await }
    };
    stream::iter((0..).zip(entries)).map(one).buffered(AT_ONCE).collect().await
}

/// A seed of its own for each entry: neighbouring seeds must not ask the same questions (the steps of SplitMix64).
fn mixed(seed: u64, number: u64) -> u64 {
    let sum = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) ^ seed.rotate_left(17);
    mixed ^ (mixed >> 31)
}

async fn write(
    model: &Model,
    entry: Invented,
    templates: &Templates,
    seed: u64,
    account: Account,
) -> Improvised {
    let kind = templates.all().iter().find(|template| template.name == entry.template);
    let wording = Wording {
        kind: kind.map_or(ErrorType::Other, |template| template.error_type),
        severity: entry.severity,
        category: entry.category.clone(),
        examples: examples(&entry, templates, seed),
    };
    let prompt = TEMPLATE.fill(&values(&wording)).expect("a test holds the template against its values");
    // The lower half: endpoints take 32 bits.
    let seed = u32::try_from(seed & u64::from(u32::MAX)).unwrap_or_default();
    let question = Question {
        answer_tokens: Some(ANSWER_TOKENS),
        seed: Some(seed),
        ..Question::invent(&prompt, &wording, &account)
    };
    match model.ask(&question).await {
        Ok(answered) => Improvised {
            source: Source::Model {
                model: answered.model,
                usage: answered.usage,
                micro_usd: answered.micro_usd,
            },
            entry: reworded(entry, answered.value),
        },
        Err(error) => Improvised { entry, source: Source::Template { why: error.to_string() } },
    }
}

fn values(wording: &Wording) -> [(&'static str, Fill); 3] {
    let word = match wording.severity {
        Severity::Info => "0, information",
        Severity::Warning => "1, warning",
        Severity::Severe => "2, severe",
        Severity::Fatal => "3, fatal",
    };
    let shown = wording.examples.iter().map(|text| Fill::Outside(Excerpt::at_most(text, LONGEST_EXAMPLE)));
    [
        ("kind", Fill::ours(&wording.kind)),
        ("severity", Fill::ours(word)),
        ("examples", Fill::Lines(shown.collect())),
    ]
}

/// The entry with another text behind the same header.
fn reworded(entry: Invented, text: String) -> Invented {
    let head = entry.raw.len().saturating_sub(entry.text.len() + 1);
    let raw = format!("{}{text}\n", &entry.raw[..head]);
    Invented { raw, text, ..entry }
}

#[cfg(test)]
mod tests {
    use instance_contract::GenerationRequest;
    use instance_invent::invent;

    use super::*;

    fn entry() -> Invented {
        let templates = Templates::builtin().unwrap();
        let start = jiff::civil::date(2026, 9, 1).at(0, 0, 0, 0);
        invent(&GenerationRequest::default(), &templates, 3, start).unwrap().remove(0)
    }

    #[test]
    fn another_text_stands_behind_the_same_header() {
        let before = entry();
        let after = reworded(before.clone(), "something else".to_owned());
        let read = instance_iris::messages_log::parse(after.raw.as_bytes());
        let header = read[0].header.as_ref().unwrap();
        assert_eq!(read[0].message_text(), "something else");
        assert_eq!(
            (header.process_id, header.category.clone()),
            (u64::from(before.process_id), before.category)
        );
        assert!(after.raw.starts_with(&before.raw[..30]) && after.raw.ends_with('\n'));
    }

    #[test]
    fn template_and_values_fit_and_a_changed_text_needs_a_new_version() {
        let wording = Wording {
            kind: ErrorType::Journal,
            severity: Severity::Severe,
            category: None,
            examples: vec![],
        };
        TEMPLATE.fill(&values(&wording)).unwrap();
        assert_eq!((TEMPLATE.version, &TEMPLATE.digest()[..16]), (1, "00444e98dd2a46ed"));
    }

    #[test]
    fn an_entry_is_never_dearer_than_its_budget() {
        let settings = within(Settings::default());
        assert_eq!(
            (settings.budget.call_tokens, settings.budget.remediation_tokens),
            (Some(TOKENS), 3 * TOKENS)
        );
        assert!(settings.budget.remediation_usd <= USD && settings.faults().is_empty());
    }
}
