//! Fingerprints of lent pages: in the page cache when they are lent, in packets when they go out and
//! when they are let go.
//!
//! What cannot be read, or may be another page by now, is left out: a gap in what is stated is a gap in
//! what can be claimed.

use core::hint::black_box;

use aya_ebpf::helpers::{
    bpf_ktime_get_ns,
    generated::{bpf_loop, bpf_probe_read_kernel},
};
use zctrace_common::kernel::{PRINT_PAGES, Print, kind, when};

use crate::{
    content::{self, PAGE, Scratch},
    emit,
    globals::off,
    kread,
    maps::HeadEnt,
    skb::Frag,
    watch,
};

/// Pages of one call that are looked at before it lends them.
const MOST: u64 = 512;
/// Pieces of one head: frags, cut where pages end.
const PIECES: u32 = 160;

/// Where a walk through frags stands.
#[repr(C)]
pub struct Frags {
    /// `struct page *` of the next byte, and its offset there.
    page: u64,
    off: u32,
    /// Bytes left of this frag.
    left: u32,
    /// Frags, and the next of them.
    count: u32,
    next: u32,
    /// Bytes passed; those from `from` to `to` are wanted.
    pos: u32,
    from: u32,
    to: u32,
    /// 1: somebody holds a reference, so the pages cannot be others by now.
    held: u32,
    /// The last `struct address_space *`, and whose it is.
    mapping: u64,
    ino: u64,
    dev: u32,
    pad: u32,
}

/// Where a walk through the page cache stands.
#[repr(C)]
pub struct Cached {
    mapping: u64,
    /// The next byte, and one past the last.
    off: u64,
    end: u64,
    /// The `struct xa_node *` of the last page, and which 64 pages it has.
    node: u64,
    base: u64,
}

/// What a `struct page` says of itself.
struct Folio {
    /// `struct folio *`
    at: u64,
    flags: u64,
    mapping: u64,
    /// File page of the page that was asked for.
    index: u64,
}

/// Reads the folio that `page` is a part of.
#[inline(always)]
fn folio(scratch: &mut Scratch, page: u64) -> Option<Folio> {
    fetch(scratch, page)?;
    let link = field(scratch, off!(page_head));
    let at = kread::compound_head(page, link);
    if at != page {
        fetch(scratch, at)?;
    }
    let nth = page.wrapping_sub(at) >> 6;
    Some(Folio {
        at,
        flags: field(scratch, off!(folio_flags)),
        mapping: field(scratch, off!(folio_mapping)),
        index: field(scratch, off!(folio_index)).wrapping_add(nth),
    })
}

#[inline(always)]
fn fetch(scratch: &mut Scratch, page: u64) -> Option<()> {
    let to = (&raw mut scratch.page).cast();
    let failed = unsafe { bpf_probe_read_kernel(to, 64, page as *const core::ffi::c_void) };
    if failed == 0 { Some(()) } else { None }
}

#[inline(always)]
fn field(scratch: &Scratch, offset: u32) -> u64 {
    let at = (&raw const scratch.page).cast::<u64>();
    unsafe { at.add(((offset >> 3) & 7) as usize).read_volatile() }
}

/// States the run, if there is one, and begins another.
#[inline(never)]
fn flush(print: &mut Print) -> u64 {
    if print.len != 0 {
        let stamp = emit::stamp();
        if let Some(frame) = emit::reserve::<Print>(kind::PRINT, stamp) {
            // Word by word: a copy at once would become one byte by byte.
            let to = unsafe { (&raw mut (*frame).body).cast::<u64>() };
            let from = (&raw const *print).cast::<u64>();
            for i in 0..size_of::<Print>() / 8 {
                unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
            }
            emit::submit(frame);
        }
    }
    print.len = 0;
    print.count = 0;
    0
}

/// A look begins; if it is added to no run, it is where the next one begins.
#[inline(always)]
fn begun(print: &mut Print) {
    if print.len == 0 {
        print.since = unsafe { bpf_ktime_get_ns() };
    }
}

