//! `instance investigate`: a question about what happened, answered in plain words from what is kept on the bus.
//!
//! Invariant: it reads, and changes nothing. Rules find the answer; a language model, where one is set up, may put it into
//! other words and nothing more.

mod answer; // Read this first: from what is known to statements with evidence.
mod index;
mod material;
mod phrase;
mod question;

use anyhow::Result;
use instance_bus::Bus;
use instance_contract::InstanceName;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::{
    answer::{Answer, Statement},
    material::Material,
    phrase::Words,
    question::Asked,
};
use crate::{
    exit::Exit,
    online,
    output::{print, print_json, printable},
    session::Session,
    settings,
    tape::Tape,
};

pub use self::index::{Index, words};

const EXAMPLES: &str = "\
Examples:
  instance investigate 'why did PROD refuse logons'
  instance investigate 'what happened to PROD last night?'
  instance investigate 'was the journal disk full at 14:05?' --instance PROD --json
  instance investigate 'why is TEST slow since 09:00' --no-model

Times are those of this machine's zone. Entries are kept for a day, incidents and remediations for 30.
Ends with 0 when something bears on the question, with 8 when nothing does.";

/// Longer is no question.
const LONGEST: usize = 500;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The question, in English
    #[arg(value_parser = worded)]
    question: String,
    /// About these IRIS instances; by default those that the question names, or all
    #[arg(long, value_name = "NAME")]
    instance: Vec<InstanceName>,
    /// Answer in the words of the rules, whatever the settings say of language models
    #[arg(long)]
    no_model: bool,
    #[command(flatten)]
    tape: Tape,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let model =
        if args.no_model { None } else { Some(args.tape.onto(settings::model(&session.global, None)?)) };
    online::run(session, async |bus| {
        let (asked, material) = look(&bus, args).await?;
        let answer = answer::answer(&asked, &Index::of_the_catalogue(), &material);
        let words = match model.filter(|_| answer.found) {
            Some(settings) => phrase::phrase(settings, &args.question, &answer).await,
            None => None,
        };
        let words = words.and_then(|words| {
            let told =
                |why: &String| session.note(format_args!("the model found no words: {}", printable(why)));
            words.inspect_err(told).ok()
        });
        let told = Told { asked: &asked, material: &material, answer: &answer, words: words.as_ref() };
        if session.json() {
            print_json(&told.document(&args.question))?;
        } else {
            told.print(session)?;
        }
        Ok(if answer.found { Exit::Done } else { Exit::NotFound })
    })
}

/// What is asked, and what is known about it.
async fn look(bus: &Bus, args: &Args) -> Result<(Asked, Material)> {
    let mut known = material::instances(bus).await?;
    known.extend(args.instance.iter().cloned());
    let understood = |known: Vec<InstanceName>| {
        let mut asked = question::read(&args.question, &known, online::now(), &TimeZone::system());
        if !args.instance.is_empty() {
            asked.instances.clone_from(&args.instance);
        }
        asked
    };
    let mut asked = understood(known.iter().cloned().collect());
    let mut material = Material::read(bus, &asked).await?;
    if asked.instances.is_empty() {
        // An instance without an agent is known by its entries alone.
        known.extend(material.instances());
        asked = understood(known.into_iter().collect());
        if !asked.instances.is_empty() {
            material.keep(&asked.instances);
        }
    }
    Ok((asked, material))
}

/// An answer on its way out.
struct Told<'a> {
    asked: &'a Asked,
    material: &'a Material,
    answer: &'a Answer,
    words: Option<&'a Words>,
}

impl Told<'_> {
    fn document(&self, question: &str) -> Value {
        let statement = |statement: &Statement| {
            let evidence: Vec<Value> =
                statement.evidence.iter().map(|proof| json!({"kind": proof.kind, "id": proof.id})).collect();
            json!({"text": statement.text, "evidence": evidence})
        };
        let texts: Vec<&str> =
            self.answer.statements.iter().map(|statement| statement.text.as_str()).collect();
        let (text, source) = match self.words {
            Some(words) => (words.text.clone(), "model"),
            None => (texts.join(" "), "rules"),
        };
        json!({
            "schema": "instance.cli.v1.investigation", "question": question, "found": self.answer.found,
            "instances": self.asked.instances, "from": self.asked.window.from, "to": self.asked.window.to,
            "answer": text, "source": source, "model": self.words.map(|words| &words.by),
            "statements": self.answer.statements.iter().map(statement).collect::<Vec<_>>(),
            "looked_at": {"entries": self.material.entries, "incidents": self.material.cases.len(),
                          "remediations": self.material.done.len()},
        })
    }

    fn print(&self, session: &Session) -> Result<()> {
        if let Some(words) = self.words {
            print(printable(&words.text))?;
            print(format_args!("\nin the words of {}; it rests on this:", words.by))?;
        }
        for Statement { text, evidence, .. } in &self.answer.statements {
            print(printable(text))?;
            evidence.iter().try_for_each(|proof| print(format_args!("  {} {}", proof.kind, proof.id)))?;
        }
        session.note(format_args!(
            "looked at {} entries, {} incidents and {} remediations",
            self.material.entries,
            self.material.cases.len(),
            self.material.done.len()
        ));
        Ok(())
    }
}

fn worded(text: &str) -> Result<String, String> {
    match text.chars().count() {
        _ if !text.chars().any(char::is_alphanumeric) => Err("ask something, in words".to_owned()),
        0..=LONGEST => Ok(text.to_owned()),
        long => Err(format!("is {long} characters long; at most {LONGEST} are a question")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_words_and_an_end() {
        assert!(worded("why?").is_ok());
        assert!(worded(" ?! ").is_err() && worded(&"x".repeat(501)).is_err());
    }
}
