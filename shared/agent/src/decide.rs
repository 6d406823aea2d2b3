//! What to do with a step command, decided from what is known. Pure: no disk, no bus, no clock.
//!
//! The order: the ledger first, then the deadline, the halt and the fence, then the look at the world.

use instance_chassis::mutant;
use instance_contract::{Cause, Change, StepCommand, Token};
use jiff::Timestamp;

use crate::agent::Prepared;

/// What the ledger knows of one step command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts; every combination is a row of the table"
)]
pub struct Memory {
    /// The key was used for a command with other content.
    pub other_content: bool,
    /// There is a last word, or an answer to this very attempt.
    pub answered: bool,
    /// An undo of the step was done or begun.
    pub taken_back: bool,
    /// An effect may have happened.
    pub intent: bool,
}

/// What follows from memory alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// The same answer as before, whatever the token, the time or the halt.
    AnswerAgain,
    Refuse(Refusal),
    /// Look what came of the intent before anything else.
    Probe,
    /// Nothing is known: go on to [`admit`].
    Fresh,
}

/// What stands before an effect, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    pub now: Timestamp,
    pub not_after: Timestamp,
    /// Also when it cannot be told.
    pub halted: bool,
    pub token: Token,
    /// The fence of the instance; `None` when nobody acted on it yet.
    pub highest: Option<Token>,
}

/// Why a step is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One key, two commands.
    Equivocation,
    TakenBack,
    Expired {
        not_after: Timestamp,
    },
    Halted,
    Stale {
        token: Token,
        highest: Token,
    },
    /// The world is no longer the one that was planned for.
    Drifted {
        target: String,
        planned: String,
        found: String,
    },
}

/// The ledger comes first.
pub fn recall(memory: Memory) -> Recall {
    match memory {
        Memory { other_content: true, .. } => Recall::Refuse(Refusal::Equivocation),
        Memory { answered: true, .. } => Recall::AnswerAgain,
        Memory { taken_back: true, .. } => Recall::Refuse(Refusal::TakenBack),
        Memory { intent: true, .. } => Recall::Probe,
        _ => Recall::Fresh,
    }
}

/// May an effect begin at this moment?
pub fn admit(gate: &Gate) -> Result<(), Refusal> {
    in_time(gate.now, gate.not_after)?;
    if gate.halted {
        return Err(Refusal::Halted);
    }
    let equal_refused = mutant("fence.equal-refused") && gate.highest == Some(gate.token);
    match gate.highest {
        Some(highest) if highest > gate.token || equal_refused => {
            Err(Refusal::Stale { token: gate.token, highest })
        }
        _ => Ok(()),
    }
}

/// The only gate of a step that reads: a halt stops acting, not looking.
pub fn in_time(now: Timestamp, not_after: Timestamp) -> Result<(), Refusal> {
    if now < not_after || mutant("agent.not-after-ignored") {
        Ok(())
    } else {
        Err(Refusal::Expired { not_after })
    }
}

/// Is the world as it was when the plan was made, and would the change be the one that was agreed to?
pub fn drift(order: &StepCommand, prepared: &Prepared) -> Result<(), Refusal> {
    let Some(Change { target, before, after, .. }) = &order.change else { return Ok(()) };
    for (planned, found) in [(before, &prepared.before), (after, &prepared.wanted)] {
        if planned != found {
            let (target, planned, found) = (target.clone(), planned.clone(), found.clone());
            return Err(Refusal::Drifted { target, planned, found });
        }
    }
    Ok(())
}

impl Refusal {
    pub fn cause(&self) -> Cause {
        match self {
            Self::Equivocation => Cause::new(
                "equivocation",
                "the same step of the same remediation was sent before with other content",
            ),
            Self::TakenBack => {
                Cause::new("taken_back", "the step was taken back, so it does not run any more")
            }
            Self::Expired { not_after } => {
                Cause::new("expired", format!("no work on this step was allowed after {not_after}"))
            }
            Self::Halted => Cause::new("halted", "all acting is halted, or it cannot be told whether it is"),
            Self::Stale { token, highest } => {
                Cause::new("stale_token", format!("token {token} is stale: {highest} has acted since"))
            }
            Self::Drifted { target, planned, found } => {
                let message = format!("{target} has drifted: planned for \"{planned}\", found \"{found}\"");
                Cause::new("drifted", message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::sample;

    #[test]
    fn every_row_of_memory() {
        for bits in 0..16u8 {
            let memory = Memory {
                other_content: bits & 1 != 0,
                answered: bits & 2 != 0,
                taken_back: bits & 4 != 0,
                intent: bits & 8 != 0,
            };
            let expected = if bits & 1 != 0 {
                Recall::Refuse(Refusal::Equivocation)
            } else if bits & 2 != 0 {
                Recall::AnswerAgain
            } else if bits & 4 != 0 {
                Recall::Refuse(Refusal::TakenBack)
            } else if bits & 8 != 0 {
                Recall::Probe
            } else {
                Recall::Fresh
            };
            assert_eq!(recall(memory), expected, "{memory:?}");
        }
    }

    #[test]
    fn every_row_of_the_gate() {
        let (now, token) = (sample::NOW, Token { epoch: 7, counter: 1 });
        let second = SignedDuration::from_secs(1);
        let (lower, higher) = (Token { epoch: 7, counter: 0 }, Token { epoch: 7, counter: 2 });
        for late in [false, true] {
            for halted in [false, true] {
                for highest in [None, Some(lower), Some(token), Some(higher)] {
                    let not_after = if late { now } else { now + second };
                    let expected = if late {
                        Err(Refusal::Expired { not_after })
                    } else if halted {
                        Err(Refusal::Halted)
                    } else if highest == Some(higher) {
                        Err(Refusal::Stale { token, highest: higher })
                    } else {
                        Ok(())
                    };
                    let gate = Gate { now, not_after, halted, token, highest };
                    assert_eq!(admit(&gate), expected, "{gate:?}");
                }
            }
        }
    }

    #[test]
    fn every_row_of_drift() {
        let order = sample::order("config", 1);
        assert_eq!(drift(&order, &sample::prepared("256", "512")), Ok(()));
        let drifted = |found: &str, planned: &str| {
            Err(Refusal::Drifted {
                target: "cpf [config] globals".to_owned(),
                planned: planned.to_owned(),
                found: found.to_owned(),
            })
        };
        assert_eq!(drift(&order, &sample::prepared("300", "512")), drifted("300", "256"));
        assert_eq!(drift(&order, &sample::prepared("256", "600")), drifted("600", "512"));
        let unplanned = StepCommand { change: None, ..order };
        assert_eq!(drift(&unplanned, &sample::prepared("300", "512")), Ok(()));
    }
}
