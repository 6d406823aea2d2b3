//! One row in words and as JSON, with its source.

use instance_knowledge::{
    Condition, Forbidden, KernelKind, KernelParameter, Matcher, Parameter, condition, forbidden,
    kernel_parameter, parameter,
};
use serde_json::{Value, json};

use crate::{cpf, output::printable};

/// What a name or a text stands for.
pub enum Known {
    Condition(&'static Condition),
    Kernel(&'static KernelParameter),
    Forbidden(&'static Forbidden),
    Cpf(&'static Parameter),
}

impl Known {
    /// A name first, a text last: every text is taken for something less surely than a name.
    pub fn find(what: &str) -> Option<Self> {
        let cpf_name = |what: &str| {
            let (section, name) = what.strip_prefix('[')?.split_once(']')?;
            parameter(section, name.trim())
        };
        condition(what)
            .map(Self::Condition)
            .or_else(|| kernel_parameter(what).map(Self::Kernel))
            .or_else(|| cpf_name(what).map(Self::Cpf))
            .or_else(|| Matcher::in_force().classify(what).map(Self::Condition))
            .or_else(|| what.contains(['.', '/']).then(|| forbidden(what)).flatten().map(Self::Forbidden))
    }

    pub fn document(&self) -> Value {
        match self {
            Self::Condition(row) => document(row),
            Self::Kernel(row) => kernel_document(row),
            Self::Forbidden(row) => json!({
                "schema": "instance.cli.v1.forbidden_kernel_parameter", "name": row.name, "reason": row.reason,
                "source": row.source,
            }),
            Self::Cpf(row) => cpf::explain::document(row),
        }
    }

    pub fn text(&self) -> String {
        match self {
            Self::Condition(row) => text_of(row),
            Self::Kernel(row) => kernel_text(row),
            Self::Forbidden(row) => {
                format!("{}\n  never written: {}\n  source    {}", row.name, row.reason, row.source)
            }
            Self::Cpf(row) => cpf::explain::text_of(row),
        }
    }
}

pub fn document(row: &Condition) -> Value {
    let texts: Vec<&Vec<String>> = row.wordings.iter().map(|wording| &wording.texts).collect();
    json!({
        "schema": "instance.cli.v1.condition", "id": row.id, "class": row.class.as_str(), "texts": texts,
        "wording_known": row.wording_known, "severities": row.severities, "categories": row.categories,
        "cause": row.cause, "gather": row.gather, "remedy": row.remedy,
        "answer": word(&row.answer), "restart": word(&row.restart),
        "must_not_restart": row.must_not_restart, "source": row.source,
    })
}

pub fn text_of(row: &Condition) -> String {
    let mut lines = vec![format!("{} ({})", row.id, row.class)];
    let mut add = |name: &str, value: &str| lines.push(format!("  {name:9} {}", printable(value)));
    add("cause", &row.cause);
    add("look at", &row.gather.join("; "));
    add("cure", &row.remedy);
    add("who acts", &word(&row.answer));
    add("restart", &word(&row.restart));
    if row.must_not_restart {
        add("never", "restart it automatically");
    }
    if !row.wording_known {
        add("note", "no source shows its real wording");
    }
    add("source", &row.source);
    lines.join("\n")
}

/// The word by which the row itself says it.
fn word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn kernel_document(row: &KernelParameter) -> Value {
    json!({
        "schema": "instance.cli.v1.kernel_parameter", "name": row.name, "file": row.path, "takes": takes(&row.kind),
        "unit": row.unit, "default": row.default, "iris_minimum": row.iris_minimum,
        "recommendation": row.recommendation, "persistent": row.persistent, "dangerous": row.dangerous,
        "reboot_advised": row.reboot_advised, "source": row.source,
    })
}

fn kernel_text(row: &KernelParameter) -> String {
    let mut lines = vec![row.name.clone()];
    let mut add = |name: &str, value: &str| lines.push(format!("  {name:9} {value}"));
    let unit = row.unit.as_ref().map(|unit| format!(" ({unit})")).unwrap_or_default();
    add("takes", &format!("{}{unit}", takes(&row.kind)));
    if let Some(default) = &row.default {
        add("default", default);
    }
    add("for IRIS", &row.recommendation);
    add("a reboot", if row.persistent { "keeps it, by a drop-in of sysctl" } else { "takes it back" });
    if row.dangerous {
        add("note", "dangerous: a person must agree");
    }
    if row.reboot_advised {
        add("note", "a reboot of the host is advised");
    }
    add("source", &row.source);
    lines.join("\n")
}

fn takes(kind: &KernelKind) -> String {
    match kind {
        KernelKind::Numbers(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(|(min, max)| format!("{min} to {max}")).collect();
            match &ranges[..] {
                [only] => format!("a whole number from {only}"),
                all => format!(
                    "{} whole numbers with one blank between them, from {}",
                    all.len(),
                    all.join(", ")
                ),
            }
        }
        KernelKind::Word(words) => format!("one of {}", words.join(", ")),
        KernelKind::Cpus => "a list of CPUs such as 0-3,8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_says_who_acts_and_what_is_never_done() {
        let row = condition("mismatch-wij-present").unwrap();
        let text = text_of(row);
        assert!(text.contains("who acts  person") && text.contains("never     restart"), "{text}");
        assert_eq!(document(row)["must_not_restart"], true);
    }

    #[test]
    fn a_name_is_taken_for_what_it_names() {
        let schema = |what: &str| Known::find(what).map(|known| known.document()["schema"].clone());
        for (what, expected) in [
            ("journal-not-started", "instance.cli.v1.condition"),
            ("Journaling NOT  started.", "instance.cli.v1.condition"),
            ("vm.nr_hugepages", "instance.cli.v1.kernel_parameter"),
            ("/proc/sys/vm/swappiness", "instance.cli.v1.kernel_parameter"),
            ("kernel.core_pattern", "instance.cli.v1.forbidden_kernel_parameter"),
            ("[config] globals", "instance.cli.v1.cpf_parameter"),
        ] {
            assert_eq!(schema(what), Some(json!(expected)), "{what}");
        }
        assert_eq!(schema("nothing of the kind"), None);
        let text = Known::find("kernel.sem").unwrap().text();
        assert!(text.contains("4 whole numbers") && text.contains("dangerous"), "{text}");
        assert!(Known::find("net.core.somaxconn").unwrap().text().contains("never written"));
    }
}
