//! The frame header, and copying payloads out of bytes.

use bytemuck::{Pod, Zeroable};

/// First bytes of every frame, live and recorded. Little endian on every architecture we run on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// One of the `kind::*` numbers.
    pub kind: u16,
    /// Bytes of the whole frame, this header included.
    pub len: u16,
    /// CPU that stated it; [`USER_CPU`] for frames added by the loader.
    pub cpu: u32,
    /// Per-CPU sequence number, from 1. It advances even when the ring is full.
    pub seq: u64,
    /// CLOCK_MONOTONIC, nanoseconds, taken after the ring slot was reserved.
    pub ts: u64,
    /// `bpf_get_current_pid_tgid()`: tgid in the upper half, tid in the lower.
    pub task: u64,
}

/// The number, unique in a trace, of what a frame introduces.
#[inline(always)]
#[must_use]
pub const fn id(cpu: u32, seq: u64) -> u64 {
    ((cpu as u64) << 48) | seq
}

impl Header {
    /// The number, unique in a trace, of what this frame introduces.
    #[must_use]
    pub const fn id(&self) -> u64 {
        id(self.cpu, self.seq)
    }
}

/// `cpu` of frames that did not come from a BPF program.
pub const USER_CPU: u32 = u32::MAX;

/// Bytes of a [`Header`].
pub const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 32);

/// Copies a `T` out of `bytes`: a short slice is zero-extended, a long one cut.
#[must_use]
pub fn read<T: Pod>(bytes: &[u8]) -> T {
    let mut value = T::zeroed();
    let to = bytemuck::bytes_of_mut(&mut value);
    let n = if bytes.len() < to.len() { bytes.len() } else { to.len() };
    if let (Some(to), Some(from)) = (to.get_mut(..n), bytes.get(..n)) {
        to.copy_from_slice(from);
    }
    value
}

/// Splits the frame at the start of `bytes` into header and payload.
///
/// `None` when fewer bytes are there than the header claims, or the claim is impossible.
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header: Header = read(bytes.get(..HEADER)?);
    let payload = bytes.get(HEADER..usize::from(header.len))?;
    Some((header, payload))
}
