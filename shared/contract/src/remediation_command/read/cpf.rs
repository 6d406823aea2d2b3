//! Parameters of `iris_config`: one value, or several changes at once.

use crate::{
    action::{ChangeCpf, CpfChange, SetCpf},
    decode::{Fault, Fields, Node},
    words::CpfChangeKind,
};

/// One value of a CPF.
pub fn set_cpf(fields: &Fields<'_>) -> Option<SetCpf> {
    let cpf_section = fields.string("cpf_section", fields.required("cpf_section"), 1, 128);
    let parameter = fields.string("parameter", fields.required("parameter"), 1, 256);
    let new_value = value(fields, "new_value", fields.required("new_value"), 1024);
    let current = fields.optional("current_value");
    let current_value = value(fields, "current_value", current, 1024);
    Some(SetCpf { cpf_section: cpf_section?, parameter: parameter?, new_value: new_value?, current_value })
}

/// Several changes of one CPF.
pub fn change_cpf(fields: &Fields<'_>) -> Option<ChangeCpf> {
    let items = fields.array("changes", fields.required("changes")).unwrap_or_default();
    let live = fields.boolean("live", fields.optional("live")).unwrap_or_default();
    let allow_unknown = fields.boolean("allow_unknown", fields.optional("allow_unknown")).unwrap_or_default();
    if items.is_empty() || items.len() > ChangeCpf::MAX_CHANGES {
        let rule = format!("must hold 1 to {} changes", ChangeCpf::MAX_CHANGES);
        fields.note(Fault::new(fields.at("changes"), items.len(), rule));
        return None;
    }
    let mut changes: Vec<CpfChange> = Vec::new();
    let only_set = "must be false with add and remove: a merge only sets values";
    for (index, item) in items.iter().enumerate() {
        let path = fields.at(&format!("changes[{index}]"));
        let inner = fields.inner(path.clone(), item)?;
        let change = cpf_change(&inner);
        inner.close();
        let Some(change) = change else { continue };
        let same = |other: &CpfChange| {
            (&other.cpf_section, &other.parameter) == (&change.cpf_section, &change.parameter)
                // Two sizes of one value stand side by side; a size and the whole value do not.
                && (other.block_size_kb == change.block_size_kb
                    || other.block_size_kb.is_none()
                    || change.block_size_kb.is_none())
        };
        if changes.iter().any(same) {
            fields.note(Fault::new(path, &change.parameter, "must be the only change of its parameter"));
        }
        if live && change.change != CpfChangeKind::Set {
            fields.note(Fault::new(fields.at("live"), live, only_set));
        }
        changes.push(change);
    }
    (changes.len() == items.len()).then_some(ChangeCpf { changes, live, allow_unknown })
}

fn cpf_change(fields: &Fields<'_>) -> Option<CpfChange> {
    let cpf_section = fields.string("cpf_section", fields.required("cpf_section"), 1, 128);
    let parameter = fields.string("parameter", fields.required("parameter"), 1, 256);
    let Some(change) = kind(fields) else {
        // Nobody can say which of these belong to it.
        for name in ["new_value", "current_value", "block_size_kb"] {
            fields.optional(name);
        }
        return None;
    };
    let new_value = match change {
        CpfChangeKind::Remove => None,
        CpfChangeKind::Set | CpfChangeKind::Add => {
            value(fields, "new_value", fields.required("new_value"), 1024)
        }
    };
    let current_value = match change {
        CpfChangeKind::Add => None,
        CpfChangeKind::Set | CpfChangeKind::Remove => {
            value(fields, "current_value", fields.optional("current_value"), 1024)
        }
    };
    let block_size_kb = match change {
        CpfChangeKind::Set => block_size(fields, cpf_section.as_deref(), parameter.as_deref()),
        CpfChangeKind::Add | CpfChangeKind::Remove => None,
    };
    let (cpf_section, parameter) = (cpf_section?, parameter?);
    if change != CpfChangeKind::Remove && new_value.is_none() {
        return None; // The fault is noted above.
    }
    Some(CpfChange { cpf_section, parameter, change, new_value, current_value, block_size_kb })
}

fn kind(fields: &Fields<'_>) -> Option<CpfChangeKind> {
    match fields.optional("change") {
        None => Some(CpfChangeKind::default()),
        node => fields.text("change", node),
    }
}

fn block_size(fields: &Fields<'_>, section: Option<&str>, parameter: Option<&str>) -> Option<u32> {
    let node = fields.optional("block_size_kb")?;
    let of_globals = (section, parameter) == (Some("config"), Some("globals"));
    let rule = "one of 8, 16, 32, 64, and only with [config] globals";
    let size: Option<u32> = fields.integer::<u32, u32>("block_size_kb", Some(node), rule);
    let size = size?;
    if !of_globals || ![8, 16, 32, 64].contains(&size) {
        fields.note(Fault::new(fields.at("block_size_kb"), node, format!("must be {rule}")));
    }
    Some(size)
}

/// A value that goes into a file or a kernel parameter: text or an integer, one line, no control characters.
pub fn value(fields: &Fields<'_>, name: &'static str, node: Option<&Node>, max: usize) -> Option<String> {
    let node = node?;
    let breaks_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match node {
        Node::Integer(number) => Some(number.to_string()),
        Node::String(text) if text.chars().count() <= max && !text.chars().any(breaks_line) => {
            Some(text.clone())
        }
        _ => {
            let rule = format!(
                "must be a string of at most {max} characters on one line without control characters, or an integer"
            );
            fields.note(Fault::new(fields.at(name), node, rule));
            None
        }
    }
}
