//! The only wiring: frames -> recording (verbatim) -> decode -> order -> engine -> outputs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use zctrace_common::frame::{Header, split};
use zctrace_common::user::kind;

use crate::board::{Board, Picture};
use crate::engine::Engine;
use crate::event::Event;
use crate::input::{Asked, Input};
use crate::model::{Fact, TransferId};
use crate::offline::{self, Orders};
use crate::recorder::Recorder;
use crate::sink::{Sink, Summary};
use crate::stages::{Span, Stages};
use crate::trace::{Block, End, Reader, TraceError};

/// Everything behind a source.
pub struct Pipeline {
    tap: Option<Recorder>,
    stages: Stages,
    /// Of a merged recording, by stream; 0 is above.
    others: BTreeMap<u16, Stages>,
    readers: Readers,
    span: Option<Span>,
}

/// Who gets facts.
struct Readers {
    outputs: Vec<Box<dyn Sink>>,
    keeps: Keeps,
    /// Facts that nobody needs any more: their memory goes back to where they came from.
    spent: Vec<Fact>,
}

impl Readers {
    fn take(&mut self, fact: Fact, engine: &Engine) -> anyhow::Result<()> {
        for output in &mut self.outputs {
            output.fact(&fact)?;
        }
        match &mut self.keeps {
            Keeps::Summary(summary) => {
                summary.add(&fact);
                self.spent.push(fact);
            }
            Keeps::Board(board) => board.fact(fact, engine.now()),
        }
        Ok(())
    }
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
    pub fn new(tap: Option<Recorder>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self::keeping(Keeps::Summary(Box::default()), tap, outputs)
    }

    /// For whoever looks at [`Self::picture`] while it goes on. There are no totals at its end.
    #[must_use]
    pub fn watched() -> Self {
        Self::keeping(Keeps::Board(Box::default()), None, Vec::new())
    }

    fn keeping(keeps: Keeps, tap: Option<Recorder>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self {
            tap,
            stages: Stages::default(),
            others: BTreeMap::new(),
            readers: Readers { outputs, keeps, spent: Vec::new() },
            span: None,
        }
    }

