//! Moves the cursor as a viewer asks, in slices that are short enough to be interrupted. While nobody wants
//! anything, what has not been seen of the recording is looked through.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::index::{Index, SPACING};
use super::walk::{Budget, Place, Step, Until, Walk};
use crate::board::Picture;
use crate::board::link::{Command, Go, Maker, Sight};
use crate::board::picture::Cursor;
use crate::model::TransferId;
use crate::trace::{self, TraceError};

/// How long a viewer may have to wait for an answer.
const SLICE: Duration = Duration::from_millis(20);
/// How long to look for the span before the first picture.
const SPAN: Duration = Duration::from_millis(250);
/// How often time goes on while it plays.
const TICK: Duration = Duration::from_millis(50);
/// Powers of two that the speed is kept within: about a hundredth to a thousand.
const SPEEDS: (i32, i32) = (-6, 9);

/// Plays the recording until the viewer has enough of it: first to its end, then as it is asked.
///
/// # Errors
/// When it cannot be opened or is not a recording.
pub fn run(path: &Path, place: Place, maker: &Maker) -> anyhow::Result<()> {
    let mut player = Player::open(path, place, SPACING)?;
    player.run(maker);
    Ok(())
}

/// The cursor is on its way.
#[derive(Debug)]
struct Seek {
    until: Until,
    /// Who goes there; `None`: the frontier.
    walk: Option<Walk>,
}

impl Seek {
    /// Where it leads to is known only once it is there.
    fn is_blind(&self) -> bool {
        matches!(self.until, Until::Count(..))
    }
}

/// A recording and where its cursor is.
#[derive(Debug)]
pub(super) struct Player {
    len: u64,
    span: (u64, u64),
    /// The walk that has come farthest: it alone fills the index.
    frontier: Walk,
    pub(super) index: Index,
    pub(super) here: Walk,
    seek: Option<Seek>,
    /// Time goes on since then.
    playing: Option<Instant>,
    /// As a power of two.
    speed: i32,
    focus: Option<TransferId>,
    /// Since the last picture.
    changed: bool,
}

impl Player {
    pub(super) fn open(path: &Path, place: Place, spacing: u64) -> anyhow::Result<Self> {
        Self::of(path, place, spacing).with_context(|| format!("{}", path.display()))
    }

    fn of(path: &Path, place: Place, spacing: u64) -> anyhow::Result<Self> {
        let file = Arc::new(File::open(path)?);
        let len = file.metadata()?.len();
        let start = match Walk::new(Arc::clone(&file), place) {
            Err(e) if is_pipe(&e) => {
                return Err(e).context("it is read more than once, so it cannot be a pipe");
            }
            start => start?,
        };
        let deadline = Instant::now().checked_add(SPAN).unwrap_or_else(Instant::now);
        let mut span = trace::span(&file, deadline).unwrap_or_default();
        // Where it begins with a saved state, what came before cannot be seen.
        span.0 = span.0.max(start.begins());
        Ok(Self {
            len,
            span,
            frontier: start.clone(),
            index: Index::new(start.clone(), span, spacing),
            here: start,
            seek: Some(Seek { until: Until::End, walk: None }),
            playing: None,
            speed: 0,
            focus: None,
            changed: true,
        })
    }

    fn run(&mut self, maker: &Maker) {
        // Enough to know whose recording it is.
        self.work();
        loop {
            self.show(maker);
            let idle = self.seek.is_none() && self.frontier.is_over();
            let first = if idle { maker.wait(self.rest()) } else { maker.command() };
            let mut next = first;
            while let Some(command) = next {
                if command == Command::Quit {
                    return;
                }
                self.command(&command);
                next = maker.command();
            }
            self.work();
        }
    }

    /// A wish stays until there is something new.
    fn show(&mut self, maker: &Maker) {
        if self.changed && maker.is_wanted() {
            self.changed = false;
            maker.show(self.picture());
        }
    }

