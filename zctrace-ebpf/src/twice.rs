//! Two programs on one tracepoint, so that an event the kernel skips is not lost.
//!
//! The kernel runs no program that this CPU is inside of already: an event in an interrupt that hits
//! the program is skipped for it (`recursion_misses`). The second program runs right after the first
//! and does its work where it was skipped. What neither did is known by counting: skipped runs of
//! the first, less what the second made good.

use core::ptr::{read_volatile, write_volatile};

use zctrace_common::counter;

use crate::{emit, maps::TURNS};

/// Runs the work of the event `key`, an address no event in an interrupt has at the same time.
#[inline(always)]
pub fn first(turn: u32, key: u64, work: impl FnOnce()) {
    let Some(state) = TURNS.get_ptr_mut(turn) else {
        return;
    };
    unsafe { write_volatile(&raw mut (*state).inside, 1) };
    work();
    unsafe {
        write_volatile(&raw mut (*state).done, key);
        write_volatile(&raw mut (*state).inside, 0);
    }
}

/// Runs the work of the event `key` if [`first`] was skipped.
#[inline(always)]
pub fn second(turn: u32, key: u64, work: impl FnOnce()) {
    let Some(state) = TURNS.get_ptr_mut(turn) else {
        return;
    };
    let (inside, done) =
        unsafe { (read_volatile(&raw const (*state).inside), read_volatile(&raw const (*state).done)) };
    if inside == 0 {
        if done == key {
            unsafe { write_volatile(&raw mut (*state).done, 0) };
            return;
        }
        // The first was interrupted at its very edge, or this one was: then this is done twice,
        // which changes nothing.
        emit::count(counter::RESCUED_UNSURE + turn);
    } else {
        emit::count(counter::RESCUED + turn);
    }
    work();
}
