//! Whether a scenario makes sense: above all, whether its truth can be reached.

mod words;

use std::fmt;

use instance_knowledge::{Condition, Matcher, Restart, condition, kernel_parameter, parameter};

use crate::compared::why_unseen;
use crate::scenario::{ModelPart, Scenario};
use crate::step::Step;
use crate::target::Target;
use crate::truth::{Answer, Remedy, Truth};

/// Something in a scenario that makes no sense: where, and which rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `truth 1`, `fault 2`, `world` ...
    pub place: String,
    /// The rule, with the value that breaks it.
    pub rule: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

/// Every fault of a scenario.
pub fn faults(scenario: &Scenario) -> Vec<Fault> {
    let mut found = Found(Vec::new());
    whole(scenario, &mut found);
    steps(scenario, &mut found);
    for (number, truth) in scenario.truth.iter().enumerate() {
        let place = format!("truth {}", number + 1);
        for rule in truth_rules(truth, scenario) {
            found.note(&place, rule);
        }
    }
    found.0
}

struct Found(Vec<Fault>);

impl Found {
    fn note(&mut self, place: &str, rule: impl Into<String>) {
        self.0.push(Fault { place: place.to_owned(), rule: rule.into() });
    }
}

fn whole(scenario: &Scenario, found: &mut Found) {
    if scenario.title.trim().is_empty() {
        found.note("title", "says nothing");
    }
    if scenario.truth.is_empty() {
        found.note("truth", "there is none, so nothing could be scored");
    }
    if scenario.symptom.len() != scenario.truth.len() {
        found.note(
            "symptom",
            format!(
                "one for each truth is needed: there are {} for {}",
                scenario.symptom.len(),
                scenario.truth.len()
            ),
        );
    }
    for (number, symptom) in scenario.symptom.iter().enumerate() {
        for rule in words::symptom(symptom) {
            found.note(&format!("symptom {}", number + 1), rule);
        }
    }
    for rule in words::limits(&scenario.limits) {
        found.note("limits", rule);
    }
    let curable = scenario.truth.iter().any(|it| it.told_as.is_some() && it.answer == Answer::Remedy);
    if scenario.model == Some(ModelPart::Needed) && !curable {
        found.note(
            "model",
            "it is needed where a remedy is right and the words are unknown, and that is nowhere",
        );
    }
    if scenario.by_hand.trim().is_empty() {
        found.note("by_hand", "says nothing, so nobody could show that the cause is real");
    }
    let world = &scenario.world;
    if !(1..=1000).contains(&world.speed) {
        found.note("world", format!("speed must be 1 to 1000, not {}", world.speed));
    }
    if !["2024.2", "2025.2"].contains(&world.version.as_str()) {
        found.note("world", format!("version must be 2024.2 or 2025.2, not {}", world.version));
    }
    for amount in [world.globals_mb, world.memory_mb, world.huge_pages] {
        if !amount.is_possible() {
            found.note("world", "a range ends before it begins");
        }
    }
}

fn steps(scenario: &Scenario, found: &mut Found) {
    if scenario.fault.is_empty() {
        found.note("fault", "nothing is done, so nothing can break");
    }
    let mut triggered = false;
    for (number, step) in scenario.fault.iter().enumerate() {
        let place = format!("fault {}", number + 1);
        if triggered && step.changes_files() {
            // The pipeline may act by then, and its changes could not be told from ours.
            found.note(&place, "what changes files comes before whatever lets the trouble begin");
        }
        triggered |= step.is_trigger();
    }
    let both = [("setup", &scenario.setup), ("fault", &scenario.fault)];
    for (kind, steps) in both {
        for (number, step) in steps.iter().enumerate() {
            let place = format!("{kind} {}", number + 1);
            if kind == "setup" && !step.changes_files() {
                found.note(
                    &place,
                    "before the first start only files, kernel values and disks can be changed",
                );
            }
            if step.amounts().into_iter().any(|amount| !amount.is_possible()) {
                found.note(&place, "a range ends before it begins");
            }
            // A scenario may come from anywhere, and must not reach out of the world that is made for it.
            for path in step.paths() {
                let inside = ["{dir}/", "{mgr}/", "{host}/"].iter().any(|root| path.starts_with(root));
                if !inside || path.split('/').any(|part| part == "..") {
                    found.note(
                        &place,
                        format!(
                            "\"{path}\" does not begin with {{dir}}/, {{mgr}}/ or {{host}}/, or leaves it"
                        ),
                    );
                }
            }
            if let Some(rule) = words::step(step) {
                found.note(&place, rule);
            }
            if let Step::Kernel { name, .. } = step
                && kernel_parameter(name).is_none()
            {
                found.note(&place, format!("no kernel parameter \"{name}\" is known"));
            }
        }
    }
}

