//! What a CPF would take of the host, before anybody finds out by a failed start.

use instance_iris::cpf::{
    Document,
    memory::{SharedMemory, disables_large_pages},
};
use instance_knowledge::{HostRoom, dangers};

use crate::{apply::Site, wanted::Touched};

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

/// The room of the host with what its other instances ask for, and the names of those of which nobody knows.
pub fn room(site: &Site<'_>) -> (Option<HostRoom>, Vec<String>) {
    let Some(mut room) = site.host.room() else { return (None, Vec::new()) };
    let mut unknown = Vec::new();
    for other in site.instances.iter().filter(|other| other.name != site.instance.name) {
        let file = site.host.open(other).ok();
        let asked = file.as_ref().and_then(|file| SharedMemory::of(file.document()).ok());
        let (Some(file), Some(asked)) = (file, asked) else {
            unknown.push(other.name.to_string());
            continue;
        };
        let asked = asked.with_defaults(room.physical_mb);
        room.others_mb = room.others_mb.saturating_add(asked.total_mb());
        if !disables_large_pages(file.document()) {
            let pages = asked.huge_pages(room.huge_page_kb);
            room.others_huge_pages = room.others_huge_pages.saturating_add(pages);
        }
    }
    (Some(room), unknown)
}

/// Weighs changed parameters against one another and against the host; says nothing about dangers in which none of
/// them takes part. Of `unknown`, other instances, nobody knows what they ask for.
pub fn judge(after: &Document, touched: &[Touched], host: Option<HostRoom>, unknown: &[String]) -> Judgement {
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
            (Some(_), Ok(_)) if unknown.is_empty() => {}
            (Some(_), Ok(_)) => judgement.warnings.push(format!(
                "how much memory other instances of this host ask for could not be read: {}",
                unknown.join(", ")
            )),
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
