//! What a CPF would take of the host, before anybody finds out by a failed start.

use instance_iris::cpf::{Document, memory::SharedMemory};
use instance_knowledge::{HostRoom, dangers};

use crate::wanted::Touched;

/// The parameters of `[config]` that decide how much shared memory an instance takes.
const DECISIVE: [&str; 6] = ["globals", "routines", "gmheap", "jrnbufs", "MaxServers", "MaxServerConn"];

/// What is to be said about a CPF as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// More than the host has: a person must agree.
    pub dangerous: bool,
    /// For people.
    pub warnings: Vec<String>,
}

/// Weighs changed parameters against one another and against the host; says nothing about dangers in which none of
/// them takes part.
pub fn judge(after: &Document, touched: &[Touched], host: Option<HostRoom>) -> Judgement {
    let mut judgement = Judgement::default();
    let changed = |section: &str, name: &str| {
        touched.iter().any(|one| one.changes() && one.section == section && one.parameter == name)
    };
    if DECISIVE.iter().any(|name| changed("config", name)) {
        match (host, SharedMemory::of(after)) {
            (None, _) => judgement
                .warnings
                .push("the memory of this host could not be read, so the change is not weighed".to_owned()),
            (_, Err(error)) => judgement.warnings.push(error.to_string()),
            (Some(_), Ok(_)) => {}
        }
    }
    for danger in dangers(after, host) {
        if danger
            .parameters
            .iter()
            .any(|name| touched.iter().any(|one| one.changes() && one.parameter == *name))
        {
            judgement.dangerous |= danger.beyond_host;
            judgement.warnings.push(danger.text);
        }
    }
    judgement
}
