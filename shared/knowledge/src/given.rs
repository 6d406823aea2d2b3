//! One thing that must be so, over facts: the preconditions of runbooks and the cases of conditions.

use serde::Deserialize;

use crate::facts::{FactKind, FactValue, Facts, fact};

/// One thing that must be so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "GivenRow")]
#[non_exhaustive]
pub struct Given {
    /// Name of the fact.
    pub fact: String,
    /// What is asked of it.
    pub test: Test,
    /// Whether it counts as so when nobody knows the fact. False unless the row says otherwise.
    pub when_unknown: bool,
    /// Is it trouble, and this trouble, where it is so? What is so on every healthy instance is none, and supports nothing.
    /// False unless the row says otherwise.
    pub shows_trouble: bool,
    /// What to tell where it is not so; runbooks need it, cases say why as a whole.
    pub why: String,
}

/// What is asked of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It has this value.
    Is(FactValue),
    /// It has another value than this.
    IsNot(FactValue),
    /// It is a number not below this.
    AtLeast(u64),
    /// It is a number not above this.
    AtMost(u64),
    /// It is known, or is not.
    Known(bool),
    /// It has the value of that other fact.
    SameAs(String),
    /// Both are known, and that other fact has another value.
    OtherThan(String),
}

impl Given {
    /// Whether it is so.
    pub fn holds(&self, facts: &Facts) -> bool {
        self.holds_if_known(facts).unwrap_or(self.when_unknown)
    }

    /// Whether facts that are known show the trouble that it speaks of.
    pub fn shows_trouble(&self, facts: &Facts) -> bool {
        self.shows_trouble && self.holds_if_known(facts) == Some(true)
    }

    /// The facts that it looks at, by name.
    pub fn facts(&self) -> impl Iterator<Item = &str> {
        let other = match &self.test {
            Test::SameAs(other) | Test::OtherThan(other) => Some(other.as_str()),
            _ => None,
        };
        std::iter::once(self.fact.as_str()).chain(other)
    }

    fn holds_if_known(&self, facts: &Facts) -> Option<bool> {
        if let Test::Known(wanted) = self.test {
            return Some(facts.get(&self.fact).is_some() == wanted);
        }
        let value = facts.get(&self.fact)?;
        Some(match &self.test {
            Test::Known(_) => true,
            Test::Is(wanted) => value == wanted,
            Test::IsNot(other) => value != other,
            Test::AtLeast(bound) => matches!(value, FactValue::Number(number) if number >= bound),
            Test::AtMost(bound) => matches!(value, FactValue::Number(number) if number <= bound),
            Test::SameAs(other) => value == facts.get(other)?,
            Test::OtherThan(other) => value != facts.get(other)?,
        })
    }

    /// Whether the names are rows of the facts, and the test fits their kinds.
    pub(crate) fn check(&self) -> Result<(), String> {
        let kind_of = |name: &str| {
            fact(name).map(|row| row.kind).ok_or_else(|| format!("no fact is called \"{name}\""))
        };
        let kind = kind_of(&self.fact)?;
        let fits = match &self.test {
            Test::Is(value) | Test::IsNot(value) => kind.fits(value),
            Test::AtLeast(_) | Test::AtMost(_) => kind == FactKind::Number,
            Test::SameAs(other) | Test::OtherThan(other) => kind == kind_of(other)?,
            Test::Known(_) => true,
        };
        if !fits {
            return Err(format!("the test does not fit \"{}\", which is {kind}", self.fact));
        }
        Ok(())
    }
}

/// As it stands in a file: one key names the test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenRow {
    fact: String,
    is: Option<FactValue>,
    is_not: Option<FactValue>,
    at_least: Option<u64>,
    at_most: Option<u64>,
    known: Option<bool>,
    same_as: Option<String>,
    other_than: Option<String>,
    #[serde(default)]
    when_unknown: bool,
    #[serde(default)]
    shows_trouble: bool,
    #[serde(default)]
    why: String,
}

impl TryFrom<GivenRow> for Given {
    type Error = String;