/// Adds `len` bytes, all in one page, to the run: to a new one where they do not follow it.
#[inline(always)]
fn add(print: &mut Print, (dev, ino): (u32, u64), off: u64, pos: u32, len: u32, sum: u64) {
    let follows = print.len != 0
        && print.ino == ino
        && print.dev == dev
        && print.off.wrapping_add(u64::from(print.len)) == off
        && print.pos.wrapping_add(print.len) == pos;
    let same_page = off & u64::from(PAGE - 1) != 0;
    if !follows || (!same_page && print.count as usize >= PRINT_PAGES) {
        let since = unsafe { bpf_ktime_get_ns() };
        let first = print.len == 0;
        flush(print);
        if !first {
            print.since = since;
        }
        (print.dev, print.ino, print.off, print.pos) = (dev, ino, off, pos);
    }
    let mut at = u32::from(print.count);
    if print.len != 0 && same_page {
        at = at.wrapping_sub(1);
    } else {
        print.count = print.count.wrapping_add(1);
    }
    if at < PRINT_PAGES as u32 {
        let slot = unsafe { (&raw mut print.sums).cast::<u64>().add(at as usize) };
        let before = if print.len != 0 && same_page { unsafe { slot.read_volatile() } } else { 0 };
        unsafe { slot.write_volatile(before.wrapping_add(sum)) };
    }
    print.len = print.len.wrapping_add(len);
}

/// States bytes `[from, to)` of the frags of a head. `held`: the frags still hold their pages.
#[inline(never)]
pub fn frags(head: u64, ent: &HeadEnt, when: u8, range: u64, held: u32) -> u64 {
    let shinfo = head.wrapping_add(u64::from(ent.end));
    let count = u32::from(kread::get::<u8>(shinfo, off!(sh_nr_frags)));
    if count == 0 {
        return 0;
    }
    let Some((level, scratch)) = content::enter() else {
        return 0;
    };
    begin(&mut scratch.print, ent.id, when);
    let from = shinfo.wrapping_add(u64::from(off!(sh_frags)));
    let most = if count < content::MAX_FRAGS as u32 { count } else { content::MAX_FRAGS as u32 };
    let bytes = black_box(most) * size_of::<Frag>() as u32;
    if bytes as usize <= size_of_val(&scratch.all) {
        let to = (&raw mut scratch.all).cast();
        unsafe { bpf_probe_read_kernel(to, bytes, from as *const core::ffi::c_void) };
    }
    scratch.frags = Frags {
        page: 0,
        off: 0,
        left: 0,
        count: most,
        next: 0,
        pos: 0,
        from: range as u32,
        to: (range >> 32) as u32,
        held,
        mapping: 0,
        ino: 0,
        dev: 0,
        pad: 0,
    };
    each(PIECES, piece, level);
    flush(&mut scratch.print);
    content::leave(level);
    0
}

/// `[from, to)` in one argument.
#[inline(always)]
pub fn range(from: u32, to: u32) -> u64 {
    (u64::from(to) << 32) | u64::from(from)
}

#[inline(always)]
fn begin(print: &mut Print, head: u64, when: u8) {
    (print.head, print.when) = (head, when);
    (print.len, print.count, print.pos, print.pad, print.since) = (0, 0, 0, 0, 0);
}

#[inline(always)]
fn each(most: u32, call: extern "C" fn(u64, *const u64) -> u64, level: u32) {
    let mut level = u64::from(level);
    unsafe { bpf_loop(most, call as *mut core::ffi::c_void, (&raw mut level).cast(), 0) };
}

const GO_ON: u64 = 0;
const STOP: u64 = 1;