    /// Until time goes on again.
    fn rest(&self) -> Duration {
        self.playing.map_or(TICK, |since| TICK.saturating_sub(since.elapsed()))
    }

    /// A slice of whatever is to be done.
    fn work(&mut self) {
        if self.seek.is_some() {
            self.seek_on(Budget::time(SLICE));
            return;
        }
        if let Some(since) = self.playing.filter(|since| since.elapsed() >= TICK) {
            self.playing = Some(Instant::now());
            self.play(since.elapsed(), Budget::time(SLICE));
        }
        if !self.frontier.is_over() {
            self.explore(Budget::time(SLICE));
        }
    }

    /// Looks through what has not been seen.
    pub(super) fn explore(&mut self, mut budget: Budget) -> Step {
        self.changed = true;
        self.go_frontier(Until::End, &mut budget)
    }

    fn go_frontier(&mut self, until: Until, budget: &mut Budget) -> Step {
        let step = self.frontier.step(until, budget, &mut self.index);
        let last = self.frontier.clock();
        if let Some(first) = self.frontier.first() {
            self.span.0 = self.span.0.min(first);
        }
        // What headers claim is only believed until it is known.
        self.span.1 = if self.frontier.is_over() { last } else { self.span.1.max(last) };
        self.span.1 = self.span.1.max(self.span.0);
        step
    }

    /// Time has gone on so far for whoever looks.
    fn play(&mut self, wall: Duration, mut budget: Budget) {
        let by = wall.as_secs_f64() * 1e9 * self.factor();
        let until = Until::Time(moved(self.here.now().max(self.span.0), by));
        self.changed = true;
        if self.here.step(until, &mut budget, &mut ()) == Step::Over {
            self.playing = None;
        }
    }

    fn factor(&self) -> f64 {
        2f64.powi(self.speed)
    }

    /// Goes on with what is sought.
    pub(super) fn seek_on(&mut self, mut budget: Budget) {
        let Some(mut seek) = self.seek.take() else {
            return;
        };
        self.changed = true;
        let step = match &mut seek.walk {
            Some(walk) => walk.step(seek.until, &mut budget, &mut ()),
            None => self.go_frontier(seek.until, &mut budget),
        };
        match (step, seek.until) {
            (Step::More, _) => self.seek = Some(seek),
            // There is none; of several that were asked for at once, the last.
            (Step::Over, Until::Count(sight, n)) => {
                let found = self.frontier.counts().get(sight);
                if found < n && found > self.here.counts().get(sight) {
                    self.seek(Until::Count(sight, found));
                }
            }
            _ => self.arrive(seek),
        }
        // Whoever plays waits meanwhile.
        self.playing = self.playing.map(|_| Instant::now());
    }

    /// The cursor is where the seek is.
    fn arrive(&mut self, seek: Seek) {
        self.here = seek.walk.unwrap_or_else(|| self.frontier.clone());
    }

    #[cfg(test)]
    pub(super) fn is_seeking(&self) -> bool {
        self.seek.is_some()
    }

    /// Stops a seek: where it has come, if that is a place that was asked for.
    fn settle(&mut self) {
        if let Some(seek) = self.seek.take_if(|seek| !seek.is_blind()) {
            self.arrive(seek);
        }
        self.seek = None;
    }

    /// Begins to go there from the nearest walk before.
    fn seek(&mut self, until: Until) {
        let walk = if !self.frontier.is_before(until) {
            self.nearest(until)
        } else if !self.frontier.is_over() {
            None
        } else if let Until::Count(..) = until {
            return;
        } else {
            Some(self.frontier.clone())
        };
        self.seek = Some(Seek { until, walk });
    }

    fn nearest(&self, until: Until) -> Option<Walk> {
        let kept = self.index.before(until)?;
        let here = self.here.is_before(until) && self.here.is_after(kept);
        Some(if here { self.here.clone() } else { kept.clone() })
    }

    pub(super) fn command(&mut self, command: &Command) {
        self.changed = true;
        match command {
            Command::Focus(id) => self.focus = *id,
            Command::Go(go) => self.go(*go),
            Command::Record(_) | Command::Quit => {}
        }
    }

