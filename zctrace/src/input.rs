//! Recordings as one stream of blocks: a file, the segments of one recording, or what is still being written.
//!
//! Owns where reading begins and when it goes on in another file. A saved state is believed as much as the rest
//! of a recording: what it says is shown, and nothing of it is executed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::event::{Decoded, Event, decode};
use crate::model::{Series, TraceInfo};
use crate::recorder::segment;
use crate::stages::{Span, Stages};
use crate::trace::{Block, End, Reader, last_state, streams};

/// How often a file that is being written is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long to look whether it is merged: the blocks of several hosts lie close together.
const LOOK: Duration = Duration::from_millis(250);

/// A moment of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After its start, nanoseconds.
    After(u64),
    /// CLOCK_REALTIME, nanoseconds.
    Wall(u64),
}

impl Moment {
    /// CLOCK_REALTIME nanoseconds; `start`: that of the start.
    #[must_use]
    pub fn realtime_ns(self, start: u64) -> u64 {
        match self {
            Self::After(ns) => start.saturating_add(ns),
            Self::Wall(ns) => ns,
        }
    }
}

/// What is read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The recording; more than one: its segments.
    pub files: Vec<PathBuf>,
    /// Wait for what is still being written.
    pub follow: bool,
    /// What was over before does not matter.
    pub from: Option<Moment>,
    /// What began later does not.
    pub to: Option<Moment>,
}

impl Asked {
    /// All of one file.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }
}

/// A file as far as it goes; where it is followed, its end is waited for.
#[derive(Debug)]
struct Tail {
    file: File,
    /// `None`: it cannot be read at a place, as a pipe.
    at: Option<u64>,
    follow: bool,
}

impl Tail {
    fn open(path: &Path, follow: bool) -> io::Result<Self> {
        let file = File::open(path)?;
        let at = file.metadata()?.is_file().then_some(0);
        Ok(Self { file, at, follow })
    }

    fn some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(at) = &mut self.at else {
            return (&self.file).read(buf);
        };
        let n = self.file.read_at(buf, *at)?;
        *at = at.saturating_add(n as u64);
        Ok(n)
    }

    /// Whoever writes it holds a lock on it.
    fn is_written(&self) -> bool {
        use rustix::fs::{FlockOperation, flock};
        let free = flock(&self.file, FlockOperation::NonBlockingLockShared);
        let _ = flock(&self.file, FlockOperation::NonBlockingUnlock);
        free.is_err()
    }
}

