//! The only wiring: frames -> recording (verbatim) -> decode -> order -> engine -> outputs.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::board::{Board, Picture};
use crate::engine::Engine;
use crate::event::{Decoded, decode};
use crate::model::{Fact, TransferId};
use crate::order::Order;
use crate::select::Select;
use crate::sink::{Sink, Summary};
use crate::trace::{End, Reader, TraceError, Writer};

/// Everything behind a source.
pub struct Pipeline {
    tap: Option<Writer<File>>,
    order: Order,
    engine: Engine,
    select: Select,
    outputs: Vec<Box<dyn Sink>>,
    keeps: Keeps,
    facts: Vec<Fact>,
}

/// What is kept of facts.
enum Keeps {
    /// Totals, for whoever asks at the end.
    Summary(Box<Summary>),
    /// What a picture shows.
    Board(Box<Board>),
}

impl Pipeline {
    /// `tap`: frames are recorded there before anything else happens to them.
    #[must_use]
    pub fn new(tap: Option<Writer<File>>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self::keeping(Keeps::Summary(Box::default()), tap, outputs)
    }

    /// For whoever looks at [`Self::picture`] while it goes on. There are no totals at its end.
    #[must_use]
    pub fn watched() -> Self {
        Self::keeping(Keeps::Board(Box::default()), None, Vec::new())
    }

    fn keeping(keeps: Keeps, tap: Option<Writer<File>>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self {
            tap,
            order: Order::default(),
            engine: Engine::new(),
            select: Select::default(),
            outputs,
            keeps,
            facts: Vec::new(),
        }
    }

    /// Everything as it is at `now_ns`, CLOCK_MONOTONIC nanoseconds; `None` unless it is watched.
    pub fn picture(&mut self, now_ns: u64, focus: Option<TransferId>) -> Option<Picture> {
        match &mut self.keeps {
            Keeps::Board(board) => Some(board.picture(&self.engine, &self.select, now_ns, focus)),
            Keeps::Summary(_) => None,
        }
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// When it cannot be recorded, or a fact cannot be written.
    pub fn frame(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Some(tap) = &mut self.tap {
            tap.push(bytes)?;
        }
        if let Decoded::Frame(header, event) = decode(bytes) {
            let (engine, facts) = (&mut self.engine, &mut self.facts);
            self.order.push(header, event, &mut |h, e| engine.push(h, e, facts));
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> anyhow::Result<()> {
        for fact in self.facts.drain(..) {
            if let Fact::Trace(info) = &fact {
                self.select = Select::new(&info.shown);
            }
            if self.select.shows(&fact) {
                for output in &mut self.outputs {
                    output.fact(&fact)?;
                }
                match &mut self.keeps {
                    Keeps::Summary(summary) => summary.add(&fact),
                    Keeps::Board(board) => board.fact(fact, self.engine.now()),
                }
            }
        }
        Ok(())
    }

    /// Makes everything so far visible to whoever reads the outputs or the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(tap) = &mut self.tap {
            tap.flush()?;
        }
        for output in &mut self.outputs {
            output.flush()?;
        }
        Ok(())
    }

    /// Transfers that are open now.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.engine.open_windows()
    }

    /// The stream has ended: states what is left and hands back the totals.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> anyhow::Result<Summary> {
        let (engine, facts) = (&mut self.engine, &mut self.facts);
        self.order.finish(&mut |h, e| engine.push(h, e, facts));
        engine.finish(facts);
        self.hand_on()?;
        let summary = match &mut self.keeps {
            Keeps::Summary(summary) => std::mem::take(&mut **summary),
            Keeps::Board(_) => Summary::default(),
        };
        for output in &mut self.outputs {
            output.finish(&summary)?;
        }
        self.flush()?;
        Ok(summary)
    }
}

/// Feeds a recording. Answers what is wrong with its end, if anything.
///
/// # Errors
/// When it cannot be opened or is not a recording.
pub fn replay(path: &Path, pipeline: &mut Pipeline) -> anyhow::Result<Option<End>> {
    replay_from(BufReader::with_capacity(1 << 20, File::open(path)?), pipeline)
}

/// As [`replay`], from bytes.
///
/// # Errors
/// When it is not a recording.
pub fn replay_from(from: impl Read, pipeline: &mut Pipeline) -> anyhow::Result<Option<End>> {
    let mut reader = Reader::new(from)?;
    let end = reader.read::<anyhow::Error>(&mut |bytes| pipeline.frame(bytes))?;
    Ok((end != End::Complete).then_some(end))
}

/// So that callers can tell a bad file from other failures.
#[must_use]
pub fn is_bad_file(e: &anyhow::Error) -> bool {
    e.downcast_ref::<TraceError>().is_some()
}
