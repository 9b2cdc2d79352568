//! Frames to files: one, or a series of segments that each can be read by itself.
//!
//! Owns when what is written becomes visible, where a saved state goes, and when a segment ends. Frames are
//! written verbatim, but for the number of the segment in its header.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zctrace_common::frame::{Header, split};
use zctrace_common::user::{Next, kind};

use crate::event::{Decoded, Event, decode, encode, user_frame};
use crate::invoker::create;
use crate::model::{Series, TraceInfo};
use crate::stages::Stages;
use crate::trace::Writer;

/// What only says that nothing happened becomes visible this often.
const QUIET: Duration = Duration::from_secs(1);

/// When a segment ends, and how many are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has so many bytes.
    pub bytes: Option<u64>,
    /// After so long.
    pub every: Option<Duration>,
    /// Older ones are removed.
    pub keep: Option<u64>,
}

/// Several files.
struct Segments {
    path: PathBuf,
    rotation: Rotation,
    series: Series,
    /// The header, as it was stated.
    start: Option<(Header, TraceInfo)>,
    began: Instant,
    /// Number of the oldest that is kept.
    oldest: u64,
}

/// A recording that is being made.
pub struct Recorder {
    writer: Writer<File>,
    segments: Option<Box<Segments>>,
    /// Something else than a barrier has come since it was flushed.
    news: bool,
    flushed: Instant,
}

/// `trace.zct` -> `trace.0003.zct`
#[must_use]
pub fn segment(path: &Path, number: u64) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or_else(|| "zct".into(), |e| e.to_string_lossy());
    path.with_file_name(format!("{stem}.{number:04}.{extension}"))
}

/// The file behind it is being written: whoever follows it need not give up.
fn claim(file: &File) {
    // Where locks do not work, a follower sees no writer.
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
}

impl Recorder {
    /// To one file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn single(file: File) -> anyhow::Result<Self> {
        claim(&file);
        Ok(Self { writer: Writer::new(file)?, segments: None, news: false, flushed: Instant::now() })
    }

    /// To segments beside `path`.
    ///
    /// # Errors
    /// When the first cannot be written.
    pub fn rotating(path: &Path, rotation: Rotation) -> anyhow::Result<Self> {
        let mut id = [0; 16];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        let id = id.iter().map(|b| format!("{b:02x}")).collect();
        let mut recorder = Self::single(create(&segment(path, 1))?)?;
        recorder.segments = Some(Box::new(Segments {
            path: path.into(),
            rotation,
            series: Series { id, number: 1 },
            start: None,
            began: Instant::now(),
            oldest: 1,
        }));
        Ok(recorder)
    }

    /// A state is saved after so many bytes of frames, in the first file.
    #[must_use]
    pub fn state_every(self, bytes: usize) -> Self {
        Self { writer: self.writer.state_every(bytes), ..self }
    }

    /// The segments that it has made and kept.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let all = |s: &Segments| (s.oldest..=s.series.number).map(|n| segment(&s.path, n)).collect();
        self.segments.as_deref().map(all).unwrap_or_default()
    }

    /// Appends one frame.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let kind = split(bytes).map_or(0, |(header, _)| header.kind);
        self.news |= kind != kind::CHECKPOINT;
        if let Some(segments) = self.segments.as_mut().filter(|_| kind == kind::START)
            && let Decoded::Frame(header, Event::Start(info)) = decode(bytes)
        {
            segments.start = Some((header, *info));
            return Ok(self.writer.push(&segments.header())?);
        }
        Ok(self.writer.push(bytes)?)
    }

    /// A barrier has just been pushed, and `stages` have taken it: what was pushed becomes visible, a state may
    /// be saved, a segment may end.
    ///
    /// # Errors
    /// When something cannot be written, or has no form.
    pub fn barrier(&mut self, stages: &Stages) -> anyhow::Result<()> {
        self.show()?;
        if self.segments.as_ref().is_some_and(|s| s.is_full(self.writer.written())) {
            self.rotate(stages)
        } else if self.writer.wants_state() {
            Ok(self.writer.state(stages.engine().now(), &stages.save()?)?)
        } else {
            Ok(())
        }
    }

    /// Makes what was pushed visible, unless it says nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn show(&mut self) -> anyhow::Result<()> {
        if self.news || self.flushed.elapsed() >= QUIET {
            (self.news, self.flushed) = (false, Instant::now());
            self.writer.flush()?;
        }
        Ok(())
    }

    fn rotate(&mut self, stages: &Stages) -> anyhow::Result<()> {
        let Some(segments) = &mut self.segments else {
            return Ok(());
        };
        let (number, now) = (segments.series.number + 1, stages.engine().now());
        self.writer.push(&user_frame(kind::NEXT, 0, now, &Next { number }, &[]))?;
        let file = create(&segment(&segments.path, number))?;
        claim(&file);
        let mut next = Writer::new(file)?;
        segments.series.number = number;
        segments.began = Instant::now();
        next.push(&segments.header())?;
        next.state(now, &stages.save()?)?;
        let last = std::mem::replace(&mut self.writer, next).finish()?;
        // What a power failure must not take; nobody waits for it.
        std::thread::spawn(move || last.sync_data());
        segments.remove_old();
        Ok(())
    }

    /// Closes the last block.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let _ = self.writer.finish()?.sync_data();
        Ok(())
    }
}

impl Segments {
    fn is_full(&self, written: u64) -> bool {
        let big = self.rotation.bytes.is_some_and(|most| written >= most);
        self.start.is_some()
            && (big || self.rotation.every.is_some_and(|every| self.began.elapsed() >= every))
    }

    fn header(&self) -> Vec<u8> {
        let Some((header, info)) = &self.start else {
            return Vec::new();
        };
        let info = TraceInfo { series: Some(self.series.clone()), ..info.clone() };
        encode(header, &Event::Start(Box::new(info)))
    }

    fn remove_old(&mut self) {
        let Some(keep) = self.rotation.keep else {
            return;
        };
        while self.series.number - self.oldest >= keep.max(1) {
            // One that somebody has moved away is not ours any more.
            let _ = std::fs::remove_file(segment(&self.path, self.oldest));
            self.oldest += 1;
        }
    }
}
