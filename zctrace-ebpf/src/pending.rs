//! Changes that were asked for while nobody watched their file. Nothing shows one before it takes the inode's
//! lock: a request may wait for a worker, a splice for its input. Whoever lends the file meanwhile must not
//! take it for idle.

use crate::{
    emit,
    globals::off,
    kread,
    maps::{PENDING, WAITING, WAITING_SLOTS},
    watch::{self, Watched},
};
use zctrace_common::counter;

/// Of files of this hash, how many are pending. Others that share it are doubted too, none is forgotten.
#[inline(always)]
fn waiting(inode: u64) -> Option<*mut u64> {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    const BITS: u32 = WAITING_SLOTS.trailing_zeros();
    WAITING.get_ptr_mut(((inode >> 6).wrapping_mul(SPREAD) >> (64 - BITS)) as u32)
}

/// The watched file that a call (by its task) or a request (by its `struct io_kiocb *`) may change. Where it is
/// not watched the change is pending.
#[inline(always)]
pub fn watched(key: u64, file: u64) -> Option<Watched> {
    let known = watch::behind(file);
    if known.is_some() || file == 0 {
        return known;
    }
    let inode = kread::host_of(file);
    if kread::file_type(inode) != kread::S_IFREG {
        return None;
    }
    let count = waiting(inode)?;
    // Before the file is looked for again: whoever watches it looks here afterwards.
    emit::add(count, 1);
    let known = watch::behind(file);
    if known.is_some() {
        emit::add(count, u64::MAX);
        return known;
    }
    if PENDING.insert(&key, &inode, 0).is_err() {
        emit::add(count, u64::MAX);
        emit::count(counter::CHANGES_FULL);
    }
    None
}

/// It is over, if it was pending.
#[inline(always)]
pub fn over(key: u64) {
    if let Some(inode) = unsafe { PENDING.get(&key) } {
        let inode = *inode;
        let _ = PENDING.remove(&key);
        if let Some(count) = waiting(inode) {
            emit::add(count, u64::MAX);
        }
    }
}

/// Whether one of this file may be.
#[inline(always)]
pub fn any(inode: u64) -> bool {
    waiting(inode).is_some_and(|count| unsafe { core::ptr::read_volatile(count) } != 0)
}
