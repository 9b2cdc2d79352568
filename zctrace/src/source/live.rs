//! Frames of the running kernel, with the barriers and losses that make their absence meaningful.
//!
//! The ring is polled. A checkpoint says: everything up to its time has been delivered or is
//! counted as lost. It takes the time, then each CPU's produced count, then drains until that many
//! frames have come or are counted lost; a frame whose sequence number is taken later has a later
//! time, because the time is taken after the ring slot.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aya::maps::MapError;
use bytemuck::cast_slice;
use zctrace_common::frame::{self, USER_CPU};
use zctrace_common::kernel::{self, OpEnter, Proc, proc_what};
use zctrace_common::user::{Cgroup, Checkpoint, Loss, Running, RunningChange, Start, Stop, kind, loss};

use super::cgroup::Cgroups;
use super::clock::{monotonic_ns, realtime_ns};
use crate::bpf::{Counters, LoadError, Loaded, MapEntries, Options, lost_since};
use crate::event;
use crate::model::{Shown, TraceInfo};

/// A checkpoint that cannot be completed in this time is left out; the next one covers it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why live tracing stopped.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The kernel half did not start.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A counter could not be read.
    #[error("reading BPF counters: {0}")]
    Counters(#[from] MapError),
    /// The consumer of the frames gave up.
    #[error(transparent)]
    Consumer(anyhow::Error),
}

/// What the user asked to see, for the trace's header.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Filters in words.
    pub words: Vec<String>,
    /// Filters on finished transfers.
    pub shown: Shown,
}

/// Takes one frame.
pub type Consume<'a> = dyn FnMut(&[u8]) -> anyhow::Result<()> + 'a;

/// The running kernel.
pub struct Live {
    loaded: Loaded,
    /// Header of the trace.
    pub info: TraceInfo,
    cgroups: Cgroups,
    seq: u64,
    delivered: u64,
    reported: Counters,
    last_checkpoint: u64,
    /// Losses may straddle a barrier: the checkpoint after a lossy one is lossy too.
    lossy: BTreeSet<u32>,
    /// Frames were lost: the next checkpoint says which calls are still running.
    recount: bool,
    /// Filtered processes that are alive.
    pub alive: BTreeSet<u32>,
}

impl Live {
    /// Attaches and states the trace's header.
    ///
    /// # Errors
    /// When the kernel half does not start, or the consumer refuses.
    pub fn start(options: &Options, asked: Asked, consume: &mut Consume<'_>) -> Result<Self, LiveError> {
        let loaded = Loaded::new(options)?;
        let (mono_ns, real_ns) = (monotonic_ns(), realtime_ns());
        let uname = rustix::system::uname();
        let info = TraceInfo {
            part: 0,
            series: None,
            tool: concat!("zctrace ", env!("CARGO_PKG_VERSION")).into(),
            host: uname.nodename().to_string_lossy().into_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            start_ns: mono_ns,
            start_realtime_ns: real_ns,
            filters: asked.words,
            shown: asked.shown,
            probes: loaded.probes.clone(),
            fingerprint: loaded.fingerprint.clone(),
        };
        let mut live = Self {
            loaded,
            info,
            cgroups: Cgroups::new(),
            seq: 0,
            delivered: 0,
            reported: Counters::default(),
            last_checkpoint: mono_ns,
            lossy: BTreeSet::new(),
            recount: false,
            alive: options.pids.iter().copied().collect(),
        };
        let start = Start { mono_ns, real_ns };
        let text = serde_json::to_vec(&live.info).unwrap_or_default();
        live.state(kind::START, mono_ns, &start, &text, consume)?;
        Ok(live)
    }

    fn state(
        &mut self,
        kind: u16,
        ts: u64,
        body: &impl bytemuck::Pod,
        text: &[u8],
        consume: &mut Consume<'_>,
    ) -> Result<(), LiveError> {
        self.seq += 1;
        consume(&event::user_frame(kind, self.seq, ts, body, text)).map_err(LiveError::Consumer)
    }

    /// Hands on every frame that is in the ring. Answers how many.
    ///
    /// # Errors
    /// When the consumer refuses one.
    pub fn drain(&mut self, consume: &mut Consume<'_>) -> Result<u64, LiveError> {
        let mut n = 0;
        let mut named = Vec::new();
        while let Some(item) = self.loaded.ring.next() {
            n += 1;
            if let Some((header, body)) = frame::split(&item) {
                match header.kind {
                    kernel::kind::OP_ENTER => {
                        let id = frame::read::<OpEnter>(body).cgroup;
                        if let Some(path) = self.cgroups.first(id) {
                            named.push((id, header.ts, path));
                        }
                    }
                    kernel::kind::PROC => {
                        let proc: Proc = frame::read(body);
                        if proc.what == proc_what::EXIT {
                            self.alive.remove(&proc.pid);
                        } else {
                            self.alive.insert(proc.pid);
                        }
                    }
                    _ => {}
                }
            }
            consume(&item).map_err(LiveError::Consumer)?;
        }
        self.loaded.print_log();
        self.delivered += n;
        for (id, ts, path) in named {
            self.state(kind::CGROUP, ts, &Cgroup { id }, path.as_bytes(), consume)?;
        }
        Ok(n)
    }