fn truth_rules(truth: &Truth, scenario: &Scenario) -> Vec<String> {
    let Some(row) = condition(&truth.condition) else {
        return vec![format!("no row \"{}\" is in the error catalogue", truth.condition)];
    };
    let mut rules = Vec::new();
    if truth.cause.trim().is_empty() {
        rules.push("the cause says nothing".to_owned());
    }
    if let Some(known) = truth.told_as.as_deref().and_then(|text| Matcher::in_force().classify(text)) {
        rules.push(format!("the catalogue knows what it is told as: that is {}", known.id));
    }
    if truth.told_as.as_deref().is_some_and(|text| text.trim().is_empty()) {
        rules.push("every message holds the empty text that it is told as".to_owned());
    }
    match (truth.answer, truth.remedies.is_empty()) {
        (Answer::Remedy, true) => {
            rules.push("the answer is a remedy, and none is accepted: it could never be reached".to_owned());
        }
        (Answer::Person | Answer::Nothing, false) => {
            rules.push("nothing is to be changed, so no remedy can be accepted".to_owned());
        }
        _ => {}
    }
    rules.extend(truth.must_not_touch.iter().filter_map(why_unseen));
    let reasons: Vec<Option<String>> =
        truth.remedies.iter().map(|remedy| why_out_of_reach(remedy, truth, row, scenario)).collect();
    if !reasons.is_empty() && reasons.iter().all(Option::is_some) {
        let told: Vec<String> = reasons.into_iter().flatten().collect();
        rules.push(format!("no accepted remedy can reach it: {}", told.join("; ")));
    }
    rules
}

/// Why a remedy could not be done, or would not cure.
fn why_out_of_reach(remedy: &Remedy, truth: &Truth, row: &Condition, scenario: &Scenario) -> Option<String> {
    if remedy.changes.is_empty() && !remedy.restart {
        return Some("a remedy that changes nothing".to_owned());
    }
    if remedy.force && !remedy.restart {
        return Some("who forces it down has to start it again: force needs restart = true".to_owned());
    }
    if remedy.restart && row.must_not_restart {
        return Some(format!("the catalogue forbids a restart for {}", row.id));
    }
    if !remedy.restart && row.restart == Restart::Yes {
        return Some(format!("the catalogue says that {} needs a restart", row.id));
    }
    if let Some(forbidden) = truth.must_not_touch.iter().find(|target| remedy.allows(target)) {
        return Some(format!("{forbidden} must not be touched"));
    }
    if remedy.value.is_some() && remedy.changes.len() != 1 {
        return Some("a value needs exactly one change".to_owned());
    }
    let value = remedy.value.as_deref();
    let impossible = remedy.changes.iter().find_map(|target| why_impossible(target, value, scenario));
    impossible.or_else(|| words::why_no_cure(remedy, &row.id))
}

