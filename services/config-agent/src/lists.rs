//! Entries of the lists of a CPF: whether what stands behind a name fits the rest of the file.

use instance_iris::cpf::Document;
use instance_knowledge::list_fault;

use crate::{conflict::Conflict, wanted::Touched};

/// Whether each touched entry of `[Databases]`, `[Namespaces]` and `[Map.*]` makes sense in the file as it will be.
pub fn check(new: &Document, touched: &[Touched]) -> Result<(), Conflict> {
    for one in touched.iter().filter(|one| one.changes()) {
        if let Some(rule) = list_fault(new, &one.section, &one.parameter, one.after.as_deref()) {
            return Err(Conflict::Unfit { label: one.label(), rule });
        }
    }
    Ok(())
}