/// The next piece of a head.
extern "C" fn piece(_: u64, level: *const u64) -> u64 {
    let Some(scratch) = content::room(unsafe { *level } as u32) else {
        return STOP;
    };
    let f = &mut scratch.frags;
    if f.pos >= f.to {
        return STOP;
    }
    if f.left == 0 {
        if f.next >= f.count {
            return STOP;
        }
        let at = f.next as usize;
        if at >= content::MAX_FRAGS {
            return STOP;
        }
        let frag = unsafe { (&raw const scratch.all).cast::<Frag>().add(at).read_volatile() };
        f.next += 1;
        // Bit 0 marks memory that is not a page (net_iov).
        if frag.page & 1 != 0 {
            f.pos = f.pos.wrapping_add(frag.len);
            return GO_ON;
        }
        f.page = frag.page.wrapping_add(u64::from(frag.off >> 12) << 6);
        f.off = frag.off & (PAGE - 1);
        f.left = frag.len;
        if f.left == 0 {
            return GO_ON;
        }
    }
    let room = PAGE - (f.off & (PAGE - 1));
    let mut len = if f.left < room { f.left } else { room };
    let wanted = f.pos >= f.from;
    let limit = if wanted { f.to - f.pos } else { f.from - f.pos };
    len = if len < limit { len } else { limit };
    let (page, first, pos) = (f.page, f.off & (PAGE - 1), f.pos);
    f.pos = f.pos.wrapping_add(len);
    f.left = f.left.wrapping_sub(len);
    f.off = first.wrapping_add(len);
    if f.off >= PAGE {
        f.off = 0;
        f.page = f.page.wrapping_add(64);
    }
    if wanted && sent(scratch, page, first, pos, len).is_none() {
        flush(&mut scratch.print);
    }
    GO_ON
}

#[inline(always)]
fn sent(scratch: &mut Scratch, page: u64, first: u32, pos: u32, len: u32) -> Option<()> {
    if !content::wants(scratch, page) {
        return None;
    }
    let folio = folio(scratch, page)?;
    // Bit 0: PAGE_MAPPING_ANON
    if folio.mapping & 1 != 0 && content::is_full() {
        return anonymous(scratch, page, first, pos, len);
    }
    if folio.mapping == 0 || folio.mapping & 3 != 0 {
        return None;
    }
    if folio.mapping != scratch.frags.mapping {
        let host: u64 = kread::get(folio.mapping, off!(mapping_host));
        (scratch.frags.dev, scratch.frags.ino) = kread::identity(host);
        scratch.frags.mapping = folio.mapping;
    }
    begun(&mut scratch.print);
    let sum = content::sum(scratch, page, first, len)?;
    if scratch.frags.held == 0 && kread::get::<u64>(folio.at, off!(folio_mapping)) != folio.mapping {
        return None;
    }
    let file = (scratch.frags.dev, scratch.frags.ino);
    let off = (folio.index << 12).wrapping_add(u64::from(first));
    add(&mut scratch.print, file, off, pos, len, sum);
    Some(())
}

/// Memory of a process: what it is the packet does not show, only where in its page it begins.
#[inline(always)]
fn anonymous(scratch: &mut Scratch, page: u64, first: u32, pos: u32, len: u32) -> Option<()> {
    begun(&mut scratch.print);
    let sum = content::sum(scratch, page, first, len)?;
    let next = scratch.print.off.wrapping_add(u64::from(scratch.print.len));
    let follows = scratch.print.len != 0 && next as u32 & (PAGE - 1) == first;
    let off = if follows { next } else { u64::from(first) };
    add(&mut scratch.print, (0, 0), off, pos, len, sum);
    Some(())
}

/// States what `len` bytes of the current process's memory hold, of the first pages only. `call`: id of the
/// request that is about to lend them, or 0.
#[inline(never)]
pub fn memory(call: u64, addr: u64, len: u64) -> u64 {
    if !content::is_full() {
        return 0;
    }
    let Some((level, scratch)) = content::enter() else {
        return 0;
    };
    begin(&mut scratch.print, call, when::SUBMIT);
    scratch.cached = Cached { mapping: 0, off: addr, end: addr.wrapping_add(len), node: 0, base: 0 };
    each(MOST as u32, user_page, level);
    flush(&mut scratch.print);
    content::leave(level);
    0
}

