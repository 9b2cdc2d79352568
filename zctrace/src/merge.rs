//! Recordings of several hosts in one file: each is a stream of its own, whose frames stay as they were.
//!
//! Nothing is judged here, and clocks are not corrected: each stream keeps its own, and what is compared between
//! hosts is CLOCK_REALTIME as each of them had it.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::event::{Decoded, Event, decode, encode};
use crate::input::{self, Asked, Input};
use crate::model::TraceInfo;
use crate::trace::{Block, End, Writer};

/// One recording on its way into the whole.
struct Stream {
    name: String,
    input: Input,
    info: TraceInfo,
    /// Of the first that has not been written.
    block: Option<Block>,
    /// Its first moment, CLOCK_REALTIME nanoseconds.
    at: i128,
    end: Option<End>,
}

/// How a recording that was merged ends.
#[derive(Debug)]
pub struct Ended {
    /// Its first file.
    pub name: String,
    /// The host that it is of.
    pub host: String,
    /// `None`: in order.
    pub problem: Option<End>,
}

impl Stream {
    fn open(files: Vec<PathBuf>) -> anyhow::Result<Self> {
        let name = files.first().map(|p| p.display().to_string()).unwrap_or_default();
        let (mut input, stages) = Input::open(&Asked { files, ..Asked::default() })?;
        ensure!(stages.info().is_none(), "{name}: the segments before it are missing");
        let mut block = match input.block()? {
            Ok(block) => block,
            Err(end) => anyhow::bail!("{name}: nothing in it can be read: {end}"),
        };
        ensure!(block.stream == 0, "{name} is merged already: merge what it was made of");
        let Decoded::Frame(header, Event::Start(info)) = decode(&block.bytes) else {
            anyhow::bail!("{name}: its header is missing");
        };
        // It is in one file now.
        let info = TraceInfo { series: None, ..*info };
        let rest = block.bytes.split_off(usize::from(header.len).min(block.bytes.len()));
        block.bytes = [encode(&header, &Event::Start(Box::new(info.clone()))), rest].concat();
        let mut stream = Self { name, input, info, block: None, at: 0, end: None };
        stream.take(block);
        Ok(stream)
    }

    fn take(&mut self, block: Block) {
        let first = block.frames().map(|(header, _)| header.ts).min().unwrap_or(0);
        self.at = i128::from(first) + self.info.ahead_ns();
        self.block = Some(block);
    }

    /// Writes what it has, as that stream, and looks for more.
    fn go_on(&mut self, number: u16, to: &mut Writer<File>) -> anyhow::Result<()> {
        if let Some(block) = self.block.take() {
            to.block_of(number, &block.bytes)?;
        }
        match self.input.block()? {
            Ok(block) if block.stream == 0 => self.take(block),
            Ok(_) => anyhow::bail!("{} is merged already: merge what it was made of", self.name),
            Err(end) => self.end = Some(end),
        }
        Ok(())
    }
}

/// Segments of one recording belong together.
fn grouped(files: &[PathBuf]) -> anyhow::Result<Vec<Vec<PathBuf>>> {
    let mut groups: Vec<(Option<String>, Vec<PathBuf>)> = Vec::new();
    for path in files {
        let id = input::info(path)?.and_then(|info| info.series).map(|s| s.id);
        match groups.iter_mut().find(|(known, _)| id.is_some() && *known == id) {
            Some((_, group)) => group.push(path.clone()),
            None => groups.push((id, vec![path.clone()])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Writes all of them to one. Answers how each ends.
///
/// # Errors
/// When one is no recording or merged already, or it cannot be written.
pub fn merge(files: &[PathBuf], to: File) -> anyhow::Result<Vec<Ended>> {
    let mut streams = grouped(files)?.into_iter().map(Stream::open).collect::<anyhow::Result<Vec<_>>>()?;
    streams.sort_by_key(|s| s.info.start_realtime_ns);
    u16::try_from(streams.len()).context("these are more recordings than one file can hold")?;
    let mut writer = Writer::new(to)?;
    loop {
        let next = (0u16..).zip(&mut streams).filter(|(_, s)| s.block.is_some()).min_by_key(|(_, s)| s.at);
        let Some((number, stream)) = next else {
            break;
        };
        stream.go_on(number, &mut writer)?;
    }
    writer.finish()?;
    let ended = |s: Stream| Ended {
        name: s.name,
        host: s.info.host,
        problem: s.end.filter(|end| *end != End::Complete),
    };
    Ok(streams.into_iter().map(ended).collect())
}
