//! The CPF changes: told beforehand, recorded, done, looked up again.

use std::time::Duration;

use instance_agent::{Applied, InstanceSettings, Prepared, Probe};
use instance_chassis::crash_point;
use instance_contract::{AppliedChange, Digest, Failure, Forecast};
use serde::{Deserialize, Serialize};

use crate::{
    edit::{self, Edit},
    felt,
    host::{CpfFile, Host, LastLook},
    memory, merge, permit, standing,
    wanted::{Touched, Wanted},
};

/// What every change of one instance needs.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    pub host: &'a dyn Host,
    pub instance: &'a InstanceSettings,
    /// All instances of this host, that one among them: they share its memory.
    pub instances: &'a [InstanceSettings],
    pub kept_backups: usize,
}

/// The limits of one attempt.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    pub last_look: LastLook<'a>,
    /// For `iris merge`.
    pub remaining: Duration,
}

/// What the ledger keeps of a change, enough to recognise it and to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// Every parameter, with its former and its new value.
    pub touched: Vec<Touched>,
    /// Through the running instance.
    pub live: bool,
    /// Name of the backup, beside the CPF. `None` when there was nothing to change.
    pub backup: Option<String>,
    /// SHA-256 of the whole file before.
    pub before_sha256: Digest,
    /// SHA-256 of the whole file after, when it is we who write it.
    pub after_sha256: Option<Digest>,
}

/// What the parameters hold, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As they were.
    Before,
    /// As they shall be.
    After,
    /// Neither: somebody else has set one of them, or a change was cut in half.
    Neither,
}

impl Material {
    pub fn of(prepared: &Prepared) -> Result<Self, Failure> {
        serde_json::from_value(prepared.material.clone()).map_err(|error| {
            let message = format!("the ledger's record of the change cannot be read: {error}");
            Failure::permanent("ledger_unreadable", message)
        })
    }

    /// What the file holds of them. Nothing to do counts as done.
    pub fn standing(&self, file: &dyn CpfFile) -> Standing {
        let found = |one: &Touched| file.document().get(&one.section, &one.parameter).map(str::to_owned);
        let all =
            |side: fn(&Touched) -> &Option<String>| self.touched.iter().all(|one| found(one) == *side(one));
        if all(|one| &one.after) {
            Standing::After
        } else if all(|one| &one.before) {
            Standing::Before
        } else {
            Standing::Neither
        }
    }

    /// The changes, as they are reported.
    pub fn changes(&self) -> Vec<(String, AppliedChange)> {
        let change = |one: &Touched| AppliedChange {
            parameter: one.parameter.clone(),
            old_value: one.before.clone(),
            new_value: one.after.clone(),
            validated: true,
        };
        self.touched.iter().map(|one| (one.target(), change(one))).collect()
    }

    /// The same, taken back.
    pub fn reversed(&self) -> Self {
        let (before_sha256, after_sha256) = match &self.after_sha256 {
            Some(after) => (after.clone(), Some(self.before_sha256.clone())),
            None => (self.before_sha256.clone(), None),
        };
        let touched = self.touched.iter().map(Touched::reversed).collect();
        Self { touched, before_sha256, after_sha256, ..self.clone() }
    }

    /// What is there, and what was expected, in words.
    pub fn found(&self, file: &dyn CpfFile) -> String {
        let told = |one: &Touched| match file.document().get(&one.section, &one.parameter) {
            Some(value) => format!("{} is \"{value}\"", one.label()),
            None => format!("{} is not there", one.label()),
        };
        self.touched.iter().map(told).collect::<Vec<_>>().join(", ")
    }

    /// Somebody else has set a parameter: their value stays.
    pub fn foreign(&self, file: &dyn CpfFile) -> Failure {
        let expected = |one: &Touched| match &one.before {
            Some(value) => format!("{} = \"{value}\"", one.label()),
            None => format!("no {}", one.label()),
        };
        let expected: Vec<String> = self.touched.iter().map(expected).collect();
        let message = format!(
            "{}, and expected was {}: somebody else has changed it, so it is left as it is",
            self.found(file),
            expected.join(", ")
        );
        Failure::permanent("foreign_change", message)
    }
}

