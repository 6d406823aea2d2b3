//! Copies of the CPF as it was before each change, numbered, never overwritten.

use std::{cell::Cell, fs::File};

use instance_chassis::{crash_point, mutant};
use instance_contract::Digest;
use instance_iris::cpf;

use crate::{
    error::FileError,
    folder::{Folder, Snapshot},
    replace::copy_attributes,
};

/// A backup as young as this, against the newest one, may belong to a remediation that is still open, so it stays whatever
/// the count: `remediation_seconds` of the policy may be a day, and taking back begins at its end.
const MAY_BE_OPEN_SECONDS: i64 = (24 + 1) * 3600;

/// Far above what a CPF is ever changed.
const MOST_BACKUPS: u64 = 1_000_000_000_000;

/// The name of the next backup: `iris.cpf_instance_<number>_<start of the SHA-256>`. One after the highest that is
/// there, so that the order of names is the order of changes; that one itself, when it holds the very bytes already: the
/// change that it was made for did not come about.
pub fn next_name(folder: &Folder, cpf: &str, digest: &Digest) -> Result<String, FileError> {
    let names = folder.names()?;
    // One that a crash has kept from its name is counted too.
    let highest = names.iter().filter_map(|name| number(name.trim_start_matches('.'), cpf)).max();
    let newest = numbered(names, cpf).pop();
    // The name says what it holds, so that it is read only where it may be the one.
    if let Some((_, name)) = &newest
        && name.rsplit_once('_').is_some_and(|(_, held)| held == digest.short())
        && folder.read(name).is_ok_and(|backup| backup.digest() == digest)
    {
        return Ok(name.clone());
    }
    Ok(format!("{cpf}_instance_{:06}_{}", highest.unwrap_or(0) + 1, digest.short()))
}

/// Is this the name of a backup of the CPF?
pub fn is_name(name: &str, cpf: &str) -> bool {
    number(name, cpf).is_some()
}

/// A backup's name ends with the start of the SHA-256 of what it is to hold.
pub fn may_hold(name: &str, file: &Snapshot) -> bool {
    name.rsplit_once('_').is_some_and(|(_, digest)| digest == file.digest().short())
}

/// A backup that is written, and is durable once it was synced with something else, or by [`Begun::settle`].
#[derive(Debug)]
pub struct Begun<'a> {
    folder: &'a Folder,
    name: &'a str,
    file: File,
    durable: Cell<bool>,
}

/// Begins the backup `name` of `live`. A backup of that name with the same bytes is the one that was made before a
/// crash; one with the beginning of them was begun before it, and is made anew; one with other bytes is an error.
pub fn begin<'a>(folder: &'a Folder, name: &'a str, live: &Snapshot) -> Result<Begun<'a>, FileError> {
    let path = || folder.path().join(name);
    let begun = |file| Begun { folder, name, file, durable: Cell::new(false) };
    let file = if let Some(file) = folder.create(name)? {
        file
    } else {
        let there = folder.read(name)?;
        if there.bytes == live.bytes {
            // Whoever has written it may not have come to syncing it.
            return Ok(begun(there.file));
        }
        if !live.bytes.starts_with(&there.bytes) {
            return Err(FileError::BackupTaken(path()));
        }
        folder.remove(name)?;
        folder.create(name)?.ok_or_else(|| FileError::BackupTaken(path()))?
    };
    crash_point("config.backup-created");
    let written =
        folder.write(name, &file, &live.bytes).and_then(|()| copy_attributes(live, &file, folder, name));
    match written {
        Ok(()) => Ok(begun(file)),
        Err(error) => {
            // Half a backup is worse than none: it would pass for one.
            folder.remove(name)?;
            Err(error)
        }
    }
}

impl Begun<'_> {
    /// Makes it durable together with another file and the names in the folder.
    pub fn sync_with(&self, other: Option<(&str, &File)>) -> Result<(), FileError> {
        let own = (!mutant("config.backup-not-synced")).then_some((self.name, &self.file));
        let files: Vec<_> = own.into_iter().chain(other).collect();
        self.folder.sync_together(&files)?;
        self.durable.set(true);
        crash_point("config.backup-durable");
        Ok(())
    }

    /// Durable or gone: half a backup would pass for one.
    pub fn settle(self) -> Result<(), FileError> {
        if self.durable.get() {
            return Ok(());
        }
        let synced = self.sync_with(None);
        if synced.is_err() {
            self.folder.remove(self.name)?;
        }
        synced
    }
}

/// Removes old backups beyond the newest `kept` ones; returns the names. The newest one that reads as a sound CPF
/// always stays, and so does every one that an open remediation may refer to.
pub fn prune(folder: &Folder, cpf: &str, kept: usize) -> Result<Vec<String>, FileError> {
    let backups = existing(folder, cpf)?;
    if backups.len() <= kept {
        return Ok(Vec::new());
    }
    let newest_at = backups.iter().filter_map(|(_, name)| folder.written_at(name)).max().unwrap_or(0);
    let newest_good = backups.iter().rev().map(|(_, name)| name).find(|name| is_sound(folder, name));
    let too_many = backups.len().saturating_sub(kept);
    let mut removed = Vec::new();
    for (_, name) in &backups[..too_many] {
        let is_old =
            folder.written_at(name).is_some_and(|at| at.saturating_add(MAY_BE_OPEN_SECONDS) < newest_at);
        if is_old && Some(name) != newest_good {
            folder.remove(name)?;
            removed.push(name.clone());
        }
    }
    Ok(removed)
}

/// All backups of a CPF by number. `_LastGood_.cpf` and the daily copies of IRIS have other names.
fn existing(folder: &Folder, cpf: &str) -> Result<Vec<(u64, String)>, FileError> {
    Ok(numbered(folder.names()?, cpf))
}

fn numbered(names: Vec<String>, cpf: &str) -> Vec<(u64, String)> {
    let mut backups: Vec<_> =
        names.into_iter().filter_map(|name| Some((number(&name, cpf)?, name))).collect();
    backups.sort();
    backups
}

fn number(name: &str, cpf: &str) -> Option<u64> {
    let number = name.strip_prefix(cpf)?.strip_prefix("_instance_")?.split_once('_')?.0.parse().ok()?;
    // No number of ours: a file of that name must not leave the next one without a number.
    (number <= MOST_BACKUPS).then_some(number)
}

fn is_sound(folder: &Folder, name: &str) -> bool {
    folder.read(name).is_ok_and(|backup| cpf::check(&cpf::Document::parse(&backup.bytes)).is_empty())
}
