//! What a page holds, as a number: the only code that looks at content.
//!
//! A `struct page` leads to its bytes through the direct map, at an address that the loader found and
//! verified (`CONTENT`); without it nothing is read. The number is a sum over the bytes, so that those
//! of two pieces add up to that of both, however packets cut a page. Factors are secret to the trace:
//! nobody can make two contents that look alike.

use core::{
    hint::black_box,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel, bpf_probe_read_user};
use zctrace_common::{
    config::{KEYS, SAMPLE, fingerprint},
    kernel::Print,
};

use crate::{
    emit,
    globals::cfg_get,
    maps::{CONTENT, SCRATCH},
    print::{Cached, Frags},
    skb::Frag,
};

/// `PAGE_SIZE`
pub const PAGE: u32 = 4096;
/// Bytes that are summed in one go.
const BLOCK: u32 = 512;
const WORDS: usize = BLOCK as usize / 8;
/// The largest `CONFIG_MAX_SKB_FRAGS`.
pub const MAX_FRAGS: usize = 45;
/// Of programs that interrupt each other on a CPU.
const LEVELS: u32 = 4;

/// What the loader tells. Not a constant of the program: the verifier would tell its states apart by
/// every factor.
#[repr(C)]
pub struct Content {
    /// `content of a page = direct + 64 * struct page`; 0: not known.
    pub direct: u64,
    /// Secret factors, one for each word of a page.
    keys: [u64; KEYS],
}

/// Room to work in. One for each program that may be at work on a CPU at once.
#[repr(C)]
pub struct Scratch {
    busy: u64,
    /// Which of them this is.
    level: u64,
    direct: u64,
    /// Which pages are samples.
    pick: u64,
    /// What is stated next.
    pub print: Print,
    pub frags: Frags,
    /// `skb_shared_info.frags`, read at once.
    pub all: [Frag; MAX_FRAGS],
    pub cached: Cached,
    /// `xa_node.slots`, read at once.
    pub slots: [u64; 64],
    /// A `struct page`, as it was read.
    pub page: [u64; 8],
    /// A page. As much again, because the verifier knows an offset and a length only by their limits.
    words: [u64; 2 * KEYS],
}

/// Whether content is looked at in this trace.
#[inline(always)]
pub fn is_on() -> bool {
    cfg_get!(fingerprint) != fingerprint::OFF
}

/// Whether every page is.
#[inline(always)]
pub fn is_full() -> bool {
    cfg_get!(fingerprint) == fingerprint::FULL
}

/// The room of this number.
#[inline(always)]
pub fn room(level: u32) -> Option<&'static mut Scratch> {
    Some(unsafe { &mut *SCRATCH.get_ptr_mut(level)? })
}

/// Room that no program on this CPU works in. `None`: then nothing is stated, and nobody claims
/// anything of these bytes.
#[inline(always)]
pub fn enter() -> Option<(u32, &'static mut Scratch)> {
    let content = CONTENT.get(0)?;
    let (direct, pick) = (content.direct, content.keys[0]);
    if direct == 0 {
        return None;
    }
    for level in 0..LEVELS {
        let scratch = room(level)?;
        if emit::add(&raw mut scratch.busy, 1) == 0 {
            (scratch.level, scratch.direct, scratch.pick) = (u64::from(level), direct, pick);
            return Some((level, scratch));
        }
        emit::add(&raw mut scratch.busy, u64::MAX);
    }
    None
}

/// The room may be used by others.
#[inline(always)]
pub fn leave(level: u32) {
    if let Some(scratch) = room(level) {
        emit::add(&raw mut scratch.busy, u64::MAX);
    }
}

/// A word and its place.
#[inline(always)]
fn term(word: u64, key: u64) -> u64 {
    // The upper half would be weak alone: what it changes in a product, it changes in the upper half.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    word.wrapping_add((word >> 32).wrapping_mul(SPREAD)).wrapping_mul(key)
}

/// Whether this page is looked at, wherever it is met: all of them, or a few that nobody can guess.
#[inline(always)]
pub fn wants(scratch: &Scratch, page: u64) -> bool {
    if cfg_get!(fingerprint) != fingerprint::SAMPLE {
        return true;
    }
    // Neighbours are at even distances in one product, and could all be missed.
    let once = (page >> 6).wrapping_mul(scratch.pick);
    (once ^ once >> 32).wrapping_mul(scratch.pick) >> SAMPLE == 0
}

