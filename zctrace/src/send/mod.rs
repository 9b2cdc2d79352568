//! A send that is complete when the file may be changed: what the mail that started this project asks for.
//!
//! [`Transmission::submit`] takes a file up and gives it to a socket, by splices of an io_uring; nothing is
//! copied. [`Pending::poll`] and [`Pending::wait`] answer at *step 2*, when the kernel will not read these
//! pages again, and say what that rests on: with a [`Tracer`] on the release of every page, without one on
//! the best that the kernel tells anybody. `docs/send.md` says what each of them promises.
//!
//! ```no_run
//! use std::fs::File;
//! use std::net::TcpStream;
//! use zctrace::model::Mode;
//! use zctrace::send::{Certainty, Tracer, Transmission};
//!
//! let tracer = Tracer::start(Mode::Off)?;
//! let file = File::open("site.tar")?;
//! let socket = TcpStream::connect("192.0.2.1:80")?;
//! let len = file.metadata()?.len();
//! let mut pending = Transmission::traced(&tracer).submit(&file, 0, len, &socket)?;
//! // From here on whatever is done to the file is found out.
//! if let Some(done) = pending.wait(None)? {
//!     assert_eq!(done.bytes_are, Certainty::Certain);
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```

mod conclude;
mod lease;
mod mover;
mod peer;
mod pending;
mod pipes;
mod ring;
mod said;
mod stamp;
mod sys;
mod tracer;

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

pub use pending::Pending;
pub use said::{Certainty, Completion, Evidence, MayDiffer, NotPromised, Progress, SendError, Traced};
pub use tracer::Tracer;

use peer::{Kind, Socket};

/// Bytes of a datagram that every path takes.
const DATAGRAM: u32 = 1200;
/// Bytes that are taken up at once: so much of the page cache cannot be reclaimed meanwhile.
const AHEAD: u64 = 256 << 20;
/// The same where bytes are copied, which takes memory.
const AHEAD_COPIED: u64 = 64 << 20;
/// The same where nobody watches: taking up more makes nothing certain.
const AHEAD_UNTRACED: u64 = 1 << 20;

/// How to send.
#[derive(Clone, Debug, Default)]
pub struct Transmission {
    tracer: Option<Tracer>,
    copy_if_unsure: bool,
    ahead: Option<u64>,
    datagram: Option<u32>,
}

impl Transmission {
    /// Without a tracer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one.
    #[must_use]
    pub fn traced(tracer: &Tracer) -> Self {
        Self { tracer: Some(tracer.clone()), ..Self::default() }
    }

    /// Without a tracer nothing is lent: the bytes are copied, and may be changed as soon as they are.
    #[must_use]
    pub fn copy_if_unsure(mut self, copy: bool) -> Self {
        self.copy_if_unsure = copy;
        self
    }

    /// Bytes that are taken up by the submission; what is beyond is taken up as it is sent.
    #[must_use]
    pub fn ahead(mut self, bytes: u64) -> Self {
        self.ahead = Some(bytes);
        self
    }

    /// Bytes of each datagram, where datagrams are sent; otherwise 1200.
    #[must_use]
    pub fn datagram(mut self, bytes: u32) -> Self {
        self.datagram = Some(bytes.max(1));
        self
    }

    /// Submits `len` bytes at `offset`. Returns when they are taken up (or `ahead` bytes of them): from then on
    /// no change to the file is part of what was submitted. That may take as long as reading them does; it
    /// never waits for the peer.
    ///
    /// # Errors
    /// When the file is too short or cannot be read, the socket is not connected or of another kind, or
    /// io_uring cannot be used.
    pub fn submit(
        &self,
        file: impl AsFd,
        offset: u64,
        len: u64,
        socket: impl AsFd,
    ) -> Result<Pending, SendError> {
        let file = Arc::new(File::from(file.as_fd().try_clone_to_owned().map_err(SendError::File)?));
        let socket = Arc::new(socket.as_fd().try_clone_to_owned().map_err(SendError::NotASocket)?);
        let peer = Socket::of(&socket)?;
        let copy = self.tracer.is_none() && self.copy_if_unsure;
        let ahead = match &self.tracer {
            Some(_) => AHEAD,
            None if copy => AHEAD_COPIED,
            None => AHEAD_UNTRACED,
        };
        let ahead = self.ahead.unwrap_or(ahead);
        let datagram = (peer.kind == Kind::Udp).then(|| self.datagram.unwrap_or(DATAGRAM));
        let job = mover::Job { file, socket, offset, len, ahead, datagram, copy };
        Pending::submit(job, peer, self.tracer.as_ref())
    }
}