    fn go(&mut self, go: Go) {
        match go {
            Go::PlayPause => self.play_pause(),
            Go::Faster => self.speed = (self.speed + 1).min(SPEEDS.1),
            Go::Slower => self.speed = (self.speed - 1).max(SPEEDS.0),
            Go::Next(sight) => self.look(sight, true),
            Go::Previous(sight) => self.look(sight, false),
            Go::Scrub(part) => {
                let from = self.target();
                self.seek_time(moved(from, part * self.long()));
            }
            Go::To(part) => self.seek_time(moved(self.span.0, part * self.long())),
            Go::At(at) => self.seek_time(at),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of it is asked for")]
    fn long(&self) -> f64 {
        (self.span.1 - self.span.0) as f64
    }

    /// Where the cursor is, or is going to.
    fn target(&self) -> u64 {
        match self.seek.as_ref().map(|seek| seek.until) {
            Some(Until::End) => self.span.1,
            Some(Until::Time(t)) => t,
            _ => self.here.now().max(self.span.0),
        }
    }

    fn seek_time(&mut self, t: u64) {
        self.settle();
        let t = t.max(self.span.0);
        self.seek(if t >= self.span.1 { Until::End } else { Until::Time(t) });
    }

    fn play_pause(&mut self) {
        let to_end = self.seek.as_ref().map_or(self.here.is_over(), |seek| seek.until == Until::End);
        if to_end {
            self.seek = None;
            self.seek(Until::Time(self.span.0));
            self.playing = Some(Instant::now());
        } else {
            self.playing = if self.playing.is_some() { None } else { Some(Instant::now()) };
        }
    }

    /// To the next of these, or the one before; from where a seek for the same leads to.
    fn look(&mut self, sight: Sight, next: bool) {
        self.playing = None;
        let sought = match self.seek.as_ref().map(|seek| seek.until) {
            Some(Until::Count(same, n)) if same == sight => Some(n),
            _ => None,
        };
        if sought.is_none() {
            self.settle();
        }
        let n = sought.unwrap_or_else(|| self.here.counts().get(sight));
        let n = if next {
            n.checked_add(1)
        } else if sought.is_some() || self.here.is_at(sight) {
            n.checked_sub(1)
        } else {
            Some(n)
        };
        if let Some(n) = n.filter(|n| *n > 0) {
            self.seek(Until::Count(sight, n));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of it is told")]
    fn known(&self) -> f64 {
        if self.frontier.is_over() {
            return 1.0;
        }
        (self.frontier.at() as f64 / self.len.max(1) as f64).min(1.0)
    }

    /// The cursor's; on the way to a known place, that of the way.
    pub(super) fn picture(&self) -> Picture {
        let on_the_way = self.seek.as_ref().filter(|seek| !seek.is_blind());
        let walk = on_the_way.map_or(&self.here, |seek| seek.walk.as_ref().unwrap_or(&self.frontier));
        let problem = self.frontier.problem().or_else(|| walk.problem());
        let cursor = Cursor {
            span: self.span,
            speed: self.playing.map(|_| self.factor()),
            known: self.known(),
            seeking: self.seek.is_some(),
            landmark: walk.landmark(),
            marks: self.index.marks.over(self.span),
            problem: problem.map(str::to_owned),
        };
        Picture { cursor: Some(cursor), ..walk.picture(self.focus) }
    }
}

/// A time so many nanoseconds later, or earlier.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it stops at the ends")]
fn moved(from: u64, by: f64) -> u64 {
    if by < 0.0 { from.saturating_sub(-by as u64) } else { from.saturating_add(by as u64) }
}

fn is_pipe(e: &anyhow::Error) -> bool {
    let io = |e: &io::Error| e.kind() == io::ErrorKind::NotSeekable;
    matches!(e.downcast_ref(), Some(TraceError::Io(e)) if io(e)) || e.downcast_ref().is_some_and(io)
}