/// Until the room is entered again.
#[inline(always)]
pub fn want_all(scratch: &mut Scratch) {
    scratch.pick = 0;
}

/// The sum over `len` bytes from `first` on of the page at `page`. `None` when they cannot be read.
#[inline(always)]
pub fn sum(scratch: &mut Scratch, page: u64, first: u32, len: u32) -> Option<u64> {
    if len == 0 || len > PAGE {
        return None;
    }
    clear(scratch, first, len);
    let from = scratch.direct.wrapping_add(page.wrapping_mul(64)).wrapping_add(u64::from(first));
    read(scratch, from, first, len, false)?;
    Some(total(scratch, first, len))
}

/// The sum over `len` bytes of the current process's memory at `addr`, all in one page.
#[inline(always)]
pub fn sum_user(scratch: &mut Scratch, addr: u64, len: u32) -> Option<u64> {
    if len == 0 || len > PAGE {
        return None;
    }
    let first = addr as u32 & (PAGE - 1);
    clear(scratch, first, len);
    read(scratch, addr, first, len, true)?;
    Some(total(scratch, first, len))
}

/// Of the blocks that are not filled, the first and the last.
#[inline(always)]
fn clear(scratch: &mut Scratch, first: u32, len: u32) {
    if len != PAGE {
        let words = (&raw mut scratch.words).cast::<u64>();
        zero(words, first / BLOCK);
        zero(words, (first + len - 1) / BLOCK);
    }
}

#[inline(always)]
fn total(scratch: &Scratch, first: u32, len: u32) -> u64 {
    let (from, to) = (first / BLOCK, (first + len - 1) / BLOCK);
    let mut blocks = Blocks { level: u64::from(scratch.level), first: u64::from(from), sum: 0 };
    unsafe {
        bpf_loop(to - from + 1, block as *mut core::ffi::c_void, (&raw mut blocks).cast(), 0);
    }
    blocks.sum
}

/// What the sum is made of: the verifier goes through one block, not through a page.
#[repr(C)]
struct Blocks {
    level: u64,
    first: u64,
    sum: u64,
}

/// Adds the next block.
extern "C" fn block(n: u64, blocks: *mut Blocks) -> u64 {
    let blocks = unsafe { &mut *blocks };
    let (Some(scratch), Some(secret)) = (room(blocks.level as u32), CONTENT.get(0)) else {
        return 1;
    };
    let at = ((blocks.first + n) as u32 & (PAGE / BLOCK - 1)) as usize * WORDS;
    let words = unsafe { (&raw const scratch.words).cast::<u64>().add(at) };
    let keys = unsafe { (&raw const secret.keys).cast::<u64>().add(at) };
    let word = |i: usize| unsafe { term(read_volatile(words.add(i)), read_volatile(keys.add(i))) };
    let (mut a, mut b) = (0u64, 0u64);
    for i in 0..WORDS / 2 {
        a = a.wrapping_add(word(2 * i));
        b = b.wrapping_add(word(2 * i + 1));
    }
    let sum = a.wrapping_add(b);
    blocks.sum = blocks.sum.wrapping_add(sum);
    0
}

#[inline(always)]
fn zero(words: *mut u64, block: u32) {
    let at = unsafe { words.add((block & (PAGE / BLOCK - 1)) as usize * WORDS) };
    for i in 0..WORDS {
        unsafe { write_volatile(at.add(i), 0) };
    }
}

/// Copies to the same place in `words` as in the page.
#[inline(always)]
fn read(scratch: &mut Scratch, from: u64, first: u32, len: u32, user: bool) -> Option<()> {
    // Limits that the compiler knows already, where the verifier sees them. Linux 6.1 loses the upper half's
    // when it compares the lower half: masked, there is none.
    let (first, len) = (black_box(first) & (PAGE - 1), black_box(len) & (2 * PAGE - 1));
    if len > PAGE {
        return None;
    }
    let to = unsafe { (&raw mut scratch.words).cast::<u8>().add(first as usize) };
    let from = from as *const core::ffi::c_void;
    let failed = unsafe {
        if user {
            bpf_probe_read_user(to.cast(), len, from)
        } else {
            bpf_probe_read_kernel(to.cast(), len, from)
        }
    };
    if failed == 0 { Some(()) } else { None }
}
