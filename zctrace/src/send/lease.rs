//! A read lease: while it is there, nobody has the file open for writing, and nobody has cut it.
//!
//! The owner of a file may take one without privileges, on file systems of this machine, if nobody has
//! it open for writing. Who then opens it so waits until the lease is given back, which happens at the
//! next look; from then on nothing is promised.

use std::fs::File;
use std::sync::Arc;

use super::sys;

/// A lease on a file, while it lasts.
#[derive(Debug)]
pub(super) struct Lease {
    file: Arc<File>,
    whole: bool,
}

impl Lease {
    /// `None` where there can be none.
    pub(super) fn take(file: &Arc<File>) -> Option<Self> {
        sys::lease(&**file).ok()?;
        Some(Self { file: Arc::clone(file), whole: true })
    }

    /// Whether nobody has opened the file for writing since. If somebody wants to, they may now.
    pub(super) fn look(&mut self) -> bool {
        if self.whole && !sys::leased(&*self.file) {
            self.whole = false;
            sys::unlease(&*self.file);
        }
        self.whole
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.whole {
            sys::unlease(&*self.file);
        }
    }
}
