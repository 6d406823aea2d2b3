//! `iris merge`: parameters of a merge file go into the CPF, and those that can go live do.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use instance_iris::cpf::{self, Difference, Document};
use instance_knowledge::{Activation, parameter};

use crate::shell::ask::{self, Answer};
use crate::shell::control::Control;
use crate::shell::cpf_file::{self, CpfFile};
use crate::shell::wij_file::{WijFile, fingerprint};
use crate::world::Event;
use crate::world::act::{Entry, Severity};
use crate::world::check_cpf;

/// `iris merge` ends with this when it fails.
const MERGE_FAILED: u8 = 7;

impl Control {
    /// Merges a file into the CPF in use; the exit code for whoever asked.
    pub(super) fn merge(&mut self, file: &Path, asker: &mut impl Write) -> u8 {
        let cpf_path = self.order.cpf.display().to_string();
        ask::answer(asker, &Answer::Say(format!("IRIS Merge of {} into {cpf_path}", file.display())));
        let outcome = self.merged(file, &cpf_path).and_then(|(wanted, differences)| {
            self.activate(&differences);
            self.run_actions(file, &wanted)
        });
        match outcome {
            Ok(()) => 0,
            Err(reason) => {
                ask::answer(asker, &Answer::Say(format!("IRIS Merge failed,{reason}")));
                MERGE_FAILED
            }
        }
    }

    /// A start merges the file of `ISC_CPF_MERGE_FILE` before anything else; it goes on whatever comes of that.
    pub(super) fn merge_before_start(&mut self, file: &Path) {
        if !file.exists() {
            return;
        }
        self.answer(&Answer::Say("Merging IRIS, please wait...".to_owned()));
        let cpf_path = self.order.cpf.display().to_string();
        let outcome = self.merged(file, &cpf_path).and_then(|(wanted, _)| {
            self.take_over_merged().map_err(|error| format!("cannot read {cpf_path} again: {error}"))?;
            self.run_actions(file, &wanted)
        });
        if let Err(reason) = outcome {
            self.answer(&Answer::Say(format!("IRIS Merge failed,{reason}")));
        }
    }

    /// Said in the log of the start itself, where whoever looks at that start finds it.
    pub(super) fn note_missing_merge_file(&mut self) {
        if let Some(file) = self.order.merge_file.clone().filter(|file| !file.exists()) {
            let text = format!("File pointed to by '{}' does not exist; skipping", file.display());
            self.note(Severity::Info, text);
        }
    }

    /// The start works with what the merge has written, and does not take it for an edit by others.
    fn take_over_merged(&mut self) -> io::Result<()> {
        let merged = CpfFile::read(&self.order.cpf)?;
        let path = self.folder.wij();
        if let Some(mut wij) = WijFile::read(&path)
            && wij.cpf_fingerprint == Some(fingerprint(self.cpf.bytes()))
        {
            wij.cpf_fingerprint = Some(fingerprint(merged.bytes()));
            wij.write(&path)?;
        }
        self.in_force = merged.in_force();
        self.cpf = merged;
        Ok(())
    }

    /// Writes the CPF with the parameters of the file; what the file says, and what has changed.
    fn merged(&mut self, file: &Path, cpf_path: &str) -> Result<(Document, Vec<Difference>), String> {
        self.note(Severity::Info, format!("Merging {} into {cpf_path}", file.display()));
        let wanted = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let wanted = Document::parse(&wanted);
        let current =
            CpfFile::read(&self.order.cpf).map_err(|error| format!("cannot read {cpf_path}: {error}"))?;
        let (merged, differences) =
            cpf::merge(current.document(), &wanted).map_err(|error| error.to_string())?;
        let staging = format!("{cpf_path}_Merge");
        self.note(Severity::Info, format!("Validating CPF file {staging}"));
        let faults = check_cpf::check(&merged, self.settings.version);
        if let Some(first) = faults.first() {
            let reason = first.message();
            for fault in &faults {
                self.note(Severity::Severe, fault.message());
            }
            return Err(reason);
        }
        self.note(Severity::Info, format!("No errors found in CPF file {staging}"));
        let mode = fs::metadata(&self.order.cpf).map(|found| found.permissions());
        mode.and_then(|mode| {
            fs::write(&staging, merged.to_bytes())?;
            fs::set_permissions(&staging, mode)?;
            fs::rename(&staging, &self.order.cpf)
        })
        .map_err(|error| format!("cannot write {cpf_path}: {error}"))?;
        Ok((wanted, differences))
    }

    /// Values that need no restart are in force at once; the others wait for the next start, and nothing says so.
    fn activate(&mut self, differences: &[Difference]) {
        for difference in differences {
            let live = parameter(&difference.section, &difference.name).is_some_and(|known| {
                matches!(known.activation, Activation::Immediate | Activation::NewProcesses)
            });
            if let Some(value) = difference.after.as_ref().filter(|_| live) {
                self.in_force.insert((difference.section.clone(), difference.name.clone()), value.clone());
            }
        }
        let databases = self.world.parameters().map(|known| known.databases.clone()).unwrap_or_default();
        let parameters = cpf_file::parameters(&self.in_force, databases);
        self.feed(Event::ParametersChanged(parameters));
    }

    /// The stand-in has no databases or users to act on: every action fails as an action that IRIS cannot do.
    fn run_actions(&mut self, file: &Path, wanted: &Document) -> Result<(), String> {
        let actions: Vec<String> = wanted.operations().map(|operation| operation.name.to_owned()).collect();
        if actions.is_empty() {
            return Ok(());
        }
        self.note(Severity::Info, "Reading [Actions] section".to_owned());
        let text = format!("ERROR #503: Error executing [Actions] section in file {}", file.display());
        self.note(Severity::Warning, text.clone());
        for action in actions {
            self.note(Severity::Warning, format!("ERROR #507: Action '{action}' failed"));
        }
        Err(text)
    }

    fn note(&mut self, severity: Severity, text: String) {
        self.feed(Event::Noted(vec![Entry::utility(severity, text)]));
    }
}