/// The next page of the process.
extern "C" fn user_page(_: u64, level: *const u64) -> u64 {
    let Some(scratch) = content::room(unsafe { *level } as u32) else {
        return STOP;
    };
    let c = &mut scratch.cached;
    if c.off >= c.end {
        return STOP;
    }
    let (at, left) = (c.off, c.end - c.off);
    let room = PAGE - (at as u32 & (PAGE - 1));
    let len = if left < u64::from(room) { left as u32 } else { room };
    c.off = at.wrapping_add(u64::from(len));
    begun(&mut scratch.print);
    let Some(sum) = content::sum_user(scratch, at, len) else {
        flush(&mut scratch.print);
        return GO_ON;
    };
    let pos = scratch.print.pos.wrapping_add(scratch.print.len);
    add(&mut scratch.print, (0, 0), at, pos, len, sum);
    GO_ON
}

/// States what the page cache holds of `[off, end)`, of the first pages only. `call`: as in [`memory`].
#[inline(never)]
pub fn cached(call: u64, mapping: u64, off: u64, end: u64, when: u8) -> u64 {
    let host: u64 = kread::get(mapping, off!(mapping_host));
    let size = watch::size(host);
    let end = if end < size { end } else { size };
    if off >= end {
        return 0;
    }
    let Some((level, scratch)) = content::enter() else {
        return 0;
    };
    begin(&mut scratch.print, call, when);
    scratch.cached = Cached { mapping, off, end, node: 0, base: 0 };
    (scratch.frags.dev, scratch.frags.ino) = kread::identity(host);
    each(MOST as u32, page, level);
    flush(&mut scratch.print);
    content::leave(level);
    0
}

/// The next page of the page cache.
extern "C" fn page(_: u64, level: *const u64) -> u64 {
    let Some(scratch) = content::room(unsafe { *level } as u32) else {
        return STOP;
    };
    let c = &mut scratch.cached;
    if c.off >= c.end {
        return STOP;
    }
    let (off, mapping) = (c.off, c.mapping);
    let first = off as u32 & (PAGE - 1);
    let left = c.end - off;
    let room = PAGE - first;
    let len = if left < u64::from(room) { left as u32 } else { room };
    c.off = off.wrapping_add(u64::from(len));
    let entry = lookup(scratch, off >> 12);
    if resident(scratch, entry, mapping, off, len).is_none() {
        flush(&mut scratch.print);
    }
    GO_ON
}

#[inline(always)]
fn resident(scratch: &mut Scratch, entry: u64, mapping: u64, off: u64, len: u32) -> Option<()> {
    // Low bits: a shadow of what was there.
    if entry == 0 || entry & 3 != 0 {
        return None;
    }
    let folio = folio(scratch, entry)?;
    let nth = (off >> 12).wrapping_sub(folio.index);
    // Not read from disk yet: it holds nothing.
    if folio.mapping != mapping || folio.flags >> (off!(pg_uptodate) & 63) & 1 == 0 || nth >= 1 << 20 {
        return None;
    }
    let page = folio.at.wrapping_add(nth << 6);
    if !content::wants(scratch, page) {
        return None;
    }
    begun(&mut scratch.print);
    let sum = content::sum(scratch, page, off as u32 & (PAGE - 1), len)?;
    // It may have been taken away and given to somebody else meanwhile.
    if kread::get::<u64>(folio.at, off!(folio_mapping)) != mapping {
        return None;
    }
    let file = (scratch.frags.dev, scratch.frags.ino);
    let pos = scratch.print.pos.wrapping_add(scratch.print.len);
    add(&mut scratch.print, file, off, pos, len, sum);
    Some(())
}

