//! The CPFs with that of one instance as the plan of a step will leave it: IRIS looks at it, and at what the kernel gives,
//! only at its next start.

use std::{io, sync::Arc};

use instance_agent::InstanceSettings;
use instance_contract::{CpfChange, InstanceName};
use instance_iris::cpf::{Document, memory::Globals};

use super::Cpfs;

/// Sizes of buffers in KB, one for each figure of `globals`.
const BLOCK_SIZES_KB: [u32; 6] = [2, 4, 8, 16, 32, 64];

/// The CPFs of a host on which `changes` were made to that of `instance`. Nothing of them is written.
pub struct Coming {
    pub cpfs: Arc<dyn Cpfs>,
    pub instance: InstanceName,
    pub changes: Vec<CpfChange>,
}

impl Cpfs for Coming {
    fn present(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        self.cpfs.present(instance)
    }

    fn at_next_start(&self, instance: &InstanceSettings) -> io::Result<Vec<u8>> {
        let bytes = self.cpfs.at_next_start(instance)?;
        if instance.name == self.instance { self.changed(&bytes) } else { Ok(bytes) }
    }
}

impl Coming {
    /// The CPF as it will be; the same where it is so already.
    fn changed(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut document = Document::parse(bytes);
        for change in &self.changes {
            let (section, name) = (change.cpf_section.as_str(), change.parameter.as_str());
            let value = new_value(&document, change)?;
            let set = match document.get(section, name) {
                Some(_) => document.set(section, name, &value),
                None => document.insert(section, name, &value),
            };
            set.map_err(|error| unfit(change, &error.to_string()))?;
        }
        Ok(document.to_bytes())
    }
}

fn new_value(document: &Document, change: &CpfChange) -> io::Result<String> {
    let value = change.new_value.clone().unwrap_or_default();
    let Some(kb) = change.block_size_kb else { return Ok(value) };
    let present = document.get(&change.cpf_section, &change.parameter).unwrap_or_default();
    let mut globals: Globals = present.parse().map_err(|error| unfit(change, &format!("{error}")))?;
    let pool = BLOCK_SIZES_KB.iter().position(|size| *size == kb);
    match (pool, value.parse()) {
        (Some(pool), Ok(mb)) => globals.pools_mb[pool] = mb,
        _ => return Err(unfit(change, &format!("\"{value}\" is no size of {kb} KB buffers"))),
    }
    Ok(globals.to_string())
}

fn unfit(change: &CpfChange, why: &str) -> io::Error {
    let (section, name) = (&change.cpf_section, &change.parameter);
    io::Error::other(format!("the plan's change of [{section}] {name} does not fit it: {why}"))
}
