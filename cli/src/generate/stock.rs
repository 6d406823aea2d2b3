//! Where entries come from: templates, as many as are wanted; or a model, which writes a batch before the first goes out.

use std::{env, path::PathBuf, sync::Arc, time::Duration, vec};

use anyhow::Result;
use instance_clock::SystemClock;
use instance_contract::GenerationRequest;
use instance_improvise::{Improvised, Source, improvise, within};
use instance_invent::{Invented, Inventor, Templates};
use instance_llm::{Model, Parts};
use uuid::Uuid;

use super::{Work, refused};
use crate::{
    exit::{Exit, Stop},
    online,
    session::Session,
    settings,
    tape::Tape,
};

pub enum Stock<'a> {
    Templates(Box<Inventor<'a>>),
    Written(vec::IntoIter<Invented>),
}

impl Stock<'_> {
    /// The next entry.
    pub fn entry(&mut self) -> Invented {
        match self {
            Self::Templates(inventor) => inventor.entry(),
            Self::Written(entries) => entries.next().expect("no more are taken than were asked for"),
        }
    }

    /// Appends the next line, its line end included.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Templates(inventor) => drop(inventor.line(out)),
            Self::Written(_) => out.extend_from_slice(self.entry().raw.as_bytes()),
        }
    }

    /// Goes on with another request. What is written stays written.
    pub fn turn_to(&mut self, request: &GenerationRequest) -> Result<()> {
        match self {
            Self::Templates(inventor) => inventor.turn_to(request).map_err(refused),
            Self::Written(_) => Ok(()),
        }
    }
}

impl Work<'_> {
    /// The whole batch, in the words of the model that the settings name; templates answer where it does not.
    pub fn written(&self, inventor: Inventor<'_>, templates: &Templates) -> Result<Stock<'static>> {
        let model = model(self.session, &self.args.tape)?;
        let mut drawn = Stock::Templates(Box::new(inventor));
        let mut entries = Vec::new();
        for number in 0..u64::from(self.request.count) {
            self.turn(&mut drawn, number, Duration::ZERO)?;
            entries.push(drawn.entry());
        }
        let name = format!("generate-{}", Uuid::new_v4().simple());
        let written = online::block_on(async {
            anyhow::Ok(improvise(&model, entries, templates, self.seed, &name).await)
        })?;
        self.tell_sources(&written);
        Ok(Stock::Written(written.into_iter().map(|written| written.entry).collect::<Vec<_>>().into_iter()))
    }

    fn tell_sources(&self, written: &[Improvised]) {
        let (mut by_model, mut tokens, mut micro_usd, mut reason) = (0, 0, 0, None);
        for one in written {
            match &one.source {
                Source::Model { usage, micro_usd: cost, .. } => {
                    by_model += 1;
                    tokens += usage.total();
                    micro_usd += cost;
                }
                Source::Template { why } => reason = reason.or(Some(why)),
            }
        }
        let of = written.len();
        self.session.note(format_args!(
            "{by_model} of {of} texts by the model, {tokens} tokens, {micro_usd} micro-dollars"
        ));
        if let Some(why) = reason {
            self.session.note(format_args!("the others by templates: {why}"));
        }
    }
}

fn model(session: &Session, tape: &Tape) -> Result<Model> {
    let settings = tape.onto(settings::model(&session.global, None)?);
    if settings.providers.is_empty() {
        let stop = Stop::new(Exit::NotFound, "the settings name no provider of a language model");
        return Err(stop.next("see the table [model] in `instance model check --help`").into());
    }
    let parts = Parts {
        credentials_directory: env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        ..Parts::new(Arc::new(SystemClock))
    };
    Model::new(within(settings), parts).map_err(|error| {
        Stop::new(Exit::BadConfiguration, format_args!("could not set up the model: {error}")).into()
    })
}
