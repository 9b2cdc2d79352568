//! Heads: learning them, reading their frags.

use core::hint::black_box;

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel};
use zctrace_common::{
    counter,
    kernel::{Extent, Head, HeadFree, free_flag, full_map, head_flag, kind, proto},
};

use crate::{
    emit::{self, Stamp},
    globals::off,
    kread,
    maps::{HEADS, HeadEnt, SOCKS, SockEnt},
    watch,
};

/// `skb_frag_t`; in 6.1 a `bio_vec` of the same shape.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Frag {
    pub page: u64,
    pub len: u32,
    pub off: u32,
}

const IFF_LOOPBACK: u32 = 8;

/// Bytes in the frags of the head at `head`.
#[inline(always)]
pub fn frag_bytes(head: u64, end: u32) -> u32 {
    const CHUNK: usize = 9;
    let shinfo = head.wrapping_add(u64::from(end));
    let nr = u32::from(kread::get::<u8>(shinfo, off!(sh_nr_frags)));
    if nr == 0 {
        return 0;
    }
    let frags = shinfo.wrapping_add(u64::from(off!(sh_frags)));
    let mut sum = 0u32;
    let mut got = [Frag::default(); CHUNK];
    for chunk in 0..5u32 {
        let first = chunk * CHUNK as u32;
        if first >= nr {
            break;
        }
        let from = frags.wrapping_add(u64::from(first) * size_of::<Frag>() as u64);
        let left = black_box(nr - first);
        let n = if left < CHUNK as u32 { left } else { CHUNK as u32 };
        let bytes = n * size_of::<Frag>() as u32;
        unsafe { bpf_probe_read_kernel(got.as_mut_ptr().cast(), bytes, from as *const core::ffi::c_void) };
        for (i, frag) in got.iter().enumerate() {
            if first + i as u32 >= nr {
                break;
            }
            sum = sum.wrapping_add(frag.len);
        }
    }
    sum
}

/// A packet with paged data of the tracked socket `ent` at `sk`: learn its head. One after the other, because
/// before Linux 6.13 a program and all that it calls have 512 bytes of stack.
#[inline(always)]
pub fn learn(skb: u64, sk: u64, ent: &SockEnt, flags: u32) {
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0 {
        return;
    }
    let id = zct_fn_know(skb, sk, flags);
    if id == 0 || (ent.proto == proto::TCP && ent.kernel == 0) {
        return;
    }
    let head: u64 = kread::get(skb, off!(skb_head));
    let end: u32 = kread::get(skb, off!(skb_end));
    if ent.kernel != 0 {
        zct_fn_watch_frags(head, end);
    }
    zct_fn_extents(id, head, end, u64::from(ent.memory) | u64::from(ent.kernel) << 32, 0);
}

/// Answers the head's id; 0: it was known, as it is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_know(skb: u64, sk: u64, mut flags: u32) -> u64 {
    let Some(ent) = (unsafe { SOCKS.get(&sk) }) else {
        return 0;
    };
    let len: u32 = kread::get(skb, off!(skb_data_len));
    let head: u64 = kread::get(skb, off!(skb_head));
    let end: u32 = kread::get(skb, off!(skb_end));
    let mut seq = 0;
    if ent.proto == proto::TCP {
        flags |= head_flag::SEQ;
        seq = frag_seq(skb, head, len);
    }
    let mut id = 0;
    if let Some(old) = HEADS.get_ptr_mut(&head) {
        let old = unsafe { &mut *old };
        if old.sock == ent.id {
            if old.seq == seq && old.len == len {
                return 0;
            }
            if ent.proto == proto::TCP {
                id = old.id;
                flags |= head_flag::AGAIN;
                old.seq = seq;
                old.len = len;
                old.end = end;
            }
        }
        if id == 0 {
            // Its free was missed: this memory is somebody else's by now.
            emit::emit(
                kind::HEAD_FREE,
                HeadFree { head: old.id, len: old.len, snd_una: 0, flags: free_flag::REUSED, pad: 0 },
            );
        }
    }
    let page = if ent.memory != 0 { user_page(head, end) } else { 0 };
    if page != 0 {
        flags |= head_flag::USER;
    }
    let stamp = emit::stamp();
    let fresh = id == 0;
    if fresh {
        id = stamp.id();
    }
    if flags & head_flag::AT_FREE == 0 {
        let dev: u64 = kread::get(skb, off!(skb_dev));
        if kread::opt::<u32>(dev, off!(dev_flags)).unwrap_or_default() & IFF_LOOPBACK != 0 {
            flags |= head_flag::LOOPBACK;
        }
    }
    if fresh {
        let new = HeadEnt {
            id,
            sock: ent.id,
            sk,
            rx: 0,
            merge: 0,
            page,
            seq,
            len,
            end,
            flags: 0,
            tcp: u32::from(ent.proto == proto::TCP),
            ooo: 0,
            printed: 0,
            pad: 0,
        };
        add(head, &new, stamp, flags);
    } else {
        emit::put(kind::HEAD, stamp, Head { head: id, sock: ent.id, seq, len, flags, pad: 0 });
    }
    id
}