impl Read for Tail {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before it is read: what was written by then is there.
            let more = self.follow && self.is_written();
            let n = self.some(buf)?;
            if n > 0 || !more || buf.is_empty() {
                return Ok(n);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// An open recording.
#[derive(Debug)]
pub struct Input {
    reader: Reader<io::BufReader<Tail>>,
    path: PathBuf,
    series: Option<Series>,
    rest: VecDeque<PathBuf>,
    follow: bool,
    span: Option<Span>,
}

fn reader(path: &Path, follow: bool) -> anyhow::Result<Reader<io::BufReader<Tail>>> {
    let open = || Ok(Reader::new(io::BufReader::with_capacity(1 << 20, Tail::open(path, follow)?))?);
    open().map_err(|e: anyhow::Error| e.context(path.display().to_string()))
}

/// What the first frame says.
fn header(reader: &mut Reader<impl Read>) -> io::Result<Option<TraceInfo>> {
    let Ok(block) = reader.block()? else {
        return Ok(None);
    };
    Ok(match decode(&block.bytes) {
        Decoded::Frame(_, Event::Start(info)) => Some(*info),
        _ => None,
    })
}

/// A file from its beginning, with the stages as they are there. `open`: its bytes from the first on, each time.
///
/// # Errors
/// When it is no recording, or its first state is missing.
pub fn from_start<R: Read>(mut open: impl FnMut() -> io::Result<R>) -> anyhow::Result<(Reader<R>, Stages)> {
    let mut reader = Reader::new(open()?)?;
    match header(&mut reader)?.filter(|info| info.series.as_ref().is_some_and(|s| s.number > 1)) {
        None => Ok((Reader::new(open()?)?, Stages::default())),
        Some(info) => {
            let stages = first_state(&mut reader, &info)?;
            Ok((reader, stages))
        }
    }
}

/// Behind the header of a segment.
fn first_state(reader: &mut Reader<impl Read>, info: &TraceInfo) -> anyhow::Result<Stages> {
    let state = reader.state()?.context("its first state is missing or damaged")?;
    restore(&state, info)
}

/// A state that was saved of this trace.
fn restore(state: &[u8], info: &TraceInfo) -> anyhow::Result<Stages> {
    let stages = Stages::restore(state)?;
    let of = |info: &TraceInfo| (info.start_ns, info.start_realtime_ns);
    ensure!(stages.info().map(of) == Some(of(info)), "a saved state in it is of another recording");
    Ok(stages)
}

/// What the first frame says.
///
/// # Errors
/// When it cannot be read, or is not a recording.
pub fn info_of(from: impl Read) -> anyhow::Result<Option<TraceInfo>> {
    Ok(header(&mut Reader::new(from)?)?)
}

/// As [`info_of`].
///
/// # Errors
/// As that.
pub fn info(path: &Path) -> anyhow::Result<Option<TraceInfo>> {
    let open = || info_of(io::BufReader::new(File::open(path)?));
    open().with_context(|| path.display().to_string())
}

/// Goes on at a saved state, which is at that byte; `from` is there.
///
/// # Errors
/// When it is damaged, or of another version.
pub fn resume<R: Read>(
    reader: Reader<R>,
    (from, at): (R, u64),
    info: &TraceInfo,
) -> anyhow::Result<(Reader<R>, Stages)> {
    let mut reader = reader.resume(from, at);
    let state = reader.state()?.context("a saved state is damaged: read it without --from")?;
    let stages = restore(&state, info).context("read it without --from")?;
    Ok((reader, stages))
}

/// The segments in their order.
fn sorted(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in files {
        let series = info(path)?.and_then(|info| info.series);
        let Some(series) = series else {
            bail!(
                "{} is a recording of its own: `zctrace merge -o ALL.zct FILE...` makes one of several",
                path.display()
            );
        };
        all.push((series, path.clone()));
    }
    all.sort_by_key(|(series, _)| series.number);
    for pair in all.windows(2) {
        let [(a, first), (b, second)] = pair else { continue };
        let (first, second) = (first.display(), second.display());
        ensure!(
            a.id == b.id,
            "{first} and {second} are of two recordings: `zctrace merge -o ALL.zct FILE...` makes one of several"
        );
        ensure!(
            a.number + 1 == b.number,
            "{first} is segment {} of a recording, {second} is segment {}: give those in between too, and each once",
            a.number,
            b.number
        );
    }
    Ok(all.into_iter().map(|(_, path)| path).collect())
}

impl Input {
    /// Opens it, with the stages as they were where reading begins.
    ///
    /// # Errors
    /// When something of it is no recording, or its segments do not fit together.
    pub fn open(asked: &Asked) -> anyhow::Result<(Self, Stages)> {
        let files =
            if let [_] = asked.files.as_slice() { asked.files.clone() } else { sorted(&asked.files)? };
        let mut rest: VecDeque<PathBuf> = files.into();
        let path = rest.pop_front().context("name a recording")?;
        let span = if asked.from.is_some() || asked.to.is_some() {
            ensure!(is_file(&path), "--from and --until need a file that is read more than once, not a pipe");
            let info = info(&path)?.with_context(|| format!("{}: its header is missing", path.display()))?;
            let wall =
                |moment: Option<Moment>, none| moment.map_or(none, |m| m.realtime_ns(info.start_realtime_ns));
            let span = Span { from: wall(asked.from, 0), to: wall(asked.to, u64::MAX) };
            // A later segment, if it begins early enough.
            for n in (0..=rest.len()).rev() {
                let here = n.checked_sub(1).and_then(|i| rest.get(i)).unwrap_or(&path).clone();
                let file = File::open(&here).with_context(|| here.display().to_string())?;
                if let Some(at) = last_state(&file, info.monotonic_ns(span.from)) {
                    let after = rest.split_off(n);
                    let (input, stages) = Self::at(here, asked.follow, after)?.resume(at, &info)?;
                    return Ok((Self { span: Some(span), ..input }, stages));
                }
            }
            Some(span)
        } else {
            None
        };
        let (input, stages) = Self::at(path, asked.follow, rest)?.begin()?;
        Ok((Self { span, ..input }, stages))
    }

    fn at(path: PathBuf, follow: bool, rest: VecDeque<PathBuf>) -> anyhow::Result<Self> {
        let series = if is_file(&path) {
            // Of one that has only just been begun, the header is waited for.
            let header = header(&mut reader(&path, follow)?).with_context(|| path.display().to_string())?;
            header.and_then(|info| info.series)
        } else {
            None
        };
        Ok(Self { reader: reader(&path, follow)?, path, series, rest, follow, span: None })
    }

    /// At the first frame.
    fn begin(mut self) -> anyhow::Result<(Self, Stages)> {
        let Some(number) = self.series.as_ref().map(|s| s.number).filter(|n| *n > 1) else {
            return Ok((self, Stages::default()));
        };
        let begin = |input: &mut Self| -> anyhow::Result<Stages> {
            let info = header(&mut input.reader)?.context("its header is missing")?;
            first_state(&mut input.reader, &info)
        };
        let stages = begin(&mut self).with_context(|| {
            format!("{} is segment {number}, and cannot be read without those before it", self.path.display())
        })?;
        Ok((self, stages))
    }

    /// At a state.
    fn resume(mut self, at: u64, info: &TraceInfo) -> anyhow::Result<(Self, Stages)> {
        let mut tail = Tail::open(&self.path, self.follow)?;
        tail.at = Some(at);
        let (reader, stages) = resume(self.reader, (io::BufReader::with_capacity(1 << 20, tail), at), info)?;
        self.reader = reader;
        Ok((self, stages))
    }

    /// What is looked at; `None`: everything.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Whether it is of several hosts.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn is_merged(&self) -> io::Result<bool> {
        let deadline = Instant::now().checked_add(LOOK).unwrap_or_else(Instant::now);
        Ok(streams(&File::open(&self.path)?, deadline) > 1)
    }

    /// The next block of frames.
    ///
    /// # Errors
    /// When reading fails, or the next segment is not what it should be.
    pub fn block(&mut self) -> anyhow::Result<Result<Block, End>> {
        loop {
            // Whoever follows it would wait for more.
            match self.reader.end().filter(|_| self.follow) {
                Some(End::Complete) => return Ok(Err(End::Complete)),
                Some(End::Next) if !self.goes_on()? => return Ok(Err(End::Next)),
                _ => {}
            }
            let read = self.reader.block().with_context(|| self.path.display().to_string())?;
            match read {
                Err(End::Next) if self.goes_on()? => {}
                read => return Ok(read),
            }
        }
    }

    /// Goes on in the next segment, if there is one.
    fn goes_on(&mut self) -> anyhow::Result<bool> {
        let Some(series) = &mut self.series else {
            return Ok(false);
        };
        let next = series.number + 1;
        let path = match self.rest.pop_front() {
            Some(path) => path,
            None if self.follow => {
                beside(&self.path, series.number, next).context("the next segment is not beside it")?
            }
            None => return Ok(false),
        };
        let mut reader = reader(&path, self.follow)?;
        let found = header(&mut reader)?.and_then(|i| i.series);
        let is_next = found.as_ref().is_some_and(|s| s.id == series.id && s.number == next);
        ensure!(is_next, "{} is not segment {next} of this recording", path.display());
        series.number = next;
        (self.reader, self.path) = (reader, path);
        Ok(true)
    }
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file())
}

/// `trace.0003.zct` -> `trace.0004.zct`
fn beside(path: &Path, number: u64, next: u64) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let ending = format!(".{number:04}.");
    let (stem, extension) = name.rsplit_once(&ending)?;
    Some(segment(&path.with_file_name(format!("{stem}.{extension}")), next))
}
