//! `kmem:kfree`, `kmem:kmem_cache_free`: step 2, and the ends of pipes and sockets; `skb:consume_skb`
//! and `skb:kfree_skb` where a head is not known before its free.
//!
//! `skb_release_data()` drops the frags and then frees the head: at that moment nr_frags and frags
//! are still readable, and nobody else has the memory yet.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use zctrace_common::{
    config::Range,
    counter::{gate, turn},
    kernel::{HeadFree, Pipe, SockEnd, family, free_flag, head_flag, kind, pipe_why, proto, sock_end, when},
};

use super::{
    notify,
    receive::{LATER, TOO_LONG, container, grown},
};
use crate::{
    content, emit,
    globals::{cfg_get, off},
    kread,
    maps::{BY_KERNEL, HEADS, HeadEnt, PIPES, RECEIVERS, RX_SPLICE, SLABS, SOCKS},
    print,
    seq::before,
    skb, twice,
};

const RCV_SHUTDOWN: u8 = 1;

#[raw_tracepoint(tracepoint = "kfree")]
pub fn zct_kfree(ctx: RawTracePointContext) -> i32 {
    twice::first(turn::KFREE, ctx.arg(1), || kfree(ctx.arg(0), ctx.arg(1)));
    0
}

/// A softirq that interrupts one kfree program may free dozens of heads.
#[raw_tracepoint(tracepoint = "kfree")]
pub fn zct_kfree2(ctx: RawTracePointContext) -> i32 {
    twice::second(turn::KFREE, ctx.arg(1), || kfree(ctx.arg(0), ctx.arg(1)));
    0
}

#[inline(always)]
fn kfree(site: u64, ptr: u64) {
    if frees_head(site) {
        head(ptr);
    }
    if frees_pipe(site) {
        pipe(ptr);
    }
}

#[raw_tracepoint(tracepoint = "kmem_cache_free")]
pub fn zct_cache_free(ctx: RawTracePointContext) -> i32 {
    twice::first(turn::CACHE_FREE, ctx.arg(1), || cache_free(ctx.arg(0), ctx.arg(1), ctx.arg(2)));
    0
}

#[raw_tracepoint(tracepoint = "kmem_cache_free")]
pub fn zct_cache_free2(ctx: RawTracePointContext) -> i32 {
    twice::second(turn::CACHE_FREE, ctx.arg(1), || cache_free(ctx.arg(0), ctx.arg(1), ctx.arg(2)));
    0
}

#[inline(always)]
fn cache_free(site: u64, ptr: u64, cache: u64) {
    if frees_head(site) {
        head(ptr);
    }
    // Sockets are freed at the end of chains of tail calls: the cache tells, the call site does not.
    if is_sock_slab(cache) {
        sock(ptr);
    }
}

#[inline(always)]
fn within(range: Range, at: u64) -> bool {
    at >= range.start && at < range.end
}

/// Two compares a function: nearly all frees on the machine end here.
#[inline(always)]
fn frees_head(site: u64) -> bool {
    if cfg_get!(free_head[0].start) == 0 {
        return true;
    }
    let mut i = 0;
    while i < 6 {
        if within(cfg_get!(free_head[i]), site) {
            return true;
        }
        i += 1;
    }
    false
}

#[inline(always)]
fn frees_pipe(site: u64) -> bool {
    let mut i = 0;
    while i < 4 {
        if within(cfg_get!(free_pipe[i]), site) {
            return true;
        }
        i += 1;
    }
    false
}

#[inline(always)]
fn is_sock_slab(cache: u64) -> bool {
    let Some(slabs) = SLABS.get(0) else {
        return false;
    };
    for slab in slabs {
        if *slab == cache {
            return true;
        }
        if *slab == 0 {
            return false;
        }
    }
    false
}

#[inline(always)]
fn head(ptr: u64) {
    let Some(ent) = HEADS.get_ptr_mut(&ptr) else {
        return;
    };
    let ent = unsafe { &mut *ent };
    // First of all: the verifier goes through it once more for each way to get here.
    if content::is_on() {
        print::frags(ptr, ent, when::RELEASE, print::range(ent.printed, u32::MAX), 0);
    }
    let len = skb::frag_bytes(ptr, ent.end);
    let mut flags = ent.flags;
    if len == 0 {
        flags |= free_flag::MOVED;
    }
    if ent.page != 0 && ent.tcp == 0 && skb::first_page(ptr, ent.end) != ent.page {
        flags |= free_flag::REPLACED;
    }
    // If the receive side merged it into a neighbour, that neighbour holds its bytes: say so first.
    if ent.rx != 0 && ent.tcp != 0 {
        flags |= merged(ptr, ent);
    }
    let mut snd_una = 0;
    if let Some(sock) = unsafe { SOCKS.get(&ent.sk) }
        && sock.id == ent.sock
        && sock.proto == proto::TCP
    {
        snd_una = kread::get(ent.sk, off!(tcp_snd_una));
        flags |= free_flag::UNA;
    }
    if ent.rx != 0 {
        let (gone, was_read) = match unsafe { RECEIVERS.get(&ent.rx) } {
            Some(r) => (false, !before(r.copied, ent.seq.wrapping_add(len))),
            // Its queue may be freed later than the socket (`skb_attempt_defer_free()`).
            None => (ent.tcp != 0, false),
        };
        if !was_read && (gone || kread::get::<u8>(ent.rx, off!(sk_shutdown)) & RCV_SHUTDOWN != 0) {
            flags |= free_flag::RX_SHUT;
        }
        if emit::gate(gate::RX_SPLICE) && unsafe { RX_SPLICE.get(&ent.rx) }.is_some() {
            flags |= free_flag::RX_SPLICED;
        }
    }
    let body = HeadFree { head: ent.id, len, snd_una, flags, pad: 0 };
    let _ = HEADS.remove(&ptr);
    emit::emit(kind::HEAD_FREE, body);
}

