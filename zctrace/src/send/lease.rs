//! A read lease: while it is there, nobody has the file open for writing, and nobody has cut it.
//!
//! The owner of a file may take one without privileges, on file systems of this machine, if nobody has
//! it open for writing. Who then opens it so waits until the lease is given back. A thread does that within
//! [`LOOK`], whatever the program does; from then on nothing is promised.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::sys;

/// For so long at most a writer waits.
const LOOK: Duration = Duration::from_millis(5);

/// A lease on a file, while it lasts.
pub(super) struct Lease {
    held: Arc<Held>,
    thread: Option<JoinHandle<()>>,
}

struct Held {
    /// Opened for this: a lease belongs to all copies of a descriptor.
    file: File,
    whole: AtomicBool,
    over: AtomicBool,
}

impl Held {
    fn look(&self) -> bool {
        if self.whole.load(Ordering::Acquire) && !sys::leased(&self.file) {
            // First: who is let in must not be missed.
            self.whole.store(false, Ordering::Release);
            sys::unlease(&self.file);
        }
        self.whole.load(Ordering::Acquire)
    }
}

impl Lease {
    /// `None` where there can be none.
    pub(super) fn take(file: &File) -> Option<Self> {
        let own = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        sys::lease(&own).ok()?;
        let held = Arc::new(Held { file: own, whole: AtomicBool::new(true), over: AtomicBool::new(false) });
        let watched = Arc::clone(&held);
        let watch = move || {
            while !watched.over.load(Ordering::Acquire) && watched.look() {
                std::thread::park_timeout(LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("zctrace-lease".into()).spawn(watch).ok()?;
        Some(Self { held, thread: Some(thread) })
    }

    /// Whether nobody has opened the file for writing since. If somebody wants to, they may now.
    pub(super) fn look(&self) -> bool {
        self.held.look()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.held.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        // With the last descriptor of it the lease is gone.
    }
}