    fn try_from(row: GivenRow) -> Result<Self, String> {
        let tests = [
            row.is.map(Test::Is),
            row.is_not.map(Test::IsNot),
            row.at_least.map(Test::AtLeast),
            row.at_most.map(Test::AtMost),
            row.known.map(Test::Known),
            row.same_as.map(Test::SameAs),
            row.other_than.map(Test::OtherThan),
        ];
        let mut tests = tests.into_iter().flatten();
        let (Some(test), None) = (tests.next(), tests.next()) else {
            return Err(format!(
                "exactly one of is, is_not, at_least, at_most, known, same_as, other_than must be said of \"{}\"",
                row.fact
            ));
        };
        let GivenRow { fact, when_unknown, shows_trouble, why, .. } = row;
        Ok(Self { fact, test, when_unknown, shows_trouble, why })
    }
}

#[cfg(test)]
mod tests {
    use super::Given;
    use crate::facts::{FactValue, Facts};

    fn given(text: &str) -> Result<Given, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_nobody_knows_is_not_so_unless_the_row_says_otherwise() {
        let mut facts = Facts::default();
        let asked = given("fact = \"instance.state\"\nis = \"running\"\nwhy = \"x\"").unwrap();
        let lenient = given("fact = \"instance.state\"\nis = \"running\"\nwhen_unknown = true\nwhy = \"x\"");
        assert!(!asked.holds(&facts) && lenient.unwrap().holds(&facts));
        facts.set("instance.state", FactValue::Text("running".to_owned())).unwrap();
        assert!(asked.holds(&facts));
    }

    #[test]
    fn trouble_is_shown_by_what_is_known_and_said_to_be_trouble() {
        let mut facts = Facts::default();
        let rows = ["shows_trouble = true\n", "", "shows_trouble = true\nwhen_unknown = true\n"];
        let shown = |facts: &Facts| {
            rows.map(|more| {
                let text = format!("fact = \"instance.health\"\nis = \"hung\"\n{more}why = \"x\"");
                given(&text).unwrap().shows_trouble(facts)
            })
        };
        assert_eq!(shown(&facts), [false; 3]);
        facts.set("instance.health", FactValue::Text("ok".to_owned())).unwrap();
        assert_eq!(shown(&facts), [false; 3]);
        facts.set("instance.health", FactValue::Text("hung".to_owned())).unwrap();
        assert_eq!(shown(&facts), [true, false, true]);
    }

    #[test]
    fn two_facts_are_compared_only_when_both_are_known() {
        let mut facts = Facts::default();
        let other = given("fact = \"cpf.path-refused\"\nother_than = \"cpf.path\"\nwhy = \"x\"").unwrap();
        facts.set("cpf.path-refused", FactValue::Text("/a".to_owned())).unwrap();
        assert!(!other.holds(&facts));
        facts.set("cpf.path", FactValue::Text("/b".to_owned())).unwrap();
        assert!(other.holds(&facts));
        facts.set("cpf.path", FactValue::Text("/a".to_owned())).unwrap();
        assert!(!other.holds(&facts));
    }

    #[test]
    fn a_test_that_makes_no_sense_is_refused() {
        for (text, rule) in [
            ("fact = \"host.huge-pages\"\nwhy = \"x\"", "exactly one of"),
            ("fact = \"host.huge-pages\"\nis = 1\nat_most = 2\nwhy = \"x\"", "exactly one of"),
            ("fact = \"host.hugepages\"\nis = 1\nwhy = \"x\"", "no fact is called"),
            ("fact = \"host.huge-pages\"\nis = \"many\"\nwhy = \"x\"", "does not fit"),
            ("fact = \"cpf.path\"\nat_least = 1\nwhy = \"x\"", "does not fit"),
            ("fact = \"cpf.path\"\nsame_as = \"host.huge-pages\"\nwhy = \"x\"", "does not fit"),
        ] {
            let error = given(text).and_then(|given| given.check()).unwrap_err();
            assert!(error.contains(rule), "{error}");
        }
    }
}
