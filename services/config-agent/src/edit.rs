//! The file as it will be, computed from the file as it is. Pure: writing it is another module's job.

use instance_contract::{CpfChange, CpfChangeKind};
use instance_iris::cpf::{Document, EditError, memory::Globals};
use instance_knowledge::{self as knowledge, Parameter};

use crate::{
    conflict::Conflict,
    felt::{self, Felt},
    lists, permit,
    wanted::{Touched, Wanted},
};

/// What a command asks for, worked out on one CPF.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The CPF as it will be.
    pub document: Document,
    /// Every parameter that the command names, once.
    pub touched: Vec<Touched>,
    /// When the change is felt, and what an operator should know before agreeing.
    pub felt: Felt,
}

/// Works out a change: each parameter may be changed, its present value is the expected one, the new one is legal and
/// fits the rest of the file, and no line differs but those that are named.
pub fn edit(current: &Document, wanted: &Wanted) -> Result<Edit, Conflict> {
    permit::version(current, wanted)?;
    let mut document = current.clone();
    for change in &wanted.changes.changes {
        permit::name(&change.cpf_section, &change.parameter)?;
        permit::known(current, change, wanted.changes.allow_unknown)?;
        match change.change {
            CpfChangeKind::Set => set(&mut document, change)?,
            CpfChangeKind::Add => add(&mut document, change)?,
            CpfChangeKind::Remove => remove(&mut document, change)?,
        }
    }
    let touched = touched(current, &document, wanted);
    lists::check(&document, &touched)?;
    if !only_named_lines_differ(current, &document, &touched) {
        return Err(Conflict::NotOneLine { label: wanted.target() });
    }
    let felt = felt::felt(current, wanted, &touched)?;
    Ok(Edit { document, touched, felt })
}

impl Edit {
    /// Whether anything is to be done.
    pub fn changes(&self) -> bool {
        self.touched.iter().any(Touched::changes)
    }
}

/// `[config] globals`, as people name a parameter.
pub fn label(change: &CpfChange) -> String {
    format!("[{}] {}", change.cpf_section, change.parameter)
}

fn set(document: &mut Document, change: &CpfChange) -> Result<(), Conflict> {
    let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
    let known = knowledge::parameter(section, name);
    let new_value = change.new_value.clone().unwrap_or_default();
    let value = match change.block_size_kb {
        Some(kb) => with_pool(document, change, kb, &new_value)?,
        None => new_value,
    };
    let version = document.version().unwrap_or_default();
    known.map_or(Ok(()), |parameter| parameter.check_change(&value))?;
    known.map_or(Ok(()), |parameter| parameter.check_in(&value, version))?;
    let edited =
        document.set(section, name, &value).map_err(|error| explain(error, document, known, change))?;
    let found = match change.block_size_kb {
        Some(kb) => pool(&edited.before, kb).map_or(edited.before, |figure| figure.to_string()),
        None => edited.before,
    };
    expected(change, Some(&found))
}

/// `globals` with another size for buffers of `kb` KB.
fn with_pool(document: &Document, change: &CpfChange, kb: u32, figure: &str) -> Result<String, Conflict> {
    let unfit = |rule: String| Conflict::Unfit { label: label(change), rule };
    let present = document.get(&change.cpf_section, &change.parameter).unwrap_or_default();
    let mut globals: Globals = present.parse().map_err(|error| unfit(format!("{error}")))?;
    let mb = figure.parse::<u64>().ok().filter(|mb| mb.to_string() == figure);
    let slot = slot(kb).map(|slot| &mut globals.pools_mb[slot]);
    let (Some(mb), Some(slot)) = (mb, slot) else {
        return Err(unfit(format!("\"{figure}\" is no size in MB of {kb} KB buffers")));
    };
    *slot = mb;
    Ok(globals.to_string())
}

fn pool(value: &str, kb: u32) -> Option<u64> {
    Some(value.parse::<Globals>().ok()?.pools_mb[slot(kb)?])
}