/// Exactly what would change.
pub fn forecast(site: &Site<'_>, wanted: &Wanted) -> Result<Forecast, Failure> {
    let file = site.host.open(site.instance)?;
    let Edit { document, touched, mut felt } = edit::edit(file.document(), wanted)?;
    let of_merge_file = standing::check(site, &touched)?;
    if wanted.changes.live {
        merge::must_run(site, Duration::MAX)?;
    }
    let live = may_be_live(site, wanted, &touched).then(|| edit::edit(file.document(), &wanted.live()));
    let may_be_live = live.is_some();
    if let Some(live) = live {
        felt = live?.felt;
    }
    let (room, unknown) = memory::room(site);
    let judgement = memory::judge(&document, &touched, room, &unknown);
    Ok(Forecast {
        unknown_version: permit::unknown_version(file.document()),
        target: wanted.target(),
        before: wanted.before(&touched),
        after: wanted.after(&touched),
        needs_restart: felt.needs_restart,
        may_be_live,
        restart_reason: felt.restart_reason,
        dangerous: judgement.dangerous,
        warnings: felt
            .warnings
            .into_iter()
            .chain(of_merge_file)
            .chain(judgement.warnings)
            .chain(felt::faults(file.document()))
            .collect(),
    })
}

/// A command of one value does not say how it is to come into force. Where the running instance can take it up, in the
/// file alone it would be called done without being so.
fn may_be_live(site: &Site<'_>, wanted: &Wanted, touched: &[Touched]) -> bool {
    wanted.single
        && touched.iter().all(|one| one.changes() && felt::may_be_live(one).is_ok())
        && merge::must_run(site, Duration::MAX).is_ok()
}

/// What must be recorded before the effect. Writes nothing.
pub fn prepare(site: &Site<'_>, wanted: &Wanted) -> Result<Prepared, Failure> {
    let file = site.host.open(site.instance)?;
    let edit = edit::edit(file.document(), wanted)?;
    standing::check(site, &edit.touched)?;
    let already = !edit.changes();
    let live = wanted.changes.live;
    let after_sha256 = (!live).then(|| Digest::of(&edit.document.to_bytes()));
    let (before, after) = (wanted.before(&edit.touched), wanted.after(&edit.touched));
    let material = Material {
        touched: edit.touched,
        live,
        backup: if already { None } else { Some(file.next_backup()?) },
        before_sha256: file.digest().clone(),
        after_sha256,
    };
    let material = serde_json::to_value(material).expect("texts and digests are JSON");
    crash_point("config.prepared");
    Ok(Prepared { before, wanted: after, already, material })
}

/// Makes all changes. Doing it twice is doing it once.
pub fn apply(
    site: &Site<'_>,
    wanted: &Wanted,
    prepared: &Prepared,
    limits: Limits<'_>,
) -> Result<Applied, Failure> {
    let material = Material::of(prepared)?;
    site.host.settle(site.instance)?;
    let file = site.host.open(site.instance)?;
    crash_point("config.looked-again");
    match material.standing(&*file) {
        Standing::After => {
            file.make_durable()?;
            return Ok(applied(&material, Vec::new()));
        }
        Standing::Neither => return Err(material.foreign(&*file)),
        Standing::Before => {}
    }
    if *file.digest() != material.before_sha256 {
        let what = file.differs_from(&material.before_sha256).filter(|told| !told.is_empty());
        let what = what.map(|told| format!("; it differs in {told}")).unwrap_or_default();
        let message = format!(
            "\"{}\" has changed since it was looked at (SHA-256 {} then, {} now{what})",
            file.path().display(),
            material.before_sha256.short(),
            file.digest().short()
        );
        return Err(Failure::transient("lost_update", message));
    }
    let Edit { document, mut felt, .. } = edit::edit(file.document(), wanted)?;
    // The ledger has the name of the backup whenever there is something to change.
    let backup = material.backup.clone().map_or_else(|| file.next_backup(), Ok)?;
    if material.live {
        file.keep(&backup)?;
        felt.warnings.extend(merge::merge(site, &*file, &material, limits)?);
    } else {
        felt.warnings.extend(file.put(&document, &backup, limits.last_look)?);
    }
    felt.warnings.extend(file.prune(site.kept_backups));
    Ok(applied(&material, felt.warnings))
}

/// What is true after a crash with only the intent known.
pub fn probe(site: &Site<'_>, prepared: &Prepared) -> Result<Probe, Failure> {
    let material = Material::of(prepared)?;
    site.host.settle(site.instance)?;
    let file = site.host.open(site.instance)?;
    Ok(match material.standing(&*file) {
        Standing::After => {
            file.make_durable()?;
            Probe::Done(applied(&material, Vec::new()))
        }
        Standing::Before => Probe::NotDone,
        Standing::Neither => Probe::Other { found: material.found(&*file) },
    })
}

fn applied(material: &Material, warnings: Vec<String>) -> Applied {
    Applied { changes: material.changes(), warnings, rollback_available: true }
}