    /// A barrier at the present time.
    ///
    /// # Errors
    /// When counters cannot be read, or the consumer refuses.
    pub fn checkpoint(&mut self, consume: &mut Consume<'_>) -> Result<(), LiveError> {
        let ts = monotonic_ns();
        let began = Instant::now();
        // Before the counters: what is not in the list has been stated by then.
        let running = self.recount.then(|| self.loaded.running());
        let mut now = self.loaded.counters(true)?;
        let produced: u64 = now.produced.iter().sum();
        loop {
            let n = self.drain(consume)?;
            if self.delivered + now.lost.iter().sum::<u64>() >= produced {
                break;
            }
            if n == 0 {
                if began.elapsed() > PATIENCE {
                    return Ok(());
                }
                now.lost = self.loaded.counters(false)?.lost;
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        if let Some(running) = running {
            self.recount = false;
            self.running(ts, &running, consume)?;
        }
        self.losses(ts, &now, consume)?;
        let body = Checkpoint { delivered: self.delivered, lost: now.lost.iter().sum() };
        self.state(kind::CHECKPOINT, ts, &body, &[], consume)?;
        self.last_checkpoint = ts;
        self.reported = now;
        Ok(())
    }

    fn losses(&mut self, ts: u64, now: &Counters, consume: &mut Consume<'_>) -> Result<(), LiveError> {
        let before = &self.reported;
        let mut found = Vec::new();
        for (cpu, lost) in (0u32..).zip(&now.lost) {
            let old = before.lost.get(cpu as usize).copied().unwrap_or(0);
            found.push((loss::RING, cpu, lost.saturating_sub(old)));
        }
        found.push((loss::LEARN_MISS, USER_CPU, lost_since(&now.learn, &before.learn)));
        found.push((loss::FREE_MISS, USER_CPU, lost_since(&now.free, &before.free)));
        found.push((loss::WATCH_MISS, USER_CPU, lost_since(&now.watch, &before.watch)));
        found.push((loss::MAP_FULL, USER_CPU, now.map_full.saturating_sub(before.map_full)));
        let was = std::mem::take(&mut self.lossy);
        for (what, cpu, records) in found {
            if records == 0 && !was.contains(&what) {
                continue;
            }
            if records != 0 {
                self.lossy.insert(what);
                self.recount |= what == loss::RING;
            }
            let body = Loss { what, cpu, from_ns: self.last_checkpoint, records };
            self.state(kind::LOSS, ts, &body, &[], consume)?;
        }
        Ok(())
    }

    fn running(
        &mut self,
        ts: u64,
        all: &[RunningChange],
        consume: &mut Consume<'_>,
    ) -> Result<(), LiveError> {
        const MOST: usize = 2048;
        let mut parts: Vec<_> = all.chunks(MOST).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let last = parts.len() - 1;
        for (i, part) in parts.into_iter().enumerate() {
            let count = u32::try_from(part.len()).unwrap_or(u32::MAX);
            let body = Running { count, more: u32::from(i < last) };
            self.state(kind::RUNNING, ts, &body, cast_slice(part), consume)?;
        }
        Ok(())
    }

    /// Detaches, hands on what is left, and states the end.
    ///
    /// # Errors
    /// When counters cannot be read, or the consumer refuses.
    pub fn stop(&mut self, consume: &mut Consume<'_>) -> Result<(), LiveError> {
        self.loaded.detach();
        self.checkpoint(consume)?;
        let lost = self.reported.lost.iter().sum();
        let body = Stop { produced: self.reported.produced.iter().sum(), delivered: self.delivered, lost };
        self.state(kind::STOP, monotonic_ns(), &body, &[], consume)
    }

    /// What this kernel lacks, in words.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.loaded.notes
    }

    /// Entries in each kernel map.
    #[must_use]
    pub fn entries(&self) -> MapEntries {
        self.loaded.entries()
    }

    /// Traces another process from now on.
    ///
    /// # Errors
    /// When the filter map is full.
    pub fn add_pid(&mut self, pid: u32) -> Result<(), LiveError> {
        self.loaded.add_pid(pid)?;
        self.alive.insert(pid);
        Ok(())
    }
}
