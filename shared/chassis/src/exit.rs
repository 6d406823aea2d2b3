//! How a service ends, in the exit codes that the whole product publishes.

use std::fmt;
use std::process::ExitCode;

pub(crate) const BAD_CONFIGURATION: u8 = 78;

/// The end of a service that had good settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It finished what it had taken, or was told to stop before it began.
    Clean,
    /// `run` failed, or panicked, or the bus refused us.
    Failed,
    /// Nobody answered at the bus's address, and waiting was forbidden.
    BusUnreachable,
    /// The second signal or the end of the grace period cut the work off.
    CutOff(Option<StopSignal>),
}

/// A signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    Terminate,
    Interrupt,
}

impl Ending {
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failed | Self::CutOff(None) => 1,
            Self::BusUnreachable => 7,
            Self::CutOff(Some(StopSignal::Interrupt)) => 130,
            Self::CutOff(Some(StopSignal::Terminate)) => 143,
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending.code())
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}