/// 1: one of the first frags is a page of a file.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_lends(skb: u64) -> u64 {
    const FIRST: u32 = 4;
    let head: u64 = kread::get(skb, off!(skb_head));
    let shinfo = head.wrapping_add(u64::from(kread::get::<u32>(skb, off!(skb_end))));
    let nr = u32::from(kread::get::<u8>(shinfo, off!(sh_nr_frags)));
    let mut search = Search { frags: shinfo.wrapping_add(u64::from(off!(sh_frags))), found: 0 };
    let most = if nr < FIRST { nr } else { FIRST };
    unsafe { bpf_loop(most, find as *mut core::ffi::c_void, (&raw mut search).cast(), 0) };
    search.found
}

#[repr(C)]
struct Search {
    frags: u64,
    found: u64,
}

extern "C" fn find(i: u64, search: *mut Search) -> u64 {
    let s = unsafe { &mut *search };
    if file_page(s.frags.wrapping_add(i * size_of::<Frag>() as u64)) != 0 {
        s.found = 1;
    }
    s.found
}

/// `struct address_space *` of the page in a frag, where it is a file's; else 0.
#[inline(always)]
fn file_page(frag: u64) -> u64 {
    let frag: Frag = kread::at(frag);
    let mapping: u64 = kread::get(folio_of(frag.page), off!(folio_mapping));
    if frag.page & 1 != 0 || mapping & 3 != 0 { 0 } else { mapping }
}

/// `compound_head()`
#[inline(always)]
fn folio_of(page: u64) -> u64 {
    kread::compound_head(page, kread::get(page, off!(page_head)))
}

/// `struct page *` of the first frag where the frags are a process's memory, else 0.
#[inline(always)]
fn user_page(head: u64, end: u32) -> u64 {
    const SKBFL_ZEROCOPY_ENABLE: u8 = 1;
    let shinfo = head.wrapping_add(u64::from(end));
    if kread::get::<u8>(shinfo, off!(sh_flags)) & SKBFL_ZEROCOPY_ENABLE == 0 {
        return 0;
    }
    first_page(head, end)
}

/// `struct page *` of the first frag.
#[inline(always)]
pub fn first_page(head: u64, end: u32) -> u64 {
    let frag: Frag = kread::get(head.wrapping_add(u64::from(end)), off!(sh_frags));
    frag.page
}

/// An skb in the receive queue of `from`'s receiver, so far without lent pages, that `from` may be
/// merged into.
#[inline(always)]
pub fn learn_received(skb: u64, head: u64, from: &HeadEnt) {
    let stamp = emit::stamp();
    let len: u32 = kread::get(skb, off!(skb_data_len));
    let total: u32 = kread::get(skb, off!(skb_len));
    let first: u32 = kread::get(skb.wrapping_add(u64::from(off!(skb_cb))), off!(cb_seq));
    let new = HeadEnt {
        id: stamp.id(),
        sock: from.sock,
        sk: from.sk,
        rx: from.rx,
        merge: 0,
        page: 0,
        seq: first.wrapping_add(total).wrapping_sub(len),
        len,
        end: kread::get(skb, off!(skb_end)),
        flags: free_flag::RX,
        tcp: 1,
        ooo: 0,
        printed: 0,
        pad: 0,
    };
    add(head, &new, stamp, head_flag::SEQ | head_flag::RX);
}

/// States a head and makes it known, in this order: whatever is said of it comes later.
#[inline(always)]
fn add(at: u64, new: &HeadEnt, stamp: Stamp, flags: u32) {
    let HeadEnt { id: head, sock, seq, len, .. } = *new;
    emit::put(kind::HEAD, stamp, Head { head, sock, seq, len, flags, pad: 0 });
    if HEADS.insert(&at, new, 0).is_err() {
        emit::full(emit::stamp(), counter::HEADS_FULL, full_map::HEADS, sock);
    }
}

/// Sequence number of the first byte in the frags: they are the last `len` bytes of the segment.
#[inline(always)]
fn frag_seq(skb: u64, head: u64, len: u32) -> u32 {
    let data: u64 = kread::get(skb, off!(skb_data));
    let total: u32 = kread::get(skb, off!(skb_len));
    let transport: u16 = kread::get(skb, off!(skb_transport));
    let th = head.wrapping_add(u64::from(transport));
    let tcp: [u8; 16] = kread::at(th);
    let seq = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
    let header = (th.wrapping_sub(data) as u32).wrapping_add(u32::from(tcp[12] >> 4) * 4);
    seq.wrapping_add(total).wrapping_sub(header).wrapping_sub(len)
}

