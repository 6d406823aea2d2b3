//! From values to a type, telling every fault and not only the first.
//!
//! serde stops at the first fault. So the faulty value is told, taken out, and the rest is read again, until nothing
//! more comes; a missing one is told and a stand-in put there. What is made of stand-ins is thrown away.

use std::collections::{BTreeMap, BTreeSet};

use figment::error::Kind;
use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use super::fault::{Fault, Faults, rule_shown, shown};
use super::layers::Layered;
use super::nearest::nearest;

/// No settings have so many keys; it bounds the loop.
const MOST_ROUNDS: usize = 1000;

/// Reads a table of the tree into its type; "" is what stands before the first table.
pub(crate) fn read<T: DeserializeOwned>(layered: &Layered, table: &str, faults: &mut Faults) -> Option<T> {
    let told_before = faults.len();
    let mut reading = Reading {
        layered,
        table,
        tree: layered.table(table),
        told: BTreeSet::new(),
        stand_ins: BTreeMap::new(),
        as_text: BTreeMap::new(),
    };
    for _ in 0..MOST_ROUNDS {
        match reading.tree.deserialize::<T>() {
            Ok(value) => return (faults.len() == told_before).then_some(value),
            Err(error) => {
                if !reading.repair(error, faults) {
                    return None;
                }
            }
        }
    }
    None
}

/// The keys that a type has. A type that is not closed (`deny_unknown_fields`) keeps them to itself.
pub(crate) fn known_keys<T: DeserializeOwned>() -> &'static [&'static str] {
    let impossible = Value::from(Dict::from([("\0".to_owned(), Value::from(0_u8))]));
    match impossible.deserialize::<T>() {
        Err(figment::Error { kind: Kind::UnknownField(_, known), .. }) => known,
        _ => &[],
    }
}

/// Names of keys from the table down; an index stands for an item of a list.
type Path = Vec<String>;

struct Reading<'a> {
    layered: &'a Layered,
    table: &'a str,
    tree: Value,
    /// What was told already; if it is missing now, that is our own doing.
    told: BTreeSet<Path>,
    /// Which of the stand-ins was tried for what is missing.
    stand_ins: BTreeMap<Path, usize>,
    /// Values taken letter by letter at the second try, with the fault of the first.
    as_text: BTreeMap<Path, Kind>,
}

