//! The only wiring: frames -> recording (verbatim) -> decode -> order -> engine -> outputs.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::board::{Board, Picture};
use crate::engine::Engine;
use crate::model::{Fact, TransferId};
use crate::sink::{Sink, Summary};
use crate::stages::Stages;
use crate::trace::{End, Reader, TraceError, Writer};

/// Everything behind a source.
pub struct Pipeline {
    tap: Option<Writer<File>>,
    stages: Stages,
    readers: Readers,
}

/// Who gets facts.
struct Readers {
    outputs: Vec<Box<dyn Sink>>,
    keeps: Keeps,
}

impl Readers {
    fn take(&mut self, fact: Fact, engine: &Engine) -> anyhow::Result<()> {
        for output in &mut self.outputs {
            output.fact(&fact)?;
        }
        match &mut self.keeps {
            Keeps::Summary(summary) => summary.add(&fact),
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
    pub fn new(tap: Option<Writer<File>>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self::keeping(Keeps::Summary(Box::default()), tap, outputs)
    }

    /// For whoever looks at [`Self::picture`] while it goes on. There are no totals at its end.
    #[must_use]
    pub fn watched() -> Self {
        Self::keeping(Keeps::Board(Box::default()), None, Vec::new())
    }

    fn keeping(keeps: Keeps, tap: Option<Writer<File>>, outputs: Vec<Box<dyn Sink>>) -> Self {
        Self { tap, stages: Stages::default(), readers: Readers { outputs, keeps } }
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
        let readers = &mut self.readers;
        self.stages.frame(bytes, &mut |fact, engine| readers.take(fact, engine))
    }

    /// Makes everything so far visible to whoever reads the outputs or the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if let Some(tap) = &mut self.tap {
            tap.flush()?;
        }
        for output in &mut self.readers.outputs {
            output.flush()?;
        }
        Ok(())
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
        let summary = match &mut readers.keeps {
            Keeps::Summary(summary) => std::mem::take(&mut **summary),
            Keeps::Board(_) => Summary::default(),
        };
        for output in &mut readers.outputs {
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
