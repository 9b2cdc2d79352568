//! A send that was submitted, until it is complete.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use super::conclude::{Conclusion, Sent, conclude};
use super::lease::Lease;
use super::mover::{Job, Mover, Stopped};
use super::peer::{Kind, Reads, Socket, broken};
use super::said::{
    Certainty, Completion, Evidence, MayDiffer, NotPromised, Progress, SendError, Traced, who,
};
use super::stamp::Stamp;
use super::sys::queued;
use super::tracer::{Tracer, Watch};
use crate::model::{Content, MutationKind, ReleasedBy, Verdict};
use crate::source::monotonic_ns;

/// Between two looks at what the kernel does not announce.
const NAP: Duration = Duration::from_millis(1);
/// The longest: a truncation must be noticed.
const LONGEST_NAP: Duration = Duration::from_millis(5);
/// How long something that the tracer should say is waited for.
const PATIENCE_NS: u64 = 1_000_000_000;
/// What is over is stated a few barriers later.
const BARRIERS_NS: u64 = 50_000_000;

/// A send in progress. Dropping it gives up: what the socket has not taken is not sent.
pub struct Pending {
    state: State,
    watch: Option<Watch>,
    socket: Socket,
    file: std::sync::Arc<std::fs::File>,
    to: std::sync::Arc<std::os::fd::OwnedFd>,
    lease: Option<Lease>,
    before: Stamp,
    ino: u64,
    offset: u64,
    len: u64,
    copied: bool,
    submit_ns: u64,
    /// When everything was released, although it is not known yet who changed what.
    covered_ns: Option<u64>,
    /// Seen from outside, and not yet believed: the tracer may say that it was over before.
    cut: Option<(u64, u64)>,
    broke: Option<(u64, io::Error)>,
    instead: Option<String>,
    moved: u64,
    taken: u64,
    /// Not before: where many connections are listed a look takes long.
    next_look: Instant,
}

/// When the socket had everything, and before.
#[derive(Clone, Copy)]
struct Moved {
    taken_ns: u64,
    return_ns: u64,
    waves: u32,
}

enum State {
    Moving(Box<Mover>),
    Settling(Moved),
    Complete(Box<Completion>),
    Failed,
}

impl Pending {
    pub(super) fn submit(job: Job, mut socket: Socket, tracer: Option<&Tracer>) -> Result<Self, SendError> {
        let (file, to) = (job.file.clone(), job.socket.clone());
        let (offset, len, copied) = (job.offset, job.len, job.copy);
        let mut mover = Box::new(Mover::new(job).map_err(SendError::Ring)?);
        if tracer.is_none() && !copied {
            socket.look_for_receiver();
        }
        // Before the submission: what happens from now on counts.
        let lease = if tracer.is_none() || !mover.takes_all() { Lease::take(&file) } else { None };
        let submit_ns = monotonic_ns();
        let before = Stamp::of(&file).map_err(SendError::File)?;
        let ino = file.metadata().map_err(SendError::File)?.ino();
        let end = offset.saturating_add(len);
        if before.size < end {
            return Err(SendError::TooShort { size: before.size, end });
        }
        let mut instead = None;
        let watch = match (tracer, socket.cookie) {
            (Some(tracer), Some(cookie)) => Some(tracer.watch(cookie, submit_ns)),
            (Some(_), None) => {
                instead = Some("the kernel has no cookie for this socket".to_owned());
                None
            }
            (None, _) => None,
        };
        let mut pending = Self {
            state: State::Failed,
            watch,
            socket,
            file,
            to,
            lease,
            before,
            ino,
            offset,
            len,
            copied,
            submit_ns,
            covered_ns: None,
            cut: None,
            broke: None,
            instead,
            moved: 0,
            taken: 0,
            next_look: Instant::now(),
        };
        while len > 0 && mover.taken_ns.is_none() {
            let done = mover.advance(LONGEST_NAP);
            (pending.moved, pending.taken) = (mover.moved, mover.taken);
            done.map_err(|e| pending.stopped(e))?;
        }
        if copied && mover.taken >= len {
            // The file has no more to do with it.
            pending.lease = None;
        }
        pending.state = State::Moving(mover);
        Ok(pending)
    }

