//! A change is taken back, while the values are still ours.

use std::time::Instant;

use instance_agent::{Applied, Prepared, Probe};
use instance_chassis::mutant;
use instance_contract::{Digest, Failure};
use instance_iris::cpf::Document;

use crate::{
    apply::{Limits, Material, Site, Standing},
    conflict::Conflict,
    edit::only_named_lines_differ,
    host::CpfFile,
    merge,
    wanted::Touched,
};

/// Sets the former values again. When nothing else in the file has changed since, the file is what it was, byte for
/// byte. Doing it twice is doing it once.
pub fn undo(site: &Site<'_>, done: &Prepared, limits: Limits<'_>) -> Result<Applied, Failure> {
    let material = Material::of(done)?;
    let back = material.reversed();
    site.host.settle(site.instance)?;
    let file = site.host.open(site.instance)?;
    match back.standing(&*file) {
        Standing::After => {
            file.make_durable()?;
            return Ok(undone(&back, Vec::new()));
        }
        Standing::Neither if !mutant("config.undo-unchecked") => return Err(back.foreign(&*file)),
        Standing::Neither | Standing::Before => {}
    }
    let backup = file.next_backup()?;
    let mut warnings = Vec::new();
    // What the running instance has taken up, it must also give up; one that is down reads the file at its start.
    let began = Instant::now();
    if material.live && merge::must_run(site, limits.remaining).is_ok() {
        file.keep(&backup)?;
        let limits = Limits { remaining: limits.remaining.saturating_sub(began.elapsed()), ..limits };
        warnings.extend(merge::merge(site, &*file, &back, limits)?);
    } else {
        let (former, warning) = former_text(&*file, &material, &back)?;
        warnings.extend(warning);
        warnings.extend(file.put(&former, &backup, limits.last_look)?);
    }
    warnings.extend(file.prune(site.kept_backups));
    Ok(undone(&back, warnings))
}

/// Are the former values back?
pub fn probe(site: &Site<'_>, done: &Prepared) -> Result<Probe, Failure> {
    let back = Material::of(done)?.reversed();
    site.host.settle(site.instance)?;
    let file = site.host.open(site.instance)?;
    Ok(match back.standing(&*file) {
        Standing::After => {
            file.make_durable()?;
            Probe::Done(undone(&back, Vec::new()))
        }
        Standing::Before => Probe::NotDone,
        Standing::Neither => Probe::Other { found: back.found(&*file) },
    })
}

/// The whole file from the backup when it is exactly as we left it, else the present file with the former values. And
/// what is to be said of a backup that is another than it was.
fn former_text(
    file: &dyn CpfFile,
    material: &Material,
    back: &Material,
) -> Result<(Document, Option<String>), Failure> {
    let backup = material.backup.as_ref().and_then(|name| Some((name, file.backup(name)?)));
    let (backup, warning) = match backup {
        Some((_, bytes)) if Digest::of(&bytes) == material.before_sha256 => (Some(bytes), None),
        // A program that had the old file open has written into it after it was replaced.
        Some((name, _)) => (None, Some(format!("somebody has written into the backup \"{name}\""))),
        None => (None, None),
    };
    if let Some(bytes) = backup.filter(|_| Some(file.digest()) == material.after_sha256.as_ref()) {
        return Ok((Document::parse(&bytes), warning));
    }
    let mut document = file.document().clone();
    for one in back.touched.iter().filter(|one| one.changes()) {
        put_back(&mut document, one)?;
    }
    if !only_named_lines_differ(file.document(), &document, &back.touched) {
        let label = back.touched.first().map(Touched::label).unwrap_or_default();
        return Err(Conflict::NotOneLine { label }.into());
    }
    Ok((document, warning))
}

fn put_back(document: &mut Document, one: &Touched) -> Result<(), Failure> {
    let (section, name) = (one.section.as_str(), one.parameter.as_str());
    let edited = match (&one.before, &one.after) {
        (Some(_), Some(value)) => document.set(section, name, value),
        (None, Some(value)) => document.insert(section, name, value),
        (Some(ours), None) => document.remove(section, name, ours),
        (None, None) => return Ok(()),
    };
    edited.map(drop).map_err(|error| Failure::from(Conflict::Edit(error)))
}

fn undone(back: &Material, warnings: Vec<String>) -> Applied {
    Applied { changes: back.changes(), warnings, rollback_available: false }
}
