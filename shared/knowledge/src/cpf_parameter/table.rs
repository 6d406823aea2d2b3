//! The rows of all CPF parameters, found by section and name.

use std::collections::HashMap;

use super::{Parameter, load};

/// CPF parameters by section, then name; no name twice.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Parameter>,
    /// Section, name: place among the rows.
    index: HashMap<String, HashMap<String, usize>>,
}

impl Table {
    /// The rows compiled in.
    pub fn builtin() -> Self {
        let rows = load::read("cpf_parameters.toml", include_str!("../../data/cpf_parameters.toml"))
            .expect("the built-in CPF parameters are checked by a test");
        Self::of(rows)
    }

    /// Puts one more in its place. Its name is not taken yet.
    pub fn insert(&mut self, row: Parameter) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.push(row);
        *self = Self::of(rows);
    }

    fn of(mut rows: Vec<Parameter>) -> Self {
        rows.sort_by(|left, right| (&left.section, &left.name).cmp(&(&right.section, &right.name)));
        let mut index: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            index.entry(row.section.clone()).or_default().insert(row.name.clone(), place);
        }
        Self { rows, index }
    }

    pub fn rows(&self) -> &[Parameter] {
        &self.rows
    }

    pub fn get(&self, section: &str, name: &str) -> Option<&Parameter> {
        self.rows.get(*self.index.get(section)?.get(name)?)
    }
}
