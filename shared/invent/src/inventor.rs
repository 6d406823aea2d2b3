//! A request and a seed in, lines out.

use std::ops::Range;

use instance_contract::{Faults, GenerationRequest, Severity};
use instance_iris::messages_log::{self, Author, Pen, Timestamp as Stamp};
use jiff::SignedDuration;
use jiff::civil::DateTime;

use crate::candidates::Candidates;
use crate::dice::{Dice, Throw};
use crate::seed::moment_of;
use crate::template::{Template, Templates};

/// Processes that write in a stream without end; shorter batches have fewer.
const MOST_SESSIONS: u32 = 13;
/// Linux knows no higher process id, and the lowest belong to the host itself.
const PROCESS_IDS: Range<u32> = 1000..4_194_305;

/// An invented entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invented {
    /// Name of the template.
    pub template: String,
    pub at: DateTime,
    pub process_id: u32,
    pub severity: Severity,
    /// Without brackets.
    pub category: Option<String>,
    pub text: String,
    /// As it stands in a messages.log, with the line end, and without the stamp when none is wanted.
    pub raw: String,
    /// Whether the stamp is part of it.
    pub stamped: bool,
}

/// How far apart entries lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// 3 ms to 20 s, drawn.
    Drawn,
    /// So many microseconds each, evenly.
    Every(u32),
}

/// Invents entries without end.
#[derive(Debug, Clone)]
pub struct Inventor<'a> {
    templates: &'a Templates,
    candidates: Candidates<'a>,
    dice: Dice,
    sessions: Sessions,
    pen: Pen,
    /// The template and the process of the entry before, where it may say the same again: IRIS folds such into a count.
    last: Option<(usize, u32)>,
    pace: Pace,
    /// Microseconds that the stamp does not show yet.
    ahead: u32,
    stamped: bool,
}

/// Draws for another entry than the last before another process writes it.
const TRIES: u32 = 8;

/// What was written as one line.
#[derive(Debug, Clone)]
pub struct Drawn<'a> {
    pub template: &'a Template,
    pub process_id: u32,
    pub severity: Severity,
    /// Where the text lies in what was written to.
    pub text: Range<usize>,
}

/// Invents as many entries as the request asks for, or says which of its fields no template can satisfy. They begin at
/// `start`, or end there when the seed was drawn: nothing lies in the future then.
pub fn invent(
    request: &GenerationRequest,
    templates: &Templates,
    seed: u64,
    start: DateTime,
) -> Result<Vec<Invented>, Faults> {
    if !(1..=100).contains(&request.count) {
        let rule = format!("must be {}", GenerationRequest::COUNT_RULE);
        return Err(Faults::one("count", request.count, rule));
    }
    let mut inventor = Inventor::new(request, templates, seed, start)?;
    if moment_of(seed).is_some() {
        inventor = inventor.drawn_back(u64::from(request.count), |_, _| Ok::<(), Faults>(()))?;
    }
    Ok((0..request.count).map(|_| inventor.entry()).collect())
}

impl<'a> Inventor<'a> {
    /// An inventor for a request, whose `count` says only how many processes write.
    pub fn new(
        request: &GenerationRequest,
        templates: &'a Templates,
        seed: u64,
        start: DateTime,
    ) -> Result<Self, Faults> {
        let candidates = Candidates::of(request, templates)?;
        let mut dice = Dice::of(seed);
        let sessions = Sessions::new((1 + request.count / 8).min(MOST_SESSIONS), &mut dice);
        let (pen, stamped) = (Pen::at(stamp(start)), request.include_timestamps);
        let (pace, ahead, last) = (Pace::Drawn, 0, None);
        Ok(Self { templates, candidates, dice, sessions, pen, last, pace, ahead, stamped })
    }

    /// The same with another pace.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same, begun so much earlier that the last of so many entries lies where the first would have begun. `turn` is done
    /// before each, with its number, as it will be.
    pub fn drawn_back<E>(
        self,
        entries: u64,
        mut turn: impl FnMut(&mut Self, u64) -> Result<(), E>,
    ) -> Result<Self, E> {
        let (mut rehearsed, mut line) = (self.clone(), Vec::new());
        for number in 0..entries {
            turn(&mut rehearsed, number)?;
            line.clear();
            rehearsed.line(&mut line);
        }
        let end = moment(self.pen.timestamp());
        let took = moment(rehearsed.pen.timestamp()).duration_since(end);
        Ok(Self { pen: Pen::at(stamp(end.saturating_sub(took))), ..self })
    }

    /// Goes on with another request: the same processes, later times. What follows depends on what came before.
    pub fn turn_to(&mut self, request: &GenerationRequest) -> Result<(), Faults> {
        self.candidates = Candidates::of(request, self.templates)?;
        Ok(())
    }

