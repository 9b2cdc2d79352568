//! What to trace: evaluated in the kernel, so that what does not match costs no event.

use bytemuck::{Pod, Zeroable};

/// Bits of [`Config::flags`].
pub mod flag {
    /// Only processes in the `PIDS` map.
    pub const BY_PID: u32 = 1;
    /// Children of followed processes are followed.
    pub const FOLLOW: u32 = 2;
    /// Only tasks named `comm`.
    pub const BY_COMM: u32 = 4;
    /// Only tasks in `cgroup`.
    pub const BY_CGROUP: u32 = 8;
    /// Only the files in the `FILES` map.
    pub const BY_FILE: u32 = 16;
    /// Only sockets with `port` at either end.
    pub const BY_PORT: u32 = 32;
    /// BPF-side diagnostics through aya-log.
    pub const LOG: u32 = 64;
}

/// Values of [`Config::fingerprint`]: how the content of lent pages is checked.
pub mod fingerprint {
    /// Not at all.
    pub const OFF: u32 = 0;
    /// A few pages, see [`super::SAMPLE`].
    pub const SAMPLE: u32 = 1;
    /// All of them.
    pub const FULL: u32 = 2;
}

/// Where the top four bits of a 64-bit number begin: where they are 0 in a hash of a page's address by a
/// secret factor, the page is a sample. That is one page in 16.
pub const SAMPLE: u32 = 60;

/// Words of a page, each with a secret factor of this trace.
pub const KEYS: usize = 512;

/// Ranges of return addresses, `[start, end)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

/// One read-only global of the BPF object.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Config {
    /// `flag::*`
    pub flags: u32,
    /// zctrace itself is never traced.
    pub self_tgid: u32,
    /// Bit `1 << op::X`: trace that API.
    pub ops: u32,
    /// For [`flag::BY_PORT`], host order.
    pub port: u16,
    /// 0.
    pub pad: u16,
    /// For [`flag::BY_CGROUP`].
    pub cgroup: u64,
    /// For [`flag::BY_COMM`], NUL-padded.
    pub comm: [u8; 16],
    /// Functions that free an skb head; all zero: not known, do not filter by call site.
    pub free_head: [Range; 6],
    /// `free_pipe_info()`, which may free by a tail call, and its callers.
    pub free_pipe: [Range; 4],
    /// Address of `copy_splice_read()`, 0 when not known.
    pub copy_splice_read: u64,
    /// `fingerprint::*`
    pub fingerprint: u32,
    /// 0.
    pub pad2: u32,
}
