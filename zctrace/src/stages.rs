//! What stands between frames and facts, as one thing: order, engine, selection. It can be saved at a barrier,
//! and whoever restores it there goes on as if it had read everything before.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zctrace_common::frame::Header;

use crate::engine::Engine;
use crate::event::{Decoded, Event, decode, encode};
use crate::model::{Fact, TraceInfo};
use crate::order::{Order, is_barrier};
use crate::select::Select;

/// Of a saved state. Fields may be added to what it holds; when one changes its meaning, this number does.
const VERSION: u32 = 1;

/// A state that this version cannot go on from.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Saved by another version.
    #[error("its state was saved in form {0}, and this zctrace reads form {VERSION}")]
    Version(u32),
    /// Not a state.
    #[error("its state cannot be read: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
}

/// What is looked at: from and to, CLOCK_REALTIME nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What was over before does not matter.
    pub from: u64,
    /// What began later does not.
    pub to: u64,
}

impl Span {
    /// The same by the clock of one trace, CLOCK_MONOTONIC nanoseconds.
    fn of(self, info: &TraceInfo) -> (u64, u64) {
        (info.monotonic_ns(self.from), info.monotonic_ns(self.to))
    }
}

/// The stages.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    span: Option<Span>,
    order: Order,
    engine: Engine,
    select: Select,
    info: Option<TraceInfo>,
    facts: Vec<Fact>,
}

#[derive(Serialize)]
struct Saving<'a> {
    version: u32,
    info: &'a Option<TraceInfo>,
    engine: &'a Engine,
    select: &'a Select,
    held: Vec<ByteBuf>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct Saved {
    info: Option<TraceInfo>,
    engine: Engine,
    select: Select,
    held: Vec<ByteBuf>,
}

impl Stages {
    /// What the trace is, once that is known.
    #[must_use]
    pub fn info(&self) -> Option<&TraceInfo> {
        self.info.as_ref()
    }

    /// One by one.
    #[must_use]
    pub fn parts(self) -> (Order, Engine, Select) {
        (self.order, self.engine, self.select)
    }

    /// Read only.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Read only.
    #[must_use]
    pub fn select(&self) -> &Select {
        &self.select
    }

    /// Only what was open in this time is shown from now on.
    pub fn look_at(&mut self, span: Option<Span>) {
        self.span = span;
        self.narrow();
    }

    fn narrow(&mut self) {
        if let (Some(span), Some(info)) = (self.span, &self.info) {
            let (from, to) = span.of(info);
            self.select.look_at(from, to);
        }
    }

    /// Everything that is looked at has been shown.
    #[must_use]
    pub fn has_enough(&self) -> bool {
        let (Some(span), Some(info)) = (self.span, &self.info) else {
            return false;
        };
        let ((_, to), engine) = (span.of(info), &self.engine);
        engine.now() > to && engine.view().unstated().all(|u| u.t.submit_ns > to)
    }

    /// Takes one frame; hands on what is shown of what follows.
    ///
    /// # Errors
    /// When `take` fails.
    pub fn frame<E>(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Fact, &Engine) -> Result<(), E>,
    ) -> Result<(), E> {
        match decode(bytes) {
            Decoded::Frame(header, event) => self.event(header, event, take),
            Decoded::Unknown(_) | Decoded::Malformed => Ok(()),
        }
    }

    /// As [`Self::frame`], of a frame that is decoded.
    ///
    /// # Errors
    /// When `take` fails.
    pub fn event<E>(
        &mut self,
        header: Header,
        event: Event,
        take: &mut dyn FnMut(Fact, &Engine) -> Result<(), E>,
    ) -> Result<(), E> {
        let (engine, facts) = (&mut self.engine, &mut self.facts);
        self.order.push(header, event, &mut |h, e| engine.push(h, e, facts));
        self.hand_on(take)
    }

    /// As [`Self::event`], of one that has been put in order elsewhere.
    ///
    /// # Errors
    /// When `take` fails.
    pub fn ordered<E>(
        &mut self,
        header: &Header,
        event: &Event,
        take: &mut dyn FnMut(Fact, &Engine) -> Result<(), E>,
    ) -> Result<(), E> {
        self.engine.push(header, event, &mut self.facts);
        // What follows from those up to a barrier is handed on together, as above.
        if is_barrier(event) { self.hand_on(take) } else { Ok(()) }
    }

    /// For whoever puts events in order elsewhere, with what waits in it.
    pub fn take_order(&mut self) -> Order {
        std::mem::take(&mut self.order)
    }

    /// It is back.
    pub fn give_order(&mut self, order: Order) {
        self.order = order;
    }

    /// What has come since the last barrier is of no use.
    pub fn forget(&mut self) {
        self.order.forget();
    }

    /// Nothing more will come: hands on what is left.
    ///
    /// # Errors
    /// When `take` fails.
    pub fn finish<E>(&mut self, take: &mut dyn FnMut(Fact, &Engine) -> Result<(), E>) -> Result<(), E> {
        let (engine, facts) = (&mut self.engine, &mut self.facts);
        self.order.finish(&mut |h, e| engine.push(h, e, facts));
        engine.finish(facts);
        self.hand_on(take)
    }

    fn hand_on<E>(&mut self, take: &mut dyn FnMut(Fact, &Engine) -> Result<(), E>) -> Result<(), E> {
        let mut facts = std::mem::take(&mut self.facts);
        for fact in facts.drain(..) {
            if let Fact::Trace(info) = &fact {
                self.select.show(&info.shown);
                self.info = Some((**info).clone());
                self.narrow();
            }
            if self.select.shows(&fact) {
                take(fact, &self.engine)?;
            }
        }
        self.facts = facts;
        Ok(())
    }

    /// Takes back facts that nobody needs any more.
    pub fn reuse(&mut self, facts: &mut Vec<Fact>) {
        facts.drain(..).for_each(|fact| self.engine.reuse(fact));
    }

    /// Everything that what comes later depends on.
    ///
    /// # Errors
    /// When something in it has no form.
    pub fn save(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        let held = self.order.waiting().map(|(h, e)| ByteBuf::from(encode(h, e))).collect();
        let Self { engine, select, info, .. } = self;
        rmp_serde::to_vec_named(&Saving { version: VERSION, info, engine, select, held })
    }

    /// As it was when it was saved. What it has shown by then it does not show again.
    ///
    /// # Errors
    /// When it is not a state that this version knows.
    pub fn restore(bytes: &[u8]) -> Result<Self, StateError> {
        let Version { version } = rmp_serde::from_slice(bytes)?;
        if version != VERSION {
            return Err(StateError::Version(version));
        }
        let Saved { info, engine, mut select, held } = rmp_serde::from_slice(bytes)?;
        if let Some(info) = &info {
            select.show(&info.shown);
        }
        let mut stages = Self { engine, select, info, ..Self::default() };
        for bytes in held {
            if let Decoded::Frame(header, event) = decode(&bytes) {
                stages.order.push(header, event, &mut |_, _| {});
            }
        }
        Ok(stages)
    }
}