/// Looks for the skb that holds its bytes by now where its receiver has not read them. Answers flags.
#[inline(never)]
fn merged(ptr: u64, ent: &HeadEnt) -> u32 {
    let mut into = ent.merge;
    let mut sure = ent.ooo == 0;
    let last = ent.seq.wrapping_add(ent.len).wrapping_sub(1);
    let unread = match unsafe { RECEIVERS.get(&ent.rx) } {
        Some(r) => r.sock == ent.sock && !before(last, r.copied),
        None => false,
    };
    if unread || !sure {
        match container(ent.rx, last) {
            TOO_LONG => {}
            // Out of order still, in the skb that it was to be merged into or in another.
            LATER => sure = false,
            0 => sure = true,
            skb => {
                into = kread::get(skb, off!(skb_head));
                sure = true;
                if into != ptr && unsafe { HEADS.get(&into) }.is_none() {
                    skb::learn_received(skb, into, ent);
                }
            }
        }
    }
    if into != 0
        && into != ptr
        && let Some(other) = HEADS.get_ptr_mut(&into)
    {
        let other = unsafe { &mut *other };
        if other.sock == ent.sock {
            grown(into, other);
            let end = other.seq.wrapping_add(other.len);
            sure |= !before(last, other.seq) && before(last, end);
        }
    }
    if sure { 0 } else { free_flag::RX_OOO }
}

#[inline(always)]
fn pipe(ptr: u64) {
    let Some(ent) = PIPES.get_ptr_mut(&ptr) else {
        return;
    };
    let (id, active) = unsafe { ((*ent).id, (*ent).active) };
    if active != 0 {
        emit::gate_add(gate::PIPES, -1);
    }
    let pos = kread::pipe_pos(ptr);
    let _ = PIPES.remove(&ptr);
    emit::emit(kind::PIPE, Pipe { pipe: id, head: pos.head, tail: pos.tail, off: 0, why: pipe_why::FREED });
}

#[inline(always)]
fn sock(ptr: u64) {
    let _ = RECEIVERS.remove(&ptr);
    let _ = BY_KERNEL.remove(&ptr);
    if emit::gate(gate::RX_SPLICE) {
        let _ = RX_SPLICE.remove(&ptr);
    }
    let Some(ent) = (unsafe { SOCKS.get(&ptr) }) else {
        return;
    };
    let (id, family) = (ent.id, ent.family);
    if family == family::UNIX {
        emit::gate_add(gate::UNIX, -1);
    }
    let _ = SOCKS.remove(&ptr);
    emit::emit(kind::SOCK_END, SockEnd { sock: id, why: sock_end::FREED, snd_una: 0 });
}

/// AF_UNIX hands skbs straight to the receiver, which may free them before any other hook runs;
/// `consume_skb` precedes that free and still shows the frags.
#[raw_tracepoint(tracepoint = "consume_skb")]
pub fn zct_consume_skb(ctx: RawTracePointContext) -> i32 {
    if emit::gate(gate::UNIX) {
        unix(ctx.arg(0));
    }
    if emit::gate(gate::MEMORY) {
        notify::taken(ctx.arg(0));
    }
    0
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
pub fn zct_kfree_skb(ctx: RawTracePointContext) -> i32 {
    let skb: u64 = ctx.arg(0);
    if emit::gate(gate::UNIX) {
        unix(skb);
    }
    if kread::get::<u32>(skb, off!(skb_data_len)) == 0 {
        return 0;
    }
    let head: u64 = kread::get(skb, off!(skb_head));
    if let Some(ent) = HEADS.get_ptr_mut(&head) {
        let ent = unsafe { &mut *ent };
        // A dropped TCP segment is a clone: the write queue still has the head.
        if ent.tcp == 0 {
            ent.flags |= free_flag::DROPPED;
        }
    }
    0
}

#[inline(always)]
fn unix(skb: u64) {
    let sk: u64 = kread::get(skb, off!(skb_sk));
    if sk == 0 {
        return;
    }
    if let Some(ent) = unsafe { SOCKS.get(&sk) }
        && ent.family == family::UNIX
    {
        skb::learn(skb, sk, ent, head_flag::AT_FREE);
        if content::is_on() {
            let head: u64 = kread::get(skb, off!(skb_head));
            if let Some(known) = HEADS.get_ptr_mut(&head) {
                let known = unsafe { &mut *known };
                print::frags(head, known, when::RELEASE, print::range(0, u32::MAX), 1);
                known.printed = u32::MAX;
            }
        }
    }
}
