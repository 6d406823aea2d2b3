//! A kernel that answers as the real one does where a folder cannot: it has fewer pages to give than it says, and the
//! write succeeds; of words it shows all, and marks the one that is set.

use std::{sync::Arc, time::Duration};

use instance_contract::Failure;
use instance_knowledge::{KernelKind, KernelParameter};

use super::{Stage, code};
use crate::{
    error::HostError,
    host::{Host, Kernel},
};

const HUGE: &str = "proc/sys/vm/nr_hugepages";

pub struct Short {
    kernel: Arc<dyn Kernel>,
    most: u64,
}

impl Short {
    /// The host of the stage, with as many pages as anybody may ask for.
    pub fn of_words(stage: &Stage) -> Host {
        Self::with_pages(stage, u64::MAX)
    }

    fn with_pages(stage: &Stage, most: u64) -> Host {
        let host = stage.host();
        Host { kernel: Arc::new(Self { kernel: host.kernel, most }), ..host }
    }
}

impl Kernel for Short {
    fn read(&self, parameter: &KernelParameter) -> Result<String, HostError> {
        self.kernel.read(parameter)
    }

    fn write(&self, parameter: &KernelParameter, value: &str, limit: Duration) -> Result<(), HostError> {
        if let KernelKind::Word(words) = &parameter.kind {
            let shown: Vec<String> = words
                .iter()
                .map(|word| if word == value { format!("[{word}]") } else { word.clone() })
                .collect();
            return self.kernel.write(parameter, &shown.join(" "), limit);
        }
        let reached = value.parse::<u64>().unwrap().min(self.most);
        self.kernel.write(parameter, &reached.to_string(), limit)
    }

    fn bytes(&self, limit: &str) -> Result<Option<u64>, HostError> {
        self.kernel.bytes(limit)
    }
}

#[test]
fn a_value_that_was_not_reached_does_not_stay() {
    let stage = Stage::new();
    let host = Short::with_pages(&stage, 700);
    let failure = stage.change_on(&host, "vm.nr_hugepages", "900").unwrap_err();
    assert!(matches!(failure, Failure::Permanent { .. }), "{failure}");
    assert_eq!(code(&failure), "clamped");
    assert!(failure.cause().message.contains("had reached 700; 0 is set again"), "{failure}");
    assert_eq!((stage.value(HUGE), stage.drop_ins()), ("0\n".to_owned(), Vec::new()));
}