/// Which of the six figures of `globals` is for buffers of `kb` KB. The first two are never used.
const fn slot(kb: u32) -> Option<usize> {
    match kb {
        8 => Some(2),
        16 => Some(3),
        32 => Some(4),
        64 => Some(5),
        _ => None,
    }
}

/// An entry that is there already, with that value, needs no adding.
fn add(document: &mut Document, change: &CpfChange) -> Result<(), Conflict> {
    let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
    let value = change.new_value.clone().unwrap_or_default();
    if document.get_all(section, name) == [value.as_str()] {
        return Ok(());
    }
    let known = knowledge::parameter(section, name);
    known.map_or(Ok(()), |parameter| parameter.check_change(&value))?;
    document.insert(section, name, &value).map(drop).map_err(|error| match error {
        EditError::Exists { .. } => {
            let present = document.get(section, name).unwrap_or_default();
            Conflict::Unfit {
                label: label(change),
                rule: format!("is there already, as \"{present}\"; use set to change it"),
            }
        }
        other => explain(other, document, known, change),
    })
}

/// An entry that is not there needs no removing.
fn remove(document: &mut Document, change: &CpfChange) -> Result<(), Conflict> {
    let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
    let Some(present) = document.get(section, name).map(str::to_owned) else {
        return Ok(());
    };
    expected(change, Some(&present))?;
    Ok(document.remove(section, name, &present).map(drop)?)
}

fn expected(change: &CpfChange, found: Option<&str>) -> Result<(), Conflict> {
    match &change.current_value {
        Some(expected) if Some(expected.as_str()) != found => Err(Conflict::Drifted {
            label: label(change),
            expected: expected.clone(),
            found: found.map_or("not there".to_owned(), |found| format!("\"{found}\"")),
        }),
        _ => Ok(()),
    }
}

fn touched(current: &Document, new: &Document, wanted: &Wanted) -> Vec<Touched> {
    let names = wanted.changes.parameters().into_iter();
    let value = |document: &Document, section, name| document.get(section, name).map(str::to_owned);
    names
        .map(|(section, name)| Touched {
            section: section.to_owned(),
            parameter: name.to_owned(),
            before: value(current, section, name),
            after: value(new, section, name),
        })
        .collect()
}

fn explain(error: EditError, current: &Document, known: Option<&Parameter>, change: &CpfChange) -> Conflict {
    let (section, name) = (&change.cpf_section, &change.parameter);
    let unknown = |hint: String| Conflict::Unknown { label: label(change), hint };
    let (EditError::UnknownSection { suggestion, .. } | EditError::UnknownParameter { suggestion, .. }) =
        &error
    else {
        return Conflict::Edit(error);
    };
    if known.is_some() {
        let version = current.version().unwrap_or("unknown");
        return unknown(format!("; other versions of IRIS have it, this file is of version {version}"));
    }
    if let Some(meant) = knowledge::suggest(section, name) {
        return unknown(format!("; did you mean {}?", meant.label()));
    }
    match (suggestion, &error) {
        (Some(meant), EditError::UnknownSection { .. }) => {
            unknown(format!("; did you mean section [{meant}]?"))
        }
        (Some(meant), _) => unknown(format!("; did you mean [{section}] {meant}?")),
        (None, _) => {
            unknown("; names are matched as they are written, upper and lower case included".to_owned())
        }
    }
}

/// Looks at the result as a reader would: the named parameters are what they shall be, once each, and every other line
/// is the same, byte for byte but for the end of a line that has become the last one, or is no longer.
pub fn only_named_lines_differ(old: &Document, new: &Document, touched: &[Touched]) -> bool {
    let named: Vec<_> = touched.iter().map(|one| (one.section.as_str(), one.parameter.as_str())).collect();
    let as_named = |one: &Touched| {
        let value = |side: &Option<String>| side.iter().cloned().collect::<Vec<_>>();
        old.get_all(&one.section, &one.parameter) == value(&one.before)
            && new.get_all(&one.section, &one.parameter) == value(&one.after)
    };
    touched.iter().all(as_named) && old.lines_but(&named).eq(new.lines_but(&named))
}
