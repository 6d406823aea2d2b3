//! Takes the fields of one object, notes every fault, and at the end refuses what nobody took.

use std::{cell::RefCell, fmt::Display, rc::Rc, str::FromStr};

use super::{Fault, Faults, Node, cut};
use crate::ids::InvalidName;

/// The fields of one object on its way to a type. All readers of one input share the list of faults.
pub struct Fields<'a> {
    path: String,
    entries: &'a [(String, Node)],
    taken: RefCell<Vec<&'static str>>,
    faults: Rc<RefCell<Vec<Fault>>>,
}

impl<'a> Fields<'a> {
    /// The fields of the outermost object.
    pub fn root(node: &'a Node) -> Result<Self, Faults> {
        match node {
            Node::Object(entries) => {
                let fields =
                    Self { path: String::new(), entries, taken: RefCell::default(), faults: Rc::default() };
                fields.note_doubles();
                Ok(fields)
            }
            other => Err(Faults::one("payload", other.type_name(), "must be an object")),
        }
    }

    /// The fields of an object inside this one; notes a fault when it is something else.
    pub fn inner(&self, path: String, node: &'a Node) -> Option<Self> {
        let Node::Object(entries) = node else {
            self.note(Fault::new(path, node, "must be an object"));
            return None;
        };
        let fields = Self { path, entries, taken: RefCell::default(), faults: Rc::clone(&self.faults) };
        fields.note_doubles();
        Some(fields)
    }

    fn note_doubles(&self) {
        for (index, (name, node)) in self.entries.iter().enumerate() {
            if self.entries[..index].iter().any(|(earlier, _)| earlier == name) {
                self.note(Fault::new(self.at(name), node, "must be given once"));
            }
        }
    }

    /// Path of a field of this object.
    pub fn at(&self, name: &str) -> String {
        let name = cut(name);
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    pub fn note(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    /// The value of a field, `None` when it is absent or null.
    pub fn optional(&self, name: &'static str) -> Option<&'a Node> {
        self.taken.borrow_mut().push(name);
        let node = self.entries.iter().find(|(key, _)| key == name).map(|(_, node)| node)?;
        (*node != Node::Null).then_some(node)
    }

    /// The value of a field; its absence is a fault.
    pub fn required(&self, name: &'static str) -> Option<&'a Node> {
        let node = self.optional(name);
        if node.is_none() {
            let value = if self.has(name) { "null" } else { "" };
            self.note(Fault::new(self.at(name), value, "is required"));
        }
        node
    }

    /// Turns a node into a string type with a rule of its own.
    pub fn text<T: FromStr<Err = InvalidName>>(&self, name: &'static str, node: Option<&Node>) -> Option<T> {
        let node = node?;
        let Some(raw) = node.as_str() else {
            self.note(Fault::new(self.at(name), node, format!("must be a string, not {}", node.type_name())));
            return None;
        };
        match raw.parse() {
            Ok(value) => Some(value),
            Err(InvalidName { rule, .. }) => {
                self.note(Fault::new(self.at(name), node, format!("must be {rule}")));
                None
            }
        }
    }

    /// A string of `min..=max` characters without control characters (tab and line end allowed in `multiline`).
    pub fn string(&self, name: &'static str, node: Option<&Node>, min: usize, max: usize) -> Option<String> {
        let node = node?;
        let rule = || format!("must be a string of {min} to {max} characters without control characters");
        match node.as_str() {
            Some(raw) if (min..=max).contains(&raw.chars().count()) && !raw.chars().any(char::is_control) => {
                Some(raw.to_owned())
            }
            _ => {
                self.note(Fault::new(self.at(name), node, rule()));
                None
            }
        }
    }

    /// An integer with a rule of its own.
    pub fn integer<T, N>(&self, name: &'static str, node: Option<&Node>, rule: impl Display) -> Option<T>
    where
        N: TryFrom<i128>,
        T: TryFrom<N>,
    {
        let node = node?;
        let value = match node {
            Node::Integer(value) => N::try_from(*value).ok().and_then(|number| T::try_from(number).ok()),
            _ => None,
        };
        if value.is_none() {
            self.note(Fault::new(self.at(name), node, format!("must be {rule}")));
        }
        value
    }

    pub fn boolean(&self, name: &'static str, node: Option<&Node>) -> Option<bool> {
        match node? {
            Node::Bool(value) => Some(*value),
            other => {
                self.note(Fault::new(self.at(name), other, "must be true or false"));
                None
            }
        }
    }

    pub fn array(&self, name: &'static str, node: Option<&'a Node>) -> Option<&'a [Node]> {
        match node? {
            Node::Array(items) => Some(items),
            other => {
                self.note(Fault::new(self.at(name), other, "must be an array"));
                None
            }
        }
    }

    /// An RFC 3339 instant.
    pub fn instant(&self, name: &'static str, node: Option<&Node>) -> Option<jiff::Timestamp> {
        let node = node?;
        let parsed = node.as_str().and_then(|raw| raw.parse().ok());
        if parsed.is_none() {
            self.note(Fault::new(
                self.at(name),
                node,
                "must be an RFC 3339 instant, e.g. 2026-11-21T08:00:00Z",
            ));
        }
        parsed
    }

    /// A constant text.
    pub fn constant(&self, name: &'static str, expected: &str) {
        if let Some(node) = self.required(name)
            && node.as_str() != Some(expected)
        {
            self.note(Fault::new(self.at(name), node, format!("must be {expected}")));
        }
    }

    /// Free text of at most `max` bytes; line ends and control characters are allowed.
    pub fn free_text(&self, name: &'static str, node: Option<&Node>, max: usize) -> Option<String> {
        let node = node?;
        match node.as_str() {
            Some(raw) if raw.len() <= max => Some(raw.to_owned()),
            _ => {
                self.note(Fault::new(
                    self.at(name),
                    node,
                    format!("must be a string of at most {max} bytes"),
                ));
                None
            }
        }
    }

    /// Call when every known field has been asked for: what is left is unknown.
    pub fn close(&self) {
        for (name, node) in self.entries {
            if !self.taken.borrow().contains(&name.as_str()) {
                self.note(Fault::new(self.at(name), node, "is not a field of this contract"));
            }
        }
    }

    /// Faults so far; an error when there is one.
    pub fn verdict(&self) -> Result<(), Faults> {
        let faults = self.faults.borrow();
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults.clone())) }
    }
}
