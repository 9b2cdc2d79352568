//! The loop around a live trace: drain, checkpoint, and know when to stop.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::child;
use crate::bpf::{LoadError, MapEntries};
use crate::pipeline::Pipeline;
use crate::source::{Consume, Live, LiveError};

/// Between two looks at the ring.
pub(super) const DRAIN: Duration = Duration::from_millis(5);
/// Barriers per drain: every so many drains, transfers that are over become visible.
const CHECKPOINT_EVERY: u32 = 8;

/// Looks at the ring, again and again.
#[derive(Debug, Default)]
pub(super) struct Beat(u32);

impl Beat {
    /// Drains; answers whether there was a barrier too.
    pub(super) fn look(&mut self, live: &mut Live, consume: &mut Consume<'_>) -> anyhow::Result<bool> {
        live.drain(consume).map_err(live_failure)?;
        self.0 = self.0.wrapping_add(1);
        let barrier = self.0.is_multiple_of(CHECKPOINT_EVERY);
        if barrier {
            live.checkpoint(consume).map_err(live_failure)?;
        }
        Ok(barrier)
    }
}

/// When a capture ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) duration: Option<Duration>,
    /// Once the traced processes are gone: how long to wait for open windows.
    pub(super) linger: Duration,
    /// End when no filtered process is left.
    pub(super) until_gone: bool,
}

/// Why a capture ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cause {
    /// A signal, or whoever watches.
    #[default]
    Asked,
    /// The time is over.
    Time,
    /// What was traced is gone.
    Gone,
}

/// How a capture ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Why.
    pub(super) cause: Cause,
    /// The command's exit, where there was one.
    pub(super) command: Option<std::process::ExitStatus>,
    /// What was left in the kernel's maps.
    pub(super) entries: MapEntries,
}

/// Live errors with the right exit code.
pub(super) fn live_failure(e: LiveError) -> anyhow::Error {
    match e {
        LiveError::Load(e @ LoadError::Object(_)) => anyhow::Error::from(e),
        LiveError::Load(e) => Failure::cannot(e.to_string()),
        LiveError::Consumer(e) => e,
        LiveError::Counters(e) => anyhow::Error::from(e),
    }
}

/// A single-threaded runtime: one consumer, no locks.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// Ends a trace of actors that are done.
pub(super) fn wind_down(live: &mut Live, consume: &mut Consume<'_>) -> anyhow::Result<()> {
    // The last frees may be parked on another CPU for a moment.
    for _ in 0..40 {
        live.checkpoint(consume).map_err(live_failure)?;
        if live.entries().heads == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    live.stop(consume).map_err(live_failure)
}

/// Is asked after every drain whether that is enough.
pub(super) type Enough<'a> = dyn FnMut(&mut Pipeline) -> bool + 'a;

/// Runs until a limit, a signal, `enough`, or the end of what is traced. Without `enough` nobody watches, and
/// it is said when it is ready.
pub(super) async fn capture(
    live: &mut Live,
    pipeline: &mut Pipeline,
    mut command: Option<std::process::Child>,
    limits: Limits,
    mut enough: Option<&mut Enough<'_>>,
) -> anyhow::Result<Ended> {
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut hup = signal(SignalKind::hangup())?;
    // Whatever happens from here on, the recording has its header.
    pipeline.flush()?;
    if enough.is_none() {
        eprintln!("zctrace: ready");
    }
    if let Some(command) = &command {
        child::go(command)?;
    }
    let mut tick = tokio::time::interval(DRAIN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut gone: Option<Instant> = None;
    let mut ended = Ended::default();
    let mut beat = Beat::default();
    loop {
        let stop = tokio::select! {
            _ = tick.tick() => false,
            _ = int.recv() => true,
            _ = term.recv() => true,
            _ = hup.recv() => true,
        };
        if beat.look(live, &mut |bytes: &[u8]| pipeline.frame(bytes))? {
            pipeline.flush()?;
            if let Some(running) = &mut command
                && let Some(status) = running.try_wait().context("waiting for the command")?
            {
                ended.command = Some(status);
                command = None;
            }
            if gone.is_none() && limits.until_gone && command.is_none() && live.alive.is_empty() {
                gone = Some(Instant::now());
            }
            if let Some(since) = gone
                && (pipeline.open_windows() == 0 || since.elapsed() >= limits.linger)
            {
                ended.cause = Cause::Gone;
                break;
            }
        }
        let stop = stop || enough.as_mut().is_some_and(|enough| enough(pipeline));
        if stop {
            break;
        }
        if limits.duration.is_some_and(|d| began.elapsed() >= d) {
            ended.cause = Cause::Time;
            break;
        }
    }
    if let Some(mut running) = command {
        child::terminate(&running);
        ended.command = running.wait().ok();
    }
    live.stop(&mut |bytes: &[u8]| pipeline.frame(bytes)).map_err(live_failure)?;
    ended.entries = live.entries();
    Ok(ended)
}