    /// Whether it is complete; does not wait. Must be called now and then: it also drives the send on.
    ///
    /// # Errors
    /// When the file was cut, cannot be read, or the connection broke. It is over then.
    pub fn poll(&mut self) -> Result<Option<Completion>, SendError> {
        self.step(Duration::ZERO)
    }

    /// Waits until it is complete, or for that long: then the answer is `None`, and it goes on.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<Option<Completion>, SendError> {
        self.wait_with(limit, |_| {})
    }

    /// The same, and tells how far it is, every few milliseconds.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn wait_with(
        &mut self,
        limit: Option<Duration>,
        mut tell: impl FnMut(&Progress),
    ) -> Result<Option<Completion>, SendError> {
        let began = Instant::now();
        loop {
            let left = limit.map(|l| l.saturating_sub(began.elapsed()));
            let done = self.step(left.map_or(LONGEST_NAP, |l| l.min(LONGEST_NAP)))?;
            if done.is_some() || left.is_some_and(|l| l.is_zero()) {
                return Ok(done);
            }
            tell(&self.progress());
        }
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let stated = |w: &Watch| w.look(|l| l.seen.transfers.iter().map(|t| t.bytes).sum::<u64>());
        Progress {
            bytes: self.len,
            taken: self.taken,
            moved: self.moved,
            queued: queued(&self.to).ok(),
            lent: self.watch.as_ref().map(|w| self.taken.saturating_sub(stated(w))),
        }
    }

    fn step(&mut self, limit: Duration) -> Result<Option<Completion>, SendError> {
        let state = std::mem::replace(&mut self.state, State::Failed);
        let next = match state {
            State::Moving(mover) => self.moving(mover, limit)?,
            State::Settling(moved) => self.settling(moved, limit)?,
            State::Complete(done) => State::Complete(done),
            State::Failed => return Err(SendError::Over),
        };
        self.state = next;
        Ok(match &self.state {
            State::Complete(done) => Some((**done).clone()),
            _ => None,
        })
    }

    fn moving(&mut self, mut mover: Box<Mover>, limit: Duration) -> Result<State, SendError> {
        let all = mover.advance(limit);
        (self.moved, self.taken) = (mover.moved, mover.taken);
        let all = all.map_err(|e| self.stopped(e))?;
        if !self.copied
            && !all
            && let Some(to) = self.cut_to()
        {
            return Err(self.truncated(to, None));
        }
        if !all {
            return Ok(State::Moving(mover));
        }
        let return_ns = monotonic_ns();
        let taken_ns = mover.taken_ns.unwrap_or(return_ns);
        self.settling(Moved { taken_ns, return_ns, waves: mover.waves }, Duration::ZERO)
    }

    fn settling(&mut self, moved: Moved, limit: Duration) -> Result<State, SendError> {
        if let Some(done) = self.settle(moved)? {
            // Nobody has to wait for it any longer.
            self.lease = None;
            self.watch = None;
            return Ok(State::Complete(Box::new(done)));
        }
        match &self.watch {
            _ if limit.is_zero() => {}
            Some(watch) => watch.wait(limit),
            None => std::thread::sleep(limit.min(NAP)),
        }
        Ok(State::Settling(moved))
    }

    fn settle(&mut self, moved: Moved) -> Result<Option<Completion>, SendError> {
        if self.copied {
            let bytes_are = if moved.waves > 1 && !self.is_leased() {
                Certainty::MayDiffer(MayDiffer::TakenLater)
            } else {
                Certainty::Certain
            };
            return Ok(Some(self.complete(moved, Some(moved.taken_ns), Evidence::Copied, bytes_are)));
        }
        if self.watch.is_some() { self.settle_traced(moved) } else { self.settle_untraced(moved) }
    }

    fn settle_traced(&mut self, moved: Moved) -> Result<Option<Completion>, SendError> {
        let now = monotonic_ns();
        if self.cut.is_none() {
            self.cut = self.cut_to().map(|to| (now, to));
        }
        if self.broke.is_none() {
            self.broke = broken(&self.to).map(|e| (now, e));
        }
        let leased = self.is_leased();
        let Some(watch) = &self.watch else { return Ok(None) };
        let sent = Sent { ino: self.ino, offset: self.offset, len: self.len, return_ns: moved.return_ns };
        let patient = self.covered_ns.is_none_or(|at| now < at + PATIENCE_NS);
        let (conclusion, passed_ns) = watch.look(|look| (conclude(look, sent, patient), look.passed_ns));
        match conclusion {
            Conclusion::Released { at_ns, traced } => self.released(moved, at_ns, traced, leased).map(Some),
            Conclusion::Blind(why) => {
                self.instead = Some(why);
                self.watch = None;
                if let Some((_, e)) = self.broke.take() {
                    return Err(self.broken(e));
                }
                Ok(None)
            }
            Conclusion::Unnamed => {
                self.covered_ns.get_or_insert(now);
                Ok(None)
            }
            Conclusion::NotYet => {
                // Whatever was over by then has been stated, unless somebody is still changing the file.
                if let Some((at, to)) = self.cut
                    && passed_ns > at + BARRIERS_NS
                {
                    return Err(self.truncated(to, None));
                }
                if let Some((_, e)) = self.broke.take_if(|(at, _)| now > *at + PATIENCE_NS) {
                    return Err(self.broken(e));
                }
                Ok(None)
            }
        }
    }

    fn released(
        &mut self,
        moved: Moved,
        at_ns: u64,
        traced: Traced,
        leased: bool,
    ) -> Result<Completion, SendError> {
        if let Some(cut) = traced.mutations.iter().find(|m| m.kind == MutationKind::Truncate) {
            return Err(self.truncated(cut.offset, Some(who(cut))));
        }
        let lost = |by: &ReleasedBy| matches!(by, ReleasedBy::Reset | ReleasedBy::Close);
        if self.socket.kind != Kind::Udp && traced.released_by.iter().any(lost) {
            let e = self.broke.take().map(|(_, e)| e);
            return Err(self.broken(e.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())));
        }
        let taken_at_once = moved.waves <= 1 || leased;
        let bytes_are = match traced.verdict {
            _ if !taken_at_once => Certainty::MayDiffer(MayDiffer::TakenLater),
            Some(Verdict::Clean) | None => Certainty::Certain,
            _ if traced.content == Some(Content::SentOld) => Certainty::Certain,
            Some(Verdict::Mutated) => Certainty::MayDiffer(MayDiffer::Changed),
            Some(Verdict::Unknown) => Certainty::MayDiffer(MayDiffer::CannotExclude),
        };
        Ok(self.complete(moved, Some(at_ns), Evidence::Traced(traced), bytes_are))
    }

    fn settle_untraced(&mut self, moved: Moved) -> Result<Option<Completion>, SendError> {
        let left = queued(&self.to).map_err(|e| self.broken(e))?;
        // After the queue: whoever closes with something unread says so first.
        if let Some(e) = broken(&self.to) {
            return Err(self.broken(e));
        }
        let evidence = if left == 0 { self.evidence() } else { None };
        let cut = self.cut_to();
        if let Some(to) = cut {
            return Err(self.truncated(to, None));
        }
        let leased = self.is_leased();
        let Some((evidence, known)) = evidence else { return Ok(None) };
        let now = monotonic_ns();
        let after = Stamp::of(&self.file).map_err(SendError::File)?;
        let bytes_are = if after != self.before {
            MayDiffer::TimesChanged
        } else if self.lease.is_some() && !leased {
            MayDiffer::OpenedForWriting
        } else if self.lease.is_none() {
            MayDiffer::Unwatched
        } else if !known {
            MayDiffer::ReleaseUnknown
        } else {
            return Ok(Some(self.complete(moved, Some(now), evidence, Certainty::Certain)));
        };
        Ok(Some(self.complete(moved, known.then_some(now), evidence, Certainty::MayDiffer(bytes_are))))
    }

    /// What an empty queue means, and whether it means that the pages are free.
    fn evidence(&mut self) -> Option<(Evidence, bool)> {
        match self.socket.kind {
            Kind::Udp => Some((Evidence::QueueEmpty, false)),
            Kind::Unix => Some((Evidence::ReadByReceiver, true)),
            Kind::Tcp if !self.socket.is_local => Some((Evidence::Acknowledged, true)),
            Kind::Tcp => {
                let began = Instant::now();
                if began < self.next_look {
                    return None;
                }
                let reads = self.socket.reads(&self.to);
                self.next_look = began + began.elapsed() * 4;
                match reads {
                    Reads::Unread(_) | Reads::NotSure => None,
                    Reads::All => Some((Evidence::ReadByReceiver, true)),
                    Reads::Hidden => Some((Evidence::Acknowledged, false)),
                }
            }
        }
    }

    fn complete(
        &mut self,
        moved: Moved,
        released_ns: Option<u64>,
        evidence: Evidence,
        bytes_are: Certainty,
    ) -> Completion {
        let not_promised = self.not_promised(&evidence, released_ns.is_some());
        Completion {
            bytes: self.len,
            submit_ns: self.submit_ns,
            taken_ns: moved.taken_ns,
            return_ns: moved.return_ns,
            released_ns,
            evidence,
            bytes_are,
            not_promised,
            instead: self.instead.take(),
        }
    }

    fn not_promised(&self, evidence: &Evidence, known: bool) -> Vec<NotPromised> {
        let mut all = Vec::new();
        match evidence {
            Evidence::Traced(t) => {
                let only_read = t.released_by.iter().all(|by| *by == ReleasedBy::ReceiverRead);
                all.push(if only_read { NotPromised::Sniffer } else { NotPromised::PeerRead });
                if self.watch.as_ref().is_some_and(|w| !w.tracer.compares_all()) {
                    all.push(NotPromised::UnseenStores);
                }
            }
            Evidence::Acknowledged if known => {
                all.extend([NotPromised::OtherMachine, NotPromised::Device, NotPromised::PeerRead]);
            }
            Evidence::Acknowledged => all.extend([NotPromised::Release, NotPromised::PeerRead]),
            Evidence::ReadByReceiver => {
                all.push(NotPromised::ReceiverKeeps);
                if self.socket.kind == Kind::Tcp {
                    all.push(NotPromised::Sniffer);
                }
            }
            Evidence::QueueEmpty => all.push(NotPromised::Release),
            Evidence::Copied => all.push(NotPromised::PeerRead),
        }
        if self.socket.kind == Kind::Udp {
            all.push(NotPromised::Delivery);
        }
        all.sort_unstable();
        all
    }

    fn is_leased(&self) -> bool {
        self.lease.as_ref().is_some_and(Lease::look)
    }

    /// The size it was cut to, if it is too short now.
    fn cut_to(&self) -> Option<u64> {
        let size = self.file.metadata().ok()?.size();
        (size < self.offset + self.len).then_some(size)
    }

    fn truncated(&self, to: u64, by: Option<String>) -> SendError {
        SendError::Truncated { from: self.before.size, to, sent: self.moved, of: self.len, by }
    }

    fn broken(&self, source: io::Error) -> SendError {
        SendError::Broken { sent: self.moved, of: self.len, source }
    }

    fn stopped(&self, why: Stopped) -> SendError {
        match why {
            Stopped::Ended => {
                let to = self.cut_to().unwrap_or(self.offset + self.taken);
                self.truncated(to, None)
            }
            Stopped::File(e) => SendError::File(e),
            Stopped::Socket(e) => self.broken(e),
            Stopped::Ring(e) => SendError::Ring(e),
        }
    }
}
