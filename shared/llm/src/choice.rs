//! A choice among what is allowed: the one way in which a model takes part in deciding what is done.
//!
//! Invariant: the options are made by code, before any text reaches a model, and there is no way to add one afterwards.
//! Invariant: an answer is the number of an option, numbers inside that option's ranges, and a confidence; nothing else of
//! it exists for the caller. No word, path, name or command of a model goes anywhere.

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::form::{Form, WrongAnswer, check};

/// At most so many options, and so many numbers an option.
const MOST: usize = 64;

/// One thing that is allowed, as a model sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choosable {
    /// What it is, in the words of the catalogue. Nothing from outside.
    pub label: String,
    /// Numbers that may be chosen with it.
    pub ranges: Vec<Range>,
}

/// A whole number between two others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// In the words of the catalogue.
    pub name: String,
    /// Included.
    pub least: i64,
    /// Included.
    pub most: i64,
}

/// Everything that is allowed. The last option is always "a person must look".
#[derive(Debug)]
pub struct Choices {
    options: Vec<Choosable>,
    schema: Value,
    validator: Validator,
}

/// What a model chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The option's place in the list that was handed in; `None`: a person must look.
    pub option: Option<usize>,
    /// One for each range of the option, in order, inside it.
    pub numbers: Vec<i64>,
    /// 0 to 1, as the model says.
    pub confidence: f64,
}

/// Options that cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("more than {MOST} options, or more than {MOST} numbers with one")]
    TooMany,
    #[error("the range of \"{name}\" is empty: {least} to {most}")]
    EmptyRange { name: String, least: i64, most: i64 },
}

impl Choices {
    /// Fixes what is allowed. With no options at all, a person is the only answer.
    pub fn new(options: Vec<Choosable>) -> Result<Self, Error> {
        if options.len() > MOST || options.iter().any(|option| option.ranges.len() > MOST) {
            return Err(Error::TooMany);
        }
        if let Some(Range { name, least, most }) =
            options.iter().flat_map(|option| &option.ranges).find(|range| range.least > range.most)
        {
            return Err(Error::EmptyRange { name: name.clone(), least: *least, most: *most });
        }
        let schema = schema(&options);
        let validator = jsonschema::draft202012::new(&schema).expect("the schema of choices is one");
        Ok(Self { options, schema, validator })
    }

    /// The options as a list to put into a question: number, label, ranges.
    pub fn listed(&self) -> String {
        let range = |range: &Range| format!("{}: {} to {}", range.name, range.least, range.most);
        let line = |(number, option): (usize, &Choosable)| {
            let ranges: Vec<String> = option.ranges.iter().map(range).collect();
            let numbers = if ranges.is_empty() { String::new() } else { format!(" [{}]", ranges.join("; ")) };
            format!("{number}. {}{numbers}", option.label)
        };
        let mut lines: Vec<String> = self.options.iter().enumerate().map(line).collect();
        lines.push(format!("{}. A person must look", self.options.len()));
        lines.join("\n")
    }

    pub fn options(&self) -> &[Choosable] {
        &self.options
    }
}