/// A walk over frags that joins neighbours.
#[repr(C)]
struct Extents {
    frags: u64,
    /// The last `struct address_space *`, and whose it is.
    mapping: u64,
    ino: u64,
    dev: u32,
    /// Bytes passed.
    pos: u32,
    /// 1: anonymous pages are stated too.
    memory: u32,
    /// 1: of a socket of the kernel.
    kernel: u32,
    run: Extent,
}

/// States the file ranges in the frags, neighbours joined. `kinds`: in its lower half, whether anonymous
/// pages are stated too; in its upper, whether the socket is the kernel's. `zero`: 0, which the verifier does
/// not know: it goes through the walk again for every set of values that it knows at its start (a tenth of
/// the work on 6.18, a thirtieth on 7.3).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn zct_fn_extents(id: u64, head: u64, end: u32, kinds: u64, zero: u64) -> u64 {
    let shinfo = head.wrapping_add(u64::from(end));
    let nr = u32::from(kread::get::<u8>(shinfo, off!(sh_nr_frags)));
    let mut walk = Extents {
        frags: shinfo.wrapping_add(u64::from(off!(sh_frags))),
        mapping: zero,
        ino: zero,
        dev: zero as u32,
        pos: zero as u32,
        memory: kinds as u32,
        kernel: (kinds >> 32) as u32,
        run: Extent {
            head: id,
            ino: zero,
            off: zero,
            pos: zero as u32,
            len: zero as u32,
            dev: zero as u32,
            generation: zero as u32,
            watch: zero as u32,
            ..Extent::default()
        },
    };
    unsafe { bpf_loop(nr & 0x3f, extent as *mut core::ffi::c_void, (&raw mut walk).cast(), 0) };
    if walk.run.len != 0 {
        emit::emit(kind::EXTENT, walk.run);
    }
    0
}

/// The next frag.
extern "C" fn extent(i: u64, walk: *mut Extents) -> u64 {
    let w = unsafe { &mut *walk };
    let frag: Frag = kread::at(w.frags.wrapping_add(i * size_of::<Frag>() as u64));
    let pos = w.pos;
    w.pos = pos.wrapping_add(frag.len);
    // Bit 0 marks memory that is not a page (net_iov).
    if frag.page & 1 != 0 {
        return 0;
    }
    let folio = folio_of(frag.page);
    let mapping: u64 = kread::get(folio, off!(folio_mapping));
    // Bit 0: PAGE_MAPPING_ANON
    let anonymous = mapping & 1 != 0 && w.memory != 0;
    if mapping == 0 || (mapping & 3 != 0 && !anonymous) {
        return 0;
    }
    let (mut dev, mut ino, mut off) = (0, 0, w.run.off.wrapping_add(u64::from(w.run.len)));
    if !anonymous {
        if mapping != w.mapping {
            w.mapping = mapping;
            (w.dev, w.ino) = kread::identity(kread::get(mapping, off!(mapping_host)));
        }
        (dev, ino) = (w.dev, w.ino);
        let index: u64 = kread::get(folio, off!(folio_index));
        let nth = frag.page.wrapping_sub(folio) / u64::from(off!(page_size_of)).max(1);
        off = (index.wrapping_add(nth) << 12).wrapping_add(u64::from(frag.off));
    }
    let run = &mut w.run;
    let follows = run.ino == ino
        && run.dev == dev
        && run.off.wrapping_add(u64::from(run.len)) == off
        && run.pos.wrapping_add(run.len) == pos;
    if run.len != 0 && !follows {
        emit::emit(kind::EXTENT, *run);
    }
    if run.len == 0 || !follows {
        (run.ino, run.off, run.dev, run.len, run.pos) = (ino, off, dev, 0, pos);
        if w.kernel != 0 {
            (run.watch, run.generation) = watch::known(mapping);
        }
    }
    run.len = run.len.wrapping_add(frag.len);
    0
}

/// Files in the frags are watched from now on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_watch_frags(head: u64, end: u32) -> u64 {
    let shinfo = head.wrapping_add(u64::from(end));
    let nr = u32::from(kread::get::<u8>(shinfo, off!(sh_nr_frags)));
    let mut walk = Watching { frags: shinfo.wrapping_add(u64::from(off!(sh_frags))), mapping: 0 };
    unsafe { bpf_loop(nr & 0x3f, watch_frag as *mut core::ffi::c_void, (&raw mut walk).cast(), 0) };
    0
}

#[repr(C)]
struct Watching {
    frags: u64,
    /// The last `struct address_space *`.
    mapping: u64,
}

extern "C" fn watch_frag(i: u64, walk: *mut Watching) -> u64 {
    let w = unsafe { &mut *walk };
    let mapping = file_page(w.frags.wrapping_add(i * size_of::<Frag>() as u64));
    if mapping != 0 && mapping != w.mapping {
        w.mapping = mapping;
        let host: u64 = kread::get(mapping, off!(mapping_host));
        watch::zct_fn_watch(host, host);
    }
    0
}
