//! Bounds and times.

use jiff::SignedDuration;

/// How much is kept, how long things take, and from where on something is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Are the built-in rules on? Without them (and without a model) every finding goes to a person.
    pub rules: bool,
    /// Is there a model to ask where the rules are unsure?
    pub model: bool,
    /// Is a dry run made before a command? Without it the finding carries no digest.
    pub dry_run_first: bool,
    /// Incidents kept in memory, open or not; the oldest make room.
    pub incidents: usize,
    /// Message ids that are remembered.
    pub message_ids: usize,
    /// Texts whose meaning is remembered, and texts that are counted.
    pub texts: usize,
    /// An unknown entry this long after another one of its process belongs to the same incident.
    pub together: SignedDuration,
    /// How long an unknown entry waits for its cause to show: the time box of triage.
    pub triage: SignedDuration,
    /// How long a model may take, its tries and pauses together. Then the rules' answer stands.
    pub consulting: SignedDuration,
    /// How long a model may take before a person is told that it is asked; what comes of it is told then.
    pub first_word: SignedDuration,
    /// How long facts may take: the time box of analysis. Then a person decides.
    pub analysis: SignedDuration,
    /// How long a router may take for a dry run, its turn included; counted from the asking. Then a person is called: who
    /// answers no dry run would not answer the command either.
    pub dry_run: SignedDuration,
    /// How long a remediation may take: the time box of resolution. Then a person is told.
    pub resolution: SignedDuration,
    /// How long after its end the same remediation may be asked for again.
    pub again_after: SignedDuration,
    /// For how long a person is not told of the same kind of trouble again.
    pub remembered: SignedDuration,
    /// How long after our own restart its echo in the log is taken for ours.
    pub echo: SignedDuration,
    /// From this likeness on (0 to 1) two unknown texts are the same trouble.
    pub similar: f64,
    /// As many cures as this of one condition within a day, and it is flapping: a person decides.
    pub flapping: usize,
    /// Unknown entries of one instance within a second from which on no likeness is looked for: a storm.
    pub storm: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rules: true,
            model: false,
            dry_run_first: true,
            incidents: 1024,
            message_ids: 65_536,
            texts: 1024,
            together: SignedDuration::from_secs(5),
            triage: SignedDuration::from_secs(2),
            consulting: SignedDuration::from_mins(5),
            first_word: SignedDuration::from_secs(5),
            analysis: SignedDuration::from_mins(1),
            dry_run: SignedDuration::from_mins(5),
            resolution: SignedDuration::from_hours(2),
            again_after: SignedDuration::from_mins(15),
            remembered: SignedDuration::from_hours(24 * 7),
            echo: SignedDuration::from_secs(60),
            similar: 0.82,
            flapping: 3,
            storm: 50,
        }
    }
}