    /// Appends the next line, its line end included. It says nothing that the same process has said just before.
    #[inline]
    pub fn line(&mut self, out: &mut Vec<u8>) -> Drawn<'a> {
        let mut throw = self.dice.throw();
        let (mut candidate, mut severity) = self.candidates.choose(&mut throw);
        self.sessions.turn(&mut throw);
        let milliseconds = match self.pace {
            Pace::Drawn => 3 + throw.below(20_000 - 3),
            Pace::Every(microseconds) => {
                self.ahead += microseconds % 1000;
                let carried = self.ahead / 1000;
                self.ahead %= 1000;
                microseconds / 1000 + carried
            }
        };
        self.pen.advance(milliseconds);
        let mut tries = 0;
        while self.last == Some((address(candidate.template), self.sessions.current().process_id)) {
            tries += 1;
            (candidate, severity) = self.candidates.choose(&mut self.dice.throw());
            if tries >= TRIES {
                self.sessions.turn_to_another(&mut self.dice);
            }
        }
        let session = self.sessions.current();
        // With many values it will not say the same again.
        self.last =
            (!candidate.line.is_varied()).then_some((address(candidate.template), session.process_id));
        if self.stamped {
            self.pen.header(out, &session.author, digit(severity));
        } else {
            self.pen.header_without_stamp(out, &session.author, digit(severity));
        }
        let from = candidate.line.write(&mut self.dice, out);
        let (template, process_id) = (candidate.template, session.process_id);
        Drawn { template, process_id, severity, text: from..out.len() - 1 }
    }

    /// The next entry with all that is known of it.
    pub fn entry(&mut self) -> Invented {
        let mut bytes = Vec::new();
        let Drawn { template, process_id, severity, text } = self.line(&mut bytes);
        let raw = String::from_utf8(bytes).expect("templates are text");
        Invented {
            template: template.name.clone(),
            at: moment(self.pen.timestamp()),
            process_id,
            severity,
            category: template.category.clone(),
            text: raw[text].to_owned(),
            raw,
            stamped: self.stamped,
        }
    }
}

/// The processes that write: each stays with its id, and writes several entries in a row.
#[derive(Debug, Clone)]
struct Sessions {
    all: Vec<Session>,
    current: usize,
}

#[derive(Debug, Clone)]
struct Session {
    process_id: u32,
    author: Author,
}

impl Sessions {
    fn new(sessions: u32, dice: &mut Dice) -> Self {
        Self { all: (0..sessions).map(|_| Session::draw(dice)).collect(), current: 0 }
    }

    #[inline]
    fn current(&self) -> &Session {
        &self.all[self.current]
    }

    /// The next one that is there; one more where there is no other.
    fn turn_to_another(&mut self, dice: &mut Dice) {
        if self.all.len() == 1 {
            self.all.push(Session::draw(dice));
        }
        self.current = (self.current + 1) % self.all.len();
    }

    #[inline]
    fn turn(&mut self, throw: &mut Throw) {
        // Both are drawn each time: a choice between two numbers costs less than a jump that nothing foretells.
        let (changes, other) = (throw.below(10) < 3, throw.place(self.all.len()));
        self.current = if changes { other } else { self.current };
    }
}

impl Session {
    fn draw(dice: &mut Dice) -> Self {
        let range = PROCESS_IDS.end - PROCESS_IDS.start;
        let process_id = PROCESS_IDS.start + dice.throw().below(range);
        Self { process_id, author: Author::of(process_id) }
    }
}

/// Tells templates apart without a look at their names.
#[inline]
fn address(template: &Template) -> usize {
    std::ptr::from_ref(template).addr()
}

#[inline]
fn digit(severity: Severity) -> messages_log::Severity {
    messages_log::Severity::from_digit(severity.as_u8()).expect("the same four digits")
}

pub fn stamp(at: DateTime) -> Stamp {
    let small = |part: i8| part.unsigned_abs();
    Stamp::new(
        (at.year().unsigned_abs(), small(at.month()), small(at.day())),
        (small(at.hour()), small(at.minute()), small(at.second()), at.millisecond().unsigned_abs()),
    )
    .expect("what is invented lies in this century")
}

fn moment(stamp: Stamp) -> DateTime {
    let small = |part: u8| i8::try_from(part).expect("parts of a stamp are small");
    let date = jiff::civil::date(
        i16::try_from(stamp.year().unwrap_or(2000)).expect("a year of this century"),
        small(stamp.month()),
        small(stamp.day()),
    );
    let time = date.at(small(stamp.hour()), small(stamp.minute()), small(stamp.second()), 0);
    time.saturating_add(SignedDuration::from_millis(i64::from(stamp.millisecond())))
}