fn why_impossible(target: &Target, value: Option<&str>, scenario: &Scenario) -> Option<String> {
    match target {
        Target::Cpf { section, parameter: name } => {
            let Some(known) =
                parameter(section, name).filter(|known| known.is_held_by(&scenario.world.version))
            else {
                return Some(format!("IRIS {} knows no {target}", scenario.world.version));
            };
            if let Some(Err(fault)) = value.map(|value| known.check(value)) {
                return Some(format!("{target} cannot be that: {fault}"));
            }
            let left_by_the_fault = scenario.fault.iter().rev().find_map(|step| match step {
                Step::Cpf { section: at, parameter, value } if at == section && parameter == name => {
                    Some(value)
                }
                _ => None,
            });
            (value.is_some() && left_by_the_fault.map(String::as_str) == value)
                .then(|| format!("{target} has that value already, by the fault itself"))
        }
        Target::Kernel(name) => {
            kernel_parameter(name).is_none().then(|| format!("no agent may change {target}"))
        }
        Target::File(_) => Some(format!("no agent changes {target}")),
        Target::Instance => Some("a restart is written restart = true".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::scenario::Scenario;
    use crate::template::template;

    /// The template with a text in another's place, and the fault that comes of it.
    fn told(from: &str, to: &str) -> String {
        let good = template("mine");
        assert!(good.contains(from), "the template does not hold {from:?}");
        Scenario::read("mine", &good.replacen(from, to, 1)).expect_err("it must be refused").to_string()
    }

    #[test]
    fn the_template_is_a_scenario() {
        Scenario::read("mine", &template("mine")).unwrap();
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place() {
        let error = told("category = ", "colour = \"red\"\ncategory = ");
        assert!(error.contains("scenario \"mine\" cannot be read") && error.contains("colour"), "{error}");
        let error = told("do = \"load\"", "do = \"load\"\nheavily = true");
        assert!(error.contains("heavily"), "{error}");
        assert!(told("do = \"load\"", "do = \"explode\"").contains("explode"));
        let error = told(
            "[[fault]]\n",
            "[[fault]]\ndo = \"mode\"\nfile = \"{dir}/iris.cpf\"\nmode = \"4755\"\n\n[[fault]]\n",
        );
        assert!(error.contains("\"4755\" is not octal digits up to 0777"), "{error}");
    }

    #[test]
    fn a_truth_that_no_accepted_remedy_can_reach_is_refused() {
        for (from, to, rule) in [
            ("restart = true", "restart = false", "says that global-buffers-insufficient needs a restart"),
            ("cpf [config] globals", "cpf [config] golbals", "IRIS 2025.2 knows no cpf [config] golbals"),
            (
                "cpf [config] globals",
                "kernel kernel.core_pattern",
                "no agent may change kernel kernel.core_pattern",
            ),
            ("cpf [config] globals", "file mgr/iris.key", "no agent changes file mgr/iris.key"),
            ("must_not_touch = []", "must_not_touch = [\"cpf [config] globals\"]", "must not be touched"),
            ("must_not_touch = []", "must_not_touch = [\"instance\"]", "instance must not be touched"),
            ("answer = \"remedy\"", "answer = \"person\"", "so no remedy can be accepted"),
            (
                "[[truth.remedies]]",
                "[[truth.remedies]]\nvalue = \"many\"",
                "cpf [config] globals cannot be that",
            ),
            (
                "global-buffers-insufficient\"",
                "mismatch-wij-present\"",
                "forbids a restart for mismatch-wij-present",
            ),
            (
                "cpf [config] globals",
                "kernel vm.swappiness",
                "kernel vm.swappiness cures no global-buffers-insufficient: the runbook is grow-database-cache",
            ),
            ("restart = true", "restart = false\nforce = true", "force needs restart = true"),
            ("global-buffers-insufficient\"", "bad-luck\"", "no row \"bad-luck\" is in the error catalogue"),
        ] {
            let error = told(from, to);
            assert!(error.contains(rule), "{error}\nshould tell: {rule}");
        }
        let good = template("mine");
        let remedies = good.find("[[truth.remedies]]").unwrap();
        let without = &good[..remedies];
        let error = Scenario::read("mine", without).unwrap_err().to_string();
        assert!(error.contains("none is accepted: it could never be reached"), "{error}");
    }

    #[test]
    fn what_nobody_would_see_cannot_be_forbidden() {
        for (path, rule) in [
            ("mgr/messages.log", "is the instance's own, so nobody would see"),
            ("mgr/../../x", "is no file of the world"),
            ("/etc/passwd", "is no file of the world"),
            ("iris.cpf", "write cpf [section] parameter"),
            ("host/sys/vm/swappiness", "write kernel name"),
        ] {
            let error = told("must_not_touch = []", &format!("must_not_touch = [\"file {path}\"]"));
            assert!(error.contains(rule), "{error}\nshould tell: {rule}");
        }
    }

    #[test]
    fn words_that_no_run_could_do_anything_with_are_refused_when_they_are_read() {
        let step = |text: &str| format!("[[fault]]\n{text}\n\n[[fault]]\ndo = \"load\"");
        let symptom = |text: &str| format!("[[symptom]]\n{text}\n");
        for (from, to, rule) in [
            (
                "[[fault]]\ndo = \"load\"",
                step("do = \"kill\"\nprocess = \"FOO\""),
                "fault 1: process \"FOO\" is none of CONTROL, WRTDMN,",
            ),
            (
                "[[fault]]\ndo = \"load\"",
                step("do = \"cpf\"\nsection = \"nope\"\nparameter = \"x\"\nvalue = \"1\""),
                "fault 1: no CPF section [nope] is known",
            ),
            (
                "[[fault]]\ndo = \"load\"",
                step("do = \"cpf\"\nsection = \"config\"\nparameter = \"golbals\"\nvalue = \"1\""),
                "fault 1: no parameter \"golbals\" of [config] is known",
            ),
            ("[[symptom]]\n", symptom("health = \"purple\""), "symptom 1: health \"purple\" is none of ok,"),
            (
                "[[symptom]]\n",
                symptom("state = \"purple\""),
                "symptom 1: state \"purple\" is none of running,",
            ),
            ("[[symptom]]\n", symptom("grows = \"\""), "symptom 1: grows is empty"),
            ("show = 30", "show = 0".to_owned(), "limits: show must be at least 1 second"),
            ("repair = 120", "repair = 0".to_owned(), "limits: repair must be at least 1 second"),
        ] {
            let error = told(from, &to);
            assert!(error.contains(rule), "{error}\nshould tell: {rule}");
        }
    }

    #[test]
    fn a_scenario_stays_in_its_own_world_and_its_steps_in_order() {
        let step = |text: &str| format!("[[fault]]\n{text}\n\n[[fault]]\ndo = \"load\"");
        for path in ["/etc/passwd", "{dir}/../../x", "mgr/iris.key"] {
            let error =
                told("[[fault]]\ndo = \"load\"", &step(&format!("do = \"remove\"\nfile = \"{path}\"")));
            assert!(error.contains("does not begin with {dir}/"), "{error}");
        }
        let late = format!(
            "{}\n[[fault]]\ndo = \"kernel\"\nname = \"vm.swappiness\"\nvalue = 1\n",
            template("mine")
        );
        let error = Scenario::read("mine", &late).unwrap_err().to_string();
        assert!(error.contains("fault 2: what changes files comes before"), "{error}");
        assert!(told("from = 140", "from = 900").contains("a range ends before it begins"));
    }
}
