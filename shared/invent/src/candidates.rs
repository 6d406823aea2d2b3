//! Which templates fit a request.

use instance_contract::{Fault, Faults, GenerationRequest, Phase, Severity};

use crate::dice::Throw;
use crate::line::Line;
use crate::template::{Template, Templates};

/// A template with the severities that the request lets it have, at least one.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    pub template: &'a Template,
    pub severities: Vec<Severity>,
    pub line: Line,
}

/// The templates that fit a request, by kind of trouble: a kind with many templates is not asked for more often.
#[derive(Debug, Clone)]
pub struct Candidates<'a>(Vec<Vec<Candidate<'a>>>);

impl<'a> Candidates<'a> {
    /// The candidates, or which field of the request no template can satisfy.
    pub fn of(request: &GenerationRequest, templates: &'a Templates) -> Result<Self, Faults> {
        let mut left: Vec<&Template> = templates.all().iter().collect();
        if let Some(name) = &request.template_name {
            left.retain(|template| template.name == *name);
            if left.is_empty() {
                let rule = "must be the name of a template; `instance generate --list-templates` shows them";
                return Err(Faults::one("template_name", name, rule));
            }
        }
        if let Some(kind) = request.error_category {
            let kinds: Vec<_> = left.iter().map(|template| template.error_type.as_str()).collect();
            left.retain(|template| template.error_type == kind);
            if left.is_empty() {
                let rule = format!("must be {}, the kind of the template", kinds.join(" or "));
                return Err(Faults::one("error_category", kind, rule));
            }
        }
        let left = in_phase(left, request.phase, request.severity_range)?;
        Ok(Self::by_kind(left))
    }

    fn by_kind(mut left: Vec<Candidate<'a>>) -> Self {
        let kind = |candidate: &Candidate<'_>| candidate.template.error_type;
        left.sort_by_key(kind);
        Self(left.chunk_by(|a, b| kind(a) == kind(b)).map(<[Candidate<'_>]>::to_vec).collect())
    }

    /// One candidate, and one of its severities.
    #[inline]
    pub fn choose(&self, throw: &mut Throw) -> (&Candidate<'a>, Severity) {
        let kind = &self.0[throw.place(self.0.len())];
        let candidate = &kind[throw.place(kind.len())];
        (candidate, candidate.severities[throw.place(candidate.severities.len())])
    }
}

/// The severities that messages of a phase have.
fn severities(phase: Option<Phase>) -> (Severity, Severity) {
    match phase {
        None => (Severity::Info, Severity::Fatal),
        Some(Phase::Baseline | Phase::Recovery) => (Severity::Info, Severity::Info),
        Some(Phase::Before) => (Severity::Info, Severity::Warning),
        Some(Phase::Incident) => (Severity::Severe, Severity::Fatal),
    }
}

fn in_phase(
    left: Vec<&Template>,
    phase: Option<Phase>,
    (low, high): (Severity, Severity),
) -> Result<Vec<Candidate<'_>>, Faults> {
    let (mildest, worst) = severities(phase);
    // Every kind of trouble has an everyday side; who asks for the severe only gets that.
    let fits = |severity: &Severity| (low.max(mildest)..=high.min(worst)).contains(severity);
    let mut found: Vec<u8> = Vec::new();
    let mut candidates = Vec::new();
    for template in left {
        found.extend(template.severities.iter().filter(|s| (mildest..=worst).contains(s)).map(|s| s.as_u8()));
        let severities: Vec<Severity> = template.severities.iter().copied().filter(fits).collect();
        if !severities.is_empty() {
            candidates.push(Candidate { template, severities, line: Line::of(template) });
        }
    }
    if !candidates.is_empty() {
        return Ok(candidates);
    }
    found.sort_unstable();
    found.dedup();
    let found: Vec<_> = found.iter().map(u8::to_string).collect();
    let value = format!("[{}, {}]", low.as_u8(), high.as_u8());
    let rule = if found.is_empty() {
        format!("must be left out: such messages have none of phase {}", phase.map_or("any", Phase::as_str))
    } else {
        format!("must include one of the severities that such messages have: {}", found.join(", "))
    };
    let field = if found.is_empty() { "phase" } else { "severity_range" };
    let value = if found.is_empty() { phase.map_or("", Phase::as_str).to_owned() } else { value };
    Err(Faults(vec![Fault::new(field, value, rule)]))
}
