//! The only code that touches the ring. A frame takes its CPU's next sequence number even when the
//! ring is full: produced = delivered + lost, exactly.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{
        bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        generated::{bpf_get_smp_processor_id, bpf_ringbuf_reserve, bpf_ringbuf_submit},
    },
};
use zctrace_common::{
    counter,
    frame::{self, HEADER, Header},
    kernel::{MapFull, kind},
};

use crate::maps::{COUNTERS, GATES, RING};

/// A frame as it lies in the ring.
#[repr(C)]
pub struct Framed<T> {
    header: Header,
    pub body: T,
}

/// Where a frame stands: its CPU and that CPU's sequence number.
#[derive(Clone, Copy)]
pub struct Stamp {
    cpu: u32,
    seq: u64,
}

impl Stamp {
    /// A number unique in the trace.
    #[inline(always)]
    pub fn id(self) -> u64 {
        frame::id(self.cpu, self.seq)
    }
}

#[inline(always)]
pub fn add(ptr: *mut u64, n: u64) -> u64 {
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(ptr, n) }
}

#[inline(always)]
pub fn count(index: u32) {
    if let Some(ptr) = COUNTERS.get_ptr_mut(index) {
        add(ptr, 1);
    }
}

#[inline(always)]
pub fn gate(index: u32) -> bool {
    match GATES.get(index) {
        Some(n) => *n != 0,
        None => false,
    }
}

#[inline(always)]
pub fn gate_add(index: u32, n: i64) {
    if let Some(ptr) = GATES.get_ptr_mut(index) {
        add(ptr, n as u64);
    }
}

/// Takes the next sequence number of this CPU.
#[inline(always)]
pub fn stamp() -> Stamp {
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let seq = match COUNTERS.get_ptr_mut(counter::PRODUCED) {
        Some(ptr) => add(ptr, 1) + 1,
        None => 0,
    };
    Stamp { cpu, seq }
}

/// Reserves a frame. The caller writes all of `body`, then calls [`submit`].
#[inline(always)]
pub fn reserve<T>(kind: u16, stamp: Stamp) -> Option<*mut Framed<T>> {
    const { assert!(align_of::<T>() <= 8) };
    let size = size_of::<Framed<T>>();
    let ptr = unsafe { bpf_ringbuf_reserve((&raw const RING).cast_mut().cast(), size as u64, 0) }
        .cast::<Framed<T>>();
    if ptr.is_null() {
        count(counter::LOST);
        return None;
    }
    // The time is taken after the slot: between a barrier's clock reading and a later slot no
    // earlier time can appear.
    let header = Header {
        kind,
        len: (HEADER + size_of::<T>()) as u16,
        cpu: stamp.cpu,
        seq: stamp.seq,
        ts: unsafe { bpf_ktime_get_ns() },
        task: bpf_get_current_pid_tgid(),
    };
    unsafe { (&raw mut (*ptr).header).write(header) };
    Some(ptr)
}

#[inline(always)]
pub fn submit<T>(frame: *mut Framed<T>) {
    // The reader polls: a wake-up per record costs more than the record.
    unsafe { bpf_ringbuf_submit(frame.cast(), u64::from(BPF_RB_NO_WAKEUP)) };
}

/// States `body` under a stamp already taken.
#[inline(always)]
pub fn put<T>(kind: u16, stamp: Stamp, body: T) {
    if let Some(frame) = reserve::<T>(kind, stamp) {
        unsafe { (&raw mut (*frame).body).write(body) };
        submit(frame);
    }
}

/// States `body`.
#[inline(always)]
pub fn emit<T>(kind: u16, body: T) {
    put(kind, stamp(), body);
}

/// A map had no room: counted, and stated so that the transfers it touches are known.
#[inline(always)]
pub fn full(stamp: Stamp, counter: u32, map: u32, id: u64) {
    count(counter);
    put(kind::MAP_FULL, stamp, MapFull { map, pad: 0, id });
}