impl Reading<'_> {
    /// Tells the fault and changes the tree so that the next one can be seen; false when that is not possible.
    fn repair(&mut self, error: figment::Error, faults: &mut Faults) -> bool {
        let mut path = error.path.clone();
        if let Kind::MissingField(name) = &error.kind {
            path.push(name.to_string());
            return self.fill(path, faults);
        }
        if let Some(missing) = self.stand_in_above(&path) {
            return self.stand_in_again(&missing, &error.kind);
        }
        if self.take_as_text(&path, &error.kind) {
            return true;
        }
        let kind = self.as_text.remove(&path).unwrap_or(error.kind);
        faults.add(self.fault(&path, &kind));
        self.take_out(path)
    }

    fn fill(&mut self, path: Path, faults: &mut Faults) -> bool {
        if self.stand_ins.contains_key(&path) {
            return false;
        }
        let is_ours =
            self.told.iter().any(|told| path.starts_with(told)) || self.stand_in_above(&path).is_some();
        if !is_ours {
            faults.add(self.missing(&path));
        }
        let put = put(&mut self.tree, &path, stand_in(0));
        self.stand_ins.insert(path, 0);
        put
    }

    fn stand_in_above(&self, path: &[String]) -> Option<Path> {
        // The longest one: a table may stand in, and its own missing keys too.
        self.stand_ins
            .keys()
            .filter(|missing| path.starts_with(missing))
            .max_by_key(|missing| missing.len())
            .cloned()
    }

    fn stand_in_again(&mut self, missing: &[String], kind: &Kind) -> bool {
        if let Kind::UnknownVariant(found, [first, ..]) = kind
            && found != first
        {
            return put(&mut self.tree, missing, Some(Value::from(*first)));
        }
        let tried = self.stand_ins.get_mut(missing).expect("it is the key of a stand-in");
        *tried += 1;
        let next = stand_in(*tried);
        put(&mut self.tree, missing, next)
    }

    /// A text that looks like a number or a list is what the environment gives; try it as the text it is.
    fn take_as_text(&mut self, path: &[String], kind: &Kind) -> bool {
        let Some(text) = self.layered.text(&self.key(path)).map(str::to_owned) else { return false };
        let already = find(&mut self.tree, path).is_none_or(|value| matches!(value, Value::String(..)));
        if already || !matches!(kind, Kind::InvalidType(..)) {
            return false;
        }
        let tag = find(&mut self.tree, path).map_or(figment::value::Tag::Default, |value| value.tag());
        self.as_text.insert(path.to_vec(), kind.clone());
        put(&mut self.tree, path, Some(Value::String(tag, text)))
    }

    fn take_out(&mut self, path: Path) -> bool {
        let Some((last, above)) = path.split_last() else { return false };
        match find(&mut self.tree, above) {
            Some(Value::Dict(_, entries)) => {
                let taken = entries.remove(last).is_some();
                self.told.insert(path);
                taken
            }
            // Taking an item out would renumber the ones behind it.
            Some(Value::Array(..)) => self.take_out(above.to_vec()),
            _ => false,
        }
    }

    fn fault(&self, path: &[String], kind: &Kind) -> Fault {
        let key = self.key(path);
        let whole = self.layered.table(self.table);
        let value = look(&whole, path);
        // A table has no origin of its own and is too long to show; its key says enough.
        let leaf = value.filter(|value| !matches!(value, Value::Dict(..)));
        Fault {
            origin: value.map_or_else(|| "settings".to_owned(), |value| self.layered.origin(value)),
            value: leaf.map(|value| shown(&key, value)),
            rule: rule_shown(&key, leaf, rule(kind)),
            key,
        }
    }

    fn missing(&self, path: &[String]) -> Fault {
        let key = self.key(path);
        let inside_list = path.iter().any(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let variable = key.replace('.', "__").replace('-', "_").to_uppercase();
        let rule = if inside_list {
            "missing".to_owned()
        } else {
            format!("missing; set it in a settings file, as INSTANCE_{variable}, or with --set {key}=VALUE")
        };
        Fault::about(&key, rule)
    }

    fn key(&self, path: &[String]) -> String {
        let table = Some(self.table).filter(|table| !table.is_empty());
        table.into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
    }
}

fn rule(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("must be {expected}"),
        Kind::InvalidLength(_, expected) => format!("must have {expected}"),
        Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
        Kind::UnknownField(name, known) => match nearest(name, known.iter().copied()) {
            Some(near) => format!("unknown key; did you mean \"{near}\"?"),
            None => format!("unknown key; known are {}", known.join(", ")),
        },
        Kind::Message(rule) => rule.clone(),
        other => other.to_string(),
    }
}

/// What may stand in for a missing value whose type we cannot know.
fn stand_in(index: usize) -> Option<Value> {
    let all: [fn() -> Value; 6] = [
        || Value::from("x"),
        || Value::from(1_u8),
        || Value::from(true),
        || Value::from(1.0_f64),
        || Value::from(Vec::<Value>::new()),
        || Value::from(Dict::new()),
    ];
    all.get(index).map(|make| make())
}

fn find<'a>(tree: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(tree, |value, part| match value {
        Value::Dict(_, entries) => entries.get_mut(part),
        Value::Array(_, items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn look<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |value, part| match value {
        Value::Dict(_, entries) => entries.get(part),
        Value::Array(_, items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// False when there is nothing to put, or no place for it.
fn put(tree: &mut Value, path: &[String], value: Option<Value>) -> bool {
    let (Some(value), Some((last, above))) = (value, path.split_last()) else { return false };
    match find(tree, above) {
        Some(Value::Dict(_, entries)) => {
            entries.insert(last.clone(), value);
            true
        }
        Some(Value::Array(_, items)) => {
            let place = last.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            place.map(|place| *place = value).is_some()
        }
        _ => false,
    }
}
