//! A tracer of this process's own sends, on a thread of its own: what it sees must be taken out of the ring
//! whether the program asks or not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use zctrace_common::config::{Config, flag};
use zctrace_common::frame;
use zctrace_common::kernel::op;
use zctrace_common::user::kind;

use crate::bpf::Options;
use crate::model::{Fact, Mode, Mutation, MutationId, Transfer};
use crate::pipeline::Pipeline;
use crate::sink::Collect;
use crate::source::{Asked, Live, LiveError};

/// Bytes of the ring: only this process's splices are in it.
const RING: u32 = 4 << 20;
/// Between looks at the ring while something is being sent, and otherwise.
const BUSY: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(20);
/// Barriers: every so many looks.
const CHECKPOINT_EVERY: u32 = 4;

/// What is known of one send.
#[derive(Debug, Default)]
pub(super) struct Seen {
    cookie: u64,
    since_ns: u64,
    pub(super) transfers: Vec<Transfer>,
    pub(super) mutations: BTreeMap<MutationId, Mutation>,
}

#[derive(Default)]
struct State {
    watches: BTreeMap<u64, Seen>,
    next: u64,
    passed_ns: u64,
    /// The last barrier at which a transfer was open.
    open_ns: u64,
    failed: Option<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Traces the sends of this process, and nothing else. Clones are the same tracer; it ends with the last.
#[derive(Clone)]
pub struct Tracer {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    full: bool,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("full", &self.inner.full).finish_non_exhaustive()
    }
}

impl Tracer {
    /// Attaches to the kernel. `contents`: how much of what is lent is compared.
    ///
    /// # Errors
    /// When privileges are missing or this kernel cannot be traced.
    pub fn start(contents: Mode) -> Result<Self, LiveError> {
        let shared = Arc::new(Shared::default());
        let (told, hears) = sync_channel(1);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("zctrace-send".into())
            .spawn(move || run(contents, &for_thread, &told))
            .map_err(|e| LiveError::Consumer(e.into()))?;
        let started = hears.recv();
        let inner = |full| Inner { shared, thread: Some(thread), full };
        match started {
            Ok(Ok(full)) => Ok(Self { inner: Arc::new(inner(full)) }),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(LiveError::Consumer(anyhow::anyhow!("the tracer's thread ended"))),
        }
    }

    /// Whether every page that is lent is compared.
    #[must_use]
    pub fn compares_all(&self) -> bool {
        self.inner.full
    }

    /// Follows what is sent to the socket of this cookie from now on.
    pub(super) fn watch(&self, cookie: u64, since_ns: u64) -> Watch {
        let mut state = self.inner.shared.lock();
        let id = state.next;
        state.next += 1;
        state.watches.insert(id, Seen { cookie, since_ns, ..Seen::default() });
        drop(state);
        self.unpark();
        Watch { tracer: self.clone(), id }
    }

    fn unpark(&self) {
        self.inner.thread.as_ref().map(JoinHandle::thread).map(Thread::unpark);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been told on stderr.
            let _ = thread.join();
        }
    }
}

/// One send that is followed.
pub(super) struct Watch {
    pub(super) tracer: Tracer,
    id: u64,
}

/// What a watch shows now.
pub(super) struct Look<'a> {
    pub(super) seen: &'a Seen,
    /// Everything until then has been seen, or is stated as lost.
    pub(super) passed_ns: u64,
    /// For so long no transfer was open, of any send.
    pub(super) idle_ns: u64,
    /// Why there will be nothing more.
    pub(super) failed: Option<&'a str>,
}

impl Watch {
    pub(super) fn look<T>(&self, with: impl FnOnce(&Look<'_>) -> T) -> T {
        let state = self.tracer.inner.shared.lock();
        let nothing = Seen::default();
        let seen = state.watches.get(&self.id).unwrap_or(&nothing);
        let failed = state.failed.as_deref();
        let idle_ns = state.passed_ns.saturating_sub(state.open_ns);
        with(&Look { seen, passed_ns: state.passed_ns, idle_ns, failed })
    }

    /// Returns when there may be something new, or after that time.
    pub(super) fn wait(&self, limit: Duration) {
        let shared = &self.tracer.inner.shared;
        let _ = shared.changed.wait_timeout(shared.lock(), limit);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tracer.inner.shared.lock().watches.remove(&self.id);
    }
}

fn options(contents: Mode) -> Options {
    let pid = std::process::id();
    let (ops, fingerprint) = (1 << op::URING_SPLICE, contents.number());
    let config = Config { flags: flag::BY_PID, ops, fingerprint, ..Config::default() };
    Options { config, ring_bytes: RING, pids: vec![pid], files: Vec::new(), trace_self: true }
}

fn run(contents: Mode, shared: &Shared, told: &SyncSender<Result<bool, LiveError>>) {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
    let asked = Asked { words: vec!["send".into()], ..Asked::default() };
    let started = Live::start(&options(contents), asked, &mut |b: &[u8]| pipeline.frame(b));
    let mut live = match started {
        Ok(live) => live,
        Err(e) => {
            let _ = told.send(Err(e));
            return;
        }
    };
    let _ = told.send(Ok(live.info.fingerprint.mode == Mode::Full));
    if let Err(e) = follow(&mut live, &mut pipeline, &facts, shared) {
        shared.lock().failed = Some(e.to_string());
        shared.changed.notify_all();
    }
}

fn follow(
    live: &mut Live,
    pipeline: &mut Pipeline,
    facts: &Collect,
    shared: &Shared,
) -> Result<(), LiveError> {
    let mut looks = 0u32;
    let mut passed_ns = 0;
    while !shared.stop.load(Ordering::Acquire) {
        let mut consume = |bytes: &[u8]| {
            if let Some((header, _)) = frame::split(bytes)
                && header.kind == kind::CHECKPOINT
            {
                passed_ns = header.ts;
            }
            pipeline.frame(bytes)
        };
        live.drain(&mut consume)?;
        looks = looks.wrapping_add(1);
        let barrier = looks.is_multiple_of(CHECKPOINT_EVERY);
        if barrier {
            live.checkpoint(&mut consume)?;
        }
        let mut state = shared.lock();
        for fact in facts.take() {
            hand_out(&mut state, fact);
        }
        state.passed_ns = passed_ns;
        if pipeline.open_windows() > 0 {
            state.open_ns = passed_ns;
        }
        let pause = if state.watches.is_empty() { IDLE } else { BUSY };
        drop(state);
        if barrier {
            shared.changed.notify_all();
        }
        std::thread::park_timeout(pause);
    }
    Ok(())
}

fn hand_out(state: &mut State, fact: Fact) {
    match fact {
        Fact::Transfer(t) => {
            let cookie = t.socket.as_ref().and_then(|s| s.cookie);
            let wanted = |s: &&mut Seen| Some(s.cookie) == cookie && t.submit_ns >= s.since_ns;
            if let Some(seen) = state.watches.values_mut().rev().find(wanted) {
                seen.transfers.push(*t);
            }
        }
        // Stated after every transfer that it hit.
        Fact::Mutation(m) => {
            for seen in state.watches.values_mut() {
                if seen.transfers.iter().any(|t| t.mutations.contains(&m.id)) {
                    seen.mutations.insert(m.id, (*m).clone());
                }
            }
        }
        Fact::Trace(_) | Fact::Loss(_) => {}
    }
}