/// Ranges depend on the option and stand in the list; the schema holds what does not.
fn schema(options: &[Choosable]) -> Value {
    let longest = options.iter().map(|option| option.ranges.len()).max().unwrap_or(0);
    json!({
        "type": "object",
        "properties": {
            "option": {"type": "integer", "minimum": 0, "maximum": options.len()},
            "numbers": {"type": "array", "maxItems": longest, "items": {"type": "integer"}},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["option", "numbers", "confidence"],
        "additionalProperties": false,
    })
}

impl Form for Choices {
    type Answer = Choice;

    fn name(&self) -> &'static str {
        "choice"
    }

    fn schema(&self) -> Value {
        self.schema.clone()
    }

    fn read(&self, answer: Value) -> Result<Choice, WrongAnswer> {
        check(&self.validator, &answer)?;
        let wrong = |rule: &str| WrongAnswer::new(rule);
        let option = answer["option"].as_u64().and_then(|number| usize::try_from(number).ok());
        let option = option.filter(|number| *number <= self.options.len());
        let option = option.ok_or_else(|| wrong("option is no number of an option"))?;
        let numbers = answer["numbers"].as_array().ok_or_else(|| wrong("numbers is no list"))?;
        let numbers: Option<Vec<i64>> = numbers.iter().map(Value::as_i64).collect();
        let numbers = numbers.ok_or_else(|| wrong("numbers must be whole"))?;
        let confidence = answer["confidence"].as_f64().filter(|value| (0.0..=1.0).contains(value));
        let confidence = confidence.ok_or_else(|| wrong("confidence must be 0 to 1"))?;
        let ranges = self.options.get(option).map_or(&[][..], |option| &option.ranges);
        if numbers.len() != ranges.len() {
            return Err(wrong("numbers must hold one number for each range of the option"));
        }
        if !numbers.iter().zip(ranges).all(|(number, range)| (range.least..=range.most).contains(number)) {
            return Err(wrong("a number is outside its range"));
        }
        Ok(Choice { option: (option < self.options.len()).then_some(option), numbers, confidence })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choices() -> Choices {
        let range = Range { name: "MB".to_owned(), least: 256, most: 4_096 };
        Choices::new(vec![
            Choosable { label: "grow the global buffers".to_owned(), ranges: vec![range] },
            Choosable { label: "restart".to_owned(), ranges: vec![] },
        ])
        .unwrap()
    }

    fn read(answer: Value) -> Option<Choice> {
        choices().read(answer).ok()
    }

    #[test]
    fn a_legal_answer_is_an_option_with_its_numbers() {
        let chosen = read(json!({"option": 0, "numbers": [512], "confidence": 0.9})).unwrap();
        assert_eq!(chosen, Choice { option: Some(0), numbers: vec![512], confidence: 0.9 });
        assert_eq!(read(json!({"option": 1, "numbers": [], "confidence": 1})).unwrap().option, Some(1));
        assert_eq!(read(json!({"option": 2, "numbers": [], "confidence": 0})).unwrap().option, None);
        let listed = "0. grow the global buffers [MB: 256 to 4096]\n1. restart\n2. A person must look";
        assert_eq!(choices().listed(), listed);
    }

    #[test]
    fn everything_else_is_refused_whole() {
        for hostile in [
            json!({"option": 3, "numbers": [], "confidence": 1}),
            json!({"option": -1, "numbers": [], "confidence": 1}),
            json!({"option": 1.5, "numbers": [], "confidence": 1}),
            json!({"option": "1", "numbers": [], "confidence": 1}),
            json!({"option": 0, "numbers": [], "confidence": 1}),
            json!({"option": 0, "numbers": [4_097], "confidence": 1}),
            json!({"option": 0, "numbers": [255], "confidence": 1}),
            json!({"option": 0, "numbers": [512, 512], "confidence": 1}),
            json!({"option": 0, "numbers": ["rm -rf /"], "confidence": 1}),
            json!({"option": 0, "numbers": [1e300], "confidence": 1}),
            json!({"option": 0, "numbers": [u64::MAX], "confidence": 1}),
            json!({"option": 1, "numbers": [512], "confidence": 1}),
            json!({"option": 1, "numbers": [], "confidence": 1.1}),
            json!({"option": 1, "numbers": [], "confidence": 1, "command": "iris force"}),
            json!({"option": 1, "numbers": []}),
            json!([]),
            json!(null),
        ] {
            assert_eq!(read(hostile.clone()), None, "{hostile}");
        }
    }

    #[test]
    fn without_options_a_person_is_the_only_answer() {
        let none = Choices::new(vec![]).unwrap();
        let person = none.read(json!({"option": 0, "numbers": [], "confidence": 1})).unwrap();
        assert_eq!(person.option, None);
        assert!(none.read(json!({"option": 1, "numbers": [], "confidence": 1})).is_err());
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let option = |ranges| Choosable { label: "x".to_owned(), ranges };
        let empty = Range { name: "MB".to_owned(), least: 2, most: 1 };
        assert!(matches!(Choices::new(vec![option(vec![empty])]), Err(Error::EmptyRange { .. })));
        assert!(matches!(Choices::new(vec![option(vec![]); 65]), Err(Error::TooMany)));
    }

    proptest! {
        #[test]
        fn nothing_outside_the_options_ever_comes_out(
            option in any::<i64>(), numbers in prop::collection::vec(any::<i64>(), 0..3), confidence in any::<f64>()
        ) {
            let answer = json!({"option": option, "numbers": numbers, "confidence": confidence});
            if let Some(choice) = read(answer) {
                let ranges = choice.option.map_or(vec![], |at| choices().options()[at].ranges.clone());
                prop_assert_eq!(ranges.len(), choice.numbers.len());
                for (range, number) in ranges.iter().zip(&choice.numbers) {
                    prop_assert!((range.least..=range.most).contains(number));
                }
            }
        }
    }
}