    /// Goes on from there, and shows only what was open in this time.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn resume(&mut self, mut stages: Stages, span: Option<Span>) -> anyhow::Result<()> {
        stages.look_at(span);
        if let Some(info) = stages.info().cloned() {
            self.readers.take(Fact::Trace(Box::new(info)), stages.engine())?;
        }
        (self.stages, self.span) = (stages, span);
        Ok(())
    }

    /// The stages of a stream, and who gets facts.
    fn of(&mut self, stream: u16) -> (&mut Stages, &mut Readers) {
        let stages = match stream {
            0 => &mut self.stages,
            stream => self.others.entry(stream).or_insert_with(|| {
                let mut stages = Stages::default();
                stages.look_at(self.span);
                stages
            }),
        };
        (stages, &mut self.readers)
    }

    /// Takes a block of a recording, which is not recorded again.
    ///
    /// # Errors
    /// When a fact cannot be written.
    pub fn block(&mut self, block: &Block) -> anyhow::Result<()> {
        block.frames().try_for_each(|(_, bytes)| self.frame_of(block.stream, bytes))
    }

    fn frame_of(&mut self, stream: u16, bytes: &[u8]) -> anyhow::Result<()> {
        let (stages, readers) = self.of(stream);
        stages.frame(bytes, &mut |fact, engine| readers.take(fact.of_part(stream), engine))?;
        stages.reuse(&mut readers.spent);
        Ok(())
    }

    /// Totals so far; `None` if it is watched.
    #[must_use]
    pub fn so_far(&self) -> Option<&Summary> {
        match &self.readers.keeps {
            Keeps::Summary(summary) => Some(summary),
            Keeps::Board(_) => None,
        }
    }

    /// A recording has ended like that. Answers what is wrong with it, if anything.
    fn ended(&mut self, end: End) -> Option<End> {
        if let End::Disordered { .. } = end {
            self.stages.forget();
            self.others.values_mut().for_each(Stages::forget);
        }
        (end != End::Complete).then_some(end)
    }

    /// Takes the blocks up to the end of a recording; they are read ahead.
    fn all(
        &mut self,
        next: impl FnMut() -> anyhow::Result<Result<Block, End>> + Send,
        look: &mut dyn FnMut(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<End>> {
        let mut orders: Orders =
            self.others.iter_mut().map(|(stream, stages)| (*stream, stages.take_order())).collect();
        orders.insert(0, self.stages.take_order());
        let end = offline::events(next, &mut orders, &mut |stream, events| {
            self.events(stream, events)?;
            look(self)
        });
        for (stream, order) in orders {
            self.of(stream).0.give_order(order);
        }
        Ok(self.ended(end?))
    }

    /// Takes events of a stream, in the order of time.
    fn events(&mut self, stream: u16, events: &[(Header, Event)]) -> anyhow::Result<()> {
        let (stages, readers) = self.of(stream);
        for (header, event) in events {
            stages.ordered(header, event, &mut |fact, engine| readers.take(fact.of_part(stream), engine))?;
            stages.reuse(&mut readers.spent);
        }
        Ok(())
    }

    /// Everything as it is at `now_ns`, CLOCK_MONOTONIC nanoseconds; `None` unless it is watched.
    pub fn picture(&mut self, now_ns: u64, focus: Option<TransferId>) -> Option<Picture> {
        let (engine, select) = (self.stages.engine(), self.stages.select());
        match &mut self.readers.keeps {
            Keeps::Board(board) => Some(board.picture(engine, select, now_ns, focus)),
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
        self.frame_of(0, bytes)?;
        if let Some(tap) = &mut self.tap
            && split(bytes).is_some_and(|(header, _)| header.kind == kind::CHECKPOINT)
        {
            tap.barrier(&self.stages)?;
        }
        Ok(())
    }

    /// Makes everything so far visible to whoever reads the outputs or the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(tap) = &mut self.tap {
            tap.show()?;
        }
        for output in &mut self.readers.outputs {
            output.flush()?;
        }
        Ok(())
    }

    /// Files of the recording so far.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.tap.as_ref().map(Recorder::files).unwrap_or_default()
    }

    /// Transfers that are open now.
    #[must_use]
    pub fn open_windows(&self) -> usize {
        self.stages.engine().open_windows()
    }

    /// The stream has ended: states what is left and hands back the totals.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> anyhow::Result<Summary> {
        let readers = &mut self.readers;
        self.stages.finish(&mut |fact, engine| readers.take(fact, engine))?;
        for (stream, stages) in &mut self.others {
            stages.finish(&mut |fact, engine| readers.take(fact.of_part(*stream), engine))?;
        }
        let summary = match &mut readers.keeps {
            Keeps::Summary(summary) => std::mem::take(&mut **summary),
            Keeps::Board(_) => Summary::default(),
        };
        for output in &mut readers.outputs {
            output.finish(&summary)?;
        }
        if let Some(tap) = self.tap.take() {
            tap.finish()?;
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
    read(&Asked::file(path), pipeline, &mut |_| Ok(()))
}

/// Feeds what is asked for of recordings. Answers what is wrong with its end, if anything. `look`: whoever wants
/// to see what there is so far, again and again.
///
/// # Errors
/// When something cannot be opened or is not a recording, or `look` fails.
pub fn read(
    asked: &Asked,
    pipeline: &mut Pipeline,
    look: &mut dyn FnMut(&Pipeline) -> anyhow::Result<()>,
) -> anyhow::Result<Option<End>> {
    let (mut input, stages) = Input::open(asked)?;
    pipeline.resume(stages, input.span())?;
    let merged = input.span().is_some() && input.is_merged()?;
    if !asked.follow && input.span().is_none() {
        return pipeline.all(|| input.block(), look);
    }
    loop {
        match input.block()? {
            Ok(block) => pipeline.block(&block)?,
            Err(end) => return Ok(pipeline.ended(end)),
        }
        // Blocks of other hosts may be about earlier moments.
        if !merged && pipeline.stages.has_enough() {
            return Ok(None);
        }
        if asked.follow {
            pipeline.flush()?;
        }
        look(pipeline)?;
    }
}

/// As [`replay`], from bytes.
///
/// # Errors
/// When it is not a recording.
pub fn replay_from(from: impl Read + Send, pipeline: &mut Pipeline) -> anyhow::Result<Option<End>> {
    let mut reader = Reader::new(from)?;
    pipeline.all(|| Ok(reader.block()?), &mut |_| Ok(()))
}

/// So that callers can tell a bad file from other failures.
#[must_use]
pub fn is_bad_file(e: &anyhow::Error) -> bool {
    e.downcast_ref::<TraceError>().is_some()
}
