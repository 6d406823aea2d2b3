//! `instance knowledge judge`: what the rules make of one entry before anything else is asked.

use anyhow::Result;
use instance_contract::Severity;
use instance_diagnosis::{confidence, least_to_act, least_to_tell, matters};
use instance_knowledge::{Condition, Matcher, Raised, RaisedBy, classify_error_type, raised};
use serde_json::{Value, json};

use crate::{
    exit::Exit,
    output::{print, print_json, printable},
    session::Session,
};

const EXAMPLES: &str = "\
Examples:
  instance knowledge judge 'Payment: queue 3 is late' --severity 1
  instance knowledge judge 'part 7 is slow' --severity 1 --times 10
  instance knowledge judge 'Insufficient global buffers - WRTDMN in panic mode' --severity 1 --json";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The text of an entry
    text: String,
    /// The severity that IRIS wrote, 0 (information) to 3 (fatal)
    #[arg(long, value_name = "DIGIT", value_parser = clap::value_parser!(u8).range(0..=3))]
    severity: u8,
    /// How often the like came lately, this one counted
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    times: u64,
}

pub fn run(args: &Args, session: &Session) -> Result<Exit> {
    let judged = Judged::of(args);
    if session.json() {
        print_json(&judged.document())?;
    } else {
        print(judged.text())?;
    }
    Ok(Exit::Done)
}

/// What stands in a finding, as far as it follows from the entry alone; and what it is held to.
struct Judged<'a> {
    args: &'a Args,
    condition: Option<&'static Condition>,
    raised: Raised,
    severity: Severity,
    /// In percent.
    confidence: u8,
}

impl<'a> Judged<'a> {
    fn of(args: &'a Args) -> Self {
        let condition = Matcher::in_force().classify(&args.text);
        let raised = raised(args.severity, &args.text, condition, args.times);
        let read = |digit: u8| Severity::try_from(digit).expect("the digit is one of 0 to 3");
        let confidence = confidence(condition, read(args.severity));
        Self { args, condition, severity: read(raised.severity), raised, confidence }
    }

    fn is_told(&self) -> bool {
        matters(self.condition, self.severity, self.confidence)
    }

    fn is_sure(&self) -> bool {
        self.condition.is_some() && self.confidence >= least_to_act(self.severity)
    }

    fn document(&self) -> Value {
        let frequency = self.condition.map(|row| row.frequency).unwrap_or_default();
        let word = self.raised.by.iter().find_map(|by| match by {
            RaisedBy::Word(word) => Some(*word),
            _ => None,
        });
        json!({
            "schema": "instance.cli.v1.judgement", "condition": self.condition.map(|row| &row.id),
            "error_type": classify_error_type(&self.args.text, self.args.severity, None).as_str(),
            "written": self.args.severity, "severity": self.severity,
            "raised_by": self.raised.by.iter().map(|by| by.as_str()).collect::<Vec<_>>(), "word": word,
            "often_from": {"count": frequency.count, "within_seconds": frequency.within_seconds},
            "confidence": self.confidence, "matters": self.is_told(), "sure_enough_to_act": self.is_sure(),
            "least_to_tell": least_to_tell(self.severity), "least_to_act": least_to_act(self.severity),
        })
    }

    fn text(&self) -> String {
        let name = self.condition.map_or("a text that the catalogue does not know", |row| row.id.as_str());
        let by: Vec<String> = self
            .raised
            .by
            .iter()
            .map(|by| match by {
                RaisedBy::Catalogue => "the catalogue".to_owned(),
                RaisedBy::Word(word) => format!("the word \"{word}\""),
                RaisedBy::Frequency => "its frequency".to_owned(),
            })
            .collect();
        let by = if by.is_empty() { String::new() } else { format!(", raised by {}", by.join(" and ")) };
        let often = self.condition.map(|row| row.frequency).unwrap_or_default();
        let (tell, act) = (least_to_tell(self.severity), least_to_act(self.severity));
        let yes = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
        [
            printable(name),
            format!("  severity  {}{by}", self.severity.as_str()),
            format!("  often     from {} within {} s on", often.count, often.within_seconds),
            format!("  sure      {} %", self.confidence),
            format!(
                "  {} (a person is told from {tell} % on)",
                yes(self.is_told(), "matters  ", "is let be")
            ),
            format!(
                "  {} (the rules act alone from {act} % on)",
                yes(self.is_sure(), "is sure  ", "is unsure")
            ),
        ]
        .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, severity: u8, times: u64) -> Value {
        let args = Args { text: text.to_owned(), severity, times };
        let judged = Judged::of(&args);
        assert_eq!(judged.text().lines().count(), 6);
        judged.document()
    }

    #[test]
    fn words_and_frequency_raise_and_both_thresholds_are_told() {
        let payment = judged("Payment: queue 3 is late", 1, 1);
        assert_eq!((&payment["severity"], &payment["word"]), (&json!(2), &json!("payment")));
        assert_eq!((&payment["matters"], &payment["confidence"]), (&json!(true), &json!(20)));
        let author = judged("the author of queue 3 is late", 1, 9);
        assert_eq!((&author["severity"], &author["matters"]), (&json!(1), &json!(false)));
        let often = judged("the author of queue 3 is late", 1, 10);
        assert_eq!((&often["severity"], &often["raised_by"]), (&json!(2), &json!(["frequency"])));
        assert_eq!((&often["least_to_tell"], &often["least_to_act"]), (&json!(20), &json!(70)));
        let doubted = judged("Insufficient global buffers - WRTDMN in panic mode", 1, 1);
        assert_eq!((&doubted["confidence"], &doubted["sure_enough_to_act"]), (&json!(75), &json!(false)));
    }
}