/// `xa_load()`: the entry of this page.
#[inline(always)]
fn lookup(scratch: &mut Scratch, index: u64) -> u64 {
    if scratch.cached.node != 0 && scratch.cached.base == index >> 6 {
        let entry = slot_of(scratch, index);
        return if is_sibling(entry) { slot_of(scratch, entry >> 2) } else { entry };
    }
    scratch.cached.node = 0;
    let mut entry: u64 = kread::get(scratch.cached.mapping, off!(mapping_pages));
    if entry & 3 != 2 {
        // A file of one page has no node.
        return if index == 0 { entry } else { 0 };
    }
    for _ in 0..6 {
        // xa_is_node()
        if entry & 3 != 2 || entry <= 4096 {
            break;
        }
        let node = entry - 2;
        let shift: u8 = kread::get(node, off!(xa_shift));
        entry = slot(node, (index >> (shift & 63)) & 63);
        if shift == 0 {
            // The next pages are in it too.
            let from = node.wrapping_add(u64::from(off!(xa_slots)));
            let to = (&raw mut scratch.slots).cast();
            unsafe { bpf_probe_read_kernel(to, 512, from as *const core::ffi::c_void) };
            (scratch.cached.node, scratch.cached.base) = (node, index >> 6);
            break;
        }
    }
    entry
}

#[inline(always)]
fn slot(node: u64, at: u64) -> u64 {
    let slots = node.wrapping_add(u64::from(off!(xa_slots)));
    let entry: u64 = kread::at(slots.wrapping_add(at << 3));
    if is_sibling(entry) { kread::at(slots.wrapping_add((entry >> 2) << 3)) } else { entry }
}

/// `xa_is_sibling()`: of a large folio, where its entry is.
#[inline(always)]
fn is_sibling(entry: u64) -> bool {
    entry & 3 == 2 && entry < 256
}

#[inline(always)]
fn slot_of(scratch: &Scratch, index: u64) -> u64 {
    // The verifier does not see limits that the compiler has found out.
    let at = black_box(index) as usize & 63;
    unsafe { (&raw const scratch.slots).cast::<u64>().add(at).read_volatile() }
}

/// The sum over bytes of one page of the page cache.
#[inline(always)]
pub fn one(mapping: u64, off: u64, len: u32) -> Option<u64> {
    let (level, scratch) = content::enter()?;
    content::want_all(scratch);
    begin(&mut scratch.print, 0, 0);
    scratch.cached = Cached { mapping, off, end: off, node: 0, base: 0 };
    let entry = lookup(scratch, off >> 12);
    let found = resident(scratch, entry, mapping, off, len);
    let sum = scratch.print.sums[0];
    content::leave(level);
    found.map(|()| sum)
}

/// How much of a call is looked at before it begins: `[off, answer)`.
#[inline(always)]
pub fn lends(off: u64, count: u64, pages: u64) -> u64 {
    let pages = if pages < MOST { pages } else { MOST };
    // Whole pages from where it begins, so that the last is cut where the call ends or not at all.
    let limit = ((off >> 12).wrapping_add(pages)) << 12;
    let end = off.wrapping_add(count);
    if end < limit { end } else { limit }
}

/// A call returned with `moved` bytes from `off` on, of `count`: where that is in the middle of a page,
/// states both halves, which tells what the first held at the submit if they add up to the same.
#[inline(always)]
pub fn split(mapping: u64, off: u64, count: u64, moved: u64) {
    let mask = u64::from(PAGE - 1);
    let cut = off.wrapping_add(moved);
    if cut & mask == 0 || moved >= count {
        return;
    }
    let (page, end) = (cut & !mask, off.wrapping_add(count));
    let next = page.wrapping_add(u64::from(PAGE));
    cached(0, mapping, if page > off { page } else { off }, cut, when::RETURN);
    cached(0, mapping, cut, if next < end { next } else { end }, when::RETURN);
}
